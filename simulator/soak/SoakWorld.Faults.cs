using Agent.Hub;

namespace Agent.Soak;

// What the seed does to its world. Every lasting fault ends by the end of the safety phase at the latest.
internal sealed partial class SoakWorld
{
    private readonly List<(SoakFault Fault, SoakDevice Device)> lasting = [];

    private void PlanFaults()
    {
        foreach (SoakFault fault in plan.Faults)
        {
            for (int i = chance.Between(1, 5); i > 0; i--)
            {
                long atMs = chance.Below((int)(plan.SafetyMs * 9 / 10));
                After(atMs, () => Strike(fault));
            }
        }
    }

    private void Strike(SoakFault fault)
    {
        switch (fault)
        {
            case SoakFault.EventsLate or SoakFault.ChangeAtRenewal:
                break; // All the time.
            case SoakFault.CheckerRestart:
                crashesAtNext = chance.Chance(50);
                if (!crashesAtNext && isCheckerUp)
                {
                    Restart();
                }

                break;
            case SoakFault.CheckerDown when isCheckerUp:
                TellWorld("the checker stops");
                StopChecker();
                After(chance.Between(5, 900) * 1000L, Restart);
                break;
            case SoakFault.CheckerDown:
                break;
            default:
                bool isEverybody = chance.Chance(20);
                SoakDevice one = devices[chance.Below(devices.Length)];
                foreach (SoakDevice device in isEverybody ? devices : [one])
                {
                    Strike(fault, device);
                }

                break;
        }
    }

    private void Strike(SoakFault fault, SoakDevice device)
    {
        Tell(device, $"fault {fault}");
        device.TroubleMs = NowMs;
        switch (fault)
        {
            case SoakFault.Fin:
            case SoakFault.Reset:
                Drop(device, fault == SoakFault.Reset);
                break;
            case SoakFault.ClockJump:
                device.SkewSeconds = chance.Of(-7200, -400, -200, -30, 30, 200, 400, 7200);
                device.OnClock();
                After(chance.Between(30, 900) * 1000L, () => Correct(device));
                break;
            case SoakFault.PowerCut:
                CutPower(device, chance.Of(0, 2_000, 600_000));
                break;
            case SoakFault.FlashCut when device is AgentDevice agent:
                agent.CutAtWrite(chance.Below(400), (byte)chance.Below(256));
                break;
            case SoakFault.Method when device is AgentDevice agent:
                agent.CallSome(chance);
                break;
            case SoakFault.TwinChange when device is AgentDevice agent:
                agent.ChangeTwin(chance);
                break;
            case SoakFault.FlashCut or SoakFault.Method or SoakFault.TwinChange:
                break; // A model has no flash, no methods and no settings.
            default:
                Begin(fault, device);
                break;
        }
    }

    private void Begin(SoakFault fault, SoakDevice device)
    {
        lasting.Add((fault, device));
        device.Change(fault, begins: true);
        switch (fault)
        {
            case SoakFault.HubDown:
                Cut(device, Reason.HubDown);
                break;
            case SoakFault.Disabled:
                hub.SetEnabled(device.Index, false);
                Cut(device, Reason.DeviceDisabled);
                break;
            case SoakFault.Throttled:
                Cut(device, Reason.Throttled);
                break;
            case SoakFault.Rival:
                RivalConnects(device);
                break;
        }

        After(chance.Of(3, 40, 200, 1200) * 1000L, () => End(fault, device));
    }

    private void End(SoakFault fault, SoakDevice device)
    {
        if (!lasting.Remove((fault, device)))
        {
            return;
        }

        Tell(device, $"end of {fault}");
        device.Change(fault, begins: false);
        switch (fault)
        {
            case SoakFault.Disabled when !device.Suffers(SoakFault.Disabled):
                hub.SetEnabled(device.Index, true);
                break;
            case SoakFault.Rival when !device.Suffers(SoakFault.Rival):
                RivalLeaves(device);
                break;
            case SoakFault.BlackHole or SoakFault.WifiLost or SoakFault.UplinkHeld:
                Repeat(device);
                break;
        }
    }

    private void Drop(SoakDevice device, bool reset)
    {
        if (device.Books.HeldLink is { } link)
        {
            hub.OnLinkClosed(HubMs, device.Index, link.Number);
            CloseByHub(link, reset ? Reason.LinkReset : Reason.LinkClosed, reset);
        }
    }

    public void CutPower(SoakDevice device, long offMs)
    {
        if (device.HasPower)
        {
            device.TroubleMs = NowMs;
            device.PowerOff();
            After(offMs, device.PowerOn);
        }
    }

    private void Correct(SoakDevice device)
    {
        device.SkewSeconds = 0;
        device.TroubleMs = NowMs;
        device.OnClock();
    }

    // The end of the first phase: everything that was wrong is put right at once.
    private void Heal()
    {
        TellWorld("faults stop");
        IsHealing = true;
        foreach ((SoakFault fault, SoakDevice device) in lasting.ToArray())
        {
            End(fault, device);
        }

        if (!isCheckerUp)
        {
            Restart();
        }

        foreach (SoakDevice device in devices)
        {
            device.TroubleMs = NowMs;
            Correct(device);
            (device as ModelDevice)?.Visit();
            (device as AgentDevice)?.Examine();
        }
    }
}
