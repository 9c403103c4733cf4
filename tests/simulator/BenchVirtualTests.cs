using System.Text.Json.Nodes;
using Agent.Tests.Hub;

namespace Agent.Tests.Simulator;

/// <summary>The verb itself with a few devices: the contract's keys, a hash that shards do not change, the bound on state.</summary>
public class BenchVirtualTests
{
    private static readonly string[] Contract =
    [
        "devices", "simulatedHours", "wallSeconds", "eventsPerSecond", "deviceDaysPerSecond", "bytesPerDevice", "peakRssBytes", "shards",
    ];

    [Fact]
    public async Task Every_figure_is_told_and_shards_change_none_of_the_events()
    {
        JsonObject one = await RunAsync("--devices", "4000", "--hours", "3", "--shards", "1", "--json");
        JsonObject two = await RunAsync("--devices", "4000", "--hours", "3", "--shards", "2", "--beside-one-shard", "--json");

        Assert.Equal(Contract, two.Select(figure => figure.Key).Take(Contract.Length));
        Assert.Equal((4000, 3, 2), ((int)two["devices"]!, (int)two["simulatedHours"]!, (int)two["shards"]!));
        Assert.Equal((string)one["eventHash"]!, (string)two["eventHash"]!);
        string[] measured = ["eventsPerSecond", "queueHoldsPerSecond", "shareOfQueueHolds", "timesOneShard", "pendingEventsMax"];
        Assert.All(measured, name => Assert.InRange((double)two[name]!, double.Epsilon, double.MaxValue));
        Assert.InRange((double)two["stateBytesPerDevice"]!, 1, 64);
    }

    private static async Task<JsonObject> RunAsync(params string[] arguments)
    {
        await using ChildProcess bench = ChildProcess.Start("simulator.dll", ["bench", "virtual", .. arguments]);
        await bench.WaitForExitAsync().WaitAsync(TimeSpan.FromMinutes(2));
        Assert.True(bench.ExitCode == 0, bench.Error + bench.Output);
        JsonNode document = JsonNode.Parse(bench.Output)!;
        Assert.Equal("virtual", (string)document["name"]!);
        return document["figures"]!.AsObject();
    }
}
