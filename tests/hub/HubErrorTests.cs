using System.Text;
using System.Text.Json.Nodes;
using Agent.Hub;

namespace Agent.Tests.Hub;

public sealed class HubErrorTests
{
    [Fact]
    public void An_error_is_worded_as_the_cloud_words_it()
    {
        // The shape of azure-iot-cli-extension issue 54.
        byte[] body = HubError.DeviceNotOnline(60).Body("dde6cb7b-G:11-TimeStamp:11/07/2018 09:22:57", 1_541_582_577_605);
        Assert.Equal(
            """{"Message":"{\"errorCode\":404103,\"trackingId\":\"dde6cb7b-G:11-TimeStamp:11/07/2018 09:22:57\","""
            + """\"message\":\"Timed out waiting for device to connect.\",\"info\":{\"timeout\":\"00:01:00\"},"""
            + """\"timestampUtc\":\"2018-11-07T09:22:57.605Z\"}","ExceptionMessage":""}""",
            Encoding.UTF8.GetString(body));
        Assert.Equal(404, HubError.DeviceNotOnline(0).HttpStatus);
    }

    [Fact]
    public void Text_of_others_is_carried_safely()
    {
        byte[] body = HubError.ArgumentInvalid("a \"quoted\" \\ line\n\u0001 ä").Body("t", -5);
        JsonNode outer = JsonNode.Parse(body)!;
        Assert.Equal("a \"quoted\" \\ line\n\u0001 ä", (string)JsonNode.Parse((string)outer["Message"]!)!["message"]!);
        Assert.Empty(JsonNode.Parse((string)outer["Message"]!)!["info"]!.AsObject());
    }
}
