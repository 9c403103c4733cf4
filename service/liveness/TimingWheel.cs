namespace Agent.Service;

/// <summary>Which devices to look at when: three wheels of buckets, a quarter of a second, a minute and 4.5 hours wide.</summary>
/// <remarks>
/// A heartbeat moves a deadline; moving an entry for each would cost more than the heartbeat. So a heartbeat moves nothing: a device is
/// looked at when its entry comes due, and is then put where its deadline is by now. That costs about one look per device and interval,
/// whatever the size of the fleet, and none for those whose time has not come. When a wide bucket comes near, its devices
/// are looked at once more, because only the look knows their exact deadline. A deadline that moved nearer is the exception and gets
/// a second entry in a heap.
/// The entries are the rows themselves, linked through <see cref="Hot.WheelNext"/>: 4 bytes each.
/// </remarks>
public sealed class TimingWheel(DeviceTable table)
{
    /// <summary>Width of the finest bucket.</summary>
    public const long TickMs = 250;

    private const int Bits = 8;
    private const int Buckets = 1 << Bits;
    private const int Wheels = 3;
    private const int EarlyMin = 65_536;

    private readonly int[][] wheels = [.. Enumerable.Range(0, Wheels).Select(_ => NewBuckets())];
    private readonly PriorityQueue<int, long> early = new();
    private long tick;
    private int wheel = -1;
    private int draining = -1;
    private int earlyMax = EarlyMin;

    /// <summary>Where time stands at the beginning.</summary>
    public void Start(long nowMs) => tick = nowMs / TickMs;

    /// <summary>Puts a device that is in no bucket where it will come up at that moment, a quarter of a second later, or earlier.</summary>
    public void Add(int row, ref Hot hot, long atMs)
    {
        long at = Math.Max(tick + 1, (atMs + TickMs - 1) / TickMs);
        int level = 0;
        while (level < Wheels - 1 && (at >> (level * Bits)) - (tick >> (level * Bits)) >= Buckets)
        {
            level++;
        }

        long place = Math.Min(at >> (level * Bits), (tick >> (level * Bits)) + Buckets - 1);
        ref int head = ref wheels[level][place & (Buckets - 1)];
        hot.WheelNext = head;
        hot.Set(RowFlags.InWheel, true);
        head = row;
    }

    /// <summary>A second entry for a device whose deadline moved nearer.</summary>
    public void AddEarly(int row, long atMs)
    {
        if (early.Count >= earlyMax)
        {
            DropRepetitions();
        }

        early.Enqueue(row, atMs);
    }

    /// <summary>Takes a second entry that is due.</summary>
    public bool TryTakeEarly(long nowMs, out int row)
    {
        row = -1;
        return early.TryPeek(out _, out long atMs) && atMs <= nowMs && early.TryDequeue(out row, out _);
    }

    /// <summary>Takes a device whose entry is due; it is in no bucket then.</summary>
    public bool TryTake(long nowMs, out int row)
    {
        while (draining < 0)
        {
            if (wheel <= 0)
            {
                if ((tick + 1) * TickMs > nowMs)
                {
                    row = -1;
                    return false;
                }

                tick++;
                wheel = Wheels;
            }

            wheel--;
            if ((tick & ((1L << (wheel * Bits)) - 1)) == 0)
            {
                ref int head = ref wheels[wheel][(tick >> (wheel * Bits)) & (Buckets - 1)];
                draining = head;
                head = -1;
            }
        }

        row = draining;
        ref Hot hot = ref table.Hot(row);
        draining = hot.WheelNext;
        table.FetchWhole(draining);
        hot.WheelNext = -1;
        hot.Set(RowFlags.InWheel, false);
        return true;
    }

    // A device that keeps changing its mind would fill the heap; of each, only the earliest entry is needed.
    private void DropRepetitions()
    {
        var earliest = new Dictionary<int, long>();
        foreach ((int row, long atMs) in early.UnorderedItems)
        {
            earliest[row] = Math.Min(atMs, earliest.GetValueOrDefault(row, long.MaxValue));
        }

        early.Clear();
        early.EnqueueRange(earliest.Select(entry => (entry.Key, entry.Value)));
        earlyMax = Math.Max(EarlyMin, early.Count * 2);
    }

    private static int[] NewBuckets()
    {
        int[] buckets = new int[Buckets];
        Array.Fill(buckets, -1);
        return buckets;
    }
}
