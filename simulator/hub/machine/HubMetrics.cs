namespace Agent.Hub;

/// <summary>What a stretch of time held of one metric. All zero = nothing.</summary>
/// <param name="Count">Operations, or looks at a standing figure.</param>
/// <param name="Total">Sum over them.</param>
/// <param name="Min">Smallest.</param>
/// <param name="Max">Largest.</param>
public readonly record struct MetricPoint(long Count, long Total, long Min, long Max)
{
    /// <summary>Total over count; 0 for nothing.</summary>
    public double Average => Count == 0 ? 0 : (double)Total / Count;

    /// <summary>Both together.</summary>
    public MetricPoint And(MetricPoint other) => Count == 0 ? other
        : other.Count == 0 ? this
        : new(Count + other.Count, Total + other.Total, Math.Min(Min, other.Min), Math.Max(Max, other.Max));
}

/// <summary>The hub's figures minute by minute, a day back.</summary>
/// <remarks>
/// A message is counted by many threads at once and must not wait: it adds to a cell of its processor's own stripe and knows no
/// time. <see cref="Advance"/>, told the time, folds the cells into the open minute; what was counted since the call before
/// belongs to the minute that call left open, so a driver that calls every second is at most a second off at a minute's end. For
/// sizes, number and bytes share one cell (24 and 40 bits), so that no reader ever sees one without the other; smallest and
/// largest are kept beside it and touched only when they change.
/// Per-minute counters updated in place, with the clock read for each message, were the other road: a clock read costs more than
/// the count, and every minute's end would need a lock.
/// </remarks>
public sealed class HubMetrics
{
    /// <summary>Minutes kept: a day.</summary>
    public const int MinutesKept = 1440;

    private const long MinuteMs = 60_000;
    private const int SizeBits = 40;
    private const long SizeMask = (1L << SizeBits) - 1;

    // A stripe per processor (a power of two), each a whole number of cache lines.
    private static readonly int StripeCount = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Environment.ProcessorCount);
    private static readonly int StripeLength = (HubMetricTable.Count + 7) / 8 * 8;

    private readonly Lock gate = new();
    private readonly long[] cells = GC.AllocateArray<long>(StripeCount * StripeLength, pinned: true);
    private readonly long[] folded = new long[HubMetricTable.Count];
    private readonly long[] smallest = new long[HubMetricTable.Count];
    private readonly long[] largest = new long[HubMetricTable.Count];
    private readonly MetricPoint[] sums = new MetricPoint[HubMetricTable.Count];
    private readonly long[] levels = new long[HubMetricTable.Count];
    private readonly MetricPoint[]?[] rings = new MetricPoint[HubMetricTable.Count][];
    private readonly long[] slotMinutes = new long[MinutesKept];
    private long openMinute;

    /// <param name="utcMs">Now.</param>
    public HubMetrics(long utcMs)
    {
        Array.Fill(smallest, long.MaxValue);
        Array.Fill(largest, long.MinValue);
        Open(utcMs / MinuteMs);
    }

    /// <summary>Counts operations of a single-point metric. Lock-free, no allocation.</summary>
    public void Count(HubMetric metric, long operations = 1) => Interlocked.Add(ref Cell(metric), operations);

    /// <summary>
    /// Counts one operation of a size metric, 0 to 1,099,511,627,775 bytes. Lock-free, no allocation. Between two calls of
    /// <see cref="Advance"/>: fewer than 16.7 million operations and 1 TB.
    /// </summary>
    public void Measure(HubMetric metric, long bytes)
    {
        bytes = Math.Clamp(bytes, 0, SizeMask);
        Interlocked.Add(ref Cell(metric), (1L << SizeBits) + bytes);
        Lower(ref smallest[(int)metric], bytes);
        Raise(ref largest[(int)metric], bytes);
    }

    /// <summary>Looks at a standing figure: a snapshot metric's value at this moment.</summary>
    public void Observe(HubMetric metric, long value)
    {
        lock (gate)
        {
            levels[(int)metric] = value;
            Add(metric, new MetricPoint(1, value, value, value));
        }
    }

    /// <summary>Gathers what has been counted and opens the minute of this moment. A clock that steps back opens none.</summary>
    public void Advance(long utcMs)
    {
        lock (gate)
        {
            for (int metric = 0; metric < HubMetricTable.Count; metric++)
            {
                Fold((HubMetric)metric);
            }

            if (utcMs / MinuteMs > openMinute)
            {
                Open(utcMs / MinuteMs);
            }
        }
    }

    /// <summary>A metric's minutes from one moment (inclusive) to another (exclusive), all in one; as of the last Advance.</summary>
    public MetricPoint Read(HubMetric metric, long fromUtcMs, long toUtcMs)
    {
        lock (gate)
        {
            MetricPoint point = default;
            long first = Math.Max((fromUtcMs + MinuteMs - 1) / MinuteMs, openMinute - MinutesKept + 1);
            long last = Math.Min((toUtcMs - 1) / MinuteMs, openMinute);
            for (long minute = first; minute <= last && rings[(int)metric] is { } ring; minute++)
            {
                int slot = (int)(minute % MinutesKept);
                point = slotMinutes[slot] == minute ? point.And(ring[slot]) : point;
            }

            return point;
        }
    }

    /// <summary>Since the start: operations of a single-point metric, bytes of a size metric; as of the last Advance.</summary>
    public long Sum(HubMetric metric)
    {
        lock (gate)
        {
            return sums[(int)metric].Total;
        }
    }

    /// <summary>The value a snapshot metric was last seen with.</summary>
    public long Level(HubMetric metric)
    {
        lock (gate)
        {
            return levels[(int)metric];
        }
    }

    private ref long Cell(HubMetric metric) =>
        ref cells[((Thread.GetCurrentProcessorId() & (StripeCount - 1)) * StripeLength) + (int)metric];

    private void Fold(HubMetric metric)
    {
        long sum = 0;
        for (int stripe = 0; stripe < StripeCount; stripe++)
        {
            sum += Volatile.Read(ref cells[(stripe * StripeLength) + (int)metric]);
        }

        // Overflow is meant: the difference is right whenever it is small enough to be one.
        long news = unchecked(sum - folded[(int)metric]);
        folded[(int)metric] = sum;
        if (news == 0)
        {
            return;
        }

        MetricPoint point = new(news, news, 1, 1);
        if (metric.Shape().Kind == HubMetricKind.Size)
        {
            long least = Interlocked.Exchange(ref smallest[(int)metric], long.MaxValue);
            long most = Interlocked.Exchange(ref largest[(int)metric], long.MinValue);
            long count = (long)((ulong)news >> SizeBits);
            long total = news & SizeMask;

            // A size counted but not yet noted as the smallest or largest is the only one then, or will be noted in the next fold.
            long mean = total / count;
            point = new(count, total, Math.Min(least, mean), Math.Max(most, mean));
        }

        sums[(int)metric] = sums[(int)metric].And(point);
        Add(metric, point);
    }

    private void Add(HubMetric metric, MetricPoint point)
    {
        int slot = (int)(openMinute % MinutesKept);
        MetricPoint[] ring = rings[(int)metric] ??= new MetricPoint[MinutesKept];
        ring[slot] = ring[slot].And(point);
    }

    private void Open(long minute)
    {
        openMinute = minute;
        int slot = (int)(minute % MinutesKept);
        slotMinutes[slot] = minute;
        foreach (MetricPoint[]? ring in rings)
        {
            if (ring is not null)
            {
                ring[slot] = default;
            }
        }
    }

    private static void Lower(ref long smallest, long value)
    {
        for (long seen = Volatile.Read(ref smallest); value < seen;)
        {
            long found = Interlocked.CompareExchange(ref smallest, value, seen);
            if (found == seen)
            {
                return;
            }

            seen = found;
        }
    }

    private static void Raise(ref long largest, long value)
    {
        for (long seen = Volatile.Read(ref largest); value > seen;)
        {
            long found = Interlocked.CompareExchange(ref largest, value, seen);
            if (found == seen)
            {
                return;
            }

            seen = found;
        }
    }
}
