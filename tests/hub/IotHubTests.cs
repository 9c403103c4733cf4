using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>The pure hub machine: one device, told the time.</summary>
public class IotHubTests
{
    private const long UtcMs = 1_767_225_600_000;
    private readonly List<string> log = [];
    private readonly IotHub hub;

    public IotHubTests() => hub = Make(new HubOptions());

    [Theory]
    [InlineData(3600, 0)]
    [InlineData(1, 0)]
    [InlineData(0, 0)]
    [InlineData(-299, 0)]
    [InlineData(-300, 5)]
    [InlineData(-3600, 5)]
    public void A_token_is_accepted_until_it_has_been_expired_for_the_allowed_skew(int expiresInSeconds, byte code)
    {
        Assert.Equal(code, Connect(hub, 0, 1, expiresInSeconds).Code);
        Assert.Equal(code == 0 ? "deviceConnect/Information" : "deviceConnect/Error/401003", Assert.Single(log));
    }

    [Fact]
    public void An_expired_token_is_cut_after_the_grace_with_401003_and_then_404104()
    {
        Connect(hub, 0, 1, 1200);
        hub.SetSpeaks(0, speaks: true, 0);
        Assert.Equal(1_800_000, hub.DeadlineMs(0, 0));
        Assert.Equal(Reason.None, hub.OnDeadline(1_799_999, 0, out _));
        Assert.Equal(Reason.TokenExpired, hub.OnDeadline(1_800_000, 0, out int link));
        Assert.Equal(1, link);
        Assert.Equal(-1, hub.CurrentLink(0));
        Assert.Equal(["deviceDisconnect/Error/401003", "deviceDisconnect/Error/404104"], log.Skip(1));
    }

    [Theory]
    [InlineData(60, 90_000)]
    [InlineData(230, 345_000)]
    [InlineData(1177, 1_765_500)]
    [InlineData(1178, 1_767_000)]
    [InlineData(65_535, 1_767_000)]
    [InlineData(0, 1_767_000)]
    public void Silence_is_cut_after_one_and_a_half_keep_alives_but_never_later_than_1767_s(int keepAlive, long afterMs)
    {
        Connect(hub, 0, 1, 36_000, keepAlive);
        hub.OnPacket(5000, 0, 1);
        Assert.Equal(5000 + afterMs, hub.DeadlineMs(5000, 0));
        Assert.Equal(Reason.None, hub.OnDeadline(5000 + afterMs - 1, 0, out _));
        Assert.Equal(Reason.KeepAliveLost, hub.OnDeadline(5000 + afterMs, 0, out _));
        Assert.Equal("deviceDisconnect/Error/404104", log[^1]);
    }

    [Fact]
    public void A_second_connection_takes_the_identity_and_the_first_is_dropped_with_400027()
    {
        Connect(hub, 0, 1, 3600);
        ConnectReply reply = Connect(hub, 10, 2, 3600);
        Assert.Equal((1, Reason.TakenOver), (reply.OlderLink, reply.OlderReason));
        Assert.Equal(2, hub.CurrentLink(0));
        Assert.Equal(["deviceDisconnect/Error/400027", "deviceConnect/Information"], log.Skip(1));
        Assert.False(hub.OnDisconnect(20, 0, 1));
        Assert.False(hub.OnLinkClosed(20, 0, 1));
        Assert.Equal(2, hub.CurrentLink(0));
    }

    [Fact]
    public void An_older_connection_that_had_gone_silent_is_dropped_with_409002()
    {
        Connect(hub, 0, 1, 3600);
        hub.SetSilent(0, 1);
        Assert.Equal(Reason.ReplacedSilent, Connect(hub, 10, 2, 3600).OlderReason);
        Assert.Equal("deviceDisconnect/Error/409002", log[1]);
    }

    [Fact]
    public void A_disabled_identity_is_refused_with_3_and_its_connection_can_be_cut()
    {
        Connect(hub, 0, 1, 3600);
        hub.SetEnabled(0, false);
        Assert.Equal(1, hub.Cut(5, 0, Reason.DeviceDisabled));
        Assert.Equal("deviceDisconnect/Error/403012", log[^1]);
        Assert.Equal(3, Connect(hub, 6, 2, 3600).Code);
        Assert.Equal("deviceConnect/Error/403012", log[^1]);
        hub.SetEnabled(0, true);
        Assert.True(Connect(hub, 7, 3, 3600).Accepted);
    }

    [Fact]
    public void A_session_with_its_subscriptions_lives_on_until_a_clean_connect()
    {
        Assert.False(Connect(hub, 0, 1, 3600).SessionPresent);
        hub.OnSubscribe(0, 1, 5);
        hub.OnDisconnect(1, 0, 1);
        Assert.True(Connect(hub, 2, 2, 3600).SessionPresent);
        Assert.Equal(5, hub.Subscriptions(0));
        Assert.False(Connect(hub, 3, 3, 3600, clean: true).SessionPresent);
        Assert.Equal(0, hub.Subscriptions(0));
        Assert.False(Connect(hub, 4, 4, 3600).SessionPresent);
    }

    [Fact]
    public void The_throttle_lets_the_tier_s_rate_through_and_hangs_up_on_the_rest()
    {
        IotHub throttled = Make(new HubOptions { Throttle = true }, 1000);
        int Accepted(long nowMs, int from) =>
            Enumerable.Range(from, 200).Count(device => Connect(throttled, nowMs, 1, 3600, device: device).Accepted);
        Assert.Equal(100, Accepted(0, 0));
        Assert.Equal(50, Accepted(500, 200));
        Assert.Equal(100, Accepted(10_000, 400));
        Assert.Equal(350, log.Count(line => line == "deviceConnect/Error/429002"));
    }

    [Fact]
    public void A_grace_that_is_a_range_is_drawn_from_the_whole_of_it()
    {
        IotHub ranged = Make(new HubOptions { GraceMinMs = 300_000, GraceMaxMs = 600_000 });
        Connect(ranged, 0, 1, 100, keepAlive: 0, draw: 0);
        Assert.Equal(400_000, ranged.DeadlineMs(0, 0));
        Connect(ranged, 0, 2, 100, keepAlive: 0, draw: uint.MaxValue);
        Assert.Equal(700_000, ranged.DeadlineMs(0, 0));
    }

    // Every event in every state a device can be in; what is written is what must happen, also where that is nothing.
    [Theory]
    [InlineData("none", "packet", "", -1)]
    [InlineData("none", "disconnect", "", -1)]
    [InlineData("none", "closed", "", -1)]
    [InlineData("none", "cut", "", -1)]
    [InlineData("none", "deadline", "", -1)]
    [InlineData("connected", "packet", "", 1)]
    [InlineData("connected", "disconnect", "deviceDisconnect/Information", -1)]
    [InlineData("connected", "closed", "deviceDisconnect/Error/404104", -1)]
    [InlineData("connected", "cut", "deviceDisconnect/Error/403002", -1)]
    [InlineData("connected", "deadline", "", 1)]
    [InlineData("replaced", "packet", "", 2)]
    [InlineData("replaced", "disconnect", "", 2)]
    [InlineData("replaced", "closed", "", 2)]
    [InlineData("replaced", "cut", "deviceDisconnect/Error/403002", -1)]
    [InlineData("replaced", "deadline", "", 2)]
    [InlineData("ended", "packet", "", -1)]
    [InlineData("ended", "disconnect", "", -1)]
    [InlineData("ended", "closed", "", -1)]
    [InlineData("ended", "cut", "", -1)]
    [InlineData("ended", "deadline", "", -1)]
    public void Every_event_in_every_state(string state, string what, string expectedLog, int expectedLink)
    {
        switch (state)
        {
            case "connected":
                Connect(hub, 0, 1, 3600);
                break;
            case "replaced":
                Connect(hub, 0, 1, 3600);
                Connect(hub, 1, 2, 3600);
                break;
            case "ended":
                Connect(hub, 0, 1, 3600);
                hub.OnDisconnect(1, 0, 1);
                break;
        }

        log.Clear();
        switch (what)
        {
            case "packet":
                hub.OnPacket(5, 0, 1);
                break;
            case "disconnect":
                hub.OnDisconnect(5, 0, 1);
                break;
            case "closed":
                hub.OnLinkClosed(5, 0, 1);
                break;
            case "cut":
                hub.Cut(5, 0, Reason.QuotaExceeded);
                break;
            case "deadline":
                hub.OnDeadline(5, 0, out _);
                break;
        }

        Assert.Equal(expectedLog, string.Join(",", log));
        Assert.Equal(expectedLink, hub.CurrentLink(0));
    }

    private static ConnectReply Connect(
        IotHub hub, long nowMs, int link, int expiresInSeconds, int keepAlive = 60, bool clean = false, uint draw = 0, int device = 0) =>
        hub.OnConnect(nowMs, UtcMs + nowMs, new ConnectRequest(
            device, link, true, UtcMs + nowMs + (expiresInSeconds * 1000L), keepAlive, clean, draw));

    private IotHub Make(HubOptions options, int devices = 1) => new(options, devices, new ListLog(log));

    private sealed class ListLog(List<string> lines) : IHubLog
    {
        public void Record(long nowMs, int device, LogKind kind) => lines.Add(kind.Shape().Key);
    }
}
