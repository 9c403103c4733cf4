using System.Runtime.InteropServices;
using Agent.Fleet;
using Agent.Hub;

namespace Agent.World;

// What the faults of the board do in virtual time.
public sealed partial class VirtualWorld
{
    // A second device with the same identity that comes back a second after it was thrown out.
    private const long RivalReturnMs = 1000;
    private const int RivalLink = 0x10000;

    private readonly Action<FaultPlan, FleetRun, int> startFault;
    private readonly Action<FaultPlan, FleetRun, int> endFault;

    // Where packets vanish, and where nobody is there to send or read them.
    private static uint Vanishing => FaultBoard.Bit(FaultKind.NetworkDown) | FaultBoard.Bit(FaultKind.SilentHub);

    private static uint Silent => Vanishing | FaultBoard.Bit(FaultKind.Hang);

    private bool Hangs(int local) => faults.Has(local, FaultKind.Hang);

    private bool Delivers(int local) => !faults.Any(local, Silent | FaultBoard.Off);

    // A packet that is under way gets there whatever becomes of the device that sent it.
    private bool Arrives(int local) => !faults.Any(local, Vanishing);

    private bool IsImpaired(int local) => faults.Any(local, Silent | FaultBoard.Bit(FaultKind.QuotaExceeded));

    private bool IsKeyGood(int local) => !faults.Has(local, FaultKind.KeyRotated);

    private void StartFault(FaultPlan fault, FleetRun fleet, int local)
    {
        ref ClientState device = ref devices[local];
        switch (fault.Kind)
        {
            case FaultKind.NetworkDown:
            case FaultKind.SilentHub:
            case FaultKind.Hang:
            case FaultKind.QuotaExceeded:
                Impair(fault.Kind, fleet, local, ref device);
                break;
            case FaultKind.TcpDrop:
                DropTcp(fleet, local, ref device, fault.Hard);
                break;
            case FaultKind.HubDown:
            case FaultKind.HubFailover:
            case FaultKind.Throttle:
                CutByHub(fleet, local, ref device, FaultBoard.CutReason(fault));
                break;
            case FaultKind.DeviceDisabled:
                hub.SetEnabled(local, false);
                CutByHub(fleet, local, ref device, FaultBoard.CutReason(fault));
                break;
            case FaultKind.DuplicateId:
                OnRival(fleet, local, ref device);
                break;
            case FaultKind.Crash:
                CutPower(fault, fleet, local, ref device);
                break;
            case FaultKind.Refuse:
            case FaultKind.DnsFail:
            case FaultKind.PortBlocked:
            case FaultKind.KeyRotated:
            case FaultKind.ClockSkew:
            case FaultKind.TlsMemory:
                break; // They matter at the next attempt.
        }
    }

    private void EndFault(FaultPlan fault, FleetRun fleet, int local)
    {
        ref ClientState device = ref devices[local];
        switch (fault.Kind)
        {
            case FaultKind.NetworkDown:
                Heal(fleet, local, ref device, atOnce: false);
                break;
            case FaultKind.SilentHub:
            case FaultKind.Hang:
                Heal(fleet, local, ref device, atOnce: true);
                break;
            case FaultKind.QuotaExceeded:
                TellQuotaBack(local, ref device);
                break;
            case FaultKind.DeviceDisabled:
                hub.SetEnabled(local, true);
                break;
            case FaultKind.DuplicateId:
                hub.OnDisconnect(time.NowMs, local, RivalLink);
                break;
            case FaultKind.Crash:
                faults.SetOff(local, off: false);
                Push(0, local, EventKind.Start, 0);
                break;
        }
    }

    // Packets stop arriving. From here on the device's pings and sends are events, and the hub's patience is measured from
    // the last packet that got through.
    private void Impair(FaultKind kind, FleetRun fleet, int local, ref ClientState device)
    {
        if (device.Phase != Phase.Connected || !device.Has(DeviceFlags.Up))
        {
            return;
        }

        GoLive(fleet, local, ref device);
        witness?.OnLost(time.NowMs, local, LossBy(kind));
        if (kind != FaultKind.QuotaExceeded && live[local].DeafSinceMs < 0)
        {
            CollectionsMarshal.GetValueRefOrNullRef(live, local).DeafSinceMs = time.NowMs;
        }

        if (kind is FaultKind.NetworkDown or FaultKind.Hang)
        {
            hub.SetSpeaks(local, speaks: false, live[local].LastSentMs + upMs);
            hub.SetSilent(local, device.Link);
            ArmHub(local, ref device, hub.DeadlineMs(time.NowMs, local));
        }
    }

    private void DropTcp(FleetRun fleet, int local, ref ClientState device, bool reset)
    {
        if (!device.Has(DeviceFlags.Open))
        {
            return;
        }

        hub.OnLinkClosed(time.NowMs, local, device.Link);
        CloseByHub(fleet, local, ref device, reset ? Reason.LinkReset : Reason.LinkClosed, reset);
    }

    private void CutByHub(FleetRun fleet, int local, ref ClientState device, Reason reason)
    {
        int link = hub.Cut(time.NowMs, local, reason);
        if (link == device.Link)
        {
            CloseByHub(fleet, local, ref device, reason);
        }
    }

    private void CutPower(FaultPlan fault, FleetRun fleet, int local, ref ClientState device)
    {
        EndConnection(fleet, local, ref device, time.NowMs, Reason.Crash);
        Note(fleet, local, ref device, Seen.Close, reason: Reason.Crash);
        if (hub.CurrentLink(local) == device.Link)
        {
            hub.SetSpeaks(local, speaks: false, time.NowMs);
            hub.SetSilent(local, device.Link);
            ArmHub(local, ref device, hub.DeadlineMs(time.NowMs, local));
        }

        EndLive(local, ref device);
        device.LosePower(); // What was in flight to the device finds nobody.
        if (fault.ForMs.HasValue)
        {
            faults.SetOff(local, off: true);
        }
        else
        {
            Push(0, local, EventKind.Start, 0);
        }
    }

    private void OnRival(FleetRun fleet, int local, ref ClientState device)
    {
        if (hub.CurrentLink(local) == RivalLink)
        {
            return; // It has what it wants.
        }

        var request = new ConnectRequest(
            local, RivalLink, IsKeyGood(local), Scenario.EpochUtcMs + time.NowMs + 3_600_000, 240, false, 0);
        ConnectReply reply = hub.OnConnect(time.NowMs, Scenario.EpochUtcMs + time.NowMs, request);
        if (reply.Accepted)
        {
            hub.SetSpeaks(local, speaks: true, time.NowMs);
            if (reply.OlderLink == device.Link)
            {
                CloseByHub(fleet, local, ref device, Reason.TakenOver);
            }
        }
    }

    // The device took its identity back: while the second client exists, it will do the same.
    private void OnHubAccepted(int local, ref ClientState device)
    {
        if (faults.Has(local, FaultKind.DuplicateId))
        {
            Push(RivalReturnMs, local, EventKind.RivalConnects, device.Link);
        }
    }

    private bool TryFailDial(FleetRun fleet, int local, ref ClientState device, long waitMs)
    {
        if (!faults.IsHit(local))
        {
            return false;
        }

        int roundTripMs = upMs + downMs;
        if (faults.Has(local, FaultKind.TlsMemory))
        {
            Push(roundTripMs, local, EventKind.DialFailedTls, device.Link);
        }
        else if (faults.Has(local, FaultKind.DnsFail))
        {
            Push(roundTripMs, local, EventKind.DialFailedDns, device.Link);
        }
        else if (faults.Has(local, FaultKind.NetworkDown) || faults.Active(FaultKind.PortBlocked, fleet, local) is { Hard: true })
        {
            Push(Math.Min(waitMs, fleet.Model.TcpWaitMs), local, EventKind.DialFailedTimedOut, device.Link);
        }
        else if (faults.Has(local, FaultKind.PortBlocked))
        {
            Push(roundTripMs, local, EventKind.DialFailedRefused, device.Link);
        }
        else if (faults.Has(local, FaultKind.SilentHub))
        {
            Push(Math.Min(waitMs, fleet.Model.TlsWaitMs), local, EventKind.DialFailedTimedOut, device.Link);
        }
        else
        {
            return false;
        }

        return true;
    }

    // "TCP up, answers nothing, closes nothing": the hub's own checks rest until the fault ends.
    private bool HubRests(int local, out long untilMs)
    {
        untilMs = long.MaxValue;
        if (faults.Active(FaultKind.SilentHub, FleetOf(local), local) is not { } fault)
        {
            return false;
        }

        untilMs = fault.ForMs is { } forMs ? fault.AtMs + forMs : long.MaxValue;
        return true;
    }

    // A hung application's timers fire when it goes on, not before.
    private bool IsFrozen(int local, ref ClientState device, int timer, long atMs)
    {
        if (!Hangs(local))
        {
            return false;
        }

        if (faults.Active(FaultKind.Hang, FleetOf(local), local) is { ForMs: { } forMs } fault)
        {
            long goesOnMs = fault.AtMs + forMs;
            device.SetTimer(timer, goesOnMs);
            time.At(goesOnMs, local, (byte)((int)EventKind.Timer0 + timer), 0);
        }

        return true;
    }
}
