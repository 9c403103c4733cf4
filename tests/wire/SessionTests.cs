using Agent.Wire;

namespace Agent.Tests.Wire;

/// <summary>The order of things, without a network: bytes in, calls and bytes out, and the name of the end.</summary>
public class SessionTests
{
    private const string Connect = "10 0D 00 04 4D 51 54 54 04 02 00 3C 00 01 70";
    private const string Connack = "20 02 00 00";

    [Theory]
    [InlineData("C0 00", SessionEnd.FirstPacketNotConnect)]
    [InlineData("20 02 00 00", SessionEnd.FirstPacketNotConnect)]
    [InlineData("16 03 01 00", SessionEnd.Malformed)]
    [InlineData("30 FF FF FF 7F", SessionEnd.TooLarge)]
    [InlineData("10 81 C0 04", SessionEnd.TooLarge)]
    [InlineData("10 14 00 04 4D 51 54 54 05 02 00 3C 03 21 00 14 00 04 66 69 76 65", SessionEnd.UnsupportedVersion)]
    [InlineData("10 11 00 06 4D 51 49 73 64 70 03 02 00 3C 00 03 6F 6C 64", SessionEnd.UnsupportedVersion)]
    [InlineData(Connect + Connect, SessionEnd.SecondConnect)]
    [InlineData(Connect + "E0 00", SessionEnd.Disconnected)]
    [InlineData(Connect + "34 06 00 01 61 00 01 78", SessionEnd.Qos2)]
    [InlineData(Connect + "62 02 00 01", SessionEnd.Qos2)]
    [InlineData(Connect + "20 02 00 00", SessionEnd.NotAllowed)]
    [InlineData(Connect + "90 03 00 01 00", SessionEnd.NotAllowed)]
    [InlineData(Connect + "D0 00", SessionEnd.NotAllowed)]
    [InlineData(Connect + "B0 02 00 01", SessionEnd.NotAllowed)]
    [InlineData(Connect + "30 03 00 01 23", SessionEnd.Malformed)]
    [InlineData(Connect + "40 02 00 00", SessionEnd.Malformed)]
    [InlineData(Connect + "F0 00", SessionEnd.Malformed)]
    public void A_client_that_breaks_a_rule_ends_with_its_name(string hex, SessionEnd expected)
    {
        using var server = new MemoryPeer(toServer: true);
        server.Feed(hex);
        Assert.Equal(expected, server.Session.End);
        Assert.NotEmpty(server.Session.End.Text());
    }

    [Theory]
    [InlineData("D0 00", SessionEnd.FirstPacketNotConnack)]
    [InlineData("10 0D 00 04 4D 51 54 54 04 02 00 3C 00 01 70", SessionEnd.FirstPacketNotConnack)]
    [InlineData(Connack + Connack, SessionEnd.SecondConnack)]
    [InlineData(Connack + "E0 00", SessionEnd.NotAllowed)]
    [InlineData(Connack + "C0 00", SessionEnd.NotAllowed)]
    [InlineData(Connack + "82 06 00 01 00 01 61 00", SessionEnd.NotAllowed)]
    [InlineData(Connack + "34 06 00 01 61 00 01 78", SessionEnd.Qos2)]
    [InlineData(Connack + "50 02 00 01", SessionEnd.Qos2)]
    [InlineData(Connack + "30 FF FF FF 7F", SessionEnd.TooLarge)]
    [InlineData(Connack + "90 03 00 01 03", SessionEnd.Malformed)]
    [InlineData("20 02 00 09", SessionEnd.Malformed)]
    [InlineData("48 54 54 50 2F 31 2E 31", SessionEnd.Malformed)]
    public void A_server_that_breaks_a_rule_ends_with_its_name(string hex, SessionEnd expected)
    {
        using var client = new MemoryPeer(toServer: false);
        client.Feed(hex);
        Assert.Equal(expected, client.Session.End);
    }

    [Fact]
    public void A_message_larger_than_any_connect_is_taken_once_connected()
    {
        using var server = new MemoryPeer(toServer: true);
        server.Feed(Connect);
        server.Feed([0x30, 0x84, 0x80, 0x10, 0x00, 0x01, 0x61, .. new byte[262_145]]);
        Assert.Equal(["connect p", "publish 0 a"], server.Handler.Calls);
        Assert.True(server.Session.IsOpen);
    }

    [Fact]
    public void Another_mqtt_version_is_answered_with_connack_1()
    {
        using var server = new MemoryPeer(toServer: true);
        server.Feed("10 14 00 04 4D 51 54 54 05 02 00 3C 03 21 00 14 00 04 66 69 76 65");
        Assert.Equal([0x20, 0x02, 0x00, 0x01], server.Written);
    }

    [Fact]
    public void Nothing_after_the_end_reaches_the_handler()
    {
        using var server = new MemoryPeer(toServer: true);
        server.Feed(Connect + "E0 00 C0 00");
        Assert.Equal(["connect p", "disconnect"], server.Handler.Calls);
    }

    [Fact]
    public void Every_golden_packet_cut_short_by_a_fin_ends_with_a_name()
    {
        foreach (GoldenPacket golden in GoldenPackets.All)
        {
            for (int length = 1; length < golden.Bytes.Length; length++)
            {
                foreach (bool toServer in (bool[])[true, false])
                {
                    using var peer = new MemoryPeer(toServer);
                    peer.Feed(golden.Bytes[..length]);
                    peer.Session.OnPeerClosed();
                    peer.Session.Finish();
                    Assert.Equal(SessionEnd.PeerClosedInPacket, peer.Session.End);
                    Assert.Equal(1, peer.ClosedCount);
                }
            }
        }
    }

    [Fact]
    public void A_stream_fed_byte_by_byte_gives_the_same_calls_as_in_one_piece()
    {
        byte[] stream = GoldenPackets.FromHex(
            Connect + "30 05 00 03 61 2F 79" + "32 0A 00 03 61 2F 78 00 01 6F 6E 65" + "82 06 00 05 00 01 61 01"
            + "A2 05 00 06 00 01 61" + "C0 00" + "E0 00");
        using var whole = new MemoryPeer(toServer: true);
        using var pieces = new MemoryPeer(toServer: true);
        whole.Feed(stream);
        foreach (byte one in stream)
        {
            pieces.Feed([one]);
        }

        Assert.Equal(
            ["connect p", "publish 0 a/y", "publish 1 a/x", "subscribe 1", "unsubscribe 1", "ping", "disconnect"],
            whole.Handler.Calls);
        Assert.Equal(whole.Handler.Calls, pieces.Handler.Calls);
        Assert.Equal(whole.Written, pieces.Written);
    }

    [Fact]
    public void Replies_to_one_read_leave_in_one_write()
    {
        using var server = new MemoryPeer(toServer: true);
        server.Feed(Connect + string.Concat(Enumerable.Repeat("32 0A 00 03 61 2F 78 00 01 6F 6E 65", 64)));
        Assert.Equal(1, server.WriteCount);
        Assert.Equal(4 + (64 * 4), server.Written.Count);
    }

    [Fact]
    public void Packets_sent_in_a_batch_leave_in_one_write_when_the_last_batch_ends()
    {
        using var server = new MemoryPeer(toServer: true);
        server.Feed(Connect);
        var session = (ServerSession)server.Session;
        using (session.BeginBatch())
        {
            session.SendPuback(1);
            using (session.BeginBatch())
            {
                session.SendPuback(2);
            }

            Assert.Equal(1, server.WriteCount);
        }

        Assert.Equal(2, server.WriteCount);
        Assert.Equal([0x20, 0x02, 0, 0, 0x40, 0x02, 0, 1, 0x40, 0x02, 0, 2], server.Written);
    }

    [Fact]
    public void A_refusal_is_sent_and_ends_the_session()
    {
        using var server = new MemoryPeer(toServer: true, handler: new Refusing());
        server.Feed(Connect + "C0 00");
        Assert.Equal(SessionEnd.Refused, server.Session.End);
        Assert.Equal([0x20, 0x02, 0x00, 0x05], server.Written);
    }

    [Fact]
    public void A_handler_that_throws_ends_only_its_session_and_is_remembered()
    {
        using var server = new MemoryPeer(toServer: true, handler: new Throwing());
        server.Feed(Connect);
        Assert.Equal(SessionEnd.HandlerFailed, server.Session.End);
        Assert.IsType<InvalidOperationException>(server.Session.Fault);
    }

    [Fact]
    public void A_full_outbound_buffer_ends_the_session_as_a_slow_reader()
    {
        using var server = new MemoryPeer(toServer: true, new SessionLimits { OutboundBytesMax = 1000 });
        server.Feed(Connect);
        server.IsStuck = true;
        var session = (ServerSession)server.Session;
        int sent = 0;
        while (session.SendPublish("t"u8, new byte[95], 0, 0))
        {
            sent++;
        }

        Assert.Equal(10, sent);
        Assert.Equal(SessionEnd.SlowReader, session.End);
        Assert.True(session.EndsWithReset);
        Assert.Equal(1, server.EndRequestCount);
    }

    [Fact]
    public void Bytes_the_engine_has_taken_but_not_written_count_against_the_bound()
    {
        using var server = new MemoryPeer(toServer: true, new SessionLimits { OutboundBytesMax = 1000 });
        server.Feed(Connect);
        server.IsStuck = true;
        var session = (ServerSession)server.Session;
        Assert.True(session.SendPublish("t"u8, new byte[595], 0, 0));
        Assert.True(session.TakeOutbound(out byte[] taken, out int count));
        Assert.Equal(count, session.OutboundBytes);
        Assert.False(session.SendPublish("t"u8, new byte[595], 0, 0));
        Assert.Equal(SessionEnd.SlowReader, session.End);
        System.Buffers.ArrayPool<byte>.Shared.Return(taken);
    }

    [Fact]
    public void The_first_reason_to_end_wins_and_sends_are_refused_after_it()
    {
        using var server = new MemoryPeer(toServer: true);
        server.Feed(Connect);
        var session = (ServerSession)server.Session;
        session.Close(SessionEnd.HandlerClosed);
        session.Close(SessionEnd.ServerStopped);
        session.OnPeerClosed();
        Assert.False(session.SendPingresp());
        Assert.Equal(SessionEnd.HandlerClosed, session.End);
        Assert.Equal(1, server.EndRequestCount);
    }

    [Fact]
    public void Half_a_packet_does_not_count_as_a_sign_of_life()
    {
        var time = new SteppedTime();
        var session = new ServerSession(new RecordingHandler(), new SessionLimits(), time);
        session.Attach(new MemoryPeer(toServer: true));
        time.Advance(TimeSpan.FromSeconds(5));
        session.Feed(GoldenPackets.FromHex(Connect));
        time.Advance(TimeSpan.FromSeconds(5));
        session.Feed([0x30, 0x05, 0x00]);
        Assert.Equal(5000, session.LastInboundMs);
        Assert.Equal(10_000, time.NowMs());
    }

    [Fact]
    public void A_session_in_steady_state_allocates_nothing_per_packet()
    {
        using var server = new MemoryPeer(toServer: true, handler: new Quiet());
        server.Feed(Connect);
        byte[] batch = GoldenPackets.FromHex(string.Concat(Enumerable.Repeat("32 0A 00 03 61 2F 78 00 01 6F 6E 65", 64)));
        server.IsStuck = true;
        for (int warmUp = 0; warmUp < 200; warmUp++)
        {
            FeedAndDrop(server.Session, batch);
        }

        Assert.Equal(0, Allocations.Of(() =>
        {
            for (int times = 0; times < 1000; times++)
            {
                FeedAndDrop(server.Session, batch);
            }
        }));
    }

    private static void FeedAndDrop(Session session, byte[] batch)
    {
        session.Feed(batch);
        while (session.TakeOutbound(out byte[] buffer, out _))
        {
            System.Buffers.ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private sealed class Quiet : RecordingHandler
    {
        public override void OnPublish(ServerSession session, in PublishPacket packet) =>
            session.SendPuback(packet.PacketId);
    }

    private sealed class Refusing : RecordingHandler
    {
        public override void OnConnect(ServerSession session, in ConnectPacket packet) =>
            session.SendConnack(5, sessionPresent: false);
    }

    private sealed class Throwing : RecordingHandler
    {
        public override void OnConnect(ServerSession session, in ConnectPacket packet) =>
            throw new InvalidOperationException("planted");
    }

    private sealed class SteppedTime : TimeProvider
    {
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _ticks;

        public void Advance(TimeSpan by) => _ticks += by.Ticks;
    }
}
