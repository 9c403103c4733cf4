namespace Agent.Service;

/// <summary>How many devices have announced a renewal for each ten seconds of the next day.</summary>
/// <remarks>
/// Every heartbeat repeats its device's plan, so a repetition must not count twice: the old plan is taken out before the new one goes in,
/// and both are one addition in a ring.
/// </remarks>
public sealed class RenewalForecast
{
    /// <summary>Width of a bucket.</summary>
    public const long BucketMs = 10_000;

    private const int Buckets = 24 * 360;

    private readonly int[] counts = new int[Buckets];
    private long first;

    /// <summary>Moves on: what lies in the past is forgotten.</summary>
    public void MoveTo(long nowMs)
    {
        long now = nowMs / BucketMs;
        if (now - first >= Buckets)
        {
            Array.Clear(counts);
            first = now;
        }

        for (; first < now; first++)
        {
            counts[first % Buckets] = 0;
        }
    }

    /// <summary>A device's plan changed; 0 = none.</summary>
    public void Change(long oldMs, long newMs)
    {
        long oldBucket = oldMs / BucketMs;
        long newBucket = newMs / BucketMs;
        if (oldBucket == newBucket)
        {
            return;
        }

        if (oldBucket >= first && oldBucket < first + Buckets && counts[oldBucket % Buckets] > 0)
        {
            counts[oldBucket % Buckets]--;
        }

        if (newBucket >= first && newBucket < first + Buckets)
        {
            counts[newBucket % Buckets]++;
        }
    }

    /// <summary>The fullest bucket of the next so many milliseconds: when it begins and how many devices it holds.</summary>
    public (long AtMs, int Devices) Peak(long withinMs)
    {
        (long AtMs, int Devices) peak = (0, 0);
        for (long bucket = first; bucket < first + Math.Min(Buckets, withinMs / BucketMs); bucket++)
        {
            int count = counts[bucket % Buckets];
            peak = count > peak.Devices ? (bucket * BucketMs, count) : peak;
        }

        return peak;
    }
}
