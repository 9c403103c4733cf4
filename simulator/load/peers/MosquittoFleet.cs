using System.Diagnostics;
using System.Runtime.InteropServices;
using Agent.Wire.Native;

namespace Agent.Load.Peers;

/// <summary>Many connections of mosquitto's own client library in one process, driven by one thread with epoll.</summary>
/// <remarks>
/// The library is used as mosquitto_pub uses it, a TLS context of its own for each client included; only the waiting is ours, because
/// its own loop is a thread a client or a poll of one. Its connect blocks until TCP is up, so dials are made one behind the other and
/// their handshakes go on together.
/// </remarks>
internal sealed unsafe class MosquittoFleet
{
    private const int EventsMax = 256;
    private const long PatienceMicros = 120_000_000;

    // The library calls back with the index plus one and no more.
    private static MosquittoFleet? running;

    private readonly MosquittoClient[] clients;
    private readonly uint[] watched;
    private readonly int[] sockets;
    private readonly string authority;
    private readonly int epoll = LibC.EpollCreate(LibC.SocketCloseOnExec);
    private readonly long startStamp = Stopwatch.GetTimestamp();

    public MosquittoFleet(LoadTarget target, string authority)
    {
        Target = target;
        this.authority = authority;
        running = this;
        _ = LibMosquitto.Start();
        clients = [.. Enumerable.Range(0, target.Count).Select(index => new MosquittoClient(this, index))];
        watched = new uint[target.Count];
        sockets = new int[target.Count];
    }

    public LoadTarget Target { get; }

    public LatencyCounts Acknowledgements { get; private set; } = new();

    public LatencyCounts Lag { get; private set; } = new();

    public bool IsPumping { get; private set; }

    public int Batch { get; private set; }

    public int OpenCount => clients.Count(client => client.IsOpen);

    public int NowMicros => unchecked((int)ElapsedMicros);

    private long ElapsedMicros => (Stopwatch.GetTimestamp() - startStamp) / (Stopwatch.Frequency / 1_000_000);

    [UnmanagedCallersOnly]
    public static void OnConnect(nint client, nint index, int code) => running!.clients[index - 1].OnConnack(code);

    [UnmanagedCallersOnly]
    public static void OnPublish(nint client, nint index, int packetId) => running!.clients[index - 1].OnAcknowledged();

    public void Restart()
    {
        Acknowledgements = new LatencyCounts();
        Lag = new LatencyCounts();
    }

    /// <summary>Connects devices, so many at once; returns how many failed.</summary>
    public int Connect(int count, int atOnce, bool andLeave)
    {
        int next = 0;
        int failed = 0;
        var under = new List<MosquittoClient>();
        long late = ElapsedMicros + PatienceMicros;
        while ((next < count || under.Count > 0) && ElapsedMicros < late)
        {
            while (next < count && under.Count < atOnce)
            {
                MosquittoClient client = clients[next];
                sockets[next] = -1; // Its next socket may have the number of its last one, which epoll has forgotten.
                if (client.TryConnect(authority))
                {
                    Watch(next);
                }

                under.Add(client);
                next++;
            }

            Turn(10);
            for (int at = under.Count - 1; at >= 0; at--)
            {
                if (under[at].IsSettled)
                {
                    failed += under[at].IsOpen ? 0 : 1;
                    if (andLeave || !under[at].IsOpen)
                    {
                        under[at].Leave();
                    }

                    under.RemoveAt(at);
                }
            }
        }

        return failed + under.Count + count - next;
    }

    /// <summary>Everybody goes away.</summary>
    public void Leave()
    {
        foreach (MosquittoClient client in clients)
        {
            client.Leave();
        }
    }

    /// <summary>Has some send as fast as acknowledgements come back; returns how many came.</summary>
    public long Pump(int count, int batch, double seconds)
    {
        count = Math.Min(count, clients.Length);
        long before = clients.Sum(client => (long)client.Acknowledged);
        Batch = batch;
        IsPumping = true;
        for (int index = 0; index < count; index++)
        {
            clients[index].Pump(batch);
            Watch(index);
        }

        long end = ElapsedMicros + (long)(seconds * 1e6);
        while (ElapsedMicros < end)
        {
            Turn(10);
        }

        IsPumping = false;
        for (long rest = ElapsedMicros + 200_000; ElapsedMicros < rest;)
        {
            Turn(10);
        }

        return clients.Sum(client => (long)client.Acknowledged) - before;
    }

    /// <summary>Sends in an open loop, evenly; returns messages sent and those nobody could send.</summary>
    public (long Sent, long Unsent) Send(double perSecond, double seconds)
    {
        int[] sent = [.. clients.Select(client => client.Acknowledged)];
        long total = (long)(perSecond * seconds);
        long unsent = 0;
        long begin = ElapsedMicros;
        int next = 0;
        for (long number = 0; number < total;)
        {
            long due = begin + (long)(number * 1e6 / perSecond);
            if (due > ElapsedMicros)
            {
                Turn(1);
                continue;
            }

            Lag.Add(ElapsedMicros - due);
            bool isSent = false;
            for (int looked = 0; looked < clients.Length && !isSent; looked++)
            {
                next = next + 1 == clients.Length ? 0 : next + 1;
                isSent = clients[next].TrySend(sent[next]);
            }

            if (isSent)
            {
                sent[next]++;
                Watch(next);
            }

            unsent += isSent ? 0 : 1;
            number++;
        }

        for (long rest = ElapsedMicros + 200_000; ElapsedMicros < rest;)
        {
            Turn(10);
        }

        return (total - unsent, unsent);
    }

    private void Turn(int waitMs)
    {
        byte* events = stackalloc byte[EventsMax * LibC.EventBytes];
        int count = LibC.EpollWait(epoll, events, EventsMax, waitMs);
        for (int at = 0; at < count; at++)
        {
            byte* one = events + (at * LibC.EventBytes);
            int index = (int)*(ulong*)(one + LibC.EventDataAt);
            if (clients[index].Socket >= 0)
            {
                clients[index].OnReady((*(uint*)one & ~LibC.EpollOut) != 0);
                Watch(index);
            }
        }
    }

    private void Watch(int index)
    {
        int socket = clients[index].Socket;
        uint events = LibC.EpollIn | (clients[index].WantsToWrite ? LibC.EpollOut : 0);
        if (socket < 0 || (watched[index] == events && sockets[index] == socket))
        {
            return;
        }

        byte* change = stackalloc byte[16];
        *(uint*)change = events;
        *(ulong*)(change + LibC.EventDataAt) = (uint)index;
        if (LibC.EpollControl(epoll, LibC.EpollModify, socket, change) != 0)
        {
            _ = LibC.EpollControl(epoll, LibC.EpollAdd, socket, change);
        }

        (watched[index], sockets[index]) = (events, socket);
    }
}
