// Why a connection, or an attempt at one, ended.
//
// MQTT 3.1.1 gives no reason with a close, so the reason is what this end saw. Numbers are written to flash and
// sent to the service, so they are for ever: a number is never reused, a renamed reason keeps its number. Ranges:
//   0x00 nothing known      0x10 ours and planned      0x40 network, TLS and silence
//   0x60 the hub refused    0x80 local fault
// The text stands beside the number because the board's Enum.ToString gives the number, not the name.
// Some reasons can only be told by a driver (what the socket reported) and some only in hindsight (a pattern); the
// session never guesses one of those.
namespace Agent.Core
{
    /// <summary>Numbered reasons, in ranges, for ever.</summary>
    public enum DisconnectReason
    {
        /// <summary>No connection has ended yet.</summary>
        None = 0x00,

        /// <summary>It ended and nobody could say why.</summary>
        Unknown = 0x01,

        /// <summary>Ours: the token was about to expire.</summary>
        PlannedRenewal = 0x10,

        /// <summary>Ours: new settings ask for a new connection.</summary>
        SettingsChange = 0x11,

        /// <summary>Ours: the program was asked to stop.</summary>
        Stopped = 0x12,

        /// <summary>Ours: an intended reboot.</summary>
        Reboot = 0x13,

        /// <summary>The local network went away (Wi-Fi lost, cable pulled).</summary>
        NetworkLost = 0x40,

        /// <summary>Joined the network but got no address.</summary>
        NoAddress = 0x41,

        /// <summary>The hub's name did not resolve.</summary>
        NameNotResolved = 0x42,

        /// <summary>The host answered that nothing listens on the port.</summary>
        TcpRefused = 0x43,

        /// <summary>No answer to the TCP connection attempt.</summary>
        TcpTimedOut = 0x44,

        /// <summary>8883 does not pass while 443 to the same host does.</summary>
        PortBlocked = 0x45,

        /// <summary>
        /// The TLS handshake failed and the cause is not known (wrong clock and wrong root look alike).
        /// </summary>
        TlsFailed = 0x46,

        /// <summary>TLS failed because this device's clock is outside the certificate's dates.</summary>
        TlsWrongClock = 0x47,

        /// <summary>TLS failed because the certificate does not lead to a trusted root.</summary>
        TlsWrongRoot = 0x48,

        /// <summary>TLS failed because the certificate is for another host name.</summary>
        TlsWrongName = 0x49,

        /// <summary>TLS failed for want of memory.</summary>
        TlsNoMemory = 0x4A,

        /// <summary>The attempt ran out of time somewhere between TCP and CONNACK.</summary>
        ConnectTimedOut = 0x4B,

        /// <summary>The other end closed the connection without saying why.</summary>
        ClosedByPeer = 0x4C,

        /// <summary>The connection was reset.</summary>
        ConnectionReset = 0x4D,

        /// <summary>No answer to a keep-alive ping.</summary>
        KeepAliveLost = 0x4E,

        /// <summary>TCP is up and nothing at all comes from the other end.</summary>
        SilentPeer = 0x4F,

        /// <summary>A message was sent and its acknowledgement did not come in time.</summary>
        PublishNotAcknowledged = 0x50,

        /// <summary>The other end sent something MQTT does not allow.</summary>
        ProtocolViolation = 0x51,

        /// <summary>CONNACK 1: protocol version.</summary>
        RefusedProtocolVersion = 0x60,

        /// <summary>CONNACK 2: client identifier.</summary>
        RefusedIdentifier = 0x61,

        /// <summary>CONNACK 3: server unavailable (throttled, failing over, or a disabled device).</summary>
        RefusedUnavailable = 0x62,

        /// <summary>CONNACK 4: bad user name or password.</summary>
        RefusedCredentials = 0x63,

        /// <summary>CONNACK 5: not authorised.</summary>
        RefusedNotAuthorized = 0x64,

        /// <summary>A CONNACK code the standard does not list.</summary>
        RefusedOther = 0x65,

        /// <summary>Refused, and the clock has since turned out to be off by more than the hub allows.</summary>
        ClockSkew = 0x66,

        /// <summary>The token had expired before it could be used.</summary>
        TokenExpired = 0x67,

        /// <summary>The hub cut the connection when the token's time was up.</summary>
        HubClosedAtExpiry = 0x68,

        /// <summary>Another client connected with this device's id.</summary>
        TakenOver = 0x69,

        /// <summary>The pattern of closes is that of throttling.</summary>
        Throttled = 0x6A,

        /// <summary>The pattern of closes is that of a disabled device.</summary>
        Disabled = 0x6B,

        /// <summary>The supervisor hung and the watchdog restarted the device.</summary>
        Watchdog = 0x80,

        /// <summary>The program died of an exception.</summary>
        Crash = 0x81,

        /// <summary>Local memory ran out.</summary>
        OutOfMemory = 0x82,

        /// <summary>The device started again and nobody had said goodbye: power cut, reset button, or a crash of the interpreter.</summary>
        Restarted = 0x83,
    }

    /// <summary>The words for each reason.</summary>
    public static class DisconnectReasonText
    {
        /// <summary>A short phrase for a person; never the number.</summary>
        public static string Of(DisconnectReason reason)
        {
            switch (reason)
            {
                case DisconnectReason.None: return "none yet";
                case DisconnectReason.Unknown: return "unknown";
                case DisconnectReason.PlannedRenewal: return "planned renewal";
                case DisconnectReason.SettingsChange: return "settings change";
                case DisconnectReason.Stopped: return "stopped";
                case DisconnectReason.Reboot: return "reboot";
                case DisconnectReason.NetworkLost: return "network lost";
                case DisconnectReason.NoAddress: return "no network address";
                case DisconnectReason.NameNotResolved: return "host name not resolved";
                case DisconnectReason.TcpRefused: return "connection refused by the host";
                case DisconnectReason.TcpTimedOut: return "no answer from the host";
                case DisconnectReason.PortBlocked: return "port 8883 blocked";
                case DisconnectReason.TlsFailed: return "TLS failed: wrong clock or certificate";
                case DisconnectReason.TlsWrongClock: return "TLS failed: outside the certificate's dates";
                case DisconnectReason.TlsWrongRoot: return "TLS failed: certificate not trusted";
                case DisconnectReason.TlsWrongName: return "TLS failed: certificate is for another host";
                case DisconnectReason.TlsNoMemory: return "TLS failed: out of memory";
                case DisconnectReason.ConnectTimedOut: return "connecting took too long";
                case DisconnectReason.ClosedByPeer: return "closed by the hub";
                case DisconnectReason.ConnectionReset: return "connection reset";
                case DisconnectReason.KeepAliveLost: return "keep-alive not answered";
                case DisconnectReason.SilentPeer: return "hub silent";
                case DisconnectReason.PublishNotAcknowledged: return "message not acknowledged";
                case DisconnectReason.ProtocolViolation: return "hub broke the MQTT protocol";
                case DisconnectReason.RefusedProtocolVersion: return "refused: protocol version (CONNACK 1)";
                case DisconnectReason.RefusedIdentifier: return "refused: client identifier (CONNACK 2)";
                case DisconnectReason.RefusedUnavailable: return "refused: server unavailable (CONNACK 3)";
                case DisconnectReason.RefusedCredentials: return "refused: bad user name or password (CONNACK 4)";
                case DisconnectReason.RefusedNotAuthorized: return "refused: not authorised (CONNACK 5)";
                case DisconnectReason.RefusedOther: return "refused: unknown CONNACK code";
                case DisconnectReason.ClockSkew: return "refused: this device's clock was wrong";
                case DisconnectReason.TokenExpired: return "token expired";
                case DisconnectReason.HubClosedAtExpiry: return "closed by the hub at token expiry";
                case DisconnectReason.TakenOver: return "another client uses this device id";
                case DisconnectReason.Throttled: return "throttled";
                case DisconnectReason.Disabled: return "device disabled";
                case DisconnectReason.Watchdog: return "watchdog";
                case DisconnectReason.Crash: return "crash";
                case DisconnectReason.OutOfMemory: return "out of memory";
                case DisconnectReason.Restarted: return "restarted without goodbye: power cut or crash";
                default: return "unlisted reason";
            }
        }
    }
}
