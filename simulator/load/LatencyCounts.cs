using System.Numerics;

namespace Agent.Load;

// Counted from several threads at once, at every acknowledgement: one interlocked addition, no lock, no growth. A bucket is at
// most 1/64 of its value wide, which is finer than two runs of a load test ever agree; the shards of a run add up exactly.

/// <summary>Counts lengths of time in microseconds, from any thread.</summary>
public sealed class LatencyCounts
{
    private const int SubBits = 7;
    private const int Octaves = 32;

    private readonly long[] counts = new long[Octaves << SubBits];

    /// <summary>How many were added.</summary>
    public long Count => counts.Sum();

    /// <summary>Adds one length, µs; negative ones count as 0, more than half an hour as that.</summary>
    public void Add(long micros) => Interlocked.Increment(ref counts[Locate(micros)]);

    /// <summary>Adds what another one holds.</summary>
    public void Merge(LatencyCounts other) => Merge(other.Pairs());

    /// <summary>Adds what <see cref="Pairs"/> of another one gave.</summary>
    public void Merge(IEnumerable<long[]> pairs)
    {
        foreach (long[] pair in pairs)
        {
            Interlocked.Add(ref counts[Math.Clamp(pair[0], 0, counts.Length - 1)], pair[1]);
        }
    }

    /// <summary>The buckets that are not empty: number and count.</summary>
    public IEnumerable<long[]> Pairs()
    {
        for (int bucket = 0; bucket < counts.Length; bucket++)
        {
            if (counts[bucket] > 0)
            {
                yield return [bucket, counts[bucket]];
            }
        }
    }

    /// <summary>The length, ms, which the given share (0 to 1) of all does not exceed; 0 when there are none.</summary>
    public double PercentileMs(double share)
    {
        long rank = Math.Max(1, (long)Math.Ceiling(share * Count));
        for (int bucket = 0; bucket < counts.Length; bucket++)
        {
            rank -= counts[bucket];
            if (rank <= 0)
            {
                return UpperMicros(bucket) / 1000.0;
            }
        }

        return 0;
    }

    private static int Locate(long micros)
    {
        ulong value = (ulong)Math.Clamp(micros, 0, int.MaxValue);
        int octave = Math.Max(0, 64 - BitOperations.LeadingZeroCount(value) - SubBits);
        return (octave << SubBits) + (int)(value >> octave);
    }

    private static long UpperMicros(int bucket) => ((bucket & ((1 << SubBits) - 1)) + 1L << (bucket >> SubBits)) - 1;
}
