using System.Buffers;
using System.Net.Sockets;
using System.Runtime.CompilerServices;

namespace Agent.Wire;

// NetworkStream's zero-byte read sometimes completes although nothing has arrived (stale epoll readiness, about once
// per connection). SslStream then rents a 32 KB buffer and waits with it, for as long as the connection idles. Here a
// zero-byte read completes only when there is something: measured, managed memory per idle TLS connection falls from 49
// to 6 KB a pair (facts/limits.md A3). Whether there is something is found out by receiving it into a rented buffer, which the
// next read empties: to ask first (poll) was the other road, one more call of the system for each message. During a handshake
// what a read has brought waits for its turn (HandshakeLane).

/// <summary>A socket as a stream whose zero-byte read is true: it completes when there is data or the end.</summary>
internal sealed class IdleStream : Stream
{
    // A TLS record and what frames it, so that a full one is received in one call.
    private const int EarlyBytes = 17 * 1024;

    private readonly Socket socket;
    private volatile bool isWaiting;
    private HandshakeLane? lane;
    private bool hasPlace;
    private byte[]? early;
    private int earlyAt;
    private int earlyCount;

    /// <param name="socket">Connected; does not block from here on.</param>
    public IdleStream(Socket socket)
    {
        this.socket = socket;
        socket.Blocking = false;
    }

    /// <summary>Whether a read waits for the peer. Known only while <see cref="Watches"/>.</summary>
    public bool IsWaiting => isWaiting;

    /// <summary>Whether <see cref="IsWaiting"/> is kept up; costs something on every read that waits.</summary>
    public bool Watches { get; set; }

    /// <summary>From here on what follows a read is a step of a handshake, and waits for its place.</summary>
    public void BeginHandshake(HandshakeLane handshakes) => lane = handshakes;

    /// <summary>The handshake is done, or has failed.</summary>
    public void EndHandshake()
    {
        LeaveLane();
        lane = null;
    }

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        lane is not null
            ? ReadInLaneAsync(buffer, cancellationToken)
            : buffer.IsEmpty
                ? WaitReadableAsync(cancellationToken)
                : ReceiveAsync(buffer, cancellationToken);

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        ValueTask<int> sending = socket.SendAsync(buffer, SocketFlags.None, cancellationToken);
        return sending.IsCompletedSuccessfully && sending.Result == buffer.Length
            ? ValueTask.CompletedTask
            : FinishWriteAsync(sending, buffer, cancellationToken);
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush()
    {
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    private ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken) => early is not null
        ? ValueTask.FromResult(TakeEarly(buffer.Span))
        : Watches
            ? ReceiveWatchedAsync(buffer, cancellationToken)
            : socket.ReceiveAsync(buffer, SocketFlags.None, cancellationToken);

    private int TakeEarly(Span<byte> buffer)
    {
        byte[] from = early!;
        int count = Math.Min(buffer.Length, earlyCount);
        from.AsSpan(earlyAt, count).CopyTo(buffer);
        earlyAt += count;
        earlyCount -= count;
        if (earlyCount == 0)
        {
            early = null;
            ArrayPool<byte>.Shared.Return(from);
        }

        return count;
    }

    private async ValueTask<int> ReadInLaneAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        LeaveLane();
        if (buffer.IsEmpty)
        {
            return await WaitReadableAsync(cancellationToken).ConfigureAwait(false);
        }

        int count = await ReceiveAsync(buffer, cancellationToken).ConfigureAwait(false);
        await lane!.EnterAsync(cancellationToken).ConfigureAwait(false);
        hasPlace = true;
        return count;
    }

    private void LeaveLane()
    {
        if (hasPlace)
        {
            hasPlace = false;
            lane!.Leave();
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<int> WaitReadableAsync(CancellationToken cancellationToken)
    {
        if (early is not null)
        {
            return 0;
        }

        do
        {
            isWaiting = true;
            await socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None, cancellationToken).ConfigureAwait(false);
            isWaiting = false;
        }
        while (!TryReceiveEarly());

        return 0;
    }

    /// <summary>Receives what is there without waiting; false when nothing is.</summary>
    private bool TryReceiveEarly()
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(EarlyBytes);
        int count = socket.Receive(buffer, SocketFlags.None, out SocketError error);
        if (error == SocketError.Success && count > 0)
        {
            (early, earlyAt, earlyCount) = (buffer, 0, count);
            return true;
        }

        ArrayPool<byte>.Shared.Return(buffer);
        if (error is not (SocketError.Success or SocketError.WouldBlock))
        {
            throw new SocketException((int)error); // The system tells of a reset once.
        }

        return error == SocketError.Success; // The peer's FIN, which the read that follows meets again.
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<int> ReceiveWatchedAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        isWaiting = true;
        int count = await socket.ReceiveAsync(buffer, SocketFlags.None, cancellationToken).ConfigureAwait(false);
        isWaiting = false;
        return count;
    }

    private async ValueTask FinishWriteAsync(
        ValueTask<int> sending, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        buffer = buffer[await sending.ConfigureAwait(false)..];
        while (!buffer.IsEmpty)
        {
            buffer = buffer[await socket.SendAsync(buffer, SocketFlags.None, cancellationToken).ConfigureAwait(false)..];
        }
    }
}
