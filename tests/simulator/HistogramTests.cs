using Agent.World;

namespace Agent.Tests.Simulator;

public class HistogramTests
{
    [Fact]
    public void A_value_that_stands_alone_in_its_bucket_comes_back_exactly()
    {
        foreach (long value in (long[])[0, 1, 32_767, 32_768, 1_800_260, 85_801_360, 31_536_000_000])
        {
            var histogram = new Histogram();
            histogram.Add(value);
            histogram.Add(value);
            Assert.Equal(value, histogram.Percentile(0.5));
        }
    }

    [Fact]
    public void Percentiles_stay_within_one_part_in_16384_of_the_sorted_values()
    {
        var histogram = new Histogram();
        var values = new List<long>();
        for (int i = 0; i < 20_000; i++)
        {
            long value = (long)(Randomness.Draw(7, i, 0) % 100_000_000);
            values.Add(value);
            histogram.Add(value);
        }

        values.Sort();
        foreach (double share in (double[])[0.05, 0.5, 0.95, 0.99])
        {
            double exact = values[(int)Math.Ceiling(share * values.Count) - 1];
            Assert.InRange(histogram.Percentile(share)!.Value, exact * (1 - (1.0 / 16384)), exact * (1 + (1.0 / 16384)));
        }
    }

    [Fact]
    public void Merging_is_the_same_as_adding_everything_to_one()
    {
        var whole = new Histogram();
        Histogram[] parts = [new(), new(), new()];
        for (int i = 0; i < 3000; i++)
        {
            long value = (long)(Randomness.Draw(9, i, 0) % 10_000_000);
            whole.Add(value);
            parts[i % 3].Add(value);
        }

        parts[0].Merge(parts[1]);
        parts[0].Merge(parts[2]);
        Assert.Equal(whole.Buckets(), parts[0].Buckets());
    }

    [Fact]
    public void An_empty_histogram_has_no_percentile() => Assert.Null(new Histogram().Percentile(0.5));
}
