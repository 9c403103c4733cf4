using System.Collections.Concurrent;
using System.Text;
using Agent.Wire;

namespace Agent.Tests.Wire;

/// <summary>Both ends' handler for tests: answers politely and writes down what came.</summary>
public class RecordingHandler : IServerHandler, IClientHandler
{
    private readonly ConcurrentDictionary<int, TaskCompletionSource<SessionEnd>> _ends = new();
    private readonly ConcurrentDictionary<Session, int> _busy = new();
    private readonly ConcurrentDictionary<string, TaskCompletionSource> _seen = new();
    private int _closedCount;

    public ConcurrentQueue<string> Calls { get; } = new();

    public int ClosedCount => _closedCount;

    /// <summary>Completes when a call with this text has been written down, now or later.</summary>
    public Task Seen(string call)
    {
        TaskCompletionSource seen = _seen.GetOrAdd(call, _ => NewSource());
        if (Calls.Contains(call))
        {
            seen.TrySetResult();
        }

        return seen.Task;
    }

    /// <summary>Set when two calls for one session overlapped, which must never happen.</summary>
    public bool Overlapped { get; private set; }

    /// <summary>The end of the session whose client has this local port.</summary>
    public Task<SessionEnd> EndOf(int clientPort) => EndSource(clientPort).Task;

    public virtual void OnConnect(ServerSession session, in ConnectPacket packet)
    {
        using Busy busy = Enter(session, $"connect {Encoding.UTF8.GetString(packet.ClientId)}");
        session.SendConnack(0, sessionPresent: false);
    }

    public virtual void OnPublish(ServerSession session, in PublishPacket packet)
    {
        using Busy busy = Enter(session, $"publish {packet.Qos} {Encoding.UTF8.GetString(packet.Topic)}");
        if (packet.Qos == 1)
        {
            session.SendPuback(packet.PacketId);
        }
    }

    public virtual void OnPublish(ClientSession session, in PublishPacket packet)
    {
        using Busy busy = Enter(session, $"publish {packet.Qos} {Encoding.UTF8.GetString(packet.Topic)}");
        if (packet.Qos == 1)
        {
            session.SendPuback(packet.PacketId);
        }
    }

    public virtual void OnPuback(ServerSession session, ushort packetId) => Note(session, $"puback {packetId}");

    public virtual void OnPuback(ClientSession session, ushort packetId) => Note(session, $"puback {packetId}");

    public virtual void OnSubscribe(ServerSession session, in SubscribePacket packet)
    {
        using Busy busy = Enter(session, $"subscribe {packet.Count}");
        Span<byte> codes = new byte[packet.Count];
        int at = 0;
        foreach (SubscribePacket.Item item in packet)
        {
            codes[at++] = Math.Min(item.Qos, (byte)1);
        }

        session.SendSuback(packet.PacketId, codes);
    }

    public virtual void OnUnsubscribe(ServerSession session, in UnsubscribePacket packet)
    {
        using Busy busy = Enter(session, $"unsubscribe {packet.Count}");
        session.SendUnsuback(packet.PacketId);
    }

    public virtual void OnPing(ServerSession session)
    {
        using Busy busy = Enter(session, "ping");
        session.SendPingresp();
    }

    public virtual void OnDisconnect(ServerSession session) => Note(session, "disconnect");

    public virtual void OnConnack(ClientSession session, byte code, bool sessionPresent) =>
        Note(session, $"connack {code} {sessionPresent}");

    public virtual void OnSuback(ClientSession session, in SubackPacket packet) =>
        Note(session, $"suback {packet.PacketId}");

    public virtual void OnUnsuback(ClientSession session, ushort packetId) => Note(session, $"unsuback {packetId}");

    public virtual void OnPingresp(ClientSession session) => Note(session, "pingresp");

    public virtual void OnClosed(ServerSession session, SessionEnd end)
    {
        Note(session, $"closed {end}");
        Interlocked.Increment(ref _closedCount);
        EndSource(session.RemoteEndPoint?.Port ?? 0).TrySetResult(end);
    }

    public virtual void OnClosed(ClientSession session, SessionEnd end)
    {
        Note(session, $"closed {end}");
        Interlocked.Increment(ref _closedCount);
    }

    private TaskCompletionSource<SessionEnd> EndSource(int port) =>
        _ends.GetOrAdd(port, _ => new(TaskCreationOptions.RunContinuationsAsynchronously));

    private void Note(Session session, string call)
    {
        using Busy busy = Enter(session, call);
    }

    private Busy Enter(Session session, string call)
    {
        Overlapped |= !_busy.TryAdd(session, 0);
        Remember(call);
        return new Busy(_busy, session);
    }

    private void Remember(string call)
    {
        Calls.Enqueue(call);
        if (_seen.TryGetValue(call, out TaskCompletionSource? seen))
        {
            seen.TrySetResult();
        }
    }

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly struct Busy(ConcurrentDictionary<Session, int> busy, Session session) : IDisposable
    {
        public void Dispose() => busy.TryRemove(session, out _);
    }
}
