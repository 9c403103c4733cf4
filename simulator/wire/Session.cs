namespace Agent.Wire;

// What server and client sessions share: bytes in become calls on a handler, calls to send become bytes in one
// bounded buffer, and the first reason to end wins. There is no socket here: an engine (PortableLink today, one on
// libssl later) feeds and drains it through ITransport and the members under "for the engine".
//
// Replies made while Feed runs gather in the buffer and go out in one write when Feed is done; this is where a batch
// of acknowledgements becomes cheap (facts/limits.md B: 10 to 30 times). An idle session holds no buffer at all.
// Feed and Finish are called by one reader, so handler calls never overlap; sends and Close come from any thread.

/// <summary>One MQTT connection seen from one end: protocol rules, outbound buffer and the reason it ended.</summary>
public abstract partial class Session
{
    private readonly Lock gate = new();
    private readonly SessionLimits limits;
    private readonly TimeProvider time;
    private ITransport? transport;
    private bool feeding;
    private bool midPacket;
    private bool finished;
    private volatile SessionEnd end;
    private volatile bool reset;
    private long lastInboundMs;

    private protected Session(SessionLimits limits, TimeProvider time, object? tag)
    {
        this.limits = limits;
        this.time = time;
        Tag = tag;
        OpenedMs = time.NowMs();
        lastInboundMs = OpenedMs;
    }

    /// <summary>Whatever the owner wants to find again in handler calls.</summary>
    public object? Tag { get; set; }

    /// <summary>Why the session ended; None while it is open.</summary>
    public SessionEnd End => end;

    /// <summary>Whether nothing has ended the session yet.</summary>
    public bool IsOpen => end == SessionEnd.None;

    /// <summary>What a handler threw, or what the network said, when the end has such a cause; for logs.</summary>
    public Exception? Fault { get; private set; }

    /// <summary>When the session began, milliseconds on the <see cref="WireClock.NowMs"/> clock.</summary>
    public long OpenedMs { get; }

    /// <summary>
    /// When the last whole packet came in, milliseconds on the <see cref="WireClock.NowMs"/> clock. Half a packet
    /// does not count: a keep-alive judged by this ends a peer that stalls inside one.
    /// </summary>
    public long LastInboundMs => Volatile.Read(ref lastInboundMs);

    /// <summary>For the engine: whether the end must be a reset (RST), dropping what is unsent.</summary>
    public bool EndsWithReset => reset;

    /// <summary>For the engine: the largest packet the peer may send now, bytes, header included.</summary>
    internal int PacketBytesMax => BodyBytesMax(limits) + MqttReader.HeaderBytesMax;

    /// <summary>For the engine: sets who carries the bytes, before anything else is called.</summary>
    public void Attach(ITransport transport) => this.transport = transport;

    /// <summary>
    /// For the engine: takes received bytes, calls the handler for every whole packet, and asks for one write of all
    /// replies. Stops early once the session has ended.
    /// </summary>
    /// <returns>Bytes consumed; the rest is the beginning of a packet and must be fed again with more behind it.</returns>
    public int Feed(ReadOnlySpan<byte> bytes)
    {
        lock (gate)
        {
            feeding = true;
        }

        int used = 0;
        try
        {
            used = FeedPackets(bytes);
        }
        catch (Exception fault)
        {
            Fault = fault;
            TryEnd(SessionEnd.HandlerFailed, reset: false);
        }

        bool write;
        lock (gate)
        {
            feeding = false;
            write = StartsWriting();
        }

        if (write)
        {
            transport!.RequestWrite();
        }

        return used;
    }

    /// <summary>For the engine: the peer closed its side (FIN).</summary>
    public void OnPeerClosed() => TryEnd(midPacket ? SessionEnd.PeerClosedInPacket : PeerClosedEnd, reset: false);

    /// <summary>For the engine: the connection broke.</summary>
    public void OnFailed(SessionEnd end, Exception? fault)
    {
        if (TryEnd(end, reset: false))
        {
            Fault = fault;
        }
    }

    /// <summary>For the engine: reading is over; tells the handler, once.</summary>
    public void Finish()
    {
        if (finished)
        {
            return;
        }

        finished = true;
        OnPeerClosed();
        try
        {
            NotifyClosed(end);
        }
        catch (Exception fault)
        {
            Fault ??= fault;
        }
    }

    private protected abstract bool IsServer { get; }

    /// <summary>What a FIN between packets means to this side.</summary>
    private protected virtual SessionEnd PeerClosedEnd => SessionEnd.PeerClosed;

    /// <summary>Largest packet body accepted now, bytes.</summary>
    private protected virtual int BodyBytesMax(SessionLimits limits) => limits.BodyBytesMax;

    /// <summary>One whole packet: check the order of things and call the handler.</summary>
    private protected abstract void OnFrame(in Frame frame);

    /// <summary>A message, of QoS 0 or 1.</summary>
    private protected abstract void OnPublish(in PublishPacket packet);

    private protected abstract void NotifyClosed(SessionEnd end);

    /// <summary>A PUBLISH in its place: QoS 2, which an IoT hub does not know, ends the session.</summary>
    /// <returns>Whether it is well formed.</returns>
    private protected bool OnPublishFrame(in Frame frame)
    {
        if (!MqttReader.TryReadPublish(frame, out PublishPacket packet))
        {
            return false;
        }

        if (packet.Qos == 2)
        {
            TryEnd(SessionEnd.Qos2, reset: false);
        }
        else
        {
            OnPublish(packet);
        }

        return true;
    }

    /// <summary>Ends the session; the first reason wins, though a later reset still hurries the close.</summary>
    /// <returns>Whether this call ended it.</returns>
    private protected bool TryEnd(SessionEnd end, bool reset)
    {
        bool wake;
        bool first;
        lock (gate)
        {
            first = this.end == SessionEnd.None;
            bool hurries = reset && !this.reset;
            if (!first && !hurries)
            {
                return false;
            }

            this.reset |= reset;
            if (first)
            {
                this.end = end;
            }

            // While Feed runs nobody needs waking: its caller looks at IsOpen afterwards.
            wake = !feeding;
        }

        if (wake)
        {
            transport?.RequestEnd();
        }

        return first;
    }

    private int FeedPackets(ReadOnlySpan<byte> bytes)
    {
        int used = 0;
        long nowMs = time.NowMs();
        while (used < bytes.Length && IsOpen)
        {
            ReadStatus status = MqttReader.ReadFrame(bytes[used..], BodyBytesMax(limits), out Frame frame);
            if (status == ReadStatus.NeedMore)
            {
                break;
            }

            if (status != ReadStatus.Ok)
            {
                TryEnd(status == ReadStatus.TooLarge ? SessionEnd.TooLarge : SessionEnd.Malformed, reset: false);
                break;
            }

            used += frame.TotalBytes;
            Volatile.Write(ref lastInboundMs, nowMs);
            OnFrame(frame);
        }

        midPacket = used < bytes.Length;
        return used;
    }
}
