using Agent.Hub;
using Agent.World;

namespace Agent.Detectors;

// What is an outage, and which alarm is about it? Written down once, for all detectors alike.
//
// An *outage* is a stretch in which a device cannot deliver, from the moment it lost the way to the hub (the last byte of its connection,
// or the first packet that vanished) to the moment it found it again. One kind of stretch is none: a *renewal gap*, which begins because
// a token was renewed or was due to be (the client's own renewal or goodbye, the hub's cut of an expired token, the very first connect)
// and ends within RenewalGapMaxMs. A renewal the device does not come back from in that time is an outage from its first
// moment. An outage shorter than FlapMaxMs is also a *flap*: counted among the outages, and told apart, because a detector that looks
// once a minute cannot see it.
//
// An alarm says: "at some moment between Since and Until this device could not deliver", and is raised at RaisedAt, mostly at Until.
// It is about the first outage it overlaps that this detector has not yet told; that one is *detected*, its lateness is RaisedAt minus
// the outage's begin. If all outages it overlaps were told already it is a repetition, which counts as nothing. If it overlaps none, it
// is a *false alarm*: that is what an alarm for a renewal is. What nobody told is *missed*. An outage that is open when the run ends is
// an outage; a renewal gap that is still short then is not.
//
// Detectors are late, some by minutes, so an alarm is matched when all is known: two minutes after it was raised at the earliest, and an
// outage is kept until no alarm can be about it any more. Devices without outages cost 9 bytes.

/// <summary>What a detector said.</summary>
/// <param name="Device">Index in the shard; <see cref="WholeFleet"/> = it cannot tell devices apart.</param>
/// <param name="SinceMs">The evidence: not delivering at some moment from here …</param>
/// <param name="UntilMs">… to here.</param>
/// <param name="RaisedAtMs">When it said so.</param>
internal readonly record struct RaisedAlarm(int Device, long SinceMs, long UntilMs, long RaisedAtMs)
{
    public const int WholeFleet = -1;
}

/// <summary>What one detector achieved in one shard; shards are added up.</summary>
internal sealed class DetectorScore
{
    public long Detected { get; private set; }
    public long FlapsDetected { get; private set; }
    public long DetectedAfterEnd { get; private set; }
    public long FalseAlarms { get; set; }
    public long Repetitions { get; set; }
    public Histogram Lateness { get; } = new();

    /// <summary>An outage that is over was told.</summary>
    public void Count(Outage outage, long raisedAtMs)
    {
        Detected++;
        FlapsDetected += outage.IsFlap ? 1 : 0;
        DetectedAfterEnd += raisedAtMs > outage.EndMs ? 1 : 0;
        Lateness.Add(raisedAtMs - outage.BeginMs);
    }

    public void Merge(DetectorScore other)
    {
        Detected += other.Detected;
        FlapsDetected += other.FlapsDetected;
        DetectedAfterEnd += other.DetectedAfterEnd;
        FalseAlarms += other.FalseAlarms;
        Repetitions += other.Repetitions;
        Lateness.Merge(other.Lateness);
    }
}

/// <summary>One outage of one device, ms since the start.</summary>
internal sealed class Outage(int device, long beginMs, Reason cause, int detectorCount)
{
    public int Device { get; } = device;
    public long BeginMs { get; } = beginMs;

    /// <summary>Why the way was lost.</summary>
    public Reason Cause { get; } = cause;

    /// <summary>When it ended; <see cref="long.MaxValue"/> = it has not.</summary>
    public long EndMs { get; set; } = long.MaxValue;

    /// <summary>When each detector told it, plus one; 0 = it did not.</summary>
    public long[] ToldAtMs { get; } = new long[detectorCount];

    public bool IsFlap => EndMs - BeginMs < OutageBook.FlapMaxMs;
}

/// <summary>The outages of one shard, and the score of every detector.</summary>
internal sealed class OutageBook
{
    /// <summary>How long a renewal may take and still be one, ms.</summary>
    public const long RenewalGapMaxMs = 60_000;

    /// <summary>Outages shorter than this can happen between two photographs a minute apart, ms.</summary>
    public const long FlapMaxMs = 60_000;

    // After so long a gap is known to be a renewal or an outage.
    private const long SettledAfterMs = RenewalGapMaxMs * 2;

    private const long Delivering = -1;

    private readonly long[] gapSinceMs;
    private readonly Reason[] gapReason;
    private readonly Dictionary<int, List<Outage>> recent = [];
    private readonly Dictionary<int, Outage> open = [];
    private readonly List<RaisedAlarm>[] waiting;
    private readonly DetectorScore[] scores;
    private readonly long keepMs;

    /// <param name="startOf">When a device starts, ms.</param>
    /// <param name="deviceCount">Devices of the shard.</param>
    /// <param name="detectorCount">How many detectors tell alarms.</param>
    /// <param name="evidenceMaxMs">How old the evidence of an alarm may be when it is raised.</param>
    public OutageBook(Func<int, long> startOf, int deviceCount, int detectorCount, long evidenceMaxMs)
    {
        gapSinceMs = new long[deviceCount];
        gapReason = new Reason[deviceCount];
        for (int i = 0; i < deviceCount; i++)
        {
            gapSinceMs[i] = startOf(i);
        }

        waiting = [.. Enumerable.Range(0, detectorCount).Select(_ => new List<RaisedAlarm>())];
        scores = [.. Enumerable.Range(0, detectorCount).Select(_ => new DetectorScore())];
        keepMs = evidenceMaxMs + (2 * SettledAfterMs);
    }

    /// <summary>Outages that are over and can no longer be told.</summary>
    public long OutageCount { get; private set; }

    /// <summary>Those of them that were flaps.</summary>
    public long FlapCount { get; private set; }

    /// <summary>Told each outage once nothing more can be said about it; null = nobody wants it.</summary>
    public Action<Outage>? OnSettled { get; set; }

    /// <summary>The score of each detector.</summary>
    public IReadOnlyList<DetectorScore> Scores => scores;

    /// <summary>Takes in what a witness saw.</summary>
    public void Take(List<DeliveryChange> changes)
    {
        foreach (DeliveryChange change in changes)
        {
            if (change.Kind == DeliveryKind.Lost)
            {
                gapSinceMs[change.Device] = change.AtMs;
                gapReason[change.Device] = change.Reason;
            }
            else if (change.Kind == DeliveryKind.Back)
            {
                CloseGap(change.Device, change.AtMs);
            }
        }
    }

    /// <summary>A detector told something; in any order.</summary>
    public void Raise(int detector, in RaisedAlarm alarm) => waiting[detector].Add(alarm);

    /// <summary>How many devices were in an outage at a moment two minutes ago or earlier.</summary>
    public int OutAt(long atMs, long nowMs)
    {
        int count = recent.Values.Sum(list => list.Count(outage => outage.BeginMs <= atMs && outage.EndMs > atMs));
        for (int device = 0; device < gapSinceMs.Length; device++)
        {
            count += gapSinceMs[device] is not Delivering and var since && since <= atMs && IsOutage(device, nowMs) ? 1 : 0;
        }

        return count;
    }

    /// <summary>Matches what can be matched at this moment and closes the books of outages nobody can tell any more.</summary>
    public void Settle(long nowMs)
    {
        for (int detector = 0; detector < waiting.Length; detector++)
        {
            List<RaisedAlarm> alarms = waiting[detector];
            int kept = 0;
            for (int i = 0; i < alarms.Count; i++)
            {
                if (alarms[i].RaisedAtMs > nowMs - SettledAfterMs)
                {
                    alarms[kept++] = alarms[i];
                }
                else
                {
                    Match(detector, alarms[i], nowMs);
                }
            }

            alarms.RemoveRange(kept, alarms.Count - kept);
        }

        CountUntil(nowMs - keepMs);
    }

    /// <summary>The run is over: everything is matched and counted.</summary>
    public void Finish(long endMs)
    {
        for (int detector = 0; detector < waiting.Length; detector++)
        {
            foreach (RaisedAlarm alarm in waiting[detector].Where(alarm => alarm.RaisedAtMs <= endMs))
            {
                Match(detector, alarm, endMs);
            }

            waiting[detector].Clear();
        }

        for (int device = 0; device < gapSinceMs.Length; device++)
        {
            if (gapSinceMs[device] != Delivering && gapSinceMs[device] < endMs)
            {
                CloseGap(device, endMs);
            }
        }

        CountUntil(long.MaxValue);
    }

    /// <summary>
    /// An alarm for the whole fleet tells every outage its evidence overlaps, except those that began longer before than the hub can
    /// believe in a dead link.
    /// </summary>
    public void MatchWholeFleet(int detector, in RaisedAlarm alarm, long nowMs)
    {
        for (int device = 0; device < gapSinceMs.Length; device++)
        {
            if (gapSinceMs[device] is not Delivering and var since && since <= alarm.UntilMs && IsOutage(device, nowMs))
            {
                TellYoung(OpenOutage(device), detector, alarm);
            }
        }

        foreach (List<Outage> list in recent.Values)
        {
            foreach (Outage outage in list)
            {
                if (Overlaps(outage, alarm))
                {
                    TellYoung(outage, detector, alarm);
                }
            }
        }
    }

    private static void TellYoung(Outage outage, int detector, in RaisedAlarm alarm)
    {
        if (alarm.UntilMs - outage.BeginMs <= IotHub.KeepAliveCapMs)
        {
            Tell(outage, detector, alarm);
        }
    }

    private static bool Overlaps(Outage outage, in RaisedAlarm alarm) =>
        outage.BeginMs <= alarm.UntilMs && outage.EndMs > alarm.SinceMs;

    private static bool Tell(Outage outage, int detector, in RaisedAlarm alarm)
    {
        ref long toldAtMs = ref outage.ToldAtMs[detector];
        if (toldAtMs != 0 && toldAtMs <= alarm.RaisedAtMs + 1)
        {
            return false;
        }

        toldAtMs = alarm.RaisedAtMs + 1;
        return true;
    }

    private static bool MayBeRenewal(Reason reason) =>
        reason is Reason.None or Reason.Renewal or Reason.ClientDisconnect or Reason.TokenExpired;

    private void Match(int detector, in RaisedAlarm alarm, long nowMs)
    {
        bool overlapsAny = false;
        if (recent.TryGetValue(alarm.Device, out List<Outage>? list))
        {
            foreach (Outage outage in list)
            {
                if (Overlaps(outage, alarm))
                {
                    overlapsAny = true;
                    if (Tell(outage, detector, alarm))
                    {
                        return;
                    }
                }
            }
        }

        if (gapSinceMs[alarm.Device] is not Delivering and var since && since <= alarm.UntilMs && IsOutage(alarm.Device, nowMs))
        {
            overlapsAny = true;
            if (Tell(OpenOutage(alarm.Device), detector, alarm))
            {
                return;
            }
        }

        scores[detector].FalseAlarms += overlapsAny ? 0 : 1;
        scores[detector].Repetitions += overlapsAny ? 1 : 0;
    }

    private bool IsOutage(int device, long nowMs) =>
        nowMs - gapSinceMs[device] > RenewalGapMaxMs || !MayBeRenewal(gapReason[device]);

    private Outage OpenOutage(int device)
    {
        if (!open.TryGetValue(device, out Outage? outage))
        {
            outage = new Outage(device, gapSinceMs[device], gapReason[device], scores.Length);
            open.Add(device, outage);
        }

        return outage;
    }

    private void CloseGap(int device, long atMs)
    {
        if (gapSinceMs[device] != Delivering && IsOutage(device, atMs) && atMs > gapSinceMs[device])
        {
            Outage outage = OpenOutage(device);
            outage.EndMs = atMs;
            if (!recent.TryGetValue(device, out List<Outage>? list))
            {
                recent.Add(device, list = []);
            }

            list.Add(outage);
        }

        open.Remove(device);
        gapSinceMs[device] = Delivering;
    }

    private void CountUntil(long endMs)
    {
        List<int> empty = [];
        foreach ((int device, List<Outage> list) in recent)
        {
            int over = 0;
            while (over < list.Count && list[over].EndMs <= endMs)
            {
                Count(list[over++]);
            }

            list.RemoveRange(0, over);
            if (list.Count == 0)
            {
                empty.Add(device);
            }
        }

        empty.ForEach(device => recent.Remove(device));
    }

    private void Count(Outage outage)
    {
        OutageCount++;
        FlapCount += outage.IsFlap ? 1 : 0;
        for (int detector = 0; detector < scores.Length; detector++)
        {
            if (outage.ToldAtMs[detector] is > 0 and var toldAtMs)
            {
                scores[detector].Count(outage, toldAtMs - 1);
            }
        }

        OnSettled?.Invoke(outage);
    }
}
