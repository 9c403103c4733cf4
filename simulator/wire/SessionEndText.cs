namespace Agent.Wire;

/// <summary>The sentence a person reads for each <see cref="SessionEnd"/>.</summary>
public static class SessionEndText
{
    /// <summary>One line, no full stop, no data from the peer.</summary>
    public static string Text(this SessionEnd end) => end switch
    {
        SessionEnd.None => "still open",
        SessionEnd.HandlerClosed => "closed by the server",
        SessionEnd.Refused => "CONNECT refused, CONNACK with a code other than 0 sent",
        SessionEnd.ServerStopped => "the server stopped",
        SessionEnd.ClosedLocally => "closed by this client",
        SessionEnd.Disconnected => "the client sent DISCONNECT",
        SessionEnd.PeerClosed => "the peer closed the connection without DISCONNECT",
        SessionEnd.PeerClosedInPacket => "the peer closed the connection in the middle of a packet",
        SessionEnd.PeerReset => "the connection was reset",
        SessionEnd.TlsHandshakeFailed => "the TLS handshake failed",
        SessionEnd.TlsFailed => "the TLS connection broke: a damaged record",
        SessionEnd.NetworkFailed => "the network failed",
        SessionEnd.ConnectTimeout => "no CONNECT within the time allowed",
        SessionEnd.FirstPacketNotConnect => "the first packet was not CONNECT",
        SessionEnd.SecondConnect => "a second CONNECT",
        SessionEnd.Malformed => "a malformed packet",
        SessionEnd.TooLarge => "a packet larger than the limit",
        SessionEnd.NotAllowed => "a packet this side may not send",
        SessionEnd.Qos2 => "quality of service 2 is not served",
        SessionEnd.UnsupportedVersion => "not MQTT 3.1.1, CONNACK 1 sent",
        SessionEnd.FirstPacketNotConnack => "the server's first packet was not CONNACK",
        SessionEnd.SecondConnack => "a second CONNACK",
        SessionEnd.Evicted => "the oldest of too many connections without an accepted CONNECT",
        SessionEnd.TextFrame => "a WebSocket text frame",
        SessionEnd.NotWebSocket => "bytes that are no WebSocket frame",
        SessionEnd.SlowReader => "the peer reads too slowly, the outbound buffer is full",
        SessionEnd.HandlerFailed => "the handler failed",
        SessionEnd.TooManyConnections => "too many connections",
        _ => throw new ArgumentOutOfRangeException(nameof(end), end, "not a reason"),
    };
}
