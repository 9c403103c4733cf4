using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using Agent.Drive;
using Agent.Wire;
using Agent.World;

namespace Agent.Tests.Hub;

/// <summary>
/// The hub, a thousand honest devices and ten thousand strangers who mean no good, in three processes: who was in stays in, who
/// comes gets in, and what the strangers cost is bounded.
/// </summary>
[Collection(RealTime.Name)]
public sealed partial class FloodTests(ITestOutputHelper output)
{
    private const int StrangerCount = 10_000;
    private const int FloodSeconds = 24;

    // What the strangers may add to the hub's memory at its peak: 2000 and 500 of them at their worst (simulator/hub/README.md).
    private const long MemoryBytesMax = 525L << 20;

    // Both bounds with the eighth that may be on its way out, the devices, and what the runtime needs.
    private const int OpenFilesMax = 2250 + 563 + 1100 + 300;

    private const string ScenarioText = """
        { "runFor": "00:00:38", "fleet": [
            { "name": "early", "sdk": "agent", "count": 1000, "keepAlive": "00:00:10", "heartbeatEvery": "00:00:04",
              "startSpread": "00:00:03" },
            { "name": "late", "sdk": "agent", "count": 100, "keepAlive": "00:00:10", "heartbeatEvery": "00:00:04",
              "startSpread": "00:00:28" } ] }
        """;

    [Fact]
    public async Task Ten_thousand_strangers_cost_no_device_its_connection_and_the_hub_little_memory()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "reads /proc");
        Assert.SkipUnless(FileLimit.OpenFilesMax > StrangerCount + 500, $"only {FileLimit.OpenFilesMax} open files are allowed");
        using var folder = new HubFolder();
        File.WriteAllText(folder["scenario.json"], ScenarioText);
        int httpPort = FreePort();
        string[] arguments =
        [
            "hub", "--for", folder["scenario.json"], "--devices", "1", "--port", "0", "--http-port", Text(httpPort),
            "--data", Directory.CreateDirectory(folder["data"]).FullName,
        ];
        await using ChildProcess hub = ChildProcess.Start("simulator.dll", arguments);
        await HubRig.WaitAsync(() => hub.HasExited || hub.Output.EndsWith(".pem\n", StringComparison.Ordinal), 60);
        Assert.False(hub.HasExited, hub.Error);
        int port = int.Parse(MqttPort().Match(hub.Error).Groups[1].Value, CultureInfo.InvariantCulture);
        File.WriteAllText(folder["devices"], hub.Output);
        string authority = hub.Output.TrimEnd().Split('\n')[^1];

        Scenario scenario = ScenarioReader.Read(Encoding.UTF8.GetBytes(ScenarioText));
        WireTarget target = await WireTargets.FindAsync(
            "localhost:" + Text(port), authority, null, folder["devices"], allowRemote: false, scenario);
        Task<RunResult> run = WireRun.RunAsync(scenario, target);
        await Task.Delay(TimeSpan.FromSeconds(6));

        long before = MemoryOf(hub.Id);
        await using ChildProcess flood = ChildProcess.Start(
            "agent-flood.dll", Text(port), Text(httpPort), Text(StrangerCount), Text(FloodSeconds));
        using var visitor = new Visitor(httpPort, authority);
        long peak = before;
        int filesMax = 0;
        var watch = Stopwatch.StartNew();
        while (!flood.HasExited && watch.Elapsed < TimeSpan.FromSeconds(FloodSeconds * 2))
        {
            peak = Math.Max(peak, MemoryOf(hub.Id));
            filesMax = Math.Max(filesMax, FilesOf(hub.Id));
            await visitor.VisitAsync();
            await Task.Delay(200);
        }

        // Before the run is over: its devices leave then.
        await HubRig.WaitAsync(() => Count(RecordsIn(folder["data"]), "deviceConnect") >= 1100, 5);
        string records = RecordsIn(folder["data"]);
        output.WriteLine($"memory before {before >> 20} MB, at most {peak >> 20} MB; open files at most {filesMax}");
        output.WriteLine($"HTTPS visits {visitor.Served} served, {visitor.TurnedAway} turned away, slowest {visitor.SlowestMs} ms");
        output.WriteLine(flood.Output);
        RunResult result = await run;
        foreach (FleetResult fleet in result.Fleets)
        {
            output.WriteLine(
                $"{fleet.Plan.Name}: {fleet.Statistics.Connects} connects, {fleet.Statistics.Drops} drops, "
                + $"{fleet.Statistics.Refusals} refusals, {fleet.Statistics.Heartbeats} heartbeats; "
                + string.Join(", ", fleet.ReasonCounts().Select(pair => $"{pair.Key} {pair.Value}")));
        }

        long dialled = flood.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Sum(line => long.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture));
        Assert.True(dialled >= StrangerCount, $"the flood dialled only {dialled} times");
        Assert.Equal((0, 1000), (result.Fleets[0].Statistics.Drops, result.Fleets[0].Statistics.Connects));

        // A newcomer may be evicted in its handshake and come again, but who was let in stayed.
        Assert.Equal((1100, 0), (Count(records, "deviceConnect"), Count(records, "deviceDisconnect")));
        Assert.InRange(result.Fleets[0].Statistics.Heartbeats, 1000 * 7, 1000 * 10);
        Assert.InRange(peak - before, 0, MemoryBytesMax);
        Assert.InRange(filesMax, 1100, OpenFilesMax);
        Assert.True(visitor.Served > visitor.TurnedAway, $"{visitor.Served} served, {visitor.TurnedAway} turned away");
    }

    private static string RecordsIn(string data)
    {
        using var file = new FileStream(
            Path.Combine(data, "connections.jsonl"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using var reader = new StreamReader(file);
        return reader.ReadToEnd();
    }

    private static int Count(string text, string word) => text.Split($"\"{word}\"").Length - 1;

    private static int FreePort()
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    private static long MemoryOf(int process)
    {
        const string Title = "VmRSS:";
        string line = File.ReadLines($"/proc/{process}/status").First(one => one.StartsWith(Title, StringComparison.Ordinal));
        return long.Parse(line[Title.Length..].Replace("kB", "", StringComparison.Ordinal), CultureInfo.InvariantCulture) << 10;
    }

    private static int FilesOf(int process) => Directory.EnumerateFileSystemEntries($"/proc/{process}/fd").Count();

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    [GeneratedRegex(@"MQTT over TLS on 127\.0\.0\.1:(\d+)")]
    private static partial Regex MqttPort();

    /// <summary>Somebody who wants one page of the HTTPS port, every time over a new connection.</summary>
    private sealed class Visitor(int port, string authority) : IDisposable
    {
        private readonly HttpClient client = new(new SocketsHttpHandler
        {
            SslOptions = WebSocketDevice.Trust(authority),
            PooledConnectionLifetime = TimeSpan.Zero,
        })
        {
            Timeout = TimeSpan.FromSeconds(10),
        };

        public int Served { get; private set; }

        public int TurnedAway { get; private set; }

        public long SlowestMs { get; private set; }

        public async Task VisitAsync()
        {
            var watch = Stopwatch.StartNew();
            try
            {
                Assert.Equal("ok\n", await client.GetStringAsync($"https://localhost:{port}/healthz"));
                Served++;
            }
            catch (Exception away) when (away is HttpRequestException or TaskCanceledException)
            {
                TurnedAway++;
            }

            SlowestMs = Math.Max(SlowestMs, watch.ElapsedMilliseconds);
        }

        public void Dispose() => client.Dispose();
    }
}
