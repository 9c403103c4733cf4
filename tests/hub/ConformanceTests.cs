using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text.Json;
using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>
/// The genuine azure-iothub (service) and azure-iot-device (device) from npm, both unmodified, through a device's whole life. The script
/// asserts what the SDKs see; here is asserted what the hub wrote down of it.
/// </summary>
[Collection(RealTime.Name)]
public sealed class ConformanceTests
{
    private static readonly string[] Steps =
    [
        "identities", "modules", "connect", "telemetry", "commands", "twinFromDevice", "twinFromService", "query", "methods", "renewals",
        "feedback", "takeover", "disabled", "deleted",
    ];

    [Fact]
    public async Task The_npm_SDKs_live_through_a_devices_life_on_any_port()
    {
        await using var rig = new HubRig(graceMs: 1000);
        await using HubHttp http = await HubHttp.StartAsync(rig.Server, IPAddress.Loopback, 0);

        Assert.Equal(Steps, await RunAsync(rig, http.Address.Port, redirects: true));

        List<string> records = rig.Records();
        Assert.All(records.Where(record => record.StartsWith("renewing ", StringComparison.Ordinal)), record =>
            Assert.DoesNotContain("/", record));
        Assert.Equal(
        [
            "conformance deviceConnect",
            "conformance deviceDisconnect/400027", // taken over
            "conformance deviceConnect",
            "conformance deviceDisconnect/403012", // disabled
            "conformance deviceConnect/403012",
            "conformance deviceConnect", // enabled again
            "conformance deviceDisconnect/401003", // deleted
            "conformance deviceConnect/401003",
        ],
        Comparable(records));
        Assert.Equal(["conformance", "conformance", "conformance", "renewing"], await TelemetryAsync(rig));
    }

    [Fact]
    public async Task The_npm_SDKs_need_nothing_but_the_CA_where_the_hub_has_port_443()
    {
        await using var rig = new HubRig(graceMs: 1000);
        HubHttp? http = null;
        try
        {
            http = await HubHttp.StartAsync(rig.Server, IPAddress.Loopback, 443);
        }
        catch (Exception exception) when (exception is IOException or System.Net.Sockets.SocketException)
        {
            Assert.Skip("port 443 is taken here, or wants a privilege: " + exception.Message);
        }

        await using (http)
        {
            Assert.Equal(Steps, await RunAsync(rig, 443, redirects: false));
        }
    }

    /// <summary>Without the texts; a takeover's two records may come in either order, so the disconnect is put first.</summary>
    private static string[] Comparable(List<string> records)
    {
        List<string> own = [.. records.Where(record => record.StartsWith("conformance ", StringComparison.Ordinal))
            .Select(record => record.Split(':')[0])];
        int takeover = own.FindIndex(record => record.EndsWith("/400027", StringComparison.Ordinal));
        if (takeover > 1)
        {
            (own[takeover], own[takeover - 1]) = (own[takeover - 1], own[takeover]);
        }

        return [.. own];
    }

    private static async Task<string[]> TelemetryAsync(HubRig rig)
    {
        using var json = new MemoryStream();
        rig.Server.Telemetry.WriteJson(json, null);
        json.Position = 0;
        using JsonDocument document = await JsonDocument.ParseAsync(json);
        return [.. document.RootElement.EnumerateArray()
            .Select(message => message.GetProperty("deviceId").GetString()!).Order(StringComparer.Ordinal)];
    }

    private static async Task<string[]> RunAsync(HubRig rig, int port, bool redirects)
    {
        string folder = Path.Combine(HubFolder.Repository(), "simulator", "real", "node");
        Assert.SkipUnless(
            Directory.Exists(Path.Combine(folder, "node_modules", "azure-iothub"))
            && Directory.Exists(Path.Combine(folder, "node_modules", "azure-iot-device-mqtt")),
            "the npm SDKs are not installed: npm ci --prefix simulator/real/node");
        Assert.True(rig.Server.Registry.TryFindPolicy("iothubowner"u8, out AccessPolicy? owner));
        string mqtt = string.Create(CultureInfo.InvariantCulture, $"localhost:{rig.Server.EndPoint.Port}");
        string https = string.Create(CultureInfo.InvariantCulture, $"https://localhost:{port}");
        string[] redirect = redirects ? ["--require", Path.Combine(folder, "https-port.js")] : [];
        var start = new ProcessStartInfo(
            Tool.Find("node"),
            [
                .. redirect, Path.Combine(folder, "conformance.js"), "--connection-string", rig.Server.Registry.ConnectionStringOf(owner),
                "--gateway", mqtt, "--http", https,
            ])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment =
            {
                ["NODE_EXTRA_CA_CERTS"] = rig.Server.Data.AuthorityPath,
                ["HUB_HTTPS_PORT"] = port.ToString(CultureInfo.InvariantCulture),
            },
        };
        (int exitCode, string output, string error) = await Tool.RunAsync(start, seconds: 120);

        Assert.True(exitCode == 0, output + error);
        return [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => JsonDocument.Parse(line).RootElement.GetProperty("step").GetString()!)];
    }
}
