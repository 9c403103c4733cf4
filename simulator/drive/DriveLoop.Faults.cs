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

    private readonly Dictionary<int, Rival> rivals = [];
    private readonly Dictionary<int, List<Signal>> heldBack = [];
    private readonly Action<FaultPlan, FleetRun, int> startFault;
    private readonly Action<FaultPlan, FleetRun, int> endFault;

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
                line.Pulse.DeafSinceMs = device.Has(DeviceFlags.Up) && line.Pulse.DeafSinceMs < 0 ? clock.NowMs : line.Pulse.DeafSinceMs;
                break;
            case FaultKind.Hang:
                line.Flags |= LineFlags.Hung;
                line.Pulse.DeafSinceMs = device.Has(DeviceFlags.Up) ? clock.NowMs : -1;
                break;
            case FaultKind.TcpDrop:
                DropTcp(fleet, local, ref device, fault.Hard);
                break;
            case FaultKind.HubDown:
            case FaultKind.HubFailover:
            case FaultKind.Throttle:
                UpdateRefusal(fleet, local);
                hub!.Cut(identity!, FaultBoard.CutReason(fault));
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

                if (!faults.Any(local, FaultBoard.Bit(FaultKind.NetworkDown) | FaultBoard.Bit(FaultKind.SilentHub)))
                {
                    plan.Relay?.Release(PortOf(line));
                    fleet.Statistics.DownMs += line.Pulse.TakeDeafMs(clock.NowMs);
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
                faults.SetOff(local, off: false);
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
        HubServer hub = plan.Hub!.Server;
        hub.SetRefusal(hub.Registry.Devices[GlobalOf(fleet, local)], faults.RefusalOf(fleet, local));
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
        device.LosePower();
        if (fault.ForMs.HasValue)
        {
            faults.SetOff(local, off: true);
        }
        else
        {
            In(0, local, Due.Start, 0);
        }
    }

    // Where a dial goes, and whether its SYN will find nobody.
    private (IPEndPoint Remote, bool BlackHole) Target(FleetRun fleet, int local)
    {
        if (!faults.IsHit(local))
        {
            return (plan.Remote, false);
        }

        if (faults.Has(local, FaultKind.NetworkDown) ||
            faults.Active(FaultKind.PortBlocked, fleet, local) is { Hard: true })
        {
            return (plan.Ports!.BlackHole, true);
        }

        return faults.Has(local, FaultKind.PortBlocked) ? (plan.Ports!.Refused, false)
            : faults.Has(local, FaultKind.SilentHub) ? (plan.Ports!.Silent, false)
            : (plan.Remote, false);
    }

    // While the second client exists, it takes the identity back a second after it was thrown out.
    private void OnAccepted(FleetRun fleet, int local)
    {
        if (faults.Has(local, FaultKind.DuplicateId))
        {
            In(RivalReturnMs, local, Due.RivalReturns, 0);
        }
    }

    private void OnRivalReturns(FleetRun fleet, int local)
    {
        if (faults.Has(local, FaultKind.DuplicateId))
        {
            rivals[local].Connect(clock);
        }
    }

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
        fleet.Statistics.DownMs += lines[local].Pulse.TakeDeafMs(clock.NowMs);
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
