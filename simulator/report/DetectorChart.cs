using System.Globalization;
using Agent.World;

namespace Agent.Report;

// Three questions in one picture: how late, how often wrong, at what price? Each detector is a bar from its median lateness to the latest
// hundredth, at the height of its false alarms, beginning in a disc whose area grows with the price. The good corner is the lower left,
// and small. The numbers themselves are in the table above the picture.

/// <summary>The section of a report that compares detectors.</summary>
internal static class DetectorChart
{
    private const int Width = 760;
    private const int Height = 330;
    private const int Left = 70;
    private const int Right = 24;
    private const int Top = 14;
    private const int Bottom = 46;

    private static readonly string[] Columns =
    [
        "", "detector", "outages", "of them flaps", "detected", "flaps detected", "after its end", "missed", "false alarms",
        "per device-year", "late, median", "late, p99", "messages per device-day", "$ per 1,000 devices and month",
    ];

    /// <summary>Writes table and drawing; nothing when no detector was scored.</summary>
    public static void Write(PageText page, RunResult result)
    {
        IReadOnlyList<DetectorResult> detectors = result.Detectors;
        if (detectors.Count == 0)
        {
            return;
        }

        page.Add($"<h2>Detectors</h2>\n<p class=\"note\">An outage is a stretch in which a device cannot deliver; a renewal that ");
        page.Add($"takes at most a minute is none, and an alarm for it is a false one. A flap is an outage shorter than a minute. ");
        page.Add($"Prices are for tier {result.Scenario.Hub.Tier}.</p>\n<div class=\"wide\"><table><thead><tr>");
        foreach (string column in Columns)
        {
            page.Add($"<th>{column}</th>");
        }

        page.Add($"</tr></thead><tbody>\n");
        for (int i = 0; i < detectors.Count; i++)
        {
            WriteRow(page, i, detectors[i]);
        }

        page.Add($"</tbody></table></div>\n");
        WriteDrawing(page, detectors);
    }

    private static void WriteRow(PageText page, int index, DetectorResult one)
    {
        page.Add($"<tr><td><b>{DetectorScale.Letter(index)}</b></td>");
        page.Add($"<th scope=\"row\">{one.Plan.Kind} <small>{one.OptionText}</small></th>");
        foreach (long count in (ReadOnlySpan<long>)
            [one.Outages, one.Flaps, one.Detected, one.FlapsDetected, one.DetectedAfterEnd, one.Missed, one.FalseAlarms])
        {
            page.Add($"<td class=\"n\">{count:#,0}</td>");
        }

        page.Add($"<td class=\"n\">{Spelling.Number(one.FalseAlarmsPerDeviceYear)}</td>");
        page.Add($"<td class=\"n\">{Spelling.Seconds(one.LatenessSeconds(0.5))}</td>");
        page.Add($"<td class=\"n\">{Spelling.Seconds(one.LatenessSeconds(0.99))}</td>");
        page.Add($"<td class=\"n\">{one.MessagesPerDeviceDay:#,0.##}</td><td class=\"n\">{Dollars(one.CostUsd)}</td></tr>\n");
    }

    private static string Dollars(double? usd) =>
        usd is { } value ? value.ToString("#,0.00", CultureInfo.InvariantCulture) : "not on this tier";

    private static void WriteDrawing(PageText page, IReadOnlyList<DetectorResult> detectors)
    {
        var scale = new DetectorScale(detectors);
        page.Add($"<figure class=\"detectors\"><figcaption>Lateness (median to p99) against false alarms per device-year; ");
        page.Add($"the larger the disc, the dearer.</figcaption>\n<svg viewBox=\"0 0 {Width} {Height}\" role=\"img\" ");
        page.Add($"aria-label=\"lateness against false alarms against cost\">\n");
        foreach ((double share, string text) in scale.LatenessTicks())
        {
            page.Add($"<path class=\"grid\" d=\"M{X(share):0.#},{Top}V{Height - Bottom}\"/>");
            page.Add($"<text x=\"{X(share):0.#}\" y=\"{Height - Bottom + 18}\" text-anchor=\"middle\">{text}</text>\n");
        }

        foreach ((double share, string text) in scale.RateTicks())
        {
            page.Add($"<path class=\"grid\" d=\"M{Left},{Y(share):0.#}H{Width - Right}\"/>");
            page.Add($"<text x=\"{Left - 8}\" y=\"{Y(share) + 4:0.#}\" text-anchor=\"end\">{text}</text>\n");
        }

        page.Add($"<text x=\"{(Left + Width - Right) / 2}\" y=\"{Height - 6}\" text-anchor=\"middle\">late</text>\n");
        double dearest = Math.Max(1, detectors.Max(detector => detector.CostUsd ?? 0));
        double lastUp = double.NaN;
        int alike = 0;
        foreach (int i in Enumerable.Range(0, detectors.Count).OrderBy(i => detectors[i].FalseAlarmsPerDeviceYear).ThenBy(i => i))
        {
            double up = scale.Up(detectors[i].FalseAlarmsPerDeviceYear);
            alike = up == lastUp ? alike + 1 : 0;
            lastUp = up;
            WriteMark(page, scale, detectors[i], i, dearest, alike);
        }

        page.Add($"</svg></figure>\n");
    }

    // Bars of one height would hide each other: they are set a little apart.
    private static void WriteMark(PageText page, DetectorScale scale, DetectorResult one, int index, double dearest, int alike)
    {
        if (one.LatenessSeconds(0.5) is not { } median || one.LatenessSeconds(0.99) is not { } late)
        {
            return; // It detected nothing.
        }

        double y = Y(scale.Up(one.FalseAlarmsPerDeviceYear)) + ((alike % 2 == 0 ? alike : -alike - 1) / 2.0 * 9) - 4;
        double from = X(scale.Across(median));
        double radius = 4 + (12 * Math.Sqrt((one.CostUsd ?? 0) / dearest));
        string kind = one.FalseAlarms > 0 ? "error" : "information";
        page.Add($"<g class=\"{kind}\"><title>{DetectorScale.Letter(index)}: {one.Plan.Kind} {one.OptionText}</title>");
        page.Add($"<path d=\"M{from:0.#},{y - 2:0.#}H{X(scale.Across(late)):0.#}v4H{from:0.#}z\"/>");
        page.Add($"<circle cx=\"{from:0.#}\" cy=\"{y:0.#}\" r=\"{radius:0.#}\"/></g>");
        page.Add($"<text class=\"name\" x=\"{from:0.#}\" y=\"{y + 4:0.#}\" text-anchor=\"middle\">{DetectorScale.Letter(index)}</text>\n");
    }

    private static double X(double share) => Left + (share * (Width - Left - Right));

    private static double Y(double share) => Height - Bottom - (share * (Height - Top - Bottom));
}
