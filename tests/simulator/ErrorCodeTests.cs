using System.Globalization;
using System.Text;
using Agent.Cli;
using Agent.Fleet;
using Agent.Hub;
using Agent.World;

namespace Agent.Tests.Simulator;

/// <summary>
/// Every error code a connection can earn, for its documented cause (facts/iothub.md §1.9, §2): exactly which records, SDK by SDK, and
/// that no other trouble earns it.
/// </summary>
public class ErrorCodeTests
{
    private const string Dropped = """, { "at": "00:10:30", "kind": "tcpDrop" }""";

    // C = deviceConnect, D = deviceDisconnect, without a code = Information.
    public static TheoryData<string, string, string> Causes()
    {
        var causes = new TheoryData<string, string, string>();

        // The grace is over 70 min after CONNECT; SDKs that renew, or whose token lives a day, never get there.
        Add("00:45:00 left alone", "",
            "dotnet java node python c nanoframework agent: C 1");
        Add("02:00:00 token expired", "",
            "dotnet java: C 2, D/404104 1, D/401003 1",
            "node python c agent: C 3, D 2",
            "nanoframework: C 1");

        // The rival takes the identity, the device takes it back; one SDK does not come back on its own.
        Add("00:45:00 a second client", """{ "at": "00:10:30", "kind": "duplicateId" }""",
            "dotnet java node python c agent: C 3, D/400027 2",
            "nanoframework: C 2, D/400027 1");

        // A living connection keeps its old token; it is the next attempt that is refused, as often as each asks in 4.5 min.
        Add("00:45:00 key rotated", """{ "at": "00:10:00", "for": "00:05:00", "kind": "keyRotated" }""" + Dropped,
            "dotnet python: C 2, D/404104 1, C/401003 5",
            "java: C 1, D/404104 1, C/401003 30",
            "node: C 2, D/404104 1, C/401003 4",
            "c: C 2, D/404104 1, C/401003 13",
            "nanoframework: C 1, D/404104 1",
            "agent: C 2, D/404104 1, C/401003 11");

        // Two hours slow: new tokens are born expired. .NET and Python still hold the one signed before.
        Add("00:45:00 clock slow", """{ "at": "00:10:00", "for": "00:05:00", "kind": "clockSkew", "seconds": -7200 }""" + Dropped,
            "dotnet python: C 2, D/404104 1",
            "java: C 1, D/404104 1, C/401003 30",
            "node: C 2, D/404104 1, C/401003 4",
            "c: C 2, D/404104 1, C/401003 13",
            "nanoframework: C 1, D/404104 1",
            "agent: C 2, D/404104 1, C/401003 11");

        // Accepted again and cut at the next message: those of 11, 12 and 13 min. Node.js comes back for a message only.
        Add("00:45:00 quota used up", """{ "at": "00:10:30", "for": "00:03:00", "kind": "quotaExceeded" }""",
            "dotnet java python c agent: C 4, D/403002 3",
            "node: C 3, D/403002 2",
            "nanoframework: C 1, D/403002 1");
        Add("00:45:00 disabled", """{ "at": "00:10:30", "for": "00:01:00", "kind": "deviceDisabled" }""", Cut("403012"));
        Add("00:45:00 throttled", """{ "at": "00:10:30", "for": "00:01:00", "kind": "throttle" }""", Cut("429002"));
        Add("00:45:00 hub out of order", """{ "at": "00:10:30", "for": "00:01:00", "kind": "hubDown" }""", Cut("500001"));

        // Each request stays unanswered for a minute. Who gives up sooner asks a second time; the hub does not forget the first.
        Add("00:45:00 hub too slow", """{ "at": "00:10:30", "for": "00:01:00", "kind": "hubDown", "how": "timeout" }""",
            "dotnet java node python: C 2, D/404104 1, C/500008 1",
            "c agent: C 2, D/404104 1, C/500008 2",
            "nanoframework: C 1, D/404104 1");

        foreach (string kind in (string[])["tcpDrop", "hubFailover"])
        {
            Add($"00:45:00 {kind}", $$"""{ "at": "00:10:30", "kind": "{{kind}}" }""",
                "dotnet java node python c agent: C 2, D/404104 1",
                "nanoframework: C 1, D/404104 1");
        }

        Add("00:45:00 network away for longer than keep-alive", """{ "at": "00:10:30", "for": "00:20:00", "kind": "networkDown" }""",
            "dotnet node python c agent: C 2, D/404104 1",
            "java nanoframework: C 1, D/404104 1");
        Add("00:45:00 power away for longer than keep-alive", """{ "at": "00:10:30", "for": "00:20:00", "kind": "crash" }""",
            "dotnet java node python c nanoframework agent: C 2, D/404104 1");

        // Back before the hub has missed it.
        Add("00:45:00 power blinks", """{ "at": "00:10:30", "kind": "crash" }""",
            "dotnet java node python c nanoframework agent: C 2, D/409002 1");
        return causes;

        // One minute from the cut: how often each asks in it.
        string[] Cut(string code) =>
        [
            $"dotnet node: C 2, D/{code} 1, C/{code} 12",
            $"java: C 2, D/{code} 1, C/{code} 11",
            $"python agent: C 2, D/{code} 1, C/{code} 7",
            $"c: C 2, D/{code} 1, C/{code} 6",
            $"nanoframework: C 1, D/{code} 1",
        ];

        void Add(string cause, string faults, params string[] expected) => causes.Add(cause, faults, string.Join('\n', expected));
    }

    [Theory]
    [MemberData(nameof(Causes))]
    public void A_cause_earns_exactly_its_records(string cause, string faults, string expected)
    {
        var wanted = expected.Split('\n').Select(line => line.Split(": "))
            .SelectMany(parts => parts[0].Split(' ').Select(sdk => (Sdk: sdk, Records: parts[1]))).ToList();
        string fleets = string.Join(", ", wanted.Select(one =>
            $$"""{ "sdk": "{{one.Sdk}}", "count": 1, "heartbeatEvery": "00:01:00" }"""));
        RunResult result = Run($$"""{ "runFor": "{{cause[..8]}}", "fleet": [ {{fleets}} ], "faults": [ {{faults}} ] }""");

        Assert.Equal(7, result.Fleets.Count);
        Assert.Equal(
            wanted.Select(one => $"{one.Sdk}: {one.Records}"),
            result.Fleets.Select(fleet => $"{fleet.Plan.Sdk}: {string.Join(", ", fleet.LogCounts().Select(Short))}"));
    }

    // Alone neither earns 409002: TCP says goodbye when the application goes on, or when the hub hears again. But a second client that
    // takes the identity in between does: the hub cannot tell it from the first one come back.
    private static readonly string[] Silences = ["""{ "kind": "hang" """, """{ "kind": "silentHub" """];

    // What earns a code. 404104 is what almost every trouble earns and has no row.
    private static readonly (int Code, string[] Causes)[] CausesOf =
    [
        (400027, ["""{ "kind": "duplicateId" """]),
        (401003, ["""{ "kind": "keyRotated" """, """{ "kind": "clockSkew", "seconds": -7200 """, """{ "kind": "refuse" """]),
        (403002, ["""{ "kind": "quotaExceeded" """]),
        (403012, ["""{ "kind": "deviceDisabled" """]),
        (409002, ["""{ "kind": "crash" """, """{ "kind": "networkDown" """]),
        (429002, ["""{ "kind": "throttle" """]),
        (500001, ["""{ "kind": "hubDown" """, """{ "kind": "refuse", "code": 3 """]),
        (500008, ["""{ "kind": "hubDown", "how": "timeout" """]),
    ];

    private static readonly string[] EveryTrouble =
    [
        .. CausesOf.SelectMany(row => row.Causes), .. Silences, """{ "kind": "tcpDrop" """, """{ "kind": "tcpDrop", "how": "rst" """,
        """{ "kind": "hubFailover" """, """{ "kind": "dnsFail" """, """{ "kind": "portBlocked" """,
        """{ "kind": "portBlocked", "how": "blackHole" """, """{ "kind": "tlsMemory" """,
    ];

    public static TheoryData<int, int> CodesAndSeeds()
    {
        var rows = new TheoryData<int, int>();
        foreach ((int code, _) in CausesOf)
        {
            for (int seed = 1; seed <= 6; seed++)
            {
                rows.Add(code, seed);
            }
        }

        return rows;
    }

    [Theory]
    [MemberData(nameof(CodesAndSeeds))]
    public void No_other_trouble_earns_a_code(int code, int seed)
    {
        string[] causes = CausesOf.Single(row => row.Code == code).Causes;
        List<string> others = [.. EveryTrouble.Except(causes).Except(code == 409002 ? Silences : [])];
        uint draws = 0;
        string Trouble(string kind)
        {
            int Next(int below) => (int)(Randomness.Draw((ulong)seed, code, draws++) % (ulong)below);
            string at = TimeSpan.FromSeconds(300 + Next(2400)).ToString("c", CultureInfo.InvariantCulture);
            string length = TimeSpan.FromSeconds(1 + Next(900)).ToString("c", CultureInfo.InvariantCulture);
            return $$"""{{kind}}, "at": "{{at}}", "for": "{{length}}", "share": 0.{{3 + Next(7)}} }""";
        }

        List<string> faults = [.. others.Concat(others).Select(Trouble)];
        Assert.Equal(0, Earned(code, faults));

        // The same troubles and one cause more: the code is there, so that its absence means something.
        string drop = code is 401003 or 500001 ? """, { "kind": "tcpDrop", "at": "00:02:10" }""" : "";
        Assert.All(causes, cause =>
            Assert.NotEqual(0, Earned(code, [.. faults, cause + """, "at": "00:02:00", "for": "00:02:30" }""" + drop])));
    }

    [Fact]
    public void Every_code_is_expected_by_a_scenario_that_comes_along()
    {
        string folder = Path.Combine(Root.Path, "simulator", "scenarios");
        var expected = Directory.GetFiles(folder, "*.json").SelectMany(path => ScenarioReader.ReadFile(path).Expectations)
            .Where(expectation => expectation.Min > 0).Select(expectation => expectation.Metric).ToHashSet();
        Assert.All(
            Enumerable.Range(0, LogKinds.Count).Select(kind => ((LogKind)kind).Shape().Key),
            key => Assert.Contains($"logRecords/{key}", expected));
    }

    // Within the first hour no token runs out, whatever happens: 401003 then needs a cause from outside.
    private static long Earned(int code, List<string> faults)
    {
        string fleets = string.Join(", ", SdkCatalog.All.Select(sdk =>
            $$"""
            { "sdk": "{{sdk.Id}}", "count": 5, "heartbeatEvery": "00:01:00", "startSpread": "00:01:00",
              "features": [ "twin", "methods", "c2d" ] }
            """));
        RunResult result = Run($$"""
            { "runFor": "00:50:00", "fleet": [ {{fleets}} ], "faults": [ {{string.Join(", ", faults)}} ] }
            """);
        return result.Fleets.SelectMany(fleet => fleet.LogCounts())
            .Where(pair => pair.Key.EndsWith(code.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal))
            .Sum(pair => pair.Value);
    }

    private static string Short(KeyValuePair<string, long> count) => count.Key
        .Replace("deviceConnect", "C", StringComparison.Ordinal).Replace("deviceDisconnect", "D", StringComparison.Ordinal)
        .Replace("/Information", "", StringComparison.Ordinal).Replace("/Error", "", StringComparison.Ordinal) + " " + count.Value;

    private static RunResult Run(string text) => Runner.Run(ScenarioReader.Read(Encoding.UTF8.GetBytes(text)), shards: 1);
}
