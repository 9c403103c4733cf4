using System.Text;
using Agent.Cli;
using Agent.World;

namespace Agent.Tests.Simulator;

/// <summary>What the vendor documents of each way of noticing an outage (facts/iothub.md §3 to §5); small cases by hand.</summary>
public sealed class DetectorLimitTests
{
    // Every fleet is thrown out at another second of the minute and cannot come back for twenty minutes: the hub knows at once.
    private static readonly DetectorResult[] HubKnows = Score(
        $$"""
        { "runFor": "03:00:00",
          "fleet": [ {{string.Join(", ", Enumerable.Range(0, 12).Select(Fleet))}} ],
          "faults": [ {{string.Join(", ", Enumerable.Range(0, 12).Select(Cut))}} ],
          "detectors": [ { "kind": "heartbeat" }, { "kind": "eventGrid" }, { "kind": "eventGrid", "debounce": "00:02:00" },
                         { "kind": "connectionsLog" }, { "kind": "connectionState" }, { "kind": "shortExpiry" } ] }
        """);

    [Fact]
    public void Event_Grid_is_at_most_a_minute_late_when_the_hub_knows()
    {
        DetectorResult result = HubKnows[1];
        Assert.Equal((600L, 600L, 0L), (result.Outages, result.Detected, result.FalseAlarms));
        Assert.InRange(result.LatenessSeconds(0)!.Value, 0, 8);
        Assert.InRange(result.LatenessSeconds(1)!.Value, 52, 60);
        Assert.InRange(HubKnows[2].LatenessSeconds(1)!.Value, 172, 180);
    }

    [Fact]
    public void The_connections_log_is_minutes_late_and_loses_records()
    {
        DetectorResult result = HubKnows[3];
        Assert.InRange(result.Detected, 595, 600);
        Assert.InRange(result.LatenessSeconds(0)!.Value, 60, 80);
        Assert.InRange(result.LatenessSeconds(1)!.Value, 300, 360);
    }

    [Fact]
    public void The_connection_state_is_up_to_five_minutes_late()
    {
        DetectorResult result = HubKnows[4];
        Assert.Equal(600, result.Detected);
        Assert.InRange(result.LatenessSeconds(0)!.Value, 0, 15);
        Assert.InRange(result.LatenessSeconds(0.5)!.Value, 120, 180);
        Assert.InRange(result.LatenessSeconds(1)!.Value, 290, 310);
    }

    [Fact]
    public void A_message_with_a_short_life_tells_after_one_life_to_two_and_the_next_feedback()
    {
        DetectorResult result = HubKnows[5];
        Assert.Equal((600L, 0L), (result.Detected, result.FalseAlarms));
        Assert.InRange(result.LatenessSeconds(0)!.Value, 60, 66);
        Assert.InRange(result.LatenessSeconds(1)!.Value, 120, 135);
    }

    [Fact]
    public void The_checker_tells_when_its_last_deadline_has_passed()
    {
        // Heartbeats every 10 s: two of them and 10 s of slack after the last, which is 0 to 10 s old.
        DetectorResult result = HubKnows[0];
        Assert.Equal((600L, 0L), (result.Detected, result.FalseAlarms));
        Assert.InRange(result.LatenessSeconds(0)!.Value, 20, 30);
        Assert.InRange(result.LatenessSeconds(1)!.Value, 29, 31);
    }

    [Fact]
    public void A_flap_within_the_minute_is_seen_by_nobody_who_looks_once_a_minute()
    {
        DetectorResult[] results = Score(
            """
            { "runFor": "01:00:00", "fleet": [ { "sdk": "agent", "count": 50, "lifetime": "12:00:00", "heartbeatEvery": "00:00:10" } ],
              "faults": [ { "at": "00:20:11", "kind": "tcpDrop" }, { "at": "00:40:11", "kind": "tcpDrop" } ],
              "detectors": [ { "kind": "eventGrid" }, { "kind": "connectedDevices" }, { "kind": "connectionsLog" } ] }
            """);

        Assert.All(results, result => Assert.Equal((100L, 100L), (result.Outages, result.Flaps)));
        Assert.Equal((0L, 100L, 0L), (results[0].Detected, results[0].Missed, results[0].FalseAlarms));
        Assert.Equal(0, results[1].Detected);
        Assert.InRange(results[2].FlapsDetected, 20, 80); // Where the disconnect overtook the connect.
        Assert.Equal(results[2].Detected, results[2].DetectedAfterEnd);
    }

    [Fact]
    public void A_link_that_died_silently_is_told_when_the_hub_has_waited_for_it()
    {
        DetectorResult[] results = Score(
            """
            { "runFor": "02:00:00", "network": { "roundTripMs": 0 },
              "fleet": [ { "sdk": "dotnet", "count": 1, "heartbeatEvery": "00:01:00", "features": ["c2d"] } ],
              "faults": [ { "at": "00:10:30", "kind": "networkDown" } ],
              "detectors": [ { "kind": "heartbeat" }, { "kind": "heartbeat", "missed": 1 }, { "kind": "eventGrid" },
                             { "kind": "eventGrid", "debounce": "00:01:30" }, { "kind": "connectedDevices" } ] }
            """);

        // The last heartbeat came at 10:00; two intervals and 10 s later it is silent, 100 s after the network went. The hub waits for
        // 1.5 × 300 s, until 17:30; the photograph of 18:00 shows it; the metric of 18:00 is told at 21:00.
        Assert.Equal([100.0, 40.0, 450.0, 540.0, 630.0], results.Select(result => result.LatenessSeconds(0.5)!.Value));
        Assert.All(results, result => Assert.Equal((1L, 1L, 0L), (result.Outages, result.Detected, result.FalseAlarms)));
    }

    [Fact]
    public void A_client_that_never_uses_a_messaging_topic_does_not_exist_for_Event_Grid()
    {
        DetectorResult[] results = Score(
            """
            { "runFor": "02:00:00", "fleet": [ { "sdk": "python", "count": 5, "features": ["twin", "methods"] } ],
              "faults": [ { "at": "00:30:00", "for": "00:30:00", "kind": "crash" } ],
              "detectors": [ { "kind": "eventGrid" }, { "kind": "shortExpiry" }, { "kind": "connectionState" } ] }
            """);

        Assert.Equal([0L, 0L, 5L], results.Select(result => result.Detected));
    }

    [Fact]
    public void The_metric_names_nobody_and_takes_a_fleet_that_renews_for_a_lost_one()
    {
        // Token 49:40 and 10 min of grace: cut at 59:40, back 45 s later, so the sample of the hour finds nobody.
        DetectorResult result = Score(
            """
            { "runFor": "01:30:00", "fleet": [ { "sdk": "embedded-c", "count": 40, "lifetime": "00:49:40", "appRetryAfter": "00:00:45",
                "heartbeatEvery": "00:05:00" } ], "detectors": [ { "kind": "connectedDevices", "below": 0.5 } ] }
            """)[0];

        Assert.Equal((0L, 0L, 1L), (result.Outages, result.Detected, result.FalseAlarms));
    }

    [Fact]
    public void A_few_lost_devices_among_many_do_not_move_the_metric()
    {
        DetectorResult result = Score(
            """
            { "runFor": "02:00:00", "fleet": [ { "sdk": "python", "count": 100, "heartbeatEvery": "00:01:00" } ],
              "faults": [ { "at": "00:30:00", "for": "00:30:00", "kind": "crash", "share": 0.04 },
                          { "at": "01:15:00", "for": "00:20:00", "kind": "crash", "share": 0.06 } ],
              "detectors": [ { "kind": "connectedDevices", "below": 0.95 } ] }
            """)[0];

        Assert.Equal((10L, 6L, 4L, 0L), (result.Outages, result.Detected, result.Missed, result.FalseAlarms));
    }

    private static string Fleet(int i) => $$"""
        { "name": "f{{i}}", "sdk": "python", "count": 50, "lifetime": "12:00:00", "heartbeatEvery": "00:00:10",
          "startSpread": "00:01:00", "features": ["c2d"] }
        """;

    private static string Cut(int i) => $$"""
        { "at": "00:{{30 + (2 * i)}}:{{5 * i:00}}", "for": "00:20:00", "kind": "portBlocked", "fleet": "f{{i}}" },
        { "at": "00:{{30 + (2 * i)}}:{{5 * i:00}}", "kind": "tcpDrop", "fleet": "f{{i}}" }
        """;

    private static DetectorResult[] Score(string text) =>
        [.. Runner.Run(ScenarioReader.Read(Encoding.UTF8.GetBytes(text))).Detectors];
}
