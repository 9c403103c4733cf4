using System.Diagnostics;
using System.Globalization;
using Agent.World;

namespace Agent.Cli;

/// <summary><c>bench virtual</c>: a large fleet in virtual time, as fast as it goes.</summary>
/// <remarks>
/// How fast is fast? A simulation of events cannot be faster than its queue alone, so the queue alone is measured in the same
/// process, by the hold model: take the next event, put it in again later. It has as many events pending, as many threads and the
/// same time from an event to its next as the run on average had. Not chosen: a second simulator as the yardstick; it would do other work.
/// </remarks>
public static class BenchVirtual
{
    private const int HoldsPerShard = 8_000_000;

    private static readonly string[] Sdks = ["dotnet", "java", "node", "python"];

    /// <summary>Runs it and prints the figures of the contract, then the others.</summary>
    /// <param name="devices">Devices in all.</param>
    /// <param name="hours">Simulated hours.</param>
    /// <param name="shards">Shards; 0 = one per processor.</param>
    /// <param name="besideOneShard">Whether the same is run with one shard afterwards, for the ratio.</param>
    /// <param name="json">Whether the figures are printed as one JSON document.</param>
    public static int Run(int devices, double hours, int shards, bool besideOneShard, bool json)
    {
        long runForMs = (long)(hours * 3_600_000);
        Scenario scenario = Plan(devices, runForMs);
        RunResult result = ProgressBar.During(
            $"{devices} devices, {hours} h", onProgress => Runner.Run(scenario, shards, onProgress));
        long peakRssBytes = Process.GetCurrentProcess().PeakWorkingSet64;
        double eventsPerSecond = result.Events / result.WallSeconds;
        double holdsPerSecond = MeasureHolds(result, runForMs);
        double days = devices * hours / 24;
        List<(string Name, double Value)> figures =
        [
            ("devices", devices),
            ("simulatedHours", hours),
            ("wallSeconds", Math.Round(result.WallSeconds, 3)),
            ("eventsPerSecond", Math.Round(eventsPerSecond)),
            ("deviceDaysPerSecond", Math.Round(days / result.WallSeconds)),
            ("bytesPerDevice", Math.Round((double)result.Bytes / devices, 1)),
            ("peakRssBytes", peakRssBytes),
            ("shards", result.Shards),
            ("stateBytesPerDevice", Math.Round((double)(result.Bytes - result.Pending.Bytes) / devices, 1)),
            ("pendingEventsMax", result.Pending.CountMax),
            ("bytesPerPendingEvent", Math.Round((double)result.Pending.Bytes / result.Pending.CountMax, 1)),
            ("queueHoldsPerSecond", Math.Round(holdsPerSecond)),
            ("shareOfQueueHolds", Math.Round(eventsPerSecond / holdsPerSecond, 3)),
        ];
        if (besideOneShard)
        {
            RunResult single = ProgressBar.During("the same, one shard", onProgress => Runner.Run(scenario, 1, onProgress));
            figures.Add(("oneShardWallSeconds", Math.Round(single.WallSeconds, 3)));
            figures.Add(("timesOneShard", Math.Round(single.WallSeconds / result.WallSeconds, 2)));
        }

        if (json)
        {
            JsonOutput.Print(writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("name", "virtual");
                writer.WriteStartObject("figures");
                foreach ((string name, double value) in figures)
                {
                    writer.WriteNumber(name, value);
                }

                writer.WriteString("eventHash", result.EventHash);
                writer.WriteEndObject();
                writer.WriteEndObject();
            });
            return ExitCode.Done;
        }

        foreach ((string name, double value) in figures)
        {
            Console.WriteLine($"{name,-22} {value.ToString("#,0.###", CultureInfo.InvariantCulture)}");
        }

        Console.WriteLine($"{"eventHash",-22} {result.EventHash}");
        Console.WriteLine($"{"events",-22} {result.Events.ToString("#,0", CultureInfo.InvariantCulture)}");
        long heartbeats = result.Fleets.Sum(fleet => fleet.Statistics.Heartbeats);
        Console.WriteLine($"{"heartbeats",-22} {heartbeats.ToString("#,0", CultureInfo.InvariantCulture)}");
        return ExitCode.Done;
    }

    // One queue a shard, as in the run; holds of all of them a second.
    private static double MeasureHolds(RunResult result, long runForMs)
    {
        int pending = (int)(result.Pending.CountMax / result.Shards);
        long meanMs = Math.Max(1, runForMs * result.Pending.CountMax / result.Events);
        var queues = new VirtualTime[result.Shards];
        var delays = new int[1 << 12];
        var random = new Random(1);
        for (int i = 0; i < delays.Length; i++)
        {
            delays[i] = (int)Math.Min(int.MaxValue, random.NextInt64(2 * meanMs));
        }

        Parallel.For(0, queues.Length, shard =>
        {
            queues[shard] = new VirtualTime();
            var starts = new Random(shard);
            for (int device = 0; device < pending; device++)
            {
                queues[shard].At(starts.NextInt64(meanMs), device, 0, 0);
            }

            Hold(queues[shard], delays, pending);
        });
        long started = Stopwatch.GetTimestamp();
        Parallel.For(0, queues.Length, shard => Hold(queues[shard], delays, HoldsPerShard));
        return (double)HoldsPerShard * queues.Length / Stopwatch.GetElapsedTime(started).TotalSeconds;
    }

    private static void Hold(VirtualTime queue, int[] delays, int count)
    {
        for (int i = 0; i < count && queue.TryNext(VirtualTime.MaxMs, out Pending due); i++)
        {
            queue.At(due.AtMs + delays[i & (delays.Length - 1)], due.Device, due.Kind, due.Link);
        }
    }

    // The four SDKs of the vendor's table evenly, default lifetimes, a heartbeat a minute, starts spread over an hour.
    private static Scenario Plan(int devices, long runForMs)
    {
        var fleets = new List<FleetPlan>();
        for (int i = 0; i < Sdks.Length; i++)
        {
            int count = (devices + Sdks.Length - 1 - i) / Sdks.Length;
            if (count > 0)
            {
                fleets.Add(new FleetPlan
                {
                    Name = Sdks[i],
                    Sdk = Sdks[i],
                    Count = count,
                    Settings = new Agent.Fleet.ClientSettings { HeartbeatEveryMs = 60_000 },
                    StartSpreadMs = Math.Min(3_600_000, runForMs),
                });
            }
        }

        return new Scenario { Title = "bench virtual", RunForMs = runForMs, Fleets = fleets };
    }
}
