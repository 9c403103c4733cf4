using System.Collections.Concurrent;

namespace Agent.Hub;

/// <summary>A fault that waits for its moment or is active.</summary>
/// <param name="Id">Its number, from 1, never used again.</param>
/// <param name="Order">What was ordered.</param>
/// <param name="Devices">Indexes; null = all devices, also those made later.</param>
/// <param name="FromMs">When it begins, on the hub's monotonic clock.</param>
/// <param name="UntilMs">When it ends; null = when it is ended, or a moment.</param>
/// <param name="IsRequested">Whether a device's own message asked for it.</param>
public sealed record HubFault(int Id, HubFaultOrder Order, int[]? Devices, long FromMs, long? UntilMs, bool IsRequested)
{
    /// <summary>Whether it covers a device.</summary>
    public bool Covers(int device) => Devices is null || Devices.AsSpan().Contains(device);
}

/// <summary>What the faults of the moment do to one device, all of them together.</summary>
/// <param name="IsSilent">What it sends is neither heard nor answered.</param>
/// <param name="RefusalCode">CONNACK code for its attempts, of the fault that began last; 0 = none.</param>
/// <param name="IsThrottled">Its attempts are hung up on.</param>
/// <param name="IsQuotaGone">A message costs it its connection.</param>
/// <param name="AckDelayMs">How late its messages are acknowledged; of several faults the longest.</param>
public readonly record struct FaultEffect(bool IsSilent, byte RefusalCode, bool IsThrottled, bool IsQuotaGone, long AckDelayMs);

/// <summary>Something the driver carries out now: the fault begins, or it ends.</summary>
public readonly record struct FaultStep(HubFault Fault, bool Begins);

/// <summary>The faults ordered of a hub: when they begin and end, and what they do to a device meanwhile.</summary>
/// <remarks>
/// Told the time; <see cref="TryTakeStep"/> hands out what is due, earliest first, and of one moment the ends before the
/// beginnings. What lasts and only changes answers (silence, refusals, delays) is looked up with <see cref="EffectOn"/>, without a
/// lock and for the price of one read while nothing is active; what changes something (drops, disabling, keys) is done by the
/// driver at the step. A device finds its faults by its number, so a fault for a million devices costs a million small entries
/// while it lasts and nothing per packet of anybody else.
/// </remarks>
public sealed class HubFaults
{
    /// <summary>Faults that services may have waiting or active at once.</summary>
    public const int OrderedMax = 256;

    private readonly Lock gate = new();
    private readonly SortedDictionary<int, HubFault> faults = [];
    private readonly HashSet<int> active = [];
    private readonly HashSet<int> requesters = [];
    private readonly PriorityQueue<(int Id, bool Begins), (long Ms, int Sequence)> due = new();
    private readonly ConcurrentDictionary<int, HubFault[]> byDevice = [];
    private volatile HubFault[] forAll = [];
    private volatile int activeCount;
    private int lastId;
    private int lastSequence;

    /// <summary>Whether any fault is active: asked for every packet.</summary>
    public bool IsAny => activeCount > 0;

    /// <summary>When <see cref="TryTakeStep"/> will have something to say; long.MaxValue = never.</summary>
    public long NextWakeMs
    {
        get
        {
            lock (gate)
            {
                return due.TryPeek(out _, out (long Ms, int Sequence) key) ? key.Ms : long.MaxValue;
            }
        }
    }

    /// <summary>All that wait or are active, oldest first.</summary>
    public IReadOnlyList<HubFault> List()
    {
        lock (gate)
        {
            return [.. faults.Values];
        }
    }

    /// <summary>Orders a fault that begins now; null = <see cref="OrderedMax"/> are there already.</summary>
    public HubFault? Order(long nowMs, HubFaultOrder order, int[]? devices)
    {
        lock (gate)
        {
            return faults.Count - requesters.Count >= OrderedMax ? null
                : Add(new HubFault(++lastId, order, devices, nowMs, nowMs + order.ForMs, IsRequested: false));
        }
    }

    /// <summary>
    /// Orders what a device's own message asks for; null = it has asked before and that is not over. A client repeats such a message
    /// for ever, because nobody acknowledges it (facts/iothub.md §1.7), and must not pile up faults.
    /// </summary>
    public HubFault? Request(long nowMs, int device, in FaultRequest request)
    {
        HubFaultKind kind = request.Fault switch
        {
            RequestedFault.KillTcp or RequestedFault.ShutDownMqtt => HubFaultKind.TcpDrop,
            RequestedFault.InvokeThrottling => HubFaultKind.Throttle,
            RequestedFault.InvokeMaxMessageQuota => HubFaultKind.QuotaExceeded,
            _ => HubFaultKind.Refuse,
        };
        long? forMs = kind.IsMoment() ? null : request.DurationMs;
        var order = new HubFaultOrder { Kind = kind, ForMs = forMs, Reset = request.Fault == RequestedFault.KillTcp };
        long fromMs = nowMs + request.DelayMs;
        lock (gate)
        {
            return requesters.Add(device)
                ? Add(new HubFault(++lastId, order, [device], fromMs, fromMs + forMs, IsRequested: true))
                : null;
        }
    }

    /// <summary>Ends a fault: one that is active has its step at once, one that waits never begins. False = no such number.</summary>
    public bool End(long nowMs, int id)
    {
        lock (gate)
        {
            if (!faults.TryGetValue(id, out HubFault? fault))
            {
                return false;
            }

            if (active.Contains(id))
            {
                Schedule(id, nowMs, begins: false);
            }
            else
            {
                Forget(fault);
            }

            return true;
        }
    }

    /// <summary>The next step that is due; false = none. Call until false, then see <see cref="NextWakeMs"/>.</summary>
    public bool TryTakeStep(long nowMs, out FaultStep step)
    {
        lock (gate)
        {
            while (due.TryPeek(out (int Id, bool Begins) next, out (long Ms, int Sequence) key) && key.Ms <= nowMs)
            {
                due.Dequeue();
                if (!faults.TryGetValue(next.Id, out HubFault? fault))
                {
                    continue; // Ended by hand before its time.
                }

                if (next.Begins)
                {
                    Begin(fault);
                }
                else
                {
                    Forget(fault);
                }

                step = new FaultStep(fault, next.Begins);
                return true;
            }

            step = default;
            return false;
        }
    }

    /// <summary>What all active faults do to a device. Safe from any thread, no lock.</summary>
    public FaultEffect EffectOn(int device)
    {
        if (!IsAny)
        {
            return default;
        }

        FaultEffect effect = Combine(default, forAll);
        return byDevice.TryGetValue(device, out HubFault[]? own) ? Combine(effect, own) : effect;
    }

    /// <summary>Whether a fault of this kind is active for the device.</summary>
    public bool IsActive(int device, HubFaultKind kind)
    {
        lock (gate)
        {
            return active.Any(id => faults[id].Order.Kind == kind && faults[id].Covers(device));
        }
    }

    private static FaultEffect Combine(FaultEffect effect, HubFault[] more)
    {
        foreach (HubFault fault in more)
        {
            effect = fault.Order.Kind switch
            {
                HubFaultKind.SilentHub => effect with { IsSilent = true },
                HubFaultKind.Refuse => effect with { RefusalCode = fault.Order.Code },
                HubFaultKind.Throttle => effect with { IsThrottled = true },
                HubFaultKind.QuotaExceeded => effect with { IsQuotaGone = true },
                HubFaultKind.AckDelay => effect with { AckDelayMs = Math.Max(effect.AckDelayMs, fault.Order.ByMs) },
                _ => effect,
            };
        }

        return effect;
    }

    private HubFault Add(HubFault fault)
    {
        faults.Add(fault.Id, fault);
        Schedule(fault.Id, fault.FromMs, begins: true);
        return fault;
    }

    private void Schedule(int id, long ms, bool begins) => due.Enqueue((id, begins), (ms, begins ? ++lastSequence : 0));

    private void Begin(HubFault fault)
    {
        if (fault.Order.Kind.IsMoment())
        {
            Forget(fault);
            return;
        }

        active.Add(fault.Id);
        if (fault.Devices is null)
        {
            forAll = [.. forAll, fault];
        }

        foreach (int device in fault.Devices ?? [])
        {
            byDevice[device] = byDevice.TryGetValue(device, out HubFault[]? own) ? [.. own, fault] : [fault];
        }

        activeCount = active.Count;
        if (fault.UntilMs is { } untilMs)
        {
            Schedule(fault.Id, untilMs, begins: false);
        }
    }

    private void Forget(HubFault fault)
    {
        faults.Remove(fault.Id);
        if (fault.IsRequested)
        {
            requesters.Remove(fault.Devices![0]);
        }

        if (!active.Remove(fault.Id))
        {
            return;
        }

        forAll = [.. forAll.Where(other => other.Id != fault.Id)];
        foreach (int device in fault.Devices ?? [])
        {
            HubFault[] left = [.. byDevice[device].Where(other => other.Id != fault.Id)];
            _ = left.Length == 0 ? byDevice.TryRemove(device, out _) : (byDevice[device] = left) is not null;
        }

        activeCount = active.Count;
    }
}
