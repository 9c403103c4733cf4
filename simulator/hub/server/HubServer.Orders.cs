using Agent.Input;
using Agent.Wire;

namespace Agent.Hub;

// Faults on demand: HubFaults knows when, here is what is done then. A step and its effects are carried out one at a time, so that
// the end of a fault cannot overtake its beginning. Nothing of it goes into the journal: a hub that is started anew has no faults,
// and the keys and switches its data folder says.
public sealed partial class HubServer
{
    private readonly Lock orderGate = new();
    private readonly HubFaults faults = new();
    private readonly ITimer faultTimer;

    // What a fault changed, to be put back when it ends. Under the order gate.
    private readonly HashSet<int> disabledByFault = [];
    private readonly Dictionary<int, (byte[] Before, byte[] During)> rotatedByFault = [];

    /// <summary>Faults that wait or are active.</summary>
    public IReadOnlyList<HubFault> Faults => faults.List();

    /// <summary>
    /// Orders a fault and carries out its beginning. 400004 naming the place of a device there is not, 429001 when too many are
    /// there already.
    /// </summary>
    public HubAnswer<HubFault> OrderFault(HubFaultOrder order)
    {
        if (!TryResolve(order, out int[]? devices, out HubError? error))
        {
            return error!;
        }

        if (faults.Order(time.NowMs(), order, devices) is not { } fault)
        {
            return HubError.Throttled($"At most {HubFaults.OrderedMax} faults at once; end some first.");
        }

        RunFaults();
        return fault;
    }

    /// <summary>Ends a fault; false = there is none of this number.</summary>
    public bool EndFault(int id)
    {
        bool isKnown = faults.End(time.NowMs(), id);
        RunFaults();
        return isKnown;
    }

    /// <summary>When a moment of the hub's monotonic clock is or was, ms since 1970.</summary>
    public long UtcMsOf(long monotonicMs) => UtcMs() + monotonicMs - time.NowMs();

    /// <summary>Whether what this session sends is kept from the hub.</summary>
    internal bool IsDeafTo(ServerSession session) => session.Tag is HubConnection connection
        && (connection.IsIgnored
            || (faults.IsAny && connection.Device is { } device && faults.EffectOn(device.Index).IsSilent));

    private void OnFaultRequest(Device device, in FaultRequest request)
    {
        if (faults.Request(time.NowMs(), device.Index, request) is not null)
        {
            lines.Write($"{device.FullId} asks for a fault: {request.Fault} in {request.DelayMs} ms for {request.DurationMs} ms");
            RunFaults();
        }
    }

    private bool TryResolve(HubFaultOrder order, out int[]? devices, out HubError? error)
    {
        error = null;
        devices = null;
        if (order.Share is { } share)
        {
            int[] all = [.. Registry.Devices.Where(device => !device.IsDeleted).Select(device => device.Index)];
            devices = HubFaultOrder.Draw(all, share, order.Seed);
        }
        else if (order.Devices is { } ids)
        {
            devices = new int[ids.Count];
            for (int i = 0; i < ids.Count; i++)
            {
                string[] parts = ids[i].Split('/', 2);
                if (!Registry.TryFind(parts[0], parts.Length > 1 ? parts[1] : null, out Device? device))
                {
                    error = HubError.ArgumentInvalid($"$.devices[{i}]: there is no device \"{JsonReading.Clip(ids[i])}\"");
                    return false;
                }

                devices[i] = device.Index;
            }

            devices = [.. devices.Distinct()];
        }

        return true;
    }

    private void RunFaults()
    {
        lock (orderGate)
        {
            while (!stopping && faults.TryTakeStep(time.NowMs(), out FaultStep step))
            {
                Carry(step);
            }

            long nextMs = faults.NextWakeMs;
            if (!stopping)
            {
                faultTimer.Change(
                    nextMs == long.MaxValue
                        ? Timeout.InfiniteTimeSpan
                        : TimeSpan.FromMilliseconds(Math.Max(0, nextMs - time.NowMs()) + 1),
                    Timeout.InfiniteTimeSpan);
            }
        }
    }

    private void Carry(in FaultStep step)
    {
        HubFault fault = step.Fault;
        string whom = fault.Devices is { } some ? $"{some.Length} devices" : "all devices";
        lines.Write($"fault {fault.Id} {(step.Begins ? "begins" : "ends")}: {fault.Order.Kind.Name()} for {whom}");

        // By number, not by enumerating: identities may be added meanwhile.
        int count = fault.Devices?.Length ?? Registry.Devices.Count;
        for (int i = 0; i < count; i++)
        {
            Device device = DeviceAt(fault.Devices?[i] ?? i);
            if (device.IsDeleted)
            {
                continue;
            }

            if (step.Begins)
            {
                Begin(fault, device);
            }
            else
            {
                End(fault.Order.Kind, device);
            }
        }
    }

    private void Begin(HubFault fault, Device device)
    {
        switch (fault.Order.Kind)
        {
            case HubFaultKind.TcpDrop:
                Drop(device, fault.Order.Reset);
                break;
            case HubFaultKind.HubFailover:
                Cut(device, Reason.HubFailover);
                break;
            case HubFaultKind.GraceOver:
                EndGrace(device);
                break;
            case HubFaultKind.SilentHub:
                SetDeaf(device, true);
                break;
            case HubFaultKind.Throttle:
                Cut(device, Reason.Throttled);
                break;
            case HubFaultKind.Refuse when fault.IsRequested:
                Cut(device, Reason.KeyRotated);
                break;
            case HubFaultKind.QuotaExceeded when fault.IsRequested:
                Cut(device, Reason.QuotaExceeded);
                break;
            case HubFaultKind.DeviceDisabled:
                Disable(device);
                break;
            case HubFaultKind.KeyRotated:
                RotateKey(device);
                break;
            case HubFaultKind.Refuse or HubFaultKind.QuotaExceeded or HubFaultKind.AckDelay:
                break; // Looked up when something arrives.
        }
    }

    private void End(HubFaultKind kind, Device device)
    {
        if (faults.IsActive(device.Index, kind))
        {
            return; // Another fault of the kind is still on.
        }

        switch (kind)
        {
            case HubFaultKind.SilentHub:
                SetDeaf(device, false);
                break;
            case HubFaultKind.DeviceDisabled when disabledByFault.Remove(device.Index):
                lock (registryGate)
                {
                    Enable(device, true);
                }

                break;
            case HubFaultKind.KeyRotated when rotatedByFault.Remove(device.Index, out (byte[] Before, byte[] During) keys)
                && ReferenceEquals(device.PrimaryKey, keys.During):
                device.PrimaryKey = keys.Before;
                break;
        }
    }

    private void EndGrace(Device device)
    {
        lock (gate)
        {
            if (holders[device.Index] is not null)
            {
                hub.EndGrace(time.NowMs(), device.Index);
                deadlines.Arm(device.Index, time.NowMs());
            }
        }
    }

    private void Disable(Device device)
    {
        bool wasEnabled;
        lock (registryGate)
        {
            wasEnabled = device.IsEnabled;
            if (wasEnabled)
            {
                Enable(device, false);
            }
        }

        if (wasEnabled)
        {
            disabledByFault.Add(device.Index);
            CutAll(device, Reason.DeviceDisabled);
        }
    }

    private void RotateKey(Device device)
    {
        if (device.PrimaryKey.Length > 0 && !rotatedByFault.ContainsKey(device.Index))
        {
            byte[] key = Registry.NewKey();
            rotatedByFault.Add(device.Index, (device.PrimaryKey, key));
            device.PrimaryKey = key;
        }
    }

    /// <summary>
    /// Silent: keep-alive and expiry rest, and nothing is sent. Afterwards the connection that has lived through it goes on.
    /// </summary>
    private void SetDeaf(Device device, bool isDeaf)
    {
        SetResting(device, isDeaf);
        HubConnection? holder;
        lock (gate)
        {
            holder = holders[device.Index];
            if (isDeaf && holder is not null)
            {
                holder.IsAnswered = false;
                SetListener(device, null, 0);
            }
        }

        if (!isDeaf && holder is not null)
        {
            Resume(holder, device);
        }
    }
}
