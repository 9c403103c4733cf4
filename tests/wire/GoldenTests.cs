using Agent.Wire;

namespace Agent.Tests.Wire;

/// <summary>Packets of mosquitto, mqtt.js and mqtt-packet, read and written by us.</summary>
public class GoldenTests
{
    [Fact]
    public void Every_packet_type_has_a_golden_packet()
    {
        IEnumerable<PacketType> seen = GoldenPackets.All.Select(packet => (PacketType)(packet.Bytes[0] >> 4)).Distinct();
        Assert.Equal(Enum.GetValues<PacketType>().Order(), seen.Order());
    }

    [Fact]
    public void Every_golden_packet_reads_as_its_fields()
    {
        Assert.All(GoldenPackets.All, golden =>
        {
            Assert.Equal(ReadStatus.Ok, MqttReader.ReadFrame(golden.Bytes, golden.Bytes.Length, out Frame frame));
            Assert.Equal(golden.Bytes.Length, frame.TotalBytes);
            Assert.Equal(golden.Fields, PacketText.Describe(frame));
        });
    }

    [Fact]
    public void What_we_write_for_the_same_fields_is_the_same_bytes()
    {
        int copied = 0;
        Assert.All(GoldenPackets.All, golden =>
        {
            MqttReader.ReadFrame(golden.Bytes, golden.Bytes.Length, out Frame frame);
            if (PacketCopy.Of(frame) is { } copy)
            {
                Assert.Equal(Convert.ToHexString(golden.Bytes), Convert.ToHexString(copy));
                copied++;
            }
        });

        // All but the CONNECTs of MQTT 3.1 and 5, which are only ever refused.
        int others = GoldenPackets.All.Count(golden => golden.Fields.StartsWith("CONNECT", StringComparison.Ordinal)
            && !golden.Fields.Contains("level=4", StringComparison.Ordinal));
        Assert.True(others >= 2);
        Assert.Equal(GoldenPackets.All.Count - others, copied);
    }

    [Fact]
    public void Every_prefix_of_every_golden_packet_needs_more()
    {
        Assert.All(GoldenPackets.All, golden =>
        {
            for (int length = 0; length < golden.Bytes.Length; length++)
            {
                byte[] prefix = golden.Bytes[..length];
                Assert.Equal(ReadStatus.NeedMore, MqttReader.ReadFrame(prefix, 1 << 20, out _));
            }
        });
    }

    [Fact]
    public void Two_packets_in_one_read_are_split_where_they_meet()
    {
        foreach (GoldenPacket first in GoldenPackets.All)
        {
            byte[] both = [.. first.Bytes, 0xC0, 0x00];
            Assert.Equal(ReadStatus.Ok, MqttReader.ReadFrame(both, 1 << 20, out Frame frame));
            Assert.Equal(first.Bytes.Length, frame.TotalBytes);
        }
    }

    [Fact]
    public void Every_truncated_body_under_an_honest_length_is_malformed_or_another_legal_packet()
    {
        // Cut the body and correct the announced length: the fields inside now run out early.
        foreach (GoldenPacket golden in GoldenPackets.All.Where(packet => packet.Bytes is [_, < 128, ..]))
        {
            for (int body = 0; body < golden.Bytes[1]; body++)
            {
                byte[] cut = [golden.Bytes[0], (byte)body, .. golden.Bytes[2..(2 + body)]];
                ReadStatus status = MqttReader.ReadFrame(cut, 1 << 20, out Frame frame);
                Assert.True(status is ReadStatus.Ok or ReadStatus.Malformed);
                if (status == ReadStatus.Ok && PacketCopy.Of(frame) is { } copy)
                {
                    Assert.Equal(cut, copy);
                }
            }
        }
    }

    [Theory]
    [InlineData(127, 2)]
    [InlineData(128, 3)]
    [InlineData(16_383, 3)]
    [InlineData(16_384, 4)]
    [InlineData(2_097_151, 4)]
    [InlineData(2_097_152, 5)]
    public void Remaining_length_takes_as_many_bytes_as_table_2_4_of_the_specification_says(int body, int header)
    {
        var packet = new PublishPacket { Topic = "t"u8, Payload = new byte[body - 3] };
        byte[] bytes = new byte[MqttWriter.PublishSize(packet)];
        MqttWriter.WritePublish(bytes, packet);
        Assert.Equal(header + body, bytes.Length);
        Assert.Equal(ReadStatus.Ok, MqttReader.ReadFrame(bytes, MqttReader.BodyBytesLimit, out Frame frame));
        Assert.Equal(body, frame.Body.Length);
    }
}
