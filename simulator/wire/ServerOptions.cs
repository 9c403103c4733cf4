namespace Agent.Wire;

/// <summary>How a server listens and how much it endures.</summary>
public sealed record ServerOptions
{
    /// <summary>TLS settings; null = plain TCP, for tests and measurements.</summary>
    public TlsServer? Tls { get; init; }

    /// <summary>Connections the system may queue before they are accepted. Default 4096, Linux's usual maximum.</summary>
    public int Backlog { get; init; } = 4096;

    /// <summary>
    /// Connections served at once, handshaking ones included; more are reset at accept. Default no bound but
    /// <see cref="FileLimit"/>.
    /// </summary>
    public int ConnectionsMax { get; init; } = int.MaxValue;

    /// <summary>From TCP accept to the CONNECT packet, TLS included. Default 30 s.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Connections that may be before or in their TLS handshake at once; further ones wait in the backlog. While
    /// the bound is reached, <see cref="HandshakePatience"/> applies. Default 2000.
    /// </summary>
    public int HandshakesMax { get; init; } = 2000;

    /// <summary>How old a handshake may get while <see cref="HandshakesMax"/> is reached. Default 5 s.</summary>
    public TimeSpan HandshakePatience { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Sizes and times of a session.</summary>
    public SessionLimits Limits { get; init; } = new();

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
