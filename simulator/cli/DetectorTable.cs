using System.Globalization;
using Agent.Report;
using Agent.World;
using Spectre.Console;

namespace Agent.Cli;

/// <summary>Prints the score of detectors for a person: a table, and the chart of the report in characters.</summary>
public static class DetectorTable
{
    private const int ChartColumns = 76;
    private const int ChartRows = 14;
    private const int WidthMin = 170;

    /// <summary>The table; nothing when no detector was scored.</summary>
    public static void Print(RunResult result)
    {
        if (result.Detectors.Count == 0)
        {
            return;
        }

        Table table = new Table().Border(TableBorder.Simple);
        table.AddColumn("");
        table.AddColumn(new TableColumn("detector").NoWrap());
        foreach (string column in (string[])
        [
            "outages", "flaps", "detected", "flaps det.", "missed", "false", "/device-year", "p50 s", "p99 s", "msg/device-day",
            "$/1000·month",
        ])
        {
            table.AddColumn(new TableColumn(column).RightAligned().NoWrap());
        }

        for (int i = 0; i < result.Detectors.Count; i++)
        {
            DetectorResult one = result.Detectors[i];
            table.AddRow(
                DetectorScale.Letter(i), Markup.Escape($"{one.Plan.Kind} {one.OptionText}".Trim()),
                Text(one.Outages), Text(one.Flaps), Text(one.Detected), Text(one.FlapsDetected), Text(one.Missed), Text(one.FalseAlarms),
                Text(one.FalseAlarmsPerDeviceYear), Text(one.LatenessSeconds(0.5)), Text(one.LatenessSeconds(0.99)),
                Text(one.MessagesPerDeviceDay), one.CostUsd is { } usd ? usd.ToString("#,0.00", CultureInfo.InvariantCulture) : "-");
        }

        NewConsole().Write(table);
        Console.WriteLine(
            "An outage shorter than a minute is a flap. A renewal of up to a minute is no outage, and an alarm for it a false one. " +
            $"Prices: tier {result.Scenario.Hub.Tier}.");
    }

    /// <summary>Lateness to the right, false alarms upwards; a letter where the median is, dashes up to the latest hundredth.</summary>
    public static void PrintChart(IReadOnlyList<DetectorResult> detectors)
    {
        var scale = new DetectorScale(detectors);
        var rows = Enumerable.Range(0, ChartRows).Select(_ => new string(' ', ChartColumns).ToCharArray()).ToArray();
        var colours = new Dictionary<char, string>();
        double[] costs = [.. detectors.Select(detector => detector.CostUsd ?? 0).Order()];
        for (int i = 0; i < detectors.Count; i++)
        {
            if (detectors[i].LatenessSeconds(0.5) is { } median && detectors[i].LatenessSeconds(0.99) is { } late)
            {
                char letter = DetectorScale.Letter(i)[0];
                int row = Row(scale.Up(detectors[i].FalseAlarmsPerDeviceYear));
                Draw(rows, row, Column(scale.Across(median)), Column(scale.Across(late)), letter);
                double cost = detectors[i].CostUsd ?? 0;
                colours[letter] = cost <= costs[costs.Length / 3] ? "green" : cost <= costs[costs.Length * 2 / 3] ? "yellow" : "red";
            }
        }

        Dictionary<int, string> ticks = [];
        foreach ((double share, string text) in scale.RateTicks())
        {
            ticks[Row(share)] = text;
        }

        var lines = new List<string> { "[grey]false alarms per device-year[/]" };
        for (int row = 0; row < ChartRows; row++)
        {
            string drawn = string.Concat(rows[row].Select(c =>
                colours.TryGetValue(c, out string? colour) ? $"[{colour} bold]{c}[/]" : Markup.Escape(c.ToString())));
            lines.Add($"{ticks.GetValueOrDefault(row, ""),9} │{drawn}");
        }

        lines.Add($"{"",9} └{new string('─', ChartColumns)}");
        lines.Add($"{"",11}{Axis(scale)}");
        lines.Add($"{"",11}[grey]late: median (letter) to p99; price: [green]low[/], [yellow]middle[/], [red]high[/][/]");
        NewConsole().Write(new Panel(new Markup(string.Join('\n', lines))).Border(BoxBorder.None));
    }

    private static void Draw(char[][] rows, int row, int from, int to, char letter)
    {
        // Two of one height stand beneath each other as long as there is room.
        while (row > 0 && Enumerable.Range(from, to - from + 1).Any(column => rows[row][column] != ' '))
        {
            row--;
        }

        rows[row].AsSpan(from, to - from + 1).Fill('─');
        rows[row][from] = letter;
    }

    private static string Axis(DetectorScale scale)
    {
        char[] axis = new string(' ', ChartColumns + 8).ToCharArray();
        int end = 0;
        foreach ((double share, string text) in scale.LatenessTicks())
        {
            int at = Column(share);
            if (at >= end && at + text.Length <= axis.Length)
            {
                text.CopyTo(axis.AsSpan(at));
                end = at + text.Length + 1;
            }
        }

        return new string(axis).TrimEnd();
    }

    private static int Column(double share) => (int)Math.Round(share * (ChartColumns - 1));

    private static int Row(double share) => ChartRows - 1 - (int)Math.Round(share * (ChartRows - 1));

    private static IAnsiConsole NewConsole()
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Out) });
        console.Profile.Width = Math.Max(console.Profile.Width, WidthMin); // A cut number is worse than a long line.
        return console;
    }

    private static string Text(double? value) =>
        value is { } number ? number.ToString("#,0.##", CultureInfo.InvariantCulture) : "-";
}
