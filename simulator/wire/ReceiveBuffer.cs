using System.Buffers;

namespace Agent.Wire;

// What a peer may make us hold: nothing while it is silent between packets, the bytes of a partial packet and at most as
// much again while it is inside one. The buffer grows by doubling as bytes arrive, never by a length the peer announced,
// and stops growing where the largest packet it may send now ends.

/// <summary>Received bytes that are not a whole packet yet, in a rented array that exists only while it is needed.</summary>
internal struct ReceiveBuffer
{
    /// <summary>One TLS record.</summary>
    public const int ReadBytes = 16 * 1024;

    private const int SmallBytes = 256;

    private byte[]? bytes;
    private int held;

    /// <summary>Before waiting: gives the array back, or moves the little that is held into a little one.</summary>
    public void Rest()
    {
        if (bytes is null || (held > 0 && bytes.Length <= Math.Max(SmallBytes, held * 4)))
        {
            return;
        }

        byte[]? small = null;
        if (held > 0)
        {
            small = ArrayPool<byte>.Shared.Rent(Math.Max(SmallBytes, held));
            bytes.AsSpan(0, held).CopyTo(small);
        }

        ArrayPool<byte>.Shared.Return(bytes);
        bytes = small;
    }

    /// <summary>Before reading: room for as much again as is held, and at least one TLS record.</summary>
    /// <param name="packetBytesMax">Beyond one record, room for more than this is not asked for.</param>
    public Memory<byte> Room(int packetBytesMax)
    {
        const int record = ReadBytes - SmallBytes;
        int wanted = Math.Max(held + record, Math.Min(held * 2, packetBytesMax));
        if (bytes is null || bytes.Length < wanted)
        {
            byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(ReadBytes, wanted));
            if (bytes is not null)
            {
                bytes.AsSpan(0, held).CopyTo(larger);
                ArrayPool<byte>.Shared.Return(bytes);
            }

            bytes = larger;
        }

        return bytes.AsMemory(held);
    }

    /// <summary>Hands what has come, with <paramref name="count"/> new bytes, to the session and keeps what it leaves.</summary>
    public void Feed(Session session, int count)
    {
        held += count;
        int used = session.Feed(bytes.AsSpan(0, held));
        held -= used;
        if (held > 0 && used > 0)
        {
            bytes.AsSpan(used, held).CopyTo(bytes);
        }
    }

    /// <summary>At the end: gives the array back.</summary>
    public void Free()
    {
        if (bytes is not null)
        {
            ArrayPool<byte>.Shared.Return(bytes);
            bytes = null;
            held = 0;
        }
    }
}
