using System.Globalization;
using System.Text;
using Agent.Cli;
using Agent.Hub;
using Agent.World;

namespace Agent.Tests.Simulator;

/// <summary>Budgets that all devices of a hub share: messages a second, messages a day.</summary>
public class VirtualLimitsTests
{
    private const int DayMs = 86_400_000;

    // 10 devices, one message a minute each: 8,000 are gone after 13 h 20 min.
    private const string FreeTier = """
        "hub": { "tier": "F1", "throttle": true },
        "fleet": [ { "sdk": "python", "count": 5, "heartbeatEvery": "00:01:00", "timeline": true },
                   { "sdk": "agent", "count": 5, "heartbeatEvery": "00:01:00", "timeline": true } ]
        """;

    [Fact]
    public void A_day_has_exactly_its_messages_and_the_next_day_has_them_again()
    {
        Assert.Equal(8_000, Heartbeats(Run($$"""{ "runFor": "23:59:59", {{FreeTier}} }""")));
        Assert.Equal(16_000, Heartbeats(Run($$"""{ "runFor": "1.23:59:59", {{FreeTier}} }""")));
    }

    [Fact]
    public void Beyond_the_quota_connecting_works_and_each_message_costs_the_connection_until_midnight()
    {
        RunResult result = Run($$"""{ "runFor": "1.00:02:30", {{FreeTier}} }""");

        foreach (FleetResult fleet in result.Fleets)
        {
            List<TimelineEntry> cuts = [.. fleet.Timeline.Where(entry => entry.Reason == Reason.QuotaExceeded)];
            Assert.InRange(cuts[0].AtMs, (13 * 3_600_000) + (19 * 60_000), (13 * 3_600_000) + (35 * 60_000));
            Assert.InRange(cuts[^1].AtMs, DayMs - 120_000, DayMs - 1);
            Assert.All(
                fleet.Timeline.Where(entry => entry.Event == Seen.Connack), entry => Assert.Equal(0, entry.Code));

            // Every message of the rest of the day: those the client was there to send.
            Assert.InRange(cuts.Count, 5 * 600, 5 * 640);
            Assert.Equal(cuts.Count, fleet.Statistics.LogRecords[(int)LogKind.DisconnectQuota]);
            Assert.Equal(0, fleet.Statistics.Refusals);
        }
    }

    [Theory]
    [InlineData(5_900, 0)]
    [InlineData(7_500, 5)]
    public void Beyond_the_rate_the_hub_bursts_queues_and_then_hangs_up(int devices, int minutes)
    {
        RunResult result = Run($$"""
            { "runFor": "01:00:00", "hub": { "units": 8, "throttle": true },
              "fleet": [ { "sdk": "python", "count": {{devices}}, "heartbeatEvery": "00:01:00", "startSpread": "00:03:00" } ] }
            """);
        FleetStatistics statistics = result.Fleets[0].Statistics;
        long cuts = statistics.LogRecords[(int)LogKind.DisconnectThrottled];

        Assert.Equal(minutes > 0, cuts > 0);
        Assert.Equal(cuts, statistics.ByReason[(int)Reason.Throttled]);

        // Burst and queue together are 75 s of the rate.
        Assert.InRange(statistics.Heartbeats, minutes == 0 ? 0 : 100 * 3_400, 100 * (3_600 + 75));
    }

    public static TheoryData<string> Sdks() => ["dotnet", "java", "node", "python", "c", "arduino-esp32", "nanoframework", "agent"];

    [Theory]
    [MemberData(nameof(Sdks))]
    public void A_limit_that_is_not_reached_changes_nothing(string sdk)
    {
        string text = $$"""
            { "runFor": "03:00:00", "hub": { "throttle": THROTTLE },
              "fleet": [ { "sdk": "{{sdk}}", "count": 20, "heartbeatEvery": "00:00:50", "startSpread": "00:10:00",
                           "features": [ "twin" ] } ],
              "faults": [ { "at": "01:00:00", "for": "00:05:00", "kind": "crash", "share": 0.5 },
                          { "at": "01:30:00", "for": "00:00:20", "kind": "refuse", "share": 0.5 },
                          { "at": "01:30:00", "kind": "tcpDrop" } ] }
            """;
        Assert.Equal(
            Figures(Run(text.Replace("THROTTLE", "false", StringComparison.Ordinal))),
            Figures(Run(text.Replace("THROTTLE", "true", StringComparison.Ordinal))));
    }

    [Fact]
    public void A_run_whose_devices_share_budgets_has_one_shard()
    {
        Scenario scenario = ScenarioReader.Read(Encoding.UTF8.GetBytes($$"""{ "runFor": "00:10:00", {{FreeTier}} }"""));
        Assert.Equal(1, Runner.Run(scenario, shards: 4).Shards);
    }

    private static long Heartbeats(RunResult result) => result.Fleets.Sum(fleet => fleet.Statistics.Heartbeats);

    private static string Figures(RunResult result) => string.Create(
        CultureInfo.InvariantCulture,
        $"{Heartbeats(result)} {result.Fleets[0].Statistics.MessagesBilled} {result.Fleets[0].Statistics.DownMs} ") +
        string.Join(", ", result.Fleets[0].LogCounts().Concat(result.Fleets[0].ReasonCounts()));

    private static RunResult Run(string text) => Runner.Run(ScenarioReader.Read(Encoding.UTF8.GetBytes(text)));
}
