using Agent.Load;
using Agent.Wire;

namespace Agent.Tests.Load;

/// <summary>How many processes a machine's limits ask for, and what is said when they do not suffice.</summary>
public class WireLimitsTests
{
    [Theory]
    [InlineData(19_000, 20_000, 1, 19_000)]
    [InlineData(38_000, 20_000, 2, 19_000)]
    [InlineData(38_001, 20_000, 2, 19_001)]
    [InlineData(60_000, 20_000, 4, 15_000)]
    [InlineData(1000, 1024, 2, 500)]
    [InlineData(100_000, 1_048_576, 1, 100_000)]
    [InlineData(1_000_000, int.MaxValue, 1, 1_000_000)]
    public void As_many_pairs_as_the_open_files_ask_for(int connections, int openFiles, int pairs, int perPair)
    {
        WireLimits plan = WireLimits.Plan(connections, TlsEngine.Native, openFiles, null, (32_768, 60_999), 4096);

        Assert.Equal((pairs, perPair), (plan.Pairs, plan.PerPair));
    }

    [Fact]
    public void A_machine_without_the_memory_is_told_how_many_would_fit()
    {
        IOException portable = Assert.Throws<IOException>(
            () => WireLimits.Plan(38_000, TlsEngine.Portable, 20_000, 3L << 30, null, null));
        WireLimits native = WireLimits.Plan(38_000, TlsEngine.Native, 20_000, 3L << 30, null, null);

        Assert.Contains("--connections 24778", portable.Message, StringComparison.Ordinal);
        Assert.Equal(2, native.Pairs);
    }

    [Fact]
    public void A_machine_without_files_for_even_one_is_told_so()
    {
        IOException none = Assert.Throws<IOException>(() => WireLimits.Plan(1, TlsEngine.Native, 128, null, null, null));

        Assert.Contains("128 open files", none.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', none.Message);
    }

    [Fact]
    public void What_was_found_is_said_before_the_run()
    {
        WireLimits plan = WireLimits.Plan(40_000, TlsEngine.Native, 100_000, 1L << 40, (32_768, 60_999), 64);

        Assert.Contains(plan.Notes, note => note.Contains("100000 a process", StringComparison.Ordinal));
        Assert.Contains(plan.Notes, note => note.Contains("28232 a source address", StringComparison.Ordinal)
            && note.Contains("127.0.0.0/8", StringComparison.Ordinal));
        Assert.Contains(plan.Notes, note => note.Contains("small, SYNs may be lost", StringComparison.Ordinal));
    }
}
