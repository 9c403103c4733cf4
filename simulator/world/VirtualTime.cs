using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Agent.World;

// A million devices have a few million things pending: tokens, retries, packets in flight. Whoever holds them decides how
// fast virtual time runs, and the answer is memory order, not comparisons: a heap touches a cache line per level for every
// event, a timing wheel appends to the end of a bucket.
//
// The rule chosen: five levels of 256 buckets, one bucket of the lowest level = one millisecond, which is also the
// resolution of the simulation. So a bucket of the lowest level holds events of one single moment, in the order in which
// they were asked for, and the exact order (moment, then sequence) costs no comparison at all: an event never moves to a
// lower level before every event asked for earlier and due at the same moment has moved too. Buckets are chains of small
// chunks in slabs that never move, recycled through a free list: nothing is allocated per event.
//
// Not chosen: a heap (3 to 6 times slower at a million), an intrusive list through the devices (a cache miss per event),
// microseconds (the machines and the SDKs count in milliseconds).

/// <summary>Something that will happen to a device: 12 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public readonly struct Pending
{
    private readonly ulong bits;

    /// <param name="atMs">Moment, 0 .. 2^40-1 ms (34 years).</param>
    /// <param name="device">Index of the device, or whatever the kind says.</param>
    /// <param name="kind">What happens.</param>
    /// <param name="link">Low 16 bits of the connection it belongs to.</param>
    public Pending(long atMs, int device, byte kind, ushort link)
    {
        bits = ((ulong)atMs << 24) | ((ulong)link << 8) | kind;
        Device = device;
    }

    public int Device { get; }

    public long AtMs => (long)(bits >> 24);

    public ushort Link => (ushort)(bits >> 8);

    public byte Kind => (byte)bits;
}

/// <summary>The one ordered queue of a virtual world; ties are broken by the order in which events were asked for.</summary>
public sealed class VirtualTime
{
    /// <summary>Last moment that can be asked for: 34 years.</summary>
    public const long MaxMs = (1L << 40) - 1;

    private const int Levels = 5;
    private const int BucketsPerLevel = 256;
    private const int EventsPerChunk = 31;
    private const int ChunksPerSlab = 512;

    private readonly Bucket[] buckets = new Bucket[Levels * BucketsPerLevel];
    private readonly ulong[] occupied = new ulong[Levels * BucketsPerLevel / 64];
    private readonly List<Chunk[]> slabs = [];
    private Chunk[][] slabTable = [];
    private readonly Action<int>? near;
    private int freeChunk = -1;
    private int drainChunk = -1;
    private int drainIndex;

    /// <param name="near">
    /// Told the device of each event that will be due within a quarter of a second: time to fetch its state into the cache.
    /// </param>
    public VirtualTime(Action<int>? near = null)
    {
        this.near = near;
        Array.Fill(buckets, new Bucket { Head = -1, Tail = -1 });
    }

    /// <summary>The present moment, ms since the start. Never goes back.</summary>
    public long NowMs { get; private set; }

    /// <summary>Events pending now.</summary>
    public long Count { get; private set; }

    /// <summary>Most events pending at any moment so far.</summary>
    public long CountMax { get; private set; }

    /// <summary>Bytes held for pending events, free chunks included.</summary>
    public long Bytes => (long)slabs.Count * ChunksPerSlab * Unsafe.SizeOf<Chunk>();

    /// <summary>
    /// Until when a driver in real time may sleep: the moment of the next event or an earlier one; long.MaxValue when there is
    /// none.
    /// </summary>
    public long WakeMs
    {
        get
        {
            int slot = (int)(NowMs & 255);
            if (buckets[slot].Head >= 0)
            {
                return NowMs;
            }

            int found = slot == 255 ? -1 : NextOccupied(0, slot + 1);
            long wakeMs = found >= 0 ? (NowMs & ~255L) | (uint)found : NextHigherMs();
            return wakeMs < 0 ? long.MaxValue : wakeMs;
        }
    }

    /// <summary>Asks for an event. A moment in the past is taken as now.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void At(long atMs, int device, byte kind, ushort link)
    {
        if (atMs < NowMs)
        {
            atMs = NowMs;
        }
        else if (atMs > MaxMs)
        {
            return; // Beyond the end of every possible run.
        }

        if (++Count > CountMax)
        {
            CountMax = Count;
        }

        Append(BucketOf(atMs), new Pending(atMs, device, kind, link));
    }

    /// <summary>Takes the next event at or before <paramref name="untilMs"/> and moves the present to it.</summary>
    public bool TryNext(long untilMs, out Pending next)
    {
        while (true)
        {
            ref Bucket bucket = ref buckets[(int)(NowMs & 255)];
            if (bucket.Head >= 0)
            {
                if (drainChunk != bucket.Head)
                {
                    drainChunk = bucket.Head;
                    drainIndex = 0;
                }

                ref Chunk chunk = ref ChunkAt(drainChunk);
                if (drainIndex < chunk.Count)
                {
                    next = chunk.Events[drainIndex++];
                    Count--;
                    return true;
                }

                ReleaseHead(ref bucket, ref chunk);
                continue;
            }

            ClearOccupied((int)(NowMs & 255));
            if (!Advance(untilMs))
            {
                next = default;
                return false;
            }
        }
    }

    // Moves the present to the next occupied millisecond, cascading higher levels on the way. False: none by then.
    private bool Advance(long untilMs)
    {
        while (true)
        {
            int slot = (int)(NowMs & 255);
            int found = slot == 255 ? -1 : NextOccupied(0, slot + 1);
            if (found >= 0)
            {
                long atMs = (NowMs & ~255L) | (uint)found;
                if (atMs > untilMs)
                {
                    return false;
                }

                NowMs = atMs;
                return true;
            }

            // The lowest level is empty up to its end: jump to the next occupied bucket of a higher level.
            long jumpMs = NextHigherMs();
            if (jumpMs < 0 || jumpMs > untilMs)
            {
                return false;
            }

            NowMs = jumpMs;
            Cascade();
            if (buckets[(int)(NowMs & 255)].Head >= 0)
            {
                return true;
            }
        }
    }

    // Start of the first occupied bucket above the lowest level; -1 when everything is empty.
    private long NextHigherMs()
    {
        for (int level = 1; level < Levels; level++)
        {
            int shift = level * 8;
            int slot = (int)((NowMs >> shift) & 255);
            int found = slot == 255 ? -1 : NextOccupied(level, slot + 1);
            if (found >= 0)
            {
                return ((NowMs >> (shift + 8)) << (shift + 8)) | ((long)found << shift);
            }
        }

        return -1;
    }

    // The present just entered a new bucket of one or more levels: spread those buckets over the levels below, highest first.
    private void Cascade()
    {
        for (int level = Levels - 1; level >= 1; level--)
        {
            int shift = level * 8;
            if ((NowMs & ((1L << shift) - 1)) != 0)
            {
                continue;
            }

            int index = (level * BucketsPerLevel) + (int)((NowMs >> shift) & 255);
            ref Bucket bucket = ref buckets[index];
            int chunkIndex = bucket.Head;
            bucket.Head = bucket.Tail = -1;
            ClearOccupied(index);
            while (chunkIndex >= 0)
            {
                ref Chunk chunk = ref ChunkAt(chunkIndex);
                for (int i = 0; i < chunk.Count; i++)
                {
                    Pending moved = chunk.Events[i];
                    Append(BucketOf(moved.AtMs), moved);
                    if (level == 1)
                    {
                        near?.Invoke(moved.Device);
                    }
                }

                int following = chunk.Next;
                chunk.Next = freeChunk;
                freeChunk = chunkIndex;
                chunkIndex = following;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int BucketOf(long atMs)
    {
        // The highest byte in which the moment differs from the present decides the level.
        ulong difference = (ulong)(atMs ^ NowMs);
        int level = difference == 0 ? 0 : BitOperations.Log2(difference) >> 3;
        return (level * BucketsPerLevel) + (int)((atMs >> (level * 8)) & 255);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Append(int index, Pending pending)
    {
        ref Bucket bucket = ref buckets[index];
        if (bucket.Tail >= 0)
        {
            ref Chunk tail = ref ChunkAt(bucket.Tail);
            if (tail.Count < EventsPerChunk)
            {
                tail.Events[tail.Count++] = pending;
                return;
            }
        }

        AppendChunk(ref bucket, index, pending);
    }

    private void AppendChunk(ref Bucket bucket, int index, Pending pending)
    {
        int chunkIndex = TakeChunk();
        ref Chunk chunk = ref ChunkAt(chunkIndex);
        chunk.Next = -1;
        chunk.Count = 1;
        chunk.Events[0] = pending;
        if (bucket.Tail >= 0)
        {
            ChunkAt(bucket.Tail).Next = chunkIndex;
        }
        else
        {
            bucket.Head = chunkIndex;
            occupied[index >> 6] |= 1UL << (index & 63);
        }

        bucket.Tail = chunkIndex;
    }

    private void ReleaseHead(ref Bucket bucket, ref Chunk chunk)
    {
        int following = chunk.Next;
        chunk.Next = freeChunk;
        freeChunk = bucket.Head;
        bucket.Head = following;
        if (following < 0)
        {
            bucket.Tail = -1;
        }

        drainChunk = -1;
    }

    private int TakeChunk()
    {
        if (freeChunk < 0)
        {
            int first = slabs.Count * ChunksPerSlab;
            var slab = new Chunk[ChunksPerSlab];
            for (int i = 0; i < ChunksPerSlab; i++)
            {
                slab[i].Next = i + 1 < ChunksPerSlab ? first + i + 1 : -1;
            }

            slabs.Add(slab);
            slabTable = [.. slabs];
            freeChunk = first;
        }

        int taken = freeChunk;
        freeChunk = ChunkAt(taken).Next;
        return taken;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref Chunk ChunkAt(int index) => ref slabTable[index / ChunksPerSlab][index % ChunksPerSlab];

    private int NextOccupied(int level, int from)
    {
        int word = ((level * BucketsPerLevel) + from) >> 6;
        int endWord = ((level + 1) * BucketsPerLevel) >> 6;
        ulong bits = occupied[word] & (ulong.MaxValue << (from & 63));
        while (true)
        {
            if (bits != 0)
            {
                return (word << 6) + BitOperations.TrailingZeroCount(bits) - (level * BucketsPerLevel);
            }

            if (++word == endWord)
            {
                return -1;
            }

            bits = occupied[word];
        }
    }

    private void ClearOccupied(int index) => occupied[index >> 6] &= ~(1UL << (index & 63));

    private struct Bucket
    {
        public int Head;
        public int Tail;
    }

    private struct Chunk
    {
        public int Next;
        public int Count;
        public EventBlock Events;
    }

    [InlineArray(EventsPerChunk)]
    private struct EventBlock
    {
        private Pending first;
    }
}
