namespace Agent.Tests;

/// <summary>What a piece of work allocates.</summary>
/// <remarks>
/// The runtime counts by thread, in blocks of 8 KB: a collection that another test causes in the middle counts the unused rest of a
/// block, and so does the compiler when it replaces the loop under our feet. Neither comes every time and work that allocates does, so
/// the least of a few rounds is the truth. Not chosen: an allowance of bytes, which hides a small allocation in a short loop.
/// </remarks>
internal static class Allocations
{
    private const int RoundsMax = 5;

    /// <summary>Bytes allocated on this thread; the work is done again, up to five times, until it is none.</summary>
    public static long Of(Action work)
    {
        long least = long.MaxValue;
        for (int round = 0; round < RoundsMax && least > 0; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            work();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        return least;
    }
}
