using System.Security.Cryptography.X509Certificates;
using Agent.Core;

namespace Agent.Host;

/// <summary>What the command line asks for, checked.</summary>
internal sealed record AgentOptions(
    ConnectionString Identity,
    int Port,
    X509Certificate2Collection? Roots,
    string? StateFolder,
    TokenSettings Settings)
{
    /// <summary>The port that tells a blocked 8883 from a hub that is away.</summary>
    public int ProbePort { get; init; } = 443;

    /// <summary>Time for DNS, TCP and TLS together.</summary>
    public TimeSpan DialTimeout { get; init; } = TimeSpan.FromSeconds(30);
}
