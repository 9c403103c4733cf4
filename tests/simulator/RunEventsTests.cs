using System.Text;
using System.Text.Json;
using Agent.Cli;
using Agent.Events;
using Agent.Report;
using Agent.Tests.Hub;
using Agent.World;
using Azure.Messaging.EventGrid;
using Azure.Messaging.EventGrid.SystemEvents;

namespace Agent.Tests.Simulator;

/// <summary>connections.jsonl and events.jsonl of a virtual run: what an operator would have seen, and no more.</summary>
public sealed class RunEventsTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("agent-events-test-").FullName;

    [Fact]
    public void Every_event_is_read_by_the_vendors_parser()
    {
        EventGridEvent[] events = Events(
            """
            { "runFor": "00:10:00", "fleet": [ { "name": "a b", "sdk": "python", "count": 2, "heartbeatEvery": "00:02:00" } ],
              "faults": [ { "at": "00:05:30", "for": "00:03:00", "kind": "crash" } ] }
            """, telemetry: true);

        foreach (EventGridEvent each in events)
        {
            Assert.True(each.TryGetSystemEventData(out object data));
            (string hub, string device) = data switch
            {
                IotHubDeviceConnectedEventData connected => (connected.HubName, connected.DeviceId),
                IotHubDeviceDisconnectedEventData disconnected => (disconnected.HubName, disconnected.DeviceId),
                IotHubDeviceTelemetryEventData message =>
                    ("localhost", message.SystemProperties["iothub-connection-device-id"]),
                _ => throw new InvalidOperationException(each.EventType),
            };
            Assert.Equal(("localhost", each.Subject), (hub, "devices/" + device));
        }

        Assert.Equal(events.Length, events.Select(each => each.Id).Distinct().Count());
        Assert.Equal(
            "02 telemetry, 02 connected, 04 telemetry, 07 disconnected",
            Story(events, "devices/a-b-000000", withTelemetry: true));
    }

    [Fact]
    public void A_flap_within_the_minute_shows_only_in_the_sequence_number()
    {
        EventGridEvent[] events = Events(
            """
            { "runFor": "00:10:00", "fleet": [ { "sdk": "agent", "count": 1, "heartbeatEvery": "00:00:10" } ],
              "faults": [ { "at": "00:05:05", "kind": "tcpDrop" }, { "at": "00:05:25", "kind": "tcpDrop" } ] }
            """);

        Assert.Equal(2, events.Length);
        Assert.All(events, each => Assert.Equal("Microsoft.Devices.DeviceConnected", each.EventType));
        Assert.Equal(("0000000000000001", "0000000000000005"), (Sequence(events[0])[48..], Sequence(events[1])[48..]));
        Assert.True(events[1].EventTime.Minute == 5);
    }

    // The clients are connected and an application could talk to them; Event Grid does not know.
    [Theory]
    [InlineData("", 0)]
    [InlineData(""", "features": ["twin", "methods"] """, 0)]
    [InlineData(""", "features": ["c2d"] """, 1)]
    [InlineData(""", "heartbeatEvery": "00:05:00" """, 1)]
    [InlineData(""", "heartbeatEvery": "02:00:00" """, 0)]
    public void A_connection_shows_when_it_is_first_used_for_messages(string keys, int expected)
    {
        EventGridEvent[] events = Events(
            $$"""{ "runFor": "00:30:00", "fleet": [ { "sdk": "dotnet", "count": 1 {{keys}} } ] }""");

        Assert.Equal(expected, events.Length);
    }

    [Fact]
    public void A_silent_device_disconnects_when_the_hub_notices_and_not_when_it_happens()
    {
        EventGridEvent[] events = Events(
            """
            { "runFor": "02:00:00", "network": { "roundTripMs": 0 },
              "fleet": [ { "sdk": "dotnet", "count": 1, "heartbeatEvery": "00:01:00" } ],
              "faults": [ { "at": "00:10:30", "kind": "networkDown" } ] }
            """);

        // The last packet that got through is the heartbeat at 10 min; 1.5 × 300 s later the hub gives up.
        Assert.Equal("01 connected, 17:30 disconnected", Story(events, "devices/dotnet-000000", withTelemetry: false));
    }

    [Fact]
    public void What_is_beyond_the_cap_is_counted()
    {
        Scenario scenario = Read("""
            { "runFor": "01:00:00", "fleet": [ { "sdk": "node", "count": 10, "heartbeatEvery": "00:01:00", "startSpread": "00:10:00" } ] }
            """);
        (string[] all, string[] allEvents, _) = Files(scenario, 1, long.MaxValue, telemetry: true);
        (string[] some, string[] someEvents, RunMonitor monitor) = Files(scenario, 2, 7, telemetry: true);

        Assert.Equal(all[..7], some);
        Assert.Equal(allEvents[..7], someEvents);
        Assert.Equal((all.Length, allEvents.Length), (monitor.RecordCount, monitor.EventCount));
    }

    public static TheoryData<int> Seeds() => [.. Enumerable.Range(1, 40)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void The_files_do_not_depend_on_shards_and_the_run_not_on_being_watched(int seed)
    {
        string text = SwarmTests.Draw(seed);
        Scenario scenario = Read(text);
        (string[] records, string[] events, _) = Files(scenario, 1, long.MaxValue, telemetry: true);
        (string[] records3, string[] events3, _) = Files(scenario, 3, long.MaxValue, telemetry: true);
        Assert.Equal(records, records3);
        Assert.Equal(events, events3);

        (_, _, RunMonitor monitor) = Files(scenario, 1, 0, telemetry: false);
        RunResult unwatched = Runner.Run(scenario, shards: 1);
        Assert.Equal(unwatched.EventHash, watched!.EventHash);
        Assert.Equal(unwatched.Events, watched.Events);
        Assert.Equal(unwatched.Fleets.Sum(fleet => fleet.Statistics.LogRecords.Sum()), records.Length);
        Assert.Equal(records.Length, monitor.RecordCount);
        long heartbeats = unwatched.Fleets.Sum(fleet => fleet.Statistics.Heartbeats);
        Assert.True(heartbeats == events.Length - monitor.EventCount, $"{heartbeats} heartbeats: {text}");
    }

    [Theory]
    [InlineData("", 3)]
    [InlineData("--telemetry-events", 36)]
    [InlineData("--log-records 2", 2)]
    public async Task Run_writes_both_files_beside_the_result(string options, int events)
    {
        string path = Path.Combine(folder, "scenario.json");
        await File.WriteAllTextAsync(path, """
            { "runFor": "00:02:00", "fleet": [ { "sdk": "c", "count": 3, "heartbeatEvery": "00:00:10" } ] }
            """, TestContext.Current.CancellationToken);
        (int code, _, string error) = await Tool.RunAsync(
            "dotnet", [typeof(RunVerb).Assembly.Location, "run", path, "--out", folder, .. options.Split(' ').Where(word => word != "")]);

        Assert.True(code == ExitCode.Done, error);
        Assert.Equal(Math.Min(3, events), File.ReadAllLines(Path.Combine(folder, "connections.jsonl")).Length);
        Assert.Equal(events, File.ReadAllLines(Path.Combine(folder, "events.jsonl")).Length);
        Assert.Equal(
            events == 2,
            error.Contains("note: events.jsonl holds the first 2 of 3 events; --log-records keeps more", StringComparison.Ordinal));
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);

    private RunResult? watched;

    private static Scenario Read(string text) => ScenarioReader.Read(Encoding.UTF8.GetBytes(text));

    private (string[] Records, string[] Events, RunMonitor Monitor) Files(Scenario scenario, int shards, long kept, bool telemetry)
    {
        RunMonitor monitor;
        using (var files = new RunFiles(folder, scenario))
        {
            monitor = new RunMonitor { KeptMax = kept, Telemetry = telemetry, OnRecord = files.Write, OnEvent = files.Write };
            watched = Runner.Run(scenario, shards, monitor: monitor);
        }

        return (
            File.ReadAllLines(Path.Combine(folder, "connections.jsonl")), File.ReadAllLines(Path.Combine(folder, "events.jsonl")),
            monitor);
    }

    private EventGridEvent[] Events(string text, bool telemetry = false) =>
        [.. Files(Read(text), 1, long.MaxValue, telemetry).Events.SelectMany(line => EventGridEvent.ParseMany(new BinaryData(line)))];

    // Minutes (and seconds) of one device's events, in the order of the file.
    private static string Story(EventGridEvent[] events, string subject, bool withTelemetry) => string.Join(", ", events
        .Where(each => each.Subject == subject && (withTelemetry || !each.EventType.EndsWith("Telemetry", StringComparison.Ordinal)))
        .Select(each => each.EventTime.ToString("mm:ss", System.Globalization.CultureInfo.InvariantCulture).Replace(":00", "")
            + " " + each.EventType["Microsoft.Devices.Device".Length..].ToLowerInvariant()));

    private static string Sequence(EventGridEvent parsed) => JsonDocument.Parse(parsed.Data.ToString()).RootElement
        .GetProperty("deviceConnectionStateEventInfo").GetProperty("sequenceNumber").GetString()!;
}
