using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Agent.Hub;

namespace Agent.Tests.Hub;

public sealed class HubVerbTests
{
    [Fact]
    public async Task Prints_connection_strings_then_the_service_one_then_the_authority_alone_and_ends_with_0()
    {
        using var folder = new HubFolder();
        await using Running verb = await Running.StartAsync(
            new HubVerbOptions { Port = 0, HttpPort = 0, Data = folder.Path, Devices = 3 });
        string[] lines = verb.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

        Assert.Equal(5, lines.Length);
        for (int i = 0; i < 3; i++)
        {
            string start = $"HostName=localhost;DeviceId=device-000{i + 1};SharedAccessKey=";
            Assert.StartsWith(start, lines[i], StringComparison.Ordinal);
        }

        const string Service = "HostName=localhost;SharedAccessKeyName=iothubowner;SharedAccessKey=";
        Assert.StartsWith(Service, lines[3], StringComparison.Ordinal);
        Assert.Equal(folder["ca.pem"], lines[4]);
        Assert.All(lines[..4], line => Assert.True(ConnectionString.TryParse(line, out _, out _)));
        Assert.Equal(0, await verb.StopAsync());
        Assert.Equal(lines[4], verb.Output.TrimEnd().Split('\n')[^1]);
    }

    [Fact]
    public async Task Without_a_folder_it_says_where_its_data_is()
    {
        await using Running verb = await Running.StartAsync(new HubVerbOptions { Port = 0, HttpPort = 0 });
        string authority = verb.Output.TrimEnd().Split('\n')[^1];

        Assert.Contains(Path.GetDirectoryName(authority)!, verb.Error, StringComparison.Ordinal);
        await verb.StopAsync();
        Directory.Delete(Path.GetDirectoryName(authority)!, recursive: true);
    }

    [Fact]
    public async Task Logs_telemetry_and_health_are_served_over_HTTPS()
    {
        await using var rig = new HubRig();
        await using HubHttp http = await HubHttp.StartAsync(rig.Server, IPAddress.Loopback, 0);
        await using (TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0))
        {
            await device.PublishAsync("devices/device-0001/messages/events/a=1", "hello");
        }

        await using TestDevice other = await TestDevice.ConnectAsync(rig.Server, 1);
        await rig.AssertRecordsAsync(
            "device-0001 deviceConnect", "device-0001 deviceDisconnect/404104", "device-0002 deviceConnect");
        using HttpClient client = HubRig.ClientOf(rig.Server, http);

        Assert.Equal("ok\n", await client.GetStringAsync("/healthz"));
        Assert.Equal(File.ReadAllText(rig.Server.Data.ConnectionsPath), await client.GetStringAsync("/local/logs"));
        Assert.Equal(
            File.ReadLines(rig.Server.Data.ConnectionsPath).Last() + "\n",
            await client.GetStringAsync("/local/logs?device=device-0002"));
        string telemetry = await client.GetStringAsync("/local/telemetry");
        Assert.Contains("\"properties\":{\"a\":\"1\"}", telemetry, StringComparison.Ordinal);
        Assert.Equal("[]", await client.GetStringAsync("/local/telemetry?device=device-0002"));
        Assert.Equal(HttpStatusCode.NotFound, (await client.GetAsync("/")).StatusCode);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_port_that_is_taken_is_exit_3_and_one_line_naming_it(bool mqtt)
    {
        using var taken = new Socket(SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        taken.Listen();
        int port = ((IPEndPoint)taken.LocalEndPoint!).Port;
        using var folder = new HubFolder();

        (int exitCode, string output, string error) = await RunAsync(new HubVerbOptions
        {
            Port = mqtt ? port : 0,
            HttpPort = mqtt ? 0 : port,
            Data = folder.Path,
        });

        Assert.Equal((3, ""), (exitCode, output));
        string line = Assert.Single(error.TrimEnd().Split('\n'));
        Assert.Contains(port.ToString(CultureInfo.InvariantCulture), line, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("lock")]
    [InlineData("file")]
    [InlineData("policies.json")]
    public async Task Bad_data_is_exit_2_and_one_line_naming_it(string what)
    {
        using var folder = new HubFolder();
        File.WriteAllText(folder["file"], "");
        File.WriteAllText(folder["policies.json"], "{ \"version\": 1, \"policies\": [ {");
        using HubData? holder = what == "lock" ? HubData.Open(Directory.CreateDirectory(folder["held"]).FullName, 1) : null;
        string data = what switch { "lock" => folder["held"], "file" => folder["file"], _ => folder.Path };

        (int exitCode, string output, string error) = await RunAsync(new HubVerbOptions { Port = 0, HttpPort = 0, Data = data });

        Assert.Equal((2, ""), (exitCode, output));
        Assert.Contains(data, Assert.Single(error.TrimEnd().Split('\n')), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("nowhere", 8883, 2)]
    [InlineData("127.0.0.1", 70000, 2)]
    [InlineData("127.0.0.1", 8883, 0)]
    public async Task Bad_options_are_exit_2_and_one_line(string bind, int port, int devices)
    {
        (int exitCode, string output, string error) = await RunAsync(
            new HubVerbOptions { Bind = bind, Port = port, Devices = devices, HttpPort = 0 });

        Assert.Equal((2, ""), (exitCode, output));
        Assert.StartsWith("--", Assert.Single(error.TrimEnd().Split('\n')), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("S4", 1, "--tier S4: allowed are F1, B1, B2, B3, S1, S2, S3")]
    [InlineData("S3", 11, "--units 11: allowed are 1 to 10 of tier S3")]
    [InlineData("S1", 0, "--units 0: allowed are 1 to 200 of tier S1")]
    public async Task A_tier_there_is_not_is_exit_2_and_says_which_there_are(string tier, int units, string expected)
    {
        (int exitCode, string output, string error) = await RunAsync(
            new HubVerbOptions { HttpPort = 0, Port = 0, Hub = new HubOptions { Tier = tier, Units = units } });

        Assert.Equal((2, "", expected), (exitCode, output, error.TrimEnd()));
    }

    [Fact]
    public async Task An_address_that_is_no_webhook_is_exit_2_and_is_not_repeated()
    {
        (int exitCode, string output, string error) = await RunAsync(
            new HubVerbOptions { HttpPort = 0, Port = 0, Events = "ftp://user:secret@host/" });

        Assert.Equal((2, ""), (exitCode, output));
        string line = Assert.Single(error.TrimEnd().Split('\n'));
        Assert.StartsWith("--events: ", line, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", line, StringComparison.Ordinal);
    }

    private static async Task<(int ExitCode, string Output, string Error)> RunAsync(HubVerbOptions options)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        int exitCode = await HubVerb.RunAsync(options, output, error, CancellationToken.None);
        return (exitCode, output.ToString(), error.ToString());
    }

    /// <summary>The verb while it serves.</summary>
    private sealed class Running : IAsyncDisposable
    {
        private readonly CancellationTokenSource ending = new();
        private readonly StringWriter output = new();
        private readonly StringWriter error = new();
        private readonly Task<int> verb;

        private Running(HubVerbOptions options) =>
            verb = HubVerb.RunAsync(options, TextWriter.Synchronized(output), TextWriter.Synchronized(error), ending.Token);

        public string Output => output.ToString();

        public string Error => error.ToString();

        public static async Task<Running> StartAsync(HubVerbOptions options)
        {
            var running = new Running(options);
            await HubRig.WaitAsync(
                () => running.Output.EndsWith(".pem\n", StringComparison.Ordinal) || running.verb.IsCompleted, 20);
            return running;
        }

        public async Task<int> StopAsync()
        {
            await ending.CancelAsync();
            return await verb;
        }

        public async ValueTask DisposeAsync()
        {
            await StopAsync();
            ending.Dispose();
        }
    }
}
