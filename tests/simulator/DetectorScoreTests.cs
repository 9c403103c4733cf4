using System.Text;
using System.Text.Json;
using Agent.Cli;
using Agent.Detectors;
using Agent.Input;
using Agent.World;

namespace Agent.Tests.Simulator;

/// <summary>The score as a whole: what an outage is, who wins, and that it depends on the scenario and the seed alone.</summary>
public sealed class DetectorScoreTests
{
    private static readonly string[] Kinds = [.. ScenarioReader.DetectorKindNames];

    public static TheoryData<int> Seeds() => [.. Enumerable.Range(1, 16)];

    [Fact]
    public void Ten_thousand_device_days_of_mixed_SDKs_are_no_alarm_for_the_checker()
    {
        Scenario scenario = Read(
            """
            { "runFor": "50.00:00:00", "seed": 5, "fleet": [
              { "sdk": "dotnet", "count": 35, "heartbeatEvery": "00:01:00", "startSpread": "02:00:00", "features": ["c2d"] },
              { "sdk": "java", "count": 35, "heartbeatEvery": "00:01:00", "startSpread": "02:00:00", "features": ["c2d"] },
              { "sdk": "node", "count": 35, "heartbeatEvery": "00:01:00", "startSpread": "02:00:00", "features": ["c2d"] },
              { "sdk": "python", "count": 35, "heartbeatEvery": "00:01:00", "startSpread": "02:00:00", "features": ["c2d"] },
              { "sdk": "c", "count": 30, "heartbeatEvery": "00:01:00", "startSpread": "02:00:00", "features": ["c2d"] },
              { "sdk": "agent", "count": 30, "heartbeatEvery": "00:01:00", "startSpread": "02:00:00" } ],
              "detectors": [ { "kind": "heartbeat" }, { "kind": "eventGrid" } ] }
            """);

        IReadOnlyList<DetectorResult> results = Runner.Run(scenario).Detectors;

        Assert.Equal(10_000, results[0].DeviceYears * 365, 3);
        Assert.Equal((0L, 0L), (results[0].Outages, results[0].FalseAlarms));
        Assert.True(results[1].FalseAlarms > 10_000, $"Event Grid took {results[1].FalseAlarms} renewals for outages");
    }

    [Fact]
    public void The_checker_is_earlier_than_every_detector_that_is_as_quiet()
    {
        RunResult run = Runner.Run(ScenarioReader.ReadFile(
            Path.Combine(Root.Path, "simulator", "scenarios", "which-detector.json")));
        DetectorResult checker = run.Detectors[0];

        Assert.Equal("heartbeat", checker.Plan.Kind);
        Assert.Equal(0, checker.FalseAlarms);
        Assert.Equal(checker.Outages - checker.Flaps, checker.Detected);
        DetectorResult[] quiet = [.. run.Detectors.Skip(1).Where(other => other.FalseAlarms == 0)];
        Assert.True(quiet.Length >= 3);
        Assert.All(quiet, other =>
        {
            Assert.True(checker.LatenessSeconds(0.5) < other.LatenessSeconds(0.5), $"median: {other.Plan}");
            Assert.True(checker.LatenessSeconds(0.99) < other.LatenessSeconds(0.99), $"p99: {other.Plan}");
            Assert.True(checker.Detected >= other.Detected - other.FlapsDetected, $"detected: {other.Plan}");
        });
    }

    [Fact]
    public void A_renewal_is_no_outage_until_a_minute_has_passed()
    {
        // The tokens end at 59:40; the applications come back after 45 s, and after 75 s.
        foreach ((string retry, long outages) in new[] { ("00:00:45", 0L), ("00:01:15", 7L) })
        {
            DetectorResult result = Runner.Run(Read(
                $$"""
                { "runFor": "01:30:00", "fleet": [ { "sdk": "embedded-c", "count": 7, "lifetime": "00:49:40", "appRetryAfter": "{{retry}}",
                  "heartbeatEvery": "00:05:00" } ], "detectors": [ { "kind": "eventGrid" } ] }
                """)).Detectors[0];
            Assert.Equal((outages, outages, 7 - outages), (result.Outages, result.Detected, result.FalseAlarms));
        }
    }

    [Theory]
    [InlineData("quotaExceeded")]
    [InlineData("networkDown")]
    [InlineData("hang")]
    [InlineData("silentHub")]
    [InlineData("crash")]
    [InlineData("deviceDisabled")]
    public void An_outage_lasts_as_long_as_its_cause_and_the_way_back(string kind)
    {
        Scenario scenario = Read(
            $$"""
            { "runFor": "02:00:00", "fleet": [ { "sdk": "python", "count": 20, "heartbeatEvery": "00:00:30", "startSpread": "00:05:00" } ],
              "faults": [ { "at": "00:30:00", "for": "00:30:00", "kind": "{{kind}}" } ], "detectors": [ { "kind": "heartbeat" } ] }
            """);
        List<Outage> outages = Outages(scenario);

        Assert.Equal(20, outages.Select(outage => outage.Device).Distinct().Count());
        Assert.Equal(20, outages.Count);
        Assert.All(outages, outage =>
        {
            Assert.InRange(outage.BeginMs, 1_799_000, 1_801_000);
            Assert.InRange(outage.EndMs, 3_590_000, 3_900_000);
        });
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Whatever_happens_the_score_depends_on_no_shards_and_the_run_on_no_detectors(int seed)
    {
        Scenario plain = Read(SwarmTests.Draw(seed));
        Scenario scored = plain with { Detectors = [.. ScenarioReader.DetectorKinds(plain.Hub).Select(DetectorPlan.Default)] };
        RunResult one = Runner.Run(scored, shards: 1);
        RunResult three = Runner.Run(scored, shards: 3);
        RunResult unscored = Runner.Run(plain, shards: 2);

        Assert.Equal((unscored.EventHash, unscored.Events), (one.EventHash, one.Events));
        Assert.Equal(Figures(one), Figures(three));
        Assert.All(one.Detectors, result =>
        {
            Assert.InRange(result.Detected, 0, result.Outages);
            Assert.InRange(result.Flaps, result.FlapsDetected, result.Outages);
            Assert.Equal(result.Detected, result.Lateness.Count);
        });
    }

    // The detector tells its checker the heartbeats of a stretch at once; this one is told each in its moment.
    [Theory]
    [MemberData(nameof(Seeds))]
    public void A_checker_that_is_told_every_heartbeat_raises_the_same_alarms(int seed)
    {
        Scenario scenario = Read(SwarmTests.Draw(seed));
        scenario = scenario with { RunForMs = Math.Min(scenario.RunForMs, 4 * 3_600_000) };
        List<RaisedAlarm> whole = AlarmsOf(scenario, scenario.RunForMs);
        Assert.Equal(AlarmsOf(scenario, 600_000), whole);
        Assert.Equal(AlarmsOf(scenario, 1000), whole);
    }

    [Fact]
    public void An_expectation_may_name_a_detector_and_fails_by_name()
    {
        RunResult run = Runner.Run(Read(
            """
            { "runFor": "02:00:00", "fleet": [ { "sdk": "python", "count": 3, "heartbeatEvery": "00:01:00" } ],
              "faults": [ { "at": "00:30:00", "for": "00:10:00", "kind": "crash" } ],
              "detectors": [ { "kind": "heartbeat" } ],
              "expect": [ { "detector": "heartbeat", "missed": { "max": 0 }, "latenessP99Seconds": { "max": 5 } } ] }
            """));

        Assert.Equal([true, false], run.Expectations.Select(one => one.Held));
        Assert.Equal("heartbeat (missed 2) latenessP99Seconds at most 5", run.Expectations[1].Text);
    }

    [Fact]
    public void The_result_has_the_keys_of_the_contract()
    {
        RunResult run = Runner.Run(Read(
            $$"""
            { "runFor": "01:00:00", "fleet": [ { "sdk": "python", "count": 3, "heartbeatEvery": "00:01:00" } ],
              "detectors": [ {{string.Join(", ", Kinds.Select(kind => $$"""{ "kind": "{{kind}}" }"""))}} ] }
            """));
        using JsonDocument json = JsonDocument.Parse(JsonOutput.ToText(run.Write));

        JsonElement[] detectors = [.. json.RootElement.GetProperty("detectors").EnumerateArray()];
        Assert.Equal(Kinds, detectors.Select(one => one.GetProperty("kind").GetString()));
        string[] keys =
        [
            "outages", "detected", "missed", "falseAlarms", "latenessP50Seconds", "latenessP99Seconds", "messagesPerDeviceDay",
            "costPerThousandDevicesMonthUsd",
        ];
        Assert.All(detectors, one => Assert.All(keys, key => Assert.True(one.TryGetProperty(key, out _), key)));
        Assert.Equal(2, detectors[0].GetProperty("options").GetProperty("missed").GetInt32());
        Assert.Equal("00:01:00", detectors[5].GetProperty("options").GetProperty("ttl").GetString());
    }

    [Fact]
    public void The_price_of_heartbeats_is_the_share_of_the_days_messages_and_the_events()
    {
        DetectorResult heartbeat = Runner.Run(Read(
            """
            { "runFor": "10.00:00:00", "fleet": [ { "sdk": "c", "count": 2, "heartbeatEvery": "00:01:00", "features": ["c2d"] } ],
              "detectors": [ { "kind": "heartbeat" } ] }
            """)).Detectors[0];

        // 1,440 a day: $0.09 of an S1 unit a month each (facts/iothub.md §6), and two Event Grid operations at $0.60 a million.
        Assert.InRange(heartbeat.MessagesPerDeviceDay, 1438, 1440);
        Assert.InRange(heartbeat.CostUsd!.Value, 90 + 51.8 - 0.3, 90 + 51.8 + 2);
        Assert.InRange(heartbeat.CostByTierUsd.Single(one => one.Key == "S3").Value!.Value, 12 + 51.8 - 0.3, 12 + 51.8 + 2);
    }

    [Theory]
    [InlineData("""{ "kind": "heartbeat", "missed": 0 }""", "$.detectors[0].missed: 0 is out of range; allowed: 1 to 1000")]
    [InlineData("""{ "kind": "heartbeat", "debounce": "00:01:00" }""", "$.detectors[0]: unknown key \"debounce\"; allowed: kind, missed")]
    [InlineData("""{ "kind": "eventGrid", "debounce": "-00:01:00" }""", "$.detectors[0].debounce: \"-00:01:00\" is negative")]
    [InlineData("""{ "kind": "connectedDevices", "below": 95 }""", "$.detectors[0].below: 95 is out of range; allowed: 0 to 1")]
    [InlineData("""{ "kind": "shortExpiry", "ttl": "00:00:00.5000000" }""", "$.detectors[0].ttl")]
    [InlineData("""{ "kind": "connectionState", "ttl": "00:01:00" }""", "$.detectors[0]: unknown key \"ttl\"")]
    public void A_detector_that_cannot_be_is_refused_by_its_path(string detector, string expected)
    {
        var problem = Assert.Throws<BadInputException>(() => Read(
            $$"""{ "runFor": "01:00:00", "fleet": [ { "sdk": "c", "count": 1 } ], "detectors": [ {{detector}} ] }"""));
        Assert.StartsWith(expected, problem.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("shortExpiry")]
    [InlineData("connectionState")]
    public void What_a_Basic_hub_cannot_do_is_refused(string kind)
    {
        var problem = Assert.Throws<BadInputException>(() => Read(
            $$"""
            { "runFor": "01:00:00", "hub": { "tier": "B1" }, "fleet": [ { "sdk": "c", "count": 1 } ],
              "detectors": [ { "kind": "{{kind}}" } ] }
            """));
        Assert.StartsWith($"$.detectors[0].kind: {kind} needs what the Basic tiers lack", problem.Message, StringComparison.Ordinal);
    }

    private static Scenario Read(string text) => ScenarioReader.Read(Encoding.UTF8.GetBytes(text));

    private static string Figures(RunResult run) => JsonOutput.ToText(json =>
    {
        json.WriteStartArray();
        foreach (DetectorResult detector in run.Detectors)
        {
            detector.Write(json);
        }

        json.WriteEndArray();
    });

    private static List<Outage> Outages(Scenario scenario)
    {
        var found = new List<Outage>();
        var world = new VirtualWorld(scenario, monitored: true, witnessed: true);
        var run = new DetectorRun(scenario, [world]) { OnSettled = (_, outage) => found.Add(outage) };
        world.RunUntil(scenario.RunForMs);
        run.AdvanceShard(0, scenario.RunForMs);
        run.Advance(scenario.RunForMs);
        run.Finish(scenario.RunForMs, 0);
        return found;
    }

    // A stretch of a second or less tells a device's heartbeats one by one, each in its moment.
    private static List<RaisedAlarm> AlarmsOf(Scenario scenario, long stretchMs)
    {
        var alarms = new List<RaisedAlarm>();
        var world = new VirtualWorld(scenario, monitored: true, witnessed: true);
        var view = new ShardView(scenario, world.Part, world.Monitor!, world.Witness!);
        var detector = new HeartbeatDetector(scenario, missed: 2);
        for (long fromMs = 0; fromMs < scenario.RunForMs; fromMs += stretchMs)
        {
            long untilMs = Math.Min(fromMs + stretchMs, scenario.RunForMs);
            world.RunUntil(untilMs);
            world.Monitor!.AdvanceTo(untilMs);
            world.TellBeats(untilMs);
            detector.Advance([view], fromMs, untilMs, alarms.Add);
            world.Monitor.Clear();
            world.Witness!.Clear();
        }

        return [.. alarms.OrderBy(alarm => alarm.RaisedAtMs).ThenBy(alarm => alarm.Device)]; // Of one second in any order.
    }
}
