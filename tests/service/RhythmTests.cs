using Agent.Service;

namespace Agent.Tests.Service;

public sealed class RhythmTests
{
    private const uint T0 = 1_772_000_000;

    [Theory]
    [InlineData(2700, false, "node", 3600)]
    [InlineData(2881, false, "c", 3600)]
    [InlineData(3480, false, "python", 3600)]
    [InlineData(3600, false, "arduino-esp32", 3600)]
    [InlineData(85_801, false, "nanoframework", 86_400)]
    [InlineData(4200, true, "dotnet", 3600)]
    [InlineData(4203, true, "java", 3600)]
    [InlineData(3900, true, "dotnet", 3600)]
    [InlineData(7800, true, "embedded-c", 7200)]
    [InlineData(4200, null, "dotnet", 3600)]
    [InlineData(2881, null, "c", 3600)]
    public void A_period_names_the_SDK_and_its_lifetime(uint period, bool? isCut, string sdk, int lifetime)
    {
        var moments = default(Moments);
        for (uint i = 0; i < 5; i++)
        {
            moments.Add(T0 + (i * period), isFromLog: true);
        }

        Rhythm rhythm = Rhythm.Of(moments);
        Assert.Equal((period, 3), (rhythm.PeriodSeconds, rhythm.Periods));
        RhythmCause cause = RhythmCause.Of(rhythm.PeriodSeconds, isCut);
        Assert.Equal((sdk, (int?)lifetime), (cause.Sdk, cause.LifetimeSeconds));
    }

    [Theory]
    [InlineData(1800, true, null, 1200)] // .NET, 1200 s: the vendor's chart of 30 min.
    [InlineData(901, true, null, 301)] // Java, 300 s: 15 min.
    [InlineData(180, false, "python", 300)] // ... or Node with a margin of 120 s, as the vendor's chart has it; the text says both.
    public void A_shortened_lifetime_is_worked_out_where_the_rule_allows(double period, bool isCut, string? sdk, int? lifetime)
    {
        RhythmCause cause = RhythmCause.Of(period, isCut);

        Assert.Equal((sdk, lifetime), (cause.Sdk, cause.LifetimeSeconds));
        Assert.NotEmpty(cause.Text);
    }

    [Fact]
    public void Irregular_and_very_short_periods_are_no_rhythm()
    {
        Assert.False(Of(0, 100, 250, 300).IsRegular);
        Assert.False(Of(0, 30, 60, 90).IsRegular);
        Assert.False(Of(0, 3600).IsRegular);
        Assert.True(Of(0, 3600, 7203, 10_800).IsRegular);
    }

    [Fact]
    public void Only_the_four_latest_of_a_fortnight_are_kept_whatever_the_order()
    {
        uint[] moments = [T0, T0 + 50, T0 + 100_000, T0 + 900_000, T0 + 1_000_000, T0 + 1_000_001];
        var draw = new Random(4);
        for (int round = 0; round < 200; round++)
        {
            draw.Shuffle(moments);
            var kept = default(Moments);
            Array.ForEach([.. moments, .. moments], moment => kept.Add(moment, isFromLog: false));
            Assert.Equal(4, kept.Count);
            Assert.Equal([T0 + 1_000_001, T0 + 1_000_000, T0 + 900_000, T0 + 100_000], Enumerable.Range(0, 4).Select(i => kept[i]));
        }
    }

    [Fact]
    public void Moments_of_the_log_replace_those_of_events()
    {
        foreach (bool isLogFirst in new[] { true, false })
        {
            var kept = default(Moments);
            kept.Add(T0 + (isLogFirst ? 1u : 500u), isLogFirst);
            kept.Add(T0 + (isLogFirst ? 500u : 1u), !isLogFirst);
            Assert.Equal((1, T0 + 1), (kept.Count, kept.Newest));
        }
    }

    [Fact]
    public void A_device_without_heartbeats_that_leaves_at_its_beat_is_renewing_and_no_alarm()
    {
        var told = new Told();
        long period = 2_881_000;
        ulong order = 0;
        for (int i = 0; i < 4; i++)
        {
            told.Connection("c-device", Told.T0 + (i * period), ++order, connected: true);
        }

        long end = Told.T0 + (4 * period);
        told.Connection("c-device", end, ++order, connected: false);
        Assert.Equal(Status.Renewing, told.StatusAt("c-device", end + 60_000));
        Assert.Equal(Cause.RhythmicRenewal, told.View("c-device", end + 60_000).Cause);
        Assert.Equal(Status.Silent, told.StatusAt("c-device", end + 300_000));
        Assert.Equal(Cause.RenewalFailed, told.View("c-device", end + 300_000).Cause);
    }

    [Fact]
    public void A_device_with_heartbeats_gets_time_at_its_beat_too()
    {
        var told = new Told();
        long period = 600_000;
        for (int i = 0; i < 4; i++)
        {
            told.Log(FactKind.LoggedConnect, "a", Told.T0 + (i * period));
        }

        long beat = Told.T0 + (4 * period);
        told.Heartbeat("a", beat - 50_000);
        Assert.Equal(Status.Online, told.StatusAt("a", beat + 49_999));
        Assert.Equal(Status.Late, told.StatusAt("a", beat + 50_000));
    }

    private static Rhythm Of(params uint[] seconds)
    {
        var moments = default(Moments);
        Array.ForEach(seconds, moment => moments.Add(T0 + moment, isFromLog: true));
        return Rhythm.Of(moments);
    }
}
