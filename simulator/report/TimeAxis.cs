using System.Globalization;

namespace Agent.Report;

/// <summary>Round moments for a time axis, and their labels. The page's script draws the same ones after a zoom.</summary>
internal static class TimeAxis
{
    private static readonly long[] StepsSeconds =
    [
        1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200,
        86_400, 172_800, 604_800, 2_592_000, 7_776_000, 31_536_000, 157_680_000,
    ];

    // Labels nearer to an edge than this are not centred on their moment, or they would stick out.
    private const double EdgePercent = 2;

    /// <summary>Moments from <paramref name="fromMs"/> to <paramref name="toMs"/>, at most so many and one.</summary>
    public static IEnumerable<(long AtMs, string Label)> Ticks(long fromMs, long toMs, int countMax)
    {
        long stepMs = 1000 * StepsSeconds.FirstOrDefault(step => (toMs - fromMs) / (step * 1000) <= countMax, StepsSeconds[^1]);
        for (long atMs = (fromMs + stepMs - 1) / stepMs * stepMs; atMs <= toMs; atMs += stepMs)
        {
            yield return (atMs, Label(atMs, stepMs));
        }
    }

    /// <summary>Labels below a drawing, placed by percent.</summary>
    public static void Write(PageText page, long fromMs, long toMs, int countMax)
    {
        page.Add($"<div class=\"axis\">");
        foreach ((long atMs, string label) in Ticks(fromMs, toMs, countMax))
        {
            double percent = 100.0 * (atMs - fromMs) / Math.Max(1, toMs - fromMs);
            string edge = percent < EdgePercent ? " class=first" : percent > 100 - EdgePercent ? " class=last" : "";
            page.Add($"<span{edge} style=\"left:{percent:0.##}%\">{label}</span>");
        }

        page.Add($"</div>");
    }

    private static string Label(long atMs, long stepMs) => stepMs switch
    {
        >= 86_400_000 => string.Create(CultureInfo.InvariantCulture, $"{atMs / 86_400_000} d"),
        >= 60_000 => string.Create(CultureInfo.InvariantCulture, $"{atMs / 3_600_000}:{atMs / 60_000 % 60:00}"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{atMs / 3_600_000}:{atMs / 60_000 % 60:00}:{atMs / 1000 % 60:00}"),
    };
}
