using System.Globalization;
using Spectre.Console;

namespace Agent.Logs;

/// <summary>Prints an answer for a person.</summary>
public static class LogsText
{
    /// <summary>Most rows of a table; --json has no such limit.</summary>
    public const int RowsMax = 1000;

    private const int DevicesExplainedMax = 50;
    private const int IdMax = 64;
    private const int SdkMax = 60;

    /// <summary>Prints what was read.</summary>
    /// <param name="output">Where to.</param>
    /// <param name="run">Already read.</param>
    /// <param name="rows">The first rows of the answer.</param>
    /// <param name="rowCount">How many there were.</param>
    public static void Print(TextWriter output, LogsRun run, IReadOnlyList<ConnectionsEntry> rows, long rowCount)
    {
        (Table table, long count) = run.Options.Query switch
        {
            LogQuery.Sdk => SdkTable(run.Analysis),
            LogQuery.Disconnects => DisconnectTable(run.Analysis),
            _ => (RecordTable(rows), rowCount),
        };
        if (count > 0)
        {
            Write(output, table);
        }

        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{count} row(s) from {run.RecordsTaken} of {run.Records} Connections record(s)"));
        if (count > RowsMax)
        {
            output.WriteLine($"The first {RowsMax} are shown; --json gives all, --device, --since and --until ask for less.");
        }

        if (run.Options.Explain)
        {
            Explain(output, run.Analysis);
        }
    }

    private static Table RecordTable(IReadOnlyList<ConnectionsEntry> rows)
    {
        Table table = Columns(
            "TimeGenerated", "DeviceId", "OperationName", "Level", "ResultType", "ResultDescription", "SdkVersion", "maskedIpAddress",
            "errorMessage");
        foreach (ConnectionsEntry row in rows)
        {
            Add(
                table,
                row.TimeGenerated.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture),
                Shown.Clip(row.DeviceId, IdMax), Shown.Clip(row.OperationName, 24), Shown.Clip(row.Level, 16),
                Shown.Clip(row.ResultType, 12), Shown.Clip(row.ResultDescription, 48), Shown.Clip(row.SdkVersion, SdkMax),
                Shown.Clip(row.MaskedIpAddress, 45), Shown.Clip(row.ErrorMessage, 60));
        }

        return table;
    }

    private static (Table Table, long Count) SdkTable(LogAnalysis analysis)
    {
        Table table = Columns("SdkVersion", "#Devices", "#Connects", "#Disconnects", "#Errors");
        long count = 0;
        foreach (SdkRow row in analysis.Sdks)
        {
            if (++count <= RowsMax)
            {
                Add(
                    table, row.SdkVersion.Length > 0 ? Shown.Clip(row.SdkVersion, 120) : "(none)",
                    Text(row.Devices), Text(row.Connects), Text(row.Disconnects), Text(row.Errors));
            }
        }

        return (table, count);
    }

    private static (Table Table, long Count) DisconnectTable(LogAnalysis analysis)
    {
        Table table = Columns(
            "DeviceId", "SdkVersion", "#Disconnects", "#Clean", "#Errors", "#MedianPeriodSeconds", "#P5..P95", "Suggests");
        foreach (DeviceHistory device in analysis.Devices.Take(RowsMax))
        {
            Rhythm periods = device.Periods;
            Add(
                table, Shown.Clip(device.DeviceId, IdMax), Shown.Clip(device.SdkVersion, SdkMax),
                Text(device.Disconnects), Text(device.CleanDisconnects), Text(device.Disconnects - device.CleanDisconnects),
                Text(periods.Median), periods.Count > 1 ? $"{Text(periods.P5)}..{Text(periods.P95)}" : "-",
                RhythmGuide.Suggest(device).Text);
        }

        return (table, analysis.DeviceCount);
    }

    private static void Explain(TextWriter output, LogAnalysis analysis)
    {
        foreach (ErrorRow row in analysis.Errors)
        {
            ErrorAdvice advice = row.Advice;
            output.WriteLine();
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{Shown.Clip(row.ResultType, 12)} {Shown.Clip(row.ResultDescription, 48)} ({Shown.Clip(row.OperationName, 24)}): "
                + $"{row.Records} record(s) of {row.Devices} device(s), {row.InHealthyRenewals} in healthy renewals"));
            output.WriteLine($"  means          {advice.Means}");
            output.WriteLine($"  harmless when  {advice.HarmlessWhen}");
            output.WriteLine($"  try first      {advice.TryFirst}");
        }

        output.WriteLine();
        List<DeviceHistory> devices = [.. analysis.Devices.OrderByDescending(device => device.Counts.UnexplainedDrops)
            .ThenByDescending(device => device.Counts.RefusedConnects).Take(DevicesExplainedMax)];
        foreach (DeviceHistory device in devices)
        {
            output.WriteLine($"{Shown.Clip(device.DeviceId, IdMax)}: {Counts(device.Counts)}");
        }

        if (analysis.DeviceCount > devices.Count)
        {
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"… and {analysis.DeviceCount - devices.Count} more device(s); --json gives all"));
        }

        output.WriteLine($"all devices: {Counts(analysis.Totals)}");
    }

    private static string Counts(in EndCounts counts)
    {
        string text = string.Create(
            CultureInfo.InvariantCulture, $"healthy renewals: {counts.HealthyRenewals}; unexplained drops: {counts.UnexplainedDrops}");
        return text + More("clean stops", counts.CleanStops) + More("refused connects", counts.RefusedConnects)
            + More("undecided at the log's end", counts.Undecided);
    }

    private static string More(string name, long count) =>
        count == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"; {name}: {count}");

    // A leading # = a column of numbers.
    private static Table Columns(params ReadOnlySpan<string> names)
    {
        Table table = new Table().Border(TableBorder.Simple);
        foreach (string name in names)
        {
            TableColumn column = new TableColumn(Markup.Escape(name.TrimStart('#'))).NoWrap();
            table.AddColumn(name.StartsWith('#') ? column.RightAligned() : column);
        }

        return table;
    }

    private static void Add(Table table, params string[] cells) => table.AddRow([.. cells.Select(Markup.Escape)]);

    private static void Write(TextWriter output, Table table)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(output) });
        console.Profile.Width = 600; // A cut number is worse than a long line.
        console.Write(table);
    }

    private static string Text(long number) => number.ToString("#,0", CultureInfo.InvariantCulture);

    private static string Text(double number) => double.IsNaN(number) ? "-" : number.ToString("#,0.#", CultureInfo.InvariantCulture);
}
