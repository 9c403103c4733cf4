using System.Globalization;
using System.Text;
using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>Mosquitto's own clients against the hub, with nothing but a user name, a token and the authority.</summary>
public sealed class MosquittoTests
{
    private const string UserName = "localhost/device-0001/?api-version=2021-04-12";

    [Fact]
    public async Task Mosquitto_pub_is_accepted_with_a_token_and_its_message_arrives()
    {
        await using var rig = new HubRig();
        (int exitCode, _, string error) = await PublishAsync(
            rig, UserName, TestDevice.Token(rig.Server, 0, 600), "devices/device-0001/messages/events/a=b%20c");

        Assert.True(exitCode == 0, error);
        await rig.AssertRecordsAsync("device-0001 deviceConnect", "device-0001 deviceDisconnect");
        using var output = new MemoryStream();
        rig.Server.Telemetry.WriteJson(output);
        string messages = Encoding.UTF8.GetString(output.ToArray());
        Assert.Contains("\"properties\":{\"a\":\"b c\"}", messages, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("wrong-key", "signature does not match")]
    [InlineData("expired", "the token expired")]
    [InlineData("other-device", "the token is for another device")]
    [InlineData("other-hub", "the user name names another hub")]
    public async Task Mosquitto_pub_is_told_not_authorised(string what, string cause)
    {
        await using var rig = new HubRig();
        string token = what switch
        {
            "wrong-key" => SasTokenWriter.Write("localhost/devices/device-0001", new byte[32], 1_900_000_000),
            "expired" => TestDevice.Token(rig.Server, 0, -400),
            "other-device" => TestDevice.Token(rig.Server, 1, 600),
            _ => TestDevice.Token(rig.Server, 0, 600),
        };
        (int exitCode, _, string error) = await PublishAsync(
            rig,
            what == "other-hub" ? UserName.Replace("localhost", "other.example", StringComparison.Ordinal) : UserName,
            token,
            "devices/device-0001/messages/events/");

        Assert.Equal(5, exitCode);
        Assert.Contains("not authorised", error, StringComparison.Ordinal);
        Assert.Contains(cause, Assert.Single(rig.Records()), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Mosquitto_sub_is_granted_the_documented_subscription()
    {
        await using var rig = new HubRig();
        string[] arguments =
        [
            .. Common(rig, UserName, TestDevice.Token(rig.Server, 0, 600)),
            "-t", "devices/device-0001/messages/devicebound/#", "-q", "2", "-W", "1", "-d",
        ];
        (_, string output, string error) = await Tool.RunAsync(Tool.Find("mosquitto_sub"), arguments);

        Assert.Contains("Subscribed (mid: 1): 1", output + error, StringComparison.Ordinal);
    }

    private static Task<(int ExitCode, string Output, string Error)> PublishAsync(
        HubRig rig, string userName, string token, string topic) =>
        Tool.RunAsync(
            Tool.Find("mosquitto_pub"), [.. Common(rig, userName, token), "-t", topic, "-m", "hello", "-q", "1"]);

    private static string[] Common(HubRig rig, string userName, string token) =>
    [
        "-V", "mqttv311", "-h", "localhost", "-p", rig.Server.EndPoint.Port.ToString(CultureInfo.InvariantCulture),
        "--cafile", rig.Server.Data.AuthorityPath, "-i", "device-0001", "-u", userName, "-P", token,
    ];
}
