namespace Agent.Wire.Native;

// Bytes in: read until OpenSSL has no more, each time into a rented record's room that is given back at once; answers to records
// that came together leave together. Bytes out: what the session has gathered, as far as the socket takes it; the rest waits and
// the socket is watched until it can be written.
internal sealed unsafe partial class NativeLink
{
    // A peer that sends without end must let the others have their turn.
    private const int ReadsPerTurn = 8;

    private ReceiveBuffer receive;
    private byte[]? unsent;
    private int unsentAt;
    private int unsentCount;
    private bool hasUnsent;
    private bool isPaused;

    private void Read()
    {
        Session.Batch answers = default;
        bool areGathered = false;
        for (int reads = 0; session.IsOpen && stage == Stage.Open;)
        {
            if (hasUnsent && session.PausesReading)
            {
                isPaused = true;
                Watch(LibC.EpollOut);
                break;
            }

            Memory<byte> room = receive.Room(session.PacketBytesMax);
            int count;
            LibSsl.ClearErrors();
            SocketBio.LastError = 0;
            fixed (byte* start = room.Span)
            {
                count = LibSsl.Read(ssl, start, room.Length);
            }

            if (count <= 0)
            {
                OnReadNothing(count);
                break;
            }

            bool hasMore = LibSsl.HasPending(ssl) != 0;
            if (hasMore && !areGathered)
            {
                areGathered = true;
                answers = session.BeginBatch();
            }

            receive.Feed(session, count);
            if (!hasMore)
            {
                break;
            }

            if (session.PausesReading)
            {
                answers.Dispose();
                answers = default;
                areGathered = false;
            }

            if (++reads == ReadsPerTurn)
            {
                loop.ReadAgain(this);
                break;
            }
        }

        answers.Dispose();
        if (session.IsOpen)
        {
            receive.Rest();
            if (stage == Stage.Open)
            {
                // SSL_MODE_RELEASE_BUFFERS forgets the read buffer (17 KB) where a ticket and the first answer come in one read.
                _ = LibSsl.FreeBuffers(ssl);
            }
        }
        else
        {
            BeginEnd();
        }
    }

    private void OnReadNothing(int result)
    {
        switch (LibSsl.Error(ssl, result))
        {
            case LibSsl.ErrorWantRead:
                break;
            case LibSsl.ErrorWantWrite:
                // An answer of TLS itself, such as to a key update, does not go out: it is tried again with the next read.
                Watch(LibC.EpollIn | LibC.EpollOut);
                break;
            case LibSsl.ErrorZeroReturn:
            case LibSsl.ErrorSystem when SocketBio.LastError == SocketBio.EndOfStream:
                session.OnPeerClosed(); // With close_notify, or by FIN alone.
                break;
            default:
                session.OnFailed(EndForLastError(), null);
                break;
        }
    }

    /// <summary>Writes what the session has; false when some of it must wait or the connection broke.</summary>
    private bool TryWrite()
    {
        while (true)
        {
            if (unsent is null)
            {
                if (!session.TakeOutbound(out unsent, out unsentCount))
                {
                    unsent = null;
                    break;
                }

                unsentAt = 0;
            }

            int count;
            LibSsl.ClearErrors();
            SocketBio.LastError = 0;
            fixed (byte* start = unsent)
            {
                count = LibSsl.Write(ssl, start + unsentAt, unsentCount - unsentAt);
            }

            if (count <= 0)
            {
                OnWroteNothing(count);
                return false;
            }

            isHeldBack = false; // It went with this.
            unsentAt += count;
            if (unsentAt == unsentCount)
            {
                FreeUnsent();
            }
        }

        if (hasUnsent)
        {
            hasUnsent = false;
            Watch(LibC.EpollIn);
            if (isPaused)
            {
                isPaused = false;
                loop.ReadAgain(this);
            }
        }

        return true;
    }

    private void OnWroteNothing(int result)
    {
        if (LibSsl.Error(ssl, result) is LibSsl.ErrorWantWrite or LibSsl.ErrorWantRead)
        {
            hasUnsent = true;
            Watch(isPaused ? LibC.EpollOut : LibC.EpollIn | LibC.EpollOut);
            return;
        }

        FreeUnsent();
        hasUnsent = false;
        session.OnFailed(EndForLastError(), null);
    }

    /// <summary>Names what the last read or write of an open connection met.</summary>
    private static SessionEnd EndForLastError() => SocketBio.LastError switch
    {
        LibC.Reset or LibC.BrokenPipe or LibC.Aborted => SessionEnd.PeerReset,
        0 or LibC.TryAgain or LibC.Interrupted or SocketBio.EndOfStream => SessionEnd.TlsFailed,
        _ => SessionEnd.NetworkFailed,
    };
}
