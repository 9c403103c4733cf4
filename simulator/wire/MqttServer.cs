using System.Net;
using System.Net.Sockets;

namespace Agent.Wire;

// Accepts connections and gives each its session. The accept loop outlives every error of accept, and strangers
// cannot wear it out: silent connections hold a socket and no TLS state, the number before and in handshakes is
// bounded, and one sweep over a queue in order of arrival (the timeout is the same for all) ends the late ones.

/// <summary>An MQTT 3.1.1 server over TCP, with TLS 1.2 and 1.3.</summary>
public sealed class MqttServer : IAsyncDisposable
{
    private readonly Socket _listener;
    private readonly IServerHandler _handler;
    private readonly ServerOptions _options;
    private readonly SemaphoreSlim _handshakes;
    private readonly Waiting _waiting;
    private readonly HashSet<ServerSession> _sessions = [];
    private readonly CancellationTokenSource _stopping = new();
    private readonly TaskCompletionSource _allGone = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _accepting;
    private readonly ITimer _sweep;
    private long _refusedCount;
    private long _acceptedCount;
    private volatile bool _crowded;

    private MqttServer(IPEndPoint bind, IServerHandler handler, ServerOptions options)
    {
        _handler = handler;
        _options = options;
        _handshakes = new SemaphoreSlim(options.HandshakesMax, options.HandshakesMax);
        _waiting = new Waiting();
        _listener = new Socket(bind.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            _listener.Bind(bind);
            _listener.Listen(options.Backlog);
        }
        catch
        {
            _listener.Dispose();
            throw;
        }

        LocalEndPoint = (IPEndPoint)_listener.LocalEndPoint!;
        TimeSpan step = TimeSpan.FromMilliseconds(
            Math.Clamp(Math.Min(options.ConnectTimeout.TotalMilliseconds, options.HandshakePatience.TotalMilliseconds) / 8, 5, 500));
        _sweep = options.Time.CreateTimer(_ => Sweep(), null, step, step);
        _accepting = Task.Run(AcceptAsync);
    }

    /// <summary>Where the server listens; the real port when 0 was asked for.</summary>
    public IPEndPoint LocalEndPoint { get; }

    /// <summary>Now, on the clock of <see cref="Session.LastInboundMs"/>, milliseconds.</summary>
    public long NowMs => _options.Time.NowMs();

    /// <summary>Connections open now, those in their handshake or closing included.</summary>
    public int ConnectionCount
    {
        get
        {
            lock (_sessions)
            {
                return _sessions.Count;
            }
        }
    }

    /// <summary>Connections accepted since the start.</summary>
    public long AcceptedCount => Interlocked.Read(ref _acceptedCount);

    /// <summary>Connections reset at accept because ConnectionsMax or <see cref="FileLimit"/> was reached.</summary>
    public long RefusedCount => Interlocked.Read(ref _refusedCount);

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
        if (_stopping.IsCancellationRequested)
        {
            await _allGone.Task.ConfigureAwait(false);
            return;
        }

        await _stopping.CancelAsync().ConfigureAwait(false);
        _listener.Dispose();
        await _accepting.ConfigureAwait(false);
        await _sweep.DisposeAsync().ConfigureAwait(false);
        ServerSession[] open;
        lock (_sessions)
        {
            open = [.. _sessions];
            if (open.Length == 0)
            {
                _allGone.TrySetResult();
            }
        }

        foreach (ServerSession session in open)
        {
            session.Close(SessionEnd.ServerStopped);
        }

        await _allGone.Task.ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await StopAsync().ConfigureAwait(false);

    private async Task AcceptAsync()
    {
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                await EnterHandshakeAsync().ConfigureAwait(false);
                Socket socket;
                try
                {
                    socket = await _listener.AcceptAsync(_stopping.Token).ConfigureAwait(false);
                }
                catch
                {
                    _handshakes.Release();
                    throw;
                }

                Admit(socket);
            }
            catch (SocketException) when (!_stopping.IsCancellationRequested)
            {
                // Out of file descriptors, or the peer gave up while queued. Either passes; spinning would not help.
                await Task.Delay(TimeSpan.FromMilliseconds(20), _options.Time).ConfigureAwait(false);
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
        if (!_handshakes.Wait(0))
        {
            _crowded = true;
            await _handshakes.WaitAsync(_stopping.Token).ConfigureAwait(false);
            _crowded = false;
        }
    }

    private void Admit(Socket socket)
    {
        Interlocked.Increment(ref _acceptedCount);
        var session = new ServerSession(_handler, _options.Limits, _options.Time);
        bool admitted;
        lock (_sessions)
        {
            admitted = !FileLimit.IsScarce(socket) && _sessions.Count < _options.ConnectionsMax && _sessions.Add(session);
        }

        if (!admitted)
        {
            Interlocked.Increment(ref _refusedCount);
            _handshakes.Release();
            socket.LingerState = new LingerOption(true, 0);
            socket.Dispose();
            return;
        }

        _waiting.Add(session);
        ThreadPool.UnsafeQueueUserWorkItem(
            static work => _ = work.Server.ServeAsync(work.Socket, work.Session),
            (Server: this, Socket: socket, Session: session),
            preferLocal: false);
    }

    private async Task ServeAsync(Socket socket, ServerSession session)
    {
        var link = new PortableLink(socket, session, _options.Limits.CloseLinger, _options.Time);
        try
        {
            socket.NoDelay = true;
            session.RemoteEndPoint = socket.RemoteEndPoint as IPEndPoint;
            if (_options.Tls is { } tls)
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
            _handshakes.Release();
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
        lock (_sessions)
        {
            _sessions.Remove(session);
            if (_sessions.Count == 0 && _stopping.IsCancellationRequested)
            {
                _allGone.TrySetResult();
            }
        }
    }

    private void Sweep()
    {
        long now = NowMs;
        _waiting.EndLate(now - (long)_options.ConnectTimeout.TotalMilliseconds, SessionEnd.ConnectTimeout, anyStage: true);
        if (_crowded)
        {
            _waiting.EndLate(
                now - (long)_options.HandshakePatience.TotalMilliseconds, SessionEnd.HandshakeTimeout, anyStage: false);
        }
    }
}
