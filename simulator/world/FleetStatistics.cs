using Agent.Fleet;
using Agent.Hub;

namespace Agent.World;

/// <summary>Everything counted about one fleet. Shards count for themselves and are merged by addition.</summary>
public sealed class FleetStatistics
{
    private const int PageSeconds = 4096;
    private readonly List<int[]?> connectPages = [];

    public long Connects { get; set; }
    public long Renewals { get; set; }
    public long Drops { get; set; }
    public long Refusals { get; set; }
    public long Heartbeats { get; set; }
    public long MessagesBilled { get; set; }
    public long DownMs { get; set; }
    public long[] ByReason { get; } = new long[256];
    public long[] LogRecords { get; } = new long[LogKinds.Count];
    public Histogram Periods { get; } = new();
    public Histogram Gaps { get; } = new();

    /// <summary>Counts an accepted connection and notes it in the device: the one rule for virtual time and for the wire.</summary>
    /// <param name="device">A device without a connection.</param>
    /// <param name="upAtMs">The moment of the CONNACK at the device, ms.</param>
    public void CountConnect(ref ClientState device, long upAtMs)
    {
        long gapMs = upAtMs - device.EndedAtMs;
        device.UpAfterMs = (uint)Math.Min(gapMs, uint.MaxValue);
        device.Flags |= DeviceFlags.Up;
        Connects++;
        DownMs += gapMs;
        if (device.Has(DeviceFlags.HasEnded))
        {
            Gaps.Add(gapMs);
        }
    }

    /// <summary>Counts a refused attempt.</summary>
    public void CountRefusal(Reason reason)
    {
        Refusals++;
        ByReason[(byte)reason]++;
    }

    /// <summary>
    /// Counts the end of a connection and notes it in the device: the one rule for virtual time and for the wire, so that both
    /// count alike.
    /// </summary>
    /// <param name="device">A device whose connection stood.</param>
    /// <param name="endMs">The moment of the end, ms.</param>
    /// <param name="reason">Why: a renewal is planned, the device's own goodbye is neither, everything else is a drop.</param>
    public void CountEnd(ref ClientState device, long endMs, Reason reason)
    {
        if (device.Has(DeviceFlags.HasEnded))
        {
            Periods.Add(endMs - device.EndedAtMs);
        }

        device.EndedAtMs = endMs;
        device.UpAfterMs = 0;
        device.Flags = (device.Flags | DeviceFlags.HasEnded) & ~DeviceFlags.Up;
        ByReason[(byte)reason]++;
        if (reason == Reason.Renewal)
        {
            Renewals++;
        }
        else if (reason != Reason.ClientDisconnect)
        {
            Drops++;
        }
    }

    /// <summary>Counts a CONNECT that reached the hub, for the busiest second.</summary>
    public void CountConnectPacket(long nowMs)
    {
        int second = (int)(nowMs / 1000);
        int page = second / PageSeconds;
        while (connectPages.Count <= page)
        {
            connectPages.Add(null);
        }

        (connectPages[page] ??= new int[PageSeconds])[second % PageSeconds]++;
    }

    /// <summary>CONNECT packets at the hub in a second.</summary>
    public int ConnectPackets(int second)
    {
        int page = second / PageSeconds;
        return page < connectPages.Count && connectPages[page] is { } counts ? counts[second % PageSeconds] : 0;
    }

    /// <summary>Seconds in which CONNECT packets reached the hub, in order, with their number.</summary>
    public IEnumerable<(int Second, int Count)> ConnectSeconds()
    {
        for (int page = 0; page < connectPages.Count; page++)
        {
            for (int i = 0; i < PageSeconds && connectPages[page] is { } counts; i++)
            {
                if (counts[i] > 0)
                {
                    yield return ((page * PageSeconds) + i, counts[i]);
                }
            }
        }
    }

    /// <summary>The busiest second.</summary>
    public int ConnectsPerSecondMax()
    {
        int max = 0;
        foreach (int[]? page in connectPages)
        {
            foreach (int count in page ?? [])
            {
                max = Math.Max(max, count);
            }
        }

        return max;
    }

    /// <summary>Adds another shard's counts.</summary>
    public void Merge(FleetStatistics other)
    {
        Connects += other.Connects;
        Renewals += other.Renewals;
        Drops += other.Drops;
        Refusals += other.Refusals;
        Heartbeats += other.Heartbeats;
        MessagesBilled += other.MessagesBilled;
        DownMs += other.DownMs;
        Periods.Merge(other.Periods);
        Gaps.Merge(other.Gaps);
        for (int i = 0; i < ByReason.Length; i++)
        {
            ByReason[i] += other.ByReason[i];
        }

        for (int i = 0; i < LogRecords.Length; i++)
        {
            LogRecords[i] += other.LogRecords[i];
        }

        for (int page = 0; page < other.connectPages.Count; page++)
        {
            if (other.connectPages[page] is not { } theirs)
            {
                continue;
            }

            while (connectPages.Count <= page)
            {
                connectPages.Add(null);
            }

            int[] mine = connectPages[page] ??= new int[PageSeconds];
            for (int i = 0; i < mine.Length; i++)
            {
                mine[i] += theirs[i];
            }
        }
    }
}
