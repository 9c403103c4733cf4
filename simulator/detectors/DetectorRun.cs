using Agent.Hub;
using Agent.Input;
using Agent.Service;
using Agent.World;

namespace Agent.Detectors;

// The detectors of one run. The shards go ahead by a stretch of time; each shard's own detectors look at what left the hub in it, the two
// that need the whole fleet look at all shards in one order, and what they told is compared with the ground truth.

/// <summary>Scores the detectors of a scenario while its worlds run.</summary>
internal sealed class DetectorRun
{
    private const long DayMs = 86_400_000;
    private const double YearDays = 365;

    private readonly Scenario scenario;
    private readonly Shard[] shards;
    private readonly ShardView[] views;
    private readonly HeartbeatDetector?[] heartbeats;
    private readonly ConnectedDevicesDetector?[] metrics;
    private readonly List<(RaisedAlarm Alarm, int Missing)>[] fleetAlarms;
    private readonly long[] wholeFleetFalse;
    private readonly int deviceCount;
    private long nowMs;

    /// <param name="scenario">With detectors.</param>
    /// <param name="worlds">Its shards, monitored and witnessed, before their first event.</param>
    /// <exception cref="BadInputException">More devices than a detector can take.</exception>
    public DetectorRun(Scenario scenario, IReadOnlyList<VirtualWorld> worlds)
    {
        this.scenario = scenario;
        deviceCount = scenario.Fleets.Sum(fleet => fleet.Count);
        IReadOnlyList<DetectorPlan> plans = scenario.Detectors;
        if (deviceCount > DeviceTable.DevicesMax && plans.Any(plan => plan.Kind == "heartbeat"))
        {
            throw new BadInputException($"$.fleet: the heartbeat checker watches at most {DeviceTable.DevicesMax} devices");
        }

        long evidenceMaxMs = plans.Max(EvidenceMaxMs);
        shards = [.. worlds.Select(world => new Shard(scenario, world, evidenceMaxMs))];
        views = [.. shards.Select(shard => shard.View)];
        heartbeats = [.. plans.Select(plan => plan.Kind == "heartbeat" ? new HeartbeatDetector(scenario, plan.Missed) : null)];
        metrics = [.. plans.Select(plan =>
            plan.Kind == "connectedDevices" ? new ConnectedDevicesDetector(plan.Below, deviceCount) : null)];
        fleetAlarms = [.. plans.Select(_ => new List<(RaisedAlarm, int)>())];
        wholeFleetFalse = new long[plans.Count];
    }

    /// <summary>Told each outage once nothing more can be said about it, from any thread.</summary>
    public Action<int, Outage>? OnSettled
    {
        set => Array.ForEach(shards, shard => shard.Book.OnSettled = outage => value!(shard.View.GlobalOf(outage.Device), outage));
    }

    /// <summary>The outages and scores of each shard.</summary>
    public IEnumerable<OutageBook> Books => shards.Select(shard => shard.Book);

    /// <summary>One shard has reached a moment: its own detectors look. Shards may do so at the same time.</summary>
    public void AdvanceShard(int shard, long untilMs) => shards[shard].Advance(untilMs);

    /// <summary>All shards have reached a moment: the detectors of the whole fleet look, and what can be matched is.</summary>
    public void Advance(long untilMs)
    {
        for (int i = 0; i < heartbeats.Length; i++)
        {
            int detector = i;
            heartbeats[i]?.Advance(views, nowMs, untilMs, alarm =>
            {
                Shard shard = ShardOf(alarm.Device);
                shard.Book.Raise(detector, alarm with { Device = shard.View.LocalOf(alarm.Device) });
            });
            metrics[i]?.Advance(
                [.. shards.Select(shard => shard.Counter)], untilMs, (alarm, missing) => fleetAlarms[detector].Add((alarm, missing)));
        }

        nowMs = untilMs;
        foreach (Shard shard in shards)
        {
            shard.View.Witness.Clear();
        }

        MatchFleetAlarms(untilMs - (2 * OutageBook.RenewalGapMaxMs));
    }

    /// <summary>What is settled in one shard; shards may do so at the same time.</summary>
    public void SettleShard(int shard, long untilMs) => shards[shard].Book.Settle(untilMs);

    /// <summary>The run is over.</summary>
    /// <param name="endMs">Its length.</param>
    /// <param name="heartbeatCount">Heartbeats that arrived in it.</param>
    public List<DetectorResult> Finish(long endMs, long heartbeatCount)
    {
        MatchFleetAlarms(endMs);
        foreach (Shard shard in shards)
        {
            shard.Finish(endMs);
        }

        var results = new List<DetectorResult>();
        double deviceDays = (double)deviceCount * endMs / DayMs;
        for (int i = 0; i < scenario.Detectors.Count; i++)
        {
            DetectorPlan plan = scenario.Detectors[i];
            var score = new DetectorScore();
            long billed = heartbeats[i]?.EventCount ?? 0;
            foreach (Shard shard in shards)
            {
                score.Merge(shard.Book.Scores[i]);
                billed += shard.Billed(i);
            }

            DetectorUse use = UseOf(plan, billed, heartbeatCount, deviceDays);
            results.Add(new DetectorResult
            {
                Plan = plan,
                Outages = shards.Sum(shard => shard.Book.OutageCount),
                Flaps = shards.Sum(shard => shard.Book.FlapCount),
                Detected = score.Detected,
                FlapsDetected = score.FlapsDetected,
                DetectedAfterEnd = score.DetectedAfterEnd,
                FalseAlarms = score.FalseAlarms + wholeFleetFalse[i],
                DeviceYears = deviceDays / YearDays,
                Lateness = score.Lateness,
                Use = use,
                MessagesPerDeviceDay = use.MessagesPerDeviceDay + (use.MessagesPerDay / deviceCount),
                CostUsd = use.UsdPerMonth(scenario.Hub.Tier, 1000),
                CostByTierUsd = [.. HubOptions.Tiers.Where(tier => tier != "F1")
                    .Select(tier => KeyValuePair.Create(tier, use.UsdPerMonth(tier, 1000)))],
            });
        }

        return results;
    }

    /// <summary>What a detector used in a run.</summary>
    /// <param name="plan">Which.</param>
    /// <param name="billed">What it counted: see <see cref="Detector.Billed"/>.</param>
    /// <param name="heartbeats">Heartbeats of the run.</param>
    /// <param name="deviceDays">Length of the run times devices.</param>
    private static DetectorUse UseOf(DetectorPlan plan, long billed, long heartbeats, double deviceDays) => plan.Kind switch
    {
        // The service gets heartbeats and connection states as Event Grid events.
        "heartbeat" => new(heartbeats / deviceDays, EventsPerDeviceDay: (heartbeats + billed) / deviceDays),
        "eventGrid" => new(EventsPerDeviceDay: billed / deviceDays),
        "connectionsLog" => new(RecordsPerDeviceDay: billed / deviceDays, RulesUsdPerMonth: 3.00),
        "connectedDevices" => new(RulesUsdPerMonth: 0.10),
        "connectionState" => new(
            MessagesPerDay: 86_400_000.0 / ConnectionStateDetector.AskEveryMs, NeedsStandard: true),
        _ => new(
            billed / deviceDays, CommandsPerDeviceMinute: billed / deviceDays / 1440, NeedsStandard: true),
    };

    // How old the evidence of an alarm may be when it is raised, beside the detector's own patience.
    private static long EvidenceMaxMs(DetectorPlan plan) =>
        ConnectionsLogDetector.DelayMaxMs + ConnectionStateView.LagMsDefault + (plan.Kind switch
        {
            "eventGrid" or "connectionsLog" => plan.DebounceMs,
            "shortExpiry" => 2 * plan.TtlMs,
            _ => 0,
        });

    private Shard ShardOf(int globalDevice)
    {
        int index = scenario.Fleets.Count;
        int first = deviceCount;
        while (first > globalDevice)
        {
            first -= scenario.Fleets[--index].Count;
        }

        return shards[(globalDevice - first) % shards.Length];
    }

    private void MatchFleetAlarms(long untilMs)
    {
        for (int i = 0; i < fleetAlarms.Length; i++)
        {
            int detector = i;
            fleetAlarms[i].RemoveAll(one =>
            {
                if (one.Alarm.RaisedAtMs > untilMs)
                {
                    return false;
                }

                int trulyOut = shards.Sum(shard => shard.Book.OutAt(one.Alarm.UntilMs, nowMs));
                if (trulyOut * 2 < one.Missing)
                {
                    wholeFleetFalse[detector]++;
                }
                else
                {
                    Array.ForEach(shards, shard => shard.Book.MatchWholeFleet(detector, one.Alarm, nowMs));
                }

                return true;
            });
        }
    }

    private sealed class Shard
    {
        private readonly VirtualWorld world;
        private readonly Detector?[] detectors;
        private readonly bool countsConnections;

        public Shard(Scenario scenario, VirtualWorld world, long evidenceMaxMs)
        {
            this.world = world;
            FleetShard part = world.Part;
            View = new ShardView(scenario, part, world.Monitor!, world.Witness!);
            countsConnections = scenario.Detectors.Any(plan => plan.Kind == "connectedDevices");
            Counter = new ConnectionCounter(countsConnections ? part.DeviceCount : 0);
            detectors = [.. scenario.Detectors.Select(plan => Make(plan, View))];
            Book = new OutageBook(
                device => part.StartOf(part.FleetOf(device), device), part.DeviceCount, detectors.Length, evidenceMaxMs);
        }

        public ShardView View { get; }

        public OutageBook Book { get; }

        public ConnectionCounter Counter { get; }

        public long Billed(int detector) => detectors[detector]?.Billed ?? 0;

        public void Advance(long untilMs)
        {
            world.TellBeats(untilMs);
            Book.Take(View.Witness.Changes);
            if (countsConnections)
            {
                Counter.Take(View);
            }

            for (int i = 0; i < detectors.Length; i++)
            {
                int detector = i;
                detectors[i]?.Advance(View, untilMs, alarm => Book.Raise(detector, alarm));
            }
        }

        public void Finish(long endMs)
        {
            for (int i = 0; i < detectors.Length; i++)
            {
                int detector = i;
                detectors[i]?.Finish(View, endMs, alarm => Book.Raise(detector, alarm));
            }

            Book.Finish(endMs);
        }

        private static Detector? Make(DetectorPlan plan, ShardView view) => plan.Kind switch
        {
            "eventGrid" => new EventGridDetector(plan.DebounceMs, view.Part.DeviceCount),
            "connectionsLog" => new ConnectionsLogDetector(plan.DebounceMs, view.Part.DeviceCount),
            "connectionState" => new ConnectionStateDetector(view.Scenario.Hub, view.Part.DeviceCount),
            "shortExpiry" => new ShortExpiryDetector(plan.TtlMs, view),
            _ => null,
        };
    }
}
