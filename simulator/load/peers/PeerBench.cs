using Agent.Verify;
using Agent.Wire;

namespace Agent.Load.Peers;

/// <summary>What <c>bench peers</c> was asked for.</summary>
/// <param name="Connections">Held in each pairing.</param>
/// <param name="Seconds">How long each kind of message is sent.</param>
/// <param name="Rounds">How often all pairings are gone through; medians are told.</param>
public sealed record PeerOptions(int Connections = 500, double Seconds = 2, int Rounds = 3);

/// <summary><c>bench peers</c>: our hub beside mosquitto, our client engines beside mosquitto's, on the same work in one call.</summary>
/// <remarks>
/// Every pairing is warmed up and then they take turns, round after round, so that a neighbour's load falls on all of them. The
/// client of the first is the load the servers are compared under: one client, three servers. Everything is over TLS 1.3 with full
/// handshakes, a P-256 certificate and TCP_NODELAY. What is counted is processor time of each process, which a busy machine moves
/// far less than wall time.
/// </remarks>
public static class PeerBench
{
    /// <summary>The names in <see cref="PeerRow"/>.</summary>
    public const string Native = "agent native";

    /// <inheritdoc cref="Native"/>
    public const string Portable = "agent portable";

    /// <inheritdoc cref="Native"/>
    public const string Mosquitto = "mosquitto";

    /// <inheritdoc cref="Native"/>
    public const string Mqttnet = "MQTTnet";

    private const double WarmUpShare = 0.4;

    /// <summary>Runs it.</summary>
    /// <param name="options">What is wanted.</param>
    /// <param name="onProgress">Told the share done, 0 to 1.</param>
    /// <param name="onMissing">Told which peer is not here, and how to have it.</param>
    /// <exception cref="IOException">A process could not be started or has died.</exception>
    public static async Task<IReadOnlyList<PeerRow>> RunAsync(PeerOptions options, Action<double> onProgress, Action<string> onMissing)
    {
        string? mosquitto = Broker.FindMosquitto();
        (string Client, string Server)[] pairings = [.. Pairings(mosquitto is not null, onMissing)];
        var pairs = new List<PeerPair>();
        try
        {
            foreach ((string client, string server) in pairings)
            {
                PeerPair pair = await PeerPair.StartAsync(client, server, mosquitto, options).ConfigureAwait(false);
                pairs.Add(pair);
                await pair.WarmUpAsync().ConfigureAwait(false);
                onProgress(WarmUpShare * pairs.Count / pairings.Length);
            }

            for (int round = 0; round < options.Rounds; round++)
            {
                foreach (PeerPair pair in pairs)
                {
                    await pair.MeasureAsync().ConfigureAwait(false);
                    onProgress(WarmUpShare + ((1 - WarmUpShare) * pairs.Sum(one => one.Rounds.Count) / (pairs.Count * options.Rounds)));
                }
            }

            return [.. pairs.Select(pair => PeerRow.Median(pair.Rounds))];
        }
        finally
        {
            foreach (PeerPair pair in pairs)
            {
                await pair.DisposeAsync().ConfigureAwait(false);
            }
        }
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
                yield return (
                    $"{name}MessagesPerCpuSecondAgainstMosquitto", peer.ServerCpuMicrosPerMessage / ours.ServerCpuMicrosPerMessage);
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

        if (hasMosquitto)
        {
            yield return (load, Mosquitto);
        }

        if (hasNative)
        {
            yield return (load, Native);
        }

        yield return (load, Portable);

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

        if (hasMosquitto && GenuineSdk.FindMqttnetFleet() is not null)
        {
            yield return (Mqttnet, Mosquitto);
        }
        else
        {
            onMissing("MQTTnet: no row, its fleet is not built: dotnet build simulator/real/mqttnetfleet -c Release -p:GenuineSdk=true");
        }
    }
}
