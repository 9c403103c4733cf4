namespace Agent.Hub;

/// <summary>What a throttle answers.</summary>
/// <param name="IsAccepted">False: 429, or on MQTT the end of the connection.</param>
/// <param name="WaitMs">
/// Accepted: how long the operation waits in the queue, 0 = not at all. Refused: how long until one like it would be accepted.
/// </param>
public readonly record struct ThrottleVerdict(bool IsAccepted, long WaitMs);

/// <summary>One rate limit with traffic shaping: bursts are let through, then queued, then refused (facts/iothub.md §6).</summary>
/// <remarks>
/// Rule: a bucket that refills with the rate and may go below zero. While it holds something, an operation passes at once; below
/// zero it is as deep as the queue is long, so its depth says how long the newcomer waits; at the queue's end it is refused, and a
/// refused operation costs nothing. The bucket is one number, the moment at which it would be empty, in units of which one
/// operation takes <see cref="UnitsPerOperation"/> and one millisecond as many as the rate per minute: whole numbers, so the same
/// calls give the same answers everywhere, and one compare-and-swap, so many threads may ask. A list of waiting operations was the
/// other road: it costs memory per operation and would have to be drained by somebody.
/// </remarks>
public sealed class Throttle
{
    private const long UnitsPerOperation = 60_000;

    private readonly long perMinute;
    private readonly long burstUnits;
    private readonly long queueUnits;

    /// <summary>Far enough in the past for a full bucket, near enough for arithmetic.</summary>
    private long emptyAt = long.MinValue / 4;

    /// <param name="perMinute">Operations a minute, 1 or more.</param>
    /// <param name="burstMs">What an idle throttle lets through at once: this long's worth of operations, at least one.</param>
    /// <param name="queueMs">How long an operation may have to wait before it is refused instead.</param>
    public Throttle(long perMinute, long burstMs, long queueMs)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(perMinute, 1);
        this.perMinute = perMinute;
        burstUnits = Math.Max(burstMs * perMinute, UnitsPerOperation);
        queueUnits = queueMs * perMinute;
    }

    /// <summary>Asks for an operation that counts as <paramref name="count"/>. Safe from any thread.</summary>
    public ThrottleVerdict Take(long nowMs, long count = 1)
    {
        long now = nowMs * perMinute;
        long seen = Volatile.Read(ref emptyAt);
        while (true)
        {
            long next = Math.Max(seen, now - burstUnits) + (count * UnitsPerOperation);
            long behind = next - now;
            if (behind > queueUnits)
            {
                return new ThrottleVerdict(false, MsOf(behind - queueUnits));
            }

            long found = Interlocked.CompareExchange(ref emptyAt, next, seen);
            if (found == seen)
            {
                return new ThrottleVerdict(true, behind <= 0 ? 0 : MsOf(behind));
            }

            seen = found;
        }
    }

    private long MsOf(long units) => (units + perMinute - 1) / perMinute;
}
