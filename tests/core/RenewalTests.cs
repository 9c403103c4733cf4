using Agent.Core;

namespace Agent.Tests.Core;

public sealed class RenewalTests
{
    private const long LongUptimeMs = 50L * 86_400_000; // beyond 2^32 ms = 49.7 days

    [Fact]
    public void Renewal_is_due_once_85_percent_of_the_lifetime_has_passed()
    {
        Assert.Equal(1000 + 3_060_000, Renewal.RenewAtMs(1000, Build.Settings(spread: 0), draw: 12345));
    }

    [Fact]
    public void Renewal_can_be_set_as_seconds_before_expiry()
    {
        Assert.Equal(3_480_000, Renewal.RenewAtMs(0, Build.Settings(before: 120, spread: 0), draw: 0));
    }

    [Fact]
    public void A_token_of_30_seconds_is_renewed_with_room_before_expiry()
    {
        Assert.Equal(25_500, Renewal.RenewAtMs(0, Build.Settings(lifetime: 30, spread: 0), draw: 0));
        Assert.Equal(28_500, Renewal.RenewAtMs(0, Build.Settings(lifetime: 30, percent: 95, spread: 0), draw: 0));
        Assert.Equal(28_000, Renewal.RenewAtMs(0, Build.Settings(lifetime: 30, before: 2, spread: 0), draw: 0));
    }

    [Fact]
    public void Spread_moves_a_renewal_only_earlier()
    {
        TokenSettings settings = Build.Settings(spread: 10);
        Assert.Equal(3_060_000, Renewal.RenewAtMs(0, settings, draw: 0));
        long earliest = Renewal.RenewAtMs(0, settings, Renewal.DrawRange - 1);
        Assert.InRange(earliest, 2_700_000, 2_700_010);
    }

    [Fact]
    public void Every_allowed_setting_renews_after_the_start_and_with_room_before_expiry()
    {
        SeededRandom random = new(1);
        for (int i = 0; i < 20_000; i++)
        {
            int lifetime = 10 + random.Next(i % 3 == 0 ? 100 : 31_536_000 - 10);
            bool before = random.Next(2) == 1;
            int latest = (int)((Renewal.RoomMs(lifetime * 1000L) + 999) / 1000);
            TokenSettings settings = Build.Settings(
                lifetime,
                percent: 10 + random.Next(86),
                before: before ? latest + random.Next((lifetime * 9 / 10) - latest) : 0,
                spread: random.Next(51));
            long created = LongUptimeMs + random.Next(int.MaxValue);
            long age = Renewal.RenewAtMs(created, settings, random.Next(Renewal.DrawRange)) - created;
            Assert.InRange(age, lifetime * 1000L / 20, (lifetime * 1000L) - Renewal.RoomMs(lifetime * 1000L));
        }
    }

    [Fact]
    public void A_fleet_that_starts_in_one_second_renews_evenly_over_the_spread()
    {
        TokenSettings settings = Build.Settings(spread: 10);
        int[] perTenth = new int[10];
        for (uint device = 0; device < 10_000; device++)
        {
            long at = Renewal.RenewAtMs(0, settings, new SeededRandom(device).Next(Renewal.DrawRange));
            perTenth[Math.Clamp((at - 2_700_000) / 36_000, 0, 9)]++;
        }

        Assert.All(perTenth, count => Assert.InRange(count, 850, 1150));
    }
}
