using System.Net;

namespace Agent.Wire;

/// <summary>How a client dials. Share one instance among all connections that are alike.</summary>
public sealed record ClientOptions
{
    /// <summary>TLS settings; null = plain TCP, for tests and measurements.</summary>
    public TlsClient? Tls { get; init; }

    /// <summary>
    /// Source address; null = the system chooses. 28,232 connections fit on one source address to one server
    /// address and port (facts/limits.md section 0); 127.0.0.0/8 has plenty of addresses for more.
    /// </summary>
    public IPAddress? LocalAddress { get; init; }

    /// <summary>Time for DNS, TCP and TLS together. Default 30 s; at least 1 ms.</summary>
    public TimeSpan DialTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Whether what awaits a dial goes on at once on the engine's own thread, where handlers are called too, and must block as little
    /// as they: the native engine then saves a switch of threads a dial. Default no.
    /// </summary>
    public bool ContinuesInline { get; init; }

    /// <summary>Sizes and times of a session.</summary>
    public SessionLimits Limits { get; init; } = new();

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
