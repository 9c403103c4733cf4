using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Agent.Core;
using Agent.Hub;
using Agent.Tests.Hub;

namespace Agent.Tests.Host;

/// <summary>The agent on the PC and the local hub, and what a service can have it do: settings by twin and direct methods.</summary>
[Collection(RealTime.Name)]
public sealed class ServiceOrdersTests
{
    [Fact]
    public async Task A_change_is_acknowledged_kept_to_and_proven_by_a_renewal_under_it()
    {
        await using HubRig hub = new();
        ServiceSide service = new(hub);
        await using AgentRun agent = Start(hub);
        Assert.Equal(203, (await service.AcknowledgedAsync(203, 0)).GetProperty("ac").GetInt32());

        long version = await service.ChangeAsync("""{"heartbeat":{"intervalSeconds":1}}""");
        JsonElement told = await service.AcknowledgedAsync(200, version);
        Assert.Equal("in force", told.GetProperty("ad").GetString());
        Assert.Equal(1, told.GetProperty("value").GetProperty("heartbeat").GetProperty("intervalSeconds").GetInt32());
        for (int i = 2; i <= 4; i++)
        {
            await agent.LineAsync($"heartbeat {i} acknowledged", seconds: 20); // it was one a day
        }

        Assert.Equal(1, Connects(hub)); // a heartbeat needs no other connection

        version = await service.ChangeAsync("""{"token":{"lifetimeSeconds":20,"renewAtPercent":10,"spreadPercent":0}}""");
        await agent.LineAsync($"settings version {version}: 202");
        await agent.LineAsync("renewed (1)");
        told = await service.AcknowledgedAsync(200, version);
        Assert.Equal(20, told.GetProperty("value").GetProperty("token").GetProperty("lifetimeSeconds").GetInt32());
        Assert.Equal(1, told.GetProperty("value").GetProperty("heartbeat").GetProperty("intervalSeconds").GetInt32());
        Assert.Equal(
            (SettingsState.Good, 20), await agent.AskAsync(core => (core.Settings.State, core.Session.Settings.LifetimeSeconds)));
        Assert.DoesNotContain(hub.Records(), record => record.Contains('/', StringComparison.Ordinal));
    }

    [Fact]
    public async Task Bad_values_are_refused_with_every_problem_and_nothing_of_the_change_is_kept()
    {
        await using HubRig hub = new();
        ServiceSide service = new(hub);
        await using AgentRun agent = Start(hub);
        await service.AcknowledgedAsync(203, 0);
        TokenSettings before = await agent.AskAsync(core => core.Session.Settings);

        long version = await service.ChangeAsync(
            """{"token":{"lifetimeSeconds":5,"renewMode":"sometimes"},"keepAliveSeconds":"a lot","""
            + "\"heartbeats\":1,\"heartbeat\":{\"intervalSeconds\":7}}");
        JsonElement told = await service.AcknowledgedAsync(400, version);
        string description = told.GetProperty("ad").GetString()!;
        Assert.StartsWith("refused: ", description, StringComparison.Ordinal);
        Assert.Contains("token.lifetimeSeconds: 5 is below 10", description, StringComparison.Ordinal);
        Assert.Contains("token.renewMode: no such word", description, StringComparison.Ordinal);
        Assert.Contains("keepAliveSeconds: not a whole number", description, StringComparison.Ordinal);
        Assert.Contains("heartbeats: no such setting", description, StringComparison.Ordinal);
        Assert.NotEqual(7, told.GetProperty("value").GetProperty("heartbeat").GetProperty("intervalSeconds").GetInt32());
        Assert.True(before.IsSameAs(await agent.AskAsync(core => core.Session.Settings)));
        Assert.Equal(1, Connects(hub));

        version = await service.ChangeAsync(
            """{"token":{"lifetimeSeconds":null,"renewMode":null},"keepAliveSeconds":null,"heartbeats":null}""");
        await service.AcknowledgedAsync(200, version); // what is left of both changes is good
        Assert.Equal(7, await agent.AskAsync(core => core.Session.Settings.HeartbeatIntervalSeconds));
    }

    /// <summary>Ten minutes behind: a token of an hour is good, one of twenty seconds has run out before it arrives.</summary>
    [Fact]
    public async Task A_lifetime_that_cannot_hold_the_connection_is_rolled_back_and_reported()
    {
        await using HubRig hub = new();
        ServiceSide service = new(hub);
        await using AgentRun agent = Start(hub, time: new Behind(TimeSpan.FromMinutes(10)));
        await service.AcknowledgedAsync(203, 0);

        long version = await service.ChangeAsync("""{"token":{"lifetimeSeconds":20,"spreadPercent":0}}""");
        await agent.LineAsync("failed: refused: not authorised (CONNACK 5)");
        JsonElement told = await service.AcknowledgedAsync(500, version);
        Assert.StartsWith(
            "rolled back to the last good settings: refused", told.GetProperty("ad").GetString(), StringComparison.Ordinal);
        Assert.Equal(3600, told.GetProperty("value").GetProperty("token").GetProperty("lifetimeSeconds").GetInt32());
        Assert.Equal(
            (SettingsState.RolledBack, SessionState.Connected), await agent.AskAsync(core => (core.Settings.State, core.Session.State)));

        version = await service.ChangeAsync("""{"token":{"lifetimeSeconds":7200}}""");
        await service.AcknowledgedAsync(202, version); // another wish gets another chance
    }

    /// <summary>A network that forgets a link on which nothing has moved for 5 s: real ones do so after minutes.</summary>
    [Fact]
    public async Task A_keep_alive_that_cannot_hold_the_connection_is_rolled_back_and_reported()
    {
        await using HubRig hub = new();
        ServiceSide service = new(hub);
        await using FaultGate gate = new(hub.Server.EndPoint.Port) { IdleMax = TimeSpan.FromSeconds(5) };
        TokenSettings pinging = Core.Build.Settings(heartbeat: 0, keepAlive: 5, backoffMax: 1); // a PING every 2.5 s
        await using AgentRun agent = Start(hub, pinging, port: gate.Port);
        await service.AcknowledgedAsync(203, 0);
        long version = await service.ChangeAsync("""{"keepAliveSeconds":1177}""");
        await service.AcknowledgedAsync(202, version);
        for (int i = 0; i < SettingsKeeper.ProbationFailuresMax; i++)
        {
            await agent.LineAsync("lost: connection reset");
        }

        JsonElement told = await service.AcknowledgedAsync(500, version);
        Assert.Contains("connection reset", told.GetProperty("ad").GetString(), StringComparison.Ordinal);
        Assert.Equal(5, told.GetProperty("value").GetProperty("keepAliveSeconds").GetInt32());
    }

    [Fact]
    public async Task Settings_are_read_and_set_by_method_too()
    {
        await using HubRig hub = new();
        ServiceSide service = new(hub);
        await using AgentRun agent = Start(hub);
        (int status, JsonElement body) = await service.CallAsync("getSettings");
        Assert.Equal(
            (200, "clean", 3600),
            (status, body.GetProperty("renewModeInUse").GetString(),
                body.GetProperty("value").GetProperty("token").GetProperty("lifetimeSeconds").GetInt32()));

        (status, body) = await service.CallAsync("setSettings", """{"heartbeat":{"intervalSeconds":1}}""");
        Assert.Equal(
            (200, 1), (status, body.GetProperty("value").GetProperty("heartbeat").GetProperty("intervalSeconds").GetInt32()));
        await agent.LineAsync("heartbeat 2 acknowledged", seconds: 20);
        await agent.LineAsync("heartbeat 3 acknowledged", seconds: 20);

        (status, body) = await service.CallAsync("setSettings", """{"keepAliveSeconds":1,"backoff":{"minSeconds":0}}""");
        Assert.Equal(400, status);
        Assert.Contains("keepAliveSeconds: 1 is below 5", body.GetProperty("error").GetString(), StringComparison.Ordinal);
        Assert.Contains("backoff.minSeconds: 0 is below 1", body.GetProperty("error").GetString(), StringComparison.Ordinal);
        Assert.Equal(404, (await service.CallAsync("selfDestruct")).Status);
        Assert.Equal(1, Connects(hub));
    }

    [Fact]
    public async Task Renewal_diagnostics_and_reboot_are_had_by_method()
    {
        using HubFolder folder = new();
        await using HubRig hub = new();
        ServiceSide service = new(hub);
        await using (AgentRun agent = Start(hub, folder: folder.Path))
        {
            await agent.LineAsync("heartbeat 1 acknowledged");
            hub.Server.Drop(hub.Server.Registry.Devices[0], reset: true);
            await agent.LineAsync("connected after");
            (int status, JsonElement body) = await service.CallAsync("getDiagnostics");
            Assert.Equal((200, 1, 1), (status, body.GetProperty("boots").GetInt32(), body.GetProperty("drops").GetInt32()));
            JsonElement entry = body.GetProperty("entries")[0];
            Assert.Equal("connection reset", entry.GetProperty("text").GetString());
            (_, body) = await service.CallAsync("getDiagnostics", $$"""{"below":{{entry.GetProperty("n").GetInt32()}}}""");
            Assert.Equal(0, body.GetProperty("entries").GetArrayLength());

            Assert.Equal(200, (await service.CallAsync("renewNow")).Status);
            await agent.LineAsync("renewed (1)");

            Assert.Equal(200, (await service.CallAsync("clearDiagnostics")).Status);
            (_, body) = await service.CallAsync("getDiagnostics");
            Assert.Equal((1, 0), (body.GetProperty("renewals").GetInt32(), body.GetProperty("entries").GetArrayLength()));

            Assert.Equal(200, (await service.CallAsync("reboot")).Status);
            await agent.Ended.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
            Assert.True(agent.Driver.WantsRestart);
        }

        await using AgentRun next = Start(hub, folder: folder.Path);
        await next.LineAsync("start 2");
        (_, JsonElement after) = await service.CallAsync("getDiagnostics");
        Assert.Equal(2, after.GetProperty("boots").GetInt32());
        Assert.Equal(["reboot"], after.GetProperty("entries").EnumerateArray().Select(e => e.GetProperty("text").GetString()));
    }

    private static AgentRun Start(
        HubRig hub, TokenSettings? settings = null, string? folder = null, TimeProvider? time = null, int? port = null)
    {
        Device device = hub.Server.Registry.Devices[0];
        X509Certificate2Collection roots = [X509CertificateLoader.LoadCertificateFromFile(hub.Server.Data.AuthorityPath)];
        string text = $"HostName=localhost;DeviceId={device.Id};SharedAccessKey={Convert.ToBase64String(device.PrimaryKey)}";
        return new AgentRun(
            text, roots, port ?? hub.Server.EndPoint.Port, settings ?? Core.Build.Settings(heartbeat: 86400, backoffMax: 1), folder, time);
    }

    private static int Connects(HubRig hub) => hub.Records().Count(record => record.EndsWith(" deviceConnect", StringComparison.Ordinal));

    private sealed class Behind(TimeSpan by) : TimeProvider
    {
        public override long TimestampFrequency => System.TimestampFrequency;

        public override long GetTimestamp() => System.GetTimestamp();

        public override DateTimeOffset GetUtcNow() => System.GetUtcNow() - by;
    }
}
