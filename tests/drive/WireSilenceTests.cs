using Agent.Hub;
using Agent.World;

namespace Agent.Tests.Drive;

/// <summary>Connections that stand and carry nothing: here the two ends see different things at different times.</summary>
[Collection(RealTime.Name)]
public sealed class WireSilenceTests
{
    [Fact]
    public async Task When_nothing_is_heard_each_end_finds_out_by_its_own_patience()
    {
        RunResult result = await RealTimeRuns.Silence;

        // The client waits for the answer to its ping, the hub for 1.5 times the keep-alive.
        FleetStatistics vanish = result.Fleets[0].Statistics;
        Assert.Equal((2, 4), (vanish.ByReason[(int)Reason.TimedOut], vanish.Connects));
        Assert.Equal(2, vanish.LogRecords[(int)LogKind.DisconnectClosedRemotely]);
        Assert.InRange(vanish.DownMs, 2 * 10_000, 2 * 15_000);

        // A hub that rests does not look at the keep-alive either: the device's own end is the first it hears of.
        FleetStatistics silent = result.Fleets[1].Statistics;
        Assert.Equal((2, 4), (silent.ByReason[(int)Reason.TimedOut], silent.Connects));

        // The hub cut the stopped application long before it went on and saw it.
        FleetResult hang = result.Fleets[2];
        Assert.Equal(1, hang.Statistics.ByReason[(int)Reason.KeepAliveLost]);
        Assert.True(hang.Timeline.First(entry => entry.Event == Seen.Close).AtMs >= 18_500);

        // The two take the identity from each other about once a second.
        FleetStatistics twins = result.Fleets[3].Statistics;
        Assert.InRange(twins.ByReason[(int)Reason.TakenOver], 2, 3);
        Assert.InRange(twins.LogRecords[(int)LogKind.DisconnectTakenOver], 4, 6);
    }
}
