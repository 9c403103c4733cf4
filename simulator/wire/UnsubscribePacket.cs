using System.Buffers.Binary;

namespace Agent.Wire;

/// <summary>UNSUBSCRIBE (§3.10) as read: a packet id and at least one filter. Enumerate it with foreach.</summary>
public readonly ref struct UnsubscribePacket
{
    private readonly ReadOnlySpan<byte> filters;

    internal UnsubscribePacket(ushort packetId, ReadOnlySpan<byte> filters, int count)
    {
        PacketId = packetId;
        this.filters = filters;
        Count = count;
    }

    /// <summary>1 to 65535; the UNSUBACK must carry it.</summary>
    public ushort PacketId { get; }

    /// <summary>How many filters follow.</summary>
    public int Count { get; }

    /// <summary>Walks the filters; the packet was checked when read, so this cannot fail.</summary>
    public Enumerator GetEnumerator() => new(filters);

    /// <summary>Walks the filters of an UNSUBSCRIBE.</summary>
    public ref struct Enumerator
    {
        private ReadOnlySpan<byte> rest;

        internal Enumerator(ReadOnlySpan<byte> filters)
        {
            rest = filters;
        }

        /// <summary>The filter the last <see cref="MoveNext"/> found, UTF-8.</summary>
        public ReadOnlySpan<byte> Current { get; private set; }

        /// <summary>Steps to the next filter; false after the last.</summary>
        public bool MoveNext()
        {
            if (rest.IsEmpty)
            {
                return false;
            }

            int length = BinaryPrimitives.ReadUInt16BigEndian(rest);
            Current = rest.Slice(2, length);
            rest = rest[(2 + length)..];
            return true;
        }
    }
}
