using System.Collections.Concurrent;
using System.Text;
using Agent.Wire;

namespace Agent.Tests.Wire;

/// <summary>Both ends' handler for tests: answers politely and writes down what came.</summary>
public class RecordingHandler : IServerHandler, IClientHandler
{
    private readonly ConcurrentDictionary<int, TaskCompletionSource<SessionEnd>> _ends = new();
    private readonly ConcurrentDictionary<Session, int> _busy = new();
    private int _closedCount;

    public ConcurrentQueue<string> Calls { get; } = new();

    public int ClosedCount => _closedCount;

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
        Calls.Enqueue(call);
        return new Busy(_busy, session);
    }

    private readonly struct Busy(ConcurrentDictionary<Session, int> busy, Session session) : IDisposable
    {
        public void Dispose() => busy.TryRemove(session, out _);
    }
}
