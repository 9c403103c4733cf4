using System.Numerics;

namespace Agent.World;

// Medians of tens of millions of periods, exact where it matters: most SDKs produce the same period again and again, to the
// millisecond, and a table that says 1800.24 instead of 1800.26 invites doubt. Each bucket is at most 1/32768 of its value
// wide and keeps the sum of what fell into it, so a bucket hit by one value only gives back exactly that value. Merging is
// addition: the result does not depend on the number of shards.

/// <summary>Counts lengths of time in ms; relative bucket width 2^-15, exact below 32.768 s.</summary>
public sealed class Histogram
{
    private const int SubBits = 15;
    private const int Octaves = 41 - SubBits;

    private readonly long[]?[] counts = new long[Octaves][];
    private readonly long[]?[] sums = new long[Octaves][];

    /// <summary>How many values were added.</summary>
    public long Count { get; private set; }

    /// <summary>Adds one value; negative ones count as 0.</summary>
    public void Add(long valueMs) => Add(valueMs, 1);

    /// <summary>Adds one value so many times.</summary>
    public void Add(long valueMs, long times)
    {
        (int octave, int slot) = Locate(Math.Max(0, valueMs));
        long[] row = counts[octave] ??= new long[1 << SubBits];
        long[] sumRow = sums[octave] ??= new long[1 << SubBits];
        row[slot] += times;
        sumRow[slot] += Math.Max(0, valueMs) * times;
        Count += times;
    }

    /// <summary>Adds everything another histogram holds.</summary>
    public void Merge(Histogram other)
    {
        for (int octave = 0; octave < Octaves; octave++)
        {
            if (other.counts[octave] is not { } row || other.sums[octave] is not { } sumRow)
            {
                continue;
            }

            long[] mine = counts[octave] ??= new long[1 << SubBits];
            long[] mySums = sums[octave] ??= new long[1 << SubBits];
            for (int slot = 0; slot < row.Length; slot++)
            {
                mine[slot] += row[slot];
                mySums[slot] += sumRow[slot];
            }
        }

        Count += other.Count;
    }

    /// <summary>The value below which the given share (0..1) of all values lies, in ms; null when empty.</summary>
    public double? Percentile(double share)
    {
        if (Count == 0)
        {
            return null;
        }

        long rank = Math.Clamp((long)Math.Ceiling(share * Count), 1, Count);
        foreach ((long count, double mean) in Buckets())
        {
            rank -= count;
            if (rank <= 0)
            {
                return mean;
            }
        }

        return null;
    }

    /// <summary>Non-empty buckets in order: how many values, and their mean in ms.</summary>
    public IEnumerable<(long Count, double MeanMs)> Buckets()
    {
        for (int octave = 0; octave < Octaves; octave++)
        {
            if (counts[octave] is not { } row || sums[octave] is not { } sumRow)
            {
                continue;
            }

            for (int slot = 0; slot < row.Length; slot++)
            {
                if (row[slot] > 0)
                {
                    yield return (row[slot], (double)sumRow[slot] / row[slot]);
                }
            }
        }
    }

    // Octave 0 holds 0 .. 2^15-1 one by one; octave n holds [2^(14+n), 2^(15+n)) in 2^14 steps (upper half of the row).
    private static (int Octave, int Slot) Locate(long value)
    {
        int bits = 64 - BitOperations.LeadingZeroCount((ulong)value);
        int octave = Math.Clamp(bits - SubBits, 0, Octaves - 1);
        return (octave, (int)Math.Min(value >> octave, (1 << SubBits) - 1));
    }
}
