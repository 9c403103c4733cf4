using System.Globalization;
using System.Text;
using Agent.Hub;
using Agent.World;

namespace Agent.Report;

// A herd is over in seconds and a run lasts days. So there are two drawings per fleet: the whole run, each column as high as
// its busiest second (an average would hide exactly what we look for), and the minutes around the busiest second, second by
// second. All fleets of a run share one scale, so that the eye may compare them.

/// <summary>CONNECT packets at the hub per second against what the hub's tier allows.</summary>
internal static class HerdChart
{
    private const int ColumnsMax = 450;
    private const int PeakWindowSeconds = 600;
    private const int PeakLeadSeconds = 60;
    private const int TicksMax = 5;
    private const int BlockSeconds = 4096;

    // Where the limit is this many times the usual value, a linear scale would show a flat line.
    private const int LinearRatioMax = 8;

    /// <summary>Writes the charts of one result; several fleets on one hub are also drawn together.</summary>
    public static void Write(PageText page, RunResult result, IReadOnlyList<FleetResult> fleets)
    {
        int seconds = (int)Math.Min(int.MaxValue - 1, (result.Scenario.RunForMs / 1000) + 1);
        List<Curve> curves = Read(result, fleets, seconds);
        HubOptions hub = result.Scenario.Hub;
        int top = Math.Max(hub.ConnectsPerSecondLimit, curves.Max(curve => curve.Peak));
        int usual = curves.Where(curve => curve.Peak > 0).Select(curve => curve.Usual).DefaultIfEmpty(top).Min();
        var scale = new Scale(top * 1.12, top > usual * LinearRatioMax);
        page.Add($"<p class=\"note\">{ScaleNote(scale)} {LimitNote(hub)}</p>\n<div class=\"herds\">\n");
        foreach (Curve curve in curves)
        {
            Write(page, curve, seconds, scale, hub);
        }

        page.Add($"</div>\n");
    }

    private static List<Curve> Read(RunResult result, IReadOnlyList<FleetResult> fleets, int seconds)
    {
        Curve[] each = [.. result.Fleets.Select(fleet => new Curve(Spelling.Name(fleet), [fleet.Statistics], seconds))];
        var all = new Curve($"all {each.Length} fleets together", [.. result.Fleets.Select(fleet => fleet.Statistics)], seconds);

        // A year has 31 million seconds: each is asked for once per fleet, in blocks the cache can hold.
        int[] block = new int[BlockSeconds];
        int[] sums = new int[BlockSeconds];
        for (int from = 0; from < seconds; from += BlockSeconds)
        {
            int count = Math.Min(BlockSeconds, seconds - from);
            Array.Clear(sums);
            for (int i = 0; i < each.Length; i++)
            {
                FleetStatistics statistics = result.Fleets[i].Statistics;
                for (int second = 0; second < count; second++)
                {
                    block[second] = statistics.ConnectPackets(from + second);
                    sums[second] += block[second];
                }

                each[i].Take(from, block.AsSpan(0, count));
            }

            all.Take(from, sums.AsSpan(0, count));
        }

        List<Curve> curves = [.. each.Take(fleets.Count)];
        if (each.Length > 1)
        {
            curves.Insert(0, all);
        }

        return curves;
    }

    private static string ScaleNote(Scale scale) => scale.IsLog
        ? "Logarithmic scale, the same for all fleets of this run; each column shows its busiest second."
        : "Linear scale, the same for all fleets of this run; each column shows its busiest second.";

    private static string LimitNote(HubOptions hub) => string.Create(
        CultureInfo.InvariantCulture,
        $"Dashed: {hub.Tier} × {hub.Units} allows {hub.ConnectsPerSecondLimit:#,0} new connections per second" +
        $"{(hub.Throttle ? "; this run applied the limit." : "; this run did not apply the limit.")}");

    private static void Write(PageText page, Curve curve, int seconds, Scale scale, HubOptions hub)
    {
        int limit = hub.ConnectsPerSecondLimit;
        page.Add($"<figure class=\"herd\"><figcaption>{curve.Name}: ");
        if (curve.Peak == 0)
        {
            page.Add($"no CONNECT reached the hub</figcaption></figure>\n");
            return;
        }

        page.Add($"at most <b>{curve.Peak:#,0} /s</b>, at {Spelling.Second(curve.PeakSecond)}");
        if (curve.Peak > limit)
        {
            page.Add($", <b class=\"bad\">{(double)curve.Peak / limit:0.#} × the limit</b>");
        }

        page.Add($"</figcaption><div class=\"plots\">\n");
        WritePlot(page, new Plot(curve, 0, seconds, curve.Columns), scale, limit);
        if (seconds > PeakWindowSeconds)
        {
            int from = Math.Clamp(curve.PeakSecond - PeakLeadSeconds, 0, seconds - PeakWindowSeconds);
            int[] window = [.. Enumerable.Range(from, PeakWindowSeconds).Select(curve.At)];
            WritePlot(page, new Plot(curve, from, PeakWindowSeconds, window), scale, limit);
        }

        page.Add($"</div></figure>\n");
    }

    private static void WritePlot(PageText page, Plot plot, Scale scale, int limit)
    {
        double peakX = (plot.Curve.PeakSecond + 0.5 - plot.From) / plot.Seconds;
        double peakY = scale.Share(plot.Curve.Peak);
        string label = plot.IsWhole ? "whole run" : $"{Spelling.Length(plot.Seconds * 1000L)} around the peak, per second";
        page.Add($"<div class=\"plot\"><div class=\"scale\">");
        foreach (int value in scale.Ticks())
        {
            page.Add($"<span style=\"bottom:{100 * scale.Share(value):0.#}%\">{value:#,0}</span>");
        }

        page.Add($"</div><div class=\"field\"><svg viewBox=\"0 0 {plot.Columns.Length} 100\" preserveAspectRatio=\"none\" role=\"img\" ");
        page.Add($"aria-label=\"CONNECT packets per second, {label}\"><path class=\"area\" d=\"{Outline(plot.Columns, scale)}\"/></svg>");
        page.Add($"<i class=\"limit\" style=\"bottom:{100 * scale.Share(limit):0.#}%\"></i>");
        page.Add($"<i class=\"peak {(peakX > 0.5 ? "left" : "right")}\" style=\"left:{100 * peakX:0.##}%;bottom:{100 * peakY:0.#}%\">");
        page.Add($"<b>{plot.Curve.Peak:#,0} /s</b></i></div>\n");
        TimeAxis.Write(page, plot.From * 1000L, (plot.From + (long)plot.Seconds) * 1000, TicksMax);
        page.Add($"<p class=\"what\">{label}</p></div>\n");
    }

    private static string Outline(int[] columns, Scale scale)
    {
        var path = new StringBuilder("M0,100");
        for (int i = 0; i < columns.Length; i++)
        {
            if (i == 0 || columns[i] != columns[i - 1])
            {
                // What happened at all is seen, however high the scale reaches.
                double height = columns[i] == 0 ? 0 : Math.Max(1.5, 100 * scale.Share(columns[i]));
                path.Append(CultureInfo.InvariantCulture, $"H{i}V{100 - height:0.#}");
            }
        }

        return path.Append(CultureInfo.InvariantCulture, $"H{columns.Length}V100z").ToString();
    }

    private sealed record Plot(Curve Curve, int From, int Seconds, int[] Columns)
    {
        public bool IsWhole => ReferenceEquals(Columns, Curve.Columns);
    }

    private sealed class Curve(string name, FleetStatistics[] fleets, int seconds)
    {
        public string Name { get; } = name;

        /// <summary>The busiest second of each column.</summary>
        public int[] Columns { get; } = new int[Math.Min(ColumnsMax, seconds)];

        public int Peak { get; private set; }

        public int PeakSecond { get; private set; }

        /// <summary>Median of the columns in which anything happened; 1 when nothing did.</summary>
        public int Usual
        {
            get
            {
                int[] busy = [.. Columns.Where(count => count > 0).Order()];
                return busy.Length == 0 ? 1 : busy[busy.Length / 2];
            }
        }

        /// <summary>CONNECT packets in one second.</summary>
        public int At(int second) => fleets.Sum(fleet => fleet.ConnectPackets(second));

        /// <summary>Takes the next seconds in.</summary>
        public void Take(int from, ReadOnlySpan<int> counts)
        {
            for (int i = 0; i < counts.Length; i++)
            {
                if (counts[i] == 0)
                {
                    continue;
                }

                ref int column = ref Columns[(int)((long)(from + i) * Columns.Length / seconds)];
                column = Math.Max(column, counts[i]);
                if (counts[i] > Peak)
                {
                    (Peak, PeakSecond) = (counts[i], from + i);
                }
            }
        }
    }

    private sealed record Scale(double Top, bool IsLog)
    {
        /// <summary>Height of a value as a share of the drawing, 0..1.</summary>
        public double Share(double value) => IsLog ? Math.Log(1 + value) / Math.Log(1 + Top) : value / Top;

        public IEnumerable<int> Ticks()
        {
            if (IsLog)
            {
                int factor = Top > 1e4 ? 100 : 10;
                return Enumerable.Range(0, 10).Select(i => Math.Pow(factor, i)).Where(value => value < Top).Select(value => (int)value)
                    .Prepend(0);
            }

            double magnitude = Math.Pow(10, Math.Floor(Math.Log10(Math.Max(1, Top))));
            double step = Math.Max(1, new[] { 0.5, 1, 2, 5 }.Select(unit => unit * magnitude).First(unit => Top / unit <= 4));
            return Enumerable.Range(0, 5).Select(i => (int)(i * step)).Where(value => value < Top);
        }
    }
}
