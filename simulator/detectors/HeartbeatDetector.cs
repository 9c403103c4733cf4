using System.Globalization;
using Agent.Events;
using Agent.Service;
using Agent.World;

namespace Agent.Detectors;

// The heartbeat detector is not a model: it is the service's own checker (service/liveness), with its rules, its rhythms and its guards,
// told in virtual time what the hub would tell it: heartbeats, and Event Grid's connection states. One checker watches all devices,
// because its guards ask what share of the fleet is overdue.
//
// A heartbeat a minute is 1,440 facts a device and day, and nothing follows from nearly all of them: the checker's deadline
// is that of the latest one. So the heartbeats of a stretch of time that follow each other without a break are told once, in the
// moment of the first, with the stamp of the last. "Without a break" means closer together than the shortest deadline the checker knows
// (interval + slack): between such two it can never have looked at the device and found it late, so the alarms are the same ones, at
// the same moments (a test tells a checker every heartbeat and compares). The road not taken, every heartbeat as a fact, is sixty times the
// work for the same answer.
//
// An alarm of one device and a place among the devices of a fleet-wide alarm count alike: in both cases the operator is told that this
// device is silent, in the moment in which the checker declares it so. An alarm for a flapping device is an alarm too.

/// <summary><c>heartbeat</c>: the service's checker in virtual time.</summary>
internal sealed class HeartbeatDetector
{
    /// <summary>How often the checker looks whose time has come, ms: four times less often than in the service.</summary>
    public const long SweepEveryMs = 1000;

    private const int BatchMax = 4096;
    private const long NoPlan = -1;

    private readonly Scenario scenario;
    private readonly LivenessSettings settings;
    private readonly Checker checker;
    private readonly FactBatch batch = new();
    private readonly List<int> batchDevices = [];
    private readonly List<int> deviceOfRow = [];
    private readonly Run[] runs;
    private readonly List<int> touched = [];
    private readonly int[] fleetEnds;
    private ulong[] order = new ulong[1024];
    private Told[] told = new Told[1024];
    private int toldCount;
    private uint beatNumber;
    private long tick;

    /// <param name="scenario">What is run.</param>
    /// <param name="missed">Heartbeats in a row that must stay away.</param>
    public HeartbeatDetector(Scenario scenario, int missed)
    {
        this.scenario = scenario;
        settings = new LivenessSettings { MissedBeforeSilent = missed, DevicesMax = DeviceTable.DevicesMax };
        checker = new Checker(settings, scenario.Seed);
        checker.Start(Scenario.EpochUtcMs);
        int end = 0;
        fleetEnds = [.. scenario.Fleets.Select(fleet => end += fleet.Count)];
        runs = new Run[end];
    }

    /// <summary>The checker, for whoever wants to see more of it.</summary>
    public Checker Checker => checker;

    /// <summary>Connection states it was told: they are on its bill.</summary>
    public long EventCount { get; private set; }

    /// <summary>Lets time pass from one moment to the next and tells the alarms, devices as indices in the whole run.</summary>
    public void Advance(IReadOnlyList<ShardView> shards, long fromMs, long untilMs, Action<RaisedAlarm> raise)
    {
        toldCount = 0;
        foreach (ShardView shard in shards)
        {
            foreach (BeatRun beats in shard.Witness.Beats)
            {
                TakeBeats(shard, beats, fromMs);
            }

            foreach (MonitoredEvent one in shard.Monitor.Events)
            {
                if (one.Kind != MonitoredKind.Telemetry)
                {
                    EventCount++;
                    Tell(fromMs, new Told(one.SeenMs, one.AtMs, one.Device, NoPlan, one.Kind, one.Sequence));
                }
            }
        }

        foreach (int device in touched)
        {
            TellRun(device, fromMs);
        }

        touched.Clear();
        Array.Sort(order, told, 0, toldCount);
        Play(untilMs, raise);
    }

    private void TakeBeats(ShardView shard, in BeatRun beats, long fromMs)
    {
        FleetRun fleet = shard.Part.FleetOf(beats.Device);
        int device = shard.Part.GlobalOf(fleet, beats.Device);
        ref Run run = ref runs[device];
        long breakMs = fleet.Plan.Settings.HeartbeatEveryMs + settings.DeliverySlackMs;
        if (run.IsKnown && beats.FirstMs > run.LastMs + breakMs)
        {
            TellRun(device, fromMs);
            run.IsKnown = false;
        }

        if (!run.IsKnown)
        {
            run.IsKnown = true;
            run.FirstMs = beats.FirstMs;
            run.LastMs = beats.LastMs;
            run.PlanMs = beats.PlanMs;
        }
        else if (beats.LastMs > run.LastMs)
        {
            run.LastMs = beats.LastMs;
            run.PlanMs = beats.PlanMs;
        }
        else
        {
            return; // Told before.
        }

        run.IsNew = true;
        if (!run.IsTouched)
        {
            run.IsTouched = true;
            touched.Add(device);
        }
    }

    private void TellRun(int device, long fromMs)
    {
        ref Run run = ref runs[device];
        run.IsTouched = false;
        if (run.IsNew)
        {
            run.IsNew = false;
            Tell(fromMs, new Told(Math.Max(fromMs, run.FirstMs), run.LastMs, device, run.PlanMs, MonitoredKind.Telemetry, default));
        }
    }

    // In the order of ticks, devices, and what was told of a device: the same for any number of shards.
    private void Tell(long fromMs, in Told fact)
    {
        if (toldCount == told.Length)
        {
            Array.Resize(ref told, toldCount * 2);
            Array.Resize(ref order, toldCount * 2);
        }

        ulong ticks = (ulong)((fact.TellMs - fromMs) / SweepEveryMs);
        ulong place = fact.Kind == MonitoredKind.Telemetry ? 1UL : 0;
        order[toldCount] = (ticks << 38) | ((ulong)fact.Device << 12) | (place << 11) | (ulong)(fact.AtMs & 0x7FF);
        told[toldCount++] = fact;
    }

    private void Play(long untilMs, Action<RaisedAlarm> raise)
    {
        int next = 0;
        while ((tick + 1) * SweepEveryMs <= untilMs)
        {
            tick++;
            long nowMs = tick * SweepEveryMs;
            while (next < toldCount && told[next].TellMs <= nowMs)
            {
                Add(told[next++]);
                if (batch.Count == BatchMax)
                {
                    Apply(nowMs);
                }
            }

            Apply(nowMs);
            checker.Sweep(Scenario.EpochUtcMs + nowMs);
            Hear(nowMs, raise);
        }

        // Of the last second; the sweep comes with the next stretch.
        while (next < toldCount)
        {
            Add(told[next++]);
        }

        Apply(untilMs);
    }

    private void Add(in Told fact)
    {
        Span<byte> id = stackalloc byte[16];
        int fleet = 0;
        while (fact.Device >= fleetEnds[fleet])
        {
            fleet++;
        }

        FleetPlan plan = scenario.Fleets[fleet];
        fact.Device.TryFormat(id, out int length, "D8", CultureInfo.InvariantCulture); // Names of fleets may be alike.
        ReadOnlySpan<byte> name = id[..length];
        long utcMs = Scenario.EpochUtcMs + fact.AtMs;
        batchDevices.Add(fact.Device);
        if (fact.Kind == MonitoredKind.Telemetry)
        {
            ref Fact beat = ref batch.Add(FactKind.Heartbeat, name, utcMs);
            beat.Number = ++beatNumber;
            beat.IntervalSeconds = (int)Math.Min((plan.Settings.HeartbeatEveryMs + 999) / 1000, Hot.IntervalSecondsMax);
            beat.RenewalSeconds = fact.PlanMs == NoPlan
                ? Hot.NoRenewal
                : (int)Math.Clamp((fact.PlanMs - fact.AtMs) / 1000, 0, Hot.RenewalSecondsMax);
            return;
        }

        ref Fact link = ref batch.Add(
            fact.Kind == MonitoredKind.Connected ? FactKind.Connected : FactKind.Disconnected, name, utcMs);
        batch.SetOrder(ref link, new SequenceNumber(0, (ulong)fact.Sequence.Epoch, 2UL << 32, (ulong)fact.Sequence.Count));
    }

    private void Apply(long nowMs)
    {
        if (batch.Count == 0)
        {
            return;
        }

        checker.Apply(batch, Scenario.EpochUtcMs + nowMs);
        Span<Fact> facts = batch.Facts;
        for (int i = 0; i < facts.Length; i++)
        {
            while (deviceOfRow.Count <= facts[i].Row)
            {
                deviceOfRow.Add(0);
            }

            deviceOfRow[facts[i].Row] = batchDevices[i];
        }

        batch.Clear();
        batchDevices.Clear();
    }

    private void Hear(long nowMs, Action<RaisedAlarm> raise)
    {
        foreach (Transition transition in checker.Transitions)
        {
            if (transition.To == Status.Silent)
            {
                ref readonly Hot hot = ref checker.Table.Hot(transition.Row);
                long signMs = hot.SignMs > 0 ? hot.SignMs : checker.Table.Cold(transition.Row).LinkAt * 1000L;
                raise(new RaisedAlarm(deviceOfRow[transition.Row], signMs - Scenario.EpochUtcMs, nowMs, nowMs));
            }
        }

        foreach (Alarm alarm in checker.Alarms.Changes)
        {
            if (alarm.Kind == AlarmKind.DeviceFlapping && alarm.ClearedAtMs is null)
            {
                long sinceMs = checker.Table.Cold(alarm.Subject).Connects[Moments.Kept - 1] * 1000L;
                raise(new RaisedAlarm(deviceOfRow[alarm.Subject], sinceMs - Scenario.EpochUtcMs, nowMs, nowMs));
            }
        }

        checker.ClearTransitions();
        checker.Alarms.ClearChanges();
    }

    private readonly record struct Told(
        long TellMs, long AtMs, int Device, long PlanMs, MonitoredKind Kind, EventSequence Sequence);

    private struct Run
    {
        public long FirstMs;
        public long LastMs;
        public long PlanMs;
        public bool IsKnown;
        public bool IsNew;
        public bool IsTouched;
    }
}
