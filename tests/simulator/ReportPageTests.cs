using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Agent.Cli;
using Agent.Fleet;
using Agent.Hub;
using Agent.Report;
using Agent.World;

namespace Agent.Tests.Simulator;

/// <summary>The page as a browser meets it: here read by an XML parser, a JSON parser and regular expressions.</summary>
public sealed partial class ReportPageTests : IDisposable
{
    private const long HourMs = 3_600_000;
    private const string Hostile = "</script><img src=x onerror=alert(1)><!-- \u0001 ]]> {{json}} \" ' &amp;";

    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("report-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public void Hostile_names_stay_text()
    {
        RunResult result = Run(Plan(HourMs, [Fleet(Hostile, "python")]) with { Title = Hostile, Why = Hostile });

        string page = Page(Hostile, [result], JsonSerializer.Serialize(Hostile, Relaxed));

        Assert.DoesNotContain("<img", page, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("<!--", page);
        Assert.DoesNotContain('\u0001', page);
        Assert.Equal(2, Regex.Count(page, "</script>", RegexOptions.IgnoreCase));
        Assert.Contains("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;", page);
        Assert.All(Drawings(page), drawing => XElement.Parse(drawing));
    }

    [Fact]
    public void The_embedded_document_is_the_one_given()
    {
        string json = JsonSerializer.Serialize(new[] { Hostile, "\u2028" }, Relaxed);

        string embedded = EmbeddedJson().Match(Page("t", [], json)).Groups[1].Value;

        Assert.Equal([Hostile, "\u2028"], JsonSerializer.Deserialize<string[]>(embedded)!);
    }

    [Fact]
    public void A_document_too_long_for_a_page_is_left_out_and_named()
    {
        string page = Page("t", [], $"[ \"{new string('x', 3_000_000)}\" ]");

        Assert.InRange(page.Length, 1, 100_000);
        Assert.Contains("3000006 characters", EmbeddedJson().Match(page).Groups[1].Value);
    }

    [Fact]
    public void The_page_loads_nothing()
    {
        string page = Page("t", [Run(Plan(24 * HourMs, AllFleets()))], "{}");

        Assert.DoesNotMatch(@"https?:|\bsrc\s*=|\bhref\s*=|url\(|@import|\bfetch\(|XMLHttpRequest|\bimport\b", page);
        Assert.Contains("default-src 'none'", page);
    }

    [Fact]
    public void Every_fleet_has_a_row_a_lane_and_drawings_that_are_well_formed()
    {
        RunResult result = Run(Plan(24 * HourMs, AllFleets()));

        string page = Page("t", [result], "{}");

        Assert.All(result.Fleets, fleet => Assert.Contains($"<th scope=\"row\">{fleet.Plan.Name}</th>", page));
        Assert.All(result.Fleets, fleet => Assert.Contains($"Connections of the first device of {fleet.Plan.Name}: ", page));
        Assert.Equal(result.Fleets.Count, Lanes(page).Count);
        Assert.All(Drawings(page), drawing => XElement.Parse(drawing));
        Assert.DoesNotMatch("""NaN|∞|Infinity|d="[^"]*E""", Script().Replace(page, ""));
    }

    [Fact]
    public void A_lane_brings_every_connection_along_to_the_millisecond()
    {
        FaultPlan cut = new() { AtMs = 5 * HourMs, ForMs = 600_123, Kind = FaultKind.NetworkDown };
        RunResult result = Run(Plan(24 * HourMs, [Fleet("a", "node")]) with { Faults = [cut] });

        XElement lane = Lanes(Page("t", [result], "{}")).Single();

        Assert.Equal(result.Fleets[0].Lane, Decode(lane).Select(entry => entry.Stretch));
        Assert.Contains("NetworkDown", (string)lane.Attribute("data-faults")!);
    }

    [Fact]
    public void Ends_are_drawn_by_level_and_a_connection_that_still_stands_has_none()
    {
        FleetResult fleet = Result("a");
        fleet.Lane.AddRange([
            new(0, HourMs, Reason.Renewal), new(HourMs + 200, 2 * HourMs, Reason.TokenExpired),
            new(3 * HourMs, 4 * HourMs, Reason.None)]);

        XElement lane = Lanes(Page("t", [Result(4 * HourMs, [fleet])], "{}")).Single();

        Assert.Equal([225.0], Starts(lane, "information").Select(x => x + 4));
        Assert.Equal([450.0], Starts(lane, "error").Select(x => x + 5));
        Assert.Equal([0.0, 225.0, 675.0], Starts(lane, "connect").Select(x => Math.Round(x + 3.5)));
        Assert.Contains("M0,15h224v13", Outline(lane, "bar"));
    }

    [Fact]
    public void Twenty_fleets_with_hundreds_of_thousands_of_connections_stay_below_two_megabytes()
    {
        const long DaysMs = 60 * 24 * HourMs;
        FleetResult[] fleets = [.. Enumerable.Range(0, 20).Select(i => Result($"fleet {i}"))];
        foreach (FleetResult fleet in fleets)
        {
            for (long atMs = 0; atMs < DaysMs; atMs += 30_000)
            {
                fleet.Lane.Add(new(atMs, atMs + 29_700 + (atMs % 7), atMs % 11 == 0 ? Reason.LinkReset : Reason.Renewal));
                fleet.Statistics.CountConnectPacket(atMs);
                fleet.Statistics.Gaps.Add(300 + (atMs / 1000 % 5000));
                fleet.Statistics.Periods.Add(30_000 + (atMs / 1000 % 5000));
            }
        }

        string page = Page("t", [Result(DaysMs, fleets)], "{}");

        Assert.InRange(page.Length, 100_000, 2_000_000);
        Assert.Equal(172_800, Decode(Lanes(page)[7]).Sum(entry => entry.Count));
    }

    [Fact]
    public void An_outage_is_not_hidden_where_connections_are_put_together()
    {
        const long DaysMs = 60 * 24 * HourMs;
        FleetResult fleet = Result("a");
        for (long atMs = 0; atMs < DaysMs; atMs += 30_000)
        {
            if (atMs is < (500 * HourMs) + 60_000 or > 510 * HourMs)
            {
                fleet.Lane.Add(new(atMs, atMs + 29_800, Reason.Renewal));
            }
        }

        List<(LaneStretch Stretch, int Count)> decoded = Decode(Lanes(Page("t", [Result(DaysMs, [fleet])], "{}")).Single());

        Assert.Contains(decoded, entry => entry.Count > 1);
        Assert.DoesNotContain(decoded, entry => entry.Stretch.FromMs < 505 * HourMs && entry.Stretch.ToMs > 505 * HourMs);
    }

    [Fact]
    public void A_herd_is_measured_against_the_limit_of_the_hub()
    {
        FleetResult fleet = Result("a");
        for (int i = 0; i < 250; i++)
        {
            fleet.Statistics.CountConnectPacket((2 * HourMs) + 5000 + i);
        }

        string page = Page("t", [Result(24 * HourMs, [fleet])], "{}");

        Assert.Contains("at most <b>250 /s</b>, at 2:00:05, <b class=\"bad\">2.5 × the limit</b>", page);
        Assert.Contains("allows 100 new connections per second; this run did not apply the limit.", page);
    }

    [Fact]
    public void A_length_that_never_varies_is_said_and_one_that_does_is_drawn()
    {
        FleetResult fleet = Result("a");
        for (int i = 0; i < 10; i++)
        {
            fleet.Statistics.Periods.Add(4_200_260);
            fleet.Statistics.Gaps.Add(100 + i);
        }

        string page = Page("t", [Result(24 * HourMs, [fleet])], "{}");

        Assert.Contains("period: always <b>4200.26 s</b>, 10 times", page);
        Assert.Contains("gap: median <b>104 ms</b>, 10 values", page);
        Assert.Equal(10, Regex.Count(page, "<rect "));
    }

    [Fact]
    public void Rows_are_marked_where_source_and_documentation_part()
    {
        RunResult result = Run(Plan(24 * HourMs, [
            Fleet("says", "python") with { Behaviour = "documented" }, Fleet("does", "python"), Fleet("other", "agent")]));

        string page = Page("t", [result], "{}");

        Assert.Equal(2, Regex.Count(page, "<tr class=differs>"));
        Assert.Contains("period documented <b>3600.12 s</b>, by its source <b>3480 s</b>", page);
    }

    [Fact]
    public void Failed_expectations_come_first()
    {
        RunResult result = Run(Plan(HourMs, [Fleet("a", "node")]) with
        {
            Expectations = [new("a", null, "devices", 1, null), new("a", null, "drops", 5, null)],
        });

        string page = Page("t", [result], "{}");

        Assert.Contains("1 of 2 held.", page);
        Assert.InRange(page.IndexOf("✘ FAILED</b> a drops at least 5, seen 0", StringComparison.Ordinal), 0,
            page.IndexOf("✔ held</b> a devices at least 1", StringComparison.Ordinal));
    }

    [Fact]
    public void The_page_is_the_same_for_the_same_run_in_every_culture()
    {
        Scenario plan = Plan(24 * HourMs, AllFleets());
        string expected = Page("t", [Run(plan)], "{}");
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            var commas = (CultureInfo)CultureInfo.InvariantCulture.Clone();
            (commas.NumberFormat.NumberDecimalSeparator, commas.NumberFormat.NumberGroupSeparator) = (",", ".");
            commas.NumberFormat.NegativeSign = "−";
            CultureInfo.CurrentCulture = commas;

            Assert.Equal(expected, Page("t", [Run(plan)], "{}"));
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Fact]
    public void A_page_that_cannot_be_put_in_place_leaves_nothing_behind()
    {
        string path = Path.Combine(folder.FullName, "taken");
        Directory.CreateDirectory(path);

        Assert.ThrowsAny<SystemException>(() => ReportPage.Write(path, "t", [], "{}"));

        Assert.Equal([path], Directory.GetFileSystemEntries(folder.FullName));
    }

    private static Scenario Plan(long runForMs, IReadOnlyList<FleetPlan> fleets) => new() { RunForMs = runForMs, Fleets = fleets };

    private static FleetPlan Fleet(string name, string sdk) => new() { Name = name, Sdk = sdk, Count = 3, StartSpreadMs = 60_000 };

    private static FleetPlan[] AllFleets() => [.. SdkCatalog.All.Select(sdk => Fleet($"the {sdk.Id} fleet", sdk.Id))];

    private static RunResult Run(Scenario scenario) => Runner.Run(scenario, shards: 1);

    private static FleetResult Result(string name) =>
        new(Fleet(name, "node"), SdkCatalog.Create("node", "source", new ClientSettings(), 3, 1), new FleetStatistics());

    private static RunResult Result(long runForMs, IReadOnlyList<FleetResult> fleets) => new()
    {
        Scenario = Plan(runForMs, [.. fleets.Select(fleet => fleet.Plan)]),
        WallSeconds = 1,
        Events = 1,
        EventHash = "0",
        Shards = 1,
        Bytes = 1,
        Fleets = fleets,
        Expectations = [],
    };

    // In a folder that is not there yet.
    private string Page(string title, IReadOnlyList<RunResult> results, string json)
    {
        string path = Path.Combine(folder.FullName, "new", "folder", "report.html");
        ReportPage.Write(path, title, results, json);
        Assert.Single(Directory.GetFiles(Path.GetDirectoryName(path)!));
        return File.ReadAllText(path);
    }

    private static List<string> Drawings(string page) => [.. Drawing().Matches(page).Select(match => match.Value)];

    private static List<XElement> Lanes(string page) =>
        [.. Drawings(page).Select(XElement.Parse).Where(drawing => (string?)drawing.Attribute("class") == "lane")];

    private static string Outline(XElement lane, string kind) =>
        (string)lane.Elements("path").Single(path => (string?)path.Attribute("class") == kind).Attribute("d")!;

    private static IEnumerable<double> Starts(XElement lane, string kind) =>
        MoveTo().Matches(Outline(lane, kind)).Select(match => double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture));

    // What the page's script does: gap.length.reason[.count], base 36.
    private static List<(LaneStretch Stretch, int Count)> Decode(XElement lane)
    {
        var stretches = new List<(LaneStretch, int)>();
        long endMs = 0;
        foreach (string entry in ((string)lane.Attribute("data-lane")!).Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            long[] parts = [.. entry.Split('.').Select(FromBase36)];
            long fromMs = endMs + parts[0];
            endMs = fromMs + parts[1];
            stretches.Add((new(fromMs, endMs, (Reason)parts[2]), parts.Length > 3 ? (int)parts[3] : 1));
        }

        return stretches;
    }

    private static long FromBase36(string digits) =>
        digits.Aggregate(0L, (sum, digit) => (sum * 36) + (char.IsAsciiDigit(digit) ? digit - '0' : digit - 'a' + 10));

    [GeneratedRegex("<svg.*?</svg>", RegexOptions.Singleline)]
    private static partial Regex Drawing();

    [GeneratedRegex("<script.*?</script>", RegexOptions.Singleline)]
    private static partial Regex Script();

    [GeneratedRegex("""<script type="application/json" id="result">(.*?)</script>""", RegexOptions.Singleline)]
    private static partial Regex EmbeddedJson();

    [GeneratedRegex("M(-?[0-9.]+),")]
    private static partial Regex MoveTo();
}
