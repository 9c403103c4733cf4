namespace Agent.Wire;

/// <summary>How a server listens and how much it endures.</summary>
public sealed record ServerOptions
{
    /// <summary>TLS settings; null = plain TCP, for tests and measurements.</summary>
    public TlsServer? Tls { get; init; }

    /// <summary>Connections the system may queue before they are accepted. Default 4096, Linux's usual maximum.</summary>
    public int Backlog { get; init; } = 4096;

    /// <summary>
    /// Connections served at once, strangers included; more are reset at accept. Default no bound but
    /// <see cref="FileLimit"/>.
    /// </summary>
    public int ConnectionsMax { get; init; } = int.MaxValue;

    /// <summary>From TCP accept, or the WebSocket's upgrade, to the CONNECT packet, TLS included. Default 30 s.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Connections without an accepted CONNECT at once, at least 1; for a newcomer above it the oldest of them is evicted, see
    /// <see cref="Strangers"/>. Default 2000: at most 200 KB each, TLS and the longest unfinished CONNECT together.
    /// </summary>
    public int StrangersMax { get; init; } = 2000;

    /// <summary>The same for one IPv4 address or one IPv6 /64. Default 1000.</summary>
    public int StrangersPerAddressMax { get; init; } = 1000;

    /// <summary>Sizes and times of a session.</summary>
    public SessionLimits Limits { get; init; } = new();

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
