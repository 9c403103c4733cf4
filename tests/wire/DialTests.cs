using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using Agent.Wire;

namespace Agent.Tests.Wire;

/// <summary>Dials that fail say why, dials that succeed carry both TLS versions, and clients survive bad servers.</summary>
public abstract class DialTests(TlsEngine engine)
{
    public sealed class Portable() : DialTests(TlsEngine.Portable);

    public sealed class Native() : DialTests(TlsEngine.Native);

    private readonly TlsEngine engine = WireWorld.Demand(engine);

    private static readonly IPEndPoint AnyPort = new(IPAddress.Loopback, 0);

    [Theory]
    [InlineData(SslProtocols.Tls12)]
    [InlineData(SslProtocols.Tls13)]
    public async Task Both_tls_versions_carry_a_whole_conversation(SslProtocols protocols)
    {
        await using WireWorld world = await WireWorld.StartAsync(engine);
        var client = new TalkingClient();
        ClientSession session = await ClientSession.DialAsync(
            "127.0.0.1",
            world.Server.LocalEndPoint.Port,
            WireWorld.Client(engine) with { Tls = new TlsClient("localhost", TestCertificates.Shared.Roots, protocols, engine: engine) },
            client,
            tag: "mine");
        Assert.Equal("mine", session.Tag);
        session.SendConnect(new ConnectPacket { ClientId = "talk"u8, UserName = "u"u8, Password = "p"u8 });
        session.SendSubscribe(1, new TopicFilter("a/#", 1), new TopicFilter("b"));
        session.SendPublish("a/b"u8, new byte[100_000], 1, 2);
        session.SendUnsubscribe(3, new TopicFilter("a/#"));
        session.SendPingreq();
        await client.Ponged.WaitAsync(WireWorld.Patience);
        session.SendDisconnect();
        session.Close();
        Assert.Equal(SessionEnd.Disconnected, await client.Closed.WaitAsync(WireWorld.Patience));
        Assert.Equal(
            ["connack 0 False", "suback 1", "puback 2", "unsuback 3", "pingresp", "closed Disconnected"], client.Calls);
        await world.ExpectEndAsync(client.Port, SessionEnd.Disconnected);
    }

    [Fact]
    public async Task Both_ends_sending_more_than_the_buffers_hold_do_not_wait_for_each_other()
    {
        ServerOptions roomy = new() { Limits = new SessionLimits { OutboundBytesMax = 64 << 20, BodyBytesMax = 64 << 20 } };
        await using WireWorld world = await WireWorld.StartAsync(engine, roomy, new Mirror());
        var client = new TalkingClient();
        ClientSession session = await ClientSession.DialAsync(
            world.Server.LocalEndPoint, WireWorld.Client(engine) with { Limits = roomy.Limits }, client);
        session.SendConnect(new ConnectPacket { ClientId = "m"u8 });
        byte[] payload = new byte[15 << 20];
        for (int times = 0; times < 3; times++)
        {
            session.SendPublish("a"u8, payload, 0, 0);
        }

        session.SendPingreq();
        await client.Ponged.WaitAsync(WireWorld.Patience);
        Assert.Equal(3, client.Calls.Count(call => call == "publish 0 a"));
        session.Close();
    }

    [Fact]
    public async Task Nobody_listening_is_refused()
    {
        using var holder = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        holder.Bind(AnyPort);
        await ExpectFaultAsync((IPEndPoint)holder.LocalEndPoint!, WireWorld.Client(engine), LinkFault.TcpRefused);
    }

    [Fact]
    public async Task A_name_that_does_not_exist_is_a_dns_fault()
    {
        LinkException fault = await Assert.ThrowsAsync<LinkException>(() => ClientSession.DialAsync(
            "no-such-host.invalid", 8883, WireWorld.Client(engine), new RecordingHandler()));
        Assert.Equal(LinkFault.DnsFailed, fault.Fault);
        Assert.StartsWith("no-such-host.invalid:8883: ", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_accepts_and_says_nothing_times_out_in_tls()
    {
        using var silent = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        silent.Bind(AnyPort);
        silent.Listen();
        ClientOptions hasty = WireWorld.Client(engine) with { DialTimeout = TimeSpan.FromMilliseconds(200) };
        await ExpectFaultAsync((IPEndPoint)silent.LocalEndPoint!, hasty, LinkFault.TlsTimedOut);
    }

    [Fact]
    public async Task A_caller_that_gives_up_gets_its_own_cancellation()
    {
        using var silent = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        silent.Bind(AnyPort);
        silent.Listen();
        using var soon = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => ClientSession.DialAsync(
            (IPEndPoint)silent.LocalEndPoint!, WireWorld.Client(engine), new RecordingHandler(), null, soon.Token));
    }

    [Fact]
    public async Task A_stranger_s_certificate_is_an_untrusted_root()
    {
        await using WireWorld world = await WireWorld.StartAsync(engine);
        ClientOptions wary = new() { Tls = new TlsClient("localhost", TestCertificates.Stranger.Roots, engine: engine) };
        await ExpectFaultAsync(world.Server.LocalEndPoint, wary, LinkFault.TlsUntrustedRoot);
        await ExpectFaultAsync(
            world.Server.LocalEndPoint, new() { Tls = new TlsClient("localhost", engine: engine) }, LinkFault.TlsUntrustedRoot);
    }

    [Fact]
    public async Task Another_name_is_a_name_mismatch()
    {
        await using WireWorld world = await WireWorld.StartAsync(engine);
        ClientOptions other = new() { Tls = new TlsClient("other.example", TestCertificates.Shared.Roots, engine: engine) };
        await ExpectFaultAsync(world.Server.LocalEndPoint, other, LinkFault.TlsNameMismatch);
    }

    [Fact]
    public async Task An_expired_certificate_is_named()
    {
        DateTimeOffset now = DateTimeOffset.UtcNow;
        var expired = new TlsServer(TestCertificates.Shared.Sign("localhost", now.AddDays(-3), now.AddDays(-2)), engine: engine);
        await using MqttServer server = MqttServer.Start(AnyPort, new RecordingHandler(), new() { Tls = expired });
        await ExpectFaultAsync(server.LocalEndPoint, WireWorld.Client(engine), LinkFault.TlsExpired);
    }

    [Fact]
    public async Task A_plain_server_is_a_tls_fault()
    {
        await using MqttServer plain = MqttServer.Start(AnyPort, new RecordingHandler());
        await ExpectFaultAsync(plain.LocalEndPoint, WireWorld.Client(engine), LinkFault.TlsFailed);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("127.0.0.2")]
    public async Task A_name_with_several_addresses_is_tried_until_one_answers(string? source)
    {
        // "localhost" is usually ::1 and 127.0.0.1; the server listens on the latter only.
        await using WireWorld world = await WireWorld.StartAsync(engine);
        ClientOptions options = WireWorld.Client(engine) with { LocalAddress = source is null ? null : IPAddress.Parse(source) };
        ClientSession session = await ClientSession.DialAsync(
            "localhost", world.Server.LocalEndPoint.Port, options, new RecordingHandler());
        Assert.True(session.IsOpen);
        session.Close();
    }

    [Fact]
    public async Task A_source_address_can_be_chosen_and_a_foreign_one_is_named()
    {
        await using WireWorld world = await WireWorld.StartAsync(engine);
        ClientOptions second = WireWorld.Client(engine) with { LocalAddress = IPAddress.Parse("127.0.0.2") };
        ClientSession session = await ClientSession.DialAsync(world.Server.LocalEndPoint, second, new RecordingHandler());
        session.Close(reset: true);
        ClientOptions foreign = WireWorld.Client(engine) with { LocalAddress = IPAddress.Parse("192.0.2.1") };
        await ExpectFaultAsync(world.Server.LocalEndPoint, foreign, LinkFault.LocalAddressUnavailable);
    }

    [Fact]
    public async Task A_reset_by_the_client_is_a_reset_at_the_server()
    {
        await using WireWorld world = await WireWorld.StartAsync(engine);
        var client = new TalkingClient();
        ClientSession session = await ClientSession.DialAsync(world.Server.LocalEndPoint, WireWorld.Client(engine), client);
        session.SendConnect(new ConnectPacket { ClientId = "r"u8 });
        session.SendPingreq();
        await client.Ponged.WaitAsync(WireWorld.Patience);
        int port = session.LocalEndPoint!.Port;
        session.Close(reset: true);
        Assert.Equal(SessionEnd.ClosedLocally, await client.Closed.WaitAsync(WireWorld.Patience));
        await world.ExpectEndAsync(port, SessionEnd.PeerReset);
    }

    [Theory]
    [InlineData("20 02 00 00 FF FF", SessionEnd.Malformed)]
    [InlineData("20 02 00 00 30 FF FF FF 7F", SessionEnd.TooLarge)]
    [InlineData("D0 00", SessionEnd.FirstPacketNotConnack)]
    [InlineData("20 02 00", SessionEnd.PeerClosedInPacket)]
    [InlineData("20 02 00 00", SessionEnd.PeerClosed)]
    public async Task A_server_that_misbehaves_ends_the_client_with_a_name(string bytes, SessionEnd expected)
    {
        using var server = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        server.Bind(AnyPort);
        server.Listen();
        var client = new TalkingClient();
        await ClientSession.DialAsync((IPEndPoint)server.LocalEndPoint!, new ClientOptions(), client);
        using Socket accepted = await server.AcceptAsync();
        await accepted.SendAsync(GoldenPackets.FromHex(bytes));
        accepted.Shutdown(SocketShutdown.Send);
        Assert.Equal(expected, await client.Closed.WaitAsync(WireWorld.Patience));
    }

    private static async Task ExpectFaultAsync(IPEndPoint remote, ClientOptions options, LinkFault expected)
    {
        LinkException fault = await Assert.ThrowsAsync<LinkException>(
            () => ClientSession.DialAsync(remote, options, new RecordingHandler()).WaitAsync(WireWorld.Patience));
        Assert.Equal(expected, fault.Fault);
    }

    /// <summary>Sends every message back.</summary>
    private sealed class Mirror : RecordingHandler
    {
        public override void OnPublish(ServerSession session, in PublishPacket packet)
        {
            base.OnPublish(session, packet);
            if (packet.Qos == 0)
            {
                session.SendPublish(packet.Topic, packet.Payload, 0, 0);
            }
        }
    }

    private sealed class TalkingClient : RecordingHandler
    {
        private readonly TaskCompletionSource _ponged = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource<SessionEnd> _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Ponged => _ponged.Task;

        public Task<SessionEnd> Closed => _closed.Task;

        public int Port { get; private set; }

        public override void OnConnack(ClientSession session, byte code, bool sessionPresent)
        {
            base.OnConnack(session, code, sessionPresent);
            Port = session.LocalEndPoint!.Port;
        }

        public override void OnPingresp(ClientSession session)
        {
            base.OnPingresp(session);
            _ponged.TrySetResult();
        }

        public override void OnClosed(ClientSession session, SessionEnd end)
        {
            base.OnClosed(session, end);
            _closed.TrySetResult(end);
        }
    }
}
