using System.Net;
using System.Text;
using System.Text.Json;
using Agent.Hub;
using Agent.Tests.Events;

namespace Agent.Tests.Hub;

/// <summary>Faults ordered of a running hub, by a service and by a device, and the records they leave.</summary>
[Collection(RealTime.Name)]
public sealed class FaultsOnDemandTests
{
    private const string Events = "devices/device-0001/messages/events/";
    private const string Connected = "device-0001 deviceConnect";
    private const string Closed = "device-0001 deviceDisconnect/404104";
    private readonly ManualTime time = new();

    [Theory]
    [InlineData("""{"kind":"tcpDrop","how":"fin","all":true}""", Closed)]
    [InlineData("""{"kind":"tcpDrop","how":"rst","devices":["device-0001"]}""", Closed)]
    [InlineData("""{"kind":"hubFailover","share":1}""", Closed)]
    [InlineData("""{"kind":"graceOver","all":true}""", "device-0001 deviceDisconnect/401003", Closed)]
    [InlineData("""{"kind":"throttle","all":true}""", "device-0001 deviceDisconnect/429002")]
    [InlineData("""{"kind":"deviceDisabled","all":true}""", "device-0001 deviceDisconnect/403012")]
    public async Task A_fault_that_ends_the_connection_leaves_the_record_of_its_cause(string order, params string[] records)
    {
        await using var rig = new HubRig(time: time);
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        Order(rig, order);
        time.Advance(TimeSpan.FromMilliseconds(10));
        await device.WaitForEndAsync();
        await rig.AssertRecordsAsync([Connected, .. records]);
    }

    [Theory]
    [InlineData("""{"kind":"refuse","code":3,"for":"00:01:00","all":true}""", "3", "500001")]
    [InlineData("""{"kind":"refuse","code":5,"for":"00:01:00","all":true}""", "5", "401003")]
    [InlineData("""{"kind":"throttle","for":"00:01:00","all":true}""", "hangs up", "429002")]
    [InlineData("""{"kind":"deviceDisabled","for":"00:01:00","all":true}""", "3", "403012")]
    [InlineData("""{"kind":"keyRotated","for":"00:01:00","all":true}""", "5", "401003")]
    public async Task A_fault_refuses_attempts_until_it_is_over(string order, string answer, string code)
    {
        await using var rig = new HubRig(time: time);
        string token = TestDevice.Token(rig.Server, 0, 3600);
        Order(rig, order);
        await using TestDevice refused = await TestDevice.DialAsync(rig.Server);
        await refused.SendConnectUnheardAsync("device-0001", token);
        (byte type, byte[] body) = await refused.ReadAsync();
        Assert.Equal(answer, type == 0 ? "hangs up" : $"{body[1]}");
        await HubRig.WaitAsync(() => rig.Records().Count == 1, seconds: 10);
        Assert.StartsWith($"device-0001 deviceConnect/{code}", Assert.Single(rig.Records()), StringComparison.Ordinal);

        time.Advance(TimeSpan.FromMinutes(2));
        Assert.Empty(rig.Server.Faults);
        await using TestDevice device = await TestDevice.DialAsync(rig.Server);
        Assert.Equal([0, 0], await device.SendConnectAsync("device-0001", token));
    }

    [Theory]
    [InlineData("""{"kind":"refuse","all":true}""")]
    [InlineData("""{"kind":"keyRotated","all":true}""")]
    [InlineData("""{"kind":"throttle","devices":["device-0002"]}""")]
    public async Task A_living_connection_is_left_alone_by_what_is_not_about_it(string order)
    {
        await using var rig = new HubRig(time: time);
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        Order(rig, order);
        Assert.True(await device.PublishAsync(Events));
        await rig.AssertRecordsAsync(Connected);
    }

    [Fact]
    public async Task While_the_quota_is_gone_sending_is_cut_and_connecting_is_not()
    {
        await using var rig = new HubRig(time: time);
        HubFault fault = Order(rig, """{"kind":"quotaExceeded","all":true}""");
        for (int i = 0; i < 2; i++)
        {
            await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
            Assert.False(await device.PublishAsync(Events));
        }

        await rig.AssertRecordsAsync(
            Connected, "device-0001 deviceDisconnect/403002", Connected, "device-0001 deviceDisconnect/403002");
        Assert.True(rig.Server.EndFault(fault.Id));
        await using TestDevice after = await TestDevice.ConnectAsync(rig.Server, 0);
        Assert.True(await after.PublishAsync(Events));
    }

    [Fact]
    public async Task A_silent_hub_answers_nothing_closes_nothing_and_goes_on_afterwards()
    {
        await using var rig = new HubRig(time: time);
        Device identity = rig.Server.Registry.Devices[0];
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0, keepAlive: 10);
        await device.SubscribeAsync(1, "devices/device-0001/messages/devicebound/#");
        HubFault fault = Order(rig, """{"kind":"silentHub","devices":["device-0001"],"for":"00:10:00"}""");
        await using TestDevice late = await TestDevice.DialAsync(rig.Server);
        await late.SendConnectUnheardAsync("device-0001", TestDevice.Token(rig.Server, 0, 3600));
        await device.PublishOnceAsync(Events, "unheard");
        Assert.Null(await rig.Server.SendAsync(identity, new CommandMessage { Payload = "later"u8.ToArray() }));
        time.Advance(TimeSpan.FromMinutes(9));

        Task<(byte, byte[])> first = device.ReadAsync();
        Task<(byte, byte[])> answer = late.ReadAsync();
        await Task.Delay(200);
        Assert.False(first.IsCompleted || answer.IsCompleted);
        Assert.Equal(0, rig.Server.TelemetryCount);
        Assert.Equal([Connected], rig.Records());

        // The keep-alive counts from the end of the silence.
        time.Advance(TimeSpan.FromSeconds(65));
        (byte type, byte[] _) = await first;
        Assert.Equal(0x30, type);
        Assert.True(await device.PublishAsync(Events));
        Assert.Equal(1, rig.Server.TelemetryCount);
        Assert.False(rig.Server.EndFault(fault.Id));
    }

    [Fact]
    public async Task Delayed_acknowledgements_come_late_and_in_order_also_when_the_fault_ends_in_between()
    {
        await using var rig = new HubRig(time: time);
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        HubFault fault = Order(rig, """{"kind":"ackDelay","by":"00:00:30","all":true}""");
        await SendAsync(device, 1);
        await SendAsync(device, 2);
        await HubRig.WaitAsync(() => rig.Server.TelemetryCount == 2, seconds: 10);
        rig.Server.EndFault(fault.Id);
        await SendAsync(device, 3);
        await HubRig.WaitAsync(() => rig.Server.TelemetryCount == 3, seconds: 10);
        Task<(byte Type, byte[] Body)> read = device.ReadAsync();
        time.Advance(TimeSpan.FromSeconds(29));
        await Task.Delay(100);
        Assert.False(read.IsCompleted);
        for (int i = 0; i < 100 && !read.IsCompleted; i++)
        {
            time.Advance(TimeSpan.FromMilliseconds(100));
            await Task.WhenAny(read, Task.Delay(20));
        }

        Assert.Equal([0, 1], (await read).Body);
        time.Advance(TimeSpan.FromSeconds(5));
        Assert.Equal([0, 2], (await device.ReadAsync()).Body);
        Assert.Equal([0, 3], (await device.ReadAsync()).Body);
        await SendAsync(device, 4);
        Assert.Equal([0, 4], (await device.ReadAsync()).Body);
    }

    [Fact]
    public async Task Disabling_by_fault_is_undone_only_by_who_did_it()
    {
        await using var rig = new HubRig(time: time);
        IReadOnlyList<Device> devices = rig.Server.Registry.Devices;
        rig.Server.SetEnabled(devices[0], false);
        HubFault first = Order(rig, """{"kind":"deviceDisabled","all":true}""");
        HubFault second = Order(rig, """{"kind":"deviceDisabled","devices":["device-0002"]}""");
        Assert.Equal((false, false), (devices[0].IsEnabled, devices[1].IsEnabled));
        rig.Server.EndFault(first.Id);
        Assert.Equal((false, false), (devices[0].IsEnabled, devices[1].IsEnabled));
        rig.Server.EndFault(second.Id);
        Assert.Equal((false, true), (devices[0].IsEnabled, devices[1].IsEnabled));
    }

    [Theory]
    [InlineData("KillTcp", Closed)]
    [InlineData("ShutDownMqtt", Closed)]
    [InlineData("InvokeThrottling", "device-0001 deviceDisconnect/429002")]
    [InlineData("InvokeMaxMessageQuota", "device-0001 deviceDisconnect/403002")]
    [InlineData("InvokeAuthError", "device-0001 deviceDisconnect/401003")]
    public async Task The_vendor_s_test_message_is_never_acknowledged_and_ends_the_connection_after_its_delay(string type, string record)
    {
        await using var rig = new HubRig(time: time);
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        Task<bool> acknowledged = device.PublishAsync(
            $"{Events}AzIoTHub_FaultOperationType={type}&AzIoTHub_FaultOperationCloseReason=boom"
            + "&AzIoTHub_FaultOperationDelayInSecs=5&AzIoTHub_FaultOperationDurationInSecs=10");
        await HubRig.WaitAsync(() => rig.Server.Faults.Count == 1, seconds: 10);
        time.Advance(TimeSpan.FromSeconds(4));
        await Task.Delay(100);
        Assert.False(acknowledged.IsCompleted);
        Assert.Equal([Connected], rig.Records());
        for (int i = 0; i < 100 && !acknowledged.IsCompleted; i++)
        {
            time.Advance(TimeSpan.FromMilliseconds(100));
            await Task.WhenAny(acknowledged, Task.Delay(20));
        }

        Assert.False(await acknowledged);
        await rig.AssertRecordsAsync(Connected, record);
        Assert.Equal(0, rig.Server.TelemetryCount);

        time.Advance(TimeSpan.FromSeconds(15));
        await using TestDevice again = await TestDevice.ConnectAsync(rig.Server, 0);
        Assert.True(await again.PublishAsync(Events));
    }

    [Fact]
    public async Task The_route_asks_for_both_rights_shows_what_is_on_and_ends_it()
    {
        await using var rig = new HubRig();
        await using HubHttp http = await HubHttp.StartAsync(rig.Server, IPAddress.Loopback, 0);
        using HttpClient client = HubRig.ClientOf(rig.Server, http);
        const string Body = """{"kind":"refuse","code":3,"for":"00:05:00","devices":["device-0001"]}""";

        Assert.Equal(HttpStatusCode.Unauthorized, (await SendAsync(client, HttpMethod.Post, "/local/faults", Body, null)).Status);
        Assert.Equal(
            HttpStatusCode.Unauthorized,
            (await SendAsync(client, HttpMethod.Post, "/local/faults", Body, TokenOf(rig.Server, "service"))).Status);
        Assert.Empty(rig.Server.Faults);

        string owner = TokenOf(rig.Server, "iothubowner");
        (HttpStatusCode status, string text) = await SendAsync(
            client, HttpMethod.Post, "/local/faults", """{"kind":"refuse","devices":["device-0001","x"]}""", owner);
        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Contains("$.devices[1]: there is no device", text, StringComparison.Ordinal);
        (status, text) = await SendAsync(client, HttpMethod.Post, "/local/faults", """{"kind":"refuse","all":1}""", owner);
        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Contains("$.all: expected true or false, found a number", text, StringComparison.Ordinal);

        (status, text) = await SendAsync(client, HttpMethod.Post, "/local/faults", Body, owner);
        Assert.True(status is HttpStatusCode.Created or HttpStatusCode.OK, $"{status}: {text}");
        int id = JsonDocument.Parse(text).RootElement.GetProperty("id").GetInt32();
        JsonElement listed = JsonDocument.Parse(await client.GetStringAsync("/local/faults")).RootElement.GetProperty("faults")[0];
        Assert.Equal(
            (id, "refuse", 1, "service"),
            (listed.GetProperty("id").GetInt32(), listed.GetProperty("kind").GetString(), listed.GetProperty("deviceCount").GetInt32(),
                listed.GetProperty("orderedBy").GetString()));
        Assert.Equal(
            TimeSpan.FromMinutes(5), listed.GetProperty("until").GetDateTimeOffset() - listed.GetProperty("from").GetDateTimeOffset());

        Assert.Equal(HttpStatusCode.Unauthorized, (await SendAsync(client, HttpMethod.Delete, $"/local/faults/{id}", "", null)).Status);
        Assert.Equal(HttpStatusCode.NoContent, (await SendAsync(client, HttpMethod.Delete, $"/local/faults/{id}", "", owner)).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await SendAsync(client, HttpMethod.Delete, $"/local/faults/{id}", "", owner)).Status);
        Assert.Equal("""{"faults":[]}""", await client.GetStringAsync("/local/faults"));
    }

    [Fact]
    public async Task Metrics_are_served_in_the_shape_of_Azure_Monitor()
    {
        await using var rig = new HubRig();
        await using HubHttp http = await HubHttp.StartAsync(rig.Server, IPAddress.Loopback, 0);
        using HttpClient client = HubRig.ClientOf(rig.Server, http);
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        Assert.True(await device.PublishAsync(Events, "hello"));
        JsonElement answer = JsonDocument.Parse(await client.GetStringAsync(
            "/local/metrics?metricnames=d2c.telemetry.ingress.success,connectedDeviceCount&timespan=PT5M&interval=FULL")).RootElement;
        JsonElement point = answer.GetProperty("value")[0].GetProperty("timeseries")[0].GetProperty("data")[0];
        Assert.Equal(1, point.GetProperty("total").GetDouble());
        Assert.EndsWith(
            "/IOTHUBS/LOCALHOST/providers/Microsoft.Insights/metrics/d2c.telemetry.ingress.success",
            answer.GetProperty("value")[0].GetProperty("id").GetString(), StringComparison.Ordinal);

        HttpResponseMessage refused = await client.GetAsync("/local/metrics?metricnames=nonsense");
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        Assert.Contains("no metric is called", await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    private static HubFault Order(HubRig rig, string body)
    {
        HubAnswer<HubFault> answer = rig.Server.OrderFault(HubFaultOrder.Parse(Encoding.UTF8.GetBytes(body)));
        Assert.Null(answer.Error);
        return answer.Value!;
    }

    private static Task SendAsync(TestDevice device, byte packetId) =>
        device.SendAsync(0x32, [0, (byte)Events.Length, .. Encoding.ASCII.GetBytes(Events), 0, packetId]);

    internal static string TokenOf(HubServer hub, string policy)
    {
        Assert.True(hub.Registry.TryFindPolicy(Encoding.ASCII.GetBytes(policy), out AccessPolicy? found));
        return SasTokenWriter.Write(
            "localhost", found.PrimaryKey, DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 600, found.Name);
    }

    private static async Task<(HttpStatusCode Status, string Text)> SendAsync(
        HttpClient client, HttpMethod method, string path, string body, string? token)
    {
        using var request = new HttpRequestMessage(method, path) { Content = new StringContent(body) };
        if (token is not null)
        {
            request.Headers.TryAddWithoutValidation("Authorization", token);
        }

        using HttpResponseMessage response = await client.SendAsync(request);
        return (response.StatusCode, await response.Content.ReadAsStringAsync());
    }
}
