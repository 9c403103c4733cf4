namespace Agent.Service.Alarms;

/// <summary>How a post went.</summary>
public enum PostOutcome : byte
{
    /// <summary>2xx.</summary>
    Delivered,

    /// <summary>400, 410, 413, 415, 422: the receiver understood and will say the same again.</summary>
    Refused,

    /// <summary>Any other status: wrong key, wrong path, a redirect, the receiver's own trouble. It may be repaired.</summary>
    Failed,

    /// <summary>429 or 503: the receiver asks for time.</summary>
    Busy,

    /// <summary>No answer within the limit.</summary>
    TimedOut,

    /// <summary>No connection, or one that broke.</summary>
    NoConnection,
}

/// <summary>What to do with a row now.</summary>
public enum DeliveryOrder : byte
{
    /// <summary>Post the first notice that is not settled.</summary>
    Post,

    /// <summary>Post nothing, record the row as it was changed.</summary>
    Record,
}

/// <summary>How patient delivery is. Lengths in milliseconds.</summary>
public sealed record DeliveryPatience
{
    /// <summary>Wait after the first failure; doubles with each further one.</summary>
    public long FirstWaitMs { get; init; } = 1_000;

    /// <summary>Longest wait between two attempts at one notice.</summary>
    public long WaitMsMax { get; init; } = 600_000;

    /// <summary>Longest wait before a destination that fails is tried with anything at all.</summary>
    public long DestinationWaitMsMax { get; init; } = 60_000;

    /// <summary>Longest <c>Retry-After</c> that is honoured; a longer one counts as this.</summary>
    public long RetryAfterMsMax { get; init; } = 3_600_000;

    /// <summary>A notice older than this (counted from the end of quiet hours if it was held) is given up.</summary>
    public long TimeToLiveMs { get; init; } = 86_400_000;

    /// <summary>Attempts at something the receiver refuses before it is given up.</summary>
    public int RefusalsMax { get; init; } = 3;

    /// <summary>Posts under way to one destination at once; one, while it fails.</summary>
    public int ParallelMax { get; init; } = 8;
}

/// <summary>
/// Decides what becomes of a row: post, hold, withhold, try again, give up. Pure; the moment and the chance are handed in.
/// </summary>
/// <remarks>
/// <para>
/// Waits grow two ways. A notice's own wait, so that one which the receiver chokes on does not stand in the way of the others; and the
/// destination's (<see cref="DestinationPace"/>), so that a dead receiver is tried by one post at a time and not by a thousand.
/// </para>
/// <para>
/// Half of each wait is drawn ("equal jitter"): replicas that failed together must not come back together, and a wait that may be
/// nothing, as with full jitter, would hammer a receiver that just said it is busy.
/// </para>
/// <para>
/// 401, 403 and 404 are tried on: they mean that somebody mistyped the receiver's settings, and an alarm is worth more than the
/// tidiness of giving up. Only what cannot be repaired by waiting is given up early.
/// </para>
/// </remarks>
public static class DeliveryRules
{
    /// <summary>The outcome that an HTTP status means.</summary>
    public static PostOutcome OutcomeOf(int status) => status switch
    {
        >= 200 and <= 299 => PostOutcome.Delivered,
        400 or 410 or 413 or 415 or 422 => PostOutcome.Refused,
        429 or 503 => PostOutcome.Busy,
        _ => PostOutcome.Failed,
    };

    /// <summary>Looks at a claimed row.</summary>
    /// <returns>The order and, for <see cref="DeliveryOrder.Record"/>, the row to write.</returns>
    public static (DeliveryOrder Order, Delivery Row) Look(Delivery row, Destination destination, DeliveryPatience patience, long nowMs)
    {
        if (row.IsWithheld)
        {
            return (DeliveryOrder.Record, row with { Settled = row.Notices.Count, NextMs = 0 });
        }

        Notice notice = row.Notices[row.Settled];
        bool isUntoldRaise = notice.Edge == NoticeEdge.Raised && row.Attempts == 0;
        if (isUntoldRaise && notice.Severity < Severity.Critical)
        {
            if (row.HeldUntilMs > 0 && row.Notices[^1].Edge == NoticeEdge.Cleared)
            {
                return (DeliveryOrder.Record, row with { Settled = row.Notices.Count, NextMs = 0, IsWithheld = true });
            }

            if (destination.Quiet?.EndsAtMs(nowMs) is { } endMs)
            {
                return (DeliveryOrder.Record, row with { NextMs = endMs, HeldUntilMs = endMs });
            }
        }

        return nowMs - Math.Max(notice.AtMs, row.HeldUntilMs) > patience.TimeToLiveMs
            ? (DeliveryOrder.Record, GiveUp(row))
            : (DeliveryOrder.Post, row);
    }

    /// <summary>The row after an attempt.</summary>
    /// <param name="row">As it was claimed.</param>
    /// <param name="outcome">How the attempt went.</param>
    /// <param name="patience">The settings.</param>
    /// <param name="nowMs">UTC milliseconds.</param>
    /// <param name="draw">A random number, 0 to 1.</param>
    public static Delivery After(Delivery row, PostOutcome outcome, DeliveryPatience patience, long nowMs, double draw)
    {
        if (outcome == PostOutcome.Delivered)
        {
            return row with { Settled = row.Settled + 1, Attempts = 0, NextMs = 0 };
        }

        int attempts = row.Attempts + 1;
        return outcome == PostOutcome.Refused && attempts >= patience.RefusalsMax
            ? GiveUp(row)
            : row with { Attempts = attempts, NextMs = nowMs + WaitMs(attempts, patience.FirstWaitMs, patience.WaitMsMax, draw) };
    }

    /// <summary>The wait after so many failures in a row: half of it certain, half drawn.</summary>
    public static long WaitMs(int failures, long firstMs, long mostMs, double draw)
    {
        // 2^30 s are 34 years; further doubling would only overflow.
        long full = Math.Min(mostMs, firstMs << Math.Clamp(failures - 1, 0, 30));
        return (full / 2) + (long)(full / 2 * Math.Clamp(draw, 0, 1));
    }

    // A receiver that never heard of the raise is not told of the clear either.
    private static Delivery GiveUp(Delivery row) => row.Notices[row.Settled].Edge == NoticeEdge.Raised
        ? row with { Settled = row.Notices.Count, Attempts = 0, NextMs = 0, IsWithheld = true }
        : row with { Settled = row.Settled + 1, Attempts = 0, NextMs = 0 };
}

/// <summary>How fast one destination may be posted to. Pure; not kept, a restart may try at once.</summary>
public sealed class DestinationPace(DeliveryPatience patience)
{
    /// <summary>Failures in a row.</summary>
    public int Failures { get; private set; }

    /// <summary>Nothing may be posted before, UTC milliseconds.</summary>
    public long NotBeforeMs { get; private set; }

    /// <summary>Posts that may be under way at once.</summary>
    public int Room => Failures == 0 ? patience.ParallelMax : 1;

    /// <summary>Takes note of an answer.</summary>
    /// <param name="outcome">How the attempt went.</param>
    /// <param name="retryAfterMs">What the receiver asked for, or null.</param>
    /// <param name="nowMs">UTC milliseconds.</param>
    /// <param name="draw">A random number, 0 to 1.</param>
    public void OnAnswer(PostOutcome outcome, long? retryAfterMs, long nowMs, double draw)
    {
        if (outcome is PostOutcome.Delivered or PostOutcome.Refused)
        {
            // A refusal is about one notice: the receiver itself is well.
            Failures = 0;
            NotBeforeMs = 0;
            return;
        }

        Failures++;
        long waitMs = DeliveryRules.WaitMs(Failures, patience.FirstWaitMs, patience.DestinationWaitMsMax, draw);
        long askedMs = outcome == PostOutcome.Busy && retryAfterMs is { } asked ? Math.Clamp(asked, 0, patience.RetryAfterMsMax) : 0;
        NotBeforeMs = Math.Max(NotBeforeMs, nowMs + Math.Max(waitMs, askedMs));
    }
}
