using Agent.Fleet;
using Agent.Hub;
using Agent.World;

namespace Agent.Detectors;

// "Which settings are the cheapest that keep my promise?" is a search over four things one can set: how long a token lives, how often
// devices send heartbeats, how patient the detector is, and which tier is bought. The first two change what happens and must be simulated;
// the third is tried many times over in one simulation, because detectors do not disturb each other; the fourth is arithmetic.
//
// So a candidate's behaviour comes from a small fleet in a long simulation with the same troubles for all (a rota of power cuts, networks
// without packets, hung programs and firewalls, each on a small share so that no fleet-wide alarm stands in for the single ones), and its
// price from the fleet that was asked about. The false alarms of a candidate are few or none, so the sample must be long: it spans
// three times the years in which the limit allows one (no alarm in so long a time means a rate below the limit, at 95 %). Not chosen:
// formulas for lateness, which would be right for the detectors we know well and wrong for those we want to know about.

/// <summary>What somebody asks for.</summary>
public sealed record AdviceLimits
{
    /// <summary>The 99th percentile of the lateness may not exceed this, ms.</summary>
    public required long LateMs { get; init; }

    /// <summary>False alarms that may be raised per device and year.</summary>
    public required double FalseAlarmsPerDeviceYear { get; init; }

    /// <summary>Share of the outages of at least a minute that may go untold, 0..1.</summary>
    public double MissedShare { get; init; } = 0.01;

    /// <summary>Devices of the fleet, 1 to 1,000,000: what one hub takes.</summary>
    public required int Devices { get; init; }

    /// <summary>Their SDKs, evenly.</summary>
    public required IReadOnlyList<SdkEntry> Sdks { get; init; }

    /// <summary>Longest token life to be considered, ms.</summary>
    public long LifetimeMaxMs { get; init; } = 86_400_000;

    /// <summary>For the simulations.</summary>
    public ulong Seed { get; init; } = 1;
}

/// <summary>One combination of settings, what it does and what it costs.</summary>
/// <param name="Detector">Detector with its option.</param>
/// <param name="LifetimeMs">Token life; null = each SDK's own.</param>
/// <param name="HeartbeatEveryMs">Interval of the heartbeats; null = this detector needs none.</param>
/// <param name="Result">What the simulation found.</param>
/// <param name="Tier">The cheapest tier for it; empty = none can do it.</param>
/// <param name="Units">Units of that tier.</param>
/// <param name="UsdPerMonth">What that costs the whole fleet.</param>
public sealed record AdviceCandidate(
    DetectorPlan Detector, long? LifetimeMs, long? HeartbeatEveryMs, DetectorResult Result, string Tier, int Units, double UsdPerMonth)
{
    /// <summary>Share of the outages of at least a minute that it did not tell.</summary>
    public double MissedShare
    {
        get
        {
            long outages = Result.Outages - Result.Flaps;
            return outages == 0 ? 0 : 1 - ((double)(Result.Detected - Result.FlapsDetected) / outages);
        }
    }

    /// <summary>Whether it keeps the limits.</summary>
    public bool Meets(AdviceLimits limits) =>
        Tier.Length > 0 && Result.LatenessSeconds(0.99) is { } late && late * 1000 <= limits.LateMs &&
        Result.FalseAlarmsPerDeviceYear <= limits.FalseAlarmsPerDeviceYear && MissedShare <= limits.MissedShare;

    /// <summary>By how much it misses them; 0 = not at all. Factors are added, so that one bad figure does not hide another.</summary>
    public double Distance(AdviceLimits limits) =>
        (Tier.Length > 0 ? 0 : 1000) +
        Over((Result.LatenessSeconds(0.99) ?? 86_400) * 1000, limits.LateMs) +
        Over(Result.FalseAlarmsPerDeviceYear + 0.01, limits.FalseAlarmsPerDeviceYear + 0.01) +
        Over(MissedShare + 0.01, limits.MissedShare + 0.01);

    private static double Over(double seen, double allowed) => Math.Max(0, Math.Log(seen / allowed));
}

/// <summary>Searches the cheapest settings.</summary>
public sealed class Advice
{
    private const long MinuteMs = 60_000;
    private const long DayMs = 86_400_000;
    private const int SampleDevices = 240;
    private const double SampleYearsMin = 2;
    private const double SampleYearsMax = 30;

    // What the application sends anyway, so that its connection is visible to Event Grid; on nobody's bill here.
    private const long OwnTelemetryMs = 5 * MinuteMs;

    private static readonly long[] Intervals = [10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000];
    private static readonly long[] Lifetimes = [3_600_000, 4 * 3_600_000, DayMs];
    private static readonly long[] Debounces = [0, MinuteMs, 2 * MinuteMs, 3 * MinuteMs, 5 * MinuteMs, 10 * MinuteMs];
    private static readonly long[] Lives = [MinuteMs, 2 * MinuteMs, 5 * MinuteMs];

    private readonly AdviceLimits limits;
    private readonly Func<Scenario, Action<double>, IReadOnlyList<DetectorResult>> simulate;

    /// <param name="limits">What is asked for.</param>
    /// <param name="simulate">Runs a scenario and scores its detectors.</param>
    public Advice(AdviceLimits limits, Func<Scenario, Action<double>, IReadOnlyList<DetectorResult>> simulate)
    {
        this.limits = limits;
        this.simulate = simulate;
    }

    /// <summary>All candidates, the cheapest that meets the limits first; those that do not, by how near they come, after them.</summary>
    public List<AdviceCandidate> Search(Action<double> onProgress)
    {
        List<(long? LifetimeMs, long? HeartbeatEveryMs)> runs =
            [.. LifetimesToTry().SelectMany(_ => IntervalsToTry(), (life, beat) => (life, beat))];
        var found = new List<AdviceCandidate>[runs.Count];
        var done = new double[runs.Count];
        Parallel.For(0, runs.Count, i =>
        {
            (long? lifetimeMs, long? everyMs) = runs[i];
            IReadOnlyList<DetectorResult> results = simulate(Plan(lifetimeMs, everyMs), share =>
            {
                done[i] = share;
                onProgress(done.Sum() / runs.Count);
            });
            found[i] = [.. results.Select(result => Price(result, lifetimeMs, everyMs))];
        });

        // Of two that cost the same the faster one, and of those the one that was tried first: a default before a setting.
        return [.. found.SelectMany(some => some).OrderByDescending(one => one.Meets(limits))
            .ThenBy(one => one.Meets(limits) ? one.UsdPerMonth : one.Distance(limits))
            .ThenBy(one => one.Result.LatenessSeconds(0.99) ?? double.MaxValue)];
    }

    private AdviceCandidate Price(DetectorResult result, long? lifetimeMs, long? everyMs)
    {
        (string tier, int units, double usd) = Cheapest(result);
        return new AdviceCandidate(result.Plan, lifetimeMs, everyMs, result, tier, units, usd);
    }

    private IEnumerable<long?> LifetimesToTry() =>
        new long?[] { null }.Concat(limits.Sdks.All(sdk => sdk.TakesLifetime)
            ? Lifetimes.Where(lifetime => lifetime <= limits.LifetimeMaxMs).Select(lifetime => (long?)lifetime)
            : []);

    // An interval that is longer than the limit cannot keep it.
    private IEnumerable<long?> IntervalsToTry() =>
        new long?[] { null }.Concat(Intervals.Where(interval => interval <= limits.LateMs).Select(interval => (long?)interval));

    private Scenario Plan(long? lifetimeMs, long? everyMs)
    {
        double years = Math.Clamp(3 / Math.Max(limits.FalseAlarmsPerDeviceYear, 0.0001), SampleYearsMin, SampleYearsMax);
        long runForMs = (long)Math.Ceiling(years * 365 / SampleDevices) * DayMs;
        int each = Math.Max(1, SampleDevices / limits.Sdks.Count);
        return new Scenario
        {
            Title = "advice",
            Seed = limits.Seed,
            RunForMs = runForMs,
            Fleets = [.. limits.Sdks.Select(sdk => new FleetPlan
            {
                Name = sdk.Id,
                Sdk = sdk.Id,
                Count = each,
                StartSpreadMs = 60 * MinuteMs,
                Settings = new ClientSettings
                {
                    LifetimeSeconds = lifetimeMs / 1000,
                    HeartbeatEveryMs = everyMs ?? OwnTelemetryMs,
                    Features = Features.CloudToDevice,
                },
            })],
            Faults = Rota(runForMs),
            Detectors = everyMs is null
                ? [.. Debounces.SelectMany(debounce => new[]
                    {
                        DetectorPlan.Default("eventGrid") with { DebounceMs = debounce },
                        DetectorPlan.Default("connectionsLog") with { DebounceMs = debounce },
                    }),
                    DetectorPlan.Default("connectedDevices"),
                    DetectorPlan.Default("connectionState"),
                    .. Lives.Select(life => DetectorPlan.Default("shortExpiry") with { TtlMs = life })]
                : [.. new[] { 1, 2, 3 }.Select(missed => DetectorPlan.Default("heartbeat") with { Missed = missed })],
        };
    }

    // Two troubles a day, each for 3 % of the devices, at moments that drift through the day.
    private static List<FaultPlan> Rota(long runForMs)
    {
        (FaultKind Kind, long ForMs)[] kinds =
        [
            (FaultKind.NetworkDown, 30 * MinuteMs), (FaultKind.Crash, 60 * MinuteMs), (FaultKind.Hang, 20 * MinuteMs),
            (FaultKind.NetworkDown, 120 * MinuteMs), (FaultKind.PortBlocked, 120 * MinuteMs), (FaultKind.Crash, 15 * MinuteMs),
        ];
        var faults = new List<FaultPlan>();
        for (long atMs = 7 * 60 * MinuteMs; atMs < runForMs - (6 * 60 * MinuteMs); atMs += (12 * 60 * MinuteMs) + (7 * MinuteMs) + 13_571)
        {
            (FaultKind kind, long forMs) = kinds[faults.Count % kinds.Length];
            faults.Add(new FaultPlan { AtMs = atMs, ForMs = forMs, Kind = kind, Share = 0.03, Hard = true });
        }

        return faults;
    }

    // Whole units, enough of them for the day's messages, the messages a second and the messages to devices.
    private (string Tier, int Units, double Usd) Cheapest(DetectorResult result)
    {
        (string Tier, int Units, double Usd) best = ("", 0, double.MaxValue);
        foreach (string tier in HubOptions.Tiers.Where(tier => tier != "F1"))
        {
            var one = new HubOptions { Tier = tier };
            if (result.Use.NeedsStandard && one.IsBasic)
            {
                continue;
            }

            int units = Math.Max(1, (int)Math.Ceiling(Math.Min(result.Use.UnitsUsed(tier, limits.Devices), int.MaxValue)));
            double perSecond = result.Use.MessagesPerDeviceDay * limits.Devices / 86_400;
            while (units <= one.UnitsMax && (one with { Units = units }).ConnectsPerSecondLimit < perSecond)
            {
                units++; // The limit of messages a second is that of connections (facts/iothub.md §6).
            }

            double usd = (units * one.UsdPerUnitMonth) + result.Use.BesidesHubUsdPerMonth(limits.Devices);
            if (units <= one.UnitsMax && usd < best.Usd)
            {
                best = (tier, units, usd);
            }
        }

        return best;
    }
}
