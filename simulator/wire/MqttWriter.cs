using System.Buffers.Binary;

namespace Agent.Wire;

// Writing MQTT 3.1.1 into memory the caller owns. Every packet has a Size method and a Write method; Write returns
// what Size said. A field that cannot be sent (topic too long, packet id 0, wildcard in a topic) is the caller's
// mistake and throws ArgumentException before a byte is written; the text names the field, never its content.

/// <summary>Writes MQTT 3.1.1 packets into spans. Never allocates.</summary>
public static partial class MqttWriter
{
    /// <summary>§3.2: 20 02 | session present:1 | code:1.</summary>
    public const int ConnackSize = 4;

    /// <summary>Size of PUBACK, PUBREC, PUBREL, PUBCOMP and UNSUBACK, bytes.</summary>
    public const int PacketIdSize = 4;

    /// <summary>Size of PINGREQ, PINGRESP and DISCONNECT, bytes.</summary>
    public const int EmptySize = 2;

    /// <summary>§3.2: 20 02 | session present:1 | code:1, 0 to 5. Session present only with code 0 (MQTT-3.2.2-4).</summary>
    public static int WriteConnack(Span<byte> to, byte code, bool sessionPresent)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(code, (byte)5);
        to[3] = code;
        to[2] = sessionPresent && code == 0 ? (byte)1 : (byte)0;
        to[1] = 2;
        to[0] = (byte)PacketType.Connack << 4;
        return ConnackSize;
    }

    /// <summary>Size of a PUBLISH, bytes.</summary>
    /// <exception cref="ArgumentException">A field cannot be sent.</exception>
    public static int PublishSize(in PublishPacket packet)
    {
        CheckPublish(packet);
        return FrameSize(PublishBody(packet));
    }

    /// <summary>§3.3: 3 dup qos retain | topic:2+n | packet id:2 when qos above 0 | payload.</summary>
    /// <exception cref="ArgumentException">A field cannot be sent.</exception>
    public static int WritePublish(Span<byte> to, in PublishPacket packet)
    {
        CheckPublish(packet);
        int first = ((int)PacketType.Publish << 4) | (packet.Dup ? 8 : 0) | (packet.Qos << 1) | (packet.Retain ? 1 : 0);
        int at = WriteHeader(to, (byte)first, PublishBody(packet));
        at = WriteField(to, at, packet.Topic);
        if (packet.Qos > 0)
        {
            at = WriteUInt16(to, at, packet.PacketId);
        }

        packet.Payload.CopyTo(to[at..]);
        return at + packet.Payload.Length;
    }

    /// <summary>§3.4: 40 02 | packet id:2.</summary>
    public static int WritePuback(Span<byte> to, ushort packetId) => WritePacketId(to, PacketType.Puback, 0, packetId);

    /// <summary>§3.5: 50 02 | packet id:2.</summary>
    public static int WritePubrec(Span<byte> to, ushort packetId) => WritePacketId(to, PacketType.Pubrec, 0, packetId);

    /// <summary>§3.6: 62 02 | packet id:2.</summary>
    public static int WritePubrel(Span<byte> to, ushort packetId) => WritePacketId(to, PacketType.Pubrel, 2, packetId);

    /// <summary>§3.7: 70 02 | packet id:2.</summary>
    public static int WritePubcomp(Span<byte> to, ushort packetId) => WritePacketId(to, PacketType.Pubcomp, 0, packetId);

    /// <summary>§3.11: B0 02 | packet id:2.</summary>
    public static int WriteUnsuback(Span<byte> to, ushort packetId) => WritePacketId(to, PacketType.Unsuback, 0, packetId);

    /// <summary>§3.12: C0 00.</summary>
    public static int WritePingreq(Span<byte> to) => WriteHeader(to, (byte)PacketType.Pingreq << 4, 0);

    /// <summary>§3.13: D0 00.</summary>
    public static int WritePingresp(Span<byte> to) => WriteHeader(to, (byte)PacketType.Pingresp << 4, 0);

    /// <summary>§3.14: E0 00.</summary>
    public static int WriteDisconnect(Span<byte> to) => WriteHeader(to, (byte)PacketType.Disconnect << 4, 0);

    /// <summary>Size of a SUBACK with this many codes, bytes.</summary>
    public static int SubackSize(int codes) => FrameSize(2 + codes);

    /// <summary>§3.9: 90 len | packet id:2 | one code per filter, each 0, 1, 2 or 0x80.</summary>
    /// <exception cref="ArgumentException">No code, or one that does not exist.</exception>
    public static int WriteSuback(Span<byte> to, ushort packetId, ReadOnlySpan<byte> codes)
    {
        CheckPacketId(packetId);
        if (codes.IsEmpty || codes.ContainsAnyExcept([(byte)0, (byte)1, (byte)2, SubackPacket.Failure]))
        {
            throw new ArgumentException("A SUBACK carries one code per filter: 0, 1, 2 or 0x80.", nameof(codes));
        }

        int at = WriteHeader(to, (byte)PacketType.Suback << 4, 2 + codes.Length);
        at = WriteUInt16(to, at, packetId);
        codes.CopyTo(to[at..]);
        return at + codes.Length;
    }

    /// <summary>Size of a SUBSCRIBE, bytes.</summary>
    /// <exception cref="ArgumentException">No filter, or one that cannot be sent.</exception>
    public static int SubscribeSize(ReadOnlySpan<TopicFilter> filters) => FrameSize(FiltersBody(filters, 1));

    /// <summary>§3.8: 82 len | packet id:2 | (filter:2+n | qos:1) for each.</summary>
    /// <exception cref="ArgumentException">No filter, or one that cannot be sent.</exception>
    public static int WriteSubscribe(Span<byte> to, ushort packetId, ReadOnlySpan<TopicFilter> filters)
    {
        CheckPacketId(packetId);
        int at = WriteHeader(to, ((byte)PacketType.Subscribe << 4) | 2, FiltersBody(filters, 1));
        at = WriteUInt16(to, at, packetId);
        foreach (TopicFilter filter in filters)
        {
            at = WriteField(to, at, filter.Filter.Span);
            to[at++] = filter.Qos;
        }

        return at;
    }

    /// <summary>Size of an UNSUBSCRIBE, bytes.</summary>
    /// <exception cref="ArgumentException">No filter, or one that cannot be sent.</exception>
    public static int UnsubscribeSize(ReadOnlySpan<TopicFilter> filters) => FrameSize(FiltersBody(filters, 0));

    /// <summary>§3.10: A2 len | packet id:2 | (filter:2+n) for each.</summary>
    /// <exception cref="ArgumentException">No filter, or one that cannot be sent.</exception>
    public static int WriteUnsubscribe(Span<byte> to, ushort packetId, ReadOnlySpan<TopicFilter> filters)
    {
        CheckPacketId(packetId);
        int at = WriteHeader(to, ((byte)PacketType.Unsubscribe << 4) | 2, FiltersBody(filters, 0));
        at = WriteUInt16(to, at, packetId);
        foreach (TopicFilter filter in filters)
        {
            at = WriteField(to, at, filter.Filter.Span);
        }

        return at;
    }

    private static int PublishBody(in PublishPacket packet) =>
        2 + packet.Topic.Length + (packet.Qos > 0 ? 2 : 0) + packet.Payload.Length;

    private static void CheckPublish(in PublishPacket packet)
    {
        CheckLength(packet.Topic, "topic");
        if (!MqttText.IsTopicName(packet.Topic))
        {
            throw new ArgumentException("A topic is UTF-8 of at least one character, without '+', '#' and U+0000.");
        }

        ArgumentOutOfRangeException.ThrowIfGreaterThan(packet.Qos, (byte)2);
        if ((packet.Qos > 0) != (packet.PacketId > 0) || (packet.Dup && packet.Qos == 0))
        {
            throw new ArgumentException("QoS 1 and 2 need a packet id; QoS 0 has neither packet id nor repeat.");
        }

        if (packet.Payload.Length > MqttReader.BodyBytesLimit - 65_539)
        {
            throw new ArgumentException("The payload is longer than MQTT can carry.");
        }
    }

    private static int FiltersBody(ReadOnlySpan<TopicFilter> filters, int bytesAfterEach)
    {
        int body = 2;
        foreach (TopicFilter filter in filters)
        {
            CheckLength(filter.Filter.Span, "topic filter");
            if (!MqttText.IsTopicFilter(filter.Filter.Span))
            {
                throw new ArgumentException("A topic filter is UTF-8 with '+' and '#' alone in their level.");
            }

            body = checked(body + 2 + filter.Filter.Length + bytesAfterEach);
        }

        return filters.IsEmpty ? throw new ArgumentException("At least one topic filter is needed.") : body;
    }

    private static int WritePacketId(Span<byte> to, PacketType type, byte flags, ushort packetId)
    {
        CheckPacketId(packetId);
        int at = WriteHeader(to, (byte)(((byte)type << 4) | flags), 2);
        return WriteUInt16(to, at, packetId);
    }

    private static void CheckPacketId(ushort packetId)
    {
        if (packetId == 0)
        {
            throw new ArgumentException("Packet ids are 1 to 65535.", nameof(packetId));
        }
    }

    private static void CheckLength(ReadOnlySpan<byte> field, string name)
    {
        if (field.Length > ushort.MaxValue)
        {
            throw new ArgumentException($"The {name} is longer than 65535 bytes.");
        }
    }

    private static int FrameSize(int body) =>
        body + (body < 128 ? 2 : body < 16_384 ? 3 : body < 2_097_152 ? 4 : 5);

    private static int WriteHeader(Span<byte> to, byte first, int body)
    {
        to[0] = first;
        int at = 1;
        for (; body > 127; body >>= 7)
        {
            to[at++] = (byte)(body | 0x80);
        }

        to[at++] = (byte)body;
        return at;
    }

    private static int WriteUInt16(Span<byte> to, int at, ushort value)
    {
        BinaryPrimitives.WriteUInt16BigEndian(to[at..], value);
        return at + 2;
    }

    private static int WriteField(Span<byte> to, int at, ReadOnlySpan<byte> field)
    {
        at = WriteUInt16(to, at, (ushort)field.Length);
        field.CopyTo(to[at..]);
        return at + field.Length;
    }
}
