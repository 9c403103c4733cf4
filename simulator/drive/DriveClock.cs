namespace Agent.Drive;

/// <summary>
/// The time of a run on the wire: milliseconds since its start, which is a whole second of UTC, so that a token's expiry is a
/// whole number of seconds after the start as it is in virtual time.
/// </summary>
internal sealed class DriveClock
{
    private readonly TimeProvider time;
    private readonly long startStamp;

    public DriveClock(TimeProvider time)
    {
        this.time = time;
        long utcMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        StartUtcMs = (utcMs / 1000 * 1000) + 1000;
        startStamp = time.GetTimestamp() + ((StartUtcMs - utcMs) * time.TimestampFrequency / 1000);
    }

    /// <summary>Moment 0, ms since 1970.</summary>
    public long StartUtcMs { get; }

    /// <summary>Now; negative until the start.</summary>
    public long NowMs => (long)Math.Floor((time.GetTimestamp() - startStamp) * 1000.0 / time.TimestampFrequency);
}
