using System.Buffers;
using System.Text;
using Agent.Hub;
using Agent.Logs;
using Agent.Tests.Hub;

namespace Agent.Tests.Logs;

/// <summary>A log made by the hub's own writer, one call per record, and ways to put questions to it.</summary>
internal sealed class LogLines : IDisposable
{
    public static readonly DateTime Start = new(2026, 11, 20, 0, 0, 0, DateTimeKind.Utc);

    private readonly HubFolder folder = new();
    private readonly ArrayBufferWriter<byte> output = new();
    private readonly ConnectionsWriter writer = new("localhost");

    public string Path => folder["connections.jsonl"];

    public byte[] Bytes => output.WrittenSpan.ToArray();

    public LogLines Add(double seconds, LogKind kind, string device = "d", string sdk = "", string? cause = null)
    {
        writer.Write(output, new ConnectionsRecord
        {
            UtcMs = (long)(Start - DateTime.UnixEpoch).TotalMilliseconds + (long)Math.Round(seconds * 1000),
            Kind = kind,
            DeviceId = Encoding.UTF8.GetBytes(device),
            SdkVersion = Encoding.UTF8.GetBytes(sdk),
            MaskedAddress = "192.0.2.XXX",
            Cause = cause,
        });
        return this;
    }

    /// <summary>Announced renewals at a period, each followed by a connect.</summary>
    public LogLines Renewals(double period, int count, string device = "d", string sdk = "", double gap = 0.2)
    {
        Add(0, LogKind.Connect, device, sdk);
        for (int i = 1; i <= count; i++)
        {
            Add(i * period, LogKind.Disconnect, device, sdk).Add((i * period) + gap, LogKind.Connect, device, sdk);
        }

        return this;
    }

    /// <summary>Cuts of expired tokens at a period: both records, then a connect.</summary>
    public LogLines Cuts(double period, int count, string device = "d", string sdk = "", double gap = 0.1)
    {
        Add(0, LogKind.Connect, device, sdk);
        for (int i = 1; i <= count; i++)
        {
            Cut(i * period, device, sdk).Add((i * period) + gap, LogKind.Connect, device, sdk);
        }

        return this;
    }

    public LogLines Cut(double seconds, string device = "d", string sdk = "") =>
        Add(seconds, LogKind.DisconnectUnauthorized, device, sdk).Add(seconds, LogKind.DisconnectClosedRemotely, device, sdk);

    /// <summary>Reads what was written; the rows of the answer.</summary>
    public (LogsRun Run, List<ConnectionsEntry> Rows) Ask(LogQuery query, string? device = null, bool explain = false)
    {
        File.WriteAllBytes(Path, Bytes);
        var run = new LogsRun(new LogsOptions { Sources = [Path], Query = query, Device = device, Explain = explain });
        var rows = new List<ConnectionsEntry>();
        run.Read(rows.Add);
        return (run, rows);
    }

    /// <summary>The history of the only device, or of the named one.</summary>
    public DeviceHistory History(string device = "d") =>
        Ask(LogQuery.Disconnects).Run.Analysis.Devices.Single(history => history.DeviceId == device);

    public EndCounts Counts(string device = "d") => History(device).Counts;

    public RhythmSuggestion Suggestion(string device = "d") => RhythmGuide.Suggest(History(device));

    public static (List<ConnectionsEntry> Entries, ConnectionsReader Reader) Read(byte[] bytes, int chunk = int.MaxValue)
    {
        using var reader = new ConnectionsReader(new ChunkStream(bytes, chunk), "log");
        var entries = new List<ConnectionsEntry>();
        while (reader.TryRead(out ConnectionsEntry? entry))
        {
            entries.Add(entry);
        }

        return (entries, reader);
    }

    public static (List<ConnectionsEntry> Entries, ConnectionsReader Reader) Read(string text) => Read(Encoding.UTF8.GetBytes(text));

    public void Dispose()
    {
        writer.Dispose();
        folder.Dispose();
    }

    /// <summary>Hands out so many bytes at a time.</summary>
    private sealed class ChunkStream(byte[] bytes, int chunk) : MemoryStream(bytes)
    {
        public override int Read(byte[] buffer, int offset, int count) => base.Read(buffer, offset, Math.Min(count, chunk));
    }
}
