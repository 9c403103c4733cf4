using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text;

namespace Agent.Service;

/// <summary>
/// Everything that is kept per device: rows 0, 1, 2 … in order of first sight, found by their ids.
/// </summary>
/// <remarks>
/// <para>
/// A dictionary of strings costs about 100 bytes a device before anything is known about it. Here a device has 40 bytes that a
/// heartbeat touches, 32 that connection events touch, its id in an arena of bytes, and 5 to 11 bytes in an open-addressed table of
/// row numbers: 95 for ids of 16 characters. Rows and ids lie in blocks that never move, so that growing copies nothing and a
/// snapshot can be taken block by block. Nothing is ever removed, so the table needs no tombstones; a retired device keeps its row.
/// </para>
/// <para>
/// A random access to ten million devices waits for memory three times: index, row, id. <see cref="Find(ReadOnlySpan{byte}, ulong)"/>
/// waits; whoever has many ids at hand calls the three <c>Fetch</c> methods for all of them first and lets the waits overlap.
/// </para>
/// <para>Not safe for several threads, except that rows below a count once read may be copied by another thread at any time.</para>
/// </remarks>
public sealed unsafe class DeviceTable
{
    /// <summary>Most devices: a slot of the index has 24 bits for the row.</summary>
    public const int DevicesMax = 16_000_000;

    /// <summary>Rows of a block.</summary>
    public const int BlockRows = 1 << BlockBits;

    /// <summary>Bytes of a block of ids.</summary>
    public const int ArenaBlockBytes = 1 << ArenaBits;

    private const int BlockBits = 16;
    private const int ArenaBits = 20;
    private const uint RowMask = (1u << 24) - 1;

    private readonly ulong seed;
    // Whole cache lines, so that a row of 40 bytes lies on two of them as seldom as it can.
    private readonly RowMemory hot = new(BlockRows * sizeof(Hot));
    private readonly RowMemory cold = new(BlockRows * sizeof(Cold));
    private readonly RowMemory arena = new(ArenaBlockBytes);
    private uint* slots;
    private int mask;

    /// <param name="seed">For the index; any number, kept secret from those who choose ids.</param>
    public DeviceTable(ulong seed)
    {
        this.seed = seed;
        NewSlots(1024);
    }

    /// <summary>The memory is not the collector's.</summary>
    ~DeviceTable()
    {
        RowMemory.Free(slots);
    }

    /// <summary>Devices known.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes of the arena that are used, gaps at the ends of blocks included.</summary>
    public long ArenaBytes { get; private set; }

    /// <summary>Bytes held for all devices.</summary>
    public long Bytes =>
        ((long)hot.Count * BlockRows * (sizeof(Hot) + sizeof(Cold))) + ((long)arena.Count * ArenaBlockBytes) + ((mask + 1) * 4L);

    /// <summary>The part of a row that heartbeats touch.</summary>
    public ref Hot Hot(int row) => ref ((Hot*)hot[row >> BlockBits])[row & (BlockRows - 1)];

    /// <summary>The part of a row that connection events touch.</summary>
    public ref Cold Cold(int row) => ref ((Cold*)cold[row >> BlockBits])[row & (BlockRows - 1)];

    /// <summary>The id of a row as bytes.</summary>
    public ReadOnlySpan<byte> IdBytes(int row)
    {
        ref Hot known = ref Hot(row);
        return new ReadOnlySpan<byte>((byte*)arena[known.IdOffset >> ArenaBits] + (known.IdOffset & (ArenaBlockBytes - 1)), known.IdLength);
    }

    /// <summary>The id of a row.</summary>
    public string Id(int row) => Encoding.ASCII.GetString(IdBytes(row));

    /// <summary>The number an id is found by.</summary>
    public ulong HashOf(ReadOnlySpan<byte> id) => DeviceIds.Hash(id, seed);

    /// <summary>The row of an id, or -1.</summary>
    public int Find(ReadOnlySpan<byte> id) => Find(id, HashOf(id));

    /// <summary>The row of an id whose hash is known, or -1.</summary>
    public int Find(ReadOnlySpan<byte> id, ulong hash)
    {
        uint tag = (uint)(hash >> 32) & ~RowMask;
        int slot = (int)hash & mask;
        while (slots[slot] is not 0 and var found)
        {
            if ((found & ~RowMask) == tag && IdBytes((int)(found & RowMask) - 1).SequenceEqual(id))
            {
                return (int)(found & RowMask) - 1;
            }

            slot = (slot + 1) & mask;
        }

        return -1;
    }

    /// <summary>Adds a valid id that <see cref="Find(ReadOnlySpan{byte})"/> does not find, and gives its row.</summary>
    /// <exception cref="InvalidOperationException">There are <see cref="DevicesMax"/> devices already; the caller checks.</exception>
    public int Add(ReadOnlySpan<byte> id, ulong hash)
    {
        if (Count == DevicesMax)
        {
            throw new InvalidOperationException("the device table is full; the caller checks for room first");
        }

        if ((Count & (BlockRows - 1)) == 0)
        {
            hot.Add();
            cold.Add();
        }

        int row = Count++;
        Hot(row) = Service.Hot.New(Append(id), id.Length);
        if (Count * 4L > (mask + 1) * 3L)
        {
            Grow();
        }
        else
        {
            Insert(row, hash);
        }

        return row;
    }

    /// <summary>First step of three: asks memory for the index entry of an id.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void FetchSlot(ulong hash)
    {
        if (Sse.IsSupported)
        {
            Sse.Prefetch0(slots + ((int)hash & mask));
        }
    }

    /// <summary>Second step: reads the index entry and asks for the row it names first, -1 when the id is new for certain.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int FetchRow(ulong hash)
    {
        uint tag = (uint)(hash >> 32) & ~RowMask;
        int slot = (int)hash & mask;
        while (slots[slot] is not 0 and var found)
        {
            if ((found & ~RowMask) == tag)
            {
                int row = (int)(found & RowMask) - 1;
                Fetch(row);
                return row;
            }

            slot = (slot + 1) & mask;
        }

        return -1;
    }

    /// <summary>Third step: asks for the id of a row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void FetchId(int row)
    {
        if (row >= 0 && Sse.IsSupported)
        {
            uint offset = Hot(row).IdOffset;
            Sse.Prefetch0((byte*)arena[offset >> ArenaBits] + (offset & (ArenaBlockBytes - 1)));
        }
    }

    /// <summary>Asks for a row that will be touched soon; -1 asks for nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Fetch(int row)
    {
        if (row >= 0 && Sse.IsSupported)
        {
            byte* at = (byte*)((Hot*)hot[row >> BlockBits] + (row & (BlockRows - 1)));
            Sse.Prefetch0(at);
            Sse.Prefetch0(at + sizeof(Hot) - 1);
        }
    }

    /// <summary>Asks for a row and for what connection events touch of it; -1 asks for nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void FetchWhole(int row)
    {
        Fetch(row);
        if (row >= 0 && Sse.IsSupported)
        {
            Sse.Prefetch0((byte*)((Cold*)cold[row >> BlockBits] + (row & (BlockRows - 1))));
        }
    }

    /// <summary>Whole blocks of rows as bytes, for writing and reading a snapshot.</summary>
    public (nint Hot, nint Cold) Block(int block) => (hot[block], cold[block]);

    /// <summary>One block of ids as bytes.</summary>
    public nint Arena(int block) => arena[block];

    /// <summary>Makes room for rows and ids that will be read into the blocks; then <see cref="Index"/> finds them.</summary>
    public void Reserve(int count, long arenaBytes)
    {
        while (hot.Count * (long)BlockRows < count)
        {
            hot.Add();
            cold.Add();
        }

        while (arena.Count * (long)ArenaBlockBytes < arenaBytes)
        {
            arena.Add();
        }

        Count = count;
        ArenaBytes = arenaBytes;
    }

    /// <summary>Whether a row's id lies within the arena: what was read from a file is checked once before it is used.</summary>
    public bool IsIdInside(int row)
    {
        ref Hot known = ref Hot(row);
        return known.IdOffset + (long)known.IdLength <= ArenaBytes
            && known.IdOffset >> ArenaBits == (known.IdOffset + known.IdLength - 1) >> ArenaBits;
    }

    /// <summary>Builds the index anew from rows and ids.</summary>
    public void Index()
    {
        int size = mask + 1;
        while (Count * 4L > size * 3L)
        {
            size *= 2;
        }

        Fill(size);
    }

    private void Grow() => Fill((mask + 1) * 2);

    private void Fill(int size)
    {
        NewSlots(size);
        const int Ahead = 16;
        Span<ulong> hashes = stackalloc ulong[Ahead];
        for (int row = 0; row < Count + Ahead; row++)
        {
            if (row >= Ahead)
            {
                Insert(row - Ahead, hashes[row % Ahead]);
            }

            if (row < Count)
            {
                hashes[row % Ahead] = HashOf(IdBytes(row));
                FetchSlot(hashes[row % Ahead]);
            }
        }
    }

    // Not an array: the one before a doubling is half as large as the table is worth, and goes back to the system at once.
    private void NewSlots(int size)
    {
        RowMemory.Free(slots);
        slots = (uint*)RowMemory.Allocate((nuint)size * sizeof(uint));
        NativeMemory.Clear(slots, (nuint)size * sizeof(uint));
        mask = size - 1;
    }

    private void Insert(int row, ulong hash)
    {
        int slot = (int)hash & mask;
        while (slots[slot] != 0)
        {
            slot = (slot + 1) & mask;
        }

        slots[slot] = ((uint)(hash >> 32) & ~RowMask) | (uint)(row + 1);
    }

    private uint Append(ReadOnlySpan<byte> id)
    {
        if (arena.Count == 0 || (ArenaBytes & (ArenaBlockBytes - 1)) + id.Length > ArenaBlockBytes
            || ArenaBytes == (long)arena.Count * ArenaBlockBytes)
        {
            ArenaBytes = (long)arena.Count * ArenaBlockBytes;
            arena.Add();
        }

        uint offset = (uint)ArenaBytes;
        id.CopyTo(new Span<byte>((byte*)arena[offset >> ArenaBits] + (offset & (ArenaBlockBytes - 1)), id.Length));
        ArenaBytes += id.Length;
        return offset;
    }
}
