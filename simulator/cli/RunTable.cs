using System.Globalization;
using Agent.World;
using Spectre.Console;

namespace Agent.Cli;

/// <summary>Prints a run's result for a person.</summary>
public static class RunTable
{
    /// <summary>The table, the expectations and, after a failure, the command that repeats it.</summary>
    public static void Print(RunResult result, string path)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Out) });
        console.Profile.Width = Math.Max(console.Profile.Width, 180); // A cut number is worse than a long line.
        if (result.Scenario.Title.Length > 0)
        {
            Console.WriteLine(result.Scenario.Title);
        }

        Table table = new Table().Border(TableBorder.Simple);
        table.AddColumn(new TableColumn("fleet").NoWrap());
        foreach (string column in (string[])
            ["devices", "connects", "renewals", "drops", "refusals", "period s", "p5..p95", "gap ms", "down s", "heartbeats", "max/s"])
        {
            table.AddColumn(new TableColumn(column).RightAligned().NoWrap());
        }

        foreach (FleetResult fleet in result.Fleets)
        {
            FleetStatistics s = fleet.Statistics;
            table.AddRow(
                Markup.Escape(Title(fleet.Plan)),
                Text(fleet.Plan.Count), Text(s.Connects), Text(s.Renewals), Text(s.Drops), Text(s.Refusals),
                Text(fleet.PeriodSeconds(0.5)), $"{Text(fleet.PeriodSeconds(0.05))}..{Text(fleet.PeriodSeconds(0.95))}",
                Text(fleet.GapMs(0.5)), Text(s.DownMs / 1000.0), Text(s.Heartbeats), Text(s.ConnectsPerSecondMax()));
        }

        console.Write(table);
        foreach (FleetResult fleet in result.Fleets)
        {
            Console.WriteLine($"{fleet.Plan.Name}: {Counts(fleet.ReasonCounts())}");
            Console.WriteLine($"{new string(' ', fleet.Plan.Name.Length)}  {Counts(fleet.LogCounts())}");
        }

        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{result.Events} events in {result.WallSeconds:0.00} s, {result.Shards} shard(s), event hash {result.EventHash}"));
        DetectorTable.Print(result);
        PrintExpectations(result, $"run {path}");
    }

    private static string Title(FleetPlan plan) =>
        (plan.Name == plan.Sdk ? plan.Name : $"{plan.Name} ({plan.Sdk})") +
        (plan.Behaviour == "source" ? "" : $", {plan.Behaviour}");

    /// <summary>The expectations and, after a failure, the command that repeats the run.</summary>
    public static void PrintExpectations(RunResult result, string command)
    {
        foreach (ExpectationResult expectation in result.Expectations)
        {
            Console.WriteLine($"{(expectation.Held ? "held  " : "FAILED")} {expectation.Text}, seen {Text(expectation.Seen)}");
        }

        if (!result.Passed)
        {
            Console.WriteLine(
                $"FAILED. Again: dotnet run --project simulator -- {command} --seed {result.Scenario.Seed}");
        }
        else if (result.Expectations.Count > 0)
        {
            Console.WriteLine($"PASSED, {result.Expectations.Count} expectation(s) held.");
        }
    }

    private static string Counts(IEnumerable<KeyValuePair<string, long>> counts)
    {
        string text = string.Join(", ", counts.Select(pair => $"{pair.Key} {pair.Value}"));
        return text.Length > 0 ? text : "nothing ended";
    }

    private static string Text(double? value) =>
        value is { } number ? number.ToString("#,0.##", CultureInfo.InvariantCulture) : "-";
}
