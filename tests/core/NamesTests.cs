using Agent.Core;

namespace Agent.Tests.Core;

public sealed class NamesTests
{
    [Fact]
    public void The_user_name_has_the_form_the_hub_asks_for()
    {
        Assert.Equal(
            "h.azure-devices.net/dev:1/?api-version=2021-04-12&DeviceClientType=agent%2F1.0%20%28pc%29",
            HubTopics.UserName("h.azure-devices.net", "dev:1", "agent/1.0 (pc)"));
        Assert.Equal("h/d/?api-version=2021-04-12", HubTopics.UserName("h", "d", null));
    }

    [Fact]
    public void A_heartbeat_says_number_interval_and_next_renewal()
    {
        Assert.Equal(
            "devices/d-1/messages/events/type=heartbeat&seq=17&interval=60&renewal=2940",
            Heartbeat.Topic("d-1", 17, 60, 2940));
        Assert.StartsWith(HubTopics.Telemetry("d-1"), Heartbeat.Topic("d-1", 1, 1, 1));
    }

    [Fact]
    public void The_rhythm_stays_on_its_grid_and_does_not_catch_up_after_a_pause()
    {
        Assert.Equal(120_000, Heartbeat.NextDueMs(60_000, 60_004, 60));
        Assert.Equal(660_000, Heartbeat.NextDueMs(60_000, 600_000, 60));
    }

    [Fact]
    public void Every_reason_has_its_own_number_and_words_and_lies_in_a_range()
    {
        DisconnectReason[] all = Enum.GetValues<DisconnectReason>();
        Assert.Equal(all.Length, all.Select(DisconnectReasonText.Of).Distinct().Count());
        Assert.DoesNotContain("unlisted reason", all.Select(DisconnectReasonText.Of));
        Assert.All(all, reason => Assert.Contains((int)reason >> 4, new[] { 0x0, 0x1, 0x4, 0x5, 0x6, 0x8 }));
        Assert.Equal(all.Length, Enum.GetNames<DisconnectReason>().Length);
    }

    [Fact]
    public void Every_state_has_its_own_words()
    {
        SessionState[] all = Enum.GetValues<SessionState>();
        Assert.Equal(all.Length, all.Select(SessionStateText.Of).Distinct().Count());
        Assert.DoesNotContain("unlisted state", all.Select(SessionStateText.Of));
    }
}
