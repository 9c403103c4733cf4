using Agent.Fleet;
using Agent.Hub;

namespace Agent.World;

// What a scenario file says, after it has been read and checked (ScenarioReader). Plain immutable data; lengths in ms.

/// <summary>One scenario.</summary>
public sealed record Scenario
{
    public string Title { get; init; } = "";
    public string Why { get; init; } = "";
    public ulong Seed { get; init; } = 1;
    public required long RunForMs { get; init; }
    public NetworkPlan Network { get; init; } = new();
    public HubOptions Hub { get; init; } = new();
    public required IReadOnlyList<FleetPlan> Fleets { get; init; }
    public IReadOnlyList<FaultPlan> Faults { get; init; } = [];
    public IReadOnlyList<DetectorPlan> Detectors { get; init; } = [];
    public IReadOnlyList<Expectation> Expectations { get; init; } = [];

    /// <summary>Moment 0 of every virtual run: 2026-01-01T00:00:00Z, ms since 1970.</summary>
    public const long EpochUtcMs = 1_767_225_600_000;
}

/// <summary>The network of virtual time.</summary>
/// <param name="RoundTripMs">Round trip between device and hub, ms; 0 = instant, as on loopback.</param>
/// <param name="TlsRoundTrips">Round trips of a TLS handshake.</param>
public sealed record NetworkPlan(int RoundTripMs = 40, int TlsRoundTrips = 2)
{
    /// <summary>Device to hub, ms.</summary>
    public int UpMs => RoundTripMs / 2;

    /// <summary>Hub to device, ms.</summary>
    public int DownMs => RoundTripMs - UpMs;

    /// <summary>From SYN to a finished TLS handshake, ms.</summary>
    public int DialMs => RoundTripMs * (1 + TlsRoundTrips);
}

/// <summary>Devices of one kind.</summary>
public sealed record FleetPlan
{
    public required string Name { get; init; }
    public required string Sdk { get; init; }
    public required int Count { get; init; }

    /// <summary><c>source</c> or <c>documented</c>.</summary>
    public string Behaviour { get; init; } = "source";

    public ClientSettings Settings { get; init; } = new();

    /// <summary>Devices start uniformly over this length, ms.</summary>
    public long StartSpreadMs { get; init; }

    /// <summary>Whether the result lists every event of every device.</summary>
    public bool Timeline { get; init; }
}

/// <summary>Fault kinds of the scenario contract.</summary>
public enum FaultKind : byte
{
    NetworkDown,
    TcpDrop,
    Refuse,
    SilentHub,
    DnsFail,
    PortBlocked,
    HubDown,
    HubFailover,
    Throttle,
    QuotaExceeded,
    DeviceDisabled,
    KeyRotated,
    DuplicateId,
    ClockSkew,
    Crash,
    Hang,
    TlsMemory,
}

/// <summary>One disturbance.</summary>
public sealed record FaultPlan
{
    public required long AtMs { get; init; }

    /// <summary>Length, ms; null = a moment.</summary>
    public long? ForMs { get; init; }

    public required FaultKind Kind { get; init; }

    /// <summary>Name of the fleet; null = all.</summary>
    public string? Fleet { get; init; }

    /// <summary>Share of the fleet's devices, 0..1.</summary>
    public double Share { get; init; } = 1;

    /// <summary>
    /// tcpDrop: by RST instead of FIN. portBlocked: black hole instead of refusal. hubDown: attempts time out instead of being refused.
    /// </summary>
    public bool Hard { get; init; }

    /// <summary>refuse: the CONNACK code.</summary>
    public byte Code { get; init; } = 5;

    /// <summary>clockSkew: how far the device's clock is off, ms.</summary>
    public long SkewMs { get; init; }
}

/// <summary>A way to notice an outage, with its options.</summary>
/// <param name="Kind">One of the scenario's detector kinds.</param>
/// <param name="Missed">heartbeat: how many in a row must stay away.</param>
/// <param name="DebounceMs">eventGrid, connectionsLog: how long a disconnect must last, ms.</param>
/// <param name="Below">connectedDevices: the share of the devices below which the metric must fall, 0..1.</param>
/// <param name="TtlMs">shortExpiry: how long a message to a device lives, ms.</param>
public sealed record DetectorPlan(string Kind, int Missed, long DebounceMs, double Below, long TtlMs)
{
    /// <summary>A kind with its default options.</summary>
    public static DetectorPlan Default(string kind) => new(kind, 2, 0, 0.95, 60_000);
}

/// <summary>A bound on one figure of the result.</summary>
/// <param name="Fleet">Fleet it is about; null = each fleet.</param>
/// <param name="Detector">Detector kind it is about; null = a fleet's figure.</param>
/// <param name="Metric">Key of the result; a nested key is written after a slash (<c>byReason/renewal</c>).</param>
/// <param name="Min">Smallest value allowed.</param>
/// <param name="Max">Largest value allowed.</param>
public sealed record Expectation(string? Fleet, string? Detector, string Metric, double? Min, double? Max);
