using Agent.Load;

namespace Agent.Tests.Load;

/// <summary>Percentiles out of buckets: never below the truth, at most a sixty-fourth above it.</summary>
public class LatencyCountsTests
{
    [Theory]
    [InlineData(0.5)]
    [InlineData(0.99)]
    [InlineData(1.0)]
    public void A_percentile_is_that_of_the_sorted_values_but_for_the_width_of_a_bucket(double share)
    {
        var random = new Random(7);
        var counts = new LatencyCounts();
        long[] values = [.. Enumerable.Range(0, 10_000).Select(_ => (long)Math.Exp(random.NextDouble() * 16))];
        foreach (long value in values)
        {
            counts.Add(value);
        }

        double exact = values.Order().ElementAt((int)Math.Ceiling(share * values.Length) - 1) / 1000.0;

        Assert.InRange(counts.PercentileMs(share), exact, (exact * (1 + (1 / 64.0))) + 0.001);
    }

    [Fact]
    public void Shards_merged_over_the_wire_of_two_processes_are_the_whole()
    {
        var whole = new LatencyCounts();
        LatencyCounts[] shards = [new(), new()];
        for (int value = 0; value < 5000; value++)
        {
            whole.Add(value * 37L);
            shards[value % 2].Add(value * 37L);
        }

        var merged = new LatencyCounts();
        merged.Merge(shards[0]);
        merged.Merge(shards[1].Pairs());

        Assert.Equal(whole.Pairs(), merged.Pairs());
        Assert.Equal(5000, merged.Count);
    }

    [Fact]
    public void What_cannot_be_is_counted_at_the_ends()
    {
        var counts = new LatencyCounts();
        counts.Add(-5);
        Assert.Equal(0, counts.PercentileMs(1));
        counts.Add(long.MaxValue);
        Assert.InRange(counts.PercentileMs(1), 2_147_000, 2_148_000);
        Assert.Equal(0, new LatencyCounts().PercentileMs(0.5));
    }

    [Fact]
    public void Many_threads_lose_nothing()
    {
        var counts = new LatencyCounts();
        Parallel.For(0, 8, seed =>
        {
            for (int value = 0; value < 20_000; value++)
            {
                counts.Add(value % (seed + 1));
            }
        });

        Assert.Equal(160_000, counts.Count);
    }
}
