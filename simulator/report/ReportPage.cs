using System.Reflection;
using System.Text;
using System.Text.RegularExpressions;
using Agent.World;

namespace Agent.Report;

// One file that can be mailed, opened from a disk and printed, years later: no network, no library. What is drawn is drawn
// here, as SVG in the page; the script only zooms the lanes and says exact times, so the page is whole without it.
// Not chosen: a chart library (it would be most of the file), canvas (empty in print and without a script).
//
// The size is bounded however long the run and however many the fleets: drawings are made of pixel columns, lanes bring at
// most so many stretches along for zooming, and a JSON document too long for a page is left out and named.

/// <summary>Writes <c>report.html</c>.</summary>
public static partial class ReportPage
{
    private const int ChartedFleetsMax = 32;
    private const int LaneEntriesTotal = 40_000;
    private const int JsonCharactersMax = 256 * 1024;
    private const string Template = "Agent.report.page.html";

    /// <summary>Writes the page of one or more runs, whole or not at all; makes the directory.</summary>
    /// <param name="path">The file.</param>
    /// <param name="title">Heading.</param>
    /// <param name="results">The runs, in the order in which they are shown.</param>
    /// <param name="json">What <c>--json</c> prints, for whoever wants the numbers out of the page.</param>
    public static void Write(string path, string title, IReadOnlyList<RunResult> results, string json)
    {
        var parts = new Dictionary<string, string>
        {
            ["title"] = new PageText().Add($"{Spelling.Clip(title, 300)}").ToString(),
            ["body"] = Body(title, results),
            ["json"] = Json(json),
        };
        string page = Place().Replace(ReadTemplate(), place => parts[place.Groups[1].Value]);

        string whole = Path.GetFullPath(path);
        Directory.CreateDirectory(Path.GetDirectoryName(whole)!);
        string temporary = whole + ".new";
        try
        {
            File.WriteAllText(temporary, page, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
            File.Move(temporary, whole, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    private static string Body(string title, IReadOnlyList<RunResult> results)
    {
        var page = new PageText();
        Summary.WriteHead(page, title, results);
        Summary.WriteTable(page, results);
        foreach (RunResult result in results)
        {
            DetectorChart.Write(page, result);
        }

        List<(RunResult Result, FleetResult[] Fleets)> charted = Charted(results);
        if (charted.Count > 0)
        {
            WriteCharts(page, charted, results.Sum(result => result.Fleets.Count));
        }

        Summary.WriteExpectations(page, results);
        return page.ToString();
    }

    private static List<(RunResult Result, FleetResult[] Fleets)> Charted(IReadOnlyList<RunResult> results)
    {
        var charted = new List<(RunResult, FleetResult[])>();
        int left = ChartedFleetsMax;
        foreach (RunResult result in results)
        {
            FleetResult[] fleets = [.. result.Fleets.Take(left)];
            left -= fleets.Length;
            if (fleets.Length > 0)
            {
                charted.Add((result, fleets));
            }
        }

        return charted;
    }

    private static void WriteCharts(PageText page, List<(RunResult Result, FleetResult[] Fleets)> charted, int fleetCount)
    {
        int count = charted.Sum(run => run.Fleets.Length);
        page.Add($"<h2>Connects and disconnects</h2>\n<p class=\"note\">The first device of each fleet.");
        if (count < fleetCount)
        {
            page.Add($" Charts show the first {count} of {fleetCount} fleets; the table has them all.");
        }

        page.Add($"</p>\n");
        LaneChart.WriteLegend(page);
        foreach ((RunResult result, FleetResult[] fleets) in charted)
        {
            WriteRunName(page, result, charted.Count);
            LaneChart.Write(page, result, fleets, Math.Max(1, LaneEntriesTotal / count));
        }

        page.Add($"<h2>CONNECT packets per second at the hub</h2>\n");
        foreach ((RunResult result, FleetResult[] fleets) in charted)
        {
            WriteRunName(page, result, charted.Count);
            HerdChart.Write(page, result, fleets);
        }

        page.Add($"<h2>Periods and gaps</h2>\n<div class=\"histograms\">\n");
        foreach (FleetResult fleet in charted.SelectMany(run => run.Fleets))
        {
            if (fleet.Statistics.Periods.Count + fleet.Statistics.Gaps.Count > 0)
            {
                page.Add($"<section><h3>{Spelling.Name(fleet)}</h3>\n");
                HistogramChart.Write(page, "period", fleet.Statistics.Periods, ms => Spelling.Number(ms / 1000) + " s");
                HistogramChart.Write(page, "gap", fleet.Statistics.Gaps, Spelling.Short);
                page.Add($"</section>\n");
            }
        }

        page.Add($"</div>\n");
    }

    private static void WriteRunName(PageText page, RunResult result, int runs)
    {
        if (runs > 1)
        {
            page.Add($"<h3>{Spelling.Length(result.Scenario.RunForMs)}</h3>\n");
        }
    }

    // Inside a script element only "<" can end it or open a comment, and in JSON it stands in strings only.
    private static string Json(string json)
    {
        string safe = json.Replace("<", "\\u003c").Replace(">", "\\u003e").Replace("&", "\\u0026")
            .Replace("\u2028", "\\u2028").Replace("\u2029", "\\u2029");
        return safe.Length <= JsonCharactersMax
            ? safe
            : $"{{ \"leftOut\": \"{json.Length} characters are too many for this page; --json prints them, result.json holds them\" }}";
    }

    private static string ReadTemplate()
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(Template)
            ?? throw new InvalidOperationException($"the resource {Template} is not in this build");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }

    [GeneratedRegex(@"\{\{(title|body|json)\}\}")]
    private static partial Regex Place();
}
