using Agent.Wire;

namespace Agent.Tests.Wire;

/// <summary>Reads a packet and writes it again with our writer, into an array of exactly the size it asks for.</summary>
public static class PacketCopy
{
    private delegate int Write(Span<byte> to);

    /// <summary>Null when the body is malformed or of a protocol version that we never write.</summary>
    public static byte[]? Of(in Frame frame)
    {
        ushort id;
        switch (frame.Type)
        {
            case PacketType.Connect:
                return MqttReader.TryReadConnect(frame, out ConnectPacket connect) && connect.IsSupported
                    ? Copy(connect) : null;
            case PacketType.Connack:
                return MqttReader.TryReadConnack(frame, out byte code, out bool present)
                    ? Into(MqttWriter.ConnackSize, to => MqttWriter.WriteConnack(to, code, present)) : null;
            case PacketType.Publish:
                return MqttReader.TryReadPublish(frame, out PublishPacket publish) ? Copy(publish) : null;
            case PacketType.Subscribe:
                return MqttReader.TryReadSubscribe(frame, out SubscribePacket subscribe) ? Copy(subscribe) : null;
            case PacketType.Unsubscribe:
                return MqttReader.TryReadUnsubscribe(frame, out UnsubscribePacket drop) ? Copy(drop) : null;
            case PacketType.Suback:
                return MqttReader.TryReadSuback(frame, out SubackPacket suback) ? Copy(suback) : null;
            case PacketType.Pingreq:
                return Into(MqttWriter.EmptySize, MqttWriter.WritePingreq);
            case PacketType.Pingresp:
                return Into(MqttWriter.EmptySize, MqttWriter.WritePingresp);
            case PacketType.Disconnect:
                return Into(MqttWriter.EmptySize, MqttWriter.WriteDisconnect);
            default:
                PacketType type = frame.Type;
                return MqttReader.TryReadPacketId(frame, out id)
                    ? Into(MqttWriter.PacketIdSize, to => WriteId(type, to, id)) : null;
        }
    }

    private static int WriteId(PacketType type, Span<byte> to, ushort id) => type switch
    {
        PacketType.Puback => MqttWriter.WritePuback(to, id),
        PacketType.Pubrec => MqttWriter.WritePubrec(to, id),
        PacketType.Pubrel => MqttWriter.WritePubrel(to, id),
        PacketType.Pubcomp => MqttWriter.WritePubcomp(to, id),
        _ => MqttWriter.WriteUnsuback(to, id),
    };

    private static byte[] Into(int size, Write write)
    {
        byte[] bytes = new byte[size];
        Assert.Equal(size, write(bytes));
        return bytes;
    }

    private static byte[] Copy(in ConnectPacket packet)
    {
        byte[] bytes = new byte[MqttWriter.ConnectSize(packet)];
        Assert.Equal(bytes.Length, MqttWriter.WriteConnect(bytes, packet));
        return bytes;
    }

    private static byte[] Copy(in PublishPacket packet)
    {
        byte[] bytes = new byte[MqttWriter.PublishSize(packet)];
        Assert.Equal(bytes.Length, MqttWriter.WritePublish(bytes, packet));
        return bytes;
    }

    private static byte[] Copy(in SubackPacket packet)
    {
        byte[] bytes = new byte[MqttWriter.SubackSize(packet.Codes.Length)];
        Assert.Equal(bytes.Length, MqttWriter.WriteSuback(bytes, packet.PacketId, packet.Codes));
        return bytes;
    }

    private static byte[] Copy(in SubscribePacket packet)
    {
        var filters = new List<TopicFilter>();
        foreach (SubscribePacket.Item item in packet)
        {
            filters.Add(new TopicFilter(item.Filter.ToArray(), item.Qos));
        }

        ushort id = packet.PacketId;
        TopicFilter[] all = [.. filters];
        return Into(MqttWriter.SubscribeSize(all), to => MqttWriter.WriteSubscribe(to, id, all));
    }

    private static byte[] Copy(in UnsubscribePacket packet)
    {
        var filters = new List<TopicFilter>();
        foreach (ReadOnlySpan<byte> filter in packet)
        {
            filters.Add(new TopicFilter(filter.ToArray()));
        }

        ushort id = packet.PacketId;
        TopicFilter[] all = [.. filters];
        return Into(MqttWriter.UnsubscribeSize(all), to => MqttWriter.WriteUnsubscribe(to, id, all));
    }
}
