namespace Agent.Wire;

/// <summary>The monotonic clock of this project's sockets.</summary>
public static class WireClock
{
    /// <summary>Milliseconds since an arbitrary moment; never steps back. Compare only values of one provider.</summary>
    public static long NowMs(this TimeProvider time) =>
        (long)((UInt128)time.GetTimestamp() * 1000 / (ulong)time.TimestampFrequency);
}
