using Agent.Service;
using Agent.Service.Mqtt;

namespace Agent.Tests.Service.Mqtt;

public sealed class MqttSettingsTests
{
    [Theory]
    [InlineData("mqtt://127.0.0.1", "mqtt://127.0.0.1:1883")]
    [InlineData("mqtt://broker.example:18830/", "mqtt://broker.example:18830")]
    [InlineData("mqtts://broker.example", "mqtts://broker.example:8883")]
    public void An_address_is_understood(string url, string expected) =>
        Assert.Equal(expected, CommandLine.Parse(["--mqtt", url], _ => null).Options.Mqtt!.ToString());

    [Theory]
    [InlineData("--mqtt", "http://x")]
    [InlineData("--mqtt", "127.0.0.1:1883")]
    [InlineData("--mqtt", "mqtt://user:hush@x")]
    [InlineData("--mqtt", "mqtt://x/path")]
    [InlineData("--mqtt-topic", "devices/{id}")]
    [InlineData("--mqtt", "mqtt://x", "--mqtt-topic", "devices/+")]
    [InlineData("--mqtt", "mqtt://x", "--mqtt-ca", "ca.pem")]
    [InlineData("--mqtt", "mqtts://x", "--mqtt-ca", "no-such-file.pem")]
    [InlineData("--mqtt", "mqtt://x", "--mqtt-login", "no-such-file")]
    public void What_is_wrong_is_said_in_one_line_without_secrets(params string[] arguments)
    {
        var wrong = Assert.Throws<CommandLineException>(() => CommandLine.Parse(arguments, _ => null));

        Assert.StartsWith("--mqtt", wrong.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', wrong.Message);
        Assert.DoesNotContain("hush", wrong.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void User_and_password_come_from_a_file_or_the_environment_and_are_never_shown()
    {
        string file = Path.GetTempFileName();
        File.WriteAllText(file, "kim\nhush hush\n");
        try
        {
            MqttSettings fromFile = CommandLine.Parse(["--mqtt", "mqtts://x", "--mqtt-login", file], _ => null).Options.Mqtt!;
            var environment = new Dictionary<string, string>
            {
                [MqttSettings.UserVariable] = "kim",
                [MqttSettings.PasswordVariable] = "hush hush",
            };
            MqttSettings fromEnvironment =
                CommandLine.Parse(["--mqtt", "mqtt://x"], name => environment.GetValueOrDefault(name)).Options.Mqtt!;

            Assert.Equal(("kim", "kim"), (fromFile.User, fromEnvironment.User));
            Assert.DoesNotContain("hush", $"{fromFile} {fromEnvironment}", StringComparison.Ordinal);
            Assert.DoesNotContain("hush", $"{new ServiceOptions { Mqtt = fromFile }}", StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(file);
        }
    }
}
