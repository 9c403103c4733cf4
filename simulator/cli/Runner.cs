using System.Diagnostics;
using Agent.Detectors;
using Agent.Events;
using Agent.World;

namespace Agent.Cli;

// One scenario, as many shards as there are processors, one result. Devices do not know of each other, so a shard is simply
// every n-th device with a queue and a hub of its own; what is counted is added up. The connection throttle is the exception: all
// devices share it, so a run with a throttle has one shard. Where somebody wants records and events, the shards wait for each
// other now and then, and what they saw is put in one order; so it is where detectors are scored.

/// <summary>Runs scenarios in virtual time.</summary>
public static class Runner
{
    // Below this many devices a second shard costs more than it saves.
    private const int DevicesPerShardMin = 2000;

    private const int Steps = 200;

    // How far monitored shards go before what they saw is put in order: not less than a minute, in which a million devices earn
    // tens of thousands of records.
    private const long StretchMs = 60_000;
    private const int StretchesMax = 2000;

    // How far scored shards go: what a million devices do in an hour is held in memory, and told to the checker at once.
    private const long ScoredDeviceMs = 1_000_000 * 3_600_000L;
    private const long ScoredMaxMs = 6 * 3_600_000;

    /// <summary>Runs a scenario from beginning to end.</summary>
    /// <param name="scenario">What to run.</param>
    /// <param name="shards">How many shards at most; 0 = one per processor.</param>
    /// <param name="onProgress">Told the share done, 0..1, now and then, from any thread.</param>
    /// <param name="monitor">Receives what the hub lets out; null = nobody wants it.</param>
    public static RunResult Run(
        Scenario scenario, int shards = 0, Action<double>? onProgress = null, RunMonitor? monitor = null)
    {
        long started = Stopwatch.GetTimestamp();
        int devices = scenario.Fleets.Sum(fleet => fleet.Count);
        int wanted = shards > 0 ? shards : Environment.ProcessorCount;
        int count = scenario.Hub.Throttle ? 1
            : shards > 0 ? Math.Min(wanted, devices)
            : Math.Clamp(devices / DevicesPerShardMin, 1, wanted);
        bool isScored = scenario.Detectors.Count > 0;
        (VirtualWorld[] worlds, List<DetectorResult> detectors) = monitor is null && !isScored
            ? (RunFreely(scenario, count, onProgress), [])
            : RunWatched(scenario, count, onProgress, monitor);
        return Collect(scenario, worlds, detectors, Stopwatch.GetElapsedTime(started).TotalSeconds);
    }

    private static VirtualWorld[] RunFreely(Scenario scenario, int count, Action<double>? onProgress)
    {
        var worlds = new VirtualWorld[count];
        var done = new double[count];
        InParallel(count, shard =>
        {
            var world = new VirtualWorld(scenario, shard, count);
            for (int step = 1; step <= Steps; step++)
            {
                world.RunUntil(scenario.RunForMs * step / Steps);
                done[shard] = (double)step / Steps;
                onProgress?.Invoke(done.Min());
            }

            world.Finish(scenario.RunForMs);
            worlds[shard] = world;
        });
        return worlds;
    }

    private static (VirtualWorld[] Worlds, List<DetectorResult> Detectors) RunWatched(
        Scenario scenario, int count, Action<double>? onProgress, RunMonitor? monitor)
    {
        bool isScored = scenario.Detectors.Count > 0;
        var worlds = new VirtualWorld[count];
        InParallel(count, shard => worlds[shard] = new VirtualWorld(
            scenario, shard, count, monitored: true, monitor?.Telemetry ?? false, witnessed: isScored));
        Array.ForEach(worlds, world => monitor?.Add(world.Monitor!));
        DetectorRun? detectors = isScored ? new DetectorRun(scenario, worlds) : null;
        long stretches = Stretches(scenario, isMonitored: monitor is not null);
        for (int stretch = 1; stretch <= stretches; stretch++)
        {
            long untilMs = scenario.RunForMs * stretch / stretches;
            InParallel(count, shard =>
            {
                worlds[shard].RunUntil(untilMs);
                worlds[shard].Monitor!.AdvanceTo(untilMs);
                detectors?.AdvanceShard(shard, untilMs);
            });
            if (detectors is not null)
            {
                detectors.Advance(untilMs);
                InParallel(count, shard => detectors.SettleShard(shard, untilMs));
            }

            HandOn(worlds, monitor, isScored);
            onProgress?.Invoke((double)stretch / stretches);
        }

        InParallel(count, shard => worlds[shard].Finish(scenario.RunForMs));
        long heartbeats = worlds.Sum(world => world.Fleets.Sum(fleet => fleet.Statistics.Heartbeats));
        return (worlds, detectors?.Finish(scenario.RunForMs, heartbeats) ?? []);
    }

    // The number of stretches depends on the scenario alone, and what is seen does not depend on it.
    private static long Stretches(Scenario scenario, bool isMonitored)
    {
        long devices = scenario.Fleets.Sum(fleet => (long)fleet.Count);
        long scoredMs = Math.Clamp(ScoredDeviceMs / devices, StretchMs, ScoredMaxMs);
        long stretches = scenario.Detectors.Count == 0 ? 1 : (scenario.RunForMs + scoredMs - 1) / scoredMs;
        return isMonitored ? Math.Max(stretches, Math.Clamp(scenario.RunForMs / StretchMs, Steps, StretchesMax)) : stretches;
    }

    private static void HandOn(VirtualWorld[] worlds, RunMonitor? monitor, bool isScored)
    {
        monitor?.HandOn();
        foreach (VirtualWorld world in worlds)
        {
            world.Monitor!.Clear();
            world.Monitor.KeepsRecords |= isScored; // The files may be full; the detectors never are.
            world.Monitor.KeepsEvents |= isScored;
        }
    }

    private static void InParallel(int count, Action<int> shard) =>
        Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = count }, shard);

    private static RunResult Collect(
        Scenario scenario, VirtualWorld[] worlds, List<DetectorResult> detectors, double wallSeconds)
    {
        List<FleetResult> fleets = FleetResult.Merge([.. worlds.Select(world => world.Fleets)]);
        ulong sum = 0;
        long events = 0;
        long bytes = 0;
        foreach (VirtualWorld world in worlds)
        {
            sum += world.Log.Sum;
            events += world.Events;
            bytes += world.Bytes;
        }

        return new RunResult
        {
            Scenario = scenario,
            WallSeconds = wallSeconds,
            Events = events,
            EventHash = World.EventLog.Finish(scenario.Seed, sum),
            Shards = worlds.Length,
            Bytes = bytes,
            Pending = (worlds.Sum(world => world.Pending.CountMax), worlds.Sum(world => world.Pending.Bytes)),
            Fleets = fleets,
            Detectors = detectors,
            Expectations = RunResult.Check(scenario, fleets, detectors),
        };
    }
}
