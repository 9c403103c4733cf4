using System.Net;
using System.Net.Sockets;

namespace Agent.Wire;

// Accepts connections and gives each its session. The accept loop outlives every error of accept, and strangers
// cannot wear it out: silent connections hold a socket and no TLS state, the number before and in handshakes is
// bounded, and one sweep over a queue in order of arrival (the timeout is the same for all) ends the late ones.

/// <summary>An MQTT 3.1.1 server over TCP, with TLS 1.2 and 1.3.</summary>
public sealed class MqttServer : IAsyncDisposable
{
    private readonly Socket listener;
    private readonly IServerHandler handler;
    private readonly ServerOptions options;
    private readonly SemaphoreSlim handshakes;
    private readonly Waiting waiting;
    private readonly HashSet<ServerSession> sessions = [];
    private readonly CancellationTokenSource stopping = new();
    private readonly TaskCompletionSource allGone = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task accepting;
    private readonly ITimer sweep;
    private long refusedCount;
    private long acceptedCount;
    private volatile bool crowded;

    private MqttServer(IPEndPoint bind, IServerHandler handler, ServerOptions options)
    {
        this.handler = handler;
        this.options = options;
        handshakes = new SemaphoreSlim(options.HandshakesMax, options.HandshakesMax);
        waiting = new Waiting();
        listener = new Socket(bind.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
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
        TimeSpan step = TimeSpan.FromMilliseconds(
            Math.Clamp(Math.Min(options.ConnectTimeout.TotalMilliseconds, options.HandshakePatience.TotalMilliseconds) / 8, 5, 500));
        sweep = options.Time.CreateTimer(_ => Sweep(), null, step, step);
        accepting = Task.Run(AcceptAsync);
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

    /// <summary>Binds, listens and starts to accept.</summary>
    /// <param name="bind">Address and port; port 0 lets the system choose, see <see cref="LocalEndPoint"/>.</param>
    /// <param name="handler">Gets every packet of every session.</param>
    /// <param name="options">Null = plain TCP with default limits.</param>
    /// <exception cref="SocketException">The address cannot be bound, for example because the port is taken.</exception>
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

    private async Task AcceptAsync()
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                await EnterHandshakeAsync().ConfigureAwait(false);
                Socket socket;
                try
                {
                    socket = await listener.AcceptAsync(stopping.Token).ConfigureAwait(false);
                }
                catch
                {
                    handshakes.Release();
                    throw;
                }

                Admit(socket);
            }
            catch (SocketException) when (!stopping.IsCancellationRequested)
            {
                // Out of file descriptors, or the peer gave up while queued. Either passes; spinning would not help.
                await Task.Delay(TimeSpan.FromMilliseconds(20), options.Time).ConfigureAwait(false);
            }
            catch (Exception stopped) when (
                stopped is SocketException or OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    private async ValueTask EnterHandshakeAsync()
    {
        if (!handshakes.Wait(0))
        {
            crowded = true;
            await handshakes.WaitAsync(stopping.Token).ConfigureAwait(false);
            crowded = false;
        }
    }

    private void Admit(Socket socket)
    {
        Interlocked.Increment(ref acceptedCount);
        var session = new ServerSession(handler, options.Limits, options.Time);
        bool admitted;
        lock (sessions)
        {
            admitted = !FileLimit.IsScarce(socket) && sessions.Count < options.ConnectionsMax && sessions.Add(session);
        }

        if (!admitted)
        {
            Interlocked.Increment(ref refusedCount);
            handshakes.Release();
            socket.LingerState = new LingerOption(true, 0);
            socket.Dispose();
            return;
        }

        waiting.Add(session);
        ThreadPool.UnsafeQueueUserWorkItem(
            static work => _ = work.Server.ServeAsync(work.Socket, work.Session),
            (Server: this, Socket: socket, Session: session),
            preferLocal: false);
    }

    private async Task ServeAsync(Socket socket, ServerSession session)
    {
        var link = new PortableLink(socket, session, options.Limits.CloseLinger, options.Time);
        try
        {
            socket.NoDelay = true;
            session.RemoteEndPoint = socket.RemoteEndPoint as IPEndPoint;
            if (options.Tls is { } tls)
            {
                await link.WaitReadableAsync().ConfigureAwait(false);
                await link.SecureAsServerAsync(tls.Options).ConfigureAwait(false);
            }
        }
        catch (Exception fault)
        {
            session.OnFailed(SessionEnd.TlsHandshakeFailed, fault);
        }
        finally
        {
            session.IsSecured = true;
            handshakes.Release();
        }

        try
        {
            await link.RunAsync().ConfigureAwait(false);
        }
        finally
        {
            Forget(session);
        }
    }

    private void Forget(ServerSession session)
    {
        lock (sessions)
        {
            sessions.Remove(session);
            if (sessions.Count == 0 && stopping.IsCancellationRequested)
            {
                allGone.TrySetResult();
            }
        }
    }

    private void Sweep()
    {
        long now = NowMs;
        waiting.EndLate(now - (long)options.ConnectTimeout.TotalMilliseconds, SessionEnd.ConnectTimeout, anyStage: true);
        if (crowded)
        {
            waiting.EndLate(
                now - (long)options.HandshakePatience.TotalMilliseconds, SessionEnd.HandshakeTimeout, anyStage: false);
        }
    }
}
