using System.Globalization;

namespace Agent.Service;

/// <summary>What the numbers of a device's black box mean: the agent sends them with its heartbeat and never reuses one.</summary>
/// <remarks>
/// Ranges: 0x10 its own and planned, 0x40 network and TLS, 0x60 refused by the hub, 0x80 trouble of its own. The words are those of
/// the agent; a test holds the two lists against each other, because this program sees the wire and not the agent's types. It is one
/// table for answers, alarms and the doctor: two lists of words would drift apart.
/// </remarks>
public static class DeviceReasons
{
    private static readonly Dictionary<int, (string Text, string Advice)> Known = new()
    {
        [0x00] = ("none yet", ""),
        [0x01] = ("unknown", ""),
        [0x10] = ("planned renewal", ""),
        [0x11] = ("settings change", ""),
        [0x12] = ("stopped", "Somebody stopped its program; start it."),
        [0x13] = ("reboot", ""),
        [0x40] = ("network lost", "Look at Wi-Fi or cabling where the device is."),
        [0x41] = ("no network address", "Look at DHCP where the device is: no free address, or a wrong segment."),
        [0x42] = ("host name not resolved", "Look at the name server the device uses, and at the host name in its connection string."),
        [0x43] = ("connection refused by the host", "Something on the way answers in the hub's place: look at proxy and firewall."),
        [0x44] = ("no answer from the host", "A firewall drops it: open outbound TCP 8883, or use MQTT over WebSocket on 443."),
        [0x45] = ("port 8883 blocked", "Open outbound TCP 8883 where the device is, or use MQTT over WebSocket on 443."),
        [0x46] = ("TLS failed: wrong clock or certificate",
            "Check the device's clock, then its root certificates (DigiCert Global Root G2)."),
        [0x47] = ("TLS failed: outside the certificate's dates", "Set the device's clock: NTP must work before TLS can."),
        [0x48] = ("TLS failed: certificate not trusted",
            "Give it the hub's root (DigiCert Global Root G2), or take TLS inspection out of the way."),
        [0x49] = ("TLS failed: certificate is for another host", "Check its host name; something may answer in the hub's place."),
        [0x4A] = ("TLS failed: out of memory", "Free memory on the device: TLS needs tens of kilobytes in one piece."),
        [0x4B] = ("connecting took too long", "Look at the network between it and the hub; if many devices say so, at the hub."),
        [0x4C] = ("closed by the hub", "The hub gives no reason over MQTT: look at its Connections log."),
        [0x4D] = ("connection reset", "Look at firewalls and NAT on the way; if many devices say so, at the hub."),
        [0x4E] = ("keep-alive not answered", "Look at the network where the device is."),
        [0x4F] = ("hub silent", "Look at the network on the way; if many devices say so, at the hub."),
        [0x50] = ("message not acknowledged", "The hub's quota or throttle may be used up: look at its metrics."),
        [0x51] = ("hub broke the MQTT protocol", "Something answers in the hub's place: look at proxy and TLS inspection."),
        [0x60] = ("refused: protocol version (CONNACK 1)", "The hub speaks MQTT 3.1.1."),
        [0x61] = ("refused: client identifier (CONNACK 2)", "The client id must be the device id."),
        [0x62] = ("refused: server unavailable (CONNACK 3)",
            "Look whether the device is disabled; else wait, the hub is busy or failing over."),
        [0x63] = ("refused: bad user name or password (CONNACK 4)", "Check the device's key."),
        [0x64] = ("refused: not authorised (CONNACK 5)", "Check, in this order: clock, that the device exists and is enabled, key."),
        [0x65] = ("refused: unknown CONNACK code", ""),
        [0x66] = ("refused: this device's clock was wrong", "Have it set its clock by NTP before it makes a token."),
        [0x67] = ("token expired", "Have it renew earlier, or set its clock."),
        [0x68] = ("closed by the hub at token expiry", "Have it renew earlier."),
        [0x69] = ("another client uses this device id", "Find the second client; give each its own identity."),
        [0x6A] = ("throttled", "Spread reconnects with jitter, or add units to the hub."),
        [0x6B] = ("device disabled", "Enable the device if that was not meant."),
        [0x80] = ("watchdog", "Its program hung: read its log before the next flash."),
        [0x81] = ("crash", "Its program died of an exception: read its log before the next flash."),
        [0x82] = ("out of memory", "Its memory ran out: look for what grows."),
        [0x83] = ("restarted without goodbye: power cut or crash", "It came back without a word: look at its power first."),
    };

    /// <summary>The words for a reason, and what to do about it (empty = nothing).</summary>
    public static (string Text, string Advice) Of(int reason) =>
        Known.TryGetValue(reason, out (string Text, string Advice) entry)
            ? entry
            : (string.Create(CultureInfo.InvariantCulture, $"unlisted reason 0x{reason:X2}"), "");

    /// <summary>The words alone; null = the device gave no reason.</summary>
    public static string? TextOf(byte reason) => reason == 0 ? null : Of(reason).Text;
}
