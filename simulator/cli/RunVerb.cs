using System.Globalization;
using Agent.Events;
using Agent.Report;
using Agent.World;

namespace Agent.Cli;

/// <summary><c>run SCENARIO</c> in virtual time.</summary>
public static class RunVerb
{
    /// <summary>Reads, runs, prints, writes; returns the exit code.</summary>
    /// <param name="path">The scenario file.</param>
    /// <param name="seed">Instead of the file's; null = the file's.</param>
    /// <param name="outDirectory">Where the files go; null = nowhere.</param>
    /// <param name="linesKept">Most records, and most events, written to the files; the rest is counted and said.</param>
    /// <param name="telemetry">Whether events.jsonl has an event for each message too.</param>
    /// <param name="json">Result as JSON instead of a table.</param>
    public static int Run(string path, long? seed, string? outDirectory, long linesKept, bool telemetry, bool json)
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

        RunResult result = outDirectory is null
            ? Simulate(scenario, null)
            : RunInto(scenario, outDirectory, linesKept, telemetry);
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

    private static RunResult Simulate(Scenario scenario, RunMonitor? monitor) =>
        ProgressBar.During(
            scenario.Title.Length > 0 ? scenario.Title : "running",
            onProgress => Runner.Run(scenario, 0, onProgress, monitor));

    private static RunResult RunInto(Scenario scenario, string outDirectory, long linesKept, bool telemetry)
    {
        Directory.CreateDirectory(outDirectory);
        RunResult result;
        using (var files = new RunFiles(outDirectory, scenario))
        {
            var monitor = new RunMonitor
            {
                KeptMax = linesKept,
                Telemetry = telemetry,
                OnRecord = files.Write,
                OnEvent = files.Write,
            };
            result = Simulate(scenario, monitor);
            SayWhatIsMissing("connections.jsonl", "records", linesKept, monitor.RecordCount);
            SayWhatIsMissing("events.jsonl", "events", linesKept, monitor.EventCount);
        }

        JsonOutput.WriteFile(Path.Combine(outDirectory, "result.json"), result.Write);
        string title = scenario.Title.Length > 0 ? scenario.Title : "Run";
        ReportPage.Write(Path.Combine(outDirectory, "report.html"), title, [result], JsonOutput.ToText(result.Write));
        return result;
    }

    private static void SayWhatIsMissing(string file, string what, long kept, long seen)
    {
        if (seen > kept)
        {
            Console.Error.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"note: {file} holds the first {kept} of {seen} {what}; --log-records keeps more"));
        }
    }
}
