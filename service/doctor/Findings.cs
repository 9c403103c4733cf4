namespace Agent.Service.Doctor;

/// <summary>Everything the doctor was told before it speaks: what the checker knows, what the hub says, what the ports answer.</summary>
/// <remarks>Any part may be missing; a step whose part is missing says so instead of guessing.</remarks>
public sealed record Findings
{
    public required string DeviceId { get; init; }

    /// <summary>When the doctor looked, UTC milliseconds.</summary>
    public required long NowMs { get; init; }

    /// <summary>Host name of the hub; null = nobody named one.</summary>
    public string? HubHost { get; init; }

    /// <summary>
    /// What the checker knows of the device; null = it was not asked, or never heard of it (<see cref="CheckerProblem"/> tells).
    /// </summary>
    public KnownDevice? Device { get; init; }

    /// <summary>Why the checker could not be asked; null = it was.</summary>
    public string? CheckerProblem { get; init; }

    /// <summary>How the fleet is; null = not known.</summary>
    public KnownFleet? Fleet { get; init; }

    /// <summary>What the hub's registry says; null = it was not asked.</summary>
    public RegistryAnswer? Registry { get; init; }

    /// <summary>What came of calling the device; null = it was not called.</summary>
    public ReachFinding? Reach { get; init; }

    /// <summary>The ports that were tried, 8883 and 443 (or the local hub's in their place).</summary>
    public IReadOnlyList<PortFinding> Ports { get; init; } = [];
}

/// <summary>What the checker knows of one device. Moments are UTC milliseconds; null = never.</summary>
public sealed record KnownDevice
{
    /// <summary><c>online</c>, <c>renewing</c>, <c>late</c>, <c>silent</c>, <c>flapping</c>, <c>unknown</c>, <c>retired</c>.</summary>
    public required string Status { get; init; }

    public long SinceMs { get; init; }

    /// <summary>The checker's reason in words; empty = none.</summary>
    public string Reason { get; init; } = "";

    public long? LastSignMs { get; init; }

    public long? LastHeartbeatMs { get; init; }

    /// <summary>Announced by its heartbeat; null = it sends none.</summary>
    public int? IntervalSeconds { get; init; }

    /// <summary>When it said it would renew next.</summary>
    public long? RenewalMs { get; init; }

    public long? LastConnectMs { get; init; }

    public long? LastDisconnectMs { get; init; }

    /// <summary>The last error of the hub's Connections log about it; null = none is known.</summary>
    public HubError? LastError { get; init; }

    /// <summary>What the period of its reconnects gives away, in words; empty = no rhythm.</summary>
    public string Rhythm { get; init; } = "";

    /// <summary>What the device itself noted of its last disconnects, newest first; at most a few are shown.</summary>
    public IReadOnlyList<BlackBoxEntry> BlackBox { get; init; } = [];
}

/// <summary>One error record of the hub's Connections log.</summary>
/// <param name="Code">As logged, such as 404104.</param>
/// <param name="Operation"><c>deviceConnect</c> or <c>deviceDisconnect</c>; empty = not known.</param>
/// <param name="AtMs">UTC milliseconds.</param>
public sealed record HubError(int Code, string Operation, long AtMs);

/// <summary>One entry of a device's black box.</summary>
/// <param name="Reason">The device's number of the reason, as its heartbeat sends it.</param>
/// <param name="AtMs">UTC milliseconds; null = the device's clock was not set.</param>
public sealed record BlackBoxEntry(int Reason, long? AtMs);

/// <summary>How the fleet is.</summary>
/// <param name="Devices">Devices the checker watches.</param>
/// <param name="Overdue">How many of them are late or silent.</param>
/// <param name="IsLost">The checker has an alarm open that says: the hub, the network, or us.</param>
/// <param name="IsSiteLost">It has one open for the site of this device.</param>
/// <param name="IsInDoubt">The checker stood still or gets its facts late, and says nothing new about anybody.</param>
public sealed record KnownFleet(int Devices, int Overdue, bool IsLost, bool IsSiteLost, bool IsInDoubt);

/// <summary>How asking the registry ended.</summary>
public enum RegistryOutcome : byte
{
    Found,

    /// <summary>404: there is no such device.</summary>
    NotFound,

    /// <summary>401 or 403: the service connection string is not accepted.</summary>
    Refused,

    /// <summary>429: the registry's throttle.</summary>
    Throttled,

    /// <summary>Any other answer.</summary>
    Failed,

    /// <summary>No answer at all.</summary>
    Unreachable,
}

/// <summary>What the hub's registry says of the device (facts/iothub.md §7).</summary>
public sealed record RegistryAnswer
{
    public required RegistryOutcome Outcome { get; init; }

    /// <summary>What went wrong, without secrets; empty when found.</summary>
    public string Problem { get; init; } = "";

    public bool IsEnabled { get; init; }

    public string StatusReason { get; init; } = "";

    /// <summary><c>Connected</c> or <c>Disconnected</c>; up to five minutes late (facts/iothub.md §5).</summary>
    public string ConnectionState { get; init; } = "";

    public long? LastActivityMs { get; init; }

    /// <summary><c>sas</c>, <c>selfSigned</c>, <c>certificateAuthority</c>; empty = not said.</summary>
    public string AuthenticationType { get; init; } = "";

    public int WaitingCommands { get; init; }

    /// <summary>When the device last reported a property; null = never, or twins are not to be had.</summary>
    public long? LastReportedMs { get; init; }

    /// <summary>The hub's clock minus ours in milliseconds, from the answer's Date; null = no date.</summary>
    public long? HubAheadMs { get; init; }
}

/// <summary>How far a connection to a port got.</summary>
public enum PortStage : byte
{
    /// <summary>The host's name was not resolved.</summary>
    Name,

    /// <summary>No TCP connection.</summary>
    Tcp,

    /// <summary>TCP, but no TLS.</summary>
    Tls,

    /// <summary>TLS stands, whatever the certificate is worth.</summary>
    Open,
}

/// <summary>What a port answered.</summary>
public sealed record PortFinding
{
    public required string Host { get; init; }

    public required int Port { get; init; }

    /// <summary>It is the one devices use for MQTT; the other is the way round.</summary>
    public bool IsMqtt { get; init; }

    public required PortStage Stage { get; init; }

    /// <summary>What went wrong; empty = nothing.</summary>
    public string Problem { get; init; } = "";

    public int TcpMs { get; init; }

    public int TlsMs { get; init; }

    /// <summary>Such as <c>Tls13</c>; empty = none.</summary>
    public string Protocol { get; init; } = "";

    public CertificateFinding? Certificate { get; init; }
}

/// <summary>The server's certificate and its chain.</summary>
/// <param name="Names">Subjects from the server's up to the root that was found.</param>
/// <param name="NotBeforeMs">UTC milliseconds.</param>
/// <param name="NotAfterMs">UTC milliseconds; of the member of the chain that ends first.</param>
/// <param name="IsNameRight">It is for the host that was asked for.</param>
/// <param name="ChainProblem">Why it does not lead to a trusted root; empty = it does.</param>
public sealed record CertificateFinding(
    IReadOnlyList<string> Names, long NotBeforeMs, long NotAfterMs, bool IsNameRight, string ChainProblem);
