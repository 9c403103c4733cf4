using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Text;
using Agent.Wire;

namespace Agent.Tests.Wire;

/// <summary>A server on a free loopback port, a good client that must not suffer, and raw sockets that misbehave.</summary>
public sealed class WireWorld : IAsyncDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private static readonly Dictionary<TlsEngine, TlsServer> Servers = Enum.GetValues<TlsEngine>()
        .Where(TlsEngines.IsAvailable)
        .ToDictionary(engine => engine, engine => new TlsServer(TestCertificates.Shared.Server, engine: engine));

    private static readonly Dictionary<TlsEngine, ClientOptions> Clients = Enum.GetValues<TlsEngine>()
        .Where(TlsEngines.IsAvailable)
        .ToDictionary(
            engine => engine,
            engine => new ClientOptions { Tls = new TlsClient("localhost", TestCertificates.Shared.Roots, engine: engine) });

    private readonly Bystander _bystander = new();
    private ClientSession? _good;

    private WireWorld(ServerOptions options, RecordingHandler handler)
    {
        Handler = handler;
        Server = MqttServer.Start(new IPEndPoint(IPAddress.Loopback, 0), handler, options);
    }

    public RecordingHandler Handler { get; }

    public MqttServer Server { get; }

    /// <summary>The engine; where this machine does not have it, the test is skipped.</summary>
    public static TlsEngine Demand(TlsEngine engine)
    {
        Assert.SkipUnless(TlsEngines.IsAvailable(engine), $"no TLS engine {engine} here");
        return engine;
    }

    /// <summary>A server's settings with this engine.</summary>
    public static TlsServer Tls(TlsEngine engine) => Servers[engine];

    /// <summary>A client's settings with this engine.</summary>
    public static ClientOptions Client(TlsEngine engine) => Clients[engine];

    public static async Task<WireWorld> StartAsync(
        TlsEngine engine, ServerOptions? options = null, RecordingHandler? handler = null)
    {
        var world = new WireWorld((options ?? new ServerOptions()) with { Tls = Tls(engine) }, handler ?? new RecordingHandler());
        world._good = await ClientSession.DialAsync(world.Server.LocalEndPoint, Client(engine), world._bystander);
        world._good.SendConnect(new ConnectPacket { ClientId = "good"u8, CleanSession = true });
        await world._bystander.Connected.WaitAsync(Patience);
        return world;
    }

    /// <summary>The good client publishes and waits for the PUBACK.</summary>
    public async Task BystanderIsServedAsync()
    {
        Task acknowledged = _bystander.NextPuback();
        Assert.True(_good!.SendPublish("good/topic"u8, "x"u8, 1, 1));
        await acknowledged.WaitAsync(Patience);
    }

    public async Task<Socket> ConnectRawAsync()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(Server.LocalEndPoint);
        return socket;
    }

    public async Task<(Socket Socket, SslStream Tls)> ConnectTlsAsync()
    {
        Socket socket = await ConnectRawAsync();
        return (socket, await SecureAsync(new NetworkStream(socket, ownsSocket: true)));
    }

    /// <summary>A client's TLS over what leads to a server, with any certificate.</summary>
    public static async Task<SslStream> SecureAsync(Stream network)
    {
        var tls = new SslStream(network);
        await tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
        {
            TargetHost = "localhost",
            RemoteCertificateValidationCallback = (_, _, _, _) => true,
        });
        return tls;
    }

    /// <summary>Two sockets connected to each other.</summary>
    public static async Task<(Socket Near, Socket Far)> PairAsync()
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        var near = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await near.ConnectAsync(listener.LocalEndPoint!);
        return (near, await listener.AcceptAsync());
    }

    public static int PortOf(Socket socket) => ((IPEndPoint)socket.LocalEndPoint!).Port;

    /// <summary>Waits for the named end of that connection while the good client goes on, then once more.</summary>
    public async Task ExpectEndAsync(int clientPort, SessionEnd expected)
    {
        Task<SessionEnd> end = Handler.EndOf(clientPort);
        using var deadline = new CancellationTokenSource(Patience);
        while (!end.IsCompleted)
        {
            deadline.Token.ThrowIfCancellationRequested();
            await BystanderIsServedAsync();
        }

        Assert.Equal(expected, await end);
        await BystanderIsServedAsync();
        Assert.True(_good!.IsOpen);
        Assert.False(Handler.Overlapped);
    }

    public async ValueTask DisposeAsync()
    {
        _good?.Close();
        await Server.DisposeAsync();
    }

    private sealed class Bystander : RecordingHandler
    {
        private readonly TaskCompletionSource _connected = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private volatile TaskCompletionSource? _puback;

        public Task Connected => _connected.Task;

        public Task NextPuback()
        {
            _puback = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _puback.Task;
        }

        public override void OnConnack(ClientSession session, byte code, bool sessionPresent) => _connected.SetResult();

        public override void OnPuback(ClientSession session, ushort packetId) => _puback?.TrySetResult();

        public override void OnClosed(ClientSession session, SessionEnd end)
        {
            var gone = new InvalidOperationException(new StringBuilder("good client ended: ").Append(end.Text()).ToString());
            _connected.TrySetException(gone);
            _puback?.TrySetException(gone);
        }
    }
}
