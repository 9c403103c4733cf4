using System.Runtime.InteropServices;

namespace Agent.Service;

/// <summary>Blocks of memory of one size that never move: rows, ids, the index.</summary>
/// <remarks>
/// <para>
/// A random access to hundreds of megabytes in pages of 4 KiB waits for the page tables before it waits for the data: the processor
/// remembers where a few thousand pages are, and there are a hundred thousand. So blocks are cut from larger regions that begin where
/// a page of 2 MiB may begin, and the system is asked for such pages there. Where it has none, or is another system, everything
/// works as before, only slower.
/// </para>
/// <para>
/// Regions double up to 64 blocks, so that a small table stays small. Memory counts only once it is touched: the rest of a region costs
/// nothing but addresses. It is not the collector's, which would keep books about what never moves and never goes.
/// </para>
/// </remarks>
public sealed unsafe partial class RowMemory : IDisposable
{
    private const int LargePageBytes = 2 << 20;
    private const int HugePagesPlease = 14; // MADV_HUGEPAGE
    private const int RegionBlocksMax = 64;

    private readonly int blockBytes;
    private nint[] blocks = new nint[4];
    private nint[] regions = new nint[4];
    private int regionCount;
    private int room;
    private nint next;

    /// <param name="blockBytes">Size of a block in bytes, above 0.</param>
    public RowMemory(int blockBytes) => this.blockBytes = blockBytes;

    /// <summary>The memory is not the collector's.</summary>
    ~RowMemory() => Free();

    /// <summary>How many blocks there are.</summary>
    public int Count { get; private set; }

    /// <summary>Where a block begins.</summary>
    public nint this[long block] => blocks[block];

    /// <summary>Adds a block of zeroes.</summary>
    public void Add()
    {
        if (room == 0)
        {
            room = Math.Clamp(Count, 1, RegionBlocksMax);
            next = (nint)Allocate((nuint)room * (nuint)blockBytes);
            Put(ref regions, regionCount++, next);
        }

        NativeMemory.Clear((void*)next, (nuint)blockBytes);
        Put(ref blocks, Count++, next);
        next += blockBytes;
        room--;
    }

    /// <summary>Memory with anything in it, whole cache lines, on large pages where that can be; for <see cref="Free(void*)"/>.</summary>
    public static void* Allocate(nuint bytes)
    {
        bool isLarge = bytes >= LargePageBytes;
        void* memory = NativeMemory.AlignedAlloc(bytes, isLarge ? LargePageBytes : 64u);
        if (isLarge && OperatingSystem.IsLinux())
        {
            // Only a wish: no answer changes what follows.
            _ = Advise(memory, bytes / LargePageBytes * LargePageBytes, HugePagesPlease);
        }

        return memory;
    }

    /// <summary>Gives memory back.</summary>
    public static void Free(void* memory) => NativeMemory.AlignedFree(memory);

    /// <inheritdoc/>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        for (; regionCount > 0; regionCount--)
        {
            NativeMemory.AlignedFree((void*)regions[regionCount - 1]);
        }
    }

    private static void Put(ref nint[] addresses, int at, nint address)
    {
        if (at == addresses.Length)
        {
            Array.Resize(ref addresses, at * 2);
        }

        addresses[at] = address;
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* address, nuint length, int advice);
}
