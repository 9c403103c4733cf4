namespace Agent.Wire;

/// <summary>
/// Why a session ended, one value per reason. Numbered in ranges, never reused: 0x1- our own decision, 0x2- agreed
/// goodbye, 0x4- network and TLS, 0x6- the peer broke a rule of the protocol, 0x8- local trouble.
/// </summary>
public enum SessionEnd : byte
{
    /// <summary>The session is still open.</summary>
    None = 0x00,

    /// <summary>The server's handler closed it.</summary>
    HandlerClosed = 0x10,

    /// <summary>The server's handler refused CONNECT: a CONNACK other than 0 was sent.</summary>
    Refused = 0x11,

    /// <summary>The whole server stopped.</summary>
    ServerStopped = 0x12,

    /// <summary>The client's owner closed it.</summary>
    ClosedLocally = 0x13,

    /// <summary>The client said DISCONNECT.</summary>
    Disconnected = 0x20,

    /// <summary>The peer closed its side (FIN) between two packets, without DISCONNECT.</summary>
    PeerClosed = 0x40,

    /// <summary>The peer closed its side (FIN) in the middle of a packet.</summary>
    PeerClosedInPacket = 0x41,

    /// <summary>The peer or the network reset the connection (RST).</summary>
    PeerReset = 0x42,

    /// <summary>The TLS handshake failed: not TLS, no common version, the certificate refused by the peer, or a FIN in it.</summary>
    TlsHandshakeFailed = 0x43,

    /// <summary>An established TLS connection broke: a damaged or forged record.</summary>
    TlsFailed = 0x44,

    /// <summary>Any other failure of the connection, such as a route that vanished.</summary>
    NetworkFailed = 0x45,

    /// <summary>No CONNECT within the time allowed after the TCP accept.</summary>
    ConnectTimeout = 0x60,

    /// <summary>The client's first packet was not CONNECT.</summary>
    FirstPacketNotConnect = 0x62,

    /// <summary>The client sent CONNECT twice.</summary>
    SecondConnect = 0x63,

    /// <summary>Bytes that cannot be a packet, or a packet with an illegal field.</summary>
    Malformed = 0x64,

    /// <summary>A packet larger than the limit was announced.</summary>
    TooLarge = 0x65,

    /// <summary>A packet that this peer may never send.</summary>
    NotAllowed = 0x66,

    /// <summary>A packet of quality of service 2, which is not served.</summary>
    Qos2 = 0x67,

    /// <summary>CONNECT of another MQTT version; CONNACK 1 was sent.</summary>
    UnsupportedVersion = 0x68,

    /// <summary>The server's first packet was not CONNACK.</summary>
    FirstPacketNotConnack = 0x69,

    /// <summary>The server sent CONNACK twice.</summary>
    SecondConnack = 0x6A,

    /// <summary>The oldest of too many connections without an accepted CONNECT: it made room, see <see cref="Strangers"/>.</summary>
    Evicted = 0x6B,

    /// <summary>A WebSocket text frame: MQTT goes in binary ones (MQTT 3.1.1 §6).</summary>
    TextFrame = 0x6C,

    /// <summary>Bytes on a WebSocket that are no frame of it (RFC 6455 §5).</summary>
    NotWebSocket = 0x6D,

    /// <summary>The peer reads so slowly that the bounded outbound buffer overflowed.</summary>
    SlowReader = 0x80,

    /// <summary>The handler threw; the session's Fault holds what.</summary>
    HandlerFailed = 0x81,

    /// <summary>The server already serves as many connections as it may.</summary>
    TooManyConnections = 0x82,
}
