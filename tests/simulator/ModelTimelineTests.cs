using System.Globalization;
using System.Text;
using Agent.Cli;
using Agent.Fleet;
using Agent.Tests.Core;
using Agent.World;

namespace Agent.Tests.Simulator;

/// <summary>
/// What each SDK's model does on the wire, in order, kept as small texts in tests/golden/timelines (UPDATE_GOLDEN=1 writes them
/// anew), and the moments that are the point of a behaviour.
/// </summary>
public class ModelTimelineTests
{
    private const string Everything = """, "features": ["twin", "methods", "c2d"], "heartbeatEvery": "00:00:20" """;
    private const string Methods = """, "features": ["methods"], "heartbeatEvery": "00:00:20" """;
    private const string Fin = """{ "at": "00:00:06", "kind": "tcpDrop" }""";
    private const string Rst = """{ "at": "00:00:06", "kind": "tcpDrop", "how": "rst" }""";

    // Gone at 6 s, busy for a second, silent from then on.
    private const string FallsSilent =
        Fin + """, { "at": "00:00:06", "for": "00:00:01", "kind": "refuse", "code": 3 }, """ +
        """{ "at": "00:00:07", "for": "00:50:00", "kind": "silentHub" }""";

    [Theory]
    [InlineData("node", """, "lifetime": "00:05:00", "renewBefore": "00:02:00" """)]
    [InlineData("python", """, "lifetime": "00:05:00" """)]
    [InlineData("dotnet", """, "lifetime": "00:05:00" """)]
    [InlineData("dotnet-v2", """, "lifetime": "00:05:00" """)]
    [InlineData("java", """, "lifetime": "00:05:00" """)]
    [InlineData("c", """, "lifetime": "00:05:00" """)]
    [InlineData("arduino-esp32", """, "lifetime": "00:05:00" """)]
    [InlineData("nanoframework", "")]
    public void The_sequence_of_events_is_the_one_that_was_checked_against_the_source(string sdk, string keys)
    {
        var text = new StringBuilder();
        Tell(text, "calm", sdk, keys + Everything, "", 1000);
        Tell(text, "FIN at 6 s", sdk, keys + Everything, Fin, 60);
        Tell(text, "RST at 6 s", sdk, keys + Everything, Rst, 60);
        Tell(text, "FIN at 6 s, CONNACK 5 for 30 s", sdk, keys + Methods,
            """{ "at": "00:00:06", "for": "00:00:30", "kind": "refuse", "code": 5 }, """ + Fin, 60);
        Tell(text, "FIN at 6 s, port closed for 30 s", sdk, keys + Methods,
            """{ "at": "00:00:06", "for": "00:00:30", "kind": "portBlocked" }, """ + Fin, 60);
        Golden.Check($"timelines/{sdk}.txt", text.ToString());
    }

    // Failure on first connection is "Not authorized" whatever it was, but for "Server unavailable" (genuine 1.18.4).
    [Theory]
    [InlineData("""{ "at": "00:00:00", "for": "00:00:30", "kind": "portBlocked" }""", 1)]
    [InlineData("""{ "at": "00:00:00", "for": "00:00:30", "kind": "refuse", "code": 5 }""", 1)]
    [InlineData("""{ "at": "00:00:00", "for": "00:00:30", "kind": "refuse", "code": 3 }""", 10)]
    public void Node_retries_its_first_open_only_when_the_server_is_unavailable(string fault, int dialsMin)
    {
        int dials = Dials(Run("node", "", fault, 20)).Count;
        Assert.True(dialsMin == 1 ? dials == 1 : dials >= dialsMin, $"{dials} dials");
    }

    [Fact]
    public void Node_restores_each_feature_by_retries_of_its_own()
    {
        const string Closed = """{ "at": "00:00:06", "for": "00:05:00", "kind": "portBlocked" }, """ + Fin;
        List<double> one = Dials(Run("node", """, "features": ["methods"] """, Closed, 300));
        Assert.Equal([6, 6.1], one[1..3]);
        Assert.InRange(one[3] - one[2], 0.1, 0.125);
        Assert.InRange(one[4] - one[3], 0.1, 0.175);
        Assert.InRange(one[^1], 246, 256.1); // Looked at when an attempt has failed, not before its wait.

        List<double> three = Dials(Run("node", """, "features": ["twin", "methods", "c2d"] """, Closed, 300));
        Assert.Equal([6, 6, 6, 6.1, 6.1, 6.1], three[1..7]);
    }

    [Fact]
    public void Node_retries_a_send_for_code_3_and_not_for_code_5()
    {
        string For(int code) => $$"""{ "at": "00:00:05", "for": "00:00:14", "kind": "refuse", "code": {{code}} }, """ + Fin;
        const string Sends = """, "heartbeatEvery": "00:00:10" """;
        Assert.Equal([0, 10, 20], Dials(Run("node", Sends, For(5), 29)));
        Assert.True(Dials(Run("node", Sends, For(3), 29)).Count > 8);
    }

    [Fact]
    public void Node_restores_its_features_when_a_renewal_is_refused()
    {
        List<TimelineEntry> seen = Run(
            "node", """, "features": ["methods"], "lifetime": "00:00:30", "renewBefore": "00:00:20" """,
            """{ "at": "00:00:05", "for": "00:00:06", "kind": "refuse", "code": 5 }""", 15);
        List<double> dials = Dials(seen);
        Assert.Equal([0, 10.01, 10.01, 10.11], dials[..4]);
        Assert.Equal(2, seen.Count(entry => entry.Event == Seen.Subscribe));
    }

    [Fact]
    public void Python_that_is_refused_from_one_renewal_to_the_next_stays_away_until_the_application_acts()
    {
        List<TimelineEntry> seen = Run(
            "python", """, "lifetime": "00:02:30" """,
            """{ "at": "00:00:25", "for": "00:00:40", "kind": "refuse", "code": 5 }""", 300);
        Assert.Equal([0, 30, 40, 50], Dials(seen));
        Assert.Equal(Seen.Stopped, seen[^1].Event);
        Assert.Equal(60_000, seen[^1].AtMs);

        List<double> shorter = Dials(Run(
            "python", """, "lifetime": "00:02:30" """,
            """{ "at": "00:00:25", "for": "00:00:20", "kind": "refuse", "code": 5 }""", 100));
        Assert.Equal([0, 30, 40, 50, 60, 90], shorter);
    }

    [Fact]
    public void Python_raises_when_its_first_connect_fails_and_connects_by_itself_for_a_send()
    {
        const string Closed = """{ "at": "00:00:00", "for": "00:00:20", "kind": "portBlocked" }""";
        Assert.Equal([0], Dials(Run("python", "", Closed, 60)));
        Assert.Equal([0, 15, 30], Dials(Run("python", """, "heartbeatEvery": "00:00:15" """, Closed, 60)));

        // In the reconnect loop a send dials in between, and the loop keeps its 10 s.
        Assert.Equal([0, 6.01, 9, 16.01, 18, 26.01], Dials(Run(
            "python", """, "heartbeatEvery": "00:00:09" """,
            """{ "at": "00:00:06", "for": "00:00:15", "kind": "portBlocked" }, """ + Fin, 26.5)));
    }

    [Fact]
    public void Dotnet_restores_nothing_when_the_application_had_to_open_again()
    {
        List<TimelineEntry> seen = Run(
            "dotnet", Everything, """{ "at": "00:00:06", "for": "00:00:10", "kind": "refuse", "code": 5 }, """ + Fin, 30);
        Assert.Equal(
            [Topics.CloudToDevice, Topics.TwinResponses],
            seen.Where(entry => entry.Event == Seen.Subscribe && entry.AtMs > 6000).Select(entry => entry.Topics));
    }

    [Fact]
    public void Dotnet_gives_the_first_open_four_minutes_and_a_reconnect_for_ever()
    {
        List<TimelineEntry> open = Run("dotnet", "", """{ "at": "00:00:00", "for": "00:20:00", "kind": "portBlocked" }""", 900);
        Assert.Equal(Seen.Stopped, open[^1].Event);
        Assert.InRange(open[^1].AtMs, 240_000, 250_000);

        List<TimelineEntry> dropped = Run(
            "dotnet", "", """{ "at": "00:00:06", "for": "00:20:00", "kind": "portBlocked" }, """ + Fin, 900);
        Assert.InRange(Dials(dropped)[^1], 885, 900);
    }

    // Waits count in whole seconds of a tick, from the beginning of the failed attempt; a renewal's is the immediate one.
    [Fact]
    public void C_waits_in_whole_seconds_and_spends_its_immediate_retry_on_the_renewal()
    {
        const string Closed = """{ "at": "00:04:00", "for": "00:01:00", "kind": "portBlocked" }""";
        List<double> dials = Dials(Run("c", """, "lifetime": "00:05:00" """, Closed, 310));
        Assert.Equal([0, 241.05, 242, 244, 248, 256, 272], dials[..7]);
        Assert.InRange(dials[7], 302, 303);
    }

    // Nothing received for 75 s: looked at 75 s after the CONNACK (the SUBACK came later), then a period after each look.
    [Fact]
    public void Dotnet_pings_150_s_after_the_connect_and_then_every_75_s()
    {
        double[] pings =
        [
            .. Run("dotnet", "", "", 400).Where(entry => entry.Event == Seen.Pingreq).Select(entry => Math.Round(entry.AtMs / 1000.0, 1)),
        ];
        Assert.Equal([150, 225, 300, 375], pings);
    }

    [Fact]
    public void Dotnet_v2_is_not_opened_by_a_send_and_waits_for_a_silent_hub_for_ever()
    {
        List<TimelineEntry> refused = Run(
            "dotnet-v2", Everything, """{ "at": "00:00:06", "for": "00:00:10", "kind": "refuse", "code": 5 }, """ + Fin, 600);
        Assert.Equal(2, Dials(refused).Count);

        Assert.Single(Dials(Run("dotnet-v2", "", FallsSilent, 3000)), at => at >= 7);
    }

    [Fact]
    public void Java_opens_with_retries_whatever_the_reason_and_reconnects_for_four_minutes()
    {
        List<double> open = Dials(Run("java", "", """{ "at": "00:00:00", "for": "00:00:30", "kind": "refuse", "code": 4 }""", 20));
        Assert.Equal([0, 0], open[..2]);
        Assert.InRange(open[2], 0.18, 0.22);
        Assert.InRange(open[3] - open[2], 0.34, 0.46);

        List<TimelineEntry> dropped = Run(
            "java", "", """{ "at": "00:00:06", "for": "00:10:00", "kind": "portBlocked" }, """ + Fin, 900);
        Assert.Equal(6, Dials(dropped)[1]);
        Assert.Equal(Seen.Stopped, dropped[^1].Event);
        Assert.InRange(dropped[^1].AtMs, 246_000, 256_100);
    }

    [Theory]
    [InlineData("java", 30)]
    [InlineData("python", 60)]
    [InlineData("node", 60)]
    [InlineData("dotnet", 60)]
    public void A_silent_hub_is_given_up_after_the_time_the_library_below_allows(string sdk, double seconds)
    {
        List<double> dials = [.. Dials(Run(sdk, """, "features": ["methods"] """, FallsSilent, 200)).Where(at => at >= 7)];
        Assert.InRange(dials[1] - dials[0], seconds, seconds + 10.2);
    }

    private static void Tell(StringBuilder text, string title, string sdk, string keys, string faults, double seconds)
    {
        text.Append("# ").Append(title).Append('\n');
        foreach (TimelineEntry entry in Run(sdk, keys, faults, seconds))
        {
            if (entry.Event == Seen.Pingreq)
            {
                continue;
            }

            string what = entry.Event switch
            {
                Seen.Connect => $"connect se={entry.Expiry}",
                Seen.Connack => $"connack {entry.Code}",
                Seen.Subscribe => "subscribe " + string.Join(" + ", TopicNames.Filters(entry.Topics, "{id}")),
                Seen.TwinGet => "twinGet",
                Seen.Close => (entry.ByHub ? "closed by hub, " : "close, ") + entry.Reason,
                Seen.Disconnect => "disconnect",
                Seen.Stopped => "stopped",
                _ => "dial",
            };
            text.Append(CultureInfo.InvariantCulture, $"{entry.AtMs / 1000.0,9:F3} {what}\n");
        }
    }

    private static List<double> Dials(List<TimelineEntry> seen) =>
        [.. seen.Where(entry => entry.Event == Seen.Dial).Select(entry => entry.AtMs / 1000.0)];

    private static List<TimelineEntry> Run(string sdk, string keys, string faults, double seconds)
    {
        string text = $$"""
            { "runFor": "{{TimeSpan.FromSeconds(seconds):c}}", "network": { "roundTripMs": 0 },
              "fleet": [ { "sdk": "{{sdk}}", "count": 1, "timeline": true {{keys}} } ], "faults": [ {{faults}} ] }
            """;
        return [.. Runner.Run(ScenarioReader.Read(Encoding.UTF8.GetBytes(text))).Fleets[0].Timeline];
    }
}
