using System.Net.Security;
using System.Net.Sockets;
using Agent.Wire;

namespace Agent.Tests.Wire;

/// <summary>Peers that misbehave over real sockets: their connection ends with a name, a good client is served on.</summary>
public abstract class HostileTests(TlsEngine engine)
{
    public sealed class Portable() : HostileTests(TlsEngine.Portable);

    public sealed class Native() : HostileTests(TlsEngine.Native);

    private readonly TlsEngine engine = WireWorld.Demand(engine);

    private const string Connect = "10 0D 00 04 4D 51 54 54 04 02 00 3C 00 01 70";

    private static ServerOptions Impatient => new() { ConnectTimeout = TimeSpan.FromMilliseconds(300) };

    [Fact]
    public async Task Garbage_instead_of_tls()
    {
        await using WireWorld world = await WireWorld.StartAsync(engine);
        using Socket socket = await world.ConnectRawAsync();
        await socket.SendAsync("GET / HTTP/1.1\r\n\r\n"u8.ToArray());
        await world.ExpectEndAsync(WireWorld.PortOf(socket), SessionEnd.TlsHandshakeFailed);
    }

    [Fact]
    public async Task A_fin_in_the_middle_of_the_handshake()
    {
        await using WireWorld world = await WireWorld.StartAsync(engine);
        using Socket socket = await world.ConnectRawAsync();
        await socket.SendAsync(GoldenPackets.FromHex("16 03 01 02 00 01 00"));
        socket.Shutdown(SocketShutdown.Send);
        await world.ExpectEndAsync(WireWorld.PortOf(socket), SessionEnd.TlsHandshakeFailed);
    }

    [Theory]
    [InlineData("")]
    [InlineData("16 03 01 02 00 01 00")]
    public async Task Silence_before_or_in_the_handshake(string firstBytes)
    {
        await using WireWorld world = await WireWorld.StartAsync(engine, Impatient);
        using Socket socket = await world.ConnectRawAsync();
        await socket.SendAsync(GoldenPackets.FromHex(firstBytes));
        await world.ExpectEndAsync(WireWorld.PortOf(socket), SessionEnd.ConnectTimeout);
    }

    [Theory]
    [InlineData("")]
    [InlineData("10")]
    [InlineData("10 0D 00 04 4D 51")]
    public async Task Silence_or_half_a_connect_after_the_handshake(string firstBytes)
    {
        await using WireWorld world = await WireWorld.StartAsync(engine, Impatient);
        await SendAndExpectAsync(world, firstBytes, SessionEnd.ConnectTimeout);
    }

    [Theory]
    [InlineData("47 45 54 20 2F 20 48 54 54 50", SessionEnd.Malformed)]
    [InlineData("10 FF FF FF 7F", SessionEnd.TooLarge)]
    [InlineData(Connect + "30 FF FF FF 7F", SessionEnd.TooLarge)]
    [InlineData(Connect + "30 FF FF FF FF 03", SessionEnd.Malformed)]
    [InlineData("C0 00", SessionEnd.FirstPacketNotConnect)]
    [InlineData(Connect + Connect, SessionEnd.SecondConnect)]
    [InlineData(Connect + "34 06 00 01 61 00 01 78", SessionEnd.Qos2)]
    [InlineData(Connect + "20 02 00 00", SessionEnd.NotAllowed)]
    [InlineData(Connect + "E0 00", SessionEnd.Disconnected)]
    public async Task A_broken_rule_after_the_handshake(string bytes, SessionEnd expected)
    {
        await using WireWorld world = await WireWorld.StartAsync(engine);
        await SendAndExpectAsync(world, bytes, expected);
    }

    [Fact]
    public async Task An_mqtt_5_connect_gets_connack_1_and_then_the_end()
    {
        await using WireWorld world = await WireWorld.StartAsync(engine);
        (Socket socket, SslStream tls) = await world.ConnectTlsAsync();
        await using SslStream closing = tls;
        await tls.WriteAsync(GoldenPackets.FromHex("10 14 00 04 4D 51 54 54 05 02 00 3C 03 21 00 14 00 04 66 69 76 65"));
        byte[] answer = new byte[4];
        await tls.ReadExactlyAsync(answer).AsTask().WaitAsync(WireWorld.Patience);
        Assert.Equal([0x20, 0x02, 0x00, 0x01], answer);
        Assert.Equal(0, await tls.ReadAsync(answer).AsTask().WaitAsync(WireWorld.Patience));
        await world.ExpectEndAsync(WireWorld.PortOf(socket), SessionEnd.UnsupportedVersion);
    }

    [Theory]
    [InlineData(Connect, SessionEnd.PeerClosed)]
    [InlineData(Connect + "30 05 00", SessionEnd.PeerClosedInPacket)]
    [InlineData("", SessionEnd.PeerClosed)]
    public async Task A_fin_without_disconnect(string bytes, SessionEnd expected)
    {
        await using WireWorld world = await WireWorld.StartAsync(engine);
        (Socket socket, SslStream tls) = await world.ConnectTlsAsync();
        await using SslStream closing = tls;
        await tls.WriteAsync(GoldenPackets.FromHex(bytes));
        socket.Shutdown(SocketShutdown.Send);
        await world.ExpectEndAsync(WireWorld.PortOf(socket), expected);
    }

    [Fact]
    public async Task A_reset()
    {
        await using WireWorld world = await WireWorld.StartAsync(engine);
        (Socket socket, SslStream tls) = await world.ConnectTlsAsync();
        await ConnectAndAwaitConnackAsync(tls);
        int port = WireWorld.PortOf(socket);
        socket.LingerState = new LingerOption(true, 0);
        socket.Dispose();
        await world.ExpectEndAsync(port, SessionEnd.PeerReset);
    }

    [Fact]
    public async Task A_damaged_tls_record()
    {
        await using WireWorld world = await WireWorld.StartAsync(engine);
        (Socket socket, SslStream tls) = await world.ConnectTlsAsync();
        await ConnectAndAwaitConnackAsync(tls);
        await socket.SendAsync(GoldenPackets.FromHex("17 03 03 00 20" + string.Concat(Enumerable.Repeat("5A", 32))));
        await world.ExpectEndAsync(WireWorld.PortOf(socket), SessionEnd.TlsFailed);
        socket.Dispose();
    }

    [Fact]
    public async Task A_slow_reader()
    {
        var flood = new Flooding();
        await using WireWorld world = await WireWorld.StartAsync(engine, handler: flood);
        (Socket socket, SslStream tls) = await world.ConnectTlsAsync();
        await using SslStream closing = tls;
        await tls.WriteAsync(GoldenPackets.FromHex(Connect + "82 06 00 01 00 01 61 00"));
        ServerSession session = await flood.Subscriber.WaitAsync(WireWorld.Patience);
        byte[] payload = new byte[60_000];
        while (session.SendPublish("a"u8, payload, 0, 0))
        {
            // Sends from a thread of the hub's own until the bound is met; nobody reads at the other end.
        }

        await world.ExpectEndAsync(WireWorld.PortOf(socket), SessionEnd.SlowReader);
    }

    [Fact]
    public async Task A_slow_reader_flooded_from_inside_a_handler_call()
    {
        // More than the system's socket buffers take, so that a write is stuck when the bound is met.
        ServerOptions roomy = new() { Limits = new SessionLimits { OutboundBytesMax = 32 << 20 } };
        await using WireWorld world = await WireWorld.StartAsync(engine, roomy, new Gushing());
        (Socket socket, SslStream tls) = await world.ConnectTlsAsync();
        await using SslStream closing = tls;
        await tls.WriteAsync(GoldenPackets.FromHex(Connect + "82 06 00 01 00 01 61 00"));
        await world.ExpectEndAsync(WireWorld.PortOf(socket), SessionEnd.SlowReader);
    }

    [Fact]
    public async Task A_graceful_close_towards_a_peer_that_does_not_read_ends_with_the_linger_time()
    {
        var gush = new Gushing { TimesMax = 1, Bytes = 33 << 20 };
        await using WireWorld world = await WireWorld.StartAsync(
            engine,
            new ServerOptions
            {
                Limits = new SessionLimits { OutboundBytesMax = 64 << 20, CloseLinger = TimeSpan.FromMilliseconds(200) },
            },
            gush);
        (Socket socket, SslStream tls) = await world.ConnectTlsAsync();
        await using SslStream closing = tls;
        await tls.WriteAsync(GoldenPackets.FromHex(Connect + "82 06 00 01 00 01 61 00"));
        ServerSession session = await gush.Subscriber.WaitAsync(WireWorld.Patience);

        // The first bytes are here, so the write is under way; the rest does not fit into the system's buffers.
        await tls.ReadExactlyAsync(new byte[16]).AsTask().WaitAsync(WireWorld.Patience);
        session.Close();
        await world.ExpectEndAsync(WireWorld.PortOf(socket), SessionEnd.HandlerClosed);
        await world.Server.StopAsync().WaitAsync(WireWorld.Patience);
        Assert.Equal(0, world.Server.ConnectionCount);
    }

    [Fact]
    public async Task A_message_larger_than_the_socket_buffers_arrives_whole_once_the_peer_reads()
    {
        var flood = new Flooding();
        ServerOptions roomy = new() { Limits = new SessionLimits { OutboundBytesMax = 64 << 20 } };
        await using WireWorld world = await WireWorld.StartAsync(engine, roomy, flood);
        (_, SslStream tls) = await world.ConnectTlsAsync();
        await using SslStream closing = tls;
        await tls.WriteAsync(GoldenPackets.FromHex(Connect + "82 06 00 01 00 01 61 00"));
        ServerSession session = await flood.Subscriber.WaitAsync(WireWorld.Patience);
        byte[] payload = new byte[32 << 20];
        new Random(1).NextBytes(payload);
        Assert.True(session.SendPublish("a"u8, payload, 0, 0));

        // CONNACK, SUBACK, and the header of the PUBLISH with its topic.
        byte[] before = new byte[4 + 5 + 5 + 3];
        await tls.ReadExactlyAsync(before).AsTask().WaitAsync(WireWorld.Patience);
        byte[] received = new byte[payload.Length];
        await tls.ReadExactlyAsync(received).AsTask().WaitAsync(WireWorld.Patience);
        Assert.True(payload.AsSpan().SequenceEqual(received));
    }

    [Fact]
    public async Task Silent_strangers_above_the_bound_do_not_keep_a_good_client_out()
    {
        await using WireWorld world = await WireWorld.StartAsync(engine, new ServerOptions
        {
            StrangersMax = 8,
            StrangersPerAddressMax = 4,
        });
        List<Socket> strangers = [];
        for (int count = 0; count < 12; count++)
        {
            strangers.Add(await world.ConnectRawAsync());
        }

        (Socket socket, SslStream tls) = await world.ConnectTlsAsync();
        await using SslStream closing = tls;
        await ConnectAndAwaitConnackAsync(tls);
        await world.ExpectEndAsync(WireWorld.PortOf(strangers[0]), SessionEnd.Evicted);
        strangers.ForEach(stranger => stranger.Dispose());
        Assert.True(socket.Connected);
    }

    [Fact]
    public async Task A_connection_above_the_maximum_is_reset_and_the_others_live()
    {
        await using WireWorld world = await WireWorld.StartAsync(engine, new ServerOptions { ConnectionsMax = 1 });
        await Assert.ThrowsAsync<SocketException>(async () =>
        {
            using Socket socket = await world.ConnectRawAsync();
            await ReadToEndAsync(socket);
        });
        Assert.Equal(1, world.Server.RefusedCount);
        await world.BystanderIsServedAsync();
    }

    [Fact]
    public async Task Closing_from_another_thread_wakes_an_idle_connection_and_delivers_what_was_sent()
    {
        var flood = new Flooding();
        await using WireWorld world = await WireWorld.StartAsync(engine, handler: flood);
        (Socket socket, SslStream tls) = await world.ConnectTlsAsync();
        await using SslStream closing = tls;
        await tls.WriteAsync(GoldenPackets.FromHex(Connect + "82 06 00 01 00 01 61 00"));
        ServerSession session = await flood.Subscriber.WaitAsync(WireWorld.Patience);
        session.SendPublish("a"u8, "last"u8, 0, 0);
        session.Close();
        using var all = new MemoryStream();
        await tls.CopyToAsync(all).WaitAsync(WireWorld.Patience);
        Assert.EndsWith("6C617374", Convert.ToHexString(all.ToArray()));
        await world.ExpectEndAsync(WireWorld.PortOf(socket), SessionEnd.HandlerClosed);
    }

    [Fact]
    public async Task Stopping_ends_every_connection_by_that_name()
    {
        await using WireWorld world = await WireWorld.StartAsync(engine);
        (Socket socket, SslStream tls) = await world.ConnectTlsAsync();
        await using SslStream closing = tls;
        await ConnectAndAwaitConnackAsync(tls);
        await world.Server.StopAsync().WaitAsync(WireWorld.Patience);
        Assert.Equal(SessionEnd.ServerStopped, await world.Handler.EndOf(WireWorld.PortOf(socket)));
        Assert.Equal(0, world.Server.ConnectionCount);
    }

    private static async Task SendAndExpectAsync(WireWorld world, string bytes, SessionEnd expected)
    {
        (Socket socket, SslStream tls) = await world.ConnectTlsAsync();
        await using SslStream closing = tls;
        await tls.WriteAsync(GoldenPackets.FromHex(bytes));
        await world.ExpectEndAsync(WireWorld.PortOf(socket), expected);
    }

    private static async Task ConnectAndAwaitConnackAsync(SslStream tls)
    {
        await tls.WriteAsync(GoldenPackets.FromHex(Connect));
        await tls.ReadExactlyAsync(new byte[4]).AsTask().WaitAsync(WireWorld.Patience);
    }

    private static async Task ReadToEndAsync(Socket socket)
    {
        byte[] buffer = new byte[256];
        using var deadline = new CancellationTokenSource(WireWorld.Patience);
        while (await socket.ReceiveAsync(buffer, deadline.Token) > 0)
        {
            // Whatever comes before the end does not matter.
        }
    }

    /// <summary>Sends to whoever subscribes, from inside the call, until it is told to stop.</summary>
    private sealed class Gushing : Flooding
    {
        public int TimesMax { get; init; } = int.MaxValue;

        public int Bytes { get; init; } = 60_000;

        public override void OnSubscribe(ServerSession session, in SubscribePacket packet)
        {
            byte[] payload = new byte[Bytes];
            for (int times = 0; times < TimesMax && session.SendPublish("a"u8, payload, 0, 0); times++)
            {
                // The bound ends it.
            }

            base.OnSubscribe(session, packet);
        }
    }

    /// <summary>Hands the session of whoever subscribes to the test.</summary>
    private class Flooding : RecordingHandler
    {
        private readonly TaskCompletionSource<ServerSession> _subscriber =
            new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<ServerSession> Subscriber => _subscriber.Task;

        public override void OnSubscribe(ServerSession session, in SubscribePacket packet)
        {
            base.OnSubscribe(session, packet);
            _subscriber.TrySetResult(session);
        }
    }
}
