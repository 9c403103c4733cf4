using System.Globalization;
using Agent.World;

namespace Agent.Report;

/// <summary>
/// Where a detector stands in the chart of a score: to the right the later its alarms, upwards the more false ones. Both axes are
/// logarithmic, because detectors differ by factors, and "no false alarm" has the lowest place for itself.
/// </summary>
internal sealed class DetectorScale
{
    private const double RateMin = 0.01;

    // The share of the height below the axis of rates: no false alarm at all.
    private const double NoneShare = 0.12;

    private static readonly double[] Lengths = [1, 5, 10, 30, 60, 120, 300, 600, 1200, 3600, 7200, 21600, 86400];

    private readonly double fromSeconds;
    private readonly double toSeconds;
    private readonly double rateMax;

    public DetectorScale(IReadOnlyList<DetectorResult> detectors)
    {
        double[] seen = [.. detectors
            .SelectMany(detector => new[] { detector.LatenessSeconds(0.5), detector.LatenessSeconds(0.99) })
            .Where(seconds => seconds > 0).Select(seconds => seconds!.Value).DefaultIfEmpty(60)];
        fromSeconds = Lengths.LastOrDefault(length => length <= seen.Min() * 0.9, 1);
        toSeconds = Math.Max(Lengths.FirstOrDefault(length => length >= seen.Max() * 1.1, seen.Max() * 1.1), fromSeconds * 4);
        double most = detectors.Select(detector => detector.FalseAlarmsPerDeviceYear).DefaultIfEmpty(0).Max();
        rateMax = Math.Pow(10, Math.Ceiling(Math.Log10(Math.Max(most, 1)) + 0.01));
    }

    /// <summary>Moments of the lower axis, seconds, with their text.</summary>
    public IEnumerable<(double Share, string Text)> LatenessTicks() => Lengths
        .Where(length => length >= fromSeconds && length <= toSeconds)
        .Select(length => (Across(length), Spelling.Length((long)(length * 1000))));

    /// <summary>Rates of the upright axis with their text, "none" first.</summary>
    public IEnumerable<(double Share, string Text)> RateTicks()
    {
        yield return (NoneShare / 2, "none");
        for (double rate = 0.1; rate <= rateMax * 1.001; rate *= 10)
        {
            yield return (Up(rate), rate.ToString("#,0.##", CultureInfo.InvariantCulture));
        }
    }

    /// <summary>How far to the right, 0..1.</summary>
    public double Across(double seconds) =>
        Math.Clamp(Math.Log(Math.Max(seconds, 0.001) / fromSeconds) / Math.Log(toSeconds / fromSeconds), 0, 1);

    /// <summary>How high, 0..1.</summary>
    public double Up(double rate) => rate <= 0
        ? NoneShare / 2
        : Math.Clamp(NoneShare + ((1 - NoneShare) * Math.Log(rate / RateMin) / Math.Log(rateMax / RateMin)), NoneShare, 1);

    /// <summary>The letter by which a detector is known in table and chart.</summary>
    public static string Letter(int index) => index < 26 ? ((char)('A' + index)).ToString() : "?";
}
