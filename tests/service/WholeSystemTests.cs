using System.Buffers;
using System.Text;
using Agent.Core;
using Agent.Events;
using Agent.Hub;
using Agent.Service;
using Agent.World;

namespace Agent.Tests.Service;

/// <summary>
/// Every SDK's machine, the hub's machine and the checker in one virtual hour: what the hub would say about them goes through its own
/// writers as bytes, and through the service's readers.
/// </summary>
public sealed class WholeSystemTests
{
    private const long CutAt = 35 * 60_000;
    private const long BackAt = 58 * 60_000;
    private const long RunFor = 75 * 60_000;
    private const long HeartbeatEvery = 60_000;
    private const long LogDelay = 120_000;
    private const string Prefix = "devices/x/messages/events/";

    // Lifetimes of a few minutes and a grace of one, so that each of them renews many times; agents announce, the others do not.
    private const string Text = """
        {
          "runFor": "01:15:00", "seed": 7, "hub": { "tokenGrace": "00:01:00" },
          "fleet": [
            { "name": "agent", "sdk": "agent", "count": 100, "lifetime": "00:06:00", "startSpread": "00:02:00" },
            { "name": "node", "sdk": "node", "count": 80, "lifetime": "00:05:00", "renewBefore": "00:02:00",
              "startSpread": "00:03:00", "features": ["c2d"] },
            { "name": "python", "sdk": "python", "count": 80, "lifetime": "00:06:00", "startSpread": "00:03:00" },
            { "name": "c", "sdk": "c", "count": 80, "lifetime": "00:05:00", "startSpread": "00:03:00" },
            { "name": "dotnet", "sdk": "dotnet", "count": 80, "lifetime": "00:05:00", "startSpread": "00:03:00" },
            { "name": "java", "sdk": "java", "count": 80, "lifetime": "00:05:00", "startSpread": "00:03:00" }
          ],
          "faults": [
            { "at": "00:35:00", "for": "00:23:00", "kind": "crash", "fleet": "agent", "share": 0.05 },
            { "at": "00:35:00", "for": "00:23:00", "kind": "crash", "fleet": "python", "share": 0.0625 }
          ]
        }
        """;

    [Fact]
    public void Half_an_hour_of_renewals_is_no_alarm_and_ten_power_cuts_are_ten()
    {
        var story = new Story(ScenarioReader.Read(Encoding.UTF8.GetBytes(Text)));
        int renewals = story.Connects.Count;
        story.PlayUntil(CutAt);
        Assert.InRange(renewals, 4000, int.MaxValue);
        Assert.Empty(story.Checker.Alarms.Changes);
        Assert.Equal(500, story.Checker.Count);
        Assert.Equal(0, story.Checker.CountOf(Status.Silent) + story.Checker.CountOf(Status.Flapping));

        story.PlayUntil(BackAt);
        Alarm[] raised = [.. story.Checker.Alarms.Open];
        Assert.Equal(10, raised.Length);
        Assert.Equal(10, story.Checker.Alarms.Changes.Count);
        Assert.Equal(story.Off.Order(), raised.Select(alarm => story.Checker.Table.Id(alarm.Subject)).Order());
        foreach (Alarm alarm in raised)
        {
            // Agents are missed by their heartbeats, before the hub knows anything; the others when the hub has said so for five minutes.
            bool isAgent = story.Checker.Table.Id(alarm.Subject).StartsWith("agent", StringComparison.Ordinal);
            Assert.Contains(alarm.Cause, isAgent ? [Cause.NoWord, Cause.RenewalFailed] : new[] { Cause.ClosedRemotely });
            Assert.InRange(alarm.RaisedAtMs - alarm.BeganAtMs, 0, 1000);
        }

        story.PlayUntil(RunFor);
        Assert.Empty(story.Checker.Alarms.Open);
        Assert.Equal(10, story.Checker.Alarms.Closed.Count);
        Assert.Equal(20, story.Checker.Alarms.Changes.Count);
    }

    [Fact]
    public void The_rhythm_of_devices_without_heartbeats_is_known_by_then()
    {
        var story = new Story(ScenarioReader.Read(Encoding.UTF8.GetBytes(Text)));
        story.PlayUntil(CutAt);
        (string, double)[] periods = [("node", 180), ("python", 240), ("c", 241), ("dotnet", 360), ("java", 361)];
        foreach ((string fleet, double period) in periods)
        {
            DeviceView view = story.Checker.At(story.Checker.Find(DeviceId.Text(fleet, 3)), Scenario.EpochUtcMs + CutAt);
            Assert.InRange(view.Rhythm.PeriodSeconds, period - 2, period + 3);
        }
    }

    /// <summary>What arrives at the service, in the order it arrives.</summary>
    private sealed class Story
    {
        private readonly PriorityQueue<(byte[] Body, bool IsLog), (long, int)> arrivals = new();
        private readonly ReadOutcome outcome = new();
        private readonly ConnectionsReader records = new();
        private readonly VirtualWorld world;
        private readonly Scenario scenario;
        private readonly List<(long AtMs, int Device, LogKind Kind)> log = [];
        private readonly Dictionary<int, FleetRun> fleetOf = [];
        private int arrived;
        private long nowMs = Scenario.EpochUtcMs;

        public Story(Scenario scenario)
        {
            this.scenario = scenario;
            world = new VirtualWorld(scenario, monitored: true);
            world.RunUntil(scenario.RunForMs);
            foreach (MonitoredRecord record in world.Monitor!.Records)
            {
                log.Add((record.AtMs, record.Device, record.Kind));
                fleetOf[record.Device] = world.Fleets.Last(fleet => fleet.FirstGlobal <= record.Device);
            }

            Connects = [.. log.Where(entry => entry.Kind == LogKind.Connect)];
            Off = [.. fleetOf.Keys.Where(IsCut).Select(IdOf)];
            WriteLog();
            WriteConnectionStates();
            WriteMessages();
            Checker.Start(nowMs);
        }

        public Checker Checker { get; } = new(new LivenessSettings(), seed: 9);

        public IReadOnlyList<(long AtMs, int Device, LogKind Kind)> Connects { get; }

        public IReadOnlyList<string> Off { get; }

        public void PlayUntil(long untilMs)
        {
            for (; nowMs < Scenario.EpochUtcMs + untilMs; nowMs += TimingWheel.TickMs)
            {
                while (arrivals.TryPeek(out (byte[] Body, bool IsLog) next, out (long AtMs, int) when) && when.AtMs <= nowMs)
                {
                    arrivals.Dequeue();
                    outcome.Clear();
                    bool isRead = next.IsLog ? records.TryRead(next.Body, outcome) : EventGridReader.TryRead(next.Body, outcome);
                    Assert.True(isRead, outcome.Error);
                    Checker.Apply(outcome.Facts, nowMs);
                }

                Checker.Sweep(nowMs);
                Checker.ClearTransitions();
            }
        }

        private string IdOf(int device) => DeviceId.Text(fleetOf[device].Plan.Name, device - fleetOf[device].FirstGlobal);

        private bool IsCut(int device) => Enumerable.Range(0, scenario.Faults.Count)
            .Any(fault => FaultShare.Covers(scenario, fault, fleetOf[device], device));

        private void Arrive(long atMs, ReadOnlySpan<byte> body, bool isLog = false) =>
            arrivals.Enqueue((body.ToArray(), isLog), (Scenario.EpochUtcMs + atMs, arrived++));

        private void WriteLog()
        {
            using var writer = new ConnectionsWriter("hub1");
            var output = new ArrayBufferWriter<byte>();
            foreach ((long atMs, int device, LogKind kind) in log)
            {
                output.ResetWrittenCount();
                writer.Write(output, new ConnectionsRecord
                {
                    UtcMs = Scenario.EpochUtcMs + atMs,
                    Kind = kind,
                    DeviceId = Encoding.ASCII.GetBytes(IdOf(device)),
                });
                Arrive(atMs + LogDelay, output.WrittenSpan, isLog: true);
            }
        }

        private void WriteConnectionStates()
        {
            using var writer = new EventGridWriter(EventSchema.EventGrid, "hub1");
            var output = new ArrayBufferWriter<byte>();
            var photograph = new ConnectionStateSnapshot(Scenario.EpochUtcMs, fleetOf.Count);
            var ids = new EventIds(1);
            int next = 0;
            for (long minute = 60_000; minute <= scenario.RunForMs; minute += 60_000)
            {
                for (; next < log.Count && log[next].AtMs < minute; next++)
                {
                    (long atMs, int device, LogKind kind) = log[next];
                    if (kind == LogKind.Connect)
                    {
                        photograph.OnConnect(Scenario.EpochUtcMs + atMs, device);
                        photograph.OnMessaging(Scenario.EpochUtcMs + atMs, device);
                    }
                    else if (kind < LogKind.ConnectUnauthorized)
                    {
                        photograph.OnDisconnect(Scenario.EpochUtcMs + atMs, device);
                    }
                }

                while (photograph.TryTake(Scenario.EpochUtcMs + minute, out ConnectionStateChange change))
                {
                    output.ResetWrittenCount();
                    output.Write("["u8);
                    writer.Write(output, new ConnectionStateEvent
                    {
                        Id = ids.Next(),
                        DeviceId = Encoding.ASCII.GetBytes(IdOf(change.Device)),
                        IsConnected = change.IsConnected,
                        UtcMs = change.AtUtcMs,
                        Sequence = change.Sequence,
                    });
                    output.Write("]"u8);
                    Arrive(minute + 500, output.WrittenSpan);
                }
            }
        }

        // A message a minute while the connection stands and there is power: a heartbeat from agents, plain telemetry from the others.
        private void WriteMessages()
        {
            using var writer = new EventGridWriter(EventSchema.CloudEvents, "hub1");
            var output = new ArrayBufferWriter<byte>();
            var ids = new EventIds(2);
            foreach (IGrouping<int, (long AtMs, int Device, LogKind Kind)> story in log.GroupBy(entry => entry.Device))
            {
                bool isAgent = fleetOf[story.Key].Plan.Sdk == "agent";
                byte[] id = Encoding.ASCII.GetBytes(IdOf(story.Key));
                (long AtMs, int Device, LogKind Kind)[] entries = [.. story];
                long renewalMs = isAgent ? RenewalEvery(entries) : 0;
                for (long at = 1000 + (story.Key * 97 % HeartbeatEvery); at < scenario.RunForMs; at += HeartbeatEvery)
                {
                    int last = Array.FindLastIndex(entries, entry => entry.AtMs <= at);
                    if (last < 0 || entries[last].Kind != LogKind.Connect || (IsCut(story.Key) && at is >= CutAt and < BackAt))
                    {
                        continue;
                    }

                    // Its own plan: the moment of its next reconnect, which it would know; after the last one, as long as before.
                    long planMs = last + 1 < entries.Length && !(IsCut(story.Key) && entries[last + 1].AtMs > CutAt)
                        ? entries[last + 1].AtMs : entries[last].AtMs + renewalMs;
                    string bag = isAgent
                        ? Heartbeat.Topic("x", (int)(at / HeartbeatEvery), 60, (int)(Math.Max(0, planMs - at) / 1000))[Prefix.Length..]
                        : "";
                    output.ResetWrittenCount();
                    writer.Write(output, new TelemetryEvent
                    {
                        Id = ids.Next(),
                        DeviceId = id,
                        GenerationId = "1"u8,
                        EnqueuedUtcMs = Scenario.EpochUtcMs + at,
                        Bag = Encoding.ASCII.GetBytes(bag),
                    });
                    Arrive(at + 300, output.WrittenSpan);
                }
            }
        }

        private static long RenewalEvery((long AtMs, int Device, LogKind Kind)[] entries)
        {
            long[] connects = [.. entries.Where(entry => entry.Kind == LogKind.Connect).Take(2).Select(entry => entry.AtMs)];
            return connects.Length < 2 ? 300_000 : connects[1] - connects[0];
        }
    }
}
