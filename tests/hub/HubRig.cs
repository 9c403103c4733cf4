using System.Text.Json;
using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>A hub on a free port with a folder of its own, and its Connections records as short text.</summary>
internal sealed class HubRig : IAsyncDisposable
{
    private readonly HubFolder folder = new();
    private readonly StringWriter lines = new();

    public HubRig(long graceMs = 600_000, int connectWithinMs = 30_000, TimeProvider? time = null, HubOptions? hub = null) =>
        Server = HubServer.Start(new HubServerOptions
        {
            DataDirectory = folder.Path,
            Port = 0,
            Hub = hub ?? new HubOptions { GraceMinMs = graceMs, GraceMaxMs = graceMs },
            ConnectWithin = TimeSpan.FromMilliseconds(connectWithinMs),
            Time = time ?? TimeProvider.System,
            Lines = TextWriter.Synchronized(lines),
        });

    public HubServer Server { get; }

    public string Lines => lines.ToString();

    /// <summary>Records as <c>device-0001 deviceConnect</c>, with <c>/code</c> and <c>: cause</c> on errors.</summary>
    public List<string> Records()
    {
        var seen = new List<string>();
        using var file = new FileStream(Server.Data.ConnectionsPath, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using var reader = new StreamReader(file);
        while (reader.ReadLine() is { } line)
        {
            JsonElement record = JsonDocument.Parse(line).RootElement;
            JsonElement properties = JsonDocument.Parse(record.GetProperty("properties").GetString()!).RootElement;
            string text = properties.GetProperty("deviceId").GetString() + " " + record.GetProperty("operationName").GetString();
            text += record.TryGetProperty("resultType", out JsonElement type) ? "/" + type.GetString() : "";
            text += properties.TryGetProperty("errorMessage", out JsonElement cause) ? ": " + cause.GetString() : "";
            seen.Add(text);
        }

        return seen;
    }

    /// <summary>Waits until the hub, which works on other threads, has written these records and no others.</summary>
    public async Task AssertRecordsAsync(params string[] expected)
    {
        await WaitAsync(() => Records().Count >= expected.Length, seconds: 20);
        Assert.Equal(expected, Records());
    }

    public static async Task WaitAsync(Func<bool> isDone, int seconds)
    {
        long end = Environment.TickCount64 + (seconds * 1000);
        while (!isDone() && Environment.TickCount64 < end)
        {
            await Task.Delay(10);
        }
    }

    /// <summary>A client of a hub's HTTPS side that trusts its authority and nobody else.</summary>
    public static HttpClient ClientOf(HubServer hub, HubHttp http)
    {
        var handler = new SocketsHttpHandler();
        handler.SslOptions.CertificateChainPolicy = TestDevice.TrustOnly(hub.Data.AuthorityPath);
        return new HttpClient(handler) { BaseAddress = http.Address };
    }

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        folder.Dispose();
    }
}

/// <summary>The system's clock, put forward by a test; timers run at their own pace.</summary>
internal sealed class ShiftedTime : TimeProvider
{
    private long shiftTicks;

    public void Advance(TimeSpan time) => Interlocked.Add(ref shiftTicks, time.Ticks);

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() =>
        System.GetElapsedTime(0).Ticks + Interlocked.Read(ref shiftTicks);

    public override DateTimeOffset GetUtcNow() =>
        System.GetUtcNow() + TimeSpan.FromTicks(Interlocked.Read(ref shiftTicks));
}
