using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Agent.Service;
using Agent.Service.Mqtt;
using Agent.Tests.Hub;
using Agent.Tests.Wire;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Agent.Tests.Service.Mqtt;

/// <summary>The whole service beside a real broker.</summary>
[Collection(RealTime.Name)]
public sealed class BrokerTests : IAsyncDisposable
{
    private const string Events = "devices/{0}/messages/events/{1}";

    private readonly string folder = Path.Combine(Path.GetTempPath(), "mqtt-" + Guid.NewGuid().ToString("n"));
    private readonly List<string> seen = [];
    private WebApplication? application;
    private HttpClient client = new();

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        client.Dispose();
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task What_is_published_becomes_a_status_whatever_else_is_published()
    {
        await using var broker = new Mosquitto();
        await broker.StartAsync();
        await broker.PublishAsync(Topic("old", "type=heartbeat&seq=1&interval=60"), "-r", "-n");
        await StartAsync("--mqtt", $"mqtt://127.0.0.1:{broker.Port}");
        string large = Path.Combine(broker.Folder, "large");
        await File.WriteAllBytesAsync(large, new byte[3_000_000]);

        await broker.PublishAsync(Topic("not a device", ""), "-m", "x");
        await broker.PublishAsync(Topic("big", ""), "-f", large);
        await broker.PublishAsync(Topic("a", "type=heartbeat&seq=7&interval=60&site=north"), "-n");
        await broker.PublishAsync(Topic("b", ""), "-m", """{"type":"heartbeat","seq":8,"interval":"sixty"}""");

        // All have come, and what can be kept is kept.
        await UntilAsync(health => health.GetProperty("received").GetInt32() == 4 + health.GetProperty("retained").GetInt32()
            && health.GetProperty("taken").GetInt32() + health.GetProperty("malformed").GetInt32() == 4);
        JsonElement counts = await HealthAsync();
        Assert.Equal(
            "connected=true taken=3 malformed=1 problems=1 tooLarge=1",
            string.Join(' ', new[] { "connected", "taken", "malformed", "problems", "tooLarge" }
                .Select(name => $"{name}={counts.GetProperty(name).GetRawText()}")));
        JsonElement device = await DeviceAsync("a");
        Assert.Equal(
            ["\"online\"", "7", "\"north\""],
            new[] { "status", "heartbeatNumber", "site" }.Select(name => device.GetProperty(name).GetRawText()));
        Assert.NotNull((await DeviceAsync("big")).GetProperty("lastSignOfLife").GetString());
    }

    [Fact]
    public async Task A_broker_that_is_killed_and_comes_back_costs_nothing_that_it_had_kept()
    {
        await using var broker = new Mosquitto();
        await broker.StartAsync();
        string[] arguments = ["--mqtt", $"mqtt://127.0.0.1:{broker.Port}"];
        await StartAsync(arguments);
        await StopAsync();
        for (int i = 0; i < 20; i++)
        {
            await broker.PublishAsync(Topic("kept-" + i, $"type=heartbeat&seq={i}&interval=600"), "-n");
        }

        await broker.SaveAsync();
        await broker.KillAsync();
        await StartAsync(waitsForBroker: false, arguments);
        await broker.StartAsync();

        await UntilAsync(health => health.GetProperty("taken").GetInt32() >= 20);
        for (int i = 0; i < 20; i++)
        {
            Assert.Equal(i, (await DeviceAsync("kept-" + i)).GetProperty("heartbeatNumber").GetInt32());
        }

        await broker.KillAsync();
        await UntilAsync(health => !health.GetProperty("connected").GetBoolean());
        await broker.StartAsync();
        await UntilAsync(health => health.GetProperty("connected").GetBoolean());
        await broker.PublishAsync(Topic("after", "type=heartbeat&seq=1&interval=60"), "-n");
        await UntilAsync(health => health.GetProperty("taken").GetInt32() >= 21);
        Assert.Equal("online", (await DeviceAsync("after")).GetProperty("status").GetString());
    }

    [Fact]
    public async Task Nothing_the_broker_acknowledged_is_lost_when_the_service_is_killed()
    {
        const int Devices = 50;
        int kills = int.TryParse(
            Environment.GetEnvironmentVariable("AGENT_SERVICE_KILLS"), CultureInfo.InvariantCulture, out int many) ? many / 5 : 5;
        await using var broker = new Mosquitto();
        await broker.StartAsync();
        string url = $"mqtt://127.0.0.1:{broker.Port}";
        await StartAsync("--mqtt", url); // So that the broker keeps the session from here on.
        await StopAsync();
        var publisher = new NumberedPublisher(broker.Port);
        await publisher.ConnectAsync();
        var draw = new Random(4);
        for (int kill = 0; kill < kills; kill++)
        {
            using Process service = StartProgram(url);
            var alive = Stopwatch.StartNew();
            int lifetimeMs = draw.Next(100, 800);
            while (alive.ElapsedMilliseconds < lifetimeMs)
            {
                for (int i = 0; i < 20; i++)
                {
                    publisher.Send(Devices);
                }

                await Task.Delay(5);
            }

            service.Kill();
            await service.WaitForExitAsync();
        }

        for (int wait = 0; publisher.Waiting > 0 && wait < 400; wait++)
        {
            await Task.Delay(25);
        }

        Assert.Equal(0, publisher.Waiting);
        publisher.Close();
        await StartAsync("--mqtt", url);
        Assert.Equal(Devices, publisher.Acknowledged.Count);
        foreach ((string device, uint expected) in publisher.Acknowledged)
        {
            await UntilAsync(async () => (await TryNumberAsync(device)) == expected, $"{device} {expected}");
        }
    }

    [Fact]
    public async Task A_shared_subscription_gives_each_message_to_one_of_the_replicas()
    {
        const int Devices = 20;
        await using var broker = new Mosquitto();
        await broker.StartAsync();
        string[] arguments =
            ["--port", "0", "--mqtt", $"mqtt://127.0.0.1:{broker.Port}", "--mqtt-topic", "$share/checkers/" + TopicPattern.Default];
        await using WebApplication first = Build([.. arguments, "--data", Path.Combine(folder, "1")]);
        await using WebApplication second = Build([.. arguments, "--data", Path.Combine(folder, "2")]);
        await first.StartAsync();
        await second.StartAsync();
        MqttSource[] sources = [.. new[] { first, second }.Select(each => each.Services.GetRequiredService<MqttSource>())];
        await UntilAsync(() => Task.FromResult(sources.All(source => source.Trouble is null)), "both connected");
        for (int i = 0; i < Devices; i++)
        {
            await broker.PublishAsync(Topic($"shared-{i}", $"type=heartbeat&seq={i}&interval=600"), "-n");
        }

        await UntilAsync(() => Task.FromResult(sources.Sum(source => source.Counts.Taken) >= Devices), "all taken");
        Assert.Equal(Devices, sources.Sum(source => source.Counts.Received));
        Assert.All(sources, source => Assert.InRange(source.Counts.Received, 1, Devices - 1));
    }

    [Fact]
    public async Task Over_TLS_with_a_password_and_not_without()
    {
        string authority = TestCertificates.Shared.WriteAuthority();
        string stranger = TestCertificates.Stranger.WriteAuthority();
        await using var broker = new Mosquitto("""
            certfile FOLDER/server.crt
            keyfile FOLDER/server.key
            password_file FOLDER/passwords
            allow_anonymous false
            """);
        await File.WriteAllTextAsync(Path.Combine(broker.Folder, "server.crt"), TestCertificates.Shared.Server.ExportCertificatePem());
        await File.WriteAllTextAsync(
            Path.Combine(broker.Folder, "server.key"),
            System.Security.Cryptography.X509Certificates.ECDsaCertificateExtensions.GetECDsaPrivateKey(TestCertificates.Shared.Server)!
                .ExportPkcs8PrivateKeyPem());
        string passwords = Path.Combine(broker.Folder, "passwords");
        await Tool.RunAsync(Tool.Find("mosquitto_passwd"), "-b", "-c", passwords, "kim", "hush-hush");
        string login = Path.Combine(broker.Folder, "login");
        await broker.StartAsync();
        string url = $"mqtts://localhost:{broker.Port}";
        try
        {
            await File.WriteAllTextAsync(login, "kim\nhush-hush\n");
            await StartAsync("--mqtt", url, "--mqtt-ca", authority, "--mqtt-login", login);
            string[] asKim = ["--cafile", authority, "-u", "kim", "-P", "hush-hush"];
            await broker.PublishAsync(Topic("tls", "type=heartbeat&interval=60"), ["-n", .. asKim]);
            await UntilAsync(health => health.GetProperty("taken").GetInt32() == 1);

            await File.WriteAllTextAsync(login, "kim\nwrong-word\n");
            await StopAsync();
            await StartAsync(waitsForBroker: false, "--mqtt", url, "--mqtt-ca", authority, "--mqtt-login", login);
            await UntilAsync(health => Says(health, "not authorised"));
            await StopAsync();
            await StartAsync(waitsForBroker: false, "--mqtt", url, "--mqtt-ca", stranger, "--mqtt-login", login);
            await UntilAsync(health => Says(health, "not trusted"));
            Assert.All(seen, text => Assert.DoesNotContain("wrong-word", text, StringComparison.Ordinal));
        }
        finally
        {
            File.Delete(authority);
            File.Delete(stranger);
        }
    }

    [Theory]
    [InlineData(0, 0.0, 0.5)]
    [InlineData(0, 1.0, 1.0)]
    [InlineData(3, 1.0, 8.0)]
    [InlineData(50, 1.0, 60.0)]
    [InlineData(50, 0.0, 30.0)]
    public void Attempts_become_rare_and_never_fall_into_step(int failures, double chance, double seconds) =>
        Assert.Equal(seconds, MqttSource.WaitAfter(failures, chance).TotalSeconds);

    private static bool Says(JsonElement health, string words) =>
        health.GetProperty("trouble").GetString()?.Contains(words, StringComparison.Ordinal) == true;

    private static string Topic(string device, string bag) => string.Format(CultureInfo.InvariantCulture, Events, device, bag);

    private Task StartAsync(params string[] arguments) => StartAsync(waitsForBroker: true, arguments);

    private async Task StartAsync(bool waitsForBroker, params string[] arguments)
    {
        application = Build(["--port", "0", "--data", folder, .. arguments]);
        await application.StartAsync();
        client.Dispose();
        client = new HttpClient { BaseAddress = new Uri(application.Urls.First()) };
        if (waitsForBroker)
        {
            await UntilAsync(health => health.GetProperty("connected").GetBoolean());
        }
    }

    private static WebApplication Build(string[] arguments) =>
        Server.Build(CommandLine.Parse(arguments, _ => null).Options, TimeProvider.System);

    private async Task StopAsync()
    {
        if (application is not null)
        {
            await application.StopAsync();
            await application.DisposeAsync();
            application = null;
        }
    }

    private Process StartProgram(string url)
    {
        string program = Path.Combine(AppContext.BaseDirectory, "agent-service.dll");
        var process = Process.Start(new ProcessStartInfo("dotnet", [program, "--port", "0", "--data", folder, "--mqtt", url])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        string line = process.StandardOutput.ReadLine() ?? process.StandardError.ReadToEnd();
        Assert.StartsWith("heartbeat checker on ", line, StringComparison.Ordinal);
        return process;
    }

    private async Task<JsonElement> HealthAsync()
    {
        string text = await client.GetStringAsync("/healthz");
        seen.Add(text);
        return JsonSerializer.Deserialize<JsonElement>(text).GetProperty("mqtt");
    }

    private async Task<JsonElement> DeviceAsync(string id) =>
        JsonSerializer.Deserialize<JsonElement>(await client.GetStringAsync("/devices/" + id));

    private async Task<uint?> TryNumberAsync(string device)
    {
        using HttpResponseMessage answer = await client.GetAsync("/devices/" + device);
        return answer.IsSuccessStatusCode
            ? JsonSerializer.Deserialize<JsonElement>(await answer.Content.ReadAsStringAsync()).GetProperty("heartbeatNumber").GetUInt32()
            : null;
    }

    private Task UntilAsync(Func<JsonElement, bool> isSo) => UntilAsync(async () => isSo(await HealthAsync()), null);

    private async Task UntilAsync(Func<Task<bool>> isSo, string? what)
    {
        var waited = Stopwatch.StartNew();
        while (!await isSo())
        {
            Assert.True(waited.Elapsed < TimeSpan.FromSeconds(30), what ?? (await client.GetStringAsync("/healthz")));
            await Task.Delay(25);
        }
    }
}
