using System.Net;
using System.Net.Sockets;

namespace Agent.Tests.Host;

/// <summary>What the gate does with a connection that arrives.</summary>
internal enum GateMode
{
    Forward,

    /// <summary>TCP comes up and then nothing.</summary>
    Silent,

    /// <summary>Closed at once.</summary>
    Close,

    /// <summary>TCP comes up and the rest waits until the mode is another.</summary>
    Hold,
}

/// <summary>A stretch of network between an agent and its hub that can be made to fail, for this agent alone.</summary>
internal sealed class FaultGate : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly List<TcpClient> _sockets = [];
    private readonly List<CancellationTokenSource> _forgets = [];
    private readonly int _targetPort;
    private readonly Task _accepting;
    private volatile bool _frozen;

    public FaultGate(int targetPort, GateMode mode = GateMode.Forward)
    {
        _targetPort = targetPort;
        Mode = mode;
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public GateMode Mode { get; set; }

    /// <summary>A connection on which nothing has moved for so long is forgotten, and both its ends are told by a reset.</summary>
    public TimeSpan IdleMax { get; init; } = Timeout.InfiniteTimeSpan;

    /// <summary>From now on nothing passes either way, on the connections there are.</summary>
    public void Freeze() => _frozen = true;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _accepting;
        lock (_sockets)
        {
            _sockets.ForEach(socket => socket.Dispose());
            _forgets.ForEach(forget => forget.Dispose());
        }

        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                TcpClient client = Keep(await _listener.AcceptTcpClientAsync(_stop.Token));
                while (Mode == GateMode.Hold)
                {
                    await Task.Delay(20, _stop.Token);
                }

                if (Mode == GateMode.Close)
                {
                    client.Close();
                }
                else if (Mode == GateMode.Forward)
                {
                    TcpClient hub = Keep(new TcpClient());
                    await hub.ConnectAsync(IPAddress.Loopback, _targetPort, _stop.Token);
                    CancellationTokenSource forget = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
                    lock (_sockets)
                    {
                        _forgets.Add(forget);
                    }

                    _ = PumpAsync(client, hub, forget);
                    _ = PumpAsync(hub, client, forget);
                }
            }
        }
        catch (Exception stopped) when (stopped is SocketException or OperationCanceledException or InvalidOperationException)
        {
            // Disposed.
        }
    }

    private async Task PumpAsync(TcpClient from, TcpClient to, CancellationTokenSource forget)
    {
        byte[] buffer = new byte[8192];
        try
        {
            int count;
            forget.CancelAfter(IdleMax);
            while ((count = await from.GetStream().ReadAsync(buffer, forget.Token)) > 0)
            {
                forget.CancelAfter(IdleMax);
                if (!_frozen)
                {
                    await to.GetStream().WriteAsync(buffer.AsMemory(0, count), _stop.Token);
                }
            }

            if (!_frozen)
            {
                to.Client.Shutdown(SocketShutdown.Send);
            }
        }
        catch (Exception ended) when (ended is IOException or SocketException or OperationCanceledException
            or ObjectDisposedException or InvalidOperationException)
        {
            to.Client?.Close(0); // a reset stays a reset
        }
    }

    private TcpClient Keep(TcpClient socket)
    {
        lock (_sockets)
        {
            _sockets.Add(socket);
        }

        return socket;
    }
}
