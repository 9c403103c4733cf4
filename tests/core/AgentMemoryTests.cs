using Agent.Core;

namespace Agent.Tests.Core;

/// <summary>What an agent costs in memory: the board has 128 KB of heap and M2Mqtt takes 26 of them (facts/nf-baseline.md).</summary>
public sealed class AgentMemoryTests
{
    [Fact]
    public void An_agent_with_the_boards_sizes_weighs_less_than_eight_kilobytes()
    {
        RamStorage state = new(2, 4096);
        RamStorage box = new(4, 1024);
        RamStorage queue = new(8, 4096);
        DeviceAgent? agent = null;
        for (int i = 0; i < 2; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            agent = new DeviceAgent(new DeviceAgentOptions
            {
                DeviceId = "d-1",
                Defaults = TokenSettings.Default(),
                Random = new SeededRandom(1),
                StateStorage = state,
                BlackBoxStorage = box,
                QueueStorage = queue,
            });
            if (i == 1)
            {
                long bytes = GC.GetAllocatedBytesForCurrentThread() - before;
                Assert.InRange(bytes, 1000, 8 * 1024); // pointers are twice the size of the board's here
            }
        }

        Assert.NotNull(agent);
    }

    [Fact]
    public void A_heartbeat_costs_its_topic_and_a_renewal_nothing_that_stays()
    {
        AgentRig rig = new AgentRig(Build.Settings(lifetime: 60, spread: 0, heartbeat: 0)).Start().RunFor(600_000);
        DeviceAgent agent = rig.Agent;
        long ms = rig.Ms;
        long perWake = Allocations.Of(() =>
        {
            for (int i = 0; i < 100; i++)
            {
                ms += 10;
                agent.OnWake(new Now(ms, 1_800_000_000 + (ms / 1000), true));
                agent.TryTakeOutput(new Now(ms, 1_800_000_000 + (ms / 1000), true), out _);
            }
        }) / 100;
        Assert.Equal(0, perWake);
    }
}
