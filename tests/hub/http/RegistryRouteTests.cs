using System.Text.Json;
using Agent.Hub;

namespace Agent.Tests.Hub.Http;

/// <summary>Identities over HTTPS.</summary>
public sealed class RegistryRouteTests
{
    [Fact]
    public async Task An_identity_has_the_members_the_cloud_shows_and_no_others()
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        HttpReply made = (await rig.SendAsync("PUT", "/devices/pump", """{"deviceId":"pump"}""")).Ok();

        Assert.Equal(
            "deviceId generationId etag connectionState status statusReason statusUpdatedTime connectionStateUpdatedTime lastActivityTime "
            + "cloudToDeviceMessageCount authentication capabilities",
            string.Join(' ', made.Json.EnumerateObject().Select(member => member.Name)));
        Assert.Equal("enabled", made.Json.GetProperty("status").GetString());
        Assert.Equal("Disconnected", made.Json.GetProperty("connectionState").GetString());
        Assert.Equal("0001-01-01T00:00:00Z", made.Json.GetProperty("lastActivityTime").GetString());
        Assert.Equal(0, made.Json.GetProperty("cloudToDeviceMessageCount").GetInt32());
        JsonElement authentication = made.Json.GetProperty("authentication");
        Assert.Equal("sas", authentication.GetProperty("type").GetString());
        Assert.Equal(32, authentication.GetProperty("symmetricKey").GetProperty("primaryKey").GetBytesFromBase64().Length);
        Assert.NotEqual(
            authentication.GetProperty("symmetricKey").GetProperty("primaryKey").GetString(),
            authentication.GetProperty("symmetricKey").GetProperty("secondaryKey").GetString());
        Assert.Equal(JsonValueKind.Null, authentication.GetProperty("x509Thumbprint").GetProperty("primaryThumbprint").ValueKind);
        Assert.Equal(made.BodyETag, made.ETag);
        Assert.Equal(made.Body, (await rig.GetAsync("/devices/pump")).Ok().Body);
    }

    [Fact]
    public async Task Creating_what_is_there_is_a_conflict_and_changes_nothing()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        string before = (await rig.GetAsync("/devices/device-0001")).Ok().Body;

        string text = (await rig.SendAsync("PUT", "/devices/device-0001", """{"deviceId":"device-0001","status":"disabled"}"""))
            .Refused(409, "DeviceAlreadyExists");

        Assert.Equal("A device with ID 'device-0001' is already registered.", text);
        Assert.Equal(before, (await rig.GetAsync("/devices/device-0001")).Ok().Body);
    }

    [Fact]
    public async Task An_update_needs_the_etag_or_a_star()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        string body = """{"deviceId":"device-0001","status":"disabled","statusReason":"lost"}""";
        HttpReply first = (await rig.GetAsync("/devices/device-0001")).Ok();

        (await rig.SendAsync("PUT", "/devices/device-0001", body, ifMatch: "\"AAAA\"")).Refused(412, "PreconditionFailed");
        HttpReply second = (await rig.SendAsync("PUT", "/devices/device-0001", body, ifMatch: $"\"{first.ETag}\"")).Ok();
        (await rig.SendAsync("PUT", "/devices/device-0001", body, ifMatch: $"\"{first.ETag}\"")).Refused(412, "PreconditionFailed");
        HttpReply third = (await rig.SendAsync("PUT", "/devices/device-0001", """{"deviceId":"device-0001"}""", ifMatch: "\"*\"")).Ok();

        Assert.Equal(("disabled", "lost"),
            (second.Json.GetProperty("status").GetString(), second.Json.GetProperty("statusReason").GetString()));
        Assert.NotEqual(UtcText.Never, second.Json.GetProperty("statusUpdatedTime").GetString());
        Assert.Equal("enabled", third.Json.GetProperty("status").GetString());
        Assert.Equal(3, new[] { first.ETag, second.ETag, third.ETag }.Distinct().Count());
        Assert.Equal(
            first.Json.GetProperty("authentication").GetRawText(), third.Json.GetProperty("authentication").GetRawText());
    }

    [Fact]
    public async Task Nobody_can_be_changed_read_or_deleted_when_nobody_is_there()
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        (await rig.GetAsync("/devices/nobody")).Refused(404, "DeviceNotFound");
        (await rig.SendAsync("PUT", "/devices/nobody", "{}", ifMatch: "*")).Refused(404, "DeviceNotFound");
        (await rig.SendAsync("DELETE", "/devices/nobody", ifMatch: "*")).Refused(404, "DeviceNotFound");
        (await rig.GetAsync("/devices/nobody/modules")).Refused(404, "DeviceNotFound");
        (await rig.GetAsync("/devices/nobody/modules/m")).Refused(404, "DeviceNotFound");
        (await rig.GetAsync("/devices/DEVICE-0001")).Refused(404, "DeviceNotFound");
    }

    [Fact]
    public async Task A_deleted_identity_is_gone_and_its_successor_is_another()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        HttpReply first = (await rig.GetAsync("/devices/device-0001")).Ok();

        (await rig.SendAsync("DELETE", "/devices/device-0001", ifMatch: "\"AAAA\"")).Refused(412, "PreconditionFailed");
        Assert.Equal("", (await rig.SendAsync("DELETE", "/devices/device-0001", ifMatch: $"\"{first.ETag}\"")).Ok(204).Body);
        (await rig.GetAsync("/devices/device-0001")).Refused(404, "DeviceNotFound");
        HttpReply second = (await rig.SendAsync("PUT", "/devices/device-0001", "{}")).Ok();

        Assert.NotEqual(
            first.Json.GetProperty("generationId").GetString(), second.Json.GetProperty("generationId").GetString());
    }

    [Fact]
    public async Task Given_keys_and_thumbprints_are_kept()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        string key = Convert.ToBase64String(new byte[32]), other = Convert.ToBase64String([.. Enumerable.Repeat((byte)7, 64)]);
        string print = new('a', 40);

        JsonElement sas = (await rig.SendAsync("PUT", "/devices/s", Keys(key, other))).Ok().Json.GetProperty("authentication");
        JsonElement x509 = (await rig.SendAsync("PUT", "/devices/x", $$$"""
            {"authentication":{"symmetricKey":{"primaryKey":"","secondaryKey":null},"x509Thumbprint":{"primaryThumbprint":"{{{print}}}"}},
             "capabilities":{"iotEdge":true}}
            """)).Ok().Json;

        Assert.Equal(key, sas.GetProperty("symmetricKey").GetProperty("primaryKey").GetString());
        Assert.Equal(other, sas.GetProperty("symmetricKey").GetProperty("secondaryKey").GetString());
        JsonElement proof = x509.GetProperty("authentication");
        Assert.Equal("selfSigned", proof.GetProperty("type").GetString());
        Assert.Equal(print.ToUpperInvariant(), proof.GetProperty("x509Thumbprint").GetProperty("primaryThumbprint").GetString());
        Assert.Equal(JsonValueKind.Null, proof.GetProperty("symmetricKey").GetProperty("primaryKey").ValueKind);
        Assert.True(x509.GetProperty("capabilities").GetProperty("iotEdge").GetBoolean());
        Assert.StartsWith("ms-azure-iot-edge://x-", x509.GetProperty("deviceScope").GetString());
    }

    [Theory]
    [InlineData("""[]""", "must be a JSON object")]
    [InlineData("""{"deviceId":"other"}""", "deviceId is not the one in the path")]
    [InlineData("""{"deviceId":"pump","moduleId":"m"}""", "moduleId does not belong")]
    [InlineData("""{"status":"broken"}""", "status must be enabled or disabled")]
    [InlineData("""{"status":1}""", "status must be a text")]
    [InlineData("""{"authentication":7}""", "authentication must be an object")]
    [InlineData("""{"authentication":{"type":"magic"}}""", "authentication.type must be")]
    [InlineData("""{"authentication":{"type":"none"}}""", "authentication.type must be")]
    [InlineData("""{"authentication":{"symmetricKey":{"primaryKey":"AAAA","secondaryKey":"AAAA"}}}""", "base64 of 16 to 64 bytes")]
    [InlineData("""{"authentication":{"symmetricKey":{"primaryKey":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}}""", "both keys or neither")]
    [InlineData("""{"authentication":{"x509Thumbprint":{"primaryThumbprint":"abc"}}}""", "40 (SHA-1) or 64 (SHA-256) hex digits")]
    [InlineData("""{"authentication":{"type":"selfSigned"}}""", "needs a thumbprint")]
    [InlineData("""{"capabilities":{"iotEdge":"yes"}}""", "iotEdge must be true or false")]
    [InlineData("""{"statusReason":"\ud800"}""", "not valid JSON")]
    [InlineData("""{"status":"enabled","status":"disabled"}""", "not valid JSON")]
    [InlineData("", "not valid JSON")]
    public async Task A_wrong_identity_is_refused_with_the_reason(string body, string reason)
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        Assert.Contains(reason, (await rig.SendAsync("PUT", "/devices/pump", body)).Refused(400, "ArgumentInvalid"));
        (await rig.GetAsync("/devices/pump")).Refused(404, "DeviceNotFound");
    }

    [Fact]
    public async Task All_problems_are_told_at_once_and_no_value_is_repeated()
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        string text = (await rig.SendAsync("PUT", "/devices/pump", """
            {"deviceId":"secretive","status":"hidden","authentication":{"symmetricKey":{"primaryKey":"hush","secondaryKey":"hush"}}}
            """)).Refused(400, "ArgumentInvalid");

        Assert.Equal(4, text.Split(", authentication.").Length + text.Split(", status").Length - 1);
        Assert.DoesNotMatch("secretive|hidden|hush", text);
    }

    [Fact]
    public async Task Ids_may_have_every_character_the_cloud_allows_and_no_other()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        foreach (string id in new[] { "a%b", "50%25", "..", ".", "a#b?c", "x+y", "$;,=@!*()':_-", "query", new string('x', 128) })
        {
            string path = "/devices/" + Uri.EscapeDataString(id);
            (await rig.SendAsync("PUT", path, JsonSerializer.Serialize(new { deviceId = id }))).Ok();
            Assert.Equal(id, (await rig.GetAsync(path)).Ok().Json.GetProperty("deviceId").GetString());
            (await rig.SendAsync("DELETE", path, ifMatch: "*")).Ok(204);
        }

        foreach (string bad in new[] { "a%20b", "a%2Fb", "%C3%A4", "a%", "a%zz", "%01", new string('x', 129) })
        {
            (await rig.SendAsync("PUT", "/devices/" + bad, "{}")).Refused(400, "ArgumentInvalid");
        }

        // These the web server turns away before they reach a route.
        Assert.Equal(400, (await rig.SendAsync("PUT", "/devices/%00", "{}")).Status);
        Assert.Equal(400, (await rig.SendAsync("PUT", "/devices/%FF", "{}")).Status);
    }

    [Fact]
    public async Task A_list_has_the_devices_without_their_modules_and_no_more_than_asked_for()
    {
        await using HttpRig rig = await HttpRig.StartAsync(devices: 5);
        (await rig.SendAsync("PUT", "/devices/device-0001/modules/m", "{}")).Ok();
        (await rig.SendAsync("DELETE", "/devices/device-0002", ifMatch: "*")).Ok(204);

        Assert.Equal(["device-0001", "device-0003", "device-0004", "device-0005"], await IdsAsync(rig, "/devices"));
        Assert.Equal(["device-0001", "device-0003", "device-0004", "device-0005"], await IdsAsync(rig, $"/devices/?{HttpRig.Version}"));
        Assert.Equal(["device-0001", "device-0003"], await IdsAsync(rig, $"/devices?top=2&{HttpRig.Version}"));
        foreach (string top in new[] { "0", "1001", "-1", "x", "1.5", "%20" })
        {
            (await rig.GetAsync($"/devices?top={top}&{HttpRig.Version}")).Refused(400, "ArgumentInvalid");
        }
    }

    [Fact]
    public async Task Modules_live_and_die_with_their_device()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        (await rig.SendAsync("PUT", "/devices/nobody/modules/m", "{}")).Refused(404, "DeviceNotFound");
        HttpReply made = (await rig.SendAsync("PUT", "/devices/device-0001/modules/m", """
            {"deviceId":"device-0001","moduleId":"m","managedBy":"somebody"}
            """)).Ok();
        Assert.Equal(
            "moduleId managedBy deviceId generationId etag connectionState connectionStateUpdatedTime lastActivityTime "
            + "cloudToDeviceMessageCount authentication",
            string.Join(' ', made.Json.EnumerateObject().Select(member => member.Name)));
        Assert.Equal("somebody", made.Json.GetProperty("managedBy").GetString());
        (await rig.SendAsync("PUT", "/devices/device-0001/modules/m", "{}")).Refused(409, "ModuleAlreadyExistsOnDevice");
        (await rig.SendAsync("PUT", "/devices/device-0001/modules/m", "{}", ifMatch: "AAAA")).Refused(412, "PreconditionFailed");
        (await rig.SendAsync("PUT", "/devices/device-0001/modules/m", "{}", ifMatch: made.ETag)).Ok();
        (await rig.GetAsync("/devices/device-0001/modules/other")).Refused(404, "ModuleNotFound");
        Assert.Equal("m", (await rig.GetAsync("/devices/device-0001/modules")).Ok().Json[0].GetProperty("moduleId").GetString());

        (await rig.SendAsync("DELETE", "/devices/device-0001", ifMatch: "*")).Ok(204);
        (await rig.SendAsync("PUT", "/devices/device-0001", "{}")).Ok();
        Assert.Equal("[]", (await rig.GetAsync("/devices/device-0001/modules")).Ok().Body);
    }

    [Fact]
    public async Task Statistics_count_devices_and_connections()
    {
        await using HttpRig rig = await HttpRig.StartAsync(devices: 3);
        (await rig.SendAsync("PUT", "/devices/device-0002", """{"status":"Disabled"}""", ifMatch: "*")).Ok();
        (await rig.SendAsync("PUT", "/devices/device-0001/modules/m", "{}")).Ok();
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);

        Assert.Equal(
            """{"totalDeviceCount":3,"enabledDeviceCount":2,"disabledDeviceCount":1}""",
            (await rig.GetAsync("/statistics/devices")).Ok().Body);
        Assert.Equal("""{"connectedDeviceCount":1}""", (await rig.GetAsync("/statistics/service")).Ok().Body);

        // connectionState lags by up to five minutes, the count does not.
        rig.Time.Advance(TimeSpan.FromMinutes(5));
        JsonElement shown = (await rig.GetAsync("/devices/device-0001")).Ok().Json;
        Assert.Equal("Connected", shown.GetProperty("connectionState").GetString());
    }

    [Fact]
    public async Task Disabling_over_HTTPS_ends_the_connection()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);

        (await rig.SendAsync("PUT", "/devices/device-0001", """{"status":"disabled"}""", ifMatch: "*")).Ok();

        await device.WaitForEndAsync();
    }

    private static string Keys(string primary, string secondary) =>
        $$$$"""{"authentication":{"type":"SAS","symmetricKey":{"primaryKey":"{{{{primary}}}}","secondaryKey":"{{{{secondary}}}}"}}}""";

    private static async Task<string[]> IdsAsync(HttpRig rig, string path) =>
        [.. (await rig.GetAsync(path)).Ok().Json.EnumerateArray().Select(device => device.GetProperty("deviceId").GetString()!)];
}
