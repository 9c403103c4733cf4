using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>Traffic shaping: burst, queue, refusal; and the vendor's table of rates.</summary>
public sealed class ThrottleTests
{
    [Fact]
    public void A_burst_passes_then_operations_queue_and_then_they_are_refused()
    {
        // 1,000 a second with a burst of 2 s and a queue of 1 s.
        var throttle = new Throttle(60_000, 2000, 1000);
        ThrottleVerdict[] verdicts = [.. Enumerable.Range(0, 3500).Select(_ => throttle.Take(50_000))];

        Assert.Equal(2000, verdicts.Count(verdict => verdict is { IsAccepted: true, WaitMs: 0 }));
        Assert.Equal(Enumerable.Range(1, 1000).Select(ms => (long)ms), verdicts.Skip(2000).Take(1000).Select(verdict => verdict.WaitMs));
        Assert.All(verdicts.Skip(3000), verdict => Assert.Equal(new ThrottleVerdict(false, 1), verdict));
    }

    [Fact]
    public void Twice_the_rate_of_an_S1_runs_freely_for_a_minute_then_slows_down_and_then_meets_429()
    {
        Throttle throttle = Throttles.Make(new HubOptions(), ThrottleKind.Telemetry);
        long firstWaitMs = -1, firstRefusalMs = -1, accepted = 0;
        for (long nowMs = 0; nowMs < 300_000; nowMs += 5)
        {
            ThrottleVerdict verdict = throttle.Take(nowMs);
            accepted += verdict.IsAccepted ? 1 : 0;
            firstWaitMs = verdict is { IsAccepted: true, WaitMs: > 0 } && firstWaitMs < 0 ? nowMs : firstWaitMs;
            firstRefusalMs = !verdict.IsAccepted && firstRefusalMs < 0 ? nowMs : firstRefusalMs;
        }

        Assert.InRange(firstWaitMs, 59_000, 61_000);
        Assert.InRange(firstRefusalMs, 74_000, 76_000);
        Assert.InRange(accepted, 6000 + 30_000 + 1490, 6000 + 30_000 + 1501);
    }

    [Fact]
    public void A_refused_operation_costs_nothing_and_is_told_when_to_come_back()
    {
        var throttle = new Throttle(60, 1000, 0);
        Assert.True(throttle.Take(0).IsAccepted);
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(new ThrottleVerdict(false, 1000), throttle.Take(0));
        }

        Assert.Equal(new ThrottleVerdict(false, 1), throttle.Take(999));
        Assert.True(throttle.Take(1000).IsAccepted);
    }

    [Fact]
    public void A_large_operation_takes_as_much_as_many_small_ones()
    {
        // 160 KB/s are 40 calls of 4 KB a second, or 20 of 8 KB (vendor's throttling page).
        Assert.Equal(1, Throttles.MethodBlocks(0));
        Assert.Equal(1, Throttles.MethodBlocks(4096));
        Assert.Equal(2, Throttles.MethodBlocks(4097));
        var small = new Throttle(Throttles.PerMinute(new HubOptions(), ThrottleKind.Methods), 1000, 0);
        var large = new Throttle(Throttles.PerMinute(new HubOptions(), ThrottleKind.Methods), 1000, 0);
        Assert.Equal(40, Enumerable.Range(0, 100).Count(_ => small.Take(0).IsAccepted));
        Assert.Equal(20, Enumerable.Range(0, 100).Count(_ => large.Take(0, 2).IsAccepted));
    }

    [Theory]
    [InlineData("F1", 1, "6000 6000 6000 3000 2400 100 20 100")]
    [InlineData("S1", 1, "6000 6000 6000 3000 2400 100 20 100")]
    [InlineData("S1", 9, "6480 6480 6000 3000 21600 900 180 900")]
    [InlineData("S2", 1, "7200 7200 6000 3000 7200 100 20 100")]
    [InlineData("S2", 20, "144000 144000 12000 6000 144000 2000 400 2000")]
    [InlineData("S3", 1, "360000 360000 30000 15000 368640 5000 1000 5000")]
    [InlineData("B3", 10, "3600000 3600000 300000 150000 3686400 50000 10000 50000")]
    public void The_rates_are_those_of_the_vendor_s_table(string tier, int units, string perMinute)
    {
        var options = new HubOptions { Tier = tier, Units = units };
        Assert.Equal(perMinute, string.Join(' ', Enum.GetValues<ThrottleKind>().Select(kind => Throttles.PerMinute(options, kind))));
    }

    [Fact]
    public void Nothing_is_limited_unless_it_is_switched_on()
    {
        var throttles = new Throttles(new HubOptions());
        Assert.False(throttles.IsOn);
        Assert.All(Enumerable.Range(0, 100_000), _ => Assert.True(throttles.Take(ThrottleKind.Queries, 0).IsAccepted));
        var on = new Throttles(new HubOptions { Throttle = true });
        Assert.Equal(25, Enumerable.Range(0, 100).Count(_ => on.Take(ThrottleKind.Queries, 0).IsAccepted));
        Assert.True(on.Take(ThrottleKind.Registry, 0).IsAccepted);
    }

    [Fact]
    public void Many_threads_together_get_no_more_than_one_would()
    {
        var throttle = new Throttle(60_000, 1000, 500);
        int accepted = 0;
        Parallel.For(0, 8, _ =>
        {
            for (int i = 0; i < 1000; i++)
            {
                Interlocked.Add(ref accepted, throttle.Take(7).IsAccepted ? 1 : 0);
            }
        });
        Assert.Equal(1500, accepted);
    }
}
