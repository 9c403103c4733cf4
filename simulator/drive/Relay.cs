using System.Buffers;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Agent.Drive;

// A stretch of network that can fail: a TCP relay between the devices and the hub that stops forwarding when it is told to,
// connection by connection. Both ends keep a standing TCP connection and hear nothing, as when packets vanish, with one
// difference: the kernels on either side of the relay still acknowledge, so TCP itself never gives a connection up.

/// <summary>A TCP relay whose connections can be held, released and abandoned.</summary>
internal sealed class Relay : IAsyncDisposable
{
    private const int BufferBytes = 16 * 1024;

    private readonly Socket listener;
    private readonly IPEndPoint target;
    private readonly ConcurrentDictionary<int, Pair> byClientPort = [];
    private readonly ConcurrentDictionary<int, int> clientPorts = [];
    private readonly CancellationTokenSource stopping = new();
    private readonly Task accepting;

    public Relay(IPEndPoint target)
    {
        this.target = target;
        listener = new Socket(target.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(4096);
        EndPoint = (IPEndPoint)listener.LocalEndPoint!;
        accepting = Task.Run(AcceptAsync);
    }

    /// <summary>Where devices dial.</summary>
    public IPEndPoint EndPoint { get; }

    /// <summary>The device's port behind a port the hub sees; 0 = unknown.</summary>
    public int ClientPort(int hubSidePort) => clientPorts.GetValueOrDefault(hubSidePort);

    /// <summary>Stops forwarding for the connection from a port, both ways, its end included.</summary>
    public void Hold(int clientPort)
    {
        if (byClientPort.TryGetValue(clientPort, out Pair? pair))
        {
            pair.Hold();
        }
    }

    /// <summary>Forwards what was held and goes on.</summary>
    public void Release(int clientPort)
    {
        if (byClientPort.TryGetValue(clientPort, out Pair? pair))
        {
            pair.Release();
        }
    }

    /// <summary>The device is gone without a word: the hub's side stays up and hears nothing more.</summary>
    public void Abandon(int clientPort)
    {
        if (byClientPort.TryGetValue(clientPort, out Pair? pair))
        {
            pair.Abandon();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync().ConfigureAwait(false);
        listener.Dispose();
        await accepting.ConfigureAwait(false);
        foreach (Pair pair in byClientPort.Values)
        {
            pair.Dispose();
        }

        stopping.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                Socket client = await listener.AcceptAsync(stopping.Token).ConfigureAwait(false);
                _ = CarryAsync(client);
            }
        }
        catch (Exception stopped) when (stopped is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // Disposed.
        }
    }

    private async Task CarryAsync(Socket client)
    {
        var hub = new Socket(target.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        using var pair = new Pair(client, hub);
        int clientPort = 0;
        int hubSidePort = 0;
        try
        {
            clientPort = ((IPEndPoint)client.RemoteEndPoint!).Port;
            byClientPort[clientPort] = pair;
            client.NoDelay = hub.NoDelay = true;
            hub.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            hubSidePort = ((IPEndPoint)hub.LocalEndPoint!).Port;
            clientPorts[hubSidePort] = clientPort;
            await hub.ConnectAsync(target, stopping.Token).ConfigureAwait(false);
            await Task.WhenAll(PumpAsync(client, hub, pair, fromHub: false), PumpAsync(hub, client, pair, fromHub: true))
                .ConfigureAwait(false);
        }
        catch (Exception failed) when (failed is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // The hub cannot be reached, or the relay was disposed: the device sees its connection end.
        }
        finally
        {
            byClientPort.TryRemove(new(clientPort, pair));
            clientPorts.TryRemove(hubSidePort, out _);
        }
    }

    private async Task PumpAsync(Socket from, Socket to, Pair pair, bool fromHub)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        bool reset = false;
        try
        {
            int count;
            while ((count = await from.ReceiveAsync(buffer, SocketFlags.None, stopping.Token).ConfigureAwait(false)) > 0)
            {
                await pair.WaitAsync(stopping.Token).ConfigureAwait(false);
                if (!pair.IsAbandoned)
                {
                    for (int sent = 0; sent < count;)
                    {
                        sent += await to.SendAsync(buffer.AsMemory(sent, count - sent), SocketFlags.None, stopping.Token)
                            .ConfigureAwait(false);
                    }
                }
            }
        }
        catch (Exception failed) when (failed is SocketException or ObjectDisposedException)
        {
            reset = true;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        await pair.WaitAsync(stopping.Token).ConfigureAwait(false);
        if (fromHub || !pair.IsAbandoned)
        {
            pair.End(to, reset);
        }
    }

    /// <summary>The two halves of one connection.</summary>
    private sealed class Pair(Socket client, Socket hub) : IDisposable
    {
        private volatile TaskCompletionSource? gate;

        public bool IsAbandoned { get; private set; }

        public void Hold() => gate ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Release()
        {
            TaskCompletionSource? opened = gate;
            gate = null;
            opened?.TrySetResult();
        }

        public void Abandon()
        {
            IsAbandoned = true;
            Release();
        }

        public Task WaitAsync(CancellationToken stopping) => gate?.Task.WaitAsync(stopping) ?? Task.CompletedTask;

        /// <summary>Passes an end on: FIN as FIN, RST as RST.</summary>
        public void End(Socket to, bool reset)
        {
            try
            {
                if (reset)
                {
                    to.LingerState = new LingerOption(true, 0);
                    to.Dispose();
                }
                else
                {
                    to.Shutdown(SocketShutdown.Send);
                }
            }
            catch (Exception gone) when (gone is SocketException or ObjectDisposedException)
            {
                // It has ended already.
            }
        }

        public void Dispose()
        {
            client.Dispose();
            hub.Dispose();
        }
    }
}
