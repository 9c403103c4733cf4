using Agent.World;

namespace Agent.Report;

/// <summary>How often which length occurred: periods and gaps of a fleet.</summary>
internal static class HistogramChart
{
    private const int Bins = 40;
    private const double LinearRatioMax = 50;

    /// <summary>Writes one histogram, or a sentence where a drawing would say less. Nothing when it is empty.</summary>
    /// <param name="page">The page.</param>
    /// <param name="what">What was measured: "period", "gap".</param>
    /// <param name="histogram">The lengths.</param>
    /// <param name="spell">How a length in ms is written.</param>
    public static void Write(PageText page, string what, Histogram histogram, Func<double, string> spell)
    {
        if (histogram.Percentile(0.5) is not { } median)
        {
            return;
        }

        double min = histogram.Buckets().First().MeanMs;
        double max = histogram.Buckets().Last().MeanMs;
        if (spell(min) == spell(max))
        {
            // A bucket of one value gives back that value, a whole number of ms; a mean of several hardly ever is one.
            string always = median == Math.Floor(median) ? "always" : "always about";
            page.Add($"<p class=\"always\">{what}: {always} <b>{spell(median)}</b>, {histogram.Count:#,0} times</p>\n");
            return;
        }

        var axis = new Axis(min, max);
        long[] counts = new long[Bins];
        foreach ((long count, double meanMs) in histogram.Buckets())
        {
            counts[Math.Clamp((int)(axis.Share(meanMs) * Bins), 0, Bins - 1)] += count;
        }

        page.Add($"<figure class=\"histogram\"><figcaption>{what}: median <b>{spell(median)}</b>, {histogram.Count:#,0} values");
        page.Add($"{(axis.IsLog ? ", logarithmic axis" : "")}</figcaption><div class=\"field\">\n");
        page.Add($"<svg viewBox=\"0 0 {Bins} 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{what}\">");
        WriteBars(page, counts, axis, spell);
        double middle = 100 * axis.Share(median);
        page.Add($"</svg><i class=\"median {(middle > 50 ? "left" : "right")}\" style=\"left:{middle:0.##}%\"><b>median</b></i></div>\n");
        page.Add($"<div class=\"ends\"><span>{spell(min)}</span><span>{spell(max)}</span></div></figure>\n");
    }

    private static void WriteBars(PageText page, long[] counts, Axis axis, Func<double, string> spell)
    {
        long most = counts.Max();
        for (int i = 0; i < Bins; i++)
        {
            if (counts[i] == 0)
            {
                continue;
            }

            // One value in a million is drawn too, as a line at the foot.
            double height = Math.Max(2, 80.0 * counts[i] / most);
            page.Add($"<rect x=\"{i + 0.06:0.##}\" y=\"{100 - height:0.#}\" width=\".88\" height=\"{height:0.#}\">");
            page.Add($"<title>{spell(axis.At(i))} to {spell(axis.At(i + 1))}: {counts[i]:#,0}</title></rect>");
        }
    }

    private sealed class Axis(double min, double max)
    {
        public bool IsLog { get; } = min > 0 && max / min > LinearRatioMax;

        /// <summary>Where a length lies, 0..1.</summary>
        public double Share(double ms) => IsLog ? Math.Log(ms / min) / Math.Log(max / min) : (ms - min) / (max - min);

        /// <summary>The length at the edge of a bin, ms.</summary>
        public double At(int edge) => IsLog
            ? min * Math.Pow(max / min, (double)edge / Bins)
            : min + ((max - min) * edge / Bins);
    }
}
