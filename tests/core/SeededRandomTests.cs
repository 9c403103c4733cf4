using Agent.Core;

namespace Agent.Tests.Core;

public sealed class SeededRandomTests
{
    [Fact]
    public void The_same_seed_gives_the_same_numbers_for_ever()
    {
        // The first bits are MurmurHash3's fmix32 of seed + 0x9E3779B9, computed apart in Python:
        // f=lambda h:(h:=(h^h>>16)*0x85EBCA6B%2**32)and(h:=(h^h>>13)*0xC2B2AE35%2**32)and h^h>>16; f(0x9E3779B9)
        SeededRandom random = new(0);
        Assert.Equal(0x92CA2F0Eu, random.NextBits());
        Assert.Equal(0x3CD6E3F3u, random.NextBits());
    }

    [Fact]
    public void A_range_is_filled_evenly_and_never_left()
    {
        SeededRandom random = new(3);
        int[] counts = new int[7];
        for (int i = 0; i < 70_000; i++)
        {
            counts[random.Next(7)]++;
        }

        Assert.All(counts, count => Assert.InRange(count, 9_600, 10_400));
    }

    [Fact]
    public void Neighbouring_seeds_do_not_give_neighbouring_numbers()
    {
        int close = 0;
        for (uint seed = 0; seed < 10_000; seed++)
        {
            int difference = new SeededRandom(seed).Next(1000) - new SeededRandom(seed + 1).Next(1000);
            close += Math.Abs(difference) < 10 ? 1 : 0;
        }

        Assert.InRange(close, 100, 280); // about 190 by chance
    }

    [Fact]
    public void An_empty_range_gives_zero()
    {
        Assert.Equal(0, new SeededRandom(1).Next(0));
        Assert.Equal(0, new SeededRandom(1).Next(-5));
    }
}
