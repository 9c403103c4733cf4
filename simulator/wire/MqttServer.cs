using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using Agent.Wire.Native;

namespace Agent.Wire;

// Accepts connections and gives each its session. A thread of its own waits in accept: it is woken by the system itself, where an
// asynchronous accept wakes a thread that wakes another, for every connection. The accept loop outlives every error of accept, and
// strangers cannot wear it out: silent connections hold a socket and no TLS state, their number is bounded (Strangers), and one
// sweep over a queue in order of arrival (the timeout is the same for all) ends the late ones. Connections that
// somebody else accepted, such as WebSockets, come in through ServeAsync and are served by the same handler.

/// <summary>An MQTT 3.1.1 server over TCP, with TLS 1.2 and 1.3.</summary>
public sealed class MqttServer : IAsyncDisposable
{
    private readonly Socket listener;
    private readonly IServerHandler handler;
    private readonly ServerOptions options;
    private readonly Strangers strangers;
    private readonly Waiting waiting = new();
    private readonly HashSet<ServerSession> sessions = [];
    private readonly CancellationTokenSource stopping = new();
    private readonly TaskCompletionSource allGone = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SslContext? native;
    private readonly Action<ServerSession> forget;
    private readonly Task accepting;
    private readonly ITimer sweep;
    private long refusedCount;
    private long acceptedCount;

    private MqttServer(IPEndPoint bind, IServerHandler handler, ServerOptions options)
    {
        this.handler = handler;
        this.options = options;
        native = options.Tls?.NativeContext;
        forget = Forget;
        strangers = new Strangers(options.StrangersMax, options.StrangersPerAddressMax);
        listener = new Socket(bind.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            listener.Bind(bind);
            listener.Listen(options.Backlog);
        }
        catch
        {
            listener.Dispose();
            throw;
        }

        LocalEndPoint = (IPEndPoint)listener.LocalEndPoint!;
        TimeSpan step = TimeSpan.FromMilliseconds(Math.Clamp(options.ConnectTimeout.TotalMilliseconds / 8, 5, 500));
        sweep = options.Time.CreateTimer(_ => Sweep(), null, step, step);
        accepting = Task.Factory.StartNew(Accept, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <summary>Where the server listens; the real port when 0 was asked for.</summary>
    public IPEndPoint LocalEndPoint { get; }

    /// <summary>Now, on the clock of <see cref="Session.LastInboundMs"/>, milliseconds.</summary>
    public long NowMs => options.Time.NowMs();

    /// <summary>Connections open now, those in their handshake or closing included.</summary>
    public int ConnectionCount
    {
        get
        {
            lock (sessions)
            {
                return sessions.Count;
            }
        }
    }

    /// <summary>Connections accepted since the start.</summary>
    public long AcceptedCount => Interlocked.Read(ref acceptedCount);

    /// <summary>Connections reset at accept because ConnectionsMax or <see cref="FileLimit"/> was reached.</summary>
    public long RefusedCount => Interlocked.Read(ref refusedCount);

    /// <summary>Connections that made room for newer ones, see <see cref="Strangers"/>.</summary>
    public long EvictedCount => strangers.EvictedCount;

    /// <summary>Binds, listens and starts to accept.</summary>
    /// <param name="bind">Address and port; port 0 lets the system choose, see <see cref="LocalEndPoint"/>.</param>
    /// <param name="handler">Gets every packet of every session.</param>
    /// <param name="options">Null = plain TCP with default limits.</param>
    /// <exception cref="SocketException">The address cannot be bound, for example because the port is taken.</exception>
    /// <exception cref="TlsEngineException">The engine asked for is not to be had here.</exception>
    public static MqttServer Start(IPEndPoint bind, IServerHandler handler, ServerOptions? options = null) =>
        new(bind, handler, options ?? new ServerOptions());

    /// <summary>Stops accepting, ends every session as ServerStopped, waits until all are closed.</summary>
    public async Task StopAsync()
    {
        if (stopping.IsCancellationRequested)
        {
            await allGone.Task.ConfigureAwait(false);
            return;
        }

        await stopping.CancelAsync().ConfigureAwait(false);
        listener.Dispose();
        await accepting.ConfigureAwait(false);
        await sweep.DisposeAsync().ConfigureAwait(false);
        ServerSession[] open;
        lock (sessions)
        {
            open = [.. sessions];
            if (open.Length == 0)
            {
                allGone.TrySetResult();
            }
        }

        foreach (ServerSession session in open)
        {
            session.Close(SessionEnd.ServerStopped);
        }

        await allGone.Task.ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await StopAsync().ConfigureAwait(false);

    /// <summary>
    /// Serves a client whose WebSocket somebody else has accepted, as if it had come to the server's own port: same handler,
    /// same limits, same reasons. Text frames are refused.
    /// </summary>
    /// <param name="socket">Open, of subprotocol <c>mqtt</c>; disposed at the end.</param>
    /// <param name="peer">Who it is and how to drop it.</param>
    /// <returns>Completes when the session is over and the WebSocket closed. Never fails.</returns>
    public async Task ServeAsync(WebSocket socket, WebSocketPeer peer)
    {
        Interlocked.Increment(ref acceptedCount);
        var session = new ServerSession(handler, options.Limits, options.Time)
        {
            RemoteEndPoint = peer.Remote,
            Stranger = peer.Stranger,
        };
        var link = new WebSocketLink(socket, session, peer.Drop, options.Limits.CloseLinger, options.Time);
        if (!TryRegister(session))
        {
            Interlocked.Increment(ref refusedCount);
            peer.Drop();
            socket.Dispose();
            return;
        }

        peer.Stranger?.EvictBy(() => session.Close(SessionEnd.Evicted, reset: true));
        try
        {
            await link.RunAsync().ConfigureAwait(false);
        }
        finally
        {
            Forget(session);
        }
    }

    private void Accept()
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                if (native is null)
                {
                    Admit(listener.Accept());
                }
                else
                {
                    Admit(NativeAccept.Next(listener, out IPEndPoint? remote), remote, native);
                }
            }
            catch (SocketException) when (!stopping.IsCancellationRequested)
            {
                // Out of file descriptors, or the peer gave up while queued. Either passes; spinning would not help.
                Pause(TimeSpan.FromMilliseconds(20));
            }
            catch (Exception stopped) when (stopped is SocketException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    private void Admit(Socket socket)
    {
        var session = new ServerSession(handler, options.Limits, options.Time);
        if (!TryAdmit(session, FileLimit.IsScarce(socket)))
        {
            socket.LingerState = new LingerOption(true, 0);
            socket.Dispose();
            return;
        }

        try
        {
            session.RemoteEndPoint = socket.RemoteEndPoint as IPEndPoint;
        }
        catch (SocketException)
        {
            // Reset while it was queued: it has no address any more, and its first read will say so.
        }

        Serve(session, new PortableLink(socket, session, options.Limits.CloseLinger, options.Time)
        {
            ServerTls = options.Tls,
            WatchesPeer = true,
        });
    }

    private void Admit(int socket, IPEndPoint? remote, SslContext context)
    {
        var session = new ServerSession(handler, options.Limits, options.Time) { RemoteEndPoint = remote };
        if (!TryAdmit(session, FileLimit.IsScarce(socket)))
        {
            NativeAccept.Refuse(socket);
            return;
        }

        Serve(session, new NativeLink(socket, session, context, options.Limits.CloseLinger, options.Time));
    }

    private bool TryAdmit(ServerSession session, bool isScarce)
    {
        Interlocked.Increment(ref acceptedCount);
        bool isAdmitted = !isScarce && TryRegister(session);
        if (!isAdmitted)
        {
            Interlocked.Increment(ref refusedCount);
        }

        return isAdmitted;
    }

    private void Serve(ServerSession session, IServerLink link)
    {
        session.Stranger = new SocketStranger(session, link);
        while (!strangers.TryAdd(session.Stranger) && !stopping.IsCancellationRequested)
        {
            // All of them wait for us: the newcomer, and those in the backlog behind it, wait with them.
            Pause(TimeSpan.FromMilliseconds(5));
        }

        link.Serve(forget);
    }

    private void Pause(TimeSpan length) => Task.Delay(length, options.Time, CancellationToken.None).GetAwaiter().GetResult();

    private bool TryRegister(ServerSession session)
    {
        lock (sessions)
        {
            if (stopping.IsCancellationRequested || sessions.Count >= options.ConnectionsMax)
            {
                return false;
            }

            sessions.Add(session);
        }

        waiting.Add(session);
        return true;
    }

    private void Forget(ServerSession session)
    {
        session.Stranger?.Leave();
        waiting.Remove(session);
        lock (sessions)
        {
            sessions.Remove(session);
            if (sessions.Count == 0 && stopping.IsCancellationRequested)
            {
                allGone.TrySetResult();
            }
        }
    }

    private void Sweep() => waiting.EndLate(NowMs - (long)options.ConnectTimeout.TotalMilliseconds);

    /// <summary>A client of the server's own port.</summary>
    private sealed class SocketStranger(ServerSession session, IServerLink link)
        : Stranger(session.RemoteEndPoint?.Address ?? IPAddress.None)
    {
        public override bool OwesUs => link.PeerOwesUs;

        public override void Leave()
        {
            link.WatchesPeer = false;
            base.Leave();
        }

        protected override void Evict() => session.Close(SessionEnd.Evicted, reset: true);
    }
}
