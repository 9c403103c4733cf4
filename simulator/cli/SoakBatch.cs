using System.Diagnostics;
using Agent.Soak;
using Agent.World;

namespace Agent.Cli;

/// <summary>What came of many seeds.</summary>
public sealed record SoakReport
{
    public required ulong FirstSeed { get; init; }

    /// <summary>How many were run.</summary>
    public required int Seeds { get; init; }

    /// <summary>Those that broke something, lowest seed first.</summary>
    public required IReadOnlyList<SoakResult> Failures { get; init; }

    public required long Events { get; init; }

    /// <summary>Time lived, all devices of all worlds together.</summary>
    public required double DeviceDays { get; init; }

    public required double WallSeconds { get; init; }

    /// <summary>Over every event of every seed; does not depend on threads.</summary>
    public required ulong Hash { get; init; }
}

/// <summary>Runs seeds on every core until there are enough or the time is up.</summary>
public static class SoakBatch
{
    /// <param name="from">The first seed.</param>
    /// <param name="count">How many at most.</param>
    /// <param name="time">After this no further seed is begun.</param>
    /// <param name="threads">0 = one per processor.</param>
    /// <param name="onProgress">Told the share done, 0..1, from any thread.</param>
    public static SoakReport Run(ulong from, int count, TimeSpan time, int threads = 0, Action<double>? onProgress = null)
    {
        long started = Stopwatch.GetTimestamp();
        var gate = new Lock();
        var failures = new List<SoakResult>();
        int taken = 0;
        int done = 0;
        long events = 0;
        double deviceMs = 0;
        ulong hash = 0;
        int workers = threads > 0 ? threads : Environment.ProcessorCount;
        Parallel.For(0, workers, new ParallelOptions { MaxDegreeOfParallelism = workers }, _ =>
        {
            while (Stopwatch.GetElapsedTime(started) < time && Interlocked.Increment(ref taken) is var mine && mine <= count)
            {
                SoakResult result = SoakRun.One(from + (ulong)(mine - 1));
                lock (gate)
                {
                    done++;
                    events += result.Events;
                    deviceMs += result.DeviceMs;
                    hash += Randomness.Mix(result.Hash ^ result.Seed);
                    if (result.Broken is not null)
                    {
                        failures.Add(result);
                    }
                }

                onProgress?.Invoke(Math.Max((double)done / count, Stopwatch.GetElapsedTime(started) / time));
            }
        });
        return new SoakReport
        {
            FirstSeed = from,
            Seeds = done,
            Failures = [.. failures.OrderBy(one => one.Seed)],
            Events = events,
            DeviceDays = deviceMs / 86_400_000,
            WallSeconds = Stopwatch.GetElapsedTime(started).TotalSeconds,
            Hash = hash,
        };
    }
}
