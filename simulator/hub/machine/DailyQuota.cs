namespace Agent.Hub;

/// <summary>The messages of a day: what an operation is charged, and whether the day still has them (facts/iothub.md §6).</summary>
/// <remarks>
/// The day ends at 00:00 UTC. Used count and day share one number, so that a message taken at midnight is counted on exactly one
/// day and many threads may ask at once. A clock set back over midnight does not give a spent day anew: the later day stays.
/// </remarks>
public sealed class DailyQuota
{
    private const long DayMs = 86_400_000;
    private const int DayShift = 44; // 17 million million messages a day; days since 1970 fit into the 19 bits above.
    private const long UsedMask = (1L << DayShift) - 1;

    private long state;

    /// <param name="options">Tier and units.</param>
    public DailyQuota(HubOptions options)
    {
        Limit = options.MessagesPerDayLimit;
        BlockBytes = options.Tier == "F1" ? 512 : 4096;
    }

    /// <summary>Messages a day for all units together.</summary>
    public long Limit { get; }

    /// <summary>What counts as one message, bytes: 512 on the free tier, 4,096 on the others.</summary>
    public int BlockBytes { get; }

    /// <summary>What an operation of this size is charged: one message for each block begun, one for an empty one.</summary>
    public long MessagesOf(long bytes) => Math.Max(1, (bytes + BlockBytes - 1) / BlockBytes);

    /// <summary>
    /// What a method call is charged: request and response, each as its own messages; of a device that was not there one message
    /// stands for the response.
    /// </summary>
    public long MessagesOfMethod(long requestBytes, long responseBytes) => MessagesOf(requestBytes) + MessagesOf(responseBytes);

    /// <summary>Takes messages from the day; false, and nothing is taken, when that would exceed it.</summary>
    public bool TryTake(long utcMs, long messages) => TryTake(utcMs, messages, Limit);

    /// <summary>Counts messages whether or not the day has them: for a hub that meters and lets pass.</summary>
    public void Charge(long utcMs, long messages) => TryTake(utcMs, messages, UsedMask);

    /// <summary>Messages used on the day of this moment.</summary>
    public long Used(long utcMs)
    {
        long seen = Volatile.Read(ref state);
        return DayOf(utcMs) > seen >> DayShift ? 0 : seen & UsedMask;
    }

    private bool TryTake(long utcMs, long messages, long limit)
    {
        long day = DayOf(utcMs);
        long seen = Volatile.Read(ref state);
        while (true)
        {
            long from = day > seen >> DayShift ? day << DayShift : seen;
            if ((from & UsedMask) + messages > limit)
            {
                return false;
            }

            long found = Interlocked.CompareExchange(ref state, from + messages, seen);
            if (found == seen)
            {
                return true;
            }

            seen = found;
        }
    }

    private static long DayOf(long utcMs) => Math.Max(0, utcMs / DayMs);
}
