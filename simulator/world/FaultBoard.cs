using System.Runtime.CompilerServices;
using Agent.Hub;

namespace Agent.World;

// Which faults are on, and for whom? A fault is two events in a driver's queue (start, end) that change a set of bits per device;
// everything else in a driver asks those bits. All faults are put into the queue before anything else, lasting ones first, so that of
// one instant they all come before any reaction. What a fault does is the driver's business: packets that vanish in virtual time are a
// relay on the wire.

/// <summary>The faults of a scenario over one driver's devices.</summary>
public sealed class FaultBoard
{
    private const uint OffBit = 1u << 31;

    private readonly Scenario scenario;
    private readonly FleetShard part;
    private readonly uint[] bits;
    private readonly bool[] active;

    public FaultBoard(Scenario scenario, FleetShard part)
    {
        this.scenario = scenario;
        this.part = part;
        bits = scenario.Faults.Count == 0 ? [] : new uint[part.DeviceCount];
        active = new bool[scenario.Faults.Count];
    }

    /// <summary>The bit of a kind, for <see cref="Any"/>.</summary>
    public static uint Bit(FaultKind kind) => 1u << (int)kind;

    /// <summary>The bit of a device without power, for <see cref="Any"/>.</summary>
    public static uint Off => OffBit;

    /// <summary>Whether any of these bits is set for a device.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Any(int local, uint wanted) => bits.Length > 0 && (bits[local] & wanted) != 0;

    /// <summary>Whether a fault of this kind is on for a device.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Has(int local, FaultKind kind) => Any(local, Bit(kind));

    /// <summary>Whether anything at all is wrong with a device.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool IsHit(int local) => bits.Length > 0 && bits[local] != 0;

    /// <summary>Whether the device has no power.</summary>
    public bool IsOff(int local) => Any(local, OffBit);

    /// <summary>Takes a device's power, or gives it back.</summary>
    public void SetOff(int local, bool off) => bits[local] = off ? bits[local] | OffBit : bits[local] & ~OffBit;

    /// <summary>Without "for" these last to the end of the run; the others are a moment.</summary>
    public static bool StaysWithoutEnd(FaultKind kind) => kind is not (
        FaultKind.TcpDrop or FaultKind.HubFailover or FaultKind.Crash or FaultKind.DuplicateId);

    /// <summary>
    /// Why the hub ends connections when such a fault starts. A hub that becomes too slow to answer loses them without a word (404104).
    /// </summary>
    public static Reason CutReason(FaultPlan fault) => fault.Kind switch
    {
        FaultKind.HubDown => fault.Hard ? Reason.HubFailover : Reason.HubDown,
        FaultKind.Throttle => Reason.Throttled,
        FaultKind.DeviceDisabled => Reason.DeviceDisabled,
        _ => Reason.HubFailover,
    };

    /// <summary>Puts starts and ends into a queue, before anything else is in it. The event's device is the index of the fault.</summary>
    public void Plan(VirtualTime time, byte startKind, byte endKind)
    {
        // Ends before starts, so that one fault may take over from another at the same instant.
        for (int i = 0; i < scenario.Faults.Count; i++)
        {
            if (scenario.Faults[i].ForMs is { } forMs)
            {
                time.At(scenario.Faults[i].AtMs + forMs, i, endKind, 0);
            }
        }

        foreach (bool lasting in (ReadOnlySpan<bool>)[true, false])
        {
            for (int i = 0; i < scenario.Faults.Count; i++)
            {
                if (scenario.Faults[i].ForMs.HasValue == lasting)
                {
                    time.At(scenario.Faults[i].AtMs, i, startKind, 0);
                }
            }
        }
    }

    /// <summary>A fault starts or ends: tells the driver each device for which something changes by it.</summary>
    public void OnFault(int index, bool starts, Action<FaultPlan, FleetRun, int> start, Action<FaultPlan, FleetRun, int> end)
    {
        FaultPlan fault = scenario.Faults[index];
        active[index] = starts && (fault.ForMs.HasValue || StaysWithoutEnd(fault.Kind));
        foreach (FleetRun fleet in part.Fleets)
        {
            for (int local = fleet.FirstLocal; local < fleet.FirstLocal + fleet.LocalCount; local++)
            {
                if (!Covers(index, fleet, local))
                {
                    continue;
                }

                if (starts)
                {
                    bits[local] |= active[index] ? Bit(fault.Kind) : 0;
                    start(fault, fleet, local);
                }
                else if (Active(fault.Kind, fleet, local) is null)
                {
                    bits[local] &= ~Bit(fault.Kind);
                    end(fault, fleet, local);
                }
            }
        }
    }

    /// <summary>A fault's own data for a device: the newest active fault of the kind that covers it; null = there is none.</summary>
    public FaultPlan? Active(FaultKind kind, FleetRun fleet, int local)
    {
        for (int i = active.Length - 1; i >= 0; i--)
        {
            if (active[i] && scenario.Faults[i].Kind == kind && Covers(i, fleet, local))
            {
                return scenario.Faults[i];
            }
        }

        return null;
    }

    /// <summary>How far a device's clock is off, ms.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public long SkewOf(FleetRun fleet, int local) =>
        Has(local, FaultKind.ClockSkew) ? Active(FaultKind.ClockSkew, fleet, local)!.SkewMs : 0;

    /// <summary>How the hub answers a device's CONNECT while faults are on; null = it looks at it.</summary>
    public HubRefusal? RefusalOf(FleetRun fleet, int local)
    {
        if (!IsHit(local))
        {
            return null;
        }

        if (Has(local, FaultKind.HubDown))
        {
            return Active(FaultKind.HubDown, fleet, local)!.Hard
                ? new(ConnectReply.HangUp, Reason.RefusedTimedOut, LogKind.ConnectTimeout)
                : new(3, Reason.RefusedUnavailable, LogKind.ConnectServerError);
        }

        if (Has(local, FaultKind.Throttle))
        {
            return new(ConnectReply.HangUp, Reason.RefusedThrottled, LogKind.ConnectThrottled);
        }

        if (Active(FaultKind.Refuse, fleet, local) is { } refuse)
        {
            LogKind kind = refuse.Code == 3 ? LogKind.ConnectServerError : LogKind.ConnectUnauthorized;
            return new(refuse.Code, Reason.RefusedByScenario, kind);
        }

        return null;
    }

    private bool Covers(int index, FleetRun fleet, int local) =>
        FaultShare.Covers(scenario, index, fleet, part.GlobalOf(fleet, local));
}
