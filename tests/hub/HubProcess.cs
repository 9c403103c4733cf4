using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>The verb <c>hub</c> as a process of its own, and a client of both its ports.</summary>
internal sealed partial class HubProcess : IAsyncDisposable
{
    private const string Version = "api-version=2021-04-12";

    private readonly Process process;
    private readonly List<ConnectionString> devices = [];
    private readonly HttpClient http;
    private readonly string authorityPath;

    private HubProcess(Process process, List<string> output, Uri https, IPEndPoint mqtt)
    {
        this.process = process;
        Mqtt = mqtt;
        authorityPath = output[^1];
        ConnectionString? service = null;
        foreach (string line in output[..^1])
        {
            Assert.True(ConnectionString.TryParse(line, out ConnectionString? parsed, out _));
            service = parsed.DeviceId is null ? parsed : service;
            devices.AddRange(parsed.DeviceId is null ? [] : [parsed]);
        }

        X509ChainPolicy policy = TestDevice.TrustOnly(authorityPath);
        http = new HttpClient(new SocketsHttpHandler
        {
            SslOptions = new SslClientAuthenticationOptions { TargetHost = "localhost", CertificateChainPolicy = policy },
        })
        {
            BaseAddress = https,
        };
        http.DefaultRequestHeaders.TryAddWithoutValidation("Authorization", SasTokenWriter.Write(service!, InAnHour()));
    }

    public IPEndPoint Mqtt { get; }

    public string DeviceId(int index) => devices[index].DeviceId!;

    public static async Task<HubProcess> StartAsync(string folder, int devices)
    {
        string runtime = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
        string muxer = Path.Combine(Path.GetFullPath(Path.Combine(runtime, "..", "..", "..")), "dotnet");
        string[] arguments =
        [
            "exec", typeof(HubServer).Assembly.Location, "hub", "--port", "0", "--data", folder,
            "--http-port", FreePort().ToString(CultureInfo.InvariantCulture),
            "--devices", devices.ToString(CultureInfo.InvariantCulture),
        ];
        var start = new ProcessStartInfo(File.Exists(muxer) ? muxer : "dotnet", arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        Process process = Process.Start(start)!;
        Uri? https = null;
        IPEndPoint? mqtt = null;
        while ((https is null || mqtt is null) && await process.StandardError.ReadLineAsync() is { } line)
        {
            https = Https().Match(line) is { Success: true } address ? new Uri(address.Value) : https;
            mqtt = MqttAddress().Match(line) is { Success: true } found ? IPEndPoint.Parse(found.Groups[1].Value) : mqtt;
        }

        Assert.True(https is not null && mqtt is not null, "the hub did not start");
        var output = new List<string>();
        while (!(output.LastOrDefault() ?? "").EndsWith(".pem", StringComparison.Ordinal)
            && await process.StandardOutput.ReadLineAsync() is { } line)
        {
            output.Add(line);
        }

        // Nobody reads the rest; a full pipe must not matter.
        _ = process.StandardError.BaseStream.CopyToAsync(Stream.Null);
        return new HubProcess(process, output, https, mqtt);
    }

    public void Kill()
    {
        process.Kill();
        process.WaitForExit();
    }

    public async Task<TestDevice> ConnectAsync(int index)
    {
        TestDevice device = await TestDevice.DialAsync(Mqtt, authorityPath);
        ConnectionString identity = devices[index];
        byte[] answer = await device.SendConnectAsync(identity.DeviceId!, SasTokenWriter.Write(identity, InAnHour()));
        Assert.Equal(0, answer[1]);
        return device;
    }

    public async Task<HttpStatusCode> PutAsync(string path, object body, bool ifMatch)
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, $"{path}?{Version}") { Content = JsonContent.Create(body) };
        if (ifMatch)
        {
            request.Headers.TryAddWithoutValidation("If-Match", "*");
        }

        return (await http.SendAsync(request)).StatusCode;
    }

    public async Task<HttpStatusCode> DeleteAsync(string path)
    {
        using var request = new HttpRequestMessage(HttpMethod.Delete, $"{path}?{Version}");
        request.Headers.TryAddWithoutValidation("If-Match", "*");
        return (await http.SendAsync(request)).StatusCode;
    }

    public async Task<HttpStatusCode> PatchAsync(string path, object body) =>
        (await http.PatchAsync($"{path}?{Version}", JsonContent.Create(body))).StatusCode;

    /// <summary>Queues a message to a device over the local route.</summary>
    public async Task SendAsync(string device, string text) => (await http.PostAsync(
        $"/local/devices/{device}/messages/devicebound?{Version}", new StringContent(text, Encoding.UTF8, "text/plain")))
        .EnsureSuccessStatusCode();

    /// <summary>A document; null when it is not there.</summary>
    public async Task<JsonElement?> FindAsync(string path)
    {
        HttpResponseMessage response = await http.GetAsync($"{path}?{Version}");
        return response.StatusCode == HttpStatusCode.NotFound
            ? null
            : await response.EnsureSuccessStatusCode().Content.ReadFromJsonAsync<JsonElement>();
    }

    public async ValueTask DisposeAsync()
    {
        http.Dispose();
        if (!process.HasExited)
        {
            process.Kill();
        }

        await process.WaitForExitAsync();
        process.Dispose();
    }

    private static long InAnHour() => DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 3600;

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    [GeneratedRegex(@"https://[^/ ]+/")]
    private static partial Regex Https();

    [GeneratedRegex("MQTT over TLS on (.+)$")]
    private static partial Regex MqttAddress();
}
