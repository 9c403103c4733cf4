using System.Globalization;
using System.Runtime.InteropServices;
using Agent.Drive;
using Agent.Input;
using Agent.Report;
using Agent.Wire;
using Agent.World;

namespace Agent.Cli;

/// <summary>What <c>run --wire</c> and <c>fleet</c> were asked for.</summary>
public sealed record WireVerbOptions
{
    /// <summary>The scenario file.</summary>
    public required string Scenario { get; init; }

    /// <summary>Instead of the file's seed; null = the file's.</summary>
    public long? Seed { get; init; }

    /// <summary>HOST:PORT; null = a hub of the run's own.</summary>
    public string? Hub { get; init; }

    /// <summary>PEM file with the authority to trust; null = the system's.</summary>
    public string? Authority { get; init; }

    /// <summary>A policy's connection string.</summary>
    public string? Policy { get; init; }

    /// <summary>A file with a device's connection string a line.</summary>
    public string? Devices { get; init; }

    /// <summary>Whether a hub on another machine may be loaded.</summary>
    public bool AllowRemote { get; init; }

    /// <summary>Who does the work of TLS, at the own hub too.</summary>
    public TlsEngine TlsEngine { get; init; }

    /// <summary><c>I/N</c>; null = all devices.</summary>
    public string? Shard { get; init; }

    /// <summary>Where the files go; null = nowhere.</summary>
    public string? OutDirectory { get; init; }

    /// <summary>Result as JSON instead of a table.</summary>
    public bool Json { get; init; }
}

/// <summary>A scenario on the wire: <c>run SCENARIO --wire</c> and <c>fleet SCENARIO --hub HOST:PORT</c>.</summary>
public static class WireVerb
{
    /// <summary>Reads, runs in real time, prints, writes; returns the exit code.</summary>
    public static async Task<int> RunAsync(WireVerbOptions options, CancellationToken cancellation)
    {
        await Task.Yield(); // The run blocks its thread; the command line's own must be free to end it.
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using PosixSignalRegistration terminate = EndOn(PosixSignal.SIGTERM, ending);
        using PosixSignalRegistration interrupt = EndOn(PosixSignal.SIGINT, ending);
        Scenario scenario = ScenarioReader.ReadFile(options.Scenario);
        if (options.Seed is { } given)
        {
            scenario = scenario with { Seed = (ulong)given };
        }

        (int shard, int shardCount) = ReadShard(options.Shard);
        WireTarget? target = options.Hub is null ? null : await WireTargets.FindAsync(
            options.Hub, options.Authority, options.Policy, options.Devices, options.AllowRemote, scenario, options.TlsEngine)
            .ConfigureAwait(false);
        if (!options.Json)
        {
            Console.Error.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"seed {scenario.Seed}, commit {RunResult.Commit}, in real time for {TimeSpan.FromMilliseconds(scenario.RunForMs):c}"));
        }

        if (options.OutDirectory is not null)
        {
            Directory.CreateDirectory(options.OutDirectory);
        }

        RunResult result = ProgressBar.During(
            scenario.Title.Length > 0 ? scenario.Title : "on the wire",
            onProgress => WireRun.RunAsync(
                scenario, target, shard, shardCount, options.Shard is not null, onProgress, options.OutDirectory, options.TlsEngine,
                ending.Token)
                .GetAwaiter().GetResult());
        if (options.OutDirectory is not null)
        {
            JsonOutput.WriteFile(Path.Combine(options.OutDirectory, "result.json"), result.Write);
            string title = scenario.Title.Length > 0 ? scenario.Title : "Run on the wire";
            ReportPage.Write(
                Path.Combine(options.OutDirectory, "report.html"), title, [result], JsonOutput.ToText(result.Write));
        }

        if (options.Json)
        {
            JsonOutput.Print(result.Write);
        }
        else
        {
            RunTable.Print(result, options.Scenario + " --wire");
        }

        return result.Passed ? ExitCode.Done : ExitCode.ExpectationFailed;
    }

    // What was seen until then is the result: a run of days may be ended by hand.
    private static PosixSignalRegistration EndOn(PosixSignal signal, CancellationTokenSource ending) =>
        PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            ending.Cancel();
        });

    // I/N, counted from 1 as people count machines.
    private static (int Shard, int Count) ReadShard(string? text)
    {
        if (text is null)
        {
            return (0, 1);
        }

        string[] parts = text.Split('/');
        return parts.Length == 2 &&
            int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int index) &&
            int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int count) &&
            index >= 1 && index <= count && count <= 10_000
            ? (index - 1, count)
            : throw new BadInputException($"--shard {text}: not I/N; allowed: 1/1 to 10000/10000, I at most N");
    }
}
