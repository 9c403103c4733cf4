namespace Agent.Logs;

/// <summary>How regular some lengths of time are.</summary>
public readonly record struct Rhythm
{
    /// <summary>The share of lengths that must lie near the median for it to be called a rhythm.</summary>
    public const double RegularShareMin = 0.6;

    /// <summary>Lengths measured.</summary>
    public int Count { get; private init; }

    /// <summary>Their median in seconds; NaN = none.</summary>
    public double Median { get; private init; }

    public double P5 { get; private init; }

    public double P95 { get; private init; }

    /// <summary>How far from the median still counts as the same beat.</summary>
    public double Tolerance { get; private init; }

    /// <summary>At least two lengths, most of them near the median.</summary>
    public bool IsRegular { get; private init; }

    /// <summary>Whether a length is one beat.</summary>
    public bool Fits(double seconds) => Math.Abs(seconds - Median) <= Tolerance;

    /// <summary>The periods between ends of any kind, or, where there is none, how long the connections lasted.</summary>
    internal static Rhythm OfPeriods(IReadOnlyList<DeviceEnd> ends)
    {
        List<double> periods = Lengths(ends, end => end.PeriodSeconds);
        bool areCuts = ends.Count(end => !end.IsClean) * 2 > ends.Count;
        return Of(periods, areCuts);
    }

    /// <summary>How long the connections lasted.</summary>
    internal static Rhythm OfSessions(IReadOnlyList<DeviceEnd> ends) =>
        Of(Lengths(ends, end => end.SessionSeconds), ends.Count(end => !end.IsClean) * 2 > ends.Count);

    /// <summary>The beat of cuts of expired tokens: both records, back within a minute.</summary>
    internal static Rhythm OfCuts(IReadOnlyList<DeviceEnd> ends)
    {
        List<double> lengths = Lengths(
            ends,
            end => !end.IsPair || !end.OnlyTokenCodes || !(end.ReturnSeconds <= DeviceHistory.CutReturnSecondsMax) ? float.NaN
                : float.IsNaN(end.PairPeriodSeconds) ? end.SessionSeconds
                : end.PairPeriodSeconds);
        return Of(lengths, areCuts: true);
    }

    /// <summary>Measures lengths. Cuts may vary by the hub's grace, which some say is 5 and some 10 minutes.</summary>
    public static Rhythm Of(List<double> lengths, bool areCuts)
    {
        if (lengths.Count == 0)
        {
            return new Rhythm { Median = double.NaN, P5 = double.NaN, P95 = double.NaN };
        }

        lengths.Sort();
        double median = lengths.Count % 2 == 1
            ? lengths[lengths.Count / 2]
            : (lengths[(lengths.Count / 2) - 1] + lengths[lengths.Count / 2]) / 2;
        double tolerance = Math.Max(5, areCuts ? Math.Min(310, median / 4) : median / 100);
        int near = lengths.Count(length => Math.Abs(length - median) <= tolerance);
        return new Rhythm
        {
            Count = lengths.Count,
            Median = median,
            P5 = lengths[(int)((lengths.Count - 1) * 0.05)],
            P95 = lengths[(int)Math.Ceiling((lengths.Count - 1) * 0.95)],
            Tolerance = tolerance,
            IsRegular = lengths.Count >= 2 && near >= lengths.Count * RegularShareMin && median > 2 * 5,
        };
    }

    private static List<double> Lengths(IReadOnlyList<DeviceEnd> ends, Func<DeviceEnd, float> length)
    {
        var lengths = new List<double>(ends.Count);
        foreach (DeviceEnd end in ends)
        {
            float seconds = length(end);
            if (!float.IsNaN(seconds))
            {
                lengths.Add(seconds);
            }
        }

        return lengths;
    }
}
