namespace Agent.Service;

/// <summary>How many devices had which status, at one moment.</summary>
/// <param name="AtMs">When, UTC milliseconds.</param>
/// <param name="Counts">Devices by the numbers of <see cref="Status"/>.</param>
public sealed record FleetSample(long AtMs, int[] Counts)
{
    /// <summary>Devices that are silent, late or flapping.</summary>
    public int Troubled => Counts[(int)Status.Silent] + Counts[(int)Status.Late] + Counts[(int)Status.Flapping];
}

/// <summary>Fleet totals over time: the last hour in steps of ten seconds, the last day in steps of five minutes.</summary>
/// <remarks>
/// Two rings, 648 samples of about 80 bytes: 52 KB whatever the fleet's size. A step shows its worst moment, not its last or its mean:
/// otherwise a step of five minutes would hide an outage of two. A time without samples (the program did not run) is a hole and is not
/// filled in. Not kept over a restart: what lasts is the journal's, and long-term charts are the metrics' (grafana/).
/// </remarks>
public sealed class FleetHistory
{
    /// <summary>Statuses there are.</summary>
    public const int StatusCount = 7;

    private readonly Ring hour = new(stepMs: 10_000, steps: 360);
    private readonly Ring day = new(stepMs: 300_000, steps: 288);

    /// <summary>Takes a sample; one older than the latest step changes nothing.</summary>
    public void Add(long nowMs, ReadOnlySpan<int> counts)
    {
        var sample = new FleetSample(nowMs, counts.ToArray());
        hour.Add(sample);
        day.Add(sample);
    }

    /// <summary>The samples, oldest first, and the length of a step in milliseconds.</summary>
    public (long StepMs, FleetSample[] Samples) Of(bool isDay, long nowMs)
    {
        Ring ring = isDay ? day : hour;
        return (ring.StepMs, ring.Since(nowMs));
    }

    private sealed class Ring(long stepMs, int steps)
    {
        private readonly FleetSample?[] samples = new FleetSample?[steps];
        private long step;

        public long StepMs => stepMs;

        public void Add(FleetSample sample)
        {
            long now = sample.AtMs / stepMs;
            if (now < step)
            {
                return;
            }

            ref FleetSample? place = ref samples[now % steps];
            if (now > step || place is null || sample.Troubled >= place.Troubled)
            {
                place = sample;
            }

            step = now;
        }

        public FleetSample[] Since(long nowMs)
        {
            long oldest = (nowMs / stepMs) - steps;
            return [.. samples.OfType<FleetSample>().Where(sample => sample.AtMs / stepMs > oldest).OrderBy(sample => sample.AtMs)];
        }
    }
}
