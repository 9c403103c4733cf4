using System.Buffers;

namespace Agent.Wire.Native;

// The native engine's connection: one socket, one SSL object, one session, all of it on one loop's thread. This file is how a link
// begins and how it is told things; NativeLink.Bytes.cs moves bytes, NativeLink.End.cs closes, NativeLink.Dial.cs is a client's start.
//
// An accepted connection has no SSL object until its first byte is here: a silent stranger costs a socket and this object.
// Socket and SSL object are plain numbers and not SafeHandles: the loop's thread alone makes, uses and frees them, in one place,
// and two finalizable objects a connection would be a third of what an idle connection weighs on the managed side.

/// <summary>Carries one session over a socket with OpenSSL.</summary>
internal sealed unsafe partial class NativeLink : IServerLink
{
    private const int OrderWrite = 1;
    private const int OrderEnd = 2;
    private const int OrderBegin = 4;
    private const int OrderGiveUp = 8;
    private const int OrderDrop = 16;

    private readonly NativeLoop loop;
    private readonly Session session;
    private readonly SslContext context;
    private readonly TimeSpan closeLinger;
    private readonly TimeProvider time;
    private int socket;
    private int slot = -1;
    private nint ssl;
    private uint watched;
    private int orders;
    private Stage stage;
    private bool isQueued;
    private bool isHeldBack;
    private volatile bool isWaiting;
    private Action<ServerSession>? whenOver;

    /// <param name="socket">Connected and not blocking, closed by this link; -1 = to be dialled.</param>
    /// <param name="session">What it carries.</param>
    /// <param name="context">Certificate or roots.</param>
    /// <param name="closeLinger">Time for a graceful close.</param>
    /// <param name="time">The clock.</param>
    public NativeLink(int socket, Session session, SslContext context, TimeSpan closeLinger, TimeProvider time)
    {
        loop = NativeLoop.Next();
        this.socket = socket;
        this.session = session;
        this.context = context;
        this.closeLinger = closeLinger;
        this.time = time;
        session.Attach(this);
    }

    private enum Stage : byte
    {
        New,
        Dialling,
        Handshake,
        Open,
        Flushing,
        Draining,
        Over,
    }

    /// <summary>The loop's: the next in its list of links with orders.</summary>
    internal NativeLink? NextOrdered { get; set; }

    /// <inheritdoc/>
    public bool PeerOwesUs
    {
        get
        {
            lock (loop.SocketGate)
            {
                int count = 0;
                return socket < 0 || (isWaiting && LibC.Control(socket, LibC.BytesToRead, &count) == 0 && count == 0);
            }
        }
    }

    /// <inheritdoc/>
    public bool WatchesPeer
    {
        set
        {
            // It is known anyway.
        }
    }

    /// <inheritdoc/>
    public void Serve(Action<ServerSession> whenOver)
    {
        this.whenOver = whenOver;
        Order(OrderBegin);
    }

    /// <inheritdoc/>
    public void RequestWrite()
    {
        if (loop.IsCurrent && stage == Stage.Open)
        {
            TryWrite();
        }
        else
        {
            Order(OrderWrite);
        }
    }

    /// <inheritdoc/>
    public void RequestEnd() => Order(OrderEnd);

    /// <summary>The loop: the socket can be read or written, or has failed.</summary>
    public void OnReady(uint events)
    {
        try
        {
            isWaiting = false;
            switch (stage)
            {
                case Stage.Dialling:
                    OnDialled();
                    break;
                case Stage.Handshake:
                    if (!isQueued)
                    {
                        isQueued = true;
                        loop.QueueHandshake(this);
                    }

                    break;
                case Stage.Open:
                    if (hasUnsent)
                    {
                        TryWrite();
                    }

                    if ((events & ~LibC.EpollOut) != 0)
                    {
                        Read();
                    }

                    break;
                case Stage.Flushing:
                case Stage.Draining:
                    GoOnClosing();
                    break;
            }

            isWaiting = stage is Stage.Handshake or Stage.Open && !isQueued;
        }
        catch (Exception fault)
        {
            Abandon(fault);
        }
    }

    /// <summary>The loop: this link's handshake may take a step.</summary>
    public void OnHandshakeTurn()
    {
        try
        {
            isQueued = false;
            if (stage == Stage.Handshake)
            {
                Shake();
                isWaiting = stage is Stage.Handshake or Stage.Open;
            }
        }
        catch (Exception fault)
        {
            Abandon(fault);
        }
    }

    /// <summary>The loop: others want something.</summary>
    public void OnOrders()
    {
        int asked = Interlocked.Exchange(ref orders, 0);
        try
        {
            if ((asked & OrderBegin) != 0)
            {
                Begin();
            }

            if ((asked & OrderWrite) != 0 && stage == Stage.Open)
            {
                TryWrite();
            }

            if ((asked & OrderGiveUp) != 0)
            {
                GiveUpDial();
            }

            if ((asked & OrderDrop) != 0)
            {
                Close(reset: true);
            }
            else if ((asked & OrderEnd) != 0)
            {
                BeginEnd();
            }
        }
        catch (Exception fault)
        {
            Abandon(fault);
        }
    }

    private void Order(int what)
    {
        if (Interlocked.Or(ref orders, what) == 0)
        {
            loop.Post(this);
        }
    }

    private void Begin()
    {
        if (stage != Stage.New)
        {
            return;
        }

        if (session is ClientSession)
        {
            StartDial();
            return;
        }

        stage = Stage.Handshake;
        isWaiting = true;
        if (!TryStartWatching(LibC.EpollIn))
        {
            session.OnFailed(SessionEnd.NetworkFailed, null);
        }

        BeginEnd(); // Where that has failed, or somebody ended it meanwhile.
    }

    private bool TryStartWatching(uint events)
    {
        slot = loop.Add(this, socket, events);
        watched = events;
        return slot >= 0;
    }

    private void Watch(uint events)
    {
        if (watched != events && slot >= 0)
        {
            watched = events;
            if (!loop.Watch(slot, socket, events))
            {
                session.OnFailed(SessionEnd.NetworkFailed, null);
            }
        }
    }

    // The first step's flight is waited for by the peer. A later one is, with TLS 1.3, the last, and CONNECT or CONNACK follows at
    // once; where it does not, the flight is pushed.
    private void Shake()
    {
        bool mayBeLast = ssl != 0;
        ssl = mayBeLast ? ssl : context.NewSsl(socket);
        SocketBio.MoreFollows = mayBeLast;
        LibSsl.ClearErrors();
        SocketBio.LastError = 0;
        int result = LibSsl.Handshake(ssl);
        SocketBio.MoreFollows = false;
        isHeldBack = SocketBio.TakeHeldBack();
        OnStep(result);
        if (isHeldBack && socket >= 0)
        {
            isHeldBack = false;
            SocketBio.Push(socket);
        }
    }

    private void OnStep(int result)
    {
        if (result == 1)
        {
            OnSecured();
            return;
        }

        switch (LibSsl.Error(ssl, result))
        {
            case LibSsl.ErrorWantRead:
                Watch(LibC.EpollIn);
                break;
            case LibSsl.ErrorWantWrite:
                Watch(LibC.EpollOut);
                break;
            default:
                OnHandshakeFailed();
                break;
        }
    }

    private void OnSecured()
    {
        stage = Stage.Open;
        Watch(LibC.EpollIn);
        if (dial is not null)
        {
            OnDialSecured();
        }

        // What came with the last message of the handshake is inside OpenSSL already.
        if (LibSsl.HasPending(ssl) != 0)
        {
            Read();
        }
    }

    private void OnHandshakeFailed()
    {
        if (dial is not null)
        {
            FailDial(FaultOfHandshake());
            return;
        }

        session.OnFailed(SessionEnd.TlsHandshakeFailed, null);
        BeginEnd();
    }

    /// <summary>Something in here or in the runtime failed: this one link ends, the loop goes on.</summary>
    private void Abandon(Exception fault)
    {
        if (dial is not null)
        {
            FailDial(LinkFault.TlsFailed, fault);
            return;
        }

        session.OnFailed(SessionEnd.NetworkFailed, fault);
        receive.Free();
        session.Finish();
        Close(reset: true);
    }

    private void FreeUnsent()
    {
        if (unsent is { } buffer)
        {
            unsent = null;
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
