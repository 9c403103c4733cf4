using System.Text.Json;
using System.Text.Json.Nodes;
using Agent.Cli;
using Agent.Drive;
using Agent.Hub;
using Agent.Input;
using Agent.World;

namespace Agent.Tests.Drive;

/// <summary>Only the device side, in shards, against a hub that knows nothing of the run; and the results added up.</summary>
public sealed class FleetAndMergeTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("agent-fleet-test-").FullName;

    [Fact]
    public async Task Two_shards_drive_every_device_once_and_merge_to_the_whole()
    {
        Scenario scenario = PacketStyleTests.OneOf("load", 21, """, "heartbeatEvery": "00:00:01" """);
        await using HubServer hub = HubServer.Start(new HubServerOptions
        {
            DataDirectory = Path.Combine(folder, "hub"),
            Port = 0,
            DeviceIds = DeviceKeys.Ids(scenario),
        });
        Assert.True(hub.Registry.TryFindPolicy("device"u8, out AccessPolicy? policy));
        WireTarget target = await WireTargets.FindAsync(
            $"localhost:{hub.EndPoint.Port}", hub.Data.AuthorityPath, hub.Registry.ConnectionStringOf(policy), null, false, scenario);

        RunResult[] shards = await Task.WhenAll(
            WireRun.RunAsync(scenario, target, 0, 2, isPart: true, cancellation: TestContext.Current.CancellationToken),
            WireRun.RunAsync(scenario, target, 1, 2, isPart: true, cancellation: TestContext.Current.CancellationToken));
        JsonObject merged = MergeVerb.Merge([("one", ToJson(shards[0])), ("two", ToJson(shards[1]))]);

        JsonObject fleet = merged["fleets"]![0]!.AsObject();
        Assert.Equal(21, fleet["connects"]!.GetValue<double>());
        Assert.Equal(0, fleet["drops"]!.GetValue<double>() + fleet["refusals"]!.GetValue<double>());
        Assert.Equal(11, shards[0].Fleets[0].Statistics.Connects);
        Assert.InRange(fleet["heartbeats"]!.GetValue<double>(), 21, 2 * 21);
        Assert.Equal(2, merged["shards"]!.AsArray().Count);
        Assert.Equal(shards.Sum(shard => shard.Events), merged["events"]!.GetValue<long>());
    }

    [Fact]
    public void Percentiles_are_taken_from_the_merged_distributions()
    {
        JsonObject merged = MergeVerb.Merge([("one", Shard(1, "[[1000,3]]")), ("two", Shard(2, "[[1000,1],[9000,5]]"))]);

        JsonObject fleet = merged["fleets"]![0]!.AsObject();
        Assert.Equal(9, fleet["periodMedianSeconds"]!.GetValue<double>());
        Assert.Equal(1, fleet["periodP5Seconds"]!.GetValue<double>());
        Assert.Equal(4, fleet["connectsPerSecondMax"]!.GetValue<long>());
        Assert.Equal(10, fleet["byReason"]!["tokenExpired"]!.GetValue<double>());
    }

    [Theory]
    [InlineData(1, 2, "two: shard 1 is there twice")]
    [InlineData(2, 3, "two: another number of shards than one")]
    public void Results_that_do_not_belong_together_are_refused(int index, int of, string expected)
    {
        BadInputException problem = Assert.Throws<BadInputException>(
            () => MergeVerb.Merge([("one", Shard(1, "[]")), ("two", Shard(index, "[]", of))]));
        Assert.Equal(expected, problem.Message);
    }

    [Fact]
    public async Task A_hub_nobody_serves_is_said_once()
    {
        Scenario scenario = PacketStyleTests.OneOf("load", 1);
        string file = Path.Combine(folder, "devices.txt");
        await File.WriteAllTextAsync(
            file, "# by hand\nHostName=localhost;DeviceId=d;SharedAccessKey=QUJDREVGR0g=\n", TestContext.Current.CancellationToken);
        WireTarget target = await WireTargets.FindAsync("127.0.0.1:1", null, null, file, false, scenario);

        IOException problem = await Assert.ThrowsAsync<IOException>(
            () => WireRun.RunAsync(scenario, target, cancellation: TestContext.Current.CancellationToken));
        Assert.Equal("--hub 127.0.0.1: 127.0.0.1:1: connection refused, nobody listens on this port", problem.Message);
    }

    [Theory]
    [InlineData("localhost", "--hub: not HOST:PORT; like localhost:8883")]
    [InlineData("10.0.0.1:8883", "--hub 10.0.0.1: not this machine; a fleet is a load test, so other machines need --allow-remote")]
    [InlineData("localhost:8883", null)]
    public async Task Only_this_machine_is_loaded_unless_told_otherwise(string hub, string? expected)
    {
        Scenario scenario = PacketStyleTests.OneOf("load", 1);
        const string Policy = "HostName=localhost;SharedAccessKeyName=device;SharedAccessKey=QUJDREVGR0g=";
        Exception? problem = await Record.ExceptionAsync(() => WireTargets.FindAsync(hub, null, Policy, null, false, scenario));

        Assert.Equal(expected, problem?.Message);
    }

    [Fact]
    public async Task A_file_with_too_few_devices_is_refused_without_quoting_a_key()
    {
        string file = Path.Combine(folder, "devices.txt");
        await File.WriteAllTextAsync(
            file, "HostName=localhost;DeviceId=d;SharedAccessKey=QUJDREVGR0g=\n", TestContext.Current.CancellationToken);
        BadInputException problem = Assert.Throws<BadInputException>(
            () => DeviceKeys.FromFile(file, PacketStyleTests.OneOf("load", 2)));

        Assert.Equal($"{file}: 1 devices; the scenario has 2", problem.Message);
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);

    private static JsonObject ToJson(RunResult result)
    {
        using var memory = new MemoryStream();
        using (var json = new Utf8JsonWriter(memory))
        {
            result.Write(json);
        }

        return JsonNode.Parse(memory.ToArray())!.AsObject();
    }

    private static JsonObject Shard(int index, string periods, int of = 2) => JsonNode.Parse($$"""
        { "title": "t", "seed": 1, "runFor": "00:00:03", "wallSeconds": 3, "events": 5, "eventHash": "00000000000000ff",
          "shard": { "index": {{index}}, "of": {{of}} }, "loopLagMaxMs": 1, "expect": [],
          "fleets": [ { "name": "a", "sdk": "c", "devices": 4, "connects": 2, "renewals": 1, "drops": 1, "refusals": 0,
            "byReason": { "tokenExpired": 5 }, "logRecords": {}, "downSeconds": 0.1, "heartbeats": 1, "messagesBilled": 1,
            "distributions": { "periodsMs": {{periods}}, "gapsMs": [], "connectsBySecond": [[0, 2]] } } ] }
        """)!.AsObject();
}
