using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Agent.Wire;

namespace Agent.Load.Peers;

/// <summary>What <c>bench peers</c> was asked for.</summary>
/// <param name="Connections">Held in each pairing.</param>
/// <param name="Seconds">How long each kind of message is sent.</param>
/// <param name="Rounds">How often all pairings are gone through; medians are told.</param>
public sealed record PeerOptions(int Connections = 500, double Seconds = 2, int Rounds = 3);

/// <summary><c>bench peers</c>: our hub beside mosquitto, our client engines beside mosquitto's, on the same work in one call.</summary>
/// <remarks>
/// Pairings take turns within a round, so that a neighbour's load falls on all of them. The first in the list is the load the servers
/// are compared under: one client, three servers. Everything is over TLS 1.3 with full handshakes, a P-256 certificate, TCP_NODELAY.
/// What is counted is processor time of each process, which a busy machine moves far less than wall time.
/// </remarks>
public static class PeerBench
{
    /// <summary>The names in <see cref="PeerRow"/>.</summary>
    public const string Native = "agent native";

    /// <inheritdoc cref="Native"/>
    public const string Portable = "agent portable";

    /// <inheritdoc cref="Native"/>
    public const string Mosquitto = "mosquitto";

    private const int Single = 200;
    private const int Batched = 50;
    private const int BatchSize = 64;
    private const int OpenLoopPerSecond = 1000;
    private const int DialsAtOnce = 16;

    /// <summary>Runs it.</summary>
    /// <param name="options">What is wanted.</param>
    /// <param name="onProgress">Told the share done, 0 to 1.</param>
    /// <param name="onMissing">Told which peer is not here, and how to have it.</param>
    /// <exception cref="IOException">A process could not be started or has died.</exception>
    public static async Task<IReadOnlyList<PeerRow>> RunAsync(PeerOptions options, Action<double> onProgress, Action<string> onMissing)
    {
        string? mosquitto = Broker.FindMosquitto();
        (string Client, string Server)[] pairings = [.. Pairings(mosquitto is not null, onMissing)];
        var rounds = pairings.ToDictionary(pairing => pairing, _ => new List<PeerRow>());
        int done = 0;
        for (int round = 0; round < options.Rounds; round++)
        {
            foreach ((string Client, string Server) pairing in pairings)
            {
                rounds[pairing].Add(await MeasureAsync(pairing.Client, pairing.Server, mosquitto, options).ConfigureAwait(false));
                onProgress((double)++done / (pairings.Length * options.Rounds));
            }
        }

        return [.. pairings.Select(pairing => PeerRow.Median(rounds[pairing]))];
    }

    /// <summary>The ratios that have goals; of servers, under the same client.</summary>
    public static IEnumerable<(string Name, double Value)> Ratios(IReadOnlyList<PeerRow> rows)
    {
        PeerRow? Find(string client, string server) => rows.FirstOrDefault(row => row.Client == client && row.Server == server);
        string load = rows[0].Client;
        if (Find(load, Mosquitto) is not { } peer)
        {
            yield break;
        }

        foreach ((string server, string name) in new[] { (Native, "native"), (Portable, "portable") })
        {
            if (Find(load, server) is { } ours)
            {
                yield return ($"{name}HubCpuPerConnectAgainstMosquitto", ours.ServerCpuMicrosPerConnect / peer.ServerCpuMicrosPerConnect);
                yield return ($"{name}MessagesPerCpuSecondAgainstMosquitto", peer.ServerCpuMicrosPerMessage / ours.ServerCpuMicrosPerMessage);
                yield return (
                    $"{name}BatchedMessagesPerCpuSecondAgainstMosquitto",
                    peer.ServerCpuMicrosPerBatchedMessage / ours.ServerCpuMicrosPerBatchedMessage);
            }
        }
    }

    private static IEnumerable<(string Client, string Server)> Pairings(bool hasMosquitto, Action<string> onMissing)
    {
        bool hasNative = TlsEngines.IsAvailable(TlsEngine.Native);
        string load = hasNative ? Native : Portable;
        if (!hasMosquitto)
        {
            onMissing("mosquitto is not installed (Debian package mosquitto): our own rows only");
        }

        string[] servers = [.. hasMosquitto ? [Mosquitto] : Array.Empty<string>(), .. hasNative ? [Native] : Array.Empty<string>(), Portable];
        foreach (string server in servers)
        {
            yield return (load, server);
        }

        if (hasNative)
        {
            yield return (Portable, hasMosquitto ? Mosquitto : Portable);
        }

        if (hasMosquitto && LibMosquitto.IsThere)
        {
            yield return (Mosquitto, Mosquitto);
        }
        else
        {
            onMissing("libmosquitto.so.1 is not installed (Debian package libmosquitto1): no rows with its client");
        }

        onMissing("MQTTnet: not measured, its fleet is built with `dotnet build simulator/real/mqttnetfleet -p:GenuineSdk=true`");
    }

    private static async Task<PeerRow> MeasureAsync(string client, string server, string? mosquitto, PeerOptions options)
    {
        Broker broker = server switch
        {
            Mosquitto => await Broker.StartMosquittoAsync(mosquitto!).ConfigureAwait(false),
            Native => await Broker.StartHubAsync(options.Connections, "native").ConfigureAwait(false),
            _ => await Broker.StartHubAsync(options.Connections, "portable").ConfigureAwait(false),
        };
        await using (broker.ConfigureAwait(false))
        {
            (Child fleet, _) = await Child.StartAsync("fleet", [.. Arguments(client, broker, options.Connections)]).ConfigureAwait(false);
            await using (fleet.ConfigureAwait(false))
            {
                return await MeasureAsync(new PeerRow(client, server), broker, fleet, options).ConfigureAwait(false);
            }
        }
    }

    private static async Task<PeerRow> MeasureAsync(PeerRow row, Broker broker, Child fleet, PeerOptions options)
    {
        string count = Text(options.Connections);

        // Twice: the first thousands of a process cost half as much again, and three kinds of message warm up too.
        for (int times = 0; times < 2; times++)
        {
            await fleet.AskAsync($"warm {count} {DialsAtOnce}").ConfigureAwait(false);
        }

        ProcessFigures serverBefore = await broker.FiguresAsync(settle: true).ConfigureAwait(false);
        JsonObject before = await fleet.AskAsync("settle").ConfigureAwait(false);
        long begin = Stopwatch.GetTimestamp();
        JsonObject ramp = await fleet.AskAsync($"connect 0 {count} {DialsAtOnce}").ConfigureAwait(false);
        double seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        ProcessFigures serverAfter = await broker.FiguresAsync(settle: false).ConfigureAwait(false);
        ProcessFigures serverIdle = await broker.FiguresAsync(settle: true).ConfigureAwait(false);
        JsonObject idle = await fleet.AskAsync("settle").ConfigureAwait(false);

        (double Client, double Server, JsonObject Answer) single = await SendAsync(
            broker, fleet, $"pump {Single} 1 {Text(options.Seconds)}").ConfigureAwait(false);
        (double Client, double Server, JsonObject Answer) batched = await SendAsync(
            broker, fleet, $"pump {Batched} {BatchSize} {Text(options.Seconds)}").ConfigureAwait(false);
        (double Client, double Server, JsonObject Answer) open = await SendAsync(
            broker, fleet, $"send {OpenLoopPerSecond} {Text(options.Seconds)} 0").ConfigureAwait(false);
        return row with
        {
            Connections = options.Connections,
            ConnectsPerSecond = options.Connections / seconds,
            ClientBytesPerConnection = ((long)idle["bytes"]! - (long)before["bytes"]!) / options.Connections,
            ServerBytesPerConnection = (serverIdle.Bytes - serverBefore.Bytes) / options.Connections,
            ClientCpuMicrosPerConnect = ((double)ramp["cpuMicros"]! - (double)before["cpuMicros"]!) / options.Connections,
            ServerCpuMicrosPerConnect = (serverAfter.CpuMicros - serverBefore.CpuMicros) / options.Connections,
            ClientCpuMicrosPerMessage = single.Client,
            ServerCpuMicrosPerMessage = single.Server,
            ClientCpuMicrosPerBatchedMessage = batched.Client,
            ServerCpuMicrosPerBatchedMessage = batched.Server,
            AckP99Ms = LoadPairs.Counts([open.Answer], "acknowledgements").PercentileMs(0.99),
            Failed = options.Connections - (double)open.Answer["open"]!,
        };
    }

    // Once for the compiler, once for the figures.
    private static async Task<(double Client, double Server, JsonObject Answer)> SendAsync(Broker broker, Child fleet, string order)
    {
        await fleet.AskAsync(order).ConfigureAwait(false);
        ProcessFigures serverBefore = await broker.FiguresAsync(settle: false).ConfigureAwait(false);
        JsonObject before = await fleet.AskAsync("mark").ConfigureAwait(false);
        JsonObject after = await fleet.AskAsync(order).ConfigureAwait(false);
        ProcessFigures serverAfter = await broker.FiguresAsync(settle: false).ConfigureAwait(false);
        double sent = Math.Max(1, (double)after["result"]!["sent"]!);
        return (
            ((double)after["cpuMicros"]! - (double)before["cpuMicros"]!) / sent,
            (serverAfter.CpuMicros - serverBefore.CpuMicros) / sent,
            after);
    }

    private static IEnumerable<string> Arguments(string client, Broker broker, int count)
    {
        string[] all =
        [
            "bench", client == Mosquitto ? "peer-fleet" : "wire-fleet", "--port", Text(broker.Port), "--ca", broker.Authority,
            "--count", Text(count),
        ];
        string[] devices = broker.Devices is { } path ? ["--connection-strings", path] : [];
        string[] engine = client == Mosquitto ? [] : ["--tls", client == Native ? "native" : "portable"];
        return [.. all, .. devices, .. engine];
    }

    private static string Text(double number) => number.ToString(CultureInfo.InvariantCulture);
}
