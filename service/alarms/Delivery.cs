namespace Agent.Service.Alarms;

/// <summary>What is to be told to one destination about one episode, and how far that has come: one row of the outbox.</summary>
/// <remarks>
/// A row is an episode and not a message, because the messages of an episode are not independent: a clear must not overtake its raise, and
/// a raise that was held back until the trouble was over must take its clear with it. With the notices in one row both are
/// plain to see, and a store needs no query over neighbours.
/// </remarks>
public sealed record Delivery
{
    public required string Destination { get; init; }

    public required long Episode { get; init; }

    /// <summary>In the order in which they happened: raised, perhaps acknowledged, cleared; no edge twice.</summary>
    public required IReadOnlyList<Notice> Notices { get; init; }

    /// <summary>How many of them are settled: told, given up, or withheld.</summary>
    public int Settled { get; init; }

    /// <summary>Attempts made at the first that is not settled.</summary>
    public int Attempts { get; init; }

    /// <summary>Not to be looked at before, UTC milliseconds.</summary>
    public long NextMs { get; init; }

    /// <summary>Until when the raise was held back by quiet hours, UTC milliseconds; 0 = it was not.</summary>
    public long HeldUntilMs { get; init; }

    /// <summary>The raise was never told, so nothing that follows from it is.</summary>
    public bool IsWithheld { get; init; }

    /// <summary>Nothing is left to tell for now.</summary>
    public bool IsIdle => Settled >= Notices.Count;

    /// <summary>Nothing will ever be left to tell: the row can go, if its number is remembered.</summary>
    public bool IsOver => IsIdle && Notices[^1].Edge == NoticeEdge.Cleared;

    /// <summary>
    /// Adds an edge to a row, or makes the row; null = it changes nothing, because the edge is there or has no raise before it.
    /// </summary>
    public static Delivery? Append(Delivery? row, string destination, Notice notice)
    {
        if (row is null)
        {
            return notice.Edge == NoticeEdge.Raised
                ? new Delivery { Destination = destination, Episode = notice.Episode, Notices = [notice.Bounded()] }
                : null;
        }

        if (row.Notices.Any(known => known.Edge == notice.Edge || known.Edge == NoticeEdge.Cleared))
        {
            return null;
        }

        return row with { Notices = [.. row.Notices, notice.Bounded()], NextMs = row.IsIdle ? 0 : row.NextMs };
    }
}
