using System.Globalization;
using System.Text.Json.Nodes;
using Agent.Wire;

namespace Agent.Load;

/// <summary>The processes of one load test: as many hubs as it takes and a fleet beside each. Orders go to all at once.</summary>
internal sealed class LoadPairs : IAsyncDisposable
{
    private readonly List<Child> hubs = [];
    private readonly List<Child> fleets = [];
    private readonly List<int> counts = [];

    private LoadPairs()
    {
    }

    /// <summary>Devices in all.</summary>
    public int Count => counts.Sum();

    /// <summary>OpenSSL alone, in a process set like the others; null where there is none.</summary>
    public Child? Libssl { get; private set; }

    /// <summary>Starts everything; nothing is connected yet.</summary>
    /// <param name="connections">Devices in all.</param>
    /// <param name="pairs">Hubs, and fleets.</param>
    /// <param name="engine">Who does the work of TLS.</param>
    /// <param name="resume">Whether fleets resume TLS sessions.</param>
    public static async Task<LoadPairs> StartAsync(int connections, int pairs, TlsEngine engine, bool resume)
    {
        var made = new LoadPairs();
        Dictionary<string, string> settings = Child.SettingsFor(engine, 2 * pairs);

        // Memory in huge pages, where the system gives them to who asks: a tenth of the ramp's processor time was first touches of pages.
        settings["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1";
        try
        {
            for (int pair = 0, first = 0; pair < pairs; pair++)
            {
                int count = (connections + pairs - 1 - pair) / pairs;
                (Child hub, JsonObject ready) = await Child.StartAsync(
                    $"hub {pair + 1}", settings, "bench", "wire-hub", "--first", Text(first), "--count", Text(count),
                    "--tls", engine.Name()).ConfigureAwait(false);
                made.hubs.Add(hub);
                string[] arguments =
                [
                    "bench", "wire-fleet", "--port", ready["port"]!.ToString(), "--ca", (string)ready["ca"]!,
                    "--connection-strings", (string)ready["devices"]!, "--tls", engine.Name(),
                ];
                (Child fleet, _) = await Child.StartAsync(
                    $"fleet {pair + 1}", settings, resume ? [.. arguments, "--resume"] : arguments)
                    .ConfigureAwait(false);
                made.fleets.Add(fleet);
                made.counts.Add(count);
                first += count;
            }

            if (TlsEngines.IsAvailable(TlsEngine.Native))
            {
                (made.Libssl, _) = await Child.StartAsync("libssl", settings, "bench", "wire-libssl").ConfigureAwait(false);
            }

            return made;
        }
        catch
        {
            await made.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Says the same to every hub; their answers' numbers under a key, added up by <see cref="Sum"/>.</summary>
    public Task<JsonObject[]> AskHubsAsync(string order) => Task.WhenAll(hubs.Select(hub => hub.AskAsync(order)));

    /// <summary>Says the same to hubs and fleets.</summary>
    public async Task<JsonObject[]> AskAllAsync(string order) =>
        [.. await AskHubsAsync(order).ConfigureAwait(false), .. await AskFleetsAsync((_, _) => order).ConfigureAwait(false)];

    /// <summary>Says to each fleet what belongs to its number of devices.</summary>
    /// <param name="order">From a fleet's share of all (0 to 1) and its count to the order.</param>
    /// <param name="onProgress">Told how many devices are done in all.</param>
    public Task<JsonObject[]> AskFleetsAsync(Func<double, int, string> order, Action<int>? onProgress = null)
    {
        int[] done = new int[fleets.Count];
        return Task.WhenAll(fleets.Select((fleet, at) => fleet.AskAsync(
            order((double)counts[at] / Count, counts[at]),
            onProgress is null ? null : now =>
            {
                Volatile.Write(ref done[at], now);
                onProgress(done.Sum());
            })));
    }

    /// <summary>A number of each answer, added up.</summary>
    public static double Sum(JsonObject[] answers, string key) => answers.Sum(answer => (double)answer[key]!);

    /// <summary>The same of what an order to fleets brought.</summary>
    public static double SumOf(JsonObject[] answers, string key) => answers.Sum(answer => (double)answer["result"]![key]!);

    /// <summary>Latencies of each answer, put together.</summary>
    public static LatencyCounts Counts(JsonObject[] answers, string key)
    {
        var all = new LatencyCounts();
        foreach (JsonObject answer in answers)
        {
            all.Merge(answer[key]!.AsArray().Select(pair => (long[])[(long)pair![0]!, (long)pair[1]!]));
        }

        return all;
    }

    /// <summary>What went wrong, the most frequent first.</summary>
    public static IEnumerable<string> Faults(JsonObject[] answers) => answers
        .SelectMany(answer => answer["faults"]!.AsObject())
        .GroupBy(fault => fault.Key, fault => (int)fault.Value!)
        .OrderByDescending(group => group.Sum())
        .Select(group => $"{group.Sum()} x {group.Key}");

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Libssl is { } libssl)
        {
            await libssl.DisposeAsync().ConfigureAwait(false);
        }

        await Task.WhenAll(fleets.Select(fleet => fleet.DisposeAsync().AsTask())).ConfigureAwait(false);
        await Task.WhenAll(hubs.Select(hub => hub.DisposeAsync().AsTask())).ConfigureAwait(false);
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
