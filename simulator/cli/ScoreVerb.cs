using System.CommandLine;
using Agent.Input;
using Agent.Report;
using Agent.World;
using Command = System.CommandLine.Command;

namespace Agent.Cli;

/// <summary><c>score [SCENARIO]</c>: which way of noticing an outage is fast, quiet and cheap for these devices?</summary>
public static class ScoreVerb
{
    private const string DefaultScenario = "which-detector.json";
    private const string DefaultFolder = "out/score";

    /// <summary>The verb with its options.</summary>
    public static Command Command(Option<bool> json)
    {
        var scenario = new Argument<string?>("SCENARIO")
        {
            Description = $"A scenario file; {DefaultScenario}, which comes along, when left out.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var seed = new Option<long?>("--seed") { Description = "Instead of the file's seed, 0 or more.", HelpName = "N" };
        var scale = new Option<int>("--scale")
        {
            Description = "Makes every fleet so many times larger.",
            HelpName = "N",
            DefaultValueFactory = _ => 1,
        };
        var folder = new Option<string?>("--out")
        {
            Description = $"Folder for result.json and report.html, {DefaultFolder} by default.",
            HelpName = "DIR",
        };
        var command = new Command(
            "score",
            "Scores detectors: every way of noticing an outage, on one fleet, against the truth.\n\n" +
            "Runs the scenario in virtual time with its \"detectors\" (all six kinds when it names none): heartbeat (the service's\n" +
            "own checker), eventGrid, connectionsLog, connectedDevices, connectionState, shortExpiry, each with the delays and\n" +
            "blind spots of the real thing. Of each: outages detected and missed, false alarms, how late, what it costs.\n" +
            "`advise` searches the settings for you.")
        {
            scenario, seed, scale, folder,
        };
        command.SetAction(parsed => Run(
            parsed.GetValue(scenario), parsed.GetValue(seed), parsed.GetValue(scale), parsed.GetValue(folder) ?? DefaultFolder,
            parsed.GetValue(json)));
        return command;
    }

    /// <summary>Reads, runs, prints, writes; returns the exit code.</summary>
    public static int Run(string? path, long? seed, int scale, string outDirectory, bool json)
    {
        Scenario scenario = Read(path ?? Path.Combine(AppContext.BaseDirectory, "scenarios", DefaultScenario), seed, scale);
        RunResult result = ProgressBar.During(
            scenario.Title.Length > 0 ? scenario.Title : "scoring", onProgress => Runner.Run(scenario, 0, onProgress));
        Directory.CreateDirectory(outDirectory);
        JsonOutput.WriteFile(Path.Combine(outDirectory, "result.json"), result.Write);
        string report = Path.Combine(outDirectory, "report.html");
        ReportPage.Write(report, scenario.Title.Length > 0 ? scenario.Title : "Score", [result], JsonOutput.ToText(result.Write));
        if (json)
        {
            JsonOutput.Print(result.Write);
        }
        else
        {
            Print(result, path, report);
        }

        return result.Passed ? ExitCode.Done : ExitCode.ExpectationFailed;
    }

    private static Scenario Read(string path, long? seed, int scale)
    {
        Scenario scenario = ScenarioReader.ReadFile(path);
        if (seed is < 0)
        {
            throw new BadInputException($"--seed: {seed} is out of range; allowed: 0 or more");
        }

        long devices = scenario.Fleets.Sum(fleet => (long)fleet.Count);
        if (scale < 1 || devices * scale > ScenarioReader.MaxDevices)
        {
            throw new BadInputException(
                $"--scale: {scale} is out of range; allowed: 1 to {ScenarioReader.MaxDevices / devices} for this scenario");
        }

        return scenario with
        {
            Seed = seed is { } given ? (ulong)given : scenario.Seed,
            Fleets = [.. scenario.Fleets.Select(fleet => fleet with { Count = fleet.Count * scale })],
            Detectors = scenario.Detectors.Count > 0
                ? scenario.Detectors
                : [.. ScenarioReader.DetectorKinds(scenario.Hub).Select(DetectorPlan.Default)],
        };
    }

    private static void Print(RunResult result, string? path, string report)
    {
        Console.WriteLine(result.Scenario.Title);
        long devices = result.Fleets.Sum(fleet => (long)fleet.Plan.Count);
        var length = TimeSpan.FromMilliseconds(result.Scenario.RunForMs);
        FormattableString run =
            $"{devices:#,0} devices for {length:c}, seed {result.Scenario.Seed}, {result.WallSeconds:0.0} s";
        Console.WriteLine(FormattableString.Invariant(run));
        DetectorTable.Print(result);
        Console.WriteLine();
        DetectorTable.PrintChart(result.Detectors);
        RunTable.PrintExpectations(result, $"score {path}".Trim());
        Console.WriteLine($"Chart and table: {report}");
        Console.WriteLine("Next, the cheapest settings for your own limits:");
        Console.WriteLine(
            "  dotnet run --project simulator -- advise --late 5m --false-alarms-per-device-year 0.1 --devices 10000 --sdk node");
    }
}
