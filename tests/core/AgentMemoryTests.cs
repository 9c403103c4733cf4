using System.Text;
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

    [Fact]
    public void The_longest_report_fits_the_boards_buffer()
    {
        AgentRig rig = new AgentRig(Build.Settings(heartbeat: 0)).Start();
        rig.Patch(2, LongestSettings()).RunFor(2000);
        rig.Patch(3, "{" + string.Join(',', Enumerable.Range(10, 30).Select(i => $"\"unheardOf{i}OfAnyKind\":1")) + "}")
            .RunFor(2000);
        Assert.Contains("\"ac\":400", rig.Reports[^1], StringComparison.Ordinal);
        Assert.InRange(rig.Reports.Max(report => report.Length), 600, 800);
        Assert.True(new DeviceAgentOptions().BufferBytes >= 800 + 64);
    }

    [Fact]
    public void A_twin_that_has_been_read_is_let_go()
    {
        AgentRig rig = new AgentRig(Build.Settings(heartbeat: 0)).Start();
        WeakReference twin = ReadLargeTwin(rig);
        WeakReference call = CallWithLargeBody(rig);
        GC.Collect();
        Assert.False(twin.IsAlive, "32 KB of a board's 128 would stay taken until the next twin");
        Assert.False(call.IsAlive);
        GC.KeepAlive(rig);
    }

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private static WeakReference ReadLargeTwin(AgentRig rig)
    {
        byte[] patch = Encoding.UTF8.GetBytes($"{{\"other\":\"{new string('x', 30_000)}\",\"$version\":9}}");
        rig.Agent.OnMessage(rig.Now, "$iothub/twin/PATCH/properties/desired/?$version=9", patch, 0, patch.Length);
        return new WeakReference(patch);
    }

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private static WeakReference CallWithLargeBody(AgentRig rig)
    {
        byte[] body = Encoding.UTF8.GetBytes($"{{\"below\":4,\"rest\":\"{new string('x', 30_000)}\"}}");
        rig.Agent.OnMessage(rig.Now, "$iothub/methods/POST/getDiagnostics/?$rid=1", body, 0, body.Length);
        return new WeakReference(body);
    }

    private static string LongestSettings()
    {
        StringBuilder text = new("{");
        IEnumerable<Setting> all = Enumerable.Range(0, (int)Setting.Count).Select(i => (Setting)i);
        foreach (IGrouping<string, Setting> group in all.GroupBy(SettingTable.Group))
        {
            IEnumerable<string> members = group.Where(setting => setting != Setting.RenewBeforeSeconds).Select(setting =>
            {
                string? word = SettingTable.Word(setting, SettingTable.Max(setting));
                return $"\"{SettingTable.Name(setting)}\":" + (word is null ? SettingTable.Max(setting) : $"\"{word}\"");
            });
            text.Append(text.Length > 1 ? "," : "").Append(
                group.Key.Length == 0 ? string.Join(',', members) : $"\"{group.Key}\":{{{string.Join(',', members)}}}");
        }

        return text.Append('}').ToString();
    }
}
