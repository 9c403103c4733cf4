namespace Agent.Wire.Native;

/// <summary>One thread that waits for the sockets of its links and does all their work: epoll, TLS, packets, handlers.</summary>
/// <remarks>
/// There is one a processor, made when first needed and never ended; links are dealt out in turn and stay where they are. Everything
/// about a link happens on its loop's thread, so an SSL object needs no lock; other threads leave an order (write, end) in a list
/// without locks and wake the loop only when it sleeps. A handshake costs a hundred times what a packet does: links in their
/// handshake are therefore served one at a time, between turns of everybody else, or a herd that comes back would hold up every
/// acknowledgement behind it. To hand each event to the thread pool was the other road: it costs a switch of threads for each.
/// </remarks>
internal sealed unsafe class NativeLoop
{
    private const int EventsMax = 256;
    private const int HandshakesPerTurn = 1;

    private static readonly Lazy<NativeLoop[]> Loops = new(
        () => [.. Enumerable.Range(0, Environment.ProcessorCount).Select(number => new NativeLoop(number))]);

    private static int dealt;

    private readonly int epoll;
    private readonly int bell;
    private readonly Queue<NativeLink> handshakes = new();
    private readonly List<NativeLink> again = [];
    private readonly List<NativeLink> turn = [];
    private readonly int threadId;
    private (NativeLink? Link, uint Number)[] slots = new (NativeLink?, uint)[256];
    private int[] free = new int[256];
    private int freeCount;
    private int slotCount = 1; // 0 is the bell.
    private NativeLink? orders;
    private int isAsleep;

    private NativeLoop(int number)
    {
        epoll = LibC.EpollCreate(LibC.SocketCloseOnExec);
        bell = LibC.EventFile(0, LibC.SocketNonBlocking | LibC.SocketCloseOnExec);
        if (epoll < 0 || bell < 0 || !Change(LibC.EpollAdd, bell, LibC.EpollIn | LibC.EpollEdge, 0))
        {
            throw new IOException("this process may open no more files: none is left to wait for sockets with");
        }

        var thread = new Thread(Run) { IsBackground = true, Name = $"wire {number}" };
        threadId = thread.ManagedThreadId;
        thread.Start();
    }

    /// <summary>Whether this is the loop's own thread.</summary>
    public bool IsCurrent => Environment.CurrentManagedThreadId == threadId;

    /// <summary>Held while a link's socket is closed, so that others can ask about a socket that is still the link's.</summary>
    public Lock SocketGate { get; } = new();

    /// <summary>The loop for the next link.</summary>
    public static NativeLoop Next()
    {
        NativeLoop[] loops = Loops.Value;
        return loops[(uint)Interlocked.Increment(ref dealt) % (uint)loops.Length];
    }

    /// <summary>Has the link look at its orders soon. From any thread; once until it looks.</summary>
    public void Post(NativeLink link)
    {
        NativeLink? first;
        do
        {
            first = Volatile.Read(ref orders);
            link.NextOrdered = first;
        }
        while (Interlocked.CompareExchange(ref orders, link, first) != first);

        if (Volatile.Read(ref isAsleep) == 1 && Interlocked.Exchange(ref isAsleep, 0) == 1)
        {
            ulong one = 1;
            _ = LibC.Write(bell, (byte*)&one, sizeof(ulong));
        }
    }

    /// <summary>Begins to watch a link's socket. On the loop's thread, as all that follows.</summary>
    /// <returns>Its place, for <see cref="Watch"/> and <see cref="Forget"/>; negative = the system refuses.</returns>
    public int Add(NativeLink link, int socket, uint events)
    {
        int slot = freeCount > 0 ? free[--freeCount] : slotCount++;
        if (slot == slots.Length)
        {
            Array.Resize(ref slots, slot * 2);
        }

        slots[slot] = (link, slots[slot].Number + 1);
        if (Change(LibC.EpollAdd, socket, events, DataOf(slot)))
        {
            return slot;
        }

        Forget(slot);
        return -1;
    }

    /// <summary>Waits for other events than before.</summary>
    public bool Watch(int slot, int socket, uint events) => Change(LibC.EpollModify, socket, events, DataOf(slot));

    /// <summary>Gives the place back; the system forgets a socket by itself when it is closed.</summary>
    public void Forget(int slot)
    {
        slots[slot].Link = null;
        if (freeCount == free.Length)
        {
            Array.Resize(ref free, freeCount * 2);
        }

        free[freeCount++] = slot;
    }

    /// <summary>Serves the link's handshake when its turn comes.</summary>
    public void QueueHandshake(NativeLink link) => handshakes.Enqueue(link);

    /// <summary>Has the link read on in the next turn, though its socket may stay silent: the bytes are inside OpenSSL.</summary>
    public void ReadAgain(NativeLink link) => again.Add(link);

    private void Run()
    {
        byte* events = stackalloc byte[EventsMax * LibC.EventBytes];
        while (true)
        {
            bool isIdle = handshakes.Count == 0 && again.Count == 0;
            if (isIdle)
            {
                Interlocked.Exchange(ref isAsleep, 1);
                isIdle = Volatile.Read(ref orders) is null;
            }

            int count = LibC.EpollWait(epoll, events, EventsMax, isIdle ? -1 : 0);
            Volatile.Write(ref isAsleep, 0);
            for (int i = 0; i < count; i++)
            {
                byte* one = events + (i * LibC.EventBytes);
                ulong data = *(ulong*)(one + LibC.EventDataAt);
                (NativeLink? link, uint number) = slots[(int)(uint)data];
                if (link is not null && number == (uint)(data >> 32))
                {
                    link.OnReady(*(uint*)one);
                }
            }

            CarryOutOrders();
            turn.AddRange(again);
            again.Clear();
            foreach (NativeLink link in turn)
            {
                link.OnReady(LibC.EpollIn);
            }

            turn.Clear();
            for (int i = 0; i < HandshakesPerTurn && handshakes.TryDequeue(out NativeLink? link); i++)
            {
                link.OnHandshakeTurn();
            }
        }
    }

    private void CarryOutOrders()
    {
        // The list has the newest first.
        NativeLink? link = Interlocked.Exchange(ref orders, null);
        NativeLink? oldest = null;
        while (link is not null)
        {
            NativeLink? next = link.NextOrdered;
            link.NextOrdered = oldest;
            oldest = link;
            link = next;
        }

        while (oldest is not null)
        {
            link = oldest;
            oldest = link.NextOrdered;
            link.NextOrdered = null;
            link.OnOrders();
        }
    }

    private ulong DataOf(int slot) => ((ulong)slots[slot].Number << 32) | (uint)slot;

    private bool Change(int operation, int file, uint events, ulong data)
    {
        byte* change = stackalloc byte[16];
        *(uint*)change = events;
        *(ulong*)(change + LibC.EventDataAt) = data;
        return LibC.EpollControl(epoll, operation, file, change) == 0;
    }
}
