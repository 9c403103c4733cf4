namespace Agent.Service;

/// <summary>Words for the reasons a device gives for the end of its last connection.</summary>
/// <remarks>The numbers are the agent's <c>DisconnectReason</c>, each used for ever for one thing; this side only reads them.</remarks>
public static class DeviceReasons
{
    private static readonly Dictionary<byte, string> Texts = new()
    {
        [0x01] = "unknown to the device",
        [0x10] = "it renewed its token",
        [0x11] = "its settings changed",
        [0x12] = "it was stopped",
        [0x13] = "it rebooted on purpose",
        [0x40] = "its network went away",
        [0x41] = "it got no network address",
        [0x42] = "the hub's name did not resolve",
        [0x43] = "the host refused the connection",
        [0x44] = "the host did not answer",
        [0x45] = "port 8883 is blocked",
        [0x46] = "TLS failed: clock or certificate",
        [0x47] = "TLS failed: its clock is outside the certificate's dates",
        [0x48] = "TLS failed: it does not trust the certificate",
        [0x49] = "TLS failed: the certificate names another host",
        [0x4A] = "TLS failed: not enough memory",
        [0x4B] = "connecting took too long",
        [0x4C] = "the hub closed the connection",
        [0x4D] = "the connection was reset",
        [0x4E] = "its keep-alive was not answered",
        [0x4F] = "the hub went silent",
        [0x50] = "a message was not acknowledged",
        [0x51] = "the hub broke the protocol",
        [0x60] = "refused: protocol version",
        [0x61] = "refused: client identifier",
        [0x62] = "refused: server unavailable",
        [0x63] = "refused: credentials",
        [0x64] = "refused: not authorised",
        [0x65] = "refused with an unknown code",
        [0x66] = "refused because its clock was wrong",
        [0x67] = "its token had expired",
        [0x68] = "the hub cut it when its token expired",
        [0x69] = "another client took its identity",
        [0x6A] = "the hub throttled it",
        [0x6B] = "the hub has it disabled",
        [0x80] = "its watchdog restarted it",
        [0x81] = "its program crashed",
        [0x82] = "it ran out of memory",
    };

    /// <summary>The words; null = it gave no reason.</summary>
    public static string? Of(byte number) => number == 0 ? null
        : Texts.TryGetValue(number, out string? text) ? text
        : $"reason 0x{number:X2}, which this version does not know";
}
