namespace Agent.Wire;

/// <summary>MQTT 3.1.1 control packet types: the high four bits of a packet's first byte (§2.2.1).</summary>
public enum PacketType : byte
{
    /// <summary>Client asks to be let in (§3.1).</summary>
    Connect = 1,

    /// <summary>Server's answer to CONNECT (§3.2).</summary>
    Connack = 2,

    /// <summary>A message, either way (§3.3).</summary>
    Publish = 3,

    /// <summary>Receipt of a QoS 1 message (§3.4).</summary>
    Puback = 4,

    /// <summary>QoS 2, first receipt (§3.5).</summary>
    Pubrec = 5,

    /// <summary>QoS 2, release (§3.6).</summary>
    Pubrel = 6,

    /// <summary>QoS 2, done (§3.7).</summary>
    Pubcomp = 7,

    /// <summary>Client asks for topics (§3.8).</summary>
    Subscribe = 8,

    /// <summary>Server's answer to SUBSCRIBE (§3.9).</summary>
    Suback = 9,

    /// <summary>Client gives topics back (§3.10).</summary>
    Unsubscribe = 10,

    /// <summary>Server's answer to UNSUBSCRIBE (§3.11).</summary>
    Unsuback = 11,

    /// <summary>Client shows it is alive (§3.12).</summary>
    Pingreq = 12,

    /// <summary>Server's answer to PINGREQ (§3.13).</summary>
    Pingresp = 13,

    /// <summary>Client says goodbye (§3.14).</summary>
    Disconnect = 14,
}
