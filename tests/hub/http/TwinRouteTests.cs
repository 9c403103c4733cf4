using System.Text;
using System.Text.Json;

namespace Agent.Tests.Hub.Http;

/// <summary>Twins, queries and direct methods over HTTPS, with a device on MQTT at the other end.</summary>
public sealed class TwinRouteTests
{
    private const string One = "/twins/device-0001";
    private const string MaxCount = "x-ms-max-item-count";

    [Fact]
    public async Task A_twin_is_read_patched_and_replaced_under_its_etag()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        HttpReply first = (await rig.GetAsync(One)).Ok();
        Assert.Equal(first.BodyETag, first.ETag);

        HttpReply second = (await rig.SendAsync(
            "PATCH", One, """{"tags":{"site":"mill"},"properties":{"desired":{"a":1,"b":2}}}""", ifMatch: $"\"{first.ETag}\"")).Ok();
        (await rig.SendAsync("PATCH", One, """{"tags":{}}""", ifMatch: $"\"{first.ETag}\"")).Refused(412, "PreconditionFailed");
        (await rig.SendAsync("PUT", One, """{"tags":{}}""", ifMatch: first.ETag)).Refused(412, "PreconditionFailed");
        HttpReply third = (await rig.SendAsync("PUT", One, """{"properties":{"desired":{"c":3}}}""", ifMatch: "\"*\"")).Ok();

        JsonElement desired = third.Json.GetProperty("properties").GetProperty("desired");
        Assert.Equal(2, second.Json.GetProperty("properties").GetProperty("desired").GetProperty("b").GetInt32());
        Assert.Equal(3, desired.GetProperty("c").GetInt32());
        Assert.False(desired.TryGetProperty("a", out _));
        Assert.Equal("mill", third.Json.GetProperty("tags").GetProperty("site").GetString());
        Assert.Equal(third.Body, (await rig.GetAsync(One)).Ok().Body);
        (await rig.SendAsync("PATCH", One, """{"properties":{"desired":{"d":[1,]}}}""")).Refused(400, "ArgumentInvalid");
        (await rig.SendAsync("PATCH", "/twins/nobody", "{}")).Refused(404, "DeviceNotFound");
        (await rig.GetAsync("/twins/device-0001/modules/m")).Refused(404, "ModuleNotFound");
    }

    [Fact]
    public async Task A_modules_twin_is_its_own()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        (await rig.SendAsync("PUT", "/devices/device-0001/modules/m", "{}")).Ok();

        HttpReply changed = (await rig.SendAsync("PATCH", "/twins/device-0001/modules/m", """{"properties":{"desired":{"a":1}}}""")).Ok();

        Assert.Equal("m", changed.Json.GetProperty("moduleId").GetString());
        JsonElement device = (await rig.GetAsync(One)).Ok().Json;
        Assert.False(device.GetProperty("properties").GetProperty("desired").TryGetProperty("a", out _));
    }

    [Fact]
    public async Task A_connected_device_hears_of_desired_properties()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        await device.SubscribeAsync(0, "$iothub/twin/PATCH/properties/desired/#");

        (await rig.SendAsync("PATCH", One, """{"properties":{"desired":{"a":1}}}""")).Ok();

        (byte type, byte[] body) = await device.ReadAsync();
        Assert.Equal(0x30, type);
        Assert.EndsWith("""desired/?$version=2{"a":1,"$version":2}""", Encoding.UTF8.GetString(body));
    }

    [Fact]
    public async Task A_query_answers_in_pages()
    {
        await using HttpRig rig = await HttpRig.StartAsync(devices: 5);
        (await rig.SendAsync("DELETE", "/devices/device-0003", ifMatch: "*")).Ok(204);
        (await rig.SendAsync("PUT", "/devices/device-0001/modules/m", "{}")).Ok();
        var seen = new List<string>();
        string? next = null;
        do
        {
            (string, string)[] headers = next is null ? [(MaxCount, "3")] : [(MaxCount, "3"), ("x-ms-continuation", next)];
            HttpReply page = await rig.SendAsync("POST", "/devices/query", """{"query":"SELECT * FROM devices"}""", headers: headers);
            page.Ok();
            Assert.Equal("Twin", page.Headers["x-ms-item-type"]);
            seen.AddRange(page.Json.EnumerateArray().Select(twin => twin.GetProperty("deviceId").GetString()!));
            next = page.Headers.GetValueOrDefault("x-ms-continuation");
        }
        while (next is not null && seen.Count < 10);

        Assert.Equal(["device-0001", "device-0002", "device-0004", "device-0005"], seen);
        HttpReply count = (await rig.SendAsync("POST", "/devices/query", """{"query":"SELECT COUNT() AS n FROM devices"}""")).Ok();
        Assert.Equal(("Raw", """[{"n":4}]"""), (count.Headers["x-ms-item-type"], count.Body));
    }

    [Theory]
    [InlineData("""{"query":"SELECT * FROM devices"}""", MaxCount, "0")]
    [InlineData("""{"query":"SELECT * FROM devices"}""", MaxCount, "1001")]
    [InlineData("""{"query":"SELECT * FROM devices"}""", MaxCount, "many")]
    [InlineData("""{"query":"SELECT * FROM devices"}""", "x-ms-continuation", "made-up")]
    [InlineData("""{"query":"SELECT"}""", "x", "y")]
    [InlineData("""{"query":7}""", "x", "y")]
    [InlineData("", "x", "y")]
    public async Task A_query_that_is_none_is_refused(string body, string name, string value)
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        (await rig.SendAsync("POST", "/devices/query", body, headers: (name, value))).Refused(400, "ArgumentInvalid");
    }

    [Fact]
    public async Task A_method_is_carried_to_the_device_and_its_answer_back()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        await device.SubscribeAsync(0, "$iothub/methods/POST/#");

        Task<HttpReply> asked = rig.SendAsync("POST", One + "/methods", """{"methodName":"double","payload":{"n":21}}""");
        string request = Encoding.UTF8.GetString((await device.ReadAsync()).Body[2..]);
        Assert.StartsWith("$iothub/methods/POST/double/?$rid=", request);
        Assert.EndsWith("""{"n":21}""", request);
        string id = request["$iothub/methods/POST/double/?$rid=".Length..request.IndexOf('{', StringComparison.Ordinal)];
        await device.SendAsync(0x30, Publish($"$iothub/methods/res/200/?$rid={id}", "42"));

        Assert.Equal("""{"status":200,"payload":42}""", (await asked).Ok().Body);
    }

    [Fact]
    public async Task A_methods_error_is_worded_in_the_clouds_second_form()
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        HttpReply offline = await rig.SendAsync("POST", One + "/methods", """{"methodName":"double"}""");
        HttpReply unknown = await rig.SendAsync("POST", "/twins/nobody/methods", """{"methodName":"double"}""");
        HttpReply wrong = await rig.SendAsync("POST", One + "/methods", """{"methodName":"a b","responseTimeoutInSeconds":1}""");

        foreach ((HttpReply reply, int code, string name) in new[]
        {
            (offline, 404103, "DeviceNotOnline"), (unknown, 404001, "DeviceNotFound"), (wrong, 400004, "ArgumentInvalid"),
        })
        {
            Assert.Equal(code / 1000, reply.Status);
            Assert.Equal(name, reply.Headers["iothub-errorcode"]);
            JsonElement inner = JsonDocument.Parse(reply.Json.GetProperty("Message").GetString()!).RootElement;
            Assert.Equal(code, inner.GetProperty("errorCode").GetInt32());
            Assert.NotEmpty(inner.GetProperty("trackingId").GetString()!);
        }
    }

    [Fact]
    public async Task A_caller_who_hangs_up_does_not_keep_the_call()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        await device.SubscribeAsync(0, "$iothub/methods/POST/#");
        // As many as a device may have open at once; each ends with its connection, or the last call below is throttled.
        for (int i = 0; i < Agent.Hub.MethodCalls.PerDeviceMax; i++)
        {
            await using RawHttp caller = await RawHttp.DialAsync(rig);
            await caller.SendAsync(
                $"POST /twins/device-0001/methods?{HttpRig.Version} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {rig.Token()}\r\n"
                + "Content-Length: 21\r\n\r\n{\"methodName\":\"ring\"}");
            await device.ReadAsync();
        }

        HttpReply last = new(0, "", new Dictionary<string, string>());
        for (int i = 0; i < 100 && last.Status is 0 or 429; i++)
        {
            Task<HttpReply> asked = rig.SendAsync(
                "POST", One + "/methods", """{"methodName":"ring","responseTimeoutInSeconds":5}""");
            last = await Task.WhenAny(asked, device.ReadAsync()) == asked ? await asked : new HttpReply(200, "", last.Headers);
        }

        Assert.Equal(200, last.Status);
    }

    private static byte[] Publish(string topic, string message)
    {
        byte[] text = Encoding.UTF8.GetBytes(topic);
        return [(byte)(text.Length >> 8), (byte)text.Length, .. text, .. Encoding.UTF8.GetBytes(message)];
    }
}
