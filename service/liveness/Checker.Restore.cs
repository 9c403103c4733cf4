namespace Agent.Service;

// Coming back from what was kept. Facts are applied without judging, statuses are set as they were declared, and one pass at the end
// counts, and puts everybody where they will be looked at.
public sealed partial class Checker
{
    /// <summary>Puts back a device: its row must be the next one.</summary>
    /// <exception cref="InvalidDataException">It is not the next one, or no device id.</exception>
    public void RestoreDevice(int row, ReadOnlySpan<byte> id)
    {
        if (row < Count && table.IdBytes(row).SequenceEqual(id))
        {
            return; // The snapshot has it already.
        }

        ulong hash = table.HashOf(id);
        if (row != Count || !DeviceIds.IsValid(id) || Count == DeviceTable.DevicesMax || table.Find(id, hash) >= 0)
        {
            throw new InvalidDataException("a device that does not follow the one before");
        }

        table.Add(id, hash);
    }

    /// <summary>Puts back a fact; its row is known.</summary>
    public void RestoreFact(in Fact fact, FactBatch texts)
    {
        ref Hot hot = ref table.Hot(fact.Row);
        Take(fact.Row, ref hot, fact, texts);
    }

    /// <summary>Takes facts of the past in without judging anybody by them.</summary>
    public void Note(FactBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        foreach (ref Fact fact in batch.Facts)
        {
            ReadOnlySpan<byte> id = batch.Id(fact);
            ulong hash = table.HashOf(id);
            fact.Row = table.Find(id, hash);
            fact.Row = fact.Row < 0 ? Add(id, hash) : fact.Row;
            Take(fact.Row, ref table.Hot(fact.Row), fact, batch);
        }
    }

    /// <summary>Puts back what a device was declared to be.</summary>
    public void RestoreStatus(int row, Status status, long sinceMs)
    {
        ref Hot hot = ref table.Hot(row);
        hot.Status = status;
        hot.SinceSeconds = (uint)(sinceMs / 1000);
    }

    /// <summary>Ends the restoring: from here on time runs.</summary>
    /// <param name="nowMs">UTC milliseconds.</param>
    /// <param name="watchedSinceMs">
    /// Other checkers have watched this fleet since then, without a break and until now: a device that was not heard since was not
    /// heard by them either. Null = nobody did. Statuses were then not kept with every change; those that became better are taken as
    /// they are now.
    /// </param>
    public void FinishRestore(long nowMs, long? watchedSinceMs = null)
    {
        Array.Clear(counts);
        transitions.Clear();
        Start(nowMs);
        for (int number = 0; number < Sites.Count; number++)
        {
            (Sites[number].Devices, Sites[number].Overdue) = (0, 0);
        }

        foreach (Alarm alarm in Alarms.Open)
        {
            IsFleetLost |= alarm.Kind == AlarmKind.FleetLost;
            if (alarm.Kind == AlarmKind.SiteLost && alarm.Subject < Sites.Count)
            {
                Sites[alarm.Subject].IsLost = true;
            }
        }

        for (int row = 0; row < Count; row++)
        {
            ref Hot hot = ref table.Hot(row);
            Settle(row, ref hot, nowMs, watchedSinceMs);
        }

        if (watchedSinceMs is long sinceMs)
        {
            doubt.GoOnFrom(sinceMs);
        }

        Alarms.ClearChanges();
    }

    private void Settle(int row, ref Hot hot, long nowMs, long? watchedSinceMs)
    {
        bool isTold = watchedSinceMs is not null;
        Verdict verdict = Judgement.Of(hot, table.Cold(row), settings, nowMs);
        if (isTold && Worse(verdict.Status) <= Worse(hot.Status) && verdict.Status != hot.Status)
        {
            RestoreStatus(row, verdict.Status, verdict.SinceMs);
        }

        counts[(int)hot.Status]++;
        Site site = Sites[hot.Group];
        site.Devices += hot.Group == 0 ? 0 : 1;
        site.Overdue += IsOverdue(hot.Status) ? 1 : 0;
        hot.WheelNext = -1;
        hot.Set(RowFlags.InWheel | RowFlags.Early | RowFlags.Covered | RowFlags.HeardSinceStart, false);
        hot.Set(RowFlags.HeardSinceStart, isTold && HeardMs(hot, table.Cold(row)) > watchedSinceMs);
        hot.Set(
            RowFlags.Alarmed,
            Alarms.IsOpen(AlarmKind.DeviceSilent, row) || Alarms.IsOpen(AlarmKind.DeviceFlapping, row));
        if (hot.Status == Status.Silent && !hot.Has(RowFlags.Alarmed) && (IsFleetLost || site.IsLost))
        {
            Cover(row, ref hot);
        }

        Forecast.Change(0, hot.PlannedMs);

        // Those whose time came while nobody looked are looked at in the next quarter of a second, at most 65,536 to a bucket.
        long nextMs = isTold && verdict.Status != hot.Status ? nowMs : verdict.NextMs;
        long spreadMs = nowMs + ((row >> 16) * TimingWheel.TickMs);
        bool isDecided = hot.Status == Status.Silent && nextMs == long.MaxValue && hot.Has(RowFlags.Alarmed | RowFlags.Covered);
        if (!isDecided && !(hot.Status is Status.Unknown or Status.Retired && nextMs == long.MaxValue))
        {
            wheel.Add(row, ref hot, nextMs == long.MaxValue ? spreadMs : Math.Max(nextMs, spreadMs));
        }
    }

    private static long HeardMs(in Hot hot, in Cold cold) => Math.Max(hot.SignMs, 1000L * Math.Max(cold.LinkAt, cold.Connects.Newest));
}
