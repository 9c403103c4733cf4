using System.Text;
using Agent.Drive;
using Agent.Fleet;
using Agent.World;

namespace Agent.Tests.Drive;

/// <summary>
/// Scenarios that take half a minute of real time and hardly any work: all begin with the first test that asks for one, so that
/// together they take as long as the longest.
/// </summary>
internal static class RealTimeRuns
{
    private const string Faults = """
        { "runFor": "00:00:22", "network": { "roundTripMs": 0 }, "hub": { "tokenGrace": "00:00:30" },
          "fleet": [
            { "name": "crash", "sdk": "agent", "count": 2, "keepAlive": "00:00:05", "timeline": true },
            { "name": "blocked", "sdk": "c", "count": 2, "timeline": true },
            { "name": "hole", "sdk": "python", "count": 2, "timeline": true },
            { "name": "disabled", "sdk": "c", "count": 2, "timeline": true },
            { "name": "key", "sdk": "c", "count": 2, "timeline": true },
            { "name": "skew", "sdk": "c", "count": 2, "timeline": true },
            { "name": "down", "sdk": "agent", "count": 2, "timeline": true },
            { "name": "throttle", "sdk": "agent", "count": 2, "timeline": true },
            { "name": "quota", "sdk": "dotnet", "count": 2, "timeline": true, "heartbeatEvery": "00:00:03" },
            { "name": "half", "sdk": "python", "count": 4, "timeline": true } ],
          "faults": [
            { "at": "00:00:05", "for": "00:00:09", "kind": "crash", "fleet": "crash" },
            { "at": "00:00:05", "for": "00:00:05", "kind": "portBlocked", "fleet": "blocked" },
            { "at": "00:00:05", "kind": "tcpDrop", "fleet": "blocked" },
            { "at": "00:00:05", "for": "00:00:09", "kind": "portBlocked", "how": "blackHole", "fleet": "hole" },
            { "at": "00:00:05", "kind": "tcpDrop", "fleet": "hole" },
            { "at": "00:00:05", "for": "00:00:05", "kind": "deviceDisabled", "fleet": "disabled" },
            { "at": "00:00:05", "for": "00:00:05", "kind": "keyRotated", "fleet": "key" },
            { "at": "00:00:05", "kind": "tcpDrop", "fleet": "key" },
            { "at": "00:00:05", "for": "00:00:05", "kind": "clockSkew", "seconds": -5000, "fleet": "skew" },
            { "at": "00:00:05", "kind": "tcpDrop", "fleet": "skew" },
            { "at": "00:00:05", "for": "00:00:05", "kind": "hubDown", "fleet": "down" },
            { "at": "00:00:05", "for": "00:00:05", "kind": "throttle", "fleet": "throttle" },
            { "at": "00:00:05", "for": "00:00:08", "kind": "quotaExceeded", "fleet": "quota" },
            { "at": "00:00:05", "kind": "tcpDrop", "fleet": "half", "share": 0.5 } ] }
        """;

    private const string SilenceText = """
        { "runFor": "00:00:22", "hub": { "tokenGrace": "00:00:30" }, "fleet": [
            { "name": "vanish", "sdk": "python", "count": 2, "keepAlive": "00:00:03", "heartbeatEvery": "00:00:02" },
            { "name": "silent", "sdk": "python", "count": 2, "keepAlive": "00:00:03", "heartbeatEvery": "00:00:02" },
            { "name": "hang", "sdk": "node", "count": 1, "keepAlive": "00:00:05", "timeline": true, "features": [ "twin" ] },
            { "name": "twins", "sdk": "dotnet", "count": 1 } ],
          "faults": [
            { "at": "00:00:04.5", "for": "00:00:10", "kind": "networkDown", "fleet": "vanish" },
            { "at": "00:00:04.5", "for": "00:00:10", "kind": "silentHub", "fleet": "silent" },
            { "at": "00:00:04.5", "for": "00:00:14", "kind": "hang", "fleet": "hang" },
            { "at": "00:00:04.5", "for": "00:00:02.5", "kind": "duplicateId", "fleet": "twins" } ] }
        """;

    /// <summary>Every SDK calm, dropped, refused and moved.</summary>
    public static Task<(RunResult Seen, string Differences)> EverySdk { get; } = Differential.RunAsync(EverySdkText());

    /// <summary>Every fault that both ends see alike.</summary>
    public static Task<(RunResult Seen, string Differences)> EveryFault { get; } = Differential.RunAsync(Faults);

    /// <summary>Faults of which the two ends learn at different times.</summary>
    public static Task<RunResult> Silence { get; } = WireRun.RunAsync(ScenarioReader.Read(Encoding.UTF8.GetBytes(SilenceText)));

    // Every SDK five times: left alone, its TCP cut by FIN and by RST at 15 s, refused for a second after a cut, and moved by the
    // hub. Lifetimes are chosen so that nothing happens in the last second, and no two things of one device at one moment.
    private static string EverySdkText()
    {
        var fleets = new List<string>();
        var faults = new List<string>();
        foreach (SdkEntry sdk in SdkCatalog.All)
        {
            foreach (string trouble in (string[])["calm", "fin", "rst", "refused", "moved"])
            {
                string name = $"{sdk.Id}-{trouble}";
                fleets.Add(
                    $$"""
                    { "name": "{{name}}", "sdk": "{{sdk.Id}}", "count": 1, "timeline": true, "heartbeatEvery": "00:00:04.7",
                      "features": [ {{Features(sdk, trouble)}} ] {{Keys(sdk)}} }
                    """);
                if (trouble != "calm")
                {
                    faults.Add(Fault(name, trouble));
                }

                if (trouble == "refused")
                {
                    faults.Add($$"""{ "at": "00:00:15", "for": "00:00:01.2", "kind": "refuse", "code": 5, "fleet": "{{name}}" }""");
                }
            }
        }

        return $$"""
            { "runFor": "00:00:29.5", "network": { "roundTripMs": 0 }, "hub": { "tokenGrace": "00:00:03" },
              "fleet": [ {{string.Join(", ", fleets)}} ], "faults": [ {{string.Join(", ", faults)}} ] }
            """;
    }

    // Node.js restores each feature in an operation of its own, and while they are refused, milliseconds decide which is first.
    private static string Features(SdkEntry sdk, string trouble) =>
        sdk.Id == "node" && trouble == "refused" ? "\"methods\"" : "\"twin\", \"methods\", \"c2d\"";

    private static string Fault(string fleet, string trouble) => trouble == "moved"
        ? $$"""{ "at": "00:00:15", "kind": "hubFailover", "fleet": "{{fleet}}" }"""
        : $$"""{ "at": "00:00:15", "kind": "tcpDrop", "how": "{{(trouble == "rst" ? "rst" : "fin")}}", "fleet": "{{fleet}}" }""";

    private static string Keys(SdkEntry sdk) => sdk.Id switch
    {
        "node" => """, "lifetime": "00:00:10", "renewBefore": "00:00:04", "keepAlive": "00:00:04" """,
        "python" => """, "lifetime": "00:02:10" """, // Renewed two minutes before expiry.
        "c" => """, "lifetime": "00:00:10" """,
        "arduino-esp32" => """, "lifetime": "00:00:07" """,
        "arduino-central" => """, "lifetime": "00:00:37" """, // Renewed 29 s before expiry.
        "agent" => """, "lifetime": "00:00:20", "renewAt": 0.5 """,
        "nanoframework" => "", // Always a day.
        _ when sdk.AppMustAct => """, "lifetime": "00:00:05", "appRetryAfter": "00:00:02" """,
        _ => """, "lifetime": "00:00:05" """,
    };
}
