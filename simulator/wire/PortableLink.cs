using System.Buffers;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;

namespace Agent.Wire;

// The portable engine: one socket, SslStream over IdleStream, one read loop, one write loop that exists only while
// there is something to write. Used by both ends.
//
// Waiting is done with a zero-byte read and no buffer; ReceiveBuffer says what is held otherwise. A server's read loop
// pauses while a stuck write fills half the outbound bound: a peer that does not read is not read from either.
//
// The end, whoever decides it: a reader waiting for data is woken by shutting the receiving side; the handler hears
// of it; a graceful close writes what is left, sends close_notify and FIN, and reads until the peer's FIN, because
// closing with unread data would turn the FIN into a reset and cost the peer our last words. All that has
// CloseLinger of time, then the socket is dropped, which also frees whoever waits in it.

/// <summary>Carries one session over a socket, with TLS or without.</summary>
internal sealed class PortableLink : IServerLink
{
    private const int DrainBytesMax = 1 << 20;

    private readonly Socket socket;
    private readonly Session session;
    private readonly TimeSpan closeLinger;
    private readonly TimeProvider time;
    private readonly IdleStream inner;
    private Stream stream;
    private volatile Task writing = Task.CompletedTask;
    private ITimer? linger;
    private int lingerArmed;

    public PortableLink(Socket socket, Session session, TimeSpan closeLinger, TimeProvider time)
    {
        this.socket = socket;
        this.session = session;
        this.closeLinger = closeLinger;
        this.time = time;
        inner = new IdleStream(socket);
        stream = inner;
        session.Attach(this);
    }

    /// <summary>A server's TLS settings; null = plain TCP, or a client's link.</summary>
    public TlsServer? ServerTls { get; init; }

    /// <inheritdoc/>
    public bool WatchesPeer
    {
        set => inner.Watches = value;
    }

    /// <inheritdoc/>
    public bool PeerOwesUs
    {
        get
        {
            try
            {
                return inner.IsWaiting && socket.Available == 0;
            }
            catch (Exception gone) when (gone is SocketException or ObjectDisposedException)
            {
                return true;
            }
        }
    }

    /// <inheritdoc/>
    public void Serve(Action<ServerSession> whenOver) => ThreadPool.UnsafeQueueUserWorkItem(
        static work => _ = work.Link.ServeAsync(work.WhenOver), (Link: this, WhenOver: whenOver), preferLocal: false);

    public Task SecureAsClientAsync(CheckedTlsStream tls, SslClientAuthenticationOptions options, CancellationToken cancel)
    {
        stream = tls;
        return ShakeAsync(tls.AuthenticateAsClientAsync, options, cancel);
    }

    public CheckedTlsStream NewClientTls() => new(inner);

    /// <summary>Reads and feeds until the session ends, tells the handler, closes. Never throws.</summary>
    public async Task RunAsync()
    {
        var buffer = default(ReceiveBuffer);
        try
        {
            while (session.IsOpen)
            {
                buffer.Rest();
                await stream.ReadAsync(Memory<byte>.Empty).ConfigureAwait(false);
                int count = await stream.ReadAsync(buffer.Room(session.PacketBytesMax)).ConfigureAwait(false);
                if (count == 0)
                {
                    session.OnPeerClosed();
                    break;
                }

                buffer.Feed(session, count);

                // Once ended there is no waiting here: the close has its own limit of time.
                Task pending = writing;
                if (session.IsOpen && !pending.IsCompleted && session.PausesReading)
                {
                    await pending.ConfigureAwait(false);
                }
            }
        }
        catch (Exception fault)
        {
            session.OnFailed(EndFor(fault), fault);
        }

        buffer.Free();
        session.Finish();
        await CloseAsync().ConfigureAwait(false);
    }

    private async Task ServeAsync(Action<ServerSession> whenOver)
    {
        try
        {
            socket.NoDelay = true;
            if (ServerTls is { } tls)
            {
                // Nothing is held for a silent stranger: TLS begins with its first byte.
                await inner.ReadAsync(Memory<byte>.Empty).ConfigureAwait(false);
                var secured = new SslStream(inner, leaveInnerStreamOpen: true);
                stream = secured;
                await ShakeAsync(secured.AuthenticateAsServerAsync, tls.Options, default).ConfigureAwait(false);
            }
        }
        catch (Exception fault)
        {
            session.OnFailed(SessionEnd.TlsHandshakeFailed, fault);
        }

        try
        {
            await RunAsync().ConfigureAwait(false);
        }
        finally
        {
            whenOver((ServerSession)session);
        }
    }

    private async Task ShakeAsync<T>(Func<T, CancellationToken, Task> authenticate, T options, CancellationToken cancellation)
    {
        inner.BeginHandshake(HandshakeLane.Shared);
        try
        {
            await authenticate(options, cancellation).ConfigureAwait(false);
        }
        finally
        {
            inner.EndHandshake();
        }
    }

    public void RequestWrite() => writing = WriteAsync();

    public void RequestEnd()
    {
        if (session.EndsWithReset)
        {
            Drop();
            return;
        }

        ArmLinger();
        try
        {
            socket.Shutdown(SocketShutdown.Receive);
        }
        catch (Exception gone) when (gone is SocketException or ObjectDisposedException)
        {
            // The connection is down already, so the reader has been woken by that.
        }
    }

    /// <summary>Closes the socket under everything at once, with a reset. Whoever waits in it gets an exception.</summary>
    public void Drop()
    {
        // Whichever of two callers comes first must already mean it: a graceful Dispose in between would send FIN instead.
        socket.Close(timeout: 0);
    }

    /// <summary>Names what an exception of socket or TLS stream means for an established connection.</summary>
    private SessionEnd EndFor(Exception fault)
    {
        Exception cause = fault is IOException { InnerException: SocketException inner } ? inner : fault;
        return cause switch
        {
            SocketException
            {
                SocketErrorCode: SocketError.ConnectionReset or SocketError.ConnectionAborted or SocketError.Shutdown
            } => SessionEnd.PeerReset,
            SocketException or ObjectDisposedException => SessionEnd.NetworkFailed,
            IOException or AuthenticationException when stream is SslStream => SessionEnd.TlsFailed,
            _ => SessionEnd.NetworkFailed,
        };
    }

    private async Task WriteAsync()
    {
        try
        {
            while (session.TakeOutbound(out byte[] buffer, out int count))
            {
                try
                {
                    await stream.WriteAsync(buffer.AsMemory(0, count)).ConfigureAwait(false);
                }
                finally
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                }
            }
        }
        catch (Exception fault)
        {
            session.OnFailed(EndFor(fault), fault);
        }
    }

    private async Task CloseAsync()
    {
        try
        {
            if (IsWorthFarewell())
            {
                ArmLinger();
                await SayFarewellAsync().ConfigureAwait(false);
            }
        }
        catch (Exception)
        {
            // The peer or the linger time cut the farewell short; the reason of the end stands as it was named.
        }

        if (session.EndsWithReset)
        {
            Drop();
        }
        else
        {
            socket.Dispose();
        }

        await writing.ConfigureAwait(false);
        session.DropOutbound();
        if (linger is { } armed)
        {
            await armed.DisposeAsync().ConfigureAwait(false);
        }

        await stream.DisposeAsync().ConfigureAwait(false);
    }

    private bool IsWorthFarewell() => !session.EndsWithReset && session.End is not (
        SessionEnd.PeerClosed or SessionEnd.PeerClosedInPacket or SessionEnd.PeerReset or SessionEnd.TlsFailed
        or SessionEnd.TlsHandshakeFailed or SessionEnd.NetworkFailed);

    private async Task SayFarewellAsync()
    {
        await writing.ConfigureAwait(false);

        // What a batch still held back; no send is accepted any more, so nobody else writes now.
        await WriteAsync().ConfigureAwait(false);
        if (stream is SslStream { IsAuthenticated: true } tls)
        {
            await tls.ShutdownAsync().ConfigureAwait(false);
        }

        socket.Shutdown(SocketShutdown.Send);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(ReceiveBuffer.ReadBytes);
        try
        {
            for (int drained = 0; drained < DrainBytesMax;)
            {
                int count = await socket.ReceiveAsync(buffer, SocketFlags.None).ConfigureAwait(false);
                if (count == 0)
                {
                    break;
                }

                drained += count;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private void ArmLinger()
    {
        if (Interlocked.Exchange(ref lingerArmed, 1) == 0)
        {
            linger = time.CreateTimer(
                static link => ((PortableLink)link!).Drop(), this, closeLinger, Timeout.InfiniteTimeSpan);
        }
    }
}
