using Agent.Wire;

namespace Agent.Hub;

/// <summary>When to ask the hub machine about which device: one queue and one timer for all connections.</summary>
/// <remarks>
/// A device has at most one live entry. Its deadline mostly moves away (every packet does that), so the entry stays where
/// it is and the device is asked too early once; only a deadline that comes nearer adds a second entry, and the first is
/// recognised as stale when its turn comes. A timer per connection would cost more than the connection's state.
/// </remarks>
internal sealed class HubDeadlines : IDisposable
{
    private const long SleepMsMax = 3_600_000;

    private readonly TimeProvider time;
    private readonly PriorityQueue<int, long> queue = new();
    private readonly ITimer timer;
    private long[] entryMs;
    private long wakeMs = long.MaxValue;

    /// <param name="time">The clock; moments are <see cref="WireClock.NowMs"/> of it.</param>
    /// <param name="deviceCount">Devices known at the start.</param>
    /// <param name="onWake">Called on a pool thread when a device may be due; asks <see cref="TryTakeDue"/>.</param>
    public HubDeadlines(TimeProvider time, int deviceCount, Action onWake)
    {
        this.time = time;
        entryMs = new long[deviceCount];
        Array.Fill(entryMs, long.MaxValue);
        timer = time.CreateTimer(_ => onWake(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Asks again at <paramref name="deadlineMs"/> or earlier. Call with the hub's lock held.</summary>
    public void Arm(int device, long deadlineMs)
    {
        Grow(device);
        if (deadlineMs < entryMs[device])
        {
            entryMs[device] = deadlineMs;
            queue.Enqueue(device, deadlineMs);
        }

        Wake();
    }

    /// <summary>Takes one device whose entry is due; false when there is none. Call with the hub's lock held.</summary>
    public bool TryTakeDue(long nowMs, out int device)
    {
        while (queue.TryPeek(out device, out long deadlineMs) && deadlineMs <= nowMs)
        {
            queue.Dequeue();
            if (entryMs[device] == deadlineMs)
            {
                entryMs[device] = long.MaxValue;
                return true;
            }
        }

        // The timer has fired to get here and must be set anew, also when its wake-up is unchanged.
        wakeMs = long.MaxValue;
        Wake();
        return false;
    }

    /// <inheritdoc/>
    public void Dispose() => timer.Dispose();

    private void Wake()
    {
        if (!queue.TryPeek(out _, out long deadlineMs) || deadlineMs >= wakeMs)
        {
            return;
        }

        wakeMs = deadlineMs;
        long sleepMs = Math.Clamp(deadlineMs - time.NowMs(), 0, SleepMsMax);
        timer.Change(TimeSpan.FromMilliseconds(sleepMs + 1), Timeout.InfiniteTimeSpan);
    }

    private void Grow(int device)
    {
        int length = entryMs.Length;
        if (device >= length)
        {
            Array.Resize(ref entryMs, Math.Max(device + 1, length * 2));
            Array.Fill(entryMs, long.MaxValue, length, entryMs.Length - length);
        }
    }
}
