using Agent.Events;
using Agent.Hub;
using Agent.World;

namespace Agent.Detectors;

// Five of the six ways of noticing an outage look at each device by itself, so a shard's detector sees its shard and its answer does not
// depend on how many shards there are. Each is a small machine fed with exactly what leaves the hub for it (records, events), with the
// delays and the losses of the way; none of them sees the ground truth, except that a message to a device arrives or does not.

/// <summary>What a shard's detectors may look at.</summary>
/// <param name="Scenario">What is run.</param>
/// <param name="Part">Whose devices.</param>
/// <param name="Monitor">What left the hub since the last stretch.</param>
/// <param name="Witness">What happened since the last stretch.</param>
internal sealed record ShardView(Scenario Scenario, FleetShard Part, HubMonitor Monitor, RunWitness Witness)
{
    /// <summary>Index in the whole run of a device of the shard.</summary>
    public int GlobalOf(int local) => Part.GlobalOf(Part.FleetOf(local), local);

    /// <summary>From an index in the whole run to the shard's own.</summary>
    public int LocalOf(int global)
    {
        int index = Part.Fleets.Count - 1;
        while (Part.Fleets[index].FirstGlobal > global)
        {
            index--;
        }

        FleetRun fleet = Part.Fleets[index];
        return fleet.FirstLocal + ((global - fleet.FirstGlobal) / Part.ShardCount);
    }
}

/// <summary>A way of noticing that a device is gone.</summary>
internal abstract class Detector
{
    /// <summary>What it has cost so far, in what its bill counts: messages of the hub, events, records.</summary>
    public long Billed { get; protected set; }

    /// <summary>Takes the stretch up to a moment (exclusive) in and tells its alarms.</summary>
    public abstract void Advance(ShardView shard, long untilMs, Action<RaisedAlarm> raise);

    /// <summary>The run is over.</summary>
    public virtual void Finish(ShardView shard, long endMs, Action<RaisedAlarm> raise)
    {
    }

    /// <summary>Whether a record says that a connection began (true) or ended (false); null = an attempt that was refused.</summary>
    protected static bool? IsConnect(LogKind kind) =>
        kind == LogKind.Connect ? true : kind < LogKind.ConnectUnauthorized ? false : null;
}

/// <summary>
/// <c>eventGrid</c>: DeviceDisconnected events. The hub takes a photograph of the connections once a minute and tells what changed
/// (facts/iothub.md §4, <see cref="ConnectionStateSnapshot"/>), so an event is 0 to 60 s late, a connection that is lost and found within
/// the minute is not told, and a client that never used a messaging topic is not there at all. A link that died silently stands for
/// 1.5 × keep-alive longer. The subscriber's only filter against renewals is patience: an alarm is raised when no DeviceConnected
/// followed within <c>debounce</c>. Delivery by Event Grid itself, usually well below a second, is not added.
/// </summary>
internal sealed class EventGridDetector(long debounceMs, int deviceCount) : Detector
{
    private const long Connected = 0;

    private readonly long[] sinceMs = new long[deviceCount];
    private readonly Queue<(long DueMs, int Device, long SinceMs)> patience = new();

    /// <inheritdoc/>
    public override void Advance(ShardView shard, long untilMs, Action<RaisedAlarm> raise)
    {
        foreach (MonitoredEvent one in shard.Monitor.Events)
        {
            if (one.Kind == MonitoredKind.Telemetry)
            {
                continue;
            }

            RaiseUntil(one.SeenMs, raise);
            Billed++;
            int device = shard.LocalOf(one.Device);
            if (one.Kind == MonitoredKind.Connected)
            {
                sinceMs[device] = Connected;
            }
            else if (sinceMs[device] >= 0)
            {
                // Moments are kept plus one; the negative of one that has been told stands until the device is back.
                sinceMs[device] = one.AtMs + 1;
                patience.Enqueue((one.SeenMs + debounceMs, device, one.AtMs + 1));
            }
        }

        RaiseUntil(untilMs, raise);
    }

    // An event of the very moment at which patience ends still counts.
    private void RaiseUntil(long nowMs, Action<RaisedAlarm> raise)
    {
        while (patience.TryPeek(out var next) && next.DueMs < nowMs)
        {
            patience.Dequeue();
            if (sinceMs[next.Device] == next.SinceMs)
            {
                sinceMs[next.Device] = -next.SinceMs;
                raise(new RaisedAlarm(next.Device, next.SinceMs - 1, next.DueMs, next.DueMs));
            }
        }
    }
}

/// <summary>
/// <c>connectionsLog</c>: Azure Monitor's Connections records, asked once a minute for devices whose latest record is a disconnect older
/// than <c>debounce</c>. The vendor promises neither order nor completeness and says "minutes" (facts/iothub.md §3); its page on
/// ingestion time gives 20 s to 3 min plus 30 to 90 s for resource logs. Chosen: each record takes 1 to 5 min, drawn, and one of a
/// thousand is lost; a lost connect after a renewal is what makes this detector cry wolf.
/// </summary>
internal sealed class ConnectionsLogDetector : Detector
{
    /// <summary>A record is on its way for at least this long, ms.</summary>
    public const long DelayMinMs = 60_000;

    /// <summary>… and at most this long, ms.</summary>
    public const long DelayMaxMs = 300_000;

    /// <summary>One of so many records is lost.</summary>
    public const uint LostOneOf = 1000;

    /// <summary>How often the query runs, ms.</summary>
    public const long AskEveryMs = 60_000;

    private const int DelayStepMs = 10;
    private const byte DisconnectArrives = 0;
    private const byte ConnectArrives = 1;
    private const byte Ask = 2;
    private const ulong DrawKey = 0xC0_11EC_7105;

    private readonly long debounceMs;
    private readonly VirtualTime arrivals = new();
    private readonly uint[] draws;

    // Twice the moment of the newest record, plus one for a connect: of one moment the connect counts. Negative = told.
    private readonly long[] newest;
    private readonly bool[] isTold;

    public ConnectionsLogDetector(long debounceMs, int deviceCount)
    {
        this.debounceMs = debounceMs;
        draws = new uint[deviceCount];
        newest = new long[deviceCount];
        isTold = new bool[deviceCount];
    }

    /// <inheritdoc/>
    public override void Advance(ShardView shard, long untilMs, Action<RaisedAlarm> raise)
    {
        foreach (MonitoredRecord record in shard.Monitor.Records)
        {
            Billed++;
            if (IsConnect(record.Kind) is { } isConnect)
            {
                Send(shard, record, isConnect);
            }
        }

        while (arrivals.TryNext(untilMs - 1, out Pending next))
        {
            Arrive(next, raise);
        }
    }

    private void Send(ShardView shard, in MonitoredRecord record, bool isConnect)
    {
        int device = shard.LocalOf(record.Device);
        ulong draw = Randomness.Draw(shard.Scenario.Seed ^ DrawKey, record.Device, draws[device]++);
        if ((uint)draw % LostOneOf != 0)
        {
            long delayMs = DelayMinMs + (long)(Randomness.ToUnit(draw) * (DelayMaxMs - DelayMinMs));
            ushort steps = (ushort)(delayMs / DelayStepMs);
            arrivals.At(record.AtMs + (steps * DelayStepMs), device, isConnect ? ConnectArrives : DisconnectArrives, steps);
        }
    }

    private void Arrive(Pending next, Action<RaisedAlarm> raise)
    {
        int device = next.Device;
        if (next.Kind == Ask)
        {
            long atMs = newest[device] / 2;
            if ((newest[device] & 1) == 0 && newest[device] > 0 && !isTold[device] && atMs + debounceMs <= next.AtMs)
            {
                isTold[device] = true;
                raise(new RaisedAlarm(device, atMs, next.AtMs, next.AtMs));
            }

            return;
        }

        long writtenMs = next.AtMs - (next.Link * (long)DelayStepMs);
        long mark = (writtenMs * 2) + next.Kind;
        if (mark <= newest[device])
        {
            return; // Something newer is known.
        }

        newest[device] = mark;
        if (next.Kind == ConnectArrives)
        {
            isTold[device] = false;
            return;
        }

        long dueMs = Math.Max(next.AtMs, writtenMs + debounceMs);
        arrivals.At((dueMs + AskEveryMs - 1) / AskEveryMs * AskEveryMs, device, Ask, 0);
    }
}

/// <summary>
/// <c>connectionState</c>: the property of identity and twin, asked for by a query every ten seconds. It is up to five minutes late
/// and misses what happens between two of its moments (facts/iothub.md §5, <see cref="ConnectionStateView"/>), and "Connected" stays
/// false for as long as the hub believes in a dead link. The vendor calls it a development aid and no run-time interface.
/// </summary>
internal sealed class ConnectionStateDetector(HubOptions hub, int deviceCount) : Detector
{
    /// <summary>How often the query runs, ms: six a minute of the 20 that one S1 unit allows (facts/iothub.md §6).</summary>
    public const long AskEveryMs = 10_000;

    private readonly ConnectionStateView view = new(hub.ConnectionStateLagMs);
    private readonly VirtualTime moments = new();
    private readonly State[] states = new State[deviceCount];

    /// <inheritdoc/>
    public override void Advance(ShardView shard, long untilMs, Action<RaisedAlarm> raise)
    {
        foreach (MonitoredRecord record in shard.Monitor.Records)
        {
            if (IsConnect(record.Kind) is not { } isConnect)
            {
                continue;
            }

            ShowUntil(record.AtMs - 1, raise);
            int device = shard.LocalOf(record.Device);
            ref State state = ref states[device];
            if (state.IsConnected != isConnect)
            {
                state.IsConnected = isConnect;
                state.ChangedMs = record.AtMs;
            }

            if (!state.IsPending)
            {
                state.IsPending = true;
                long shownMs = view.NextShownUtcMs(record.Device, Scenario.EpochUtcMs + record.AtMs) - Scenario.EpochUtcMs;
                moments.At(shownMs, device, 0, 0);
            }
        }

        ShowUntil(untilMs - 1, raise);
    }

    private void ShowUntil(long nowMs, Action<RaisedAlarm> raise)
    {
        while (moments.TryNext(nowMs, out Pending next))
        {
            ref State state = ref states[next.Device];
            state.IsPending = false;
            if (state.IsShown && !state.IsConnected)
            {
                long askedMs = (next.AtMs + AskEveryMs - 1) / AskEveryMs * AskEveryMs;
                raise(new RaisedAlarm(next.Device, state.ChangedMs, askedMs, askedMs));
            }

            state.IsShown = state.IsConnected;
        }
    }

    private struct State
    {
        public long ChangedMs;
        public bool IsConnected;
        public bool IsShown;
        public bool IsPending;
    }
}

/// <summary>
/// <c>shortExpiry</c>: a message to the device with a short life and a request for an acknowledgement, one after the other. A device
/// that is reached at any moment of the message's life acknowledges it; of the others the hub says "expired" when the life is over,
/// with the next batch of feedback, every 15 s (facts/iothub.md §5). Only devices that use messages to devices (feature <c>c2d</c>) can be
/// asked; the others are this detector's blind spot, and a client that comes back without its subscription is its false alarm.
/// </summary>
internal sealed class ShortExpiryDetector : Detector
{
    /// <summary>Feedback is handed out so often, ms.</summary>
    public const long FeedbackEveryMs = 15_000;

    private const long Reached = -1;
    private const long NeverAsked = -2;
    private const uint PhaseDraw = 0x6000_0000;

    private readonly long ttlMs;
    private readonly long[] unreachedSinceMs;

    public ShortExpiryDetector(long ttlMs, ShardView shard)
    {
        this.ttlMs = ttlMs;
        unreachedSinceMs = new long[shard.Part.DeviceCount];
        for (int device = 0; device < unreachedSinceMs.Length; device++)
        {
            FleetRun fleet = shard.Part.FleetOf(device);
            bool isAsked = (fleet.Plan.Settings.Features & Fleet.Features.CloudToDevice) != 0;
            unreachedSinceMs[device] = isAsked ? shard.Part.StartOf(fleet, device) : NeverAsked;
            Billed += isAsked ? shard.Scenario.RunForMs / ttlMs : 0;
        }
    }

    /// <inheritdoc/>
    public override void Advance(ShardView shard, long untilMs, Action<RaisedAlarm> raise)
    {
        foreach (DeliveryChange change in shard.Witness.Changes)
        {
            ref long sinceMs = ref unreachedSinceMs[change.Device];
            if (change.Kind == DeliveryKind.Lost && sinceMs == Reached)
            {
                sinceMs = change.AtMs;
            }
            else if (change.Kind == DeliveryKind.Listens && sinceMs >= 0)
            {
                RaiseFirst(shard, change.Device, change.AtMs, raise);
                sinceMs = Reached;
            }
        }
    }

    /// <inheritdoc/>
    public override void Finish(ShardView shard, long endMs, Action<RaisedAlarm> raise)
    {
        for (int device = 0; device < unreachedSinceMs.Length; device++)
        {
            if (unreachedSinceMs[device] >= 0)
            {
                RaiseFirst(shard, device, endMs, raise);
            }
        }
    }

    // The first message whose whole life lay in the time in which the device was not reached.
    private void RaiseFirst(ShardView shard, int device, long untilMs, Action<RaisedAlarm> raise)
    {
        long phaseMs = (long)(Randomness.ToUnit(Randomness.Draw(shard.Scenario.Seed, shard.GlobalOf(device), PhaseDraw)) * ttlMs);
        long sinceMs = unreachedSinceMs[device];
        long sentMs = phaseMs + ((Math.Max(0, sinceMs - phaseMs) + ttlMs - 1) / ttlMs * ttlMs);
        long expiredMs = sentMs + ttlMs;
        if (expiredMs <= untilMs)
        {
            long toldMs = (expiredMs + FeedbackEveryMs - 1) / FeedbackEveryMs * FeedbackEveryMs;
            raise(new RaisedAlarm(device, sentMs, expiredMs, toldMs));
        }
    }
}
