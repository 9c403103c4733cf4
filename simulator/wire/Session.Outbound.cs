using System.Buffers;

namespace Agent.Wire;

// The outbound half: one rented buffer that exists only while bytes wait, bounded, filled under the gate by any
// thread. At most one write loop of the engine runs at a time; writing says that it does or is about to.
public abstract partial class Session
{
    private byte[]? outbound;
    private int outboundCount;
    private int inFlight;
    private int batches;
    private bool writing;

    /// <summary>Bytes accepted for sending and not yet handed to the network.</summary>
    public int OutboundBytes
    {
        get
        {
            lock (gate)
            {
                return outboundCount + inFlight;
            }
        }
    }

    /// <summary>
    /// For the engine: whether to read no further until the write under way is done. A server does so when half its
    /// bound waits: who does not read its answers is not asked for more. A client never does, for two ends that
    /// both wait for the other to read would wait for ever.
    /// </summary>
    public bool PausesReading => IsServer && OutboundBytes > limits.OutboundBytesMax / 2;

    /// <summary>
    /// Gathers what is sent until the result is disposed and then sends it in one write. Replies from inside a
    /// handler call are gathered anyway; this is for senders of their own, with several packets at once.
    /// </summary>
    public Batch BeginBatch()
    {
        lock (gate)
        {
            batches++;
        }

        return new Batch(this);
    }

    /// <summary>Sends a message.</summary>
    /// <param name="topic">UTF-8, 1 to 65535 bytes, no wildcards.</param>
    /// <param name="payload">Any bytes.</param>
    /// <param name="qos">0 or 1.</param>
    /// <param name="packetId">1 to 65535 with QoS 1, 0 with QoS 0.</param>
    /// <param name="dup">A repeat; only with QoS 1.</param>
    /// <param name="retain">The retain flag.</param>
    /// <returns>False when the session has ended, or ends now because the peer reads too slowly.</returns>
    public bool SendPublish(
        ReadOnlySpan<byte> topic, ReadOnlySpan<byte> payload, byte qos, ushort packetId, bool dup = false,
        bool retain = false) =>
        SendPacket(new PublishPacket
        {
            Topic = topic,
            Payload = payload,
            Qos = qos,
            PacketId = packetId,
            Dup = dup,
            Retain = retain,
        });

    /// <summary>Acknowledges a QoS 1 message.</summary>
    /// <returns>False when the session has ended.</returns>
    public bool SendPuback(ushort packetId) => SendPacketId(PacketType.Puback, packetId);

    /// <summary>
    /// For the engine: hands over the gathered bytes. The array is rented: return it to the shared pool when it is
    /// written. Call in a loop; false means that everything is out and a later send will request a new write.
    /// </summary>
    public bool TakeOutbound(out byte[] buffer, out int count)
    {
        lock (gate)
        {
            buffer = outbound!;
            count = outboundCount;
            outbound = null;
            outboundCount = 0;
            inFlight = count;
            writing = count > 0;
            return writing;
        }
    }

    /// <summary>For the engine: drops bytes that will never be written.</summary>
    internal void DropOutbound()
    {
        lock (gate)
        {
            if (outbound is not null)
            {
                ArrayPool<byte>.Shared.Return(outbound);
                outbound = null;
                outboundCount = 0;
            }
        }
    }

    /// <summary>Makes room for one packet of <paramref name="size"/> bytes; call with the gate held.</summary>
    private protected bool TryReserve(int size, out Span<byte> room, out bool overflow)
    {
        room = default;
        overflow = false;
        if (end != SessionEnd.None)
        {
            return false;
        }

        if (outboundCount + inFlight + (long)size > limits.OutboundBytesMax)
        {
            overflow = true;
            return false;
        }

        if (outbound is null || outbound.Length - outboundCount < size)
        {
            GrowOutbound(size);
        }

        room = outbound.AsSpan(outboundCount, size);
        return true;
    }

    private protected Lock Gate => gate;

    /// <summary>Counts a packet written into reserved room; call with the gate held.</summary>
    private protected bool Commit(int size)
    {
        outboundCount += size;
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
            transport!.RequestWrite();
        }

        return sent;
    }

    private protected bool SendPacketId(PacketType type, ushort packetId)
    {
        bool sent, overflow, write = false;
        lock (gate)
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
        lock (gate)
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

    private bool SendPacket(in PublishPacket packet)
    {
        if (packet.Qos > 1)
        {
            throw new ArgumentOutOfRangeException(nameof(packet), "Quality of service 2 is not served.");
        }

        int size = MqttWriter.PublishSize(packet);
        bool sent, overflow, write = false;
        lock (gate)
        {
            sent = TryReserve(size, out Span<byte> room, out overflow);
            write = sent && Commit(MqttWriter.WritePublish(room, packet));
        }

        return AfterSend(sent, overflow, write);
    }

    private void EndBatch()
    {
        bool write;
        lock (gate)
        {
            batches--;
            write = StartsWriting();
        }

        if (write)
        {
            transport!.RequestWrite();
        }
    }

    private bool StartsWriting()
    {
        bool starts = !feeding && batches == 0 && !writing && outboundCount > 0;
        writing |= starts;
        return starts;
    }

    private void GrowOutbound(int size)
    {
        byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(outboundCount + size, outboundCount * 2));
        if (outbound is not null)
        {
            outbound.AsSpan(0, outboundCount).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(outbound);
        }

        outbound = larger;
    }

    /// <summary>Holds a session's writes back until disposed; see <see cref="BeginBatch"/>.</summary>
    public readonly ref struct Batch
    {
        private readonly Session? session;

        internal Batch(Session session)
        {
            this.session = session;
        }

        /// <summary>Sends what was gathered. Dispose once.</summary>
        public void Dispose() => session?.EndBatch();
    }
}
