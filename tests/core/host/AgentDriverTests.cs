using System.Threading.Channels;
using Agent.Core;
using Agent.Host;
using Agent.Wire;

namespace Agent.Tests.Host;

/// <summary>The agent on the PC against a TLS server on loopback, in real time but without waiting for any.</summary>
public sealed class AgentDriverTests
{
    [Fact]
    public async Task It_connects_sends_a_heartbeat_and_says_goodbye()
    {
        await using FakeHub hub = new();
        AgentRun agent = new(hub);
        await agent.LineAsync("heartbeat 1 acknowledged");
        await agent.StopAsync();
        Assert.EndsWith(
            "summary: 0 renewals, 0 drops, 1 heartbeats sent, 0 repeated, 1 acknowledged", agent.Printed.TrimEnd());
        Assert.Equal([SessionEnd.Disconnected], hub.Ends);
        string topic = Assert.Single(hub.Topics);
        Assert.Matches(@"^devices/d-1/messages/events/type=heartbeat&seq=1&interval=86400&renewal=\d{4}&gap=2000&boots=1$", topic);
    }

    [Fact]
    public async Task It_shows_the_hub_a_token_for_the_hubs_own_name_also_through_a_gateway()
    {
        await using FakeHub hub = new();
        await using AgentRun agent = new(hub);
        await agent.LineAsync("connected");
        (string clientId, string userName, string password) = Assert.Single(hub.Connects);
        Assert.Equal("d-1", clientId);
        Assert.StartsWith("test.hub/d-1/?api-version=2021-04-12&DeviceClientType=agent-host%2F1.0", userName);
        long expiry = long.Parse(password[(password.IndexOf("&se=", StringComparison.Ordinal) + 4)..]);
        Assert.InRange(expiry - DateTimeOffset.UtcNow.ToUnixTimeSeconds(), 3570, 3600);
        Assert.True(SasToken.TryDecodeKey(AgentRun.Key, out byte[] key));
        Assert.Equal(SasToken.ForDevice(new HostHmac(), key, "test.hub", "d-1").Build(expiry), password);
    }

    [Fact]
    public async Task A_server_whose_root_is_not_trusted_gets_no_token()
    {
        await using FakeHub hub = new();
        await using AgentRun agent = new(hub, trusted: false);
        Assert.Contains("certificate not trusted", await agent.LineAsync("failed:"));
        await agent.LineAsync("failed:"); // it goes on trying
        Assert.Empty(hub.Connects);
    }

    [Fact]
    public async Task A_server_that_shows_another_name_gets_no_token()
    {
        await using FakeHub hub = new();
        await using AgentRun agent = new(hub, host: "127.0.0.1");
        Assert.Contains("certificate is for another host", await agent.LineAsync("failed:"));
        Assert.Empty(hub.Connects);
    }

    [Fact]
    public async Task A_refusal_is_named_and_retried()
    {
        await using FakeHub hub = new() { Code = 5 };
        await using AgentRun agent = new(hub);
        Assert.Matches(
            @"failed: refused: not authorised \(CONNACK 5\); next attempt in \d+\.\d s$", await agent.LineAsync("failed:"));
    }

    [Fact]
    public async Task A_link_cut_by_the_hub_is_named_and_comes_back()
    {
        await using FakeHub hub = new();
        await using AgentRun agent = new(hub);
        await agent.LineAsync("heartbeat 1 acknowledged");
        hub.Cut();
        Assert.Contains("closed by the hub", await agent.LineAsync("lost:"));
        await agent.LineAsync("connected after");
    }

    [Fact]
    public async Task The_key_and_the_token_are_never_printed()
    {
        await using FakeHub hub = new() { Code = 4 };
        AgentRun agent = new(hub);
        await agent.LineAsync("failed:");
        await agent.StopAsync();
        Assert.DoesNotContain(AgentRun.Key[..12], agent.Printed);
        Assert.DoesNotContain("SharedAccess", agent.Printed);
        Assert.DoesNotContain("sig=", agent.Printed);
    }

    [Fact]
    public async Task A_ping_goes_out_after_half_a_keep_alive_and_silence_for_the_other_half_ends_the_link()
    {
        await using FakeHub hub = new() { AnswersPings = false };
        Channel<LinkEvent> events = Channel.CreateUnbounded<LinkEvent>();
        MqttLink link = new(events.Writer, keepAliveSeconds: 10);
        link.Open(
            "localhost", hub.Port, new ClientOptions { Tls = new TlsClient("localhost", hub.Roots) },
            new ConnectIdentity("d", "u", "p"));
        Assert.Equal(LinkEventKind.Dialled, (await events.Reader.ReadAsync()).Kind);
        Assert.Equal(LinkEventKind.Connack, (await events.Reader.ReadAsync()).Kind);
        long nowMs = TimeProvider.System.NowMs();
        link.Accept(nowMs);
        link.OnWake(nowMs + 6_000);
        await hub.Pings.WaitAsync();
        Assert.Equal(nowMs + 11_000, link.NextWakeMs(nowMs + 7_000));
        link.OnWake(nowMs + 11_000);
        Assert.Equal(LinkEnd.PingTimedOut, (await events.Reader.ReadAsync()).End);
    }
}
