namespace Agent.Hub;

/// <summary>
/// Why a connection ended, or why an attempt got nowhere: one list for the hub, the models, the log and the result file.
/// Numbers are never reused. 0x0- planned, 0x1- ended by the hub, 0x2- refused, 0x4- network, 0x8- the device itself.
/// </summary>
public enum Reason : byte
{
    None = 0x00,
    /// <summary>The device disconnected on purpose to come back with a fresh token.</summary>
    Renewal = 0x01,
    /// <summary>The device sent DISCONNECT for a reason of its own.</summary>
    ClientDisconnect = 0x02,

    /// <summary>The hub cut a connection whose token had expired longer ago than the grace (404104 after 401003).</summary>
    TokenExpired = 0x10,
    /// <summary>No packet for 1.5 × keep-alive, at most 1767 s (404104).</summary>
    KeepAliveLost = 0x11,
    /// <summary>Another client connected with the same identity while this one was alive (400027).</summary>
    TakenOver = 0x12,
    /// <summary>The same device came back before the hub had noticed that it was gone (409002).</summary>
    ReplacedSilent = 0x13,
    /// <summary>A packet the hub does not allow: the connection is closed without an answer (404104).</summary>
    ProtocolViolation = 0x14,
    /// <summary>The device was disabled while connected (403012).</summary>
    DeviceDisabled = 0x15,
    /// <summary>The key that signed the token was replaced while the device was connected (401003).</summary>
    KeyRotated = 0x16,
    /// <summary>Beyond a throttle: the hub closes the connection (429002).</summary>
    Throttled = 0x17,
    /// <summary>The day's messages are used up: connecting works, sending is cut (403002).</summary>
    QuotaExceeded = 0x18,
    /// <summary>The hub moved the connection to another node (404104 in bulk).</summary>
    HubFailover = 0x19,
    /// <summary>The hub is out of order (500001).</summary>
    HubDown = 0x1A,
    /// <summary>
    /// The identity was deleted while connected: the hub does not contain the device any more, which the vendor's page lists
    /// under 401003.
    /// </summary>
    DeviceDeleted = 0x1B,

    /// <summary>CONNACK 5: signature, name, policy or an expiry further back than the allowed skew.</summary>
    TokenRefused = 0x20,
    /// <summary>CONNACK 3: the identity is disabled.</summary>
    RefusedDisabled = 0x21,
    /// <summary>Refused or hung up on by the connection throttle.</summary>
    RefusedThrottled = 0x22,
    /// <summary>The hub answered that it is unavailable.</summary>
    RefusedUnavailable = 0x23,
    /// <summary>A CONNACK code the scenario asked for.</summary>
    RefusedByScenario = 0x24,
    /// <summary>The hub took the CONNECT and did not complete it in time: hung up on, if still there (500008).</summary>
    RefusedTimedOut = 0x25,

    /// <summary>TCP ended with FIN and no DISCONNECT (404104).</summary>
    LinkClosed = 0x40,
    /// <summary>TCP ended with RST (404104).</summary>
    LinkReset = 0x41,
    /// <summary>Packets vanish; nobody has been told.</summary>
    NetworkDown = 0x42,
    /// <summary>The name did not resolve.</summary>
    DnsFailed = 0x43,
    /// <summary>Nothing listens on 8883, or a firewall answers for it.</summary>
    PortRefused = 0x44,
    /// <summary>An attempt, or a ping, stayed without an answer for as long as the client waits.</summary>
    TimedOut = 0x45,
    /// <summary>The TLS handshake failed.</summary>
    TlsFailed = 0x46,

    /// <summary>Power cut.</summary>
    Crash = 0x80,
    /// <summary>The application stopped, TCP stays up.</summary>
    Hang = 0x81,
    /// <summary>Not enough memory for a TLS session.</summary>
    TlsMemory = 0x82,
    /// <summary>The client gave up and waits for its application.</summary>
    GaveUp = 0x83,
}

/// <summary>The names of <see cref="Reason"/> in results and timelines.</summary>
public static class Reasons
{
    private static readonly string[] Names = BuildNames();

    /// <summary>camelCase name, stable: part of the result file.</summary>
    public static string Name(this Reason reason) => Names[(byte)reason];

    private static string[] BuildNames()
    {
        var names = new string[256];
        foreach (Reason reason in Enum.GetValues<Reason>())
        {
            string name = reason.ToString();
            names[(byte)reason] = char.ToLowerInvariant(name[0]) + name[1..];
        }

        return names;
    }
}
