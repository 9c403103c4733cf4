using System.Net;
using Agent.Hub;
using Agent.Tests.Events;

namespace Agent.Tests.Hub;

/// <summary>Throttles, quota and tiers on the wire and for services; the hub's clock stands still unless a test moves it.</summary>
[Collection(RealTime.Name)]
public sealed class HubLimitsTests
{
    private const string Events = "devices/device-0001/messages/events/";
    private readonly ManualTime time = new();

    [Fact]
    public async Task Beyond_burst_and_queue_a_message_costs_the_connection_with_429002()
    {
        await using var rig = new HubRig(time: time, hub: new HubOptions { Throttle = true });
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        Assert.True(await device.PublishAsync(Events));
        _ = rig.Server.AdmitAsync(ThrottleKind.Telemetry, 7499);

        Assert.False(await device.PublishAsync(Events));
        await device.WaitForEndAsync();
        await rig.AssertRecordsAsync("device-0001 deviceConnect", "device-0001 deviceDisconnect/429002");
        rig.Server.AdvanceMetrics();
        Assert.Equal((2, 1, 1), (
            rig.Server.Metrics.Sum(HubMetric.TelemetryAttempts), rig.Server.Metrics.Sum(HubMetric.TelemetrySuccess),
            rig.Server.Metrics.Sum(HubMetric.TelemetryThrottled)));
    }

    [Fact]
    public async Task In_the_queue_a_message_is_taken_and_its_acknowledgement_waits()
    {
        await using var rig = new HubRig(time: time, hub: new HubOptions { Throttle = true });
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        _ = rig.Server.AdmitAsync(ThrottleKind.Telemetry, 6500);

        Task<bool> acknowledged = device.PublishAsync(Events);
        await HubRig.WaitAsync(() => rig.Server.TelemetryCount == 1, seconds: 10);
        Assert.Equal(1, rig.Server.TelemetryCount);
        await Task.Delay(100);
        Assert.False(acknowledged.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(4.9));
        await Task.Delay(100);
        Assert.False(acknowledged.IsCompleted);
        await AdvanceUntilAsync(acknowledged);
        Assert.True(await acknowledged);
    }

    [Fact]
    public async Task When_the_day_is_used_up_sending_is_cut_with_403002_and_connecting_is_not_until_midnight()
    {
        await using var rig = new HubRig(time: time, hub: new HubOptions { Tier = "F1", Throttle = true });
        await using (TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0))
        {
            for (int sent = 0; sent < 8000; sent += 2000)
            {
                for (int i = 0; i < 2000; i++)
                {
                    await device.PublishOnceAsync(Events, "x");
                }

                await HubRig.WaitAsync(() => rig.Server.TelemetryCount == sent + 2000, seconds: 20);
                time.Advance(TimeSpan.FromSeconds(30));
            }

            Assert.False(await device.PublishAsync(Events));
        }

        await using (TestDevice again = await TestDevice.ConnectAsync(rig.Server, 0))
        {
            Assert.False(await again.PublishAsync(Events));
        }

        await rig.AssertRecordsAsync(
            "device-0001 deviceConnect", "device-0001 deviceDisconnect/403002",
            "device-0001 deviceConnect", "device-0001 deviceDisconnect/403002");
        Assert.Equal(8000, rig.Server.TelemetryCount);
        Assert.Equal(403002, (await rig.Server.SendAsync(rig.Server.Registry.Devices[0], new CommandMessage()))?.Code);

        time.Advance(TimeSpan.FromHours(12));
        await using TestDevice tomorrow = await TestDevice.ConnectAsync(rig.Server, 0);
        Assert.True(await tomorrow.PublishAsync(Events));
    }

    [Fact]
    public async Task Twin_requests_beyond_the_throttle_are_answered_429_and_the_connection_lives()
    {
        await using var rig = new HubRig(time: time, hub: new HubOptions { Throttle = true });
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        await device.SubscribeAsync(0, "$iothub/twin/res/#");
        _ = rig.Server.AdmitAsync(ThrottleKind.TwinReads, 7500);
        _ = rig.Server.AdmitAsync(ThrottleKind.TwinUpdates, 3750);

        await device.PublishOnceAsync("$iothub/twin/GET/?$rid=a", "");
        Assert.Equal(("$iothub/twin/res/429/?$rid=a", ""), await device.ReadMessageAsync());
        await device.PublishOnceAsync("$iothub/twin/PATCH/properties/reported/?$rid=b", """{"a":1}""");
        Assert.Equal(("$iothub/twin/res/429/?$rid=b", ""), await device.ReadMessageAsync());
        time.Advance(TimeSpan.FromSeconds(76));
        await device.PublishOnceAsync("$iothub/twin/GET/?$rid=c", "");
        Assert.StartsWith("$iothub/twin/res/200/?$rid=c", (await device.ReadMessageAsync()).Topic, StringComparison.Ordinal);
        rig.Server.AdvanceMetrics();
        Assert.Equal((1, 1, 1), (
            rig.Server.Metrics.Sum(HubMetric.DeviceTwinReadFailure), rig.Server.Metrics.Sum(HubMetric.DeviceTwinUpdateFailure),
            rig.Server.Metrics.Sum(HubMetric.DeviceTwinReadSuccess)));
    }

    [Fact]
    public async Task A_service_beyond_the_throttle_waits_first_and_then_is_told_when_to_come_back()
    {
        await using var rig = new HubRig(time: time, hub: new HubOptions { Throttle = true });
        Assert.Null(await rig.Server.AdmitAsync(ThrottleKind.Registry, 100));
        Task<HubError?> queued = rig.Server.AdmitAsync(ThrottleKind.Registry, 25);
        Assert.False(queued.IsCompleted);
        HubAnswer<Device> refused = await rig.Server.CreateAsync(new IdentityDraft("new"));
        Assert.Equal((429001, "ThrottlingException", 1), (refused.Error!.Code, refused.Error.Name, refused.Error.RetryAfterSeconds));
        Assert.Equal(15, (await rig.Server.AdmitAsync(ThrottleKind.Registry, 25))!.RetryAfterSeconds);
        time.Advance(TimeSpan.FromSeconds(16));
        Assert.Null(await queued);
        time.Advance(TimeSpan.FromSeconds(60));
        Assert.Null((await rig.Server.CreateAsync(new IdentityDraft("new"))).Error);
    }

    [Fact]
    public async Task Over_HTTPS_a_throttled_request_says_when_to_come_back_and_one_let_through_is_counted()
    {
        await using var rig = new HubRig(time: time, hub: new HubOptions { Throttle = true });
        await using HubHttp http = await HubHttp.StartAsync(rig.Server, IPAddress.Loopback, 0);
        using HttpClient client = HubRig.ClientOf(rig.Server, http);
        client.DefaultRequestHeaders.TryAddWithoutValidation(
            "Authorization", FaultsOnDemandTests.TokenOf(rig.Server, "iothubowner"));
        byte[] twin = await client.GetByteArrayAsync("/twins/device-0001?api-version=2021-04-12");
        Assert.Null(await rig.Server.AdmitAsync(ThrottleKind.TwinReads, 5999));
        _ = rig.Server.AdmitAsync(ThrottleKind.TwinReads, 1500);
        _ = rig.Server.AdmitAsync(ThrottleKind.Registry, 125);
        _ = rig.Server.AdmitAsync(ThrottleKind.Queries, 25);

        foreach (string path in new[] { "/twins/device-0001", "/devices/device-0001", "/devices" })
        {
            using HttpResponseMessage refused = await client.GetAsync(path + "?api-version=2021-04-12");
            Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
            Assert.Equal("ThrottlingException", Assert.Single(refused.Headers.GetValues("iothub-errorcode")));
            Assert.InRange(refused.Headers.RetryAfter!.Delta!.Value, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(60));
        }

        using HttpResponseMessage query = await client.PostAsync(
            "/devices/query?api-version=2021-04-12", new StringContent("""{"query":"SELECT * FROM devices"}"""));
        Assert.Equal(3, query.Headers.RetryAfter!.Delta!.Value.TotalSeconds);
        rig.Server.AdvanceMetrics();
        Assert.Equal((1, twin.Length), (
            rig.Server.Metrics.Sum(HubMetric.ServiceTwinReadSuccess), rig.Server.Metrics.Sum(HubMetric.ServiceTwinReadSize)));
    }

    [Theory]
    [InlineData("$iothub/twin/res/#")]
    [InlineData("$iothub/methods/POST/#")]
    [InlineData("devices/device-0001/messages/devicebound/#")]
    public async Task On_a_Basic_hub_a_device_connects_and_sends_and_is_cut_when_it_subscribes_to_more(string filter)
    {
        await using var rig = new HubRig(time: time, hub: new HubOptions { Tier = "B1" });
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        Assert.True(await device.PublishAsync(Events));
        Assert.Empty(await device.SubscribeAsync(0, filter));
        await rig.AssertRecordsAsync("device-0001 deviceConnect", "device-0001 deviceDisconnect/404104");
    }

    [Fact]
    public async Task On_a_Basic_hub_a_service_is_answered_403010_for_what_the_tier_lacks()
    {
        await using var rig = new HubRig(time: time, hub: new HubOptions { Tier = "B2" });
        Device identity = rig.Server.Registry.Devices[0];
        Assert.Equal(403010, (await rig.Server.SendAsync(identity, new CommandMessage()))!.Code);
        Assert.Equal(403010, (await rig.Server.ChangeTwinAsync(identity, "{}"u8.ToArray(), null, replace: false)).Error!.Code);
        Assert.Equal(403010, (await rig.Server.CallAsync(identity, new MethodRequest("m", default, 5, 0), default)).Error!.Code);
        Assert.Null((await rig.Server.CreateAsync(new IdentityDraft("new"))).Error);
    }

    [Fact]
    public async Task A_hub_without_throttles_meters_and_lets_pass()
    {
        await using var rig = new HubRig(time: time, hub: new HubOptions { Tier = "F1" });
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        Assert.True(await device.PublishAsync(Events, new string('x', 100 * 1024)));
        time.Advance(TimeSpan.FromSeconds(11));
        Assert.Equal(200, rig.Server.Metrics.Level(HubMetric.DailyMessageQuotaUsed));
    }

    [Fact]
    public async Task ConnectionState_lags_and_lastActivityTime_does_not()
    {
        await using var rig = new HubRig(time: time);
        Device identity = rig.Server.Registry.Devices[1];
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 1, keepAlive: 1000);
        ConnectionView early = rig.Server.ViewOf(identity);
        time.Advance(TimeSpan.FromMinutes(5));
        ConnectionView late = rig.Server.ViewOf(identity);

        Assert.Equal(ManualTime.Start.ToUnixTimeMilliseconds(), early.LastActivityUtcMs);
        Assert.Equal((false, true), (early.IsConnected, late.IsConnected));
        Assert.InRange(
            late.UpdatedUtcMs!.Value, ManualTime.Start.ToUnixTimeMilliseconds(), ManualTime.Start.AddMinutes(5).ToUnixTimeMilliseconds());
        Assert.True(await device.PublishAsync("devices/device-0002/messages/events/"));
        Assert.Equal(ManualTime.Start.AddMinutes(5).ToUnixTimeMilliseconds(), rig.Server.ViewOf(identity).LastActivityUtcMs);
    }

    private async Task AdvanceUntilAsync(Task done)
    {
        for (int i = 0; i < 200 && !done.IsCompleted; i++)
        {
            time.Advance(TimeSpan.FromMilliseconds(50));
            await Task.WhenAny(done, Task.Delay(20));
        }
    }
}
