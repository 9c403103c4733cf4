using System.Runtime.InteropServices;
using Agent.Fleet;
using Agent.Hub;

namespace Agent.World;

// Disturbances. A fault is two events of its own (start, end) that change a set of bits per device; everything else in the
// world asks those bits. All faults are put into the queue before anything else, lasting ones first, so that of one instant
// they all come before any reaction. Which devices a share hits is a permutation drawn from the seed: exactly that many.
public sealed partial class VirtualWorld
{
    // A second device with the same identity that comes back a second after it was thrown out.
    private const long RivalReturnMs = 1000;
    private const int RivalLink = 0x10000;
    private const uint OffBit = 1u << 31;

    private uint[] faultBits = [];
    private bool[] activeFaults = [];

    private bool IsOff(int local) => Any(local, OffBit);

    private bool Hangs(int local) => HasFault(local, FaultKind.Hang);

    private bool Delivers(int local) =>
        !Any(local, OffBit | Bit(FaultKind.NetworkDown) | Bit(FaultKind.SilentHub) | Bit(FaultKind.Hang));

    // A packet that is under way gets there whatever becomes of the device that sent it.
    private bool Arrives(int local) => !Any(local, Bit(FaultKind.NetworkDown) | Bit(FaultKind.SilentHub));

    private bool IsImpaired(int local) => Any(
        local, Bit(FaultKind.NetworkDown) | Bit(FaultKind.SilentHub) | Bit(FaultKind.Hang) | Bit(FaultKind.QuotaExceeded));

    private bool IsKeyGood(int local) => !HasFault(local, FaultKind.KeyRotated);

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

        // Ends before starts, so that one fault may take over from another at the same instant.
        for (int i = 0; i < scenario.Faults.Count; i++)
        {
            FaultPlan fault = scenario.Faults[i];
            if (fault.ForMs is { } forMs)
            {
                time.At(fault.AtMs + forMs, i, (byte)EventKind.FaultEnd, 0);
            }
        }

        foreach (bool lasting in (ReadOnlySpan<bool>)[true, false])
        {
            for (int i = 0; i < scenario.Faults.Count; i++)
            {
                if (scenario.Faults[i].ForMs.HasValue == lasting)
                {
                    time.At(scenario.Faults[i].AtMs, i, (byte)EventKind.FaultStart, 0);
                }
            }
        }
    }

    private void OnFault(int index, bool starts)
    {
        FaultPlan fault = scenario.Faults[index];
        bool lasting = fault.ForMs.HasValue;
        activeFaults[index] = starts && (lasting || StaysWithoutEnd(fault.Kind));
        foreach (FleetRun fleet in Fleets)
        {
            if (fault.Fleet is not null && fault.Fleet != fleet.Plan.Name)
            {
                continue;
            }

            for (int local = fleet.FirstLocal; local < fleet.FirstLocal + fleet.LocalCount; local++)
            {
                if (!Covers(index, fleet, local))
                {
                    continue;
                }

                if (starts)
                {
                    if (activeFaults[index])
                    {
                        faultBits[local] |= Bit(fault.Kind);
                    }

                    StartFault(fault, fleet, local);
                }
                else if (!StillCovered(fault.Kind, fleet, local))
                {
                    faultBits[local] &= ~Bit(fault.Kind);
                    EndFault(fault, fleet, local);
                }
            }
        }
    }

    // Without "for" these last to the end of the run; the others are a moment.
    private static bool StaysWithoutEnd(FaultKind kind) => kind is not (
        FaultKind.TcpDrop or FaultKind.HubFailover or FaultKind.Crash or FaultKind.DuplicateId);

    private bool StillCovered(FaultKind kind, FleetRun fleet, int local)
    {
        for (int i = 0; i < activeFaults.Length; i++)
        {
            FaultPlan other = scenario.Faults[i];
            if (activeFaults[i] && other.Kind == kind &&
                (other.Fleet is null || other.Fleet == fleet.Plan.Name) && Covers(i, fleet, local))
            {
                return true;
            }
        }

        return false;
    }

    // A fault's own data for a device: the newest active fault of the kind that covers it.
    private FaultPlan? ActiveFault(FaultKind kind, int local)
    {
        FleetRun fleet = FleetOf(local);
        for (int i = activeFaults.Length - 1; i >= 0; i--)
        {
            FaultPlan fault = scenario.Faults[i];
            if (activeFaults[i] && fault.Kind == kind &&
                (fault.Fleet is null || fault.Fleet == fleet.Plan.Name) && Covers(i, fleet, local))
            {
                return fault;
            }
        }

        return null;
    }

    private bool Covers(int index, FleetRun fleet, int local) =>
        FaultShare.Covers(scenario, index, fleet, fleet.GlobalIndex(local, shard, shardCount));

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
                CutByHub(fleet, local, ref device, fault.Hard ? Reason.HubFailover : Reason.HubDown);
                break;
            case FaultKind.HubFailover:
                CutByHub(fleet, local, ref device, Reason.HubFailover);
                break;
            case FaultKind.Throttle:
                CutByHub(fleet, local, ref device, Reason.Throttled);
                break;
            case FaultKind.DeviceDisabled:
                hub.SetEnabled(local, false);
                CutByHub(fleet, local, ref device, Reason.DeviceDisabled);
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
            case FaultKind.DeviceDisabled:
                hub.SetEnabled(local, true);
                break;
            case FaultKind.DuplicateId:
                hub.OnDisconnect(time.NowMs, local, RivalLink);
                break;
            case FaultKind.Crash:
                faultBits[local] &= ~OffBit;
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
        for (int timer = 0; timer < HubTimer; timer++)
        {
            device.ClearTimer(timer);
        }

        device.Link++; // What was in flight to the device finds nobody.
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
        if (HasFault(local, FaultKind.DuplicateId))
        {
            Push(RivalReturnMs, local, EventKind.RivalConnects, device.Link);
        }
    }

    private bool TryRefuseByFault(int local, out ConnectReply reply)
    {
        reply = default;
        if (faultBits.Length == 0 || faultBits[local] == 0)
        {
            return false;
        }

        if (HasFault(local, FaultKind.HubDown))
        {
            reply = hub.Refuse(time.NowMs, local, Reason.RefusedUnavailable, 3, LogKind.ConnectServerError);
            return true;
        }

        if (HasFault(local, FaultKind.Throttle))
        {
            reply = hub.Refuse(
                time.NowMs, local, Reason.RefusedThrottled, ConnectReply.HangUp, LogKind.ConnectThrottled);
            return true;
        }

        if (ActiveFault(FaultKind.Refuse, local) is { } refuse)
        {
            LogKind kind = refuse.Code == 3 ? LogKind.ConnectServerError : LogKind.ConnectUnauthorized;
            reply = hub.Refuse(time.NowMs, local, Reason.RefusedByScenario, refuse.Code, kind);
            return true;
        }

        return false;
    }

    private bool TryFailDial(FleetRun fleet, int local, ref ClientState device, long waitMs)
    {
        if (faultBits.Length == 0 || faultBits[local] == 0)
        {
            return false;
        }

        int roundTripMs = upMs + downMs;
        if (HasFault(local, FaultKind.TlsMemory))
        {
            Push(roundTripMs, local, EventKind.DialFailedTls, device.Link);
        }
        else if (HasFault(local, FaultKind.DnsFail))
        {
            Push(roundTripMs, local, EventKind.DialFailedDns, device.Link);
        }
        else if (HasFault(local, FaultKind.NetworkDown) || ActiveFault(FaultKind.PortBlocked, local) is { Hard: true })
        {
            Push(Math.Min(waitMs, fleet.Model.TcpWaitMs), local, EventKind.DialFailedTimedOut, device.Link);
        }
        else if (HasFault(local, FaultKind.PortBlocked))
        {
            Push(roundTripMs, local, EventKind.DialFailedRefused, device.Link);
        }
        else if (HasFault(local, FaultKind.SilentHub))
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
        if (ActiveFault(FaultKind.SilentHub, local) is not { } fault)
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

        if (ActiveFault(FaultKind.Hang, local) is { ForMs: { } forMs } fault)
        {
            long goesOnMs = fault.AtMs + forMs;
            device.SetTimer(timer, goesOnMs);
            time.At(goesOnMs, local, (byte)((int)EventKind.Timer0 + timer), 0);
        }

        return true;
    }

    private long SkewOf(int local) =>
        HasFault(local, FaultKind.ClockSkew) ? ActiveFault(FaultKind.ClockSkew, local)!.SkewMs : 0;
}
