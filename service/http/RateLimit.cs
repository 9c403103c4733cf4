namespace Agent.Service;

/// <summary>So many a second and no more: a token bucket that holds one second.</summary>
/// <param name="perSecond">1 or more.</param>
/// <param name="time">The clock.</param>
public sealed class RateLimit(int perSecond, TimeProvider time)
{
    private readonly Lock gate = new();
    private double tokens = perSecond;
    private long filledAt = time.GetTimestamp();

    /// <summary>Whether one more fits now.</summary>
    public bool TryTake()
    {
        lock (gate)
        {
            long now = time.GetTimestamp();
            tokens = Math.Min(perSecond, tokens + (time.GetElapsedTime(filledAt, now).TotalSeconds * perSecond));
            filledAt = now;
            if (tokens < 1)
            {
                return false;
            }

            tokens--;
            return true;
        }
    }
}
