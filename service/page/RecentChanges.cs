namespace Agent.Service;

/// <summary>The latest changes of status over all devices, for the lane of one device.</summary>
/// <remarks>
/// The checker keeps no history per device: ten million histories would cost more than everything else. Instead there is one ring of the
/// last 131,072 changes, 24 bytes each: 3 MiB, whatever the fleet's size. Asking for one device looks through all of it, a millisecond at
/// most, which only a person at the page does. When a whole large fleet changes at once, older changes fall out; <see cref="SinceMs"/>
/// says how far back the ring reaches.
/// </remarks>
public sealed class RecentChanges(int kept = RecentChanges.Kept)
{
    /// <summary>Changes kept.</summary>
    public const int Kept = 131_072;

    private readonly Transition[] ring = new Transition[kept];
    private long count;

    /// <summary>Before this moment changes are forgotten, UTC milliseconds; null = none is.</summary>
    public long? SinceMs => count <= kept ? null : ring[count % kept].SinceMs;

    /// <summary>Notes a change.</summary>
    public void Add(in Transition change) => ring[count++ % kept] = change;

    /// <summary>The latest changes of one device, oldest first, at most so many.</summary>
    public Transition[] Of(int row, int most)
    {
        var found = new List<Transition>();
        long oldest = Math.Max(0, count - kept);
        for (long i = count - 1; i >= oldest && found.Count < most; i--)
        {
            ref readonly Transition change = ref ring[i % kept];
            if (change.Row == row)
            {
                found.Add(change);
            }
        }

        found.Reverse();
        return [.. found];
    }
}
