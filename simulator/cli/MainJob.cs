using System.Globalization;
using System.Text.Json;
using Agent.Fleet;
using Agent.Report;
using Agent.World;
using Spectre.Console;

namespace Agent.Cli;

// What the program does when nobody says what: a day in the life of every SDK, as the vendor documents it and as its source
// behaves, in one table. Published cases are those of the vendor's charts.

/// <summary>The main job.</summary>
public static class MainJob
{
    private const long DayMs = 86_400_000;

    // Enough for a median, and for the spread to show in the agent's rows.
    private const int DevicesPerRow = 200;

    /// <summary>One line of the table.</summary>
    private sealed record Row(string Sdk, string Case, FleetResult Fleet, long RunForMs)
    {
        public double? PeriodSeconds => Fleet.PeriodSeconds(0.5);

        public bool Differs { get; set; }
    }

    /// <summary>Runs it, prints the table or JSON, writes the report.</summary>
    public static int Run(bool json, string outDirectory)
    {
        (Scenario day, Scenario week) = (Plan(DayMs, longLived: false), Plan(8 * DayMs, longLived: true));
        List<RunResult> results = ProgressBar.During(
            "a day of every SDK", onProgress => new List<RunResult>
            {
                Runner.Run(day, onProgress: share => onProgress(share * 0.8)),
                Runner.Run(week, onProgress: share => onProgress(0.8 + (share * 0.2))),
            });
        List<Row> rows = results
            .SelectMany(result => result.Fleets.Select(fleet => ToRow(fleet, result.Scenario.RunForMs)))
            .ToList();
        MarkDifferences(rows);

        string reportPath = Path.Combine(outDirectory, "report.html");
        ReportPage.Write(reportPath, "A day of every SDK", results, JsonOutput.ToText(writer => Write(writer, rows)));
        if (json)
        {
            JsonOutput.Print(writer => Write(writer, rows));
        }
        else
        {
            Print(rows, results, reportPath);
        }

        return ExitCode.Done;
    }

    private static Scenario Plan(long runForMs, bool longLived)
    {
        FleetPlan Fleet(string sdk, string name, string behaviour, ClientSettings? settings = null) => new()
        {
            Name = $"{sdk} {name} {behaviour}",
            Sdk = sdk,
            Behaviour = behaviour,
            Count = DevicesPerRow,
            Settings = (settings ?? new ClientSettings()) with { HeartbeatEveryMs = 60_000 },
            StartSpreadMs = 300_000,
        };

        var fleets = new List<FleetPlan>();
        foreach (SdkEntry sdk in SdkCatalog.All)
        {
            bool isLongLived = sdk.Id == "nanoframework";
            if (isLongLived != longLived)
            {
                continue;
            }

            if (sdk.Documented)
            {
                fleets.Add(Fleet(sdk.Id, "default", "documented"));
            }

            fleets.Add(Fleet(sdk.Id, "default", "source"));
            if (PublishedCase(sdk.Id) is { } published)
            {
                fleets.Add(Fleet(sdk.Id, "published", "documented", published));
                fleets.Add(Fleet(sdk.Id, "published", "source", published));
            }
        }

        return new Scenario { Title = "A day of every SDK", RunForMs = runForMs, Fleets = fleets };
    }

    // The settings of the vendor's published charts (facts: sdk-renewal §2, design §6).
    private static ClientSettings? PublishedCase(string sdk) => sdk switch
    {
        "dotnet" => new ClientSettings { LifetimeSeconds = 1200, RenewAt = 0.90 },
        "java" => new ClientSettings { LifetimeSeconds = 300 },
        "node" => new ClientSettings { LifetimeSeconds = 300, RenewBeforeSeconds = 120 },
        _ => null,
    };

    private static Row ToRow(FleetResult fleet, long runForMs)
    {
        string[] parts = fleet.Plan.Name.Split(' ');
        return new Row(parts[0], parts[1], fleet, runForMs);
    }

    private static void MarkDifferences(List<Row> rows)
    {
        foreach (IGrouping<(string, string), Row> pair in rows.GroupBy(row => (row.Sdk, row.Case)))
        {
            Row[] both = [.. pair];
            bool differs = both.Length == 2 && both[0].Fleet.DiffersFrom(both[1].Fleet);
            foreach (Row row in both)
            {
                row.Differs = differs;
            }
        }
    }

    private static void Write(Utf8JsonWriter json, List<Row> rows)
    {
        json.WriteStartObject();
        json.WriteStartArray("rows");
        foreach (Row row in rows)
        {
            json.WriteStartObject();
            json.WriteString("sdk", row.Sdk);
            json.WriteString("case", row.Case);
            json.WriteString("behaviour", row.Fleet.Plan.Behaviour);
            json.WriteNumber("lifetimeSeconds", row.Fleet.Model.LifetimeSeconds);
            WriteNumber(json, "renewalSeconds", row.Fleet.Model.RenewalSeconds);
            WriteNumber(json, "periodMedianSeconds", row.PeriodSeconds);
            json.WriteStartObject("logRecords");
            foreach ((string key, long count) in row.Fleet.LogCounts())
            {
                json.WriteNumber(key, count);
            }

            json.WriteEndObject();
            json.WriteBoolean("differs", row.Differs);
            json.WriteNumber("devices", row.Fleet.Plan.Count);
            json.WriteNumber("runForSeconds", row.RunForMs / 1000.0);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteNumber(Utf8JsonWriter json, string name, double? value)
    {
        if (value is { } number)
        {
            json.WriteNumber(name, number);
        }
        else
        {
            json.WriteNull(name);
        }
    }

    private static void Print(List<Row> rows, List<RunResult> results, string reportPath)
    {
        Scenario scenario = results[0].Scenario;
        Console.WriteLine("24 hours of every SDK in virtual time (nanoFramework: 8 days, its token lives 24 h).");
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{rows.Count * DevicesPerRow} devices, seed {scenario.Seed}, round trip {scenario.Network.RoundTripMs} ms, " +
            $"grace {scenario.Hub.GraceMinMs / 60_000} min, " +
            $"{results.Sum(result => result.Events)} events in {results.Sum(result => result.WallSeconds):0.00} s."));
        Console.WriteLine();
        Table table = new Table().Border(TableBorder.Simple);
        table.AddColumns("SDK", "case", "behaviour");
        foreach (string column in (string[])["lifetime", "renewal", "period"])
        {
            table.AddColumn(new TableColumn(column).RightAligned().NoWrap());
        }

        table.AddColumn(new TableColumn("the hub's log shows").NoWrap());
        foreach (Row row in rows)
        {
            string mark = row.Differs && row.Fleet.Plan.Behaviour == "source" ? " *" : "";
            table.AddRow(
                Markup.Escape(SdkCatalog.Find(row.Sdk)!.Title),
                row.Case,
                row.Fleet.Plan.Behaviour + mark,
                Spell(row.Fleet.Model.LifetimeSeconds),
                row.Fleet.Model.RenewalSeconds is { } renewal ? Spell(renewal) : "never",
                row.PeriodSeconds is { } period ? Spell(period) : "-",
                Markup.Escape(Levels(row)));
        }

        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Out) });
        console.Profile.Width = Math.Max(console.Profile.Width, 120);
        console.Write(table);
        Console.WriteLine("* what the source does differs from what the documentation says (the row above).");
        Console.WriteLine("period = median time between one disconnect of a device and its next.");
        Console.WriteLine($"Chart and table: {reportPath}");
        Console.WriteLine();
        Console.WriteLine("Next, a scenario of your own or one of ours:");
        Console.WriteLine("  dotnet run --project simulator -- run simulator/scenarios/agent-spread.json --out out/agent-spread");
    }

    private static string Levels(Row row)
    {
        IEnumerable<string> errors = row.Fleet.LogCounts()
            .Where(pair => pair.Key.StartsWith("deviceDisconnect/Error", StringComparison.Ordinal))
            .Select(pair => pair.Key["deviceDisconnect/Error/".Length..]).Order();
        string text = string.Join(" + ", errors);
        return text.Length == 0 ? "Information only" : $"Error {text}, Information";
    }

    private static string Spell(double seconds) =>
        seconds.ToString(seconds == Math.Floor(seconds) ? "0" : "0.00", CultureInfo.InvariantCulture) + " s";
}
