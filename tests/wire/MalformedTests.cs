using Agent.Wire;

namespace Agent.Tests.Wire;

/// <summary>One lie to the reader per line, each against a numbered rule of MQTT 3.1.1.</summary>
public class MalformedTests
{
    [Theory]
    [InlineData("00 00", "type 0 is reserved (table 2.1)")]
    [InlineData("F0 00", "type 15 is reserved (table 2.1)")]
    [InlineData("11 00", "CONNECT flags must be 0 (MQTT-2.2.2-2)")]
    [InlineData("60", "PUBREL flags must be 2 (MQTT-3.6.1-1)")]
    [InlineData("80", "SUBSCRIBE flags must be 2 (MQTT-3.8.1-1)")]
    [InlineData("A0", "UNSUBSCRIBE flags must be 2 (MQTT-3.10.1-1)")]
    [InlineData("36", "QoS 3 (MQTT-3.3.1-4)")]
    [InlineData("38", "DUP with QoS 0 (MQTT-3.3.1-2)")]
    [InlineData("30 FF FF FF FF", "a fifth length byte (2.2.3)")]
    [InlineData("C0 01", "PINGREQ has no body (3.12)")]
    [InlineData("40 03", "PUBACK has a body of two bytes (3.4)")]
    [InlineData("40 01", "PUBACK has a body of two bytes (3.4)")]
    [InlineData("E0 80 01", "DISCONNECT has no body (3.14)")]
    [InlineData("10 06", "no CONNECT is so short (3.1)")]
    public void The_header_alone_shows_it(string hex, string rule)
    {
        Assert.Equal(ReadStatus.Malformed, MqttReader.ReadFrame(GoldenPackets.FromHex(hex), 1 << 20, out _));
        Assert.NotEmpty(rule);
    }

    [Theory]
    [InlineData("10 0C 00 04 4D 51 54 54 04 03 00 00 00 00", "reserved connect flag (MQTT-3.1.2-3)")]
    [InlineData("10 0C 00 04 4D 51 54 54 04 0A 00 00 00 00", "will QoS without will (MQTT-3.1.2-13)")]
    [InlineData("10 0C 00 04 4D 51 54 54 04 22 00 00 00 00", "will retain without will (MQTT-3.1.2-15)")]
    [InlineData("10 11 00 04 4D 51 54 54 04 1E 00 00 00 00 00 01 74 00 00", "will QoS 3 (MQTT-3.1.2-14)")]
    [InlineData("10 0E 00 04 4D 51 54 54 04 42 00 00 00 00 00 00", "password without user name (MQTT-3.1.2-22)")]
    [InlineData("10 0C 00 04 4D 51 54 54 04 82 00 00 00 00", "user name announced, not there")]
    [InlineData("10 0D 00 04 4D 51 54 54 04 02 00 00 00 00 00", "a byte too many")]
    [InlineData("10 0D 00 04 4D 51 54 54 04 02 00 00 00 01 00", "U+0000 in a string (MQTT-1.5.3-2)")]
    [InlineData("10 0F 00 04 4D 51 54 54 04 02 00 00 00 03 ED A0 80", "a surrogate in UTF-8 (MQTT-1.5.3-1)")]
    [InlineData("10 0D 00 04 4D 51 54 54 04 02 00 00 00 01 FF", "not UTF-8 (MQTT-1.5.3-1)")]
    [InlineData("10 0C 00 04 48 54 54 50 04 02 00 00 00 00", "another protocol's name (MQTT-3.1.2-1)")]
    [InlineData("10 0C 00 05 4D 51 54 54 04 02 00 00 00 00", "a name one byte too long (MQTT-3.1.2-1)")]
    [InlineData("10 0C FF FF 4D 51 54 54 04 02 00 00 00 00", "a field longer than the packet")]
    [InlineData("10 10 00 04 4D 51 54 54 04 06 00 00 00 00 00 00 00 00", "an empty will topic (MQTT-4.7.3-1)")]
    [InlineData("30 03 00 01 23", "a wildcard in a topic name (MQTT-3.3.2-2)")]
    [InlineData("30 05 00 03 61 2F 2B", "a wildcard in a topic name (MQTT-3.3.2-2)")]
    [InlineData("30 03 00 00 78", "an empty topic name (MQTT-4.7.3-1)")]
    [InlineData("30 04 00 02 C0 80", "an overlong U+0000 (MQTT-1.5.3-1)")]
    [InlineData("30 03 00 02 61", "a topic longer than the packet")]
    [InlineData("32 05 00 01 61 00 00", "packet id 0 (MQTT-2.3.1-1)")]
    [InlineData("32 04 00 01 61 00", "half a packet id")]
    [InlineData("40 02 00 00", "packet id 0 (MQTT-2.3.1-1)")]
    [InlineData("82 06 00 01 00 01 61 03", "QoS 3 asked for (MQTT-3.8.3-4)")]
    [InlineData("82 06 00 01 00 01 61 81", "reserved bits of the QoS byte (MQTT-3.8.3-4)")]
    [InlineData("82 07 00 01 00 02 61 23 00", "'#' not alone in its level (MQTT-4.7.1-2)")]
    [InlineData("82 08 00 01 00 03 23 2F 61 00", "something after '#' (MQTT-4.7.1-2)")]
    [InlineData("82 07 00 01 00 02 61 2B 00", "'+' not alone in its level (MQTT-4.7.1-3)")]
    [InlineData("82 07 00 01 00 02 2B 61 00", "'+' not alone in its level (MQTT-4.7.1-3)")]
    [InlineData("82 07 00 01 00 01 61 00 00", "half a second filter")]
    [InlineData("82 06 00 00 00 01 61 00", "packet id 0 (MQTT-2.3.1-1)")]
    [InlineData("82 06 00 01 00 02 61 61", "a filter without its QoS")]
    [InlineData("A2 05 00 01 00 00 61", "an empty filter (MQTT-4.7.3-1)")]
    [InlineData("A2 05 00 01 00 02 61", "a filter longer than the packet")]
    [InlineData("90 03 00 01 03", "SUBACK code 3 does not exist (MQTT-3.9.3-2)")]
    [InlineData("20 02 02 00", "reserved CONNACK flag (3.2.2.1)")]
    [InlineData("20 02 00 06", "CONNACK code 6 is reserved (3.2.2.3)")]
    [InlineData("20 02 01 05", "session present in a refusal (MQTT-3.2.2-4)")]
    public void The_body_shows_it(string hex, string rule)
    {
        byte[] bytes = GoldenPackets.FromHex(hex);
        Assert.Equal(ReadStatus.Ok, MqttReader.ReadFrame(bytes, 1 << 20, out Frame frame));
        Assert.Equal(bytes.Length, frame.TotalBytes);
        Assert.Null(PacketText.Describe(frame));
        Assert.NotEmpty(rule);
    }

    [Theory]
    [InlineData("30 FF FF FF 7F", "the longest length there is, 256 MB")]
    [InlineData("10 81 80 40", "one byte above the limit")]
    public void A_length_above_the_limit_is_refused_before_any_of_it_arrives(string hex, string what)
    {
        Assert.Equal(ReadStatus.TooLarge, MqttReader.ReadFrame(GoldenPackets.FromHex(hex), 1 << 20, out _));
        Assert.NotEmpty(what);
    }

    [Fact]
    public void A_length_at_the_limit_is_waited_for()
    {
        Assert.Equal(ReadStatus.NeedMore, MqttReader.ReadFrame([0x30, 0x80, 0x80, 0x40], 1 << 20, out _));
    }

    [Theory]
    [InlineData("a", true)]
    [InlineData("/", true)]
    [InlineData("#", true)]
    [InlineData("+", true)]
    [InlineData("+/+/#", true)]
    [InlineData("a/+/b", true)]
    [InlineData("/#", true)]
    [InlineData("", false)]
    [InlineData("a#", false)]
    [InlineData("#/", false)]
    [InlineData("a/+b", false)]
    [InlineData("a+/b", false)]
    [InlineData("++", false)]
    [InlineData("a/##", false)]
    public void Wildcards_stand_alone_in_their_level(string filter, bool legal)
    {
        Assert.Equal(legal, MqttText.IsTopicFilter(System.Text.Encoding.UTF8.GetBytes(filter)));
    }

    [Fact]
    public void A_packet_that_cannot_be_sent_is_refused_before_a_byte_is_written()
    {
        byte[] room = new byte[64];
        Assert.Throws<ArgumentException>(() => MqttWriter.WritePublish(room, new PublishPacket { Topic = "a/#"u8 }));
        Assert.Throws<ArgumentException>(() => MqttWriter.WritePublish(room, new PublishPacket { Topic = "a"u8, Qos = 1 }));
        Assert.Throws<ArgumentException>(() => MqttWriter.WritePuback(room, 0));
        Assert.Throws<ArgumentException>(() => MqttWriter.WriteSuback(room, 1, []));
        Assert.Throws<ArgumentException>(() => MqttWriter.WriteSubscribe(room, 1, []));
        Assert.Throws<ArgumentException>(() => MqttWriter.WriteConnect(room, new ConnectPacket { Password = "x"u8 }));
        Assert.Throws<ArgumentException>(() => MqttWriter.ConnectSize(new ConnectPacket { ClientId = new byte[65_536] }));
        Assert.All(room, octet => Assert.Equal(0, octet));
    }
}
