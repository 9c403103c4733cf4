using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using Agent.Wire;

namespace Agent.Tests.Wire;

/// <summary>A session over a WebSocket over plain TCP, without a web server: bounds, cost, and every way to cut the bytes.</summary>
[Collection(RealTime.Name)]
public sealed class WebSocketLinkTests(ITestOutputHelper output)
{
    private static readonly byte[] Connect = GoldenPackets.FromHex("10 0D 00 04 4D 51 54 54 04 02 00 3C 00 01 70");

    [Fact]
    public async Task A_peer_that_does_not_read_is_ended_as_a_slow_reader_and_holds_no_more_than_the_bound()
    {
        var handler = new Subscriber();
        await using Pair pair = await Pair.OpenAsync(handler);
        await pair.SendAsync([.. Connect, .. GoldenPackets.FromHex("82 06 00 01 00 01 61 00")]);
        ServerSession session = await handler.Session.WaitAsync(WireWorld.Patience);
        int most = 0;
        while (session.SendPublish("a"u8, new byte[60_000], 0, 0))
        {
            most = Math.Max(most, session.OutboundBytes);
        }

        Assert.Equal(SessionEnd.SlowReader, await handler.EndOf(pair.ClientPort).WaitAsync(WireWorld.Patience));
        Assert.InRange(most, 1, 1 << 20);
        await pair.Served.WaitAsync(WireWorld.Patience);
        Assert.Equal(0, pair.Server.ConnectionCount);
    }

    [Fact]
    public async Task However_the_bytes_are_cut_into_frames_the_calls_are_the_same()
    {
        byte[] all =
        [
            .. Connect, .. GoldenPackets.FromHex("82 06 00 01 00 01 61 00 32 07 00 01 61 00 05 68 69 C0 00 A2 05 00 02 00 01 61"),
            .. GoldenPackets.FromHex("30 05 00 01 62 78 79 E0 00"),
        ];
        string[]? expected = null;
        for (int seed = 0; seed < 40; seed++)
        {
            var random = new Random(seed);
            var handler = new RecordingHandler();
            await using Pair pair = await Pair.OpenAsync(handler);
            for (int at = 0; at < all.Length;)
            {
                int count = seed == 0 ? all.Length : Math.Min(all.Length - at, random.Next(0, 9));
                await pair.SendAsync(all[at..(at + count)], endOfMessage: random.Next(3) > 0 || at + count == all.Length);
                at += count;
            }

            Assert.Equal(SessionEnd.Disconnected, await handler.EndOf(pair.ClientPort).WaitAsync(WireWorld.Patience));
            Assert.False(handler.Overlapped);
            expected ??= [.. handler.Calls];
            Assert.Equal(expected, handler.Calls);
        }

        Assert.Equal(8, expected!.Length);
    }

    [Fact]
    public async Task A_packet_costs_no_memory_that_the_framework_does_not_take()
    {
        const int warmUp = 2000;
        const int count = 20_000;
        await using Pair pair = await Pair.OpenAsync(new Quiet());
        await pair.SendAsync(Connect);
        await pair.ReadAsync(4);
        byte[] publish = GoldenPackets.FromHex("32 07 00 01 61 00 05 68 69");
        for (int sent = 0; sent < warmUp; sent++)
        {
            await pair.SendAsync(publish);
            await pair.ReadAsync(4);
        }

        long before = GC.GetTotalAllocatedBytes(precise: true);
        for (int sent = 0; sent < count; sent++)
        {
            await pair.SendAsync(publish);
            await pair.ReadAsync(4);
        }

        double each = (GC.GetTotalAllocatedBytes(precise: true) - before) / (double)count;
        output.WriteLine($"{each:F1} bytes for a PUBLISH and its PUBACK, both ends");
        Assert.InRange(each, 0, 400);
    }

    /// <summary>A server's WebSocket and .NET's own at the other end of a loopback connection.</summary>
    private sealed class Pair : IAsyncDisposable
    {
        private readonly Socket near;
        private readonly Socket far;
        private readonly WebSocket client;
        private readonly byte[] buffer = new byte[4096];

        private Pair(Socket near, Socket far, MqttServer server)
        {
            this.near = near;
            this.far = far;
            Server = server;
            client = WebSocket.CreateFromStream(
                new NetworkStream(near), new WebSocketCreationOptions { IsServer = false, KeepAliveInterval = TimeSpan.Zero });
            WebSocket served = WebSocket.CreateFromStream(
                new NetworkStream(far), new WebSocketCreationOptions { IsServer = true, KeepAliveInterval = TimeSpan.Zero });
            Served = server.ServeAsync(served, new WebSocketPeer((IPEndPoint)far.RemoteEndPoint!, far.Dispose, null));
        }

        public MqttServer Server { get; }

        public Task Served { get; }

        public int ClientPort => WireWorld.PortOf(near);

        public static async Task<Pair> OpenAsync(IServerHandler handler)
        {
            using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            listener.Listen();
            var near = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            await near.ConnectAsync(listener.LocalEndPoint!);
            Socket far = await listener.AcceptAsync();
            far.NoDelay = true;
            return new Pair(near, far, MqttServer.Start(new IPEndPoint(IPAddress.Loopback, 0), handler));
        }

        public ValueTask SendAsync(byte[] bytes, bool endOfMessage = true) =>
            client.SendAsync(bytes.AsMemory(), WebSocketMessageType.Binary, endOfMessage, default);

        public async ValueTask ReadAsync(int count)
        {
            for (int got = 0; got < count;)
            {
                got += (await client.ReceiveAsync(buffer.AsMemory(), default)).Count;
            }
        }

        public async ValueTask DisposeAsync()
        {
            client.Abort();
            near.Dispose();
            await Server.StopAsync().WaitAsync(WireWorld.Patience);
            await Served;
            far.Dispose();
        }
    }

    private sealed class Subscriber : RecordingHandler
    {
        private readonly TaskCompletionSource<ServerSession> session = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<ServerSession> Session => session.Task;

        public override void OnSubscribe(ServerSession session, in SubscribePacket packet)
        {
            base.OnSubscribe(session, packet);
            this.session.TrySetResult(session);
        }
    }

    /// <summary>Answers and writes nothing down.</summary>
    private sealed class Quiet : RecordingHandler
    {
        public override void OnPublish(ServerSession session, in PublishPacket packet) => session.SendPuback(packet.PacketId);
    }
}
