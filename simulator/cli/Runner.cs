using System.Diagnostics;
using Agent.Hub;
using Agent.World;

namespace Agent.Cli;

// One scenario, as many shards as there are processors, one result. Devices do not know of each other, so a shard is simply
// every n-th device with a queue and a hub of its own; what is counted is added up. Two things need one order over all
// devices and therefore one shard: the connection throttle, which they share, and log records somebody wants in a file.

/// <summary>Runs scenarios in virtual time.</summary>
public static class Runner
{
    // Below this many devices a second shard costs more than it saves.
    private const int DevicesPerShardMin = 2000;

    /// <summary>Runs a scenario from beginning to end.</summary>
    /// <param name="scenario">What to run.</param>
    /// <param name="shards">How many shards at most; 0 = one per processor.</param>
    /// <param name="onProgress">Told the share done, 0..1, now and then, from any thread.</param>
    /// <param name="onLogRecord">Receives every Connections record in order; asks for a single shard.</param>
    public static RunResult Run(
        Scenario scenario,
        int shards = 0,
        Action<double>? onProgress = null,
        Action<long, FleetRun, int, LogKind>? onLogRecord = null)
    {
        long started = Stopwatch.GetTimestamp();
        int devices = scenario.Fleets.Sum(fleet => fleet.Count);
        int wanted = shards > 0 ? shards : Environment.ProcessorCount;
        bool coupled = scenario.Hub.Throttle || onLogRecord is not null;
        int count = coupled ? 1 : shards > 0 ? Math.Min(wanted, devices) : Math.Clamp(devices / DevicesPerShardMin, 1, wanted);

        var worlds = new VirtualWorld[count];
        var done = new double[count];
        Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = count }, shard =>
        {
            var world = new VirtualWorld(scenario, shard, count) { OnLogRecord = onLogRecord };
            const int Steps = 200;
            for (int step = 1; step <= Steps; step++)
            {
                world.RunUntil(scenario.RunForMs * step / Steps);
                done[shard] = (double)step / Steps;
                onProgress?.Invoke(done.Min());
            }

            world.Finish(scenario.RunForMs);
            worlds[shard] = world;
        });
        return Collect(scenario, worlds, Stopwatch.GetElapsedTime(started).TotalSeconds);
    }

    private static RunResult Collect(Scenario scenario, VirtualWorld[] worlds, double wallSeconds)
    {
        var fleets = new List<FleetResult>();
        for (int i = 0; i < scenario.Fleets.Count; i++)
        {
            FleetRun first = worlds[0].Fleets[i];
            var result = new FleetResult(first.Plan, first.Model, first.Statistics);
            result.Lane.AddRange(first.Lane);
            result.Timeline.AddRange(worlds.SelectMany(world => world.Fleets[i].Timeline)
                .OrderBy(entry => entry.AtMs).ThenBy(entry => entry.Device));
            foreach (VirtualWorld other in worlds.AsSpan(1))
            {
                result.Statistics.Merge(other.Fleets[i].Statistics);
            }

            fleets.Add(result);
        }

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
            Fleets = fleets,
            Expectations = RunResult.Check(scenario, fleets),
        };
    }
}
