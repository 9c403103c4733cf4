using System.Net;
using Agent.Fleet;
using Agent.Hub;
using Agent.World;

namespace Agent.Drive;

// Disturbances by real means. What a hub does (refuse, cut, disable, forget a key) the own hub is told to do; what a network
// does happens in the relay between the two and on ports that do not answer; a wrong clock, a stopped application and a
// second client with the same identity are this side's own. WireFaults says which a run can have.
internal sealed partial class DriveLoop
{
    private const long RivalReturnMs = 1000;
    private const long LookAgainMs = 50;
    private const uint OffBit = 1u << 31;

    private readonly Dictionary<int, Rival> rivals = [];
    private readonly Dictionary<int, List<Signal>> heldBack = [];
    private uint[] faultBits = [];
    private bool[] activeFaults = [];

    private bool IsOff(int local) => Any(local, OffBit);

    private bool HasFault(int local, FaultKind kind) => Any(local, Bit(kind));

    private bool Any(int local, uint bits) => faultBits.Length > 0 && (faultBits[local] & bits) != 0;

    private static uint Bit(FaultKind kind) => 1u << (int)kind;

    private void PlanFaults()
    {
        if (scenario.Faults.Count == 0)
        {
            return;
        }

        faultBits = new uint[devices.Length];
        activeFaults = new bool[scenario.Faults.Count];
        for (int i = 0; i < scenario.Faults.Count; i++)
        {
            if (scenario.Faults[i].ForMs is { } forMs)
            {
                time.At(scenario.Faults[i].AtMs + forMs, i, (byte)Due.FaultEnd, 0);
            }
        }

        foreach (bool lasting in (ReadOnlySpan<bool>)[true, false])
        {
            for (int i = 0; i < scenario.Faults.Count; i++)
            {
                if (scenario.Faults[i].ForMs.HasValue == lasting)
                {
                    time.At(scenario.Faults[i].AtMs, i, (byte)Due.FaultStart, 0);
                }
            }
        }
    }

    private void OnFault(int index, bool starts)
    {
        FaultPlan fault = scenario.Faults[index];
        activeFaults[index] = starts && (fault.ForMs.HasValue || WireFaults.StaysWithoutEnd(fault.Kind));
        foreach (FleetRun fleet in fleets)
        {
            for (int local = fleet.FirstLocal; local < fleet.FirstLocal + fleet.LocalCount; local++)
            {
                if (!FaultShare.Covers(scenario, index, fleet, GlobalOf(fleet, local)))
                {
                    continue;
                }

                if (starts)
                {
                    faultBits[local] |= activeFaults[index] ? Bit(fault.Kind) : 0;
                    StartFault(fault, fleet, local);
                }
                else if (ActiveFault(fault.Kind, fleet, local) is null)
                {
                    faultBits[local] &= ~Bit(fault.Kind);
                    EndFault(fault, fleet, local);
                }
            }
        }
    }

    // A fault's own data for a device: the newest active fault of the kind that covers it.
    private FaultPlan? ActiveFault(FaultKind kind, FleetRun fleet, int local)
    {
        for (int i = activeFaults.Length - 1; i >= 0; i--)
        {
            if (activeFaults[i] && scenario.Faults[i].Kind == kind &&
                FaultShare.Covers(scenario, i, fleet, GlobalOf(fleet, local)))
            {
                return scenario.Faults[i];
            }
        }

        return null;
    }

    private void StartFault(FaultPlan fault, FleetRun fleet, int local)
    {
        ref ClientState device = ref devices[local];
        ref Line line = ref lines[local];
        HubServer? hub = plan.Hub?.Server;
        Device? identity = hub?.Registry.Devices[GlobalOf(fleet, local)];
        switch (fault.Kind)
        {
            case FaultKind.NetworkDown:
            case FaultKind.SilentHub:
                if (fault.Kind == FaultKind.SilentHub)
                {
                    hub?.SetResting(identity!, true);
                }

                plan.Relay?.Hold(PortOf(line));
                line.DeafSinceMs = device.Has(DeviceFlags.Up) && line.DeafSinceMs < 0 ? clock.NowMs : line.DeafSinceMs;
                break;
            case FaultKind.Hang:
                line.Flags |= LineFlags.Hung;
                line.DeafSinceMs = device.Has(DeviceFlags.Up) ? clock.NowMs : -1;
                break;
            case FaultKind.TcpDrop:
                DropTcp(fleet, local, ref device, fault.Hard);
                break;
            case FaultKind.HubDown:
            case FaultKind.HubFailover:
            case FaultKind.Throttle:
                UpdateRefusal(fleet, local);
                hub!.Cut(identity!, fault.Kind switch
                {
                    FaultKind.HubDown => fault.Hard ? Reason.HubFailover : Reason.HubDown,
                    FaultKind.Throttle => Reason.Throttled,
                    _ => Reason.HubFailover,
                });
                break;
            case FaultKind.Refuse:
                UpdateRefusal(fleet, local);
                break;
            case FaultKind.DeviceDisabled:
                hub!.SetEnabled(identity!, false);
                break;
            case FaultKind.QuotaExceeded:
                hub!.SetQuotaGone(identity!, true);
                break;
            case FaultKind.KeyRotated:
                identity!.PrimaryKey = Registry.NewKey();
                break;
            case FaultKind.DuplicateId:
                rivals.TryAdd(local, new Rival(plan, GlobalOf(fleet, local), fleet));
                rivals[local].Connect(clock);
                break;
            case FaultKind.Crash:
                CutPower(fault, fleet, local, ref device);
                break;
        }
    }

    private void EndFault(FaultPlan fault, FleetRun fleet, int local)
    {
        ref Line line = ref lines[local];
        HubServer? hub = plan.Hub?.Server;
        Device? identity = hub?.Registry.Devices[GlobalOf(fleet, local)];
        switch (fault.Kind)
        {
            case FaultKind.NetworkDown:
            case FaultKind.SilentHub:
                if (fault.Kind == FaultKind.SilentHub)
                {
                    hub?.SetResting(identity!, false);
                }

                if (!Any(local, Bit(FaultKind.NetworkDown) | Bit(FaultKind.SilentHub)))
                {
                    plan.Relay?.Release(PortOf(line));
                    fleet.Statistics.DownMs += TakeDeafMs(ref line, clock.NowMs);
                }

                break;
            case FaultKind.Hang:
                GoOn(fleet, local);
                break;
            case FaultKind.HubDown:
            case FaultKind.Throttle:
            case FaultKind.Refuse:
                UpdateRefusal(fleet, local);
                break;
            case FaultKind.DeviceDisabled:
                hub!.SetEnabled(identity!, true);
                break;
            case FaultKind.QuotaExceeded:
                hub!.SetQuotaGone(identity!, false);
                break;
            case FaultKind.KeyRotated:
                identity!.PrimaryKey = plan.Keys.KeyOf(GlobalOf(fleet, local));
                break;
            case FaultKind.DuplicateId:
                rivals[local].Leave();
                break;
            case FaultKind.Crash:
                faultBits[local] &= ~OffBit;
                In(0, local, Due.Start, 0);
                break;
        }
    }

    // The own hub drops it; from a strange one this end's socket is closed underneath, and the client is told it was the peer.
    private void DropTcp(FleetRun fleet, int local, ref ClientState device, bool reset)
    {
        if (plan.Hub is { } hub)
        {
            hub.Server.Drop(hub.Server.Registry.Devices[GlobalOf(fleet, local)], reset);
            return;
        }

        ref Line line = ref lines[local];
        if (line.Session is { } session && device.Has(DeviceFlags.Open))
        {
            session.Close(reset);
            OnClosed(fleet, local, ref device, ref line, reset ? Wire.SessionEnd.PeerReset : Wire.SessionEnd.PeerClosed);
        }
    }

    private void UpdateRefusal(FleetRun fleet, int local)
    {
        HubRefusal? refusal = null;
        if (ActiveFault(FaultKind.HubDown, fleet, local) is { Hard: true })
        {
            refusal = new(ConnectReply.HangUp, Reason.RefusedTimedOut, LogKind.ConnectTimeout);
        }
        else if (HasFault(local, FaultKind.HubDown))
        {
            refusal = new(3, Reason.RefusedUnavailable, LogKind.ConnectServerError);
        }
        else if (HasFault(local, FaultKind.Throttle))
        {
            refusal = new(ConnectReply.HangUp, Reason.RefusedThrottled, LogKind.ConnectThrottled);
        }
        else if (ActiveFault(FaultKind.Refuse, fleet, local) is { } refuse)
        {
            LogKind kind = refuse.Code == 3 ? LogKind.ConnectServerError : LogKind.ConnectUnauthorized;
            refusal = new(refuse.Code, Reason.RefusedByScenario, kind);
        }

        HubServer hub = plan.Hub!.Server;
        hub.SetRefusal(hub.Registry.Devices[GlobalOf(fleet, local)], refusal);
    }

    // With a relay the hub hears nothing, as of a device without power; its own end of the connection is closed by RST.
    private void CutPower(FaultPlan fault, FleetRun fleet, int local, ref ClientState device)
    {
        ref Line line = ref lines[local];
        EndConnection(fleet, local, ref device, ref line, clock.NowMs, Reason.Crash);
        Note(fleet, local, ref device, Seen.Close, reason: Reason.Crash);
        plan.Relay?.Abandon(PortOf(line));
        line.Session?.Close(reset: true);
        line.Session = null;
        line.Flags &= LineFlags.HoldsSlot;
        for (int timer = 0; timer < ClientState.TimerCount; timer++)
        {
            device.ClearTimer(timer);
        }

        device.Link++;
        device.Phase = Phase.Off;
        device.Attempt = 0;
        device.TokenExpiry = 0;
        device.Topics = Topics.None;
        device.Flags &= DeviceFlags.HasEnded;
        if (fault.ForMs.HasValue)
        {
            faultBits[local] |= OffBit;
        }
        else
        {
            In(0, local, Due.Start, 0);
        }
    }

    // Where a dial goes, and whether its SYN will find nobody.
    private (IPEndPoint Remote, bool BlackHole) Target(FleetRun fleet, int local)
    {
        if (faultBits.Length == 0 || faultBits[local] == 0)
        {
            return (plan.Remote, false);
        }

        if (HasFault(local, FaultKind.NetworkDown) ||
            ActiveFault(FaultKind.PortBlocked, fleet, local) is { Hard: true })
        {
            return (plan.Ports!.BlackHole, true);
        }

        return HasFault(local, FaultKind.PortBlocked) ? (plan.Ports!.Refused, false)
            : HasFault(local, FaultKind.SilentHub) ? (plan.Ports!.Silent, false)
            : (plan.Remote, false);
    }

    // While the second client exists, it takes the identity back a second after it was thrown out.
    private void OnAccepted(FleetRun fleet, int local)
    {
        if (HasFault(local, FaultKind.DuplicateId))
        {
            In(RivalReturnMs, local, Due.RivalReturns, 0);
        }
    }

    private void OnRivalReturns(FleetRun fleet, int local)
    {
        if (HasFault(local, FaultKind.DuplicateId))
        {
            rivals[local].Connect(clock);
        }
    }

    private long SkewOf(FleetRun fleet, int local) =>
        HasFault(local, FaultKind.ClockSkew) ? ActiveFault(FaultKind.ClockSkew, fleet, local)!.SkewMs : 0;

    private void HoldBack(in Signal signal)
    {
        if (!heldBack.TryGetValue(signal.Local, out List<Signal>? held))
        {
            heldBack[signal.Local] = held = [];
        }

        held.Add(signal);
    }

    // A stopped application's timers fire when it goes on, not before.
    private void Thaw(int local, ref ClientState device, int timer)
    {
        long againMs = clock.NowMs + LookAgainMs;
        device.SetTimer(timer, againMs);
        time.At(againMs, local, (byte)((int)Due.Timer0 + timer), 0);
    }

    private void GoOn(FleetRun fleet, int local)
    {
        lines[local].Flags &= ~LineFlags.Hung;
        fleet.Statistics.DownMs += TakeDeafMs(ref lines[local], clock.NowMs);
        if (heldBack.Remove(local, out List<Signal>? held))
        {
            foreach (Signal signal in held)
            {
                OnSignal(signal);
            }
        }

        ref ClientState device = ref devices[local];
        if (device.Has(DeviceFlags.Up) && lines[local].Session is not null)
        {
            ArmSend(fleet, local, ref device, ref lines[local]);
            ArmPing(fleet, local, ref device, ref lines[local]);
        }
    }

    private static int PortOf(in Line line) => line.Session?.LocalEndPoint?.Port ?? 0;
}
