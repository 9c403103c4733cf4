using System.Text;
using System.Text.Json;

namespace Agent.Tests.Hub.Http;

/// <summary>Cloud-to-device messages and their feedback over HTTPS, with a device on MQTT at the other end.</summary>
public sealed class MessageRouteTests
{
    private const string Send = "/local/devices/device-0001/messages/devicebound";

    [Fact]
    public async Task An_envelope_reaches_the_device_with_everything_in_it()
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        HttpReply sent = (await rig.SendAsync("POST", Send, """
            {"body":{"open":true},"messageId":"m-1","correlationId":"c-1","userId":"u","contentType":"application/json",
             "contentEncoding":"utf-8","ack":"full","timeToLiveSeconds":60,"properties":{"valve":"7 & 8","bare":null,"empty":""}}
            """)).Ok();

        Assert.Equal("""{"messageId":"m-1"}""", sent.Body);
        (string topic, string body) = await ReceiveAsync(rig);
        Assert.Equal("""{"open":true}""", body);
        Assert.Matches(
            "^devices/device-0001/messages/devicebound/%24.mid=m-1&%24.cid=c-1&%24.uid=u"
            + "&%24.to=%2Fdevices%2Fdevice-0001%2Fmessages%2FdeviceBound&%24.ct=application%2Fjson&%24.ce=utf-8"
            + "&%24.exp=[^&]+&iothub-ack=full&valve=7%20%26%208&bare&empty=$", topic);
    }

    [Fact]
    public async Task A_raw_body_reaches_the_device_with_what_its_headers_say()
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        (await rig.SendAsync(
            "POST", Send, "{ not JSON", type: "application/octet-stream", headers:
            [
                ("iothub-messageid", "m-2"), ("iothub-ack", "positive"), ("iothub-expiry", "2099-01-31T12:00:00Z"),
            ])).Refused(403, "InvalidMessageExpiryTime");
        (await rig.SendAsync(
            "POST", Send, "{ not JSON", type: "", headers:
            [
                ("iothub-messageid", "m-2"), ("iothub-ack", "positive"), ("iothub-correlationid", "c"),
                ("iothub-contenttype", "text/plain"), ("iothub-app-valve", "7"),
            ])).Ok();

        (string topic, string body) = await ReceiveAsync(rig);
        Assert.Equal("{ not JSON", body);
        Assert.EndsWith("iothub-ack=positive&valve=7", topic);
        Assert.Contains("%24.mid=m-2&", topic);
    }

    [Fact]
    public async Task A_text_and_base64_are_sent_as_what_they_mean_and_a_message_without_an_id_gets_one()
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        string id = (await rig.SendAsync("POST", Send, """{"body":"hällo"}""")).Ok().Json.GetProperty("messageId").GetString()!;
        (string topic, string body) = await ReceiveAsync(rig);
        Assert.Equal("hällo", body);
        Assert.Contains(id, topic);

        (await rig.SendAsync("POST", Send, """{"bodyBase64":"aMOkbGxv"}""")).Ok();
        Assert.Equal("hällo", (await ReceiveAsync(rig)).Body);
        (await rig.SendAsync("POST", Send, "{}")).Ok();
        Assert.Equal("", (await ReceiveAsync(rig)).Body);
    }

    [Theory]
    [InlineData("7", "must be a JSON object")]
    [InlineData("""{"body":"x","bodyBase64":"eA=="}""", "not both")]
    [InlineData("""{"bodyBase64":"%"}""", "must be base64")]
    [InlineData("""{"bodyBase64":7}""", "must be base64")]
    [InlineData("""{"messageId":"a b"}""", "characters ids have")]
    [InlineData("""{"messageId":7}""", "messageId must be a text")]
    [InlineData("""{"ack":"maybe"}""", "ack must be")]
    [InlineData("""{"expiryTimeUtc":"tomorrow"}""", "written like")]
    [InlineData("""{"timeToLiveSeconds":0}""", "1 to 172800")]
    [InlineData("""{"timeToLiveSeconds":172801}""", "1 to 172800")]
    [InlineData("""{"timeToLiveSeconds":1,"expiryTimeUtc":"2099-01-31T12:00:00Z"}""", "not both")]
    [InlineData("""{"properties":[]}""", "must be an object")]
    [InlineData("""{"properties":{"a":1}}""", "a must be a text")]
    [InlineData("""{"properties":{"$.to":"x"}}""", "not begin with $")]
    [InlineData("""{"properties":{"":"x"}}""", "1 to 256 printable")]
    [InlineData("""{"to":"x"}""", "unknown member to")]
    [InlineData("""{"body":"\ud800"}""", "not valid JSON")]
    [InlineData("", "not valid JSON")]
    public async Task A_wrong_envelope_is_refused_with_the_reason(string body, string reason)
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        Assert.Contains(reason, (await rig.SendAsync("POST", Send, body)).Refused(400, "ArgumentInvalid"));
    }

    [Fact]
    public async Task The_queues_own_refusals_come_through()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        (await rig.SendAsync("POST", "/local/devices/nobody/messages/devicebound", "{}")).Refused(404, "DeviceNotFound");
        (await rig.SendAsync("POST", Send, new string('x', 65_537), type: "text/plain")).Refused(413, "MessageTooLarge");
        (await rig.SendAsync("POST", Send, new string('x', 400_000), type: "text/plain")).Refused(413, "MessageTooLarge");
        for (int i = 0; i < 50; i++)
        {
            (await rig.SendAsync("POST", Send, "{}")).Ok();
        }

        (await rig.SendAsync("POST", Send, "{}")).Refused(403, "DeviceMaximumQueueDepthExceeded");
        JsonElement shown = (await rig.GetAsync("/devices/device-0001")).Ok().Json;
        Assert.Equal(50, shown.GetProperty("cloudToDeviceMessageCount").GetInt32());
    }

    [Fact]
    public async Task A_purge_says_how_many_there_were()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        (await rig.SendAsync("POST", Send, "{}")).Ok();
        (await rig.SendAsync("POST", Send, "{}")).Ok();

        Assert.Equal(
            """{"totalMessagesPurged":2,"deviceId":"device-0001","moduleId":null}""",
            (await rig.SendAsync("DELETE", "/devices/device-0001/commands")).Ok().Body);
        Assert.Contains("""{"totalMessagesPurged":0,""", (await rig.SendAsync("DELETE", "/devices/device-0001/commands")).Ok().Body);
        (await rig.SendAsync("DELETE", "/devices/nobody/commands")).Refused(404, "DeviceNotFound");
    }

    [Theory]
    [InlineData("/messages/serviceBound/feedback")]
    [InlineData("/messages/servicebound/feedback")]
    public async Task Feedback_is_received_abandoned_and_completed(string path)
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        Assert.Equal("", (await rig.GetAsync(path)).Ok(204).Body);
        (await rig.SendAsync("POST", Send, """{"body":"x","messageId":"m-1","ack":"full"}""")).Ok();
        await ReceiveAsync(rig);
        rig.Time.Advance(TimeSpan.FromSeconds(16)); // A batch is made every 15 s.
        await HubRig.WaitAsync(() => Count(rig) == 0, seconds: 10);

        HttpReply batch = (await rig.GetAsync(path)).Ok();

        Assert.Equal("application/vnd.microsoft.iothub.feedback.json", batch.Headers["Content-Type"]);
        Assert.Equal(batch.Headers["ETag"], $"\"{batch.ETag}\"");
        JsonElement record = Assert.Single(batch.Json.EnumerateArray());
        Assert.Equal(("m-1", "Success", "device-0001"), (
            record.GetProperty("originalMessageId").GetString(), record.GetProperty("statusCode").GetString(),
            record.GetProperty("deviceId").GetString()));
        (await rig.GetAsync(path)).Ok(204);
        (await rig.SendAsync("POST", $"{path}/{batch.ETag}/abandon")).Ok(204);
        HttpReply again = (await rig.GetAsync(path)).Ok();
        Assert.NotEqual(batch.ETag, again.ETag);
        (await rig.SendAsync("DELETE", $"{path}/{batch.ETag}")).Refused(412, "DeviceMessageLockLost");
        (await rig.SendAsync("DELETE", $"{path}/{again.ETag}")).Ok(204);
        (await rig.SendAsync("POST", $"{path}/{again.ETag}/abandon")).Refused(412, "DeviceMessageLockLost");
        (await rig.GetAsync(path)).Ok(204);
    }

    private static int Count(HttpRig rig) => rig.Server.ViewOf(rig.Server.Registry.Devices[0]).CommandCount;

    private static async Task<(string Topic, string Body)> ReceiveAsync(HttpRig rig)
    {
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        await device.SubscribeAsync(1, "devices/device-0001/messages/devicebound/#");
        (byte type, byte[] packet) = await device.ReadAsync();
        Assert.Equal(0x30, type);
        int topicLength = (packet[0] << 8) | packet[1];
        byte[] id = packet[(2 + topicLength)..(4 + topicLength)];
        await device.SendAsync(0x40, id);
        // PUBACK has no answer; a ping behind it says that it was read.
        await device.SendAsync(0xC0, []);
        Assert.Equal(0xD0, (await device.ReadAsync()).Type);
        return (Encoding.UTF8.GetString(packet, 2, topicLength), Encoding.UTF8.GetString(packet[(4 + topicLength)..]));
    }
}
