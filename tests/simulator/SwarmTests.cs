using System.Globalization;
using System.Text;
using Agent.Cli;
using Agent.World;

namespace Agent.Tests.Simulator;

/// <summary>
/// Whole scenarios drawn from a seed: any mix of SDKs, settings and faults. Whatever they do, the books must balance and the
/// result must not depend on how the devices were sharded. A failing seed is named by the test and repeats by itself.
/// </summary>
public class SwarmTests
{
    private static readonly string[] Sdks =
    [
        "dotnet", "dotnet-v2", "java", "node", "python", "python-v3", "c", "embedded-c", "arduino-esp32", "arduino-central",
        "esp8266", "freertos", "nanoframework", "agent",
    ];

    private static readonly string[] Faults =
    [
        "networkDown", "tcpDrop", "refuse", "silentHub", "dnsFail", "portBlocked", "hubDown", "hubFailover", "throttle",
        "quotaExceeded", "deviceDisabled", "keyRotated", "duplicateId", "clockSkew", "crash", "hang", "tlsMemory",
    ];

    public static TheoryData<int> Seeds()
    {
        var seeds = new TheoryData<int>();
        for (int seed = 1; seed <= 80; seed++)
        {
            seeds.Add(seed);
        }

        return seeds;
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void The_books_balance_and_shards_do_not_matter(int seed)
    {
        string text = Draw(seed);
        Scenario scenario = ScenarioReader.Read(Encoding.UTF8.GetBytes(text));
        RunResult one = Runner.Run(scenario, shards: 1);
        RunResult three = Runner.Run(scenario, shards: 3);
        Assert.True(one.EventHash == three.EventHash, $"1 and 3 shards differ: {text}");
        bool rivals = scenario.Faults.Any(fault => fault.Kind == FaultKind.DuplicateId);
        foreach (FleetResult fleet in one.Fleets)
        {
            CheckBooks(fleet, scenario, rivals, text);
        }
    }

    private static void CheckBooks(FleetResult fleet, Scenario scenario, bool rivals, string text)
    {
        FleetStatistics books = fleet.Statistics;
        var logs = fleet.LogCounts().ToDictionary(pair => pair.Key, pair => pair.Value);
        long Logged(string key) => logs.GetValueOrDefault(key);
        long refusalRecords = logs.Where(pair => pair.Key.StartsWith("deviceConnect/Error", StringComparison.Ordinal))
            .Sum(pair => pair.Value);
        long disconnectRecords = logs.Where(pair => pair.Key.StartsWith("deviceDisconnect", StringComparison.Ordinal))
            .Sum(pair => pair.Value) - Logged("deviceDisconnect/Error/401003");
        long ends = books.Renewals + books.Drops + books.ByReason[(byte)Agent.Hub.Reason.ClientDisconnect];
        string place = $"{fleet.Plan.Name} in {text}";

        Assert.True(books.Connects - ends >= 0 && books.Connects - ends <= fleet.Plan.Count, $"ends: {place}");
        Assert.True(refusalRecords == books.Refusals || rivals, $"refusals: {place}");
        if (!rivals)
        {
            Assert.True(Logged("deviceConnect/Information") == books.Connects, $"connect records: {place}");
            Assert.True(
                books.Connects - disconnectRecords >= 0 && books.Connects - disconnectRecords <= fleet.Plan.Count,
                $"disconnect records: {place}");
        }

        Assert.True(books.DownMs >= 0 && books.DownMs <= scenario.RunForMs * fleet.Plan.Count, $"down: {place}");
        long everyMs = fleet.Plan.Settings.HeartbeatEveryMs;
        long possible = everyMs == 0 ? 0 : ((scenario.RunForMs / everyMs) + 1) * fleet.Plan.Count;
        Assert.True(books.Heartbeats <= possible, $"heartbeats {books.Heartbeats} of {possible}: {place}");
        Assert.True(books.Heartbeats > 0 || everyMs == 0 || books.Connects == 0 || scenario.Faults.Count > 0, $"silent: {place}");
    }

    internal static string Draw(int seed)
    {
        uint draws = 0;
        int Next(int below) => (int)(Randomness.Draw((ulong)seed, 0, draws++) % (ulong)below);
        string Time(int seconds) => TimeSpan.FromSeconds(seconds).ToString("c", CultureInfo.InvariantCulture);

        var fleets = new List<string>();
        int fleetCount = 1 + Next(4);
        for (int i = 0; i < fleetCount; i++)
        {
            string sdk = Sdks[Next(Sdks.Length)];
            string keys = sdk == "nanoframework" ? "" : $", \"lifetime\": \"{Time(1200 + Next(3000))}\"";
            keys += Next(2) == 0 ? $", \"heartbeatEvery\": \"{Time(5 + Next(600))}\"" : "";
            keys += Next(2) == 0 ? $", \"startSpread\": \"{Time(1 + Next(900))}\"" : "";
            keys += Next(3) == 0 ? ", \"features\": [\"twin\", \"methods\", \"c2d\"]" : "";
            keys += Next(4) == 0 ? ", \"timeline\": true" : "";
            keys += sdk == "agent" && Next(2) == 0 ? $", \"reconnectSpread\": \"{Time(Next(600))}\"" : "";
            fleets.Add($"{{ \"name\": \"f{i}\", \"sdk\": \"{sdk}\", \"count\": {1 + Next(40)}{keys} }}");
        }

        var faults = new List<string>();
        int faultCount = Next(6);
        for (int i = 0; i < faultCount; i++)
        {
            string kind = Faults[Next(Faults.Length)];
            string keys = Next(4) == 0 ? "" : $", \"for\": \"{Time(1 + Next(4000))}\"";
            keys += Next(2) == 0 ? ", \"share\": 0." + (1 + Next(9)) : "";
            keys += kind switch
            {
                "tcpDrop" => Next(2) == 0 ? ", \"how\": \"rst\"" : "",
                "hubDown" => Next(2) == 0 ? ", \"how\": \"timeout\"" : "",
                "portBlocked" => Next(2) == 0 ? ", \"how\": \"blackHole\"" : "",
                "refuse" => $", \"code\": {1 + Next(5)}",
                "clockSkew" => $", \"seconds\": {Next(2000) - 1000}",
                _ => "",
            };
            faults.Add($"{{ \"at\": \"{Time(Next(14_000))}\", \"kind\": \"{kind}\"{keys} }}");
        }

        return $$"""
            { "seed": {{seed}}, "runFor": "04:00:00", "network": { "roundTripMs": {{Next(3) * 35}} },
              "fleet": [ {{string.Join(", ", fleets)}} ], "faults": [ {{string.Join(", ", faults)}} ] }
            """;
    }
}
