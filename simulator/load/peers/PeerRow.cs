namespace Agent.Load.Peers;

/// <summary>What one client did against one server, medians over the rounds. Times of the processor in µs.</summary>
public sealed record PeerRow(string Client, string Server)
{
    /// <summary>Connections held.</summary>
    public double Connections { get; init; }

    public double ConnectsPerSecond { get; init; }

    public double ClientBytesPerConnection { get; init; }

    public double ServerBytesPerConnection { get; init; }

    /// <summary>QoS 1, each message alone: 200 connections with one under way.</summary>
    public double ClientCpuMicrosPerMessage { get; init; }

    public double ServerCpuMicrosPerMessage { get; init; }

    /// <summary>In an open loop of 1000 messages a second.</summary>
    public double AckP99Ms { get; init; }

    /// <summary>TCP, full TLS handshake, CONNECT, CONNACK.</summary>
    public double ClientCpuMicrosPerConnect { get; init; }

    public double ServerCpuMicrosPerConnect { get; init; }

    /// <summary>QoS 1, 64 messages in one write, 50 connections.</summary>
    public double ClientCpuMicrosPerBatchedMessage { get; init; }

    public double ServerCpuMicrosPerBatchedMessage { get; init; }

    /// <summary>Connections that failed, over all rounds.</summary>
    public double Failed { get; init; }

    /// <summary>The numbers by their names in JSON.</summary>
    public IEnumerable<(string Name, double Value)> Numbers() =>
    [
        ("connections", Connections),
        ("connectsPerSecond", ConnectsPerSecond),
        ("clientBytesPerConnection", ClientBytesPerConnection),
        ("serverBytesPerConnection", ServerBytesPerConnection),
        ("clientCpuMicrosPerMessage", ClientCpuMicrosPerMessage),
        ("serverCpuMicrosPerMessage", ServerCpuMicrosPerMessage),
        ("ackP99Ms", AckP99Ms),
        ("clientCpuMicrosPerConnect", ClientCpuMicrosPerConnect),
        ("serverCpuMicrosPerConnect", ServerCpuMicrosPerConnect),
        ("clientCpuMicrosPerBatchedMessage", ClientCpuMicrosPerBatchedMessage),
        ("serverCpuMicrosPerBatchedMessage", ServerCpuMicrosPerBatchedMessage),
        ("failed", Failed),
    ];

    /// <summary>
    /// The median of each number over rounds of the same client and server; failures are added up. Of memory the largest: what a
    /// process has had once it may have again for nothing.
    /// </summary>
    public static PeerRow Median(IReadOnlyList<PeerRow> rounds)
    {
        double Of(Func<PeerRow, double> number) => Math.Round(rounds.Select(number).Order().ElementAt(rounds.Count / 2), 3);
        return new PeerRow(rounds[0].Client, rounds[0].Server)
        {
            Connections = Of(row => row.Connections),
            ConnectsPerSecond = Of(row => row.ConnectsPerSecond),
            ClientBytesPerConnection = Math.Round(rounds.Max(row => row.ClientBytesPerConnection)),
            ServerBytesPerConnection = Math.Round(rounds.Max(row => row.ServerBytesPerConnection)),
            ClientCpuMicrosPerMessage = Of(row => row.ClientCpuMicrosPerMessage),
            ServerCpuMicrosPerMessage = Of(row => row.ServerCpuMicrosPerMessage),
            AckP99Ms = Of(row => row.AckP99Ms),
            ClientCpuMicrosPerConnect = Of(row => row.ClientCpuMicrosPerConnect),
            ServerCpuMicrosPerConnect = Of(row => row.ServerCpuMicrosPerConnect),
            ClientCpuMicrosPerBatchedMessage = Of(row => row.ClientCpuMicrosPerBatchedMessage),
            ServerCpuMicrosPerBatchedMessage = Of(row => row.ServerCpuMicrosPerBatchedMessage),
            Failed = rounds.Sum(row => row.Failed),
        };
    }
}
