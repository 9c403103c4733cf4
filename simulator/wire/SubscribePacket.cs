using System.Buffers.Binary;

namespace Agent.Wire;

/// <summary>SUBSCRIBE (§3.8) as read: a packet id and at least one filter. Enumerate it with foreach.</summary>
public readonly ref struct SubscribePacket
{
    private readonly ReadOnlySpan<byte> filters;

    internal SubscribePacket(ushort packetId, ReadOnlySpan<byte> filters, int count)
    {
        PacketId = packetId;
        this.filters = filters;
        Count = count;
    }

    /// <summary>1 to 65535; the SUBACK must carry it.</summary>
    public ushort PacketId { get; }

    /// <summary>How many filters follow; the SUBACK carries one code for each, in order.</summary>
    public int Count { get; }

    /// <summary>Walks the filters; the packet was checked when read, so this cannot fail.</summary>
    public Enumerator GetEnumerator() => new(filters);

    /// <summary>One filter and its QoS.</summary>
    public readonly ref struct Item
    {
        internal Item(ReadOnlySpan<byte> filter, byte qos)
        {
            Filter = filter;
            Qos = qos;
        }

        /// <summary>Topic filter, UTF-8, wildcards in legal places.</summary>
        public ReadOnlySpan<byte> Filter { get; }

        /// <summary>Quality of service asked for, 0 to 2.</summary>
        public byte Qos { get; }
    }

    /// <summary>Walks the filters of a SUBSCRIBE.</summary>
    public ref struct Enumerator
    {
        private ReadOnlySpan<byte> rest;

        internal Enumerator(ReadOnlySpan<byte> filters)
        {
            rest = filters;
        }

        /// <summary>The filter the last <see cref="MoveNext"/> found.</summary>
        public Item Current { get; private set; }

        /// <summary>Steps to the next filter; false after the last.</summary>
        public bool MoveNext()
        {
            if (rest.IsEmpty)
            {
                return false;
            }

            int length = BinaryPrimitives.ReadUInt16BigEndian(rest);
            Current = new Item(rest.Slice(2, length), rest[2 + length]);
            rest = rest[(3 + length)..];
            return true;
        }
    }
}
