using System.Net;
using Agent.Wire;
using Agent.World;

namespace Agent.Drive;

/// <summary>What a run on the wire drives, and against whom.</summary>
public sealed record WirePlan
{
    public required Scenario Scenario { get; init; }

    /// <summary>Where the hub, or what stands before it, listens.</summary>
    public required IPEndPoint Remote { get; init; }

    /// <summary>How the hub's certificate is checked.</summary>
    public required TlsClient Tls { get; init; }

    /// <summary>Who the devices are.</summary>
    public required DeviceKeys Keys { get; init; }

    /// <summary>Which part of the devices, 0-based.</summary>
    public int Shard { get; init; }

    /// <summary>Of how many parts.</summary>
    public int ShardCount { get; init; } = 1;

    /// <summary>Whether the result is one to be merged with others.</summary>
    public bool IsPart { get; init; }

    /// <summary>Dials under way at once; more wait. No SYN was lost with 64 (facts/limits.md section 0).</summary>
    public int DialsAtOnce { get; init; } = 64;

    /// <summary>Devices this process drives.</summary>
    public int DeviceCount => Scenario.Fleets.Sum(fleet => Math.Max(0, (fleet.Count - Shard + ShardCount - 1) / ShardCount));

    /// <summary>The hub, when it is in this process.</summary>
    internal OwnHub? Hub { get; init; }

    /// <summary>What stands before the hub, when a fault needs it.</summary>
    internal Relay? Relay { get; init; }

    /// <summary>Ports that do not answer, when a fault needs them.</summary>
    internal DeadPorts? Ports { get; init; }
}
