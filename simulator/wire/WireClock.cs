namespace Agent.Wire;

/// <summary>The monotonic clock of this project's sockets.</summary>
public static class WireClock
{
    /// <summary>Milliseconds since an arbitrary moment; never steps back. Compare only values of one provider.</summary>
    public static long NowMs(this TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(time);
        (long perMs, long rest) = Math.DivRem(time.TimestampFrequency, 1000);
        return rest == 0
            ? time.GetTimestamp() / perMs // Every packet asks; a division of 128 bits would be the dearest part of it.
            : (long)((UInt128)time.GetTimestamp() * 1000 / (ulong)time.TimestampFrequency);
    }
}
