using System.Buffers.Binary;

namespace Agent.Wire;

// CONNECT is the one packet with optional parts and with other versions behind the same door, so it has its own file.
// Of an MQTT 5 or 3.1 CONNECT only name and level are read: enough to answer CONNACK 1 (MQTT-3.1.2-2), and what
// follows has another layout anyway.
public static partial class MqttReader
{
    /// <summary>
    /// §3.1: name:2+n | level:1 | flags:1 | keep alive:2 | client id:2+n | will topic:2+n, will message:2+n when
    /// flagged | user name:2+n when flagged | password:2+n when flagged.
    /// </summary>
    /// <returns>
    /// False when malformed. True with <see cref="ConnectPacket.IsSupported"/> false for another protocol version.
    /// </returns>
    public static bool TryReadConnect(scoped in Frame frame, out ConnectPacket packet)
    {
        packet = default;
        ReadOnlySpan<byte> rest = frame.Body;
        if (!TryTakeField(ref rest, out ReadOnlySpan<byte> name) || rest.IsEmpty)
        {
            return false;
        }

        byte level = rest[0];
        rest = rest[1..];
        bool isMqtt = name.SequenceEqual("MQTT"u8);
        if (!isMqtt || level != 4)
        {
            // "MQIsdp" level 3 is MQTT 3.1, still sent by old clients. Any other name is not MQTT at all.
            packet = new ConnectPacket { ProtocolName = name, ProtocolLevel = isMqtt || level != 4 ? level : (byte)0 };
            return isMqtt || (name.SequenceEqual("MQIsdp"u8) && level == 3);
        }

        if (rest.Length < 3 || !HasLegalConnectFlags(rest[0]))
        {
            return false;
        }

        byte flags = rest[0];
        ushort keepAlive = BinaryPrimitives.ReadUInt16BigEndian(rest[1..]);
        rest = rest[3..];
        if (!TryTakeField(ref rest, out ReadOnlySpan<byte> clientId) || !MqttText.IsString(clientId))
        {
            return false;
        }

        var head = new ConnectPacket
        {
            ProtocolName = name,
            ProtocolLevel = level,
            CleanSession = (flags & 2) != 0,
            KeepAliveSeconds = keepAlive,
            ClientId = clientId,
        };
        return TryReadWill(head, flags, ref rest, out ConnectPacket withWill)
            && TryReadLogin(withWill, flags, rest, out packet);
    }

    /// <summary>§3.1.2.3-3.1.2.9: reserved bit 0; will fields only with a will; password only with a user name.</summary>
    private static bool HasLegalConnectFlags(byte flags)
    {
        bool hasWill = (flags & 4) != 0;
        int willQos = (flags >> 3) & 3;
        bool willRetain = (flags & 0x20) != 0;
        bool hasUserName = (flags & 0x80) != 0;
        bool hasPassword = (flags & 0x40) != 0;
        return (flags & 1) == 0
            && willQos != 3
            && (hasWill || (willQos == 0 && !willRetain))
            && (hasUserName || !hasPassword);
    }

    private static bool TryReadWill(
        scoped in ConnectPacket head, byte flags, scoped ref ReadOnlySpan<byte> rest, out ConnectPacket packet)
    {
        packet = head;
        if ((flags & 4) == 0)
        {
            return true;
        }

        if (!TryTakeField(ref rest, out ReadOnlySpan<byte> topic) || !MqttText.IsTopicName(topic)
            || !TryTakeField(ref rest, out ReadOnlySpan<byte> message))
        {
            return false;
        }

        packet = head with
        {
            WillTopic = topic,
            WillMessage = message,
            WillQos = (byte)((flags >> 3) & 3),
            WillRetain = (flags & 0x20) != 0,
        };
        return true;
    }

    private static bool TryReadLogin(
        scoped in ConnectPacket head, byte flags, ReadOnlySpan<byte> rest, out ConnectPacket packet)
    {
        packet = head;
        if ((flags & 0x80) != 0)
        {
            if (!TryTakeField(ref rest, out ReadOnlySpan<byte> userName) || !MqttText.IsString(userName))
            {
                return false;
            }

            packet = packet with { UserName = userName };
        }

        if ((flags & 0x40) != 0)
        {
            if (!TryTakeField(ref rest, out ReadOnlySpan<byte> password))
            {
                return false;
            }

            packet = packet with { Password = password };
        }

        return rest.IsEmpty;
    }
}
