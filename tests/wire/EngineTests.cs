using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using Agent.Wire;

namespace Agent.Tests.Wire;

/// <summary>What is of the native engine alone: it speaks to the other one, costs nothing a packet, and survives what ends links.</summary>
[Collection(RealTime.Name)]
public class EngineTests(ITestOutputHelper output)
{
    private static readonly IPEndPoint AnyPort = new(IPAddress.Loopback, 0);

    [Theory]
    [InlineData(TlsEngine.Native, TlsEngine.Portable, SslProtocols.Tls12)]
    [InlineData(TlsEngine.Native, TlsEngine.Portable, SslProtocols.Tls13)]
    [InlineData(TlsEngine.Portable, TlsEngine.Native, SslProtocols.Tls12)]
    [InlineData(TlsEngine.Portable, TlsEngine.Native, SslProtocols.Tls13)]
    [InlineData(TlsEngine.Native, TlsEngine.Native, SslProtocols.Tls12)]
    public async Task Each_engine_speaks_to_the_other(TlsEngine client, TlsEngine server, SslProtocols protocols)
    {
        WireWorld.Demand(TlsEngine.Native);
        await using MqttServer listening = MqttServer.Start(
            AnyPort, new RecordingHandler(), new ServerOptions { Tls = WireWorld.Tls(server) });
        var talk = new Talk();
        ClientSession session = await ClientSession.DialAsync(listening.LocalEndPoint, ClientWith(client, protocols), talk);
        session.SendConnect(new ConnectPacket { ClientId = "c"u8 });
        session.SendPublish("a"u8, new byte[200_000], 1, 7);
        Assert.Equal(7, await talk.Acknowledged().WaitAsync(WireWorld.Patience));
        session.SendDisconnect();
        session.Close();
        Assert.Equal(SessionEnd.Disconnected, await talk.Closed.WaitAsync(WireWorld.Patience));
    }

    [Theory]
    [InlineData(SslProtocols.Tls12)]
    [InlineData(SslProtocols.Tls13)]
    public async Task A_session_is_resumed_where_both_ends_allow_it_and_the_check_of_the_name_stays(SslProtocols protocols)
    {
        WireWorld.Demand(TlsEngine.Native);
        await using MqttServer listening = MqttServer.Start(
            AnyPort, new RecordingHandler(), new ServerOptions { Tls = WireWorld.Tls(TlsEngine.Native) });
        ClientOptions resuming = new()
        {
            Tls = new TlsClient(
                "localhost", TestCertificates.Shared.Roots, protocols, allowResume: true, engine: TlsEngine.Native),
        };
        for (int times = 0; times < 3; times++)
        {
            var talk = new Talk();
            ClientSession session = await ClientSession.DialAsync(listening.LocalEndPoint, resuming, talk);
            session.SendConnect(new ConnectPacket { ClientId = "c"u8 });
            session.SendPublish("a"u8, default, 1, 7);
            await talk.Acknowledged().WaitAsync(WireWorld.Patience);
            Assert.Equal(times > 0, session.IsResumed);
            session.Close();
        }
    }

    [Fact]
    public async Task Answers_to_records_that_came_together_leave_together()
    {
        WireWorld.Demand(TlsEngine.Native);
        await using WireWorld world = await WireWorld.StartAsync(TlsEngine.Native);
        using Socket socket = await world.ConnectRawAsync();
        await using var network = new Gathering(socket);
        await using SslStream tls = await WireWorld.SecureAsync(network);
        await tls.WriteAsync(GoldenPackets.FromHex("10 0D 00 04 4D 51 54 54 04 02 00 3C 00 01 63"));
        byte[] answer = new byte[64];
        await tls.ReadExactlyAsync(answer.AsMemory(0, 4)).AsTask().WaitAsync(WireWorld.Patience);

        network.Held = new MemoryStream();
        for (byte id = 1; id <= 3; id++)
        {
            await tls.WriteAsync((byte[])[0x32, 5, 0, 1, (byte)'t', 0, id]);
        }

        network.Received.SetLength(0);
        await socket.SendAsync(network.Held.ToArray());
        await tls.ReadExactlyAsync(answer.AsMemory(0, 12)).AsTask().WaitAsync(WireWorld.Patience);

        Assert.Equal((byte[])[0x40, 2, 0, 1, 0x40, 2, 0, 2, 0x40, 2, 0, 3], answer[..12]);
        byte[] record = network.Received.ToArray();
        Assert.Equal(5 + record[4], record.Length); // One record.
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_awaits_a_dial_goes_on_at_the_loop_only_where_it_was_asked_for(bool inline)
    {
        WireWorld.Demand(TlsEngine.Native);
        await using MqttServer listening = MqttServer.Start(
            AnyPort, new RecordingHandler(), new ServerOptions { Tls = WireWorld.Tls(TlsEngine.Native) });
        ClientOptions options = WireWorld.Client(TlsEngine.Native) with { ContinuesInline = inline };
        var threads = new List<string?>();
        for (int times = 0; times < 3; times++)
        {
            // A dial that was done before anybody awaited it goes on where it was begun, so one of three must tell.
            threads.Add(await ThreadAfterDialAsync(listening.LocalEndPoint, options));
        }

        Assert.Equal(inline, threads.Exists(name => name?.StartsWith("wire ", StringComparison.Ordinal) == true));

        static async Task<string?> ThreadAfterDialAsync(IPEndPoint remote, ClientOptions options)
        {
            ClientSession session = await ClientSession.DialAsync(remote, options, new Talk()).ConfigureAwait(false);
            string? name = Thread.CurrentThread.Name;
            session.Close();
            return name;
        }
    }

    [Fact]
    public async Task A_packet_allocates_nothing()
    {
        const int warmUp = 3000;
        const int count = 20_000;
        WireWorld.Demand(TlsEngine.Native);
        await using MqttServer listening = MqttServer.Start(
            AnyPort, new Quiet(), new ServerOptions { Tls = WireWorld.Tls(TlsEngine.Native) });
        var ring = new PingPong(warmUp + count);
        ClientSession session = await ClientSession.DialAsync(
            listening.LocalEndPoint, ClientWith(TlsEngine.Native, SslProtocols.Tls13), ring);
        session.SendConnect(new ConnectPacket { ClientId = "c"u8 });
        await ring.Reached(warmUp).WaitAsync(WireWorld.Patience);
        long before = GC.GetTotalAllocatedBytes(precise: true);
        await ring.Over.WaitAsync(WireWorld.Patience);
        double each = (GC.GetTotalAllocatedBytes(precise: true) - before) / (double)count;
        output.WriteLine($"{each:F2} bytes for a PUBLISH and its PUBACK, both ends");

        // The rest of the process runs on, and the count of packets it sees is not exact.
        Assert.InRange(each, 0, 8);
        session.Close();
    }

    [Fact]
    public async Task A_herd_of_handshakes_holds_up_nobody_s_acknowledgement_for_long()
    {
        WireWorld.Demand(TlsEngine.Native);
        await using WireWorld world = await WireWorld.StartAsync(TlsEngine.Native);
        Task<ClientSession>[] herd = [.. Enumerable.Range(0, 200).Select(_ => ClientSession.DialAsync(
            world.Server.LocalEndPoint, WireWorld.Client(TlsEngine.Native), new RecordingHandler()))];
        int served = 0;
        while (!Task.WhenAll(herd).IsCompleted)
        {
            await world.BystanderIsServedAsync();
            served++;
        }

        output.WriteLine($"{served} acknowledgements while 200 handshakes were made");
        Assert.True(served > 5);
        foreach (Task<ClientSession> one in herd)
        {
            (await one).Close(reset: true);
        }
    }

    private static ClientOptions ClientWith(TlsEngine engine, SslProtocols protocols) => new()
    {
        Tls = new TlsClient("localhost", TestCertificates.Shared.Roots, protocols, engine: engine),
    };

    private sealed class Talk : RecordingHandler
    {
        private readonly TaskCompletionSource<int> acknowledged = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource<SessionEnd> closed = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<SessionEnd> Closed => closed.Task;

        public Task<int> Acknowledged() => acknowledged.Task;

        public override void OnPuback(ClientSession session, ushort packetId) => acknowledged.TrySetResult(packetId);

        public override void OnClosed(ClientSession session, SessionEnd end) => closed.TrySetResult(end);
    }

    /// <summary>Answers and writes nothing down.</summary>
    private sealed class Quiet : RecordingHandler
    {
        public override void OnPublish(ServerSession session, in PublishPacket packet) => session.SendPuback(packet.PacketId);
    }

    /// <summary>Sends the next message when the last one is acknowledged.</summary>
    private sealed class PingPong(int count) : RecordingHandler
    {
        private readonly TaskCompletionSource warm = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource over = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int done;
        private int warmAt = int.MaxValue;

        public Task Over => over.Task;

        public Task Reached(int number)
        {
            Volatile.Write(ref warmAt, number);
            return warm.Task;
        }

        public override void OnConnack(ClientSession session, byte code, bool sessionPresent) => Send(session);

        public override void OnPuback(ClientSession session, ushort packetId)
        {
            done++;
            if (done >= Volatile.Read(ref warmAt))
            {
                warm.TrySetResult();
            }

            if (done >= count)
            {
                over.TrySetResult();
            }
            else
            {
                Send(session);
            }
        }

        private static void Send(ClientSession session) => session.SendPublish("devices/d/messages/events/"u8, "{}"u8, 1, 1);
    }

    /// <summary>The network under a client's TLS: keeps what came, and holds back what is to leave at once.</summary>
    private sealed class Gathering(Socket socket) : NetworkStream(socket)
    {
        public MemoryStream Received { get; } = new();

        public MemoryStream? Held { get; set; }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            int count = await base.ReadAsync(buffer, cancellationToken);
            Received.Write(buffer.Span[..count]);
            return count;
        }

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (Held is null)
            {
                return base.WriteAsync(buffer, cancellationToken);
            }

            Held.Write(buffer.Span);
            return ValueTask.CompletedTask;
        }
    }
}
