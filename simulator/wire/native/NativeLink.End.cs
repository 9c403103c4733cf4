namespace Agent.Wire.Native;

// The end, whoever decides it, as in PortableLink: the handler hears of it; a graceful close writes what is left, sends
// close_notify and FIN, and reads until the peer's FIN, because closing with unread data would turn the FIN into a reset and cost
// the peer our last words. All that has CloseLinger of time; a reset needs none and overtakes a close under way.
internal sealed unsafe partial class NativeLink
{
    private const int DrainBytesMax = 1 << 20;

    private int drained;
    private ITimer? linger;

    /// <summary>The session is over, or a reset hurries its close.</summary>
    private void BeginEnd()
    {
        if (stage is Stage.Over or Stage.New || session.IsOpen)
        {
            return;
        }

        if (dial is not null)
        {
            FailDial(LinkFault.TlsFailed);
            return;
        }

        if (stage is Stage.Flushing or Stage.Draining)
        {
            if (session.EndsWithReset)
            {
                Close(reset: true);
            }

            return;
        }

        bool isSecured = stage == Stage.Open;
        stage = Stage.Flushing;
        receive.Free();
        session.Finish();
        if (!IsWorthFarewell())
        {
            Close(session.EndsWithReset);
            return;
        }

        linger = time.CreateTimer(
            static link => ((NativeLink)link!).Order(OrderDrop), this, closeLinger, Timeout.InfiniteTimeSpan);
        if (!isSecured)
        {
            FinishSending();
        }

        GoOnClosing();
    }

    private bool IsWorthFarewell() => !session.EndsWithReset && session.End is not (
        SessionEnd.PeerClosed or SessionEnd.PeerClosedInPacket or SessionEnd.PeerReset or SessionEnd.TlsFailed
        or SessionEnd.TlsHandshakeFailed or SessionEnd.NetworkFailed);

    private void GoOnClosing()
    {
        if (stage == Stage.Flushing && !TryFlush())
        {
            return;
        }

        Drain();
    }

    /// <summary>Writes what is left, then close_notify, then FIN; false while the socket does not take it.</summary>
    private bool TryFlush()
    {
        if (!TryWrite())
        {
            if (!hasUnsent)
            {
                Close(reset: false);
            }
            else
            {
                Watch(LibC.EpollOut);
            }

            return false;
        }

        LibSsl.ClearErrors();
        SocketBio.LastError = 0;
        int result = LibSsl.Shutdown(ssl);
        if (result < 0 && LibSsl.Error(ssl, result) == LibSsl.ErrorWantWrite)
        {
            Watch(LibC.EpollOut);
            return false;
        }

        FinishSending();
        return true;
    }

    private void FinishSending()
    {
        stage = Stage.Draining;
        _ = LibC.Shutdown(socket, LibC.ShutSend);
        Watch(LibC.EpollIn);
    }

    private void Drain()
    {
        const int scratchBytes = 4096;
        byte* scratch = stackalloc byte[scratchBytes];
        while (stage == Stage.Draining)
        {
            nint count = LibC.Receive(socket, scratch, scratchBytes, 0);
            if (count < 0 && LibC.LastError is LibC.TryAgain or LibC.Interrupted)
            {
                return;
            }

            drained += (int)Math.Max(0, count);
            if (count <= 0 || drained >= DrainBytesMax)
            {
                Close(reset: false);
            }
        }
    }

    /// <summary>Gives everything back, once.</summary>
    private void Close(bool reset)
    {
        if (stage == Stage.Over)
        {
            return;
        }

        stage = Stage.Over;
        isWaiting = false;
        FreeUnsent();
        CloseSocket(reset);
        session.DropOutbound();
        linger?.Dispose();
        linger = null;
        if (session is ServerSession served)
        {
            whenOver?.Invoke(served);
        }
    }

    private void CloseSocket(bool reset)
    {
        if (slot >= 0)
        {
            loop.Forget(slot);
            slot = -1;
        }

        if (ssl != 0)
        {
            LibSsl.Free(ssl);
            ssl = 0;
        }

        if (socket < 0)
        {
            return;
        }

        if (reset)
        {
            LibC.CloseWillReset(socket);
        }

        lock (loop.SocketGate)
        {
            _ = LibC.Close(socket);
            socket = -1;
        }
    }
}
