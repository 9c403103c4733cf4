using System.Security.Cryptography.X509Certificates;
using Agent.Core;

namespace Agent.Host;

/// <summary>What the command line asks for, checked.</summary>
internal sealed record AgentOptions(
    ConnectionString Identity,
    int Port,
    X509Certificate2Collection? Roots,
    string? StateFolder,
    TokenSettings Settings);
