using System.Buffers;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Authentication;

namespace Agent.Wire;

// The second engine: a WebSocket under the session instead of a TCP socket, at either end. Frames mean nothing: a packet may be
// split over them or share one (MQTT 3.1.1 §6), so payloads are one stream of bytes, held and bounded as in PortableLink.
// What the session gathers goes out as one binary frame. Pings are answered by the framework while a read is pending.
//
// The end: a pending read of a WebSocket cannot be woken without breaking it, so unlike in PortableLink the reader goes on and
// discards until the peer's close frame, while beside it the handler is told and the last bytes and our close frame go out.
// The handler's calls still never overlap: once the session has ended, Feed calls nobody. All that has CloseLinger of time,
// then the connection below is dropped, which frees whoever waits in it.

/// <summary>Carries one session over a WebSocket.</summary>
internal sealed class WebSocketLink : ITransport
{
    private const int DrainBytesMax = 1 << 20;

    private readonly WebSocket socket;
    private readonly Session session;
    private readonly Action dropConnection;
    private readonly TimeSpan closeLinger;
    private readonly TimeProvider time;
    private readonly TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile Task writing = Task.CompletedTask;
    private ITimer? linger;
    private int ending;
    private int dropped;

    /// <param name="socket">Open; disposed at the end.</param>
    /// <param name="session">What it carries.</param>
    /// <param name="dropConnection">Resets the connection below, from any thread, without blocking.</param>
    /// <param name="closeLinger">Time for the close handshake.</param>
    /// <param name="time">The clock.</param>
    public WebSocketLink(WebSocket socket, Session session, Action dropConnection, TimeSpan closeLinger, TimeProvider time)
    {
        this.socket = socket;
        this.session = session;
        this.dropConnection = dropConnection;
        this.closeLinger = closeLinger;
        this.time = time;
        session.Attach(this);
    }

    /// <summary>Reads and feeds until the session ends, tells the handler, closes. Never throws.</summary>
    public async Task RunAsync()
    {
        var buffer = default(ReceiveBuffer);
        try
        {
            int drained = 0;
            while (drained < DrainBytesMax)
            {
                buffer.Rest();
                ValueWebSocketReceiveResult seen = await socket.ReceiveAsync(Memory<byte>.Empty, default).ConfigureAwait(false);
                if (seen.MessageType == WebSocketMessageType.Close)
                {
                    break;
                }

                if (seen.MessageType == WebSocketMessageType.Text)
                {
                    // Not read on: the framework has an answer of its own for what is no UTF-8, and cuts ours off.
                    session.OnFailed(SessionEnd.TextFrame, null);
                    break;
                }

                if (seen.EndOfMessage)
                {
                    continue; // An empty frame.
                }

                ValueWebSocketReceiveResult got =
                    await socket.ReceiveAsync(buffer.Room(session.PacketBytesMax), default).ConfigureAwait(false);
                if (session.IsOpen)
                {
                    await FeedAsync(ref buffer, got.Count).ConfigureAwait(false);
                }

                if (!session.IsOpen)
                {
                    drained += got.Count;
                    BeginEnd();
                }
            }

            session.OnPeerClosed();
        }
        catch (Exception fault)
        {
            OnFault(fault);
        }

        buffer.Free();
        BeginEnd();
        await ended.Task.ConfigureAwait(false);
        await writing.ConfigureAwait(false);
        session.DropOutbound();
        if (linger is { } armed)
        {
            await armed.DisposeAsync().ConfigureAwait(false);
        }

        socket.Dispose();
    }

    public void RequestWrite() => writing = WriteAsync();

    public void RequestEnd() => BeginEnd();

    private Task FeedAsync(ref ReceiveBuffer buffer, int count)
    {
        buffer.Feed(session, count);
        Task pending = writing;
        return session.IsOpen && !pending.IsCompleted && session.PausesReading ? pending : Task.CompletedTask;
    }

    private void BeginEnd()
    {
        if (session.EndsWithReset)
        {
            Drop();
        }

        if (Interlocked.Exchange(ref ending, 1) == 0)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static link => _ = link.EndAsync(), this, preferLocal: false);
        }
    }

    private async Task EndAsync()
    {
        try
        {
            session.Finish();
            if (!session.EndsWithReset && socket.State is WebSocketState.Open or WebSocketState.CloseReceived)
            {
                linger = time.CreateTimer(
                    static link => ((WebSocketLink)link!).Drop(), this, closeLinger, Timeout.InfiniteTimeSpan);
                await writing.ConfigureAwait(false);

                // What a batch still held back; no send is accepted any more, so nobody else writes now.
                await WriteAsync().ConfigureAwait(false);
                await socket.CloseOutputAsync(StatusFor(session.End), null, CancellationToken.None).ConfigureAwait(false);
            }
        }
        catch (Exception)
        {
            // The peer or the linger time cut the farewell short; the reason of the end stands as it was named.
        }
        finally
        {
            ended.TrySetResult();
        }
    }

    private async Task WriteAsync()
    {
        try
        {
            while (session.TakeOutbound(out byte[] buffer, out int count))
            {
                try
                {
                    await socket.SendAsync(
                        buffer.AsMemory(0, count), WebSocketMessageType.Binary, endOfMessage: true, CancellationToken.None)
                        .ConfigureAwait(false);
                }
                finally
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                }
            }
        }
        catch (Exception fault)
        {
            OnFault(fault);
        }
    }

    private void Drop()
    {
        if (Interlocked.Exchange(ref dropped, 1) == 0)
        {
            dropConnection();
            socket.Abort();
        }
    }

    /// <summary>Names what an exception of the WebSocket means.</summary>
    private void OnFault(Exception fault)
    {
        if (fault is WebSocketException { WebSocketErrorCode: WebSocketError.ConnectionClosedPrematurely, InnerException: null })
        {
            session.OnPeerClosed(); // FIN without a close frame.
            return;
        }

        session.OnFailed(
            fault is WebSocketException { WebSocketErrorCode: not WebSocketError.ConnectionClosedPrematurely }
                ? SessionEnd.NotWebSocket
                : EndFor(fault),
            fault);
    }

    private static SessionEnd EndFor(Exception fault)
    {
        for (Exception? cause = fault; cause is not null; cause = cause.InnerException)
        {
            switch (cause)
            {
                case SocketException
                {
                    SocketErrorCode: SocketError.ConnectionReset or SocketError.ConnectionAborted or SocketError.Shutdown
                }:
                    return SessionEnd.PeerReset;
                case AuthenticationException:
                    return SessionEnd.TlsFailed;
            }
        }

        return SessionEnd.NetworkFailed;
    }

    private static WebSocketCloseStatus StatusFor(SessionEnd end) => end switch
    {
        SessionEnd.ServerStopped => WebSocketCloseStatus.EndpointUnavailable,
        SessionEnd.TextFrame => WebSocketCloseStatus.InvalidMessageType,
        SessionEnd.TooLarge => WebSocketCloseStatus.MessageTooBig,
        SessionEnd.ConnectTimeout => WebSocketCloseStatus.PolicyViolation,
        SessionEnd.HandlerFailed => WebSocketCloseStatus.InternalServerError,
        >= SessionEnd.FirstPacketNotConnect and < SessionEnd.SlowReader => WebSocketCloseStatus.ProtocolError,
        _ => WebSocketCloseStatus.NormalClosure,
    };
}
