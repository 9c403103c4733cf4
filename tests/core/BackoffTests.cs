using Agent.Core;

namespace Agent.Tests.Core;

public sealed class BackoffTests
{
    [Fact]
    public void The_ceiling_doubles_from_the_minimum_and_stops_at_the_maximum()
    {
        TokenSettings settings = Build.Settings(backoffMin: 1, backoffMax: 60);
        int[] ceilings = [.. Enumerable.Range(0, 9).Select(attempt => Backoff.CeilingMs(settings, attempt))];
        Assert.Equal([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000], ceilings);
    }

    [Fact]
    public void Two_thousand_million_failures_overflow_nothing()
    {
        TokenSettings settings = Build.Settings(backoffMin: 3600, backoffMax: 3600);
        Assert.Equal(3_600_000, Backoff.CeilingMs(settings, int.MaxValue));
    }

    [Fact]
    public void A_delay_is_never_shorter_than_the_floor_nor_longer_than_the_ceiling()
    {
        SeededRandom random = new(7);
        for (int i = 0; i < 50_000; i++)
        {
            int min = 1 + random.Next(3600);
            TokenSettings settings = Build.Settings(backoffMin: min, backoffMax: min + random.Next(3601 - min));
            int attempt = random.Next(40);
            int delay = Backoff.DelayMs(settings, attempt, random);
            Assert.InRange(delay, Backoff.DelayMsMin, Backoff.CeilingMs(settings, attempt));
        }
    }

    [Fact]
    public void A_fleet_cut_at_one_moment_comes_back_evenly_over_the_first_second()
    {
        TokenSettings settings = Build.Settings();
        int[] perTenth = new int[10];
        for (uint device = 0; device < 9_000; device++)
        {
            perTenth[Math.Min(Backoff.DelayMs(settings, 0, new SeededRandom(device)) / 100, 9)]++;
        }

        Assert.Equal(0, perTenth[0]);
        Assert.All(perTenth[1..], count => Assert.InRange(count, 850, 1150));
    }

    [Fact]
    public void A_fleet_told_to_spread_comes_back_evenly_over_that_time_at_every_attempt()
    {
        TokenSettings settings = Build.Settings(reconnectSpread: 1000);
        foreach (int attempt in (int[])[0, 3, 20])
        {
            int[] perTenth = new int[10];
            for (uint device = 0; device < 10_000; device++)
            {
                perTenth[Math.Min(Backoff.DelayMs(settings, attempt, new SeededRandom(device)) / 100_000, 9)]++;
            }

            Assert.All(perTenth, count => Assert.InRange(count, 850, 1150));
        }
    }

    [Fact]
    public void Even_the_first_attempt_after_power_on_waits_when_the_fleet_is_told_to_spread()
    {
        var session = new Session(Build.Settings(reconnectSpread: 1000), new SeededRandom(5), 1);
        session.OnNetworkUp(new Now(0, 1_800_000_000, true));
        Assert.Equal(SessionState.BackingOff, session.State);
        Assert.InRange(session.NextWakeMs, 100, 1_000_000);
    }
}
