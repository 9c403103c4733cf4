using Agent.Events;
using Agent.Hub;
using Agent.Service;

namespace Agent.Soak;

// The checker and the way to it. The checker is the service's own; its journal is the service's own record format, kept in memory, so
// a restart restores it as the real one does. The way is what Event Grid promises: at least once, late, in any order.
internal sealed partial class SoakWorld
{
    private const long SweepEveryMs = 1_000;
    private const int RepeatMsMax = 120_000;

    private readonly FactBatch batch = new();
    private readonly FactBatch scratch = new();
    private readonly List<byte[]> journal = [];
    private readonly byte[] record = new byte[JournalRecords.LengthMax];
    private readonly Dictionary<int, SoakDevice> byRow = [];
    private readonly ConnectionStateSnapshot snapshot;
    private Checker checker;
    private int devicesWritten;
    private bool isCheckerUp = true;
    private bool crashesAtNext;
    private long checkerTroubleMs = -1;

    private bool EventsAreLate => plan.DeliveryMsMax + (2 * plan.LatencyMsMax) >= plan.Liveness.DeliverySlackMs;

    private void TellBeat(SoakDevice device, in Beat beat)
    {
        Sign(device, beat.IntervalSeconds, beat.GapSeconds);
        if (IsTelling)
        {
            Tell(device, $"heartbeat {beat.Number}, next in {beat.IntervalSeconds} s, renewal in {beat.RenewalSeconds} s");
        }
        Deliver(new Told(FactKind.Heartbeat, device, UtcMs)
        {
            Number = (uint)beat.Number,
            IntervalSeconds = beat.IntervalSeconds,
            RenewalSeconds = beat.RenewalSeconds,
            GapSeconds = (ushort)Math.Min(beat.GapSeconds, Hot.GapSecondsMax),
            Reason = beat.Reason,
        });
    }

    private void TellSign(SoakDevice device)
    {
        Sign(device, 0, 0);
        Deliver(new Told(FactKind.SignOfLife, device, UtcMs));
    }

    private void TellCode(SoakDevice device, LogKind kind)
    {
        LogShape shape = kind.Shape();
        FactKind fact = kind == LogKind.Connect ? FactKind.LoggedConnect
            : kind <= LogKind.DisconnectServerError ? FactKind.LoggedDisconnect : FactKind.LoggedRefusal;
        if (hasLogs)
        {
            Deliver(new Told(fact, device, UtcMs) { HubCode = shape.Code == 0 ? HubCodes.Clean : HubCodes.Pack(shape.Code) });
        }
    }

    private void Sign(SoakDevice device, int intervalSeconds, int gapSeconds)
    {
        DeviceBooks books = device.Books;
        books.SignMs = UtcMs;
        books.WatchedSinceMs = NowMs;
        if (intervalSeconds > 0)
        {
            books.IntervalSeconds = intervalSeconds;
            books.GapSeconds = gapSeconds;
        }
    }

    private void TakeSnapshot()
    {
        while (snapshot.TryTake(UtcMs, out ConnectionStateChange change))
        {
            if (events.Chance(plan.DeliveryMsMax > 2_000 ? 20 : 0))
            {
                continue; // Lost: connection events are a hint, not a promise.
            }

            Deliver(new Told(change.IsConnected ? FactKind.Connected : FactKind.Disconnected, devices[change.Device], change.AtUtcMs)
            {
                Order = new SequenceNumber(0, (ulong)change.Sequence.Epoch, 0x2_0000_0000, (ulong)change.Sequence.Count),
            });
        }

        After(snapshot.NextMs - UtcMs, TakeSnapshot);
    }

    private void Deliver(Told told)
    {
        After(events.Between(20, plan.DeliveryMsMax), () => Arrive(told));
        if (plan.DeliveryMsMax > 2_000 && events.Chance(10))
        {
            After(events.Between(20, RepeatMsMax), () => Arrive(told)); // The same once more.
        }
    }

    private void Arrive(Told told)
    {
        if (!isCheckerUp)
        {
            After(events.Between(10_000, 60_000), () => Arrive(told));
            return;
        }

        if (IsTelling)
        {
            Tell(told.Device, $"  the checker hears: {told.Kind} of {told.AtMs - EpochUtcMs} ms");
        }

        batch.Clear();
        ref Fact fact = ref batch.Add(told.Kind, told.Device.IdBytes, told.AtMs);
        fact.Number = told.Number;
        fact.IntervalSeconds = told.IntervalSeconds;
        fact.RenewalSeconds = told.Kind == FactKind.Heartbeat ? told.RenewalSeconds : Hot.NoRenewal;
        fact.GapSeconds = told.GapSeconds;
        fact.DeviceReason = told.Reason;
        fact.HubCode = told.HubCode;
        if (told.Kind is FactKind.Connected or FactKind.Disconnected)
        {
            batch.SetOrder(ref fact, told.Order);
        }

        checker.Apply(batch, UtcMs);
        if (crashesAtNext)
        {
            crashesAtNext = false;
            Restart(); // It dies before it could write any of this down; whoever sent it gets no answer and sends it again.
            After(events.Between(10_000, 20_000), () => Arrive(told));
            return;
        }

        DeviceBooks books = told.Device.Books;
        if (told.Kind <= FactKind.Heartbeat && told.AtMs > books.DeliveredMs)
        {
            books.DeliveredMs = told.AtMs;
        }

        if (told.Kind == FactKind.Heartbeat && told.AtMs >= books.DeliveredBeatMs)
        {
            books.DeliveredBeatMs = told.AtMs;
            books.DeliveredIntervalSeconds = told.IntervalSeconds;
        }

        EndTurn(hasBatch: true);
    }

    private void Sweep()
    {
        if (isCheckerUp)
        {
            checker.Sweep(UtcMs);
            EndTurn(hasBatch: false);
        }

        After(SweepEveryMs, Sweep);
    }

    // What the service's store does after each turn, and the books' look at the alarms.
    private void EndTurn(bool hasBatch)
    {
        for (; devicesWritten < checker.Count; devicesWritten++)
        {
            Write(JournalRecords.WriteDevice(record, devicesWritten, checker.Table.IdBytes(devicesWritten)));
            string id = System.Text.Encoding.ASCII.GetString(checker.Table.IdBytes(devicesWritten));
            byRow[devicesWritten] = devices.First(device => device.Id == id);
        }

        if (hasBatch)
        {
            foreach (ref readonly Fact fact in batch.Facts)
            {
                Write(JournalRecords.WriteFact(record, fact, batch, checker.Sites));
            }
        }

        foreach (Transition change in checker.Transitions)
        {
            Write(JournalRecords.WriteTransition(record, change));
        }

        foreach (Alarm alarm in checker.Alarms.Changes)
        {
            Write(JournalRecords.WriteAlarm(record, alarm));
            if (alarm.Kind == AlarmKind.DeviceSilent)
            {
                OnAlarm(byRow[alarm.Subject], alarm);
            }
        }

        checker.ClearTransitions();
        checker.Alarms.ClearChanges();
    }

    private void Write(int length) => journal.Add(record.AsSpan(0, length).ToArray());

    private void StopChecker()
    {
        isCheckerUp = false;
        checkerTroubleMs = NowMs;
    }

    private void Restart()
    {
        isCheckerUp = true;
        checkerTroubleMs = NowMs;
        checker = new Checker(plan.Liveness, plan.Seed);
        foreach (byte[] kept in journal)
        {
            JournalRecords.Replay(kept, checker, scratch);
        }

        checker.FinishRestore(UtcMs);
        Array.ForEach(devices, device => device.Books.WatchedSinceMs = NowMs);
        TellWorld("the checker restarts");
    }

    private void OnAlarm(SoakDevice device, Alarm alarm)
    {
        DeviceBooks books = device.Books;
        if (alarm.ClearedAtMs is not null)
        {
            Tell(device, "alarm cleared");
            if (books.DeliveredIntervalSeconds > 0 && books.Delivered == books.AlarmedAt)
            {
                Broken(Invariants.AlarmCleared, device, "the alarm was cleared without a newer sign of life");
            }

            books.HasAlarm = false;
            return;
        }

        if (books.DeliveredIntervalSeconds == 0)
        {
            (books.HasAlarm, books.AlarmedAt) = (true, books.Delivered);
            return; // Never heard of: the checker goes by connection events then, which promise less.
        }

        Tell(device, $"alarm: silent since {alarm.BeganAtMs - EpochUtcMs} ms, {alarm.Cause}");
        if (books.AlarmedAt == books.Delivered)
        {
            Broken(Invariants.AlarmedOnce, device, "a second alarm for one silence");
        }

        long missedMs = plan.Liveness.MissedBeforeSilent * 1000L * books.DeliveredIntervalSeconds;
        if (UtcMs < books.DeliveredMs + missedMs + plan.Liveness.DeliverySlackMs)
        {
            Broken(Invariants.AlarmNeedsSilence, device, $"alarm {UtcMs - books.DeliveredMs} ms after a sign that was delivered");
        }

        bool isExcused = EventsAreLate || checkerTroubleMs + EpochUtcMs >= books.DeliveredMs - 60_000;
        if (!isExcused && !device.IsInTrouble && device.TroubleMs + EpochUtcMs < books.DeliveredMs && IsWatchedForRenewals(device))
        {
            Broken(Invariants.NoAlarmForRenewal, device, $"nothing was wrong since {device.TroubleMs} ms");
        }

        books.HasAlarm = true;
        books.AlarmedAt = books.Delivered;
    }

    // A model's heartbeats announce no renewal, and some come back with the next beat only: with one or two missed beats allowed, a cut
    // that takes one with it is an alarm by the settings.
    private bool IsWatchedForRenewals(SoakDevice device) => device is AgentDevice || plan.Liveness.MissedBeforeSilent > 2;

    private void CheckAlarms()
    {
        if (!isCheckerUp)
        {
            return;
        }

        bool isWide = checker.Alarms.IsOpen(AlarmKind.FleetLost, 0) || checker.IsFleetLost;
        wideUntilMs = isWide ? NowMs + 1_000_000 : wideUntilMs;
        foreach (SoakDevice device in devices)
        {
            DeviceBooks books = device.Books;
            if (books.DeliveredIntervalSeconds == 0 || books.HasAlarm || NowMs < wideUntilMs)
            {
                continue;
            }

            // The silence the hub knows of, every allowance, and every way in which the checker may have to wait.
            LivenessSettings patience = plan.Liveness;
            int interval = Math.Max(books.IntervalSeconds, books.DeliveredIntervalSeconds);
            long dueMs = (patience.MissedBeforeSilent * 1000L * interval) + patience.DeliverySlackMs + patience.SilentAlarmMs
                + Math.Max(patience.RenewalAllowanceMs, books.GapSeconds * 1000L) + patience.SlowStartMs + patience.SelfDoubtHoldMs
                + plan.DeliveryMsMax + (2 * RepeatMsMax) + 5_000;
            if (NowMs > books.WatchedSinceMs + dueMs)
            {
                Broken(Invariants.OutageAlarmed, device, $"silent for {(UtcMs - books.SignMs) / 1000} s, status {StatusOf(device)}");
            }
        }
    }

    private void CheckAlarmsAtEnd()
    {
        foreach (SoakDevice device in devices)
        {
            if (device.Books.HasAlarm && UtcMs - device.Books.DeliveredMs < 10_000)
            {
                Broken(Invariants.AlarmCleared, device, "it is back, and its alarm is still open");
            }
        }
    }

    private Status StatusOf(SoakDevice device)
    {
        int row = checker.Find(device.Id);
        return row < 0 ? Status.Unknown : checker.StatusOf(row);
    }

    /// <summary>An event on its way to the checker.</summary>
    private sealed record Told(FactKind Kind, SoakDevice Device, long AtMs)
    {
        public uint Number { get; init; }

        public int IntervalSeconds { get; init; }

        public int RenewalSeconds { get; init; } = Hot.NoRenewal;

        public ushort GapSeconds { get; init; }

        public byte Reason { get; init; }

        public byte HubCode { get; init; }

        public SequenceNumber Order { get; init; }
    }
}
