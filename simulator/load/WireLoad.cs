using System.Globalization;
using System.Text.Json.Nodes;
using Agent.Wire;

namespace Agent.Load;

/// <summary>What <c>bench wire</c> was asked for.</summary>
public sealed record WireLoadOptions
{
    /// <summary>Devices in all.</summary>
    public int Connections { get; init; } = 1000;

    /// <summary>QoS 1 messages a second, over all devices.</summary>
    public double MessagesPerSecond { get; init; } = 10_000;

    /// <summary>How long each of the two stretches with messages lasts, s; null = <see cref="StretchSeconds"/>.</summary>
    public double? Seconds { get; init; }

    /// <summary>
    /// The same with its standard filled in: 10 s, and longer for a fleet so large that a tenth of it would renew faster than
    /// <see cref="RenewalsPerSecondMax"/>, which is 36 times what 19,000 devices with tokens of an hour do.
    /// </summary>
    public double StretchSeconds => Seconds ?? Math.Max(10, Math.Ceiling(Connections / 10.0 / RenewalsPerSecondMax));

    /// <summary>Renewals a second at most, where nobody has said how long they may take.</summary>
    public const double RenewalsPerSecondMax = 190;

    /// <summary>Dials under way at once, in each fleet.</summary>
    public int DialsAtOnce { get; init; } = 32;

    /// <summary>Who does the work of TLS, at both ends.</summary>
    public TlsEngine Engine { get; init; }

    /// <summary>Whether TLS sessions are resumed instead of full handshakes.</summary>
    public bool Resume { get; init; }
}

/// <summary><c>bench wire</c>: a fleet and a hub in processes of their own, by the ten thousand.</summary>
/// <remarks>
/// In order: a warm-up, whose connections go away again, in rounds until the compilers of all processes are at rest; all devices
/// connect, in five legs with OpenSSL's own speed measured between them, for connections that stay as these do; all rests and
/// memory is read after a full collection at both ends, against what it was after the warm-up; messages without anything else, for
/// the processor time of a message; messages while a tenth of the fleet renews, for the latencies. A message's latency runs from
/// when it was handed to the engine; how late the generator itself was is told beside it, and both together are
/// <c>ackFromScheduleP99Ms</c>. Processor time of the ramp is that of hubs and fleets, CONNECT with its token and the hub's record
/// included.
/// </remarks>
public static class WireLoad
{
    /// <summary>Parts of the ramp.</summary>
    internal const int Legs = 5;

    private const int WarmUps = 2000;
    private const int WarmUpRoundsMax = 5;
    private const double CompilingPartMax = 0.01;
    private static readonly TimeSpan WarmUpRest = TimeSpan.FromMilliseconds(400);
    private const string BaselineSeconds = "0.5";
    private const int RenewingPart = 10;

    /// <summary>Runs it.</summary>
    /// <param name="options">What is wanted.</param>
    /// <param name="limits">From <see cref="WireLimits.Plan(int, TlsEngine)"/>.</param>
    /// <param name="onProgress">Told the share done, 0 to 1, from any thread.</param>
    /// <param name="onFault">Told what went wrong.</param>
    /// <returns>The figures by the names of the contract, in its order, then the others.</returns>
    /// <exception cref="IOException">A process could not be started or has died.</exception>
    public static async Task<IReadOnlyList<(string Name, double Value)>> RunAsync(
        WireLoadOptions options, WireLimits limits, Action<double> onProgress, Action<string> onFault)
    {
        LoadPairs pairs = await LoadPairs.StartAsync(options.Connections, limits.Pairs, options.Engine, options.Resume)
            .ConfigureAwait(false);
        await using (pairs.ConfigureAwait(false))
        {
            List<Baseline> baselines = [];
            string dials = Text(options.DialsAtOnce);
            await WarmUpAsync(pairs, dials).ConfigureAwait(false);
            onProgress(0.1);
            JsonObject[] hubsBefore = await pairs.AskHubsAsync("settle").ConfigureAwait(false);
            JsonObject[] fleetsBefore = await pairs.AskFleetsAsync((_, _) => "settle").ConfigureAwait(false);

            var ramp = new Ramp();
            await MeasureBaselineAsync(pairs, baselines).ConfigureAwait(false);
            for (int leg = 0; leg < Legs; leg++)
            {
                await ramp.ClimbAsync(pairs, leg, dials, done => onProgress(0.1 + (0.5 * (leg + done) / Legs))).ConfigureAwait(false);
                await MeasureBaselineAsync(pairs, baselines).ConfigureAwait(false);
            }

            JsonObject[] hubsIdle = await pairs.AskHubsAsync("settle").ConfigureAwait(false);
            JsonObject[] fleetsIdle = await pairs.AskFleetsAsync((_, _) => "settle").ConfigureAwait(false);
            onProgress(0.7);
            Stretch calm = await SendAsync(pairs, options, 0).ConfigureAwait(false);
            onProgress(0.85);
            Stretch busy = await SendAsync(pairs, options, RenewingPart).ConfigureAwait(false);
            JsonObject[] hubsEnd = await pairs.AskHubsAsync("mark").ConfigureAwait(false);
            foreach (string fault in LoadPairs.Faults(busy.Fleets))
            {
                onFault(fault);
            }

            double connected = LoadPairs.Sum(hubsEnd, "connected");
            double failed = Math.Max(
                options.Connections - connected,
                ramp.Failed + LoadPairs.SumOf(busy.Fleets, "failed") + LoadPairs.Sum(busy.Fleets, "lost"));
            List<(string, double)> figures =
            [
                ("connections", options.Connections),
                ("connected", connected),
                ("failed", failed),
                ("connectsPerSecond", Round(options.Connections / ramp.Seconds)),
                ("hubBytesPerConnection", PerConnection(hubsIdle, hubsBefore, options.Connections)),
                ("fleetBytesPerConnection", PerConnection(fleetsIdle, fleetsBefore, options.Connections)),
                ("messagesPerSecond", Round(busy.Messages / options.StretchSeconds)),
                ("ackP50Ms", busy.Acknowledged.PercentileMs(0.50)),
                ("ackP99Ms", busy.Acknowledged.PercentileMs(0.99)),
                ("hubCpuMicrosPerMessage", Round(calm.Hubs("cpuMicros") / calm.Messages)),
                ("fleetCpuMicrosPerMessage", Round(calm.FleetsUsed("cpuMicros") / calm.Messages)),
                ("generatorLagP99Ms", busy.Lag.PercentileMs(0.99)),
                ("pairs", limits.Pairs),
                ("hubCpuMicrosPerConnect", Round(ramp.HubMicros / options.Connections)),
                ("fleetCpuMicrosPerConnect", Round(ramp.FleetMicros / options.Connections)),
                ("connectsPerCpuSecond", Round(1e6 * options.Connections / (ramp.HubMicros + ramp.FleetMicros))),
                ("compilingPartOfConnect", Math.Round(ramp.CompilerMicros / (ramp.HubMicros + ramp.FleetMicros), 4)),
                ("calmAckP99Ms", calm.Acknowledged.PercentileMs(0.99)),
                ("ackFromScheduleP99Ms", busy.Acknowledged.PercentileMs(0.99) + busy.Lag.PercentileMs(0.99)),
                ("renewals", busy.Renewals),
                ("renewalsPerSecond", Round(busy.Renewals / options.StretchSeconds)),
                ("hubPauseMs", Round(busy.Hubs("pauseMicros") / 1000)),
                ("fleetPauseMs", Round(busy.FleetsUsed("pauseMicros") / 1000)),
                ("hubAllocatedBytesPerMessage", Round(calm.Hubs("allocatedBytes") / calm.Messages)),
                ("fleetAllocatedBytesPerMessage", Round(calm.FleetsUsed("allocatedBytes") / calm.Messages)),
                ("messagesUnsent", LoadPairs.SumOf(busy.Fleets, "unsent") + LoadPairs.SumOf(calm.Fleets, "unsent")),
                ("messagesUnacknowledged", calm.Messages + busy.Messages - calm.Acknowledged.Count - busy.Acknowledged.Count),
                ("hubBytes", LoadPairs.Sum(hubsIdle, "bytes")),
                ("fleetBytes", LoadPairs.Sum(fleetsIdle, "bytes")),
                ("hubManagedBytes", LoadPairs.Sum(hubsIdle, "managedBytes")),
            ];
            if (baselines.Count > 0)
            {
                figures.Add(("libsslHandshakesPerCpuSecond", Round(baselines.Average(one => one.Held))));
                figures.Add(("shareOfLibssl", MedianShare(ramp, baselines, one => one.Held)));
                figures.Add(("libsslPassingHandshakesPerCpuSecond", Round(baselines.Average(one => one.Passing))));
                figures.Add(("shareOfLibsslPassing", MedianShare(ramp, baselines, one => one.Passing)));
            }

            onProgress(1);
            return figures;
        }
    }

    // Each leg beside what was measured just before and just after it; the median, since a neighbour may spoil one.
    private static double MedianShare(Ramp ramp, List<Baseline> baselines, Func<Baseline, double> of) => Math.Round(
        ramp.PerCpuSecond
            .Select((rate, leg) => rate / ((of(baselines[leg]) + of(baselines[leg + 1])) / 2))
            .Order().ElementAt(Legs / 2),
        3);

    private static async Task WarmUpAsync(LoadPairs pairs, string dials)
    {
        for (int round = 0; round < WarmUpRoundsMax; round++)
        {
            JsonObject[] before = await pairs.AskAllAsync("mark").ConfigureAwait(false);
            await pairs.AskFleetsAsync((_, count) => $"warm {Math.Min(count, WarmUps)} {dials}").ConfigureAwait(false);

            // What has become hot is compiled when nothing new has been for a tenth of a second.
            await Task.Delay(WarmUpRest).ConfigureAwait(false);
            JsonObject[] after = await pairs.AskAllAsync("mark").ConfigureAwait(false);
            double compiling = LoadPairs.Sum(after, "compilerMicros") - LoadPairs.Sum(before, "compilerMicros");
            if (compiling < CompilingPartMax * (LoadPairs.Sum(after, "cpuMicros") - LoadPairs.Sum(before, "cpuMicros")))
            {
                break;
            }
        }
    }

    private static async Task<Stretch> SendAsync(LoadPairs pairs, WireLoadOptions options, int renewingPart)
    {
        JsonObject[] hubsBefore = await pairs.AskHubsAsync("mark").ConfigureAwait(false);
        JsonObject[] fleetsBefore = await pairs.AskFleetsAsync((_, _) => "mark").ConfigureAwait(false);
        int renewals = 0;
        JsonObject[] fleets = await pairs.AskFleetsAsync((share, count) =>
        {
            int some = renewingPart == 0 ? 0 : Math.Max(1, count / renewingPart);
            renewals += some;
            return string.Create(
                CultureInfo.InvariantCulture, $"send {options.MessagesPerSecond * share} {options.StretchSeconds} {some}");
        }).ConfigureAwait(false);
        JsonObject[] hubs = await pairs.AskHubsAsync("mark").ConfigureAwait(false);
        return new Stretch(
            fleets, LoadPairs.SumOf(fleets, "sent"), renewals,
            key => LoadPairs.Sum(hubs, key) - LoadPairs.Sum(hubsBefore, key),
            key => LoadPairs.Sum(fleets, key) - LoadPairs.Sum(fleetsBefore, key),
            LoadPairs.Counts(fleets, "acknowledgements"), LoadPairs.Counts(fleets, "lag"));
    }

    // Nothing is measured where there is no OpenSSL to compare with.
    private static async Task MeasureBaselineAsync(LoadPairs pairs, List<Baseline> baselines)
    {
        if (pairs.Libssl is { } libssl)
        {
            double held = (double)(await libssl.AskAsync($"held {BaselineSeconds}").ConfigureAwait(false))["perCpuSecond"]!;
            double passing = (double)(await libssl.AskAsync($"passing {BaselineSeconds}").ConfigureAwait(false))["perCpuSecond"]!;
            baselines.Add(new Baseline(held, passing));
        }
    }

    private static double PerConnection(JsonObject[] idle, JsonObject[] before, int connections) =>
        Math.Round((LoadPairs.Sum(idle, "bytes") - LoadPairs.Sum(before, "bytes")) / connections);

    private static double Round(double value) => Math.Round(value, 2);

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    /// <summary>OpenSSL alone, handshakes a CPU-second: connections that stay, and connections let go at once.</summary>
    private sealed record Baseline(double Held, double Passing);

    /// <summary>One stretch of messages; what hubs and fleets have used of something in it, by its key in their answers.</summary>
    private sealed record Stretch(
        JsonObject[] Fleets, double Messages, int Renewals, Func<string, double> Hubs, Func<string, double> FleetsUsed,
        LatencyCounts Acknowledged, LatencyCounts Lag);
}
