namespace Agent.Wire;

// CONNECT, always as MQTT 3.1.1 whatever the packet's ProtocolName and ProtocolLevel say.
public static partial class MqttWriter
{
    /// <summary>Size of a CONNECT, bytes.</summary>
    /// <exception cref="ArgumentException">A field cannot be sent.</exception>
    public static int ConnectSize(in ConnectPacket packet)
    {
        CheckConnect(packet);
        return FrameSize(ConnectBody(packet));
    }

    /// <summary>
    /// §3.1: 10 len | 00 04 'MQTT' | 04 | flags:1 | keep alive:2 | client id:2+n | will topic:2+n, will message:2+n |
    /// user name:2+n | password:2+n, the last four as present.
    /// </summary>
    /// <exception cref="ArgumentException">A field cannot be sent.</exception>
    public static int WriteConnect(Span<byte> to, in ConnectPacket packet)
    {
        CheckConnect(packet);
        int at = WriteHeader(to, (byte)PacketType.Connect << 4, ConnectBody(packet));
        at = WriteField(to, at, "MQTT"u8);
        to[at++] = 4;
        to[at++] = ConnectFlags(packet);
        at = WriteUInt16(to, at, packet.KeepAliveSeconds);
        at = WriteField(to, at, packet.ClientId);
        if (packet.HasWill)
        {
            at = WriteField(to, at, packet.WillTopic);
            at = WriteField(to, at, packet.WillMessage);
        }

        at = packet.HasUserName ? WriteField(to, at, packet.UserName) : at;
        return packet.HasPassword ? WriteField(to, at, packet.Password) : at;
    }

    private static byte ConnectFlags(in ConnectPacket packet)
    {
        int will = packet.HasWill ? 4 | (packet.WillQos << 3) | (packet.WillRetain ? 0x20 : 0) : 0;
        return (byte)(will | (packet.CleanSession ? 2 : 0) | (packet.HasUserName ? 0x80 : 0)
            | (packet.HasPassword ? 0x40 : 0));
    }

    private static int ConnectBody(in ConnectPacket packet) =>
        10 + 2 + packet.ClientId.Length
        + (packet.HasWill ? 4 + packet.WillTopic.Length + packet.WillMessage.Length : 0)
        + (packet.HasUserName ? 2 + packet.UserName.Length : 0)
        + (packet.HasPassword ? 2 + packet.Password.Length : 0);

    private static void CheckConnect(in ConnectPacket packet)
    {
        CheckLength(packet.ClientId, "client id");
        CheckLength(packet.WillTopic, "will topic");
        CheckLength(packet.WillMessage, "will message");
        CheckLength(packet.UserName, "user name");
        CheckLength(packet.Password, "password");
        ArgumentOutOfRangeException.ThrowIfGreaterThan(packet.WillQos, (byte)2);
        if (!MqttText.IsString(packet.ClientId) || !MqttText.IsString(packet.UserName)
            || (packet.HasWill && !MqttText.IsTopicName(packet.WillTopic)))
        {
            throw new ArgumentException("Client id, user name and will topic are UTF-8 without U+0000.");
        }

        if (packet.HasPassword && !packet.HasUserName)
        {
            throw new ArgumentException("MQTT 3.1.1 carries a password only together with a user name.");
        }
    }
}
