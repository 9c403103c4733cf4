using Agent.World;

namespace Agent.Tests.Drive;

/// <summary>The same models in virtual time and on TLS sockets against the hub: every device must live through the same.</summary>
[Collection(RealTime.Name)]
public sealed class WireDifferentialTests
{
    [Fact]
    public async Task Every_sdk_lives_through_the_same_events_on_the_wire_as_in_virtual_time()
    {
        (RunResult seen, string differences) = await RealTimeRuns.EverySdk;

        Assert.True(differences.Length == 0, differences);
        Assert.All(seen.Fleets, fleet => Assert.True(fleet.Statistics.Connects > 0));
    }

    [Fact]
    public async Task A_fault_does_to_a_device_on_the_wire_what_it_does_in_virtual_time()
    {
        (RunResult seen, string differences) = await RealTimeRuns.EveryFault;

        Assert.True(differences.Length == 0, differences);
        Assert.Equal(2, seen.Fleets[^1].Statistics.Drops);
    }
}
