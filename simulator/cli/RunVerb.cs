using System.Buffers;
using System.Globalization;
using System.Text;
using Agent.Hub;
using Agent.Report;
using Agent.World;

namespace Agent.Cli;

/// <summary><c>run SCENARIO</c> in virtual time.</summary>
public static class RunVerb
{
    /// <summary>Records kept in connections.jsonl unless told otherwise: half a gigabyte.</summary>
    public const long RecordsKeptDefault = 1_000_000;

    /// <summary>Reads, runs, prints, writes; returns the exit code.</summary>
    /// <param name="path">The scenario file.</param>
    /// <param name="seed">Instead of the file's; null = the file's.</param>
    /// <param name="outDirectory">Where the files go; null = nowhere.</param>
    /// <param name="recordsKept">Most records written to connections.jsonl; the rest is counted and said.</param>
    /// <param name="json">Result as JSON instead of a table.</param>
    public static int Run(string path, long? seed, string? outDirectory, long recordsKept, bool json)
    {
        Scenario scenario = ScenarioReader.ReadFile(path);
        if (seed is { } given)
        {
            scenario = scenario with { Seed = (ulong)given };
        }

        if (!json)
        {
            Console.Error.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"seed {scenario.Seed}, commit {RunResult.Commit}, run for {TimeSpan.FromMilliseconds(scenario.RunForMs):c}"));
        }

        if (scenario.Detectors.Count > 0)
        {
            Console.Error.WriteLine("note: detectors are read and checked, but this build does not score them yet");
        }

        RunResult result = outDirectory is null
            ? Simulate(scenario, null)
            : RunInto(scenario, outDirectory, recordsKept);
        if (json)
        {
            JsonOutput.Print(result.Write);
        }
        else
        {
            RunTable.Print(result, path);
        }

        return result.Passed ? ExitCode.Done : ExitCode.ExpectationFailed;
    }

    private static RunResult Simulate(Scenario scenario, Action<long, FleetRun, int, LogKind>? onLogRecord) =>
        ProgressBar.During(
            scenario.Title.Length > 0 ? scenario.Title : "running",
            onProgress => Runner.Run(scenario, 0, onProgress, onLogRecord));

    private static RunResult RunInto(Scenario scenario, string outDirectory, long recordsKept)
    {
        Directory.CreateDirectory(outDirectory);
        RunResult result;
        using (var records = new RecordFile(Path.Combine(outDirectory, "connections.jsonl"), recordsKept))
        {
            result = Simulate(scenario, records.Write);
            if (records.Seen > recordsKept)
            {
                Console.Error.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"note: connections.jsonl holds the first {recordsKept} of {records.Seen} records; --log-records keeps more"));
            }
        }

        JsonOutput.WriteFile(Path.Combine(outDirectory, "result.json"), result.Write);
        string title = scenario.Title.Length > 0 ? scenario.Title : "Run";
        ReportPage.Write(Path.Combine(outDirectory, "report.html"), title, [result], JsonOutput.ToText(result.Write));
        return result;
    }

    /// <summary>connections.jsonl of a virtual run.</summary>
    private sealed class RecordFile(string path, long recordsKept) : IDisposable
    {
        private readonly FileStream file = File.Create(path);
        private readonly ArrayBufferWriter<byte> buffer = new(1 << 17);
        private readonly ConnectionsWriter writer = new("LOCALHOST");
        private readonly Dictionary<FleetRun, byte[]> agents = [];

        /// <summary>Records offered so far, kept or not.</summary>
        public long Seen { get; private set; }

        public void Write(long nowMs, FleetRun fleet, int globalIndex, LogKind kind)
        {
            if (Seen++ >= recordsKept)
            {
                return;
            }

            if (!agents.TryGetValue(fleet, out byte[]? agent))
            {
                agents[fleet] = agent = Encoding.UTF8.GetBytes(fleet.Fields.UserAgent);
            }

            Span<byte> id = stackalloc byte[256];
            int length = DeviceId.Format(id, fleet.Plan.Name, globalIndex - fleet.FirstGlobal);
            writer.Write(buffer, new ConnectionsRecord
            {
                UtcMs = Scenario.EpochUtcMs + nowMs,
                Kind = kind,
                DeviceId = id[..length],
                SdkVersion = agent,
                MaskedAddress = "127.0.0.XXX",
            });
            if (buffer.WrittenCount > 1 << 16)
            {
                Flush();
            }
        }

        public void Dispose()
        {
            Flush();
            file.Dispose();
            writer.Dispose();
        }

        private void Flush()
        {
            file.Write(buffer.WrittenSpan);
            buffer.ResetWrittenCount();
        }
    }
}
