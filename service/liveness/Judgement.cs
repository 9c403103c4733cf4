namespace Agent.Service;

/// <summary>What follows from the facts about one device at one moment.</summary>
/// <param name="Status">What to say about it.</param>
/// <param name="Cause">Why.</param>
/// <param name="SinceMs">When that began, UTC milliseconds.</param>
/// <param name="NextMs">When it will be another status if nothing more is heard; <see cref="long.MaxValue"/> = never.</param>
public readonly record struct Verdict(Status Status, Cause Cause, long SinceMs, long NextMs);

/// <summary>
/// The vendor's heartbeat pattern (facts/iothub.md §5) as a function: facts and a moment in, a status out.
/// </summary>
/// <remarks>
/// <para>
/// Events come at least once, late, and in any order. So nothing counts or toggles: per device there are maxima and a set of the four
/// latest connects, which do not care how often or in which order their members arrive; the status is a function of
/// them and of the moment asked about.
/// </para>
/// <para>
/// A device with heartbeats: the deadline comes from the interval it announced itself and runs from its last message of any kind.
/// Its renewals are known beforehand, from its heartbeat or from its rhythm, and are allowed for. A disconnect event alone changes
/// nothing: every token renewal is one. A device without heartbeats, or whose last one said that no more are coming, is as alive
/// as the hub says, with patience: a moment that fits its rhythm is a renewal, and any other disconnect may still be a short one.
/// </para>
/// </remarks>
public static class Judgement
{
    // DisconnectReason numbers 0x10 to 0x1F are the device's own, planned ends.
    private const byte PlannedReasonMin = 0x10;
    private const byte PlannedReasonMax = 0x1F;

    /// <summary>Judges a device.</summary>
    public static Verdict Of(in Hot hot, in Cold cold, LivenessSettings settings, long nowMs)
    {
        if (IsRetired(hot, cold))
        {
            return new Verdict(Status.Retired, Cause.Deleted, cold.LifeAt * 1000L, long.MaxValue);
        }

        return hot.HasBeatAhead ? OfHeartbeats(hot, cold, settings, nowMs)
            : cold.IsLinkKnown ? OfConnection(hot, cold, settings, nowMs)
            : new Verdict(Status.Unknown, Cause.None, hot.SignMs, long.MaxValue);
    }

    /// <summary>The moment from which this many heartbeats are overdue, and whether a renewal was allowed for.</summary>
    public static (long Ms, bool IsRenewalAllowedFor) Deadline(in Hot hot, in Cold cold, LivenessSettings settings, int missed)
    {
        long due = hot.SignMs + (missed * 1000L * hot.IntervalSeconds) + settings.DeliverySlackMs;
        long plannedMs = hot.PlannedMs;
        if (plannedMs > hot.SignMs && plannedMs <= due)
        {
            return (due + AllowanceMs(hot, settings), true);
        }

        return plannedMs <= hot.SignMs && BeatOfRhythm(hot, cold) is > 0 and var beatMs && beatMs <= due
            ? (due + settings.RenewalAllowanceMs, true)
            : (due, false);
    }

    private static bool IsRetired(in Hot hot, in Cold cold) =>
        cold.IsDeleted && hot.SignMs / 1000 <= cold.LifeAt && !(cold.IsConnected && cold.LinkAt > cold.LifeAt);

    private static Verdict OfHeartbeats(in Hot hot, in Cold cold, LivenessSettings settings, long nowMs)
    {
        long lateMs = Deadline(hot, cold, settings, 1).Ms;
        long silentMs = Deadline(hot, cold, settings, settings.MissedBeforeSilent).Ms;
        if (nowMs >= silentMs)
        {
            // With MissedBeforeSilent = 1 both deadlines are one, and silent is the stronger word.
            return new Verdict(Status.Silent, CauseOfSilence(hot, cold, settings), silentMs, long.MaxValue);
        }

        if (nowMs >= lateMs)
        {
            return new Verdict(Status.Late, CauseOfSilence(hot, cold, settings), lateMs, silentMs);
        }

        long plannedMs = hot.PlannedMs;
        if (plannedMs > hot.SignMs)
        {
            long endMs = Math.Min(plannedMs + AllowanceMs(hot, settings), lateMs);
            if (nowMs >= plannedMs && nowMs < endMs)
            {
                return new Verdict(Status.Renewing, Cause.AnnouncedRenewal, plannedMs, endMs);
            }

            lateMs = plannedMs > nowMs ? Math.Min(lateMs, plannedMs) : lateMs;
        }

        long linkMs = cold.LinkAt * 1000L;
        if (cold.IsLinkKnown && !cold.IsConnected && linkMs + 999 > hot.SignMs && nowMs < linkMs + settings.RenewalAllowanceMs
            && Rhythm.Of(cold.Connects).Fits(cold.LinkAt, cold.Connects.Newest))
        {
            return new Verdict(Status.Renewing, Cause.RhythmicRenewal, linkMs, Math.Min(lateMs, linkMs + settings.RenewalAllowanceMs));
        }

        // A message after the renewal takes the allowance back, so the deadline without it is a moment to look again.
        long plainMs = hot.SignMs + (1000L * hot.IntervalSeconds) + settings.DeliverySlackMs;
        return Alive(hot, cold, settings, nowMs, hot.SignMs, plainMs > nowMs ? Math.Min(lateMs, plainMs) : lateMs);
    }

    private static Verdict OfConnection(in Hot hot, in Cold cold, LivenessSettings settings, long nowMs)
    {
        long linkMs = cold.LinkAt * 1000L;
        if (cold.IsConnected || hot.SignMs > linkMs + 999)
        {
            return Alive(hot, cold, settings, nowMs, cold.IsConnected ? linkMs : hot.SignMs, long.MaxValue);
        }

        long silentMs = linkMs + settings.DisconnectGraceMs;
        bool isBeat = Rhythm.Of(cold.Connects).Fits(cold.LinkAt, cold.Connects.Newest);
        if (isBeat && nowMs < linkMs + settings.RhythmAllowanceMs)
        {
            return new Verdict(Status.Renewing, Cause.RhythmicRenewal, linkMs, linkMs + settings.RhythmAllowanceMs);
        }

        Cause cause = isBeat ? Cause.RenewalFailed : CauseOfEnd(hot, cold);
        return nowMs >= silentMs
            ? new Verdict(Status.Silent, cause, silentMs, long.MaxValue)
            : new Verdict(Status.Late, cause, linkMs, silentMs);
    }

    private static Verdict Alive(in Hot hot, in Cold cold, LivenessSettings settings, long nowMs, long sinceMs, long nextMs)
    {
        if (cold.Connects.Count == Moments.Kept)
        {
            long endMs = (cold.Connects[Moments.Kept - 1] * 1000L) + settings.FlapWindowMs;
            if (nowMs < endMs && cold.Connects.Newest * 1000L < endMs && !SaysPlanned(hot, cold) && !IsRhythmic(cold.Connects))
            {
                return new Verdict(Status.Flapping, Cause.Unsteady, cold.Connects.Newest * 1000L, Math.Min(endMs, nextMs));
            }
        }

        return new Verdict(Status.Online, Cause.None, sinceMs, nextMs);
    }

    // One connect out of step, such as that of a start, must not hide the beat that follows it. Two periods are less than three, so they
    // must be the more alike: renewals are, to the second or two of a handshake, and a bad connection's only by chance.
    private static bool IsRhythmic(in Moments connects) =>
        Rhythm.Of(connects).IsRegular || Rhythm.Of(connects, Moments.Kept - 1, leastTolerance: 2).IsRegular;

    // A device of ours knows why it reconnected. One with older firmware only announces its renewals: the hub must not contradict.
    private static bool SaysPlanned(in Hot hot, in Cold cold) => hot.HasBeat
        && (hot.DeviceReason is >= PlannedReasonMin and <= PlannedReasonMax
            || (hot.DeviceReason == 0 && hot.PlannedMs != 0 && cold.HubCode is (HubCodes.None or HubCodes.Clean)));

    // What the hub said since the last sign of life weighs more than what we may guess.
    private static Cause CauseOfSilence(in Hot hot, in Cold cold, LivenessSettings settings)
    {
        bool wasRenewing = Deadline(hot, cold, settings, 1).IsRenewalAllowedFor;
        Cause said = CauseOfEnd(hot, cold);
        return wasRenewing && said is (Cause.NoWord or Cause.SaidGoodbye or Cause.HubReportsDisconnect) ? Cause.RenewalFailed : said;
    }

    private static Cause CauseOfEnd(in Hot hot, in Cold cold)
    {
        // Stamps of one moment may differ by a second.
        long signSeconds = hot.SignMs / 1000;
        Cause said = HubCodes.CauseOf(cold.HubCode);
        // A code that a connect followed is about the connection before, except that who takes an identity over connects first.
        bool isAnswered = cold.CodeAt + (said == Cause.TakenOver ? 1 : 0) < cold.Connects.Newest
            || (cold.CodeAt == cold.Connects.Newest && said != Cause.TakenOver);
        if (cold.HubCode != HubCodes.None && cold.CodeAt + 1 >= signSeconds && !isAnswered)
        {
            return said;
        }

        return cold.IsLinkKnown && !cold.IsConnected && cold.LinkAt + 1 >= signSeconds ? Cause.HubReportsDisconnect : Cause.NoWord;
    }

    private static long AllowanceMs(in Hot hot, LivenessSettings settings) =>
        hot.GapSeconds == 0 ? settings.RenewalAllowanceMs : Math.Max(settings.RenewalAllowanceMs, hot.GapSeconds * 1000L);

    // The first beat of its rhythm after the last sign of life, UTC ms; 0 = no rhythm. Rounded up to the beat's own tolerance.
    private static long BeatOfRhythm(in Hot hot, in Cold cold)
    {
        Rhythm rhythm = Rhythm.Of(cold.Connects);
        if (!rhythm.IsRegular)
        {
            return 0;
        }

        double signSeconds = hot.SignMs / 1000.0;
        double beats = Math.Ceiling((signSeconds - rhythm.ToleranceSeconds - cold.Connects.Newest) / rhythm.PeriodSeconds);
        return (long)((cold.Connects.Newest + (Math.Max(1, beats) * rhythm.PeriodSeconds) - rhythm.ToleranceSeconds) * 1000);
    }
}
