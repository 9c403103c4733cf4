namespace Agent.Service;

// Looking at devices when their time has come, declaring what they are, and the guards in between.
public sealed partial class Checker
{
    /// <summary>How far ahead a storm of renewals is announced.</summary>
    public const long StormAheadMs = 3_600_000;

    private const long GuardEveryMs = 1_000;
    private const long LossBucketMs = 10_000;
    private const int LossBuckets = 60;

    private readonly int[] lossRing = new int[LossBuckets];
    private List<int> covered = [];
    private long lossBucket;
    private int recentlySilent;
    private long guardAtMs;
    private long lossEndedAtMs;
    private long uncoverAtMs;

    /// <summary>Whether so large a share is overdue at once that no single device is to blame.</summary>
    public bool IsFleetLost { get; private set; }

    /// <summary>Looks at every device whose time has come; at most so many, the rest at the next call.</summary>
    /// <returns>How many were looked at: what a sweep costs.</returns>
    public int Sweep(long nowMs, int looksMax = int.MaxValue)
    {
        doubt.OnSweep(nowMs);
        int looks = 0;
        while (looks < looksMax && wheel.TryTakeEarly(nowMs, out int row))
        {
            looks++;
            LookEarly(row, nowMs);
        }

        while (looks < looksMax && wheel.TryTake(nowMs, out int row))
        {
            looks++;
            ref Hot hot = ref table.Hot(row);
            hot.Set(RowFlags.Early, false);
            Look(row, ref hot, nowMs);
        }

        Guard(nowMs);
        return looks;
    }

    // Its entry in the wheel may lie far behind the new deadline until it has come up once; so long this one goes on.
    private void LookEarly(int row, long nowMs)
    {
        ref Hot hot = ref table.Hot(row);
        if (!hot.Has(RowFlags.Early))
        {
            return;
        }

        long nextMs = Look(row, ref hot, nowMs);
        if (nextMs == long.MaxValue)
        {
            hot.Set(RowFlags.Early, false);
        }
        else
        {
            wheel.AddEarly(row, Math.Max(nextMs, nowMs + TimingWheel.TickMs));
        }
    }

    /// <summary>A look because of a fact: if its next moment came nearer by it, the entry in the wheel would come too late.</summary>
    private void LookAgain(int row, ref Hot hot, long nowMs, long oldNextMs)
    {
        bool wasInWheel = hot.Has(RowFlags.InWheel);
        long nextMs = Look(row, ref hot, nowMs);
        if (wasInWheel && nextMs < oldNextMs)
        {
            hot.Set(RowFlags.Early, true);
            wheel.AddEarly(row, nextMs);
        }
    }

    /// <summary>Declares what a device is and sees to it that it is looked at when that may change.</summary>
    private long Look(int row, ref Hot hot, long nowMs)
    {
        // Facts that arrive late make it earlier for the devices than for us.
        long delayMs = doubt.DelayMs;
        Verdict verdict = Judgement.Of(hot, table.Cold(row), settings, nowMs - delayMs);
        long nextMs = verdict.NextMs == long.MaxValue ? long.MaxValue : NextLookMs(verdict.NextMs, delayMs, nowMs);
        long heldUntilMs = Worse(verdict.Status) > Worse(hot.Status) ? doubt.HoldsUntil(hot, nowMs) : 0;
        bool isTakenBack = IsTakenBackByDelay(row, hot, verdict, nowMs, delayMs);
        if (heldUntilMs > 0)
        {
            nextMs = heldUntilMs;
        }
        else if (verdict.Status != hot.Status && !isTakenBack)
        {
            Declare(row, ref hot, verdict, nowMs);
        }

        if (hot.Status is Status.Silent or Status.Flapping && heldUntilMs == 0 && !isTakenBack)
        {
            nextMs = Math.Min(nextMs, AlarmIfDue(row, ref hot, verdict, nowMs));
        }

        if (nextMs != long.MaxValue && !hot.Has(RowFlags.InWheel))
        {
            wheel.Add(row, ref hot, nextMs);
        }

        return nextMs;
    }

    // The delay may be over long before it has run out, after a backlog for instance; so from the plain moment on it is measured again.
    private static long NextLookMs(long dueMs, long delayMs, long nowMs) =>
        Math.Min(dueMs + delayMs, Math.Max(dueMs, nowMs + Doubt.WindowMs));

    // Doubt puts off what is new. What was declared before the delay was measured stands, unless it would be better without the delay too:
    // else one late repetition of an old message would clear an alarm, and the end of the delay raise it again for the same silence.
    private bool IsTakenBackByDelay(int row, in Hot hot, in Verdict verdict, long nowMs, long delayMs) =>
        delayMs > 0 && Worse(verdict.Status) < Worse(hot.Status)
        && Worse(Judgement.Of(hot, table.Cold(row), settings, nowMs).Status) >= Worse(hot.Status);

    private static int Worse(Status status) => status switch { Status.Silent => 2, Status.Late => 1, _ => 0 };

    private static bool IsOverdue(Status status) => status is Status.Late or Status.Silent;

    private void Declare(int row, ref Hot hot, in Verdict verdict, long nowMs)
    {
        Status from = hot.Status;
        transitions.Add(new Transition(row, from, verdict.Status, verdict.Cause, verdict.SinceMs));
        Tally(ref hot, verdict.Status, verdict.SinceMs);
        if (verdict.Status == Status.Silent)
        {
            TurnLossRing(nowMs);
            lossRing[lossBucket % LossBuckets]++;
            recentlySilent++;
        }

        if (IsOverdue(verdict.Status))
        {
            IsFleetLost = IsFleetLost || OverdueAtOnce() >= LossThreshold();
        }
        else
        {
            hot.Set(RowFlags.Covered, false);
        }

        // "Late" after "silent" is a late fact about the same silence; only a living device ends it.
        if (hot.Has(RowFlags.Alarmed) && (!IsOverdue(verdict.Status) || from == Status.Flapping) && verdict.Status != Status.Flapping)
        {
            Alarms.Clear(AlarmKind.DeviceFlapping, row, nowMs);
            Alarms.Clear(AlarmKind.DeviceSilent, row, nowMs, hot.DeviceReason);
            hot.Set(RowFlags.Alarmed, false);
        }
        else if (verdict.Status == Status.Flapping && from == Status.Silent && hot.Has(RowFlags.Alarmed))
        {
            Alarms.Clear(AlarmKind.DeviceSilent, row, nowMs, hot.DeviceReason);
            hot.Set(RowFlags.Alarmed, false);
        }
    }

    private void Tally(ref Hot hot, Status to, long sinceMs)
    {
        Status from = hot.Status;
        counts[(int)from]--;
        counts[(int)to]++;
        Site site = Sites[hot.Group];
        site.Overdue += (IsOverdue(to) ? 1 : 0) - (IsOverdue(from) ? 1 : 0);
        hot.Status = to;
        hot.SinceSeconds = (uint)(sinceMs / 1000);
    }

    private void Move(ref Hot hot, ushort toSite)
    {
        int overdue = IsOverdue(hot.Status) ? 1 : 0;
        Sites[hot.Group].Devices -= hot.Group == 0 ? 0 : 1;
        Sites[hot.Group].Overdue -= overdue;
        hot.Group = toSite;
        Sites[toSite].Devices += toSite == 0 ? 0 : 1;
        Sites[toSite].Overdue += overdue;
    }

    /// <summary>Raises a device's own alarm unless a wider one covers it; gives the moment to look again.</summary>
    private long AlarmIfDue(int row, ref Hot hot, in Verdict verdict, long nowMs)
    {
        bool isSilent = hot.Status == Status.Silent;
        if (hot.Has(RowFlags.Alarmed) || (isSilent && hot.Has(RowFlags.Covered)))
        {
            return long.MaxValue;
        }

        long dueMs = verdict.SinceMs + (isSilent ? settings.SilentAlarmMs : settings.FlappingAlarmMs);
        if (nowMs < dueMs)
        {
            return dueMs;
        }

        if (!isSilent)
        {
            Alarms.Raise(AlarmKind.DeviceFlapping, row, nowMs, verdict.SinceMs, verdict.Cause, 1);
            hot.Set(RowFlags.Alarmed, true);
        }
        else if (IsFleetLost)
        {
            Alarms.Raise(AlarmKind.FleetLost, 0, nowMs, verdict.SinceMs, Cause.None, OverdueAtOnce());
            Cover(row, ref hot);
        }
        else if (IsSiteLost(hot.Group))
        {
            Site site = Sites[hot.Group];
            site.IsLost = true;
            Alarms.Raise(AlarmKind.SiteLost, hot.Group, nowMs, verdict.SinceMs, verdict.Cause, site.Overdue);
            Cover(row, ref hot);
        }
        else
        {
            Alarms.Raise(AlarmKind.DeviceSilent, row, nowMs, verdict.SinceMs, verdict.Cause, 1);
            hot.Set(RowFlags.Alarmed, true);
        }

        return long.MaxValue;
    }

    private void Cover(int row, ref Hot hot)
    {
        hot.Set(RowFlags.Covered, true);
        covered.Add(row);
        if (covered.Count > (2 * counts[(int)Status.Silent]) + 1024)
        {
            covered.RemoveAll(known => !table.Hot(known).Has(RowFlags.Covered));
        }
    }

    // Of devices that were alive ten minutes ago: long dead ones would make any loss look small.
    private double LossThreshold()
    {
        int alive = counts[(int)Status.Online] + counts[(int)Status.Renewing] + counts[(int)Status.Flapping] + OverdueAtOnce();
        return Math.Max(settings.MassLossDevices, settings.MassLossShare * alive);
    }

    // "Late" comes a whole interval before "silent", so by the time the first device of a lost fleet is silent nearly all are late:
    // the loss is known before the first alarm, not after the ten-thousandth.
    private int OverdueAtOnce() => counts[(int)Status.Late] + Math.Min(recentlySilent, counts[(int)Status.Silent]);

    private bool IsSiteLost(int number)
    {
        Site site = Sites[number];
        return number != 0
            && (site.IsLost || site.Overdue >= Math.Max(settings.SiteLossDevices, settings.SiteLossShare * site.Devices));
    }

    private void TurnLossRing(long nowMs)
    {
        long now = nowMs / LossBucketMs;
        for (lossBucket = Math.Max(lossBucket, now - LossBuckets); lossBucket < now;)
        {
            lossBucket++;
            recentlySilent -= lossRing[lossBucket % LossBuckets];
            lossRing[lossBucket % LossBuckets] = 0;
        }
    }

    /// <summary>Once a second: do the wide alarms still hold, and is a storm ahead?</summary>
    private void Guard(long nowMs)
    {
        if (nowMs < guardAtMs)
        {
            return;
        }

        guardAtMs = nowMs + GuardEveryMs;
        TurnLossRing(nowMs);
        bool isOver = false;
        if (IsFleetLost && OverdueAtOnce() * 2 < LossThreshold())
        {
            IsFleetLost = false;
            isOver = Alarms.IsOpen(AlarmKind.FleetLost, 0);
        }

        if (!IsFleetLost)
        {
            // Not only when it ends: where several checkers share the book, the one that should have said so may be gone.
            Alarms.Clear(AlarmKind.FleetLost, 0, nowMs);
        }

        for (int number = 1; number < Sites.Count; number++)
        {
            Site site = Sites[number];
            if (site.IsLost && site.Overdue * 2 < Math.Max(settings.SiteLossDevices, settings.SiteLossShare * site.Devices))
            {
                site.IsLost = false;
                isOver = true;
            }

            if (!site.IsLost)
            {
                Alarms.Clear(AlarmKind.SiteLost, number, nowMs);
            }
        }

        lossEndedAtMs = isOver ? nowMs : lossEndedAtMs;
        if (covered.Count > 0 && nowMs >= uncoverAtMs)
        {
            uncoverAtMs = nowMs + LossBucketMs;
            Uncover(nowMs);
        }

        ForeseeStorm(nowMs);
    }

    // Those that did not come back with the others have a trouble of their own. They get the time their next heartbeat takes.
    private void Uncover(long nowMs)
    {
        List<int> rows = covered;
        covered = [];
        foreach (int row in rows)
        {
            ref Hot hot = ref table.Hot(row);
            if (!hot.Has(RowFlags.Covered))
            {
                continue;
            }

            long dueMs = lossEndedAtMs + Math.Max(settings.LossSettleMs, (hot.IntervalSeconds * 1000L) + settings.DeliverySlackMs);
            if (IsFleetLost || Sites[hot.Group].IsLost || nowMs < dueMs)
            {
                covered.Add(row);
                continue;
            }

            hot.Set(RowFlags.Covered, false);
            Look(row, ref hot, nowMs);
        }
    }

    private void ForeseeStorm(long nowMs)
    {
        Forecast.MoveTo(nowMs);
        (long atMs, int devices) = Forecast.Peak(StormAheadMs);
        double perBucket = settings.RenewalStormPerSecond * (RenewalForecast.BucketMs / 1000.0);
        if (devices > perBucket)
        {
            Alarms.Raise(AlarmKind.RenewalStorm, 0, nowMs, atMs, Cause.None, devices);
        }
        else if (devices < perBucket * 0.8)
        {
            Alarms.Clear(AlarmKind.RenewalStorm, 0, nowMs);
        }
    }
}
