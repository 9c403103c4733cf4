namespace Agent.Wire;

/// <summary>How much one session may take in and hold back.</summary>
public sealed record SessionLimits
{
    /// <summary>
    /// Largest packet body accepted, bytes, 16 to 268,435,455. Default 327,680: a 256 KiB message (the hub's limit)
    /// and the longest topic.
    /// </summary>
    public int BodyBytesMax { get; init; } = 262_144 + 65_536;

    /// <summary>
    /// Largest body of a server's first packet, bytes: what a stranger may make the server hold. Default 73,728: the
    /// longest will message and 8 KiB for the rest. Never above <see cref="BodyBytesMax"/>.
    /// </summary>
    public int ConnectBodyBytesMax { get; init; } = 65_536 + 8192;

    /// <summary>
    /// Bytes that may wait for a slow peer before the session ends as SlowReader, at least one whole packet that is
    /// to be sent. Default 1,048,576. Taken only while they wait: an idle session holds none.
    /// </summary>
    public int OutboundBytesMax { get; init; } = 1 << 20;

    /// <summary>
    /// How long a closing session may take to deliver its last bytes and see the peer's FIN; after it the
    /// connection is reset. Default 2 s.
    /// </summary>
    public TimeSpan CloseLinger { get; init; } = TimeSpan.FromSeconds(2);
}
