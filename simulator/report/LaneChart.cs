using System.Globalization;
using System.Text;
using Agent.Fleet;
using Agent.World;

namespace Agent.Report;

/// <summary>Swim lanes in the manner of the vendor's charts: when the first device of each fleet was connected.</summary>
internal static class LaneChart
{
    private const int FaultsShownMax = 200;
    private const int TicksMax = 12;

    private static readonly (string Label, long LengthMs)[] Windows =
    [
        ("7 d", 604_800_000), ("24 h", 86_400_000), ("6 h", 21_600_000), ("1 h", 3_600_000), ("10 min", 600_000), ("10 s", 10_000),
    ];

    /// <summary>Writes the chart of one result.</summary>
    /// <param name="page">The page.</param>
    /// <param name="result">The run.</param>
    /// <param name="fleets">The fleets to draw.</param>
    /// <param name="entriesMax">How many stretches a lane may bring along for zooming.</param>
    public static void Write(PageText page, RunResult result, IReadOnlyList<FleetResult> fleets, int entriesMax)
    {
        long runForMs = result.Scenario.RunForMs;
        page.Add($"<div class=\"lanes\" data-run=\"{runForMs}\" data-reasons=\"{LaneData.ReasonNames(fleets)}\">");
        WriteWindows(page, runForMs);
        page.Add($"<div class=\"rows\">\n");
        foreach (FleetResult fleet in fleets)
        {
            WriteLane(page, result, fleet, entriesMax);
        }

        page.Add($"<div class=\"lane-name\"></div>");
        TimeAxis.Write(page, 0, runForMs, TicksMax);
        page.Add($"</div></div>\n");
    }

    /// <summary>What the marks mean.</summary>
    public static void WriteLegend(PageText page) => page.Add(
        $"""
        <ul class="legend">
        <li><svg viewBox="0 0 24 14" class="key"><path class="bar" d="M0,1h11v12h-11zM13,1h11v12h-11z"/></svg> connected, with a gap</li>
        <li><svg viewBox="0 0 24 14" class="key"><path class="block" d="M0,1h24v12h-24z"/></svg> connections denser than pixels</li>
        <li><svg viewBox="0 0 14 14" class="key"><path class="connect" d="M3,12h8l-4,-8z"/></svg> connect</li>
        <li><svg viewBox="0 0 14 14" class="key"><path class="information" d="M3,7a4,4 0 1 0 8,0a4,4 0 1 0 -8,0z"/></svg>
        disconnect, level Information</li>
        <li><svg viewBox="0 0 14 14" class="key"><path class="error" d="M2,2h10l-5,10z"/></svg> disconnect, level Error</li>
        <li><svg viewBox="0 0 24 14" class="key"><path class="fault" d="M0,1h24v12h-24z"/></svg> a fault of the scenario</li>
        </ul>

        """);

    private static void WriteWindows(PageText page, long runForMs)
    {
        page.Add($"<div class=\"zoom\">Show <button type=\"button\" data-window=\"{runForMs}\">whole run</button>");
        foreach ((string label, long lengthMs) in Windows)
        {
            if (lengthMs < runForMs)
            {
                page.Add($"<button type=\"button\" data-window=\"{lengthMs}\">{label}</button>");
            }
        }

        page.Add($"<button type=\"button\" data-move=\"-1\" aria-label=\"earlier\">◀</button>");
        page.Add($"<button type=\"button\" data-move=\"1\" aria-label=\"later\">▶</button>");
        page.Add($"<span class=\"seen\"></span></div>\n");
    }

    private static void WriteLane(PageText page, RunResult result, FleetResult fleet, int entriesMax)
    {
        long runForMs = result.Scenario.RunForMs;
        FaultPlan[] faults = [.. result.Scenario.Faults
            .Where(fault => fault.Fleet is null || fault.Fleet == fleet.Plan.Name)
            .Take(FaultsShownMax)];
        var drawing = new LaneDrawing(fleet.Lane, runForMs);
        string sdk = SdkCatalog.Find(fleet.Plan.Sdk)?.Title ?? fleet.Plan.Sdk;
        page.Add($"<div class=\"lane-name\">{Spelling.Name(fleet)} <small>{sdk}, {fleet.Plan.Behaviour}</small></div>");
        page.Add($"<svg class=\"lane\" viewBox=\"0 0 {LaneDrawing.Width} {LaneDrawing.Height}\" role=\"img\" ");
        page.Add($"aria-label=\"Connections of the first device of {Spelling.Name(fleet)}: {fleet.Lane.Count}\" ");
        page.Add($"data-faults=\"{LaneData.Encode(faults)}\" data-lane=\"{LaneData.Encode(fleet.Lane, runForMs, entriesMax)}\">");
        page.Add($"<path class=\"fault\" d=\"{Faults(faults, runForMs)}\"/>");
        page.Add($"<path class=\"grid\" d=\"{Grid(runForMs)}\"/>");
        page.Add($"<path class=\"bar\" d=\"{drawing.Bars}\"/><path class=\"block\" d=\"{drawing.Blocks}\"/>");
        page.Add($"<path class=\"connect\" d=\"{drawing.Connects}\"/><path class=\"information\" d=\"{drawing.Information}\"/>");
        page.Add($"<path class=\"error\" d=\"{drawing.Errors}\"/></svg>\n");
    }

    private static string Grid(long runForMs)
    {
        var path = new StringBuilder();
        foreach ((long atMs, _) in TimeAxis.Ticks(0, runForMs, TicksMax))
        {
            path.Append(CultureInfo.InvariantCulture, $"M{(double)atMs / runForMs * LaneDrawing.Width:0.#},0V{LaneDrawing.Height}");
        }

        return path.ToString();
    }

    private static string Faults(FaultPlan[] faults, long runForMs)
    {
        var path = new StringBuilder();
        foreach (FaultPlan fault in faults)
        {
            double from = (double)fault.AtMs / runForMs * LaneDrawing.Width;
            double length = Math.Max(1, (double)(fault.ForMs ?? 0) / runForMs * LaneDrawing.Width);
            path.Append(CultureInfo.InvariantCulture, $"M{from:0.#},0h{length:0.#}v{LaneDrawing.Height}h{-length:0.#}z");
        }

        return path.ToString();
    }
}
