using Agent.Hub;
using Agent.World;

namespace Agent.Events;

// What would an operator have seen of this run? Two things leave a hub while it works: Connections records, and Event Grid events. The
// first are written by the hub machine; of the second, connection states come from a photograph a minute (ConnectionStateSnapshot), and
// messages as they arrive. A run in virtual time has no packet for the message of a healthy device, it counts them when the connection
// ends. So the world promises them instead: "from this moment on, one every so often", and the promises have a queue of their own here,
// which moves with the moments of what is told. It costs the run nothing when nobody listens.
//
// A subscription of the device-bound topic and a PUBLISH of telemetry that the hub accepts make a connection visible; subscriptions
// to twin and methods do not, they are not messaging topics (facts/iothub.md section 4; the page leaves "appropriate" open). Identities
// exist before a run begins, so there is no DeviceCreated.

/// <summary>One Connections record of a run.</summary>
/// <param name="AtMs">Moment, ms since the start.</param>
/// <param name="Device">Index in the whole run.</param>
/// <param name="Kind">Which.</param>
public readonly record struct MonitoredRecord(long AtMs, int Device, LogKind Kind);

/// <summary>Event Grid events a run can have.</summary>
public enum MonitoredKind : byte
{
    Disconnected,
    Connected,
    Telemetry,
}

/// <summary>One Event Grid event of a run.</summary>
/// <param name="SeenMs">When the hub publishes it: of states, the moment of the snapshot. Ms since the start.</param>
/// <param name="AtMs">When it happened: the event's own time.</param>
/// <param name="Device">Index in the whole run.</param>
/// <param name="Kind">Which.</param>
/// <param name="Sequence">Of states: the order mark.</param>
public readonly record struct MonitoredEvent(long SeenMs, long AtMs, int Device, MonitoredKind Kind, EventSequence Sequence);

/// <summary>Watches one hub machine. Told what happens in the order of time; one thread at a time.</summary>
public sealed class HubMonitor
{
    private const long None = -1;

    private readonly long startUtcMs;
    private readonly bool telemetry;
    private readonly Func<int, int>? globalOf;
    private readonly ConnectionStateSnapshot snapshot;
    private readonly VirtualTime promised = new();
    private readonly Grid[] grids;

    /// <param name="startUtcMs">Moment 0, ms since 1970.</param>
    /// <param name="deviceCount">Devices this hub machine knows.</param>
    /// <param name="telemetry">Whether each message is an event too.</param>
    /// <param name="globalOf">From the machine's index of a device to the one in the whole run; null = the same.</param>
    public HubMonitor(long startUtcMs, int deviceCount, bool telemetry = false, Func<int, int>? globalOf = null)
    {
        this.startUtcMs = startUtcMs;
        this.telemetry = telemetry;
        this.globalOf = globalOf;
        snapshot = new ConnectionStateSnapshot(startUtcMs, deviceCount);
        grids = new Grid[deviceCount];
        Array.Fill(grids, new Grid { NextMs = None });
    }

    /// <summary>Records since the last <see cref="Clear"/>, in the order of time.</summary>
    public List<MonitoredRecord> Records { get; } = [];

    /// <summary>Events since the last <see cref="Clear"/>, in the order of <see cref="MonitoredEvent.SeenMs"/>.</summary>
    public List<MonitoredEvent> Events { get; } = [];

    /// <summary>Records seen so far, kept or not.</summary>
    public long RecordCount { get; private set; }

    /// <summary>Events seen so far, kept or not.</summary>
    public long EventCount { get; private set; }

    /// <summary>Whether records are kept or only counted.</summary>
    public bool KeepsRecords { get; set; } = true;

    /// <summary>Whether events are kept or only counted.</summary>
    public bool KeepsEvents { get; set; } = true;

    private long NextSnapshotMs => snapshot.NextMs - startUtcMs;

    /// <summary>The hub wrote a record.</summary>
    public void OnRecord(long nowMs, int device, LogKind kind)
    {
        AdvanceTo(nowMs);
        RecordCount++;
        if (KeepsRecords)
        {
            Records.Add(new MonitoredRecord(nowMs, GlobalOf(device), kind));
        }

        if (kind == LogKind.Connect)
        {
            grids[device].NextMs = None;
            snapshot.OnConnect(startUtcMs + nowMs, device);
        }
        else if (kind < LogKind.ConnectUnauthorized)
        {
            grids[device].NextMs = None;
            snapshot.OnDisconnect(startUtcMs + nowMs, device);
        }
    }

    /// <summary>The device subscribed to its messages, or a message of it was accepted.</summary>
    public void OnMessaging(long nowMs, int device)
    {
        AdvanceTo(nowMs);
        snapshot.OnMessaging(startUtcMs + nowMs, device);
    }

    /// <summary>A message of the device arrived and was accepted.</summary>
    public void OnTelemetry(long nowMs, int device)
    {
        OnMessaging(nowMs, device);
        if (telemetry)
        {
            Add(new MonitoredEvent(nowMs, nowMs, GlobalOf(device), MonitoredKind.Telemetry, default));
        }
    }

    /// <summary>
    /// As long as the device's connection stands and nothing is withdrawn, a message arrives at <paramref name="firstMs"/> and then
    /// one every <paramref name="everyMs"/>.
    /// </summary>
    public void Promise(int device, long firstMs, long everyMs)
    {
        grids[device] = new Grid { NextMs = firstMs, EveryMs = everyMs };
        promised.At(firstMs, device, 0, 0);
    }

    /// <summary>
    /// Nothing is promised any more of this device from <paramref name="fromMs"/> on: its messages will be told one by one, or its
    /// connection is over. At most 1 ms after now.
    /// </summary>
    public void Withdraw(int device, long fromMs)
    {
        AdvanceTo(fromMs - 1);
        ref Grid grid = ref grids[device];
        while (grid.NextMs != None && grid.NextMs < fromMs)
        {
            Keep(device, ref grid);
        }

        grid.NextMs = None;
    }

    /// <summary>
    /// Takes every promise that is due before this moment and every snapshot that is due by then: what is told of a moment comes before
    /// what is promised for it, so that other devices' records do not matter to the order.
    /// </summary>
    public void AdvanceTo(long nowMs)
    {
        while (true)
        {
            long untilMs = Math.Min(nowMs, NextSnapshotMs) - 1;
            while (promised.TryNext(untilMs, out Pending next))
            {
                ref Grid grid = ref grids[next.Device];
                if (grid.NextMs == next.AtMs)
                {
                    Keep(next.Device, ref grid);
                }
            }

            if (nowMs < NextSnapshotMs)
            {
                return;
            }

            TakeSnapshot();
        }
    }

    /// <summary>Forgets what has been read.</summary>
    public void Clear()
    {
        Records.Clear();
        Events.Clear();
    }

    private void Keep(int device, ref Grid grid)
    {
        long atMs = grid.NextMs;
        snapshot.OnMessaging(startUtcMs + atMs, device);
        if (!telemetry)
        {
            grid.NextMs = None;
            return;
        }

        Add(new MonitoredEvent(atMs, atMs, GlobalOf(device), MonitoredKind.Telemetry, default));
        grid.NextMs += grid.EveryMs;
        promised.At(grid.NextMs, device, 0, 0);
    }

    private void TakeSnapshot()
    {
        long seenMs = NextSnapshotMs;
        while (snapshot.TryTake(startUtcMs + seenMs, out ConnectionStateChange change))
        {
            Add(new MonitoredEvent(
                seenMs, change.AtUtcMs - startUtcMs, GlobalOf(change.Device),
                change.IsConnected ? MonitoredKind.Connected : MonitoredKind.Disconnected, change.Sequence));
        }
    }

    private void Add(in MonitoredEvent one)
    {
        EventCount++;
        if (KeepsEvents)
        {
            Events.Add(one);
        }
    }

    private int GlobalOf(int device) => globalOf?.Invoke(device) ?? device;

    private struct Grid
    {
        public long NextMs;
        public long EveryMs;
    }
}
