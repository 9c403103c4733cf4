namespace Agent.Hub;

/// <summary>What the hub limits the rate of (facts/iothub.md §6).</summary>
public enum ThrottleKind : byte
{
    /// <summary>New connections. No queue: a client beyond the rate is hung up on.</summary>
    Connections,

    /// <summary>Device-to-cloud messages, whatever their size.</summary>
    Telemetry,

    /// <summary>Twin reads, by devices and services together.</summary>
    TwinReads,

    /// <summary>Twin updates, by devices and services together.</summary>
    TwinUpdates,

    /// <summary>Direct methods, counted in blocks of 4 KB of payload.</summary>
    Methods,

    /// <summary>Identity registry operations: create, retrieve, list, update, delete.</summary>
    Registry,

    /// <summary>Twin queries.</summary>
    Queries,

    /// <summary>Cloud-to-device sends.</summary>
    Commands,
}

/// <summary>The operation throttles of a hub, by tier and units; all silent unless <see cref="HubOptions.Throttle"/> is set.</summary>
/// <remarks>
/// The vendor gives the rates but not the sizes of burst and queue, only that twice the rate runs freely "for the first minute or
/// two" and that a queue of limited size follows. Chosen here: a minute's worth of burst, and a queue of
/// <see cref="QueueMs"/>, short enough that the usual client has not given up on its operation.
/// </remarks>
public sealed class Throttles
{
    /// <summary>Length of the burst, ms: the lower end of the vendor's "minute or two".</summary>
    public const long BurstMs = 60_000;

    /// <summary>Longest wait in the queue, ms; our choice.</summary>
    public const long QueueMs = 15_000;

    /// <summary>Connections pass for a second at most beyond their rate, and never wait.</summary>
    public const long ConnectionBurstMs = 1_000;

    private const long MethodBlockBytes = 4096;

    private readonly Throttle[]? throttles;

    /// <param name="options">Tier, units, and whether anything is limited.</param>
    public Throttles(HubOptions options)
    {
        if (options.Throttle)
        {
            throttles = [.. Enum.GetValues<ThrottleKind>().Select(kind => Make(options, kind))];
        }
    }

    /// <summary>Whether anything is limited at all.</summary>
    public bool IsOn => throttles is not null;

    /// <summary>Asks for one operation, or <paramref name="count"/> at once. Safe from any thread.</summary>
    public ThrottleVerdict Take(ThrottleKind kind, long nowMs, long count = 1) =>
        throttles is null ? new ThrottleVerdict(true, 0) : throttles[(int)kind].Take(nowMs, count);

    /// <summary>What a direct method counts: its payload in blocks of 4 KB, none at all as one.</summary>
    public static long MethodBlocks(long payloadBytes) => Math.Max(1, (payloadBytes + MethodBlockBytes - 1) / MethodBlockBytes);

    /// <summary>Operations a minute that the tier allows for all units together; method calls in blocks of 4 KB.</summary>
    public static long PerMinute(HubOptions options, ThrottleKind kind)
    {
        // The column of the vendor's table.
        int column = options.Tier is "B3" or "S3" ? 3 : options.Tier is "B2" or "S2" ? 2 : 1;
        long units = options.Units;
        return kind switch
        {
            ThrottleKind.Connections or ThrottleKind.Telemetry => 60L * options.ConnectsPerSecondLimit,
            ThrottleKind.TwinReads => 60 * (column == 3 ? 500 * units : column == 2 ? Math.Max(100, 10 * units) : 100),
            ThrottleKind.TwinUpdates => 60 * (column == 3 ? 250 * units : column == 2 ? Math.Max(50, 5 * units) : 50),
            ThrottleKind.Methods => 60 * units * (column == 3 ? 24 * 1024 : column == 2 ? 480 : 160) * 1024 / MethodBlockBytes,
            ThrottleKind.Registry or ThrottleKind.Commands => units * (column == 3 ? 5000 : 100),
            ThrottleKind.Queries => units * (column == 3 ? 1000 : 20),
            _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, null),
        };
    }

    /// <summary>The throttle of one kind, full at the start.</summary>
    public static Throttle Make(HubOptions options, ThrottleKind kind) => kind == ThrottleKind.Connections
        ? new Throttle(PerMinute(options, kind), ConnectionBurstMs, queueMs: 0)
        : new Throttle(PerMinute(options, kind), BurstMs, QueueMs);
}
