using Agent.Core;

namespace Agent.Tests.Core;

public sealed class TokenSettingsTests
{
    [Fact]
    public void A_fresh_draft_is_valid_and_is_the_default()
    {
        Assert.True(new TokenSettingsDraft().TryBuild(out TokenSettings settings, out string[] problems));
        Assert.Empty(problems);
        Assert.Equal(TokenSettings.Default().LifetimeSeconds, settings.LifetimeSeconds);
    }

    [Fact]
    public void A_bad_draft_is_answered_with_every_problem_at_once()
    {
        TokenSettingsDraft draft = new()
        {
            LifetimeSeconds = 9,
            RenewAtPercent = 140,
            SpreadPercent = -1,
            BackoffMinSeconds = 0,
            BackoffMaxSeconds = 3601,
            KeepAliveSeconds = 1178,
            HeartbeatIntervalSeconds = 86401,
        };
        Assert.False(draft.TryBuild(out TokenSettings settings, out string[] problems));
        Assert.Null(settings);
        Assert.Equal(
            [
                "token.lifetimeSeconds: 9 is below 10", "token.renewAtPercent: 140 is above 95",
                "token.spreadPercent: -1 is below 0", "backoff.minSeconds: 0 is below 1",
                "backoff.maxSeconds: 3601 is above 3600", "keepAliveSeconds: 1178 is above 1177",
                "heartbeat.intervalSeconds: 86401 is above 86400",
            ],
            problems);
    }

    [Theory]
    [InlineData(3600, 30, true)]
    [InlineData(3600, 29, false)]
    [InlineData(3600, 3240, true)]
    [InlineData(3600, 3241, false)]
    [InlineData(30, 2, true)]
    [InlineData(30, 1, false)]
    [InlineData(60, 15, true)]
    [InlineData(3600, -1, false)]
    [InlineData(int.MaxValue, 60, false)]
    public void Renewing_before_expiry_must_leave_room_on_both_sides(int lifetime, int before, bool valid)
    {
        TokenSettingsDraft draft = new() { LifetimeSeconds = lifetime, RenewBeforeSeconds = before };
        Assert.Equal(valid, draft.TryBuild(out _, out _));
    }

    [Fact]
    public void The_largest_backoff_may_not_be_below_the_smallest()
    {
        TokenSettingsDraft draft = new() { BackoffMinSeconds = 30, BackoffMaxSeconds = 20 };
        Assert.False(draft.TryBuild(out _, out string[] problems));
        Assert.Equal(["backoff.maxSeconds: 20 is below 30"], problems);
    }

    [Fact]
    public void Built_settings_do_not_follow_later_changes_of_the_draft()
    {
        TokenSettingsDraft draft = new() { LifetimeSeconds = 60 };
        Assert.True(draft.TryBuild(out TokenSettings settings, out _));
        draft.LifetimeSeconds = 90;
        Assert.Equal(60, settings.LifetimeSeconds);
    }
}
