using System.Buffers;

namespace Agent.Wire;

// The outbound half: one rented buffer that exists only while bytes wait, bounded, filled under the gate by any
// thread. At most one write loop of the engine runs at a time; _writing says that it does or is about to.
public abstract partial class Session
{
    private byte[]? _outbound;
    private int _outboundCount;
    private int _inFlight;
    private int _batches;
    private bool _writing;

    /// <summary>Bytes accepted for sending and not yet handed to the network.</summary>
    public int OutboundBytes
    {
        get
        {
            lock (_gate)
            {
                return _outboundCount + _inFlight;
            }
        }
    }

    /// <summary>
    /// For the engine: whether to read no further until the write under way is done. A server does so when half its
    /// bound waits: who does not read its answers is not asked for more. A client never does, for two ends that
    /// both wait for the other to read would wait for ever.
    /// </summary>
    public bool PausesReading => IsServer && OutboundBytes > _limits.OutboundBytesMax / 2;

    /// <summary>
    /// Gathers what is sent until the result is disposed and then sends it in one write. Replies from inside a
    /// handler call are gathered anyway; this is for senders of their own, with several packets at once.
    /// </summary>
    public Batch BeginBatch()
    {
        lock (_gate)
        {
            _batches++;
        }

        return new Batch(this);
    }

    /// <summary>
    /// For the engine: hands over the gathered bytes. The array is rented: return it to the shared pool when it is
    /// written. Call in a loop; false means that everything is out and a later send will request a new write.
    /// </summary>
    public bool TakeOutbound(out byte[] buffer, out int count)
    {
        lock (_gate)
        {
            buffer = _outbound!;
            count = _outboundCount;
            _outbound = null;
            _outboundCount = 0;
            _inFlight = count;
            _writing = count > 0;
            return _writing;
        }
    }

    /// <summary>For the engine: drops bytes that will never be written.</summary>
    internal void DropOutbound()
    {
        lock (_gate)
        {
            if (_outbound is not null)
            {
                ArrayPool<byte>.Shared.Return(_outbound);
                _outbound = null;
                _outboundCount = 0;
            }
        }
    }

    /// <summary>Makes room for one packet of <paramref name="size"/> bytes; call with the gate held.</summary>
    private protected bool TryReserve(int size, out Span<byte> room, out bool overflow)
    {
        room = default;
        overflow = false;
        if (_end != SessionEnd.None)
        {
            return false;
        }

        if (_outboundCount + _inFlight + (long)size > _limits.OutboundBytesMax)
        {
            overflow = true;
            return false;
        }

        if (_outbound is null || _outbound.Length - _outboundCount < size)
        {
            GrowOutbound(size);
        }

        room = _outbound.AsSpan(_outboundCount, size);
        return true;
    }

    private protected Lock Gate => _gate;

    /// <summary>Counts a packet written into reserved room; call with the gate held.</summary>
    private protected bool Commit(int size)
    {
        _outboundCount += size;
        return StartsWriting();
    }

    /// <summary>After the gate is released: carries out what the send decided.</summary>
    private protected bool AfterSend(bool sent, bool overflow, bool write)
    {
        if (overflow)
        {
            TryEnd(SessionEnd.SlowReader, reset: true);
        }
        else if (write)
        {
            _transport!.RequestWrite();
        }

        return sent;
    }

    private protected bool SendPacketId(PacketType type, ushort packetId)
    {
        bool sent, overflow, write = false;
        lock (_gate)
        {
            sent = TryReserve(MqttWriter.PacketIdSize, out Span<byte> room, out overflow);
            if (sent)
            {
                int size = type == PacketType.Puback
                    ? MqttWriter.WritePuback(room, packetId)
                    : MqttWriter.WriteUnsuback(room, packetId);
                write = Commit(size);
            }
        }

        return AfterSend(sent, overflow, write);
    }

    private protected bool SendEmpty(PacketType type)
    {
        bool sent, overflow, write = false;
        lock (_gate)
        {
            sent = TryReserve(MqttWriter.EmptySize, out Span<byte> room, out overflow);
            if (sent)
            {
                room[0] = (byte)((int)type << 4);
                room[1] = 0;
                write = Commit(MqttWriter.EmptySize);
            }
        }

        return AfterSend(sent, overflow, write);
    }

    private protected bool SendPacket(in PublishPacket packet)
    {
        if (packet.Qos > 1)
        {
            throw new ArgumentOutOfRangeException(nameof(packet), "Quality of service 2 is not served.");
        }

        int size = MqttWriter.PublishSize(packet);
        bool sent, overflow, write = false;
        lock (_gate)
        {
            sent = TryReserve(size, out Span<byte> room, out overflow);
            write = sent && Commit(MqttWriter.WritePublish(room, packet));
        }

        return AfterSend(sent, overflow, write);
    }

    private void EndBatch()
    {
        bool write;
        lock (_gate)
        {
            _batches--;
            write = StartsWriting();
        }

        if (write)
        {
            _transport!.RequestWrite();
        }
    }

    private bool StartsWriting()
    {
        bool starts = !_feeding && _batches == 0 && !_writing && _outboundCount > 0;
        _writing |= starts;
        return starts;
    }

    private void GrowOutbound(int size)
    {
        byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(_outboundCount + size, _outboundCount * 2));
        if (_outbound is not null)
        {
            _outbound.AsSpan(0, _outboundCount).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_outbound);
        }

        _outbound = larger;
    }

    /// <summary>Holds a session's writes back until disposed; see <see cref="BeginBatch"/>.</summary>
    public readonly ref struct Batch
    {
        private readonly Session? _session;

        internal Batch(Session session)
        {
            _session = session;
        }

        /// <summary>Sends what was gathered. Dispose once.</summary>
        public void Dispose() => _session?.EndBatch();
    }
}
