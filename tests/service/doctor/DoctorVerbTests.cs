using System.Text.Json;
using Agent.Service.Doctor;
using Agent.Tests.Wire;

namespace Agent.Tests.Service.Doctor;

[Collection(RealTime.Name)]
public sealed class DoctorVerbTests
{
    private const string Key = "c2VjcmV0IGtleSBvZiB0aGVzZSB0ZXN0cw==";

    [Theory]
    [InlineData("doctor: needs a DEVICE")]
    [InlineData("doctor: needs a DEVICE", "--json")]
    [InlineData("doctor: device id: 1 to 128 letters, digits or - : . + % _ # * ? ! ( ) , = @ ; $ '", "a/b")]
    [InlineData("doctor: --hub needs a value", "d", "--hub")]
    [InlineData("doctor: port: allowed are 1 to 65535", "d", "--port", "0")]
    [InlineData("doctor: port: allowed are 1 to 65535", "d", "--https-port", "65536")]
    [InlineData("doctor: port: allowed are 1 to 65535", "d", "--port", "x")]
    [InlineData("doctor: hub: not a host name", "d", "--hub", "a b")]
    [InlineData("doctor: nowhere.pem: cannot be read", "d", "--ca", "nowhere.pem")]
    [InlineData("doctor: '--verbose' is not understood; allowed are --connection-string, --hub, --port, --https-port, --ca, --reach, --checker, --key-file, --json", "d", "--verbose")]
    [InlineData("doctor: connection string: HostName, SharedAccessKeyName and SharedAccessKey (base64) are needed", "d", "--connection-string", "HostName=x")]
    public async Task Bad_input_is_one_line_and_exit_code_2_and_nobody_is_asked(string line, params string[] arguments)
    {
        (int exitCode, string output, string error, bool isAsked) = await RunAsync(arguments, null);

        Assert.Equal((2, "", line + Environment.NewLine, false), (exitCode, output, error, isAsked));
    }

    [Fact]
    public async Task With_neither_hub_nor_checker_it_ends_with_3()
    {
        (int exitCode, string output, string error, _) = await RunAsync(["device-0001"], null, new CheckerWord(null, null, "no answer"));

        Assert.Equal((3, ""), (exitCode, error));
        Assert.Contains("The checker could not be asked: no answer.", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_healthy_device_behind_a_good_port_ends_with_0_and_one_JSON_document()
    {
        using TlsPeer peer = TlsPeer.With(TestCertificates.Shared.Server);
        string authority = TestCertificates.Shared.WriteAuthority();
        string port = $"{peer.Port}";
        var known = new KnownDevice { Status = "online", SinceMs = 1, LastSignMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() };

        (int exitCode, string output, _, bool isAsked) = await RunAsync(
            ["device-0001", "--hub", "localhost", "--port", port, "--https-port", port, "--ca", authority, "--json"], null,
            new CheckerWord(known, new KnownFleet(10, 0, false, false, false), null));
        File.Delete(authority);

        JsonElement json = JsonDocument.Parse(output).RootElement;
        Assert.True(isAsked);
        Assert.Equal((0, true), (exitCode, json.GetProperty("ok").GetBoolean()));
        Assert.Equal(
            "good", json.GetProperty("steps").EnumerateArray().Single(step => step.GetProperty("id").GetString() == "port8883")
                .GetProperty("verdict").GetString());
    }

    [Fact]
    public async Task The_connection_string_may_come_from_the_environment_and_never_shows()
    {
        using TlsPeer peer = TlsPeer.Closing();
        string port = $"{peer.Port}";

        (int exitCode, string output, string error, _) = await RunAsync(
            ["device-0001", "--port", port, "--https-port", port],
            $"HostName=localhost;SharedAccessKeyName=registryRead;SharedAccessKey={Key}");

        Assert.Equal((1, ""), (exitCode, error));
        Assert.Contains("The hub could not be asked", output, StringComparison.Ordinal);
        Assert.DoesNotContain(Key[..8], output, StringComparison.Ordinal);
    }

    private static async Task<(int ExitCode, string Output, string Error, bool IsAsked)> RunAsync(
        string[] arguments, string? connection, CheckerWord? word = null)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        bool isAsked = false;
        int exitCode = await DoctorVerb.RunAsync(
            arguments,
            name => name == DoctorVerb.ConnectionVariable ? connection : null,
            (_, _) =>
            {
                isAsked = true;
                return Task.FromResult(word ?? new CheckerWord(null, null, null));
            },
            output, error, TimeProvider.System, CancellationToken.None);
        return (exitCode, output.ToString(), error.ToString(), isAsked);
    }
}
