using System.Buffers;
using System.Globalization;
using System.Text;
using Agent.Events;
using Agent.Fleet;
using Agent.Hub;
using Agent.World;

namespace Agent.Report;

/// <summary>What a hub lets out during a run, in two files: connections.jsonl and events.jsonl.</summary>
public sealed class RunFiles : IDisposable
{
    /// <summary>Lines kept in each file unless told otherwise: half a gigabyte each.</summary>
    public const long LinesKeptDefault = 1_000_000;

    private const string HubName = "localhost";
    private const uint GenerationDraw = 0x2000_0000;

    private readonly Scenario scenario;
    private readonly int[] fleetEnds;
    private readonly byte[][] agents;
    private readonly long startUtcMs;
    private readonly LineFile? records;
    private readonly LineFile events;
    private readonly ConnectionsWriter recordWriter = new(HubName);
    private readonly EventGridWriter eventWriter = new(EventSchema.EventGrid, HubName);
    private readonly EventIds ids;

    /// <param name="directory">An existing folder.</param>
    /// <param name="scenario">What is run: names of devices, seed of event ids.</param>
    /// <param name="startUtcMs">Moment 0, ms since 1970.</param>
    /// <param name="withRecords">False: somebody else writes connections.jsonl.</param>
    public RunFiles(string directory, Scenario scenario, long startUtcMs = Scenario.EpochUtcMs, bool withRecords = true)
    {
        this.scenario = scenario;
        this.startUtcMs = startUtcMs;
        ids = new EventIds(scenario.Seed);
        int end = 0;
        fleetEnds = [.. scenario.Fleets.Select(fleet => end += fleet.Count)];
        agents = [.. scenario.Fleets.Select(fleet => Encoding.UTF8.GetBytes(
            SdkCatalog.Create(fleet.Sdk, fleet.Behaviour, fleet.Settings, 1, scenario.Seed).Connect.UserAgent))];
        records = withRecords ? new LineFile(Path.Combine(directory, "connections.jsonl")) : null;
        events = new LineFile(Path.Combine(directory, "events.jsonl"));
    }

    /// <summary>Appends one record.</summary>
    public void Write(MonitoredRecord record)
    {
        Span<byte> id = stackalloc byte[256];
        int fleet = FormatId(record.Device, ref id);
        recordWriter.Write(records!.Buffer, new ConnectionsRecord
        {
            UtcMs = startUtcMs + record.AtMs,
            Kind = record.Kind,
            DeviceId = id,
            SdkVersion = agents[fleet],
            MaskedAddress = "127.0.0.XXX",
        });
        records.FlushWhenFull();
    }

    /// <summary>Appends one event.</summary>
    public void Write(MonitoredEvent one)
    {
        Span<byte> id = stackalloc byte[256];
        FormatId(one.Device, ref id);
        if (one.Kind == MonitoredKind.Telemetry)
        {
            Span<byte> generation = stackalloc byte[32];
            ulong draw = Randomness.Draw(scenario.Seed, one.Device, GenerationDraw);
            (draw % 1_000_000_000_000_000_000).TryFormat(generation, out int length, "D18", CultureInfo.InvariantCulture);
            eventWriter.Write(events.Buffer, new TelemetryEvent
            {
                Id = ids.Next(),
                DeviceId = id,
                GenerationId = generation[..length],
                EnqueuedUtcMs = startUtcMs + one.AtMs,
                Body = "{}"u8,
            });
        }
        else
        {
            eventWriter.Write(events.Buffer, new ConnectionStateEvent
            {
                Id = ids.Next(),
                DeviceId = id,
                IsConnected = one.Kind == MonitoredKind.Connected,
                UtcMs = startUtcMs + one.AtMs,
                Sequence = one.Sequence,
            });
        }

        events.Buffer.Write("\n"u8);
        events.FlushWhenFull();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        records?.Dispose();
        events.Dispose();
        recordWriter.Dispose();
        eventWriter.Dispose();
    }

    // Cuts the span to the id and returns the fleet.
    private int FormatId(int device, ref Span<byte> id)
    {
        int fleet = 0;
        while (device >= fleetEnds[fleet])
        {
            fleet++;
        }

        int index = fleet == 0 ? device : device - fleetEnds[fleet - 1];
        id = id[..DeviceId.Format(id, scenario.Fleets[fleet].Name, index)];
        return fleet;
    }

    private sealed class LineFile(string path) : IDisposable
    {
        private const int BufferedMax = 1 << 16;
        private readonly FileStream file = File.Create(path);

        public ArrayBufferWriter<byte> Buffer { get; } = new(2 * BufferedMax);

        public void FlushWhenFull()
        {
            if (Buffer.WrittenCount > BufferedMax)
            {
                Flush();
            }
        }

        public void Dispose()
        {
            Flush();
            file.Dispose();
        }

        private void Flush()
        {
            file.Write(Buffer.WrittenSpan);
            Buffer.ResetWrittenCount();
        }
    }
}
