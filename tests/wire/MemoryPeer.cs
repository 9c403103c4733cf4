using System.Buffers;
using Agent.Wire;

namespace Agent.Tests.Wire;

/// <summary>One end of a session without a network: what a second engine would do, in thirty lines.</summary>
public sealed class MemoryPeer : ITransport, IDisposable
{
    private readonly List<byte> _held = [];

    public MemoryPeer(bool toServer, SessionLimits? limits = null, RecordingHandler? handler = null)
    {
        Handler = handler ?? new RecordingHandler();
        limits ??= new SessionLimits();
        Session = toServer
            ? new ServerSession(Handler, limits, TimeProvider.System)
            : new ClientSession(Handler, limits, TimeProvider.System);
        Session.Attach(this);
    }

    public Session Session { get; }

    public RecordingHandler Handler { get; }

    /// <summary>Set to act as a peer that does not read.</summary>
    public bool IsStuck { get; set; }

    public int WriteCount { get; private set; }

    public int EndRequestCount { get; private set; }

    public List<byte> Written { get; } = [];

    public int ClosedCount => Handler.ClosedCount;

    public void Feed(byte[] bytes)
    {
        _held.AddRange(bytes);
        _held.RemoveRange(0, Session.Feed([.. _held]));
    }

    public void Feed(string hex) => Feed(GoldenPackets.FromHex(hex));

    public void RequestWrite()
    {
        if (IsStuck)
        {
            return;
        }

        while (Session.TakeOutbound(out byte[] buffer, out int count))
        {
            WriteCount++;
            Written.AddRange(buffer.AsSpan(0, count));
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    public void RequestEnd() => EndRequestCount++;

    public void Dispose()
    {
        IsStuck = false;
        RequestWrite();
    }
}
