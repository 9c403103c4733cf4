namespace Agent.Service;

/// <summary>How regularly a device connects, computed from its last four connects whenever it is asked for.</summary>
/// <param name="PeriodSeconds">Mean time between two connects; 0 = no rhythm.</param>
/// <param name="ToleranceSeconds">How far off still counts as the same beat.</param>
/// <param name="Periods">How many periods it rests on, 2 or 3.</param>
public readonly record struct Rhythm(double PeriodSeconds, double ToleranceSeconds, int Periods)
{
    private const double ToleranceShare = 0.02;
    private const double ToleranceSecondsMin = 5;

    /// <summary>Shorter than this is trouble, however regular: no token lives so briefly.</summary>
    private const double PeriodSecondsMin = 60;

    /// <summary>Whether there is one.</summary>
    public bool IsRegular => PeriodSeconds > 0;

    /// <summary>The rhythm of these moments: at least two periods, all alike.</summary>
    /// <param name="moments">When it connected.</param>
    /// <param name="newestCount">How many of the newest are looked at, 3 or more.</param>
    /// <param name="leastTolerance">How far off the mean is always allowed, seconds.</param>
    public static Rhythm Of(in Moments moments, int newestCount = Moments.Kept, double leastTolerance = ToleranceSecondsMin)
    {
        int periods = Math.Min(moments.Count, newestCount) - 1;
        if (periods < 2)
        {
            return default;
        }

        double mean = (moments[0] - moments[periods]) / (double)periods;
        double tolerance = Math.Max(leastTolerance, mean * ToleranceShare);
        for (int i = 0; i < periods; i++)
        {
            if (Math.Abs(moments[i] - moments[i + 1] - mean) > tolerance)
            {
                return default;
            }
        }

        return mean < PeriodSecondsMin ? default : new Rhythm(mean, tolerance, periods);
    }

    /// <summary>
    /// The beat nearest to a moment: the newest connect and whole periods from it. A beat may have been missed while the device was
    /// away, so later ones count too.
    /// </summary>
    public double Nearest(double seconds, uint newest) =>
        newest + (Math.Max(1, Math.Round((seconds - newest) / PeriodSeconds)) * PeriodSeconds);

    /// <summary>Whether a moment is one at which this device reconnects.</summary>
    public bool Fits(double seconds, uint newest) =>
        IsRegular && Math.Abs(seconds - Nearest(seconds, newest)) <= ToleranceSeconds;
}
