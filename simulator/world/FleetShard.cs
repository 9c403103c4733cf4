using System.Runtime.CompilerServices;
using Agent.Fleet;

namespace Agent.World;

/// <summary>
/// The devices of a scenario that one driver runs: every n-th of each fleet, with local indices that leave no gap. The same for virtual
/// time and for the wire, so that a device starts at the same moment and has the same luck in both.
/// </summary>
public sealed class FleetShard
{
    private readonly FleetRun[] fleets;
    private readonly int[] ends;
    private readonly ulong seed;

    /// <param name="scenario">What is run.</param>
    /// <param name="shard">Which part, 0-based.</param>
    /// <param name="shardCount">Of how many.</param>
    public FleetShard(Scenario scenario, int shard, int shardCount)
    {
        Shard = shard;
        ShardCount = shardCount;
        seed = scenario.Seed;
        fleets = new FleetRun[scenario.Fleets.Count];
        ends = new int[fleets.Length];
        int firstGlobal = 0;
        for (int i = 0; i < fleets.Length; i++)
        {
            FleetPlan plan = scenario.Fleets[i];
            int count = Math.Max(0, (plan.Count - shard + shardCount - 1) / shardCount);
            SdkModel model = SdkCatalog.Create(plan.Sdk, plan.Behaviour, plan.Settings, count, scenario.Seed);
            fleets[i] = new FleetRun(plan, model, DeviceCount, count, firstGlobal);
            ends[i] = DeviceCount += count;
            firstGlobal += plan.Count;
        }
    }

    /// <summary>Which part this is, 0-based.</summary>
    public int Shard { get; }

    /// <summary>Of how many.</summary>
    public int ShardCount { get; }

    /// <summary>Devices of all fleets in this part.</summary>
    public int DeviceCount { get; }

    /// <summary>The fleets, in the order of the scenario; one may have no device here.</summary>
    public IReadOnlyList<FleetRun> Fleets => fleets;

    /// <summary>The fleet of a device.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public FleetRun FleetOf(int local) => fleets[FleetIndexOf(local)];

    /// <summary>Its place in the scenario.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int FleetIndexOf(int local)
    {
        int[] table = ends;
        int index = 0;
        while (local >= table[index])
        {
            index++;
        }

        return index;
    }

    /// <summary>The device's index in the whole run.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int GlobalOf(FleetRun fleet, int local) => fleet.GlobalIndex(local, Shard, ShardCount);

    /// <summary>When a device starts, ms: uniform over the spread, computed again whenever it is needed rather than kept.</summary>
    public long StartOf(FleetRun fleet, int local)
    {
        long spreadMs = fleet.Plan.StartSpreadMs;
        if (spreadMs == 0)
        {
            return 0;
        }

        ulong draw = Randomness.Draw(seed, GlobalOf(fleet, local), uint.MaxValue);
        return (long)(Randomness.ToUnit(draw) * spreadMs);
    }

    /// <summary>The device's next heartbeat after a moment: on its grid of start + k · interval.</summary>
    public long NextHeartbeatMs(FleetRun fleet, int local, long nowMs)
    {
        long startMs = StartOf(fleet, local);
        long everyMs = fleet.Plan.Settings.HeartbeatEveryMs;
        return startMs + ((GridPoints(nowMs + 1 - startMs, everyMs) + 1) * everyMs);
    }

    /// <summary>Multiples of an interval in (0, length).</summary>
    public static long GridPoints(long lengthMs, long everyMs) => lengthMs <= 0 ? 0 : (lengthMs - 1) / everyMs;
}
