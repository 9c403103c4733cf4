using System.Buffers.Binary;

namespace Agent.Wire;

// Reading MQTT 3.1.1 from untrusted bytes, in two steps. ReadFrame splits the next packet off the stream and looks
// at nothing but the fixed header, so that an absurd length is refused before a byte of it is buffered. The TryRead
// methods then look into one frame's body. All of it works on the caller's memory: nothing is copied, allocated or
// thrown, whatever the peer sent. Strictness is the specification's: where it says "MUST close", the answer is
// Malformed. The one leniency is a remaining length written with more bytes than needed, which 3.1.1 does not forbid.

/// <summary>Parses MQTT 3.1.1 packets from spans. Never throws for what a peer sent, never allocates.</summary>
public static partial class MqttReader
{
    /// <summary>The longest body MQTT can announce, bytes (§2.2.3).</summary>
    public const int BodyBytesLimit = 268_435_455;

    /// <summary>The longest header, bytes: type and flags, and four bytes of length (§2.2).</summary>
    public const int HeaderBytesMax = 5;

    /// <summary>Splits the next packet off <paramref name="bytes"/>.</summary>
    /// <remarks>§2.2: type:4 flags:4 | remaining length:1-4 bytes, 7 bits each, low first | body.</remarks>
    /// <param name="bytes">What has been received and not yet consumed.</param>
    /// <param name="bodyBytesMax">Largest body accepted, bytes; above it the answer is TooLarge.</param>
    /// <param name="frame">The packet when Ok; <see cref="Frame.TotalBytes"/> says how much was consumed.</param>
    public static ReadStatus ReadFrame(ReadOnlySpan<byte> bytes, int bodyBytesMax, out Frame frame)
    {
        frame = default;
        if (bytes.IsEmpty)
        {
            return ReadStatus.NeedMore;
        }

        byte first = bytes[0];
        if (!HasLegalFlags(first))
        {
            return ReadStatus.Malformed;
        }

        ReadStatus status = ReadLength(bytes[1..], out int body, out int lengthBytes);
        if (status != ReadStatus.Ok)
        {
            return status;
        }

        if (!IsLegalLength((PacketType)(first >> 4), body))
        {
            return ReadStatus.Malformed;
        }

        if (body > bodyBytesMax)
        {
            return ReadStatus.TooLarge;
        }

        int header = 1 + lengthBytes;
        if (bytes.Length - header < body)
        {
            return ReadStatus.NeedMore;
        }

        frame = new Frame(first, bytes.Slice(header, body), header + body);
        return ReadStatus.Ok;
    }

    /// <summary>§3.2: flags:1 (bit 0 = session present) | return code:1, 0 to 5.</summary>
    /// <returns>False when malformed.</returns>
    public static bool TryReadConnack(scoped in Frame frame, out byte code, out bool sessionPresent)
    {
        ReadOnlySpan<byte> body = frame.Body;
        code = 0;
        sessionPresent = false;
        if (body.Length != 2 || body[0] > 1 || body[1] > 5 || (body[0] == 1 && body[1] != 0))
        {
            return false;
        }

        sessionPresent = body[0] == 1;
        code = body[1];
        return true;
    }

    /// <summary>§3.3: flags dup:1 qos:2 retain:1 | topic:2+n | packet id:2 when qos above 0 | payload: the rest.</summary>
    /// <returns>False when malformed.</returns>
    public static bool TryReadPublish(scoped in Frame frame, out PublishPacket packet)
    {
        packet = default;
        ReadOnlySpan<byte> rest = frame.Body;
        byte qos = (byte)((frame.Flags >> 1) & 3);
        if (!TryTakeField(ref rest, out ReadOnlySpan<byte> topic) || !MqttText.IsTopicName(topic))
        {
            return false;
        }

        ushort packetId = 0;
        if (qos > 0 && !TryTakePacketId(ref rest, out packetId))
        {
            return false;
        }

        packet = new PublishPacket
        {
            Topic = topic,
            Payload = rest,
            Qos = qos,
            PacketId = packetId,
            Dup = (frame.Flags & 8) != 0,
            Retain = (frame.Flags & 1) != 0,
        };
        return true;
    }

    /// <summary>§3.4-3.7, 3.11: packet id:2. For PUBACK, PUBREC, PUBREL, PUBCOMP and UNSUBACK.</summary>
    /// <returns>False when malformed (a packet id of 0 is).</returns>
    public static bool TryReadPacketId(scoped in Frame frame, out ushort packetId)
    {
        ReadOnlySpan<byte> rest = frame.Body;
        return TryTakePacketId(ref rest, out packetId) && rest.IsEmpty;
    }

    /// <summary>§3.8: packet id:2 | one or more of (filter:2+n | qos:1).</summary>
    /// <returns>False when malformed.</returns>
    public static bool TryReadSubscribe(scoped in Frame frame, out SubscribePacket packet)
    {
        packet = default;
        ReadOnlySpan<byte> rest = frame.Body;
        if (!TryTakePacketId(ref rest, out ushort packetId))
        {
            return false;
        }

        ReadOnlySpan<byte> filters = rest;
        int count = 0;
        while (!rest.IsEmpty)
        {
            if (!TryTakeField(ref rest, out ReadOnlySpan<byte> filter) || !MqttText.IsTopicFilter(filter)
                || rest.IsEmpty || rest[0] > 2)
            {
                return false;
            }

            rest = rest[1..];
            count++;
        }

        packet = new SubscribePacket(packetId, filters, count);
        return count > 0;
    }

    /// <summary>§3.9: packet id:2 | one or more return codes:1 each (0, 1, 2 or 0x80).</summary>
    /// <returns>False when malformed.</returns>
    public static bool TryReadSuback(scoped in Frame frame, out SubackPacket packet)
    {
        packet = default;
        ReadOnlySpan<byte> rest = frame.Body;
        if (!TryTakePacketId(ref rest, out ushort packetId) || rest.IsEmpty
            || rest.ContainsAnyExcept([(byte)0, (byte)1, (byte)2, SubackPacket.Failure]))
        {
            return false;
        }

        packet = new SubackPacket(packetId, rest);
        return true;
    }

    /// <summary>§3.10: packet id:2 | one or more of (filter:2+n).</summary>
    /// <returns>False when malformed.</returns>
    public static bool TryReadUnsubscribe(scoped in Frame frame, out UnsubscribePacket packet)
    {
        packet = default;
        ReadOnlySpan<byte> rest = frame.Body;
        if (!TryTakePacketId(ref rest, out ushort packetId))
        {
            return false;
        }

        ReadOnlySpan<byte> filters = rest;
        int count = 0;
        while (!rest.IsEmpty)
        {
            if (!TryTakeField(ref rest, out ReadOnlySpan<byte> filter) || !MqttText.IsTopicFilter(filter))
            {
                return false;
            }

            count++;
        }

        packet = new UnsubscribePacket(packetId, filters, count);
        return count > 0;
    }

    /// <summary>§2.2.2: which flags each type may carry; types 0 and 15 are reserved. Shown by the first byte alone.</summary>
    private static bool HasLegalFlags(byte first)
    {
        int flags = first & 0x0F;
        return (PacketType)(first >> 4) switch
        {
            0 or (PacketType)15 => false,

            // QoS 3 does not exist (MQTT-3.3.1-4); a repeat with QoS 0 neither (MQTT-3.3.1-2).
            PacketType.Publish => (flags & 6) != 6 && (flags & 14) != 8,
            PacketType.Pubrel or PacketType.Subscribe or PacketType.Unsubscribe => flags == 2,
            _ => flags == 0,
        };
    }

    /// <summary>Lengths that cannot be right whatever the body holds, so that the header alone refuses them.</summary>
    private static bool IsLegalLength(PacketType type, int body) => type switch
    {
        PacketType.Pingreq or PacketType.Pingresp or PacketType.Disconnect => body == 0,
        PacketType.Connack or PacketType.Puback or PacketType.Pubrec or PacketType.Pubrel or PacketType.Pubcomp
            or PacketType.Unsuback => body == 2,
        PacketType.Connect => body >= 7,
        PacketType.Publish or PacketType.Suback => body >= 3,
        PacketType.Subscribe => body >= 6,
        _ => body >= 5,
    };

    /// <summary>§2.2.3: up to four bytes of seven bits, low first; a fifth would be malformed.</summary>
    private static ReadStatus ReadLength(ReadOnlySpan<byte> bytes, out int length, out int lengthBytes)
    {
        length = 0;
        for (lengthBytes = 0; lengthBytes < 4;)
        {
            if (lengthBytes >= bytes.Length)
            {
                return ReadStatus.NeedMore;
            }

            byte next = bytes[lengthBytes];
            length |= (next & 0x7F) << (7 * lengthBytes);
            lengthBytes++;
            if (next < 0x80)
            {
                return ReadStatus.Ok;
            }
        }

        return ReadStatus.Malformed;
    }

    /// <summary>§1.5.3, §3.1.3: length:2, high byte first | that many bytes.</summary>
    private static bool TryTakeField(scoped ref ReadOnlySpan<byte> rest, out ReadOnlySpan<byte> field)
    {
        field = default;
        if (!BinaryPrimitives.TryReadUInt16BigEndian(rest, out ushort length) || rest.Length - 2 < length)
        {
            return false;
        }

        field = rest.Slice(2, length);
        rest = rest[(2 + length)..];
        return true;
    }

    /// <summary>§2.3.1: packet id:2, never 0.</summary>
    private static bool TryTakePacketId(scoped ref ReadOnlySpan<byte> rest, out ushort packetId)
    {
        if (!BinaryPrimitives.TryReadUInt16BigEndian(rest, out packetId) || packetId == 0)
        {
            return false;
        }

        rest = rest[2..];
        return true;
    }
}
