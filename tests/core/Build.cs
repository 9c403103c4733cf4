using Agent.Core;

namespace Agent.Tests.Core;

/// <summary>Settings that differ from the defaults in what a test names.</summary>
internal static class Build
{
    public static TokenSettings Settings(
        int lifetime = TokenSettings.LifetimeSecondsDefault,
        int percent = TokenSettings.RenewAtPercentDefault,
        int before = 0,
        int spread = TokenSettings.SpreadPercentDefault,
        int backoffMin = TokenSettings.BackoffMinSecondsDefault,
        int backoffMax = TokenSettings.BackoffMaxSecondsDefault,
        int heartbeat = TokenSettings.HeartbeatIntervalSecondsDefault,
        int reconnectSpread = 0,
        RenewMode mode = RenewMode.Clean,
        int keepAlive = TokenSettings.KeepAliveSecondsDefault)
    {
        TokenSettingsDraft draft = new()
        {
            LifetimeSeconds = lifetime,
            RenewAtPercent = percent,
            RenewBeforeSeconds = before,
            SpreadPercent = spread,
            BackoffMinSeconds = backoffMin,
            BackoffMaxSeconds = backoffMax,
            HeartbeatIntervalSeconds = heartbeat,
            ReconnectSpreadSeconds = reconnectSpread,
            RenewMode = mode,
            KeepAliveSeconds = keepAlive,
        };
        Assert.True(draft.TryBuild(out TokenSettings settings, out string[] problems), string.Join("; ", problems));
        return settings;
    }
}
