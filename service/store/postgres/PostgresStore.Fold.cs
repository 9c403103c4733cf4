using System.Text.Json;
using Npgsql;

namespace Agent.Service;

// Folding the journal into the devices' rows, and sweeping out what is no longer needed.
public sealed partial class PostgresStore
{
    private const int RowsPerWrite = 2_000;
    private const int RowsPerLock = 50_000;
    private const int AlarmsPerSweep = 1_000;

    // Replicas' clocks have no part in this, but the ledger counts whole seconds.
    private const long MarginSeconds = 2;

    private static readonly TimeSpan ForgetReplicas = TimeSpan.FromHours(1);

    /// <summary>Whether it is time to fold.</summary>
    public bool IsFoldDue => time.GetElapsedTime(foldedAt) > options.FoldEvery;

    /// <summary>Writes the rows of devices that changed in the slots this replica holds, sorted, some thousand at a time.</summary>
    /// <param name="checker">What to write.</param>
    /// <param name="turn">Its lock, taken for some rows at a time.</param>
    /// <exception cref="NpgsqlException">Not all is written; it stays to be done.</exception>
    public async Task FoldAsync(Checker checker, Lock turn)
    {
        ArgumentNullException.ThrowIfNull(checker);
        foldedAt = time.GetTimestamp();
        SlotState[] held;
        Dictionary<long, long> upTo;
        long seconds;
        int count;
        lock (turn)
        {
            held = slots;
            upTo = applied;
            seconds = knownMs / 1000;
            count = checker.Count;
        }

        short[] numbers = [.. Enumerable.Range(0, Share.Slots).Where(slot => held[slot].Owner == Replica).Select(slot => (short)slot)];
        if (numbers.Length == 0)
        {
            return;
        }

        var fence = new Fence(numbers, [.. numbers.Select(slot => held[slot].Epoch)]);
        var rows = new List<FoldedDevice>(RowsPerWrite);
        for (int row = 0; row < count;)
        {
            lock (turn)
            {
                row = Gather(checker, row, count, held, rows);
            }

            if (rows.Count > 0)
            {
                rows.Sort(static (a, b) => string.CompareOrdinal(a.Id, b.Id));
                await WriteAsync(rows, fence).ConfigureAwait(false);
                rows.Clear();
            }
        }

        await MarkAsync(fence, upTo, seconds).ConfigureAwait(false);
        if (held[Share.FleetSlot].Owner == Replica)
        {
            await SweepOutAsync(seconds).ConfigureAwait(false);
        }
    }

    private int Gather(Checker checker, int row, int count, SlotState[] held, List<FoldedDevice> into)
    {
        int end = Math.Min(count, row + RowsPerLock);
        for (; row < end && into.Count < RowsPerWrite; row++)
        {
            int slot = ledger.SlotOf(row, checker.Table);
            long changedAt = ledger.ChangedAt(row);
            if (held[slot].Owner == Replica && changedAt > 0 && changedAt >= held[slot].FoldedSeconds - MarginSeconds)
            {
                ref readonly Hot hot = ref checker.Table.Hot(row);
                into.Add(new FoldedDevice(
                    checker.Table.Id(row),
                    (short)slot,
                    (short)hot.Status,
                    hot.SinceSeconds,
                    hot.SignMs,
                    checker.Sites[hot.Group].Name,
                    DeviceRecord.Write(checker, row)));
            }
        }

        return row;
    }

    private async Task WriteAsync(List<FoldedDevice> rows, Fence fence)
    {
        await ownerWrites.WaitAsync().ConfigureAwait(false);
        try
        {
            NpgsqlCommand write = source.CreateCommand("""
                WITH held AS (
                    SELECT s.slot FROM unnest($2::smallint[], $3::bigint[]) AS h (slot, epoch)
                    JOIN checker.slot s ON s.slot = h.slot AND s.epoch = h.epoch WHERE s.owner = $1 FOR SHARE OF s)
                INSERT INTO checker.device (device_id, slot, status, since_s, sign_ms, site, state)
                SELECT u.* FROM unnest($4::text[], $5::smallint[], $6::smallint[], $7::bigint[], $8::bigint[], $9::text[], $10::bytea[])
                    AS u (device_id, slot, status, since_s, sign_ms, site, state)
                WHERE u.slot IN (SELECT slot FROM held)
                ON CONFLICT (device_id) DO UPDATE SET status = excluded.status, since_s = excluded.since_s, sign_ms = excluded.sign_ms,
                    site = excluded.site, state = excluded.state
                """);
            await using (write.ConfigureAwait(false))
            {
                fence.AddTo(write, Replica);
                write.Parameters.AddWithValue(rows.ConvertAll(row => row.Id).ToArray());
                write.Parameters.AddWithValue(rows.ConvertAll(row => row.Slot).ToArray());
                write.Parameters.AddWithValue(rows.ConvertAll(row => row.Status).ToArray());
                write.Parameters.AddWithValue(rows.ConvertAll(row => row.SinceSeconds).ToArray());
                write.Parameters.AddWithValue(rows.ConvertAll(row => row.SignMs).ToArray());
                write.Parameters.AddWithValue(rows.ConvertAll(row => row.Site).ToArray());
                write.Parameters.AddWithValue(rows.ConvertAll(row => row.State).ToArray());
                await write.ExecuteNonQueryAsync().ConfigureAwait(false);
            }
        }
        finally
        {
            ownerWrites.Release();
        }
    }

    private async Task MarkAsync(Fence fence, Dictionary<long, long> upTo, long seconds)
    {
        await ownerWrites.WaitAsync().ConfigureAwait(false);
        try
        {
            NpgsqlCommand mark = source.CreateCommand("""
                UPDATE checker.slot s SET folded = $4::jsonb, folded_s = $5
                FROM unnest($2::smallint[], $3::bigint[]) AS h (slot, epoch)
                WHERE s.slot = h.slot AND s.epoch = h.epoch AND s.owner = $1
                """);
            await using (mark.ConfigureAwait(false))
            {
                fence.AddTo(mark, Replica);
                mark.Parameters.AddWithValue(JsonSerializer.Serialize(upTo));
                mark.Parameters.AddWithValue(seconds);
                await mark.ExecuteNonQueryAsync().ConfigureAwait(false);
            }
        }
        finally
        {
            ownerWrites.Release();
        }
    }

    // What is in the rows of every slot goes from the journal, oldest first and without a gap; then alarms and replicas of long ago.
    private async Task SweepOutAsync(long seconds)
    {
        NpgsqlBatch batch = source.CreateBatch();
        await using (batch.ConfigureAwait(false))
        {
            Add(
                batch,
                """
                WITH folded AS (
                    SELECT r.replica, min(coalesce((s.folded ->> r.replica::text)::bigint, 0)) AS seq
                    FROM checker.replica r CROSS JOIN checker.slot s GROUP BY r.replica),
                last AS (
                    SELECT f.replica, least(f.seq, (
                        SELECT min(j.seq) - 1 FROM checker.journal j WHERE j.replica = f.replica AND j.at > clock_timestamp() - $1)) AS seq
                    FROM folded f),
                gone AS (
                    DELETE FROM checker.journal j USING last l WHERE j.replica = l.replica AND j.seq <= l.seq RETURNING j.replica, j.seq)
                UPDATE checker.replica r SET first_seq = g.seq + 1
                FROM (SELECT replica, max(seq) AS seq FROM gone GROUP BY replica) g WHERE g.replica = r.replica
                """,
                options.KeepJournal);
            Add(
                batch,
                """
                WITH old AS (
                    SELECT subject, number FROM checker.alarm WHERE cleared_ms < $1 ORDER BY cleared_ms LIMIT $2),
                gone AS (
                    DELETE FROM checker.alarm a USING old o WHERE a.subject = o.subject AND a.number = o.number RETURNING a.number)
                DELETE FROM checker.outbox WHERE episode IN (SELECT number FROM gone)
                """,
                (seconds * 1000) - (long)options.KeepAlarms.TotalMilliseconds,
                AlarmsPerSweep);
            Add(
                batch,
                """
                DELETE FROM checker.replica r WHERE r.lease_until < clock_timestamp() - $1
                    AND NOT EXISTS (SELECT FROM checker.journal j WHERE j.replica = r.replica)
                """,
                ForgetReplicas);
            await batch.ExecuteNonQueryAsync().ConfigureAwait(false);
        }
    }

    private sealed record FoldedDevice(string Id, short Slot, short Status, long SinceSeconds, long SignMs, string Site, byte[] State);

    private sealed record Fence(short[] Slots, long[] Epochs)
    {
        public void AddTo(NpgsqlCommand command, long replica)
        {
            command.Parameters.AddWithValue(replica);
            command.Parameters.AddWithValue(Slots);
            command.Parameters.AddWithValue(Epochs);
        }
    }
}

/// <summary>When each device last changed, in 5 bytes a device: what a fold has to write.</summary>
/// <remarks>
/// A moment and not a flag: a replica that takes a slot over knows from the slot's own mark which of its devices the former owner had
/// not written any more, and nobody has to take flags back in the others.
/// </remarks>
internal sealed class FoldLedger
{
    private const byte Unknown = byte.MaxValue;

    private uint[] changedAt = new uint[1024];
    private byte[] slots = NewSlots(1024);

    public void Touch(int row, long seconds)
    {
        Reserve(row);
        changedAt[row] = (uint)seconds;
    }

    public long ChangedAt(int row) => row < changedAt.Length ? changedAt[row] : 0;

    public int SlotOf(int row, DeviceTable table)
    {
        Reserve(row);
        if (slots[row] == Unknown)
        {
            slots[row] = (byte)Share.SlotOf(table.IdBytes(row));
        }

        return slots[row];
    }

    private static byte[] NewSlots(int length)
    {
        byte[] fresh = new byte[length];
        Array.Fill(fresh, Unknown);
        return fresh;
    }

    private void Reserve(int row)
    {
        if (row >= changedAt.Length)
        {
            int length = Math.Max(row + 1, changedAt.Length * 2);
            Array.Resize(ref changedAt, length);
            byte[] longer = NewSlots(length);
            slots.CopyTo(longer, 0);
            slots = longer;
        }
    }
}
