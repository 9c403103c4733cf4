using System.Globalization;
using System.Net;
using System.Text.Json;
using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>The genuine azure-iot-device from npm, unmodified, against the hub.</summary>
[Collection(RealTime.Name)]
public sealed class NodeSdkTests
{
    [Fact]
    public async Task The_npm_SDK_renews_its_token_and_the_log_shows_information_pairs_only()
    {
        await using var rig = new HubRig(graceMs: 1000);
        // A token of 9 s, renewed 6 s before its end: every 3 s, at 3, 6, 9 and 12 s.
        List<string> events = await DriveAsync(
            rig, "--lifetime", "9", "--margin", "6", "--seconds", "11", "--heartbeat", "1", "--features", "methods,c2d");

        Assert.Equal(3, events.Count(name => name == "renewed"));
        Assert.InRange(events.Count(name => name == "sent"), 9, 11);
        Assert.DoesNotContain("error", events);
        Assert.DoesNotContain("disconnected", events);
        await rig.AssertRecordsAsync([.. Enumerable.Repeat(
            new[] { "device-0001 deviceConnect", "device-0001 deviceDisconnect" }, 4).SelectMany(pair => pair)]);
        Assert.Equal(events.Count(name => name == "sent"), rig.Server.TelemetryCount);
    }

    [Fact]
    public async Task The_npm_SDK_reads_its_twin()
    {
        await using var rig = new HubRig();
        List<string> events = await DriveAsync(rig, "--seconds", "1", "--features", "twin");

        Assert.Contains("twin", events);
        Assert.DoesNotContain("error", events);
    }

    [Fact]
    public async Task The_npm_SDK_renews_its_token_over_WebSocket_and_the_log_is_the_same()
    {
        await using var rig = new HubRig(graceMs: 1000);
        await using HubHttp http = await HubHttp.StartAsync(rig.Server, IPAddress.Loopback, 0);
        List<string> events = await DriveAsync(
            rig, "--websocket-port", http.Address.Port.ToString(CultureInfo.InvariantCulture), "--lifetime", "9", "--margin", "6",
            "--seconds", "8", "--heartbeat", "1", "--features", "twin,methods,c2d");

        Assert.Equal(2, events.Count(name => name == "renewed"));
        Assert.InRange(events.Count(name => name == "sent"), 6, 8);
        Assert.Contains("twin", events);
        Assert.DoesNotContain("error", events);
        Assert.DoesNotContain("disconnected", events);
        await rig.AssertRecordsAsync([.. Enumerable.Repeat(
            new[] { "device-0001 deviceConnect", "device-0001 deviceDisconnect" }, 3).SelectMany(pair => pair)]);
        Assert.Equal(events.Count(name => name == "sent"), rig.Server.TelemetryCount);
    }

    private static async Task<List<string>> DriveAsync(HubRig rig, params string[] arguments)
    {
        string folder = Path.Combine(HubFolder.Repository(), "simulator", "real", "node");
        Assert.SkipUnless(
            Directory.Exists(Path.Combine(folder, "node_modules", "azure-iot-device-mqtt")),
            "the npm SDK is not installed: npm ci --prefix simulator/real/node");
        string port = rig.Server.EndPoint.Port.ToString(CultureInfo.InvariantCulture);
        string connection = rig.Server.Registry.ConnectionStringOf(rig.Server.Registry.Devices[0])
            + (arguments.Contains("--websocket-port") ? "" : ";GatewayHostName=localhost:" + port);
        (int exitCode, string output, string error) = await Tool.RunAsync(
            Tool.Find("node"),
            [
                Path.Combine(folder, "driver.js"), "--connection-string", connection,
                "--ca", rig.Server.Data.AuthorityPath, .. arguments,
            ]);

        Assert.True(exitCode == 0, output + error);
        return [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => JsonDocument.Parse(line).RootElement.GetProperty("event").GetString()!)];
    }
}
