using System.Text;
using Agent.Wire;

namespace Agent.Tests.Wire;

/// <summary>What our reader sees in a packet, in the words of tests/golden/packets.txt.</summary>
public static class PacketText
{
    /// <summary>Null when the body is malformed.</summary>
    public static string? Describe(in Frame frame)
    {
        string name = frame.Type.ToString().ToUpperInvariant();
        switch (frame.Type)
        {
            case PacketType.Connect:
                return MqttReader.TryReadConnect(frame, out ConnectPacket connect) ? Describe(connect) : null;
            case PacketType.Connack:
                return MqttReader.TryReadConnack(frame, out byte code, out bool present)
                    ? $"{name} code={code} present={Bit(present)}" : null;
            case PacketType.Publish:
                return MqttReader.TryReadPublish(frame, out PublishPacket publish) ? Describe(publish) : null;
            case PacketType.Subscribe:
                return MqttReader.TryReadSubscribe(frame, out SubscribePacket subscribe) ? Describe(subscribe) : null;
            case PacketType.Unsubscribe:
                return MqttReader.TryReadUnsubscribe(frame, out UnsubscribePacket drop) ? Describe(drop) : null;
            case PacketType.Suback:
                return MqttReader.TryReadSuback(frame, out SubackPacket suback)
                    ? $"{name} packet={suback.PacketId} codes={string.Join(',', suback.Codes.ToArray())}" : null;
            case PacketType.Pingreq or PacketType.Pingresp or PacketType.Disconnect:
                return name;
            default:
                return MqttReader.TryReadPacketId(frame, out ushort packetId) ? $"{name} packet={packetId}" : null;
        }
    }

    private static string Describe(in ConnectPacket packet)
    {
        var text = new StringBuilder($"CONNECT name={Quote(packet.ProtocolName)} level={packet.ProtocolLevel}");
        if (!packet.IsSupported)
        {
            return text.ToString();
        }

        text.Append($" clean={Bit(packet.CleanSession)} keepAlive={packet.KeepAliveSeconds} id={Quote(packet.ClientId)}");
        if (packet.HasWill)
        {
            text.Append($" will={Quote(packet.WillTopic)} willMessage={Convert.ToHexString(packet.WillMessage)}");
            text.Append($" willQos={packet.WillQos} willRetain={Bit(packet.WillRetain)}");
        }

        text.Append(packet.HasUserName ? $" user={Quote(packet.UserName)}" : "");
        text.Append(packet.HasPassword ? $" password={Convert.ToHexString(packet.Password)}" : "");
        return text.ToString();
    }

    private static string Describe(in PublishPacket packet) =>
        $"PUBLISH qos={packet.Qos} dup={Bit(packet.Dup)} retain={Bit(packet.Retain)} packet={packet.PacketId}"
        + $" topic={Quote(packet.Topic)} payload={Convert.ToHexString(packet.Payload)}";

    private static string Describe(in SubscribePacket packet)
    {
        var filters = new List<string>();
        foreach (SubscribePacket.Item item in packet)
        {
            filters.Add($"{Quote(item.Filter)}:{item.Qos}");
        }

        Assert.Equal(packet.Count, filters.Count);
        return $"SUBSCRIBE packet={packet.PacketId} filters={string.Join(',', filters)}";
    }

    private static string Describe(in UnsubscribePacket packet)
    {
        var filters = new List<string>();
        foreach (ReadOnlySpan<byte> filter in packet)
        {
            filters.Add(Quote(filter));
        }

        Assert.Equal(packet.Count, filters.Count);
        return $"UNSUBSCRIBE packet={packet.PacketId} filters={string.Join(',', filters)}";
    }

    private static int Bit(bool value) => value ? 1 : 0;

    private static string Quote(ReadOnlySpan<byte> text) => $"\"{Encoding.UTF8.GetString(text)}\"";
}
