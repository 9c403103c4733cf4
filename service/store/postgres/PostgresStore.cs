using Npgsql;

namespace Agent.Service;

/// <summary>One of the 64 parts of the fleet as the database has it.</summary>
/// <param name="Owner">The replica that decides about it; 0 = none.</param>
/// <param name="Epoch">Raised whenever the owner changes.</param>
/// <param name="FoldedSeconds">Up to when the journal is in its devices' rows, seconds since 1970.</param>
/// <param name="IsAlive">The owner has a lease.</param>
public readonly record struct SlotState(long Owner, long Epoch, long FoldedSeconds, bool IsAlive);

/// <summary>The state of an alarm in the shared book, and who knows of it; the alarm's own subject is not filled in.</summary>
public sealed record KeptAlarm(Alarm Alarm, string Subject, Acknowledgement? Word);

/// <summary>A change of an alarm that is to be kept, if the slot is still held in that epoch.</summary>
public readonly record struct AlarmWish(Alarm Alarm, string Subject, int Slot, long Epoch);

/// <summary>What a look into the database showed.</summary>
/// <param name="NowMs">The database's clock; every fact committed before it has been read, if <paramref name="IsDrained"/>.</param>
/// <param name="Living">Replicas with a lease.</param>
/// <param name="Sure">Those of them that trust their own eyes.</param>
/// <param name="OthersSure">... without this one.</param>
/// <param name="Slots">Who owns what.</param>
/// <param name="Alarms">Alarms that changed.</param>
/// <param name="IsDrained">There is no more to read.</param>
public sealed record Glance(
    long NowMs, int Living, int Sure, int OthersSure, SlotState[] Slots, IReadOnlyList<KeptAlarm> Alarms, bool IsDrained);

/// <summary>What several replicas of the checker share, on a PostgreSQL.</summary>
/// <remarks>
/// <para>
/// Facts go to a journal in the database, whichever replica they came to, and are acknowledged when they are committed. Every replica
/// reads the whole journal, four times a second, and so knows the whole fleet: each can answer for all of it, and has what it takes to
/// take over from another at once. Rows of devices are folded from the journal now and then, and are read at a start only.
/// </para>
/// <para>
/// Alarms are decided by one: the fleet is cut into 64 slots (<see cref="Share"/>), each owned by a replica with a lease. Leases are
/// measured by the database's clock, and so is time itself for the checker. Whatever an owner writes names the epoch in which he owns
/// the slot and is dropped by the database when that is over: a replica that was paused and replaced, unawares, changes nothing.
/// </para>
/// <para>
/// The road not taken, each replica merging facts into the devices' rows with its own SQL, would have the rules of order marks and
/// rhythms a second time in another language, and a write for each heartbeat: 5,000 a second are 4 rows of journal here.
/// </para>
/// </remarks>
public sealed partial class PostgresStore : IAsyncDisposable
{
    private readonly PostgresOptions options;
    private readonly TimeProvider time;
    private readonly NpgsqlDataSource source;
    private readonly JournalWriter journal;
    private readonly FoldLedger ledger = new();
    private readonly SemaphoreSlim ownerWrites = new(1, 1);
    private readonly Dictionary<long, long> cursors = [];
    private readonly long[] versions = new long[Share.Slots];
    private Dictionary<long, long> applied = [];
    private SlotState[] slots = new SlotState[Share.Slots];
    private string? lookFailure;
    private bool hasLoaded;
    private bool toldSure = true;
    private bool isAlive;
    private long? renewedAt;
    private long knownMs;
    private long foldedAt;

    private PostgresStore(PostgresOptions options, NpgsqlDataSource source, long replica, TimeProvider time)
    {
        this.options = options;
        this.source = source;
        this.time = time;
        Replica = replica;
        journal = new JournalWriter(source, replica, time);
        foldedAt = time.GetTimestamp();
    }

    /// <summary>The number of this start of the program.</summary>
    public long Replica { get; }

    /// <summary>Slots it owned when it last looked.</summary>
    public int SlotsHeld => slots.Count(slot => slot.Owner == Replica);

    /// <summary>Replicas with a lease when it last looked, this one included.</summary>
    public int Living { get; private set; }

    /// <summary>Whether the checker trusts its own eyes; otherwise the slots are left to replicas that do, if there are any.</summary>
    public bool IsSure { get; set; } = true;

    /// <summary>Why it cannot read or write at present; null = all is well.</summary>
    public string? Failure => lookFailure ?? journal.Failure;

    /// <summary>Rows it wrote to the journal since the start: far fewer than bodies under load.</summary>
    public long JournalRows => journal.Rows;

    /// <summary>For the outbox of alarms, which is in the same database.</summary>
    internal NpgsqlDataSource Source => source;

    /// <summary>Migrates the database, joins the replicas, and puts what they know into an empty checker.</summary>
    /// <exception cref="StoreException">It cannot be used: one line that says why, without a password.</exception>
    public static async Task<PostgresStore> OpenAsync(PostgresOptions options, Checker checker, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(checker);
        NpgsqlDataSource source = NpgsqlDataSource.Create(options.Connection);
        try
        {
            await PostgresSchema.MigrateAsync(source).ConfigureAwait(false);
            long replica = await JoinAsync(source, options).ConfigureAwait(false);
            var store = new PostgresStore(options, source, replica, time);
            await store.LoadAsync(checker).ConfigureAwait(false);
            store.journal.Start();
            return store;
        }
        catch (Exception failed)
        {
            await source.DisposeAsync().ConfigureAwait(false);
            if (failed is StoreException)
            {
                throw;
            }

            if (PostgresFailure.Is(failed) || failed is InvalidDataException)
            {
                string why = failed is InvalidDataException ? failed.Message : PostgresFailure.TextOf(failed);
                throw new StoreException($"{options.Place}: {why}", failed);
            }

            throw;
        }
    }

    /// <summary>Ends when the facts are committed; fails with <see cref="IOException"/> when they may not be.</summary>
    public Task AppendAsync(FactBatch batch) => journal.AppendAsync(batch);

    /// <summary>Notes that a device's row is to be written at the next fold.</summary>
    public void Touch(int row, long nowMs) => ledger.Touch(row, nowMs / 1000);

    /// <summary>The epoch in which this replica owns a slot.</summary>
    public long EpochOf(int slot) => slots[slot].Epoch;

    /// <summary>Takes free slots up to this replica's part, or gives back what is beyond it.</summary>
    /// <returns>Whether anything changed hands.</returns>
    public async Task<bool> BalanceAsync(Glance glance)
    {
        ArgumentNullException.ThrowIfNull(glance);
        int among = Math.Max(1, glance.Sure > 0 ? glance.Sure : glance.Living);
        int part = glance.Sure > 0 && !toldSure ? 0 : (Share.Slots + among - 1) / among;
        short[] own = [.. Enumerable.Range(0, Share.Slots).Where(slot => glance.Slots[slot].Owner == Replica).Select(slot => (short)slot)];
        bool isAnyFree = Array.Exists(glance.Slots, slot => !slot.IsAlive);
        return own.Length > part ? await ReleaseAsync(own[part..]).ConfigureAwait(false)
            : isAnyFree && own.Length < part && await ClaimAsync(part - own.Length).ConfigureAwait(false);
    }

    /// <summary>Keeps changes of alarms in slots that are still held; the others are dropped. Seen by all at their next look.</summary>
    /// <exception cref="NpgsqlException">Nothing is kept, or nobody knows: to be repeated, which changes nothing twice.</exception>
    public async Task RecordAsync(IReadOnlyList<AlarmWish> wishes)
    {
        ArgumentNullException.ThrowIfNull(wishes);
        AlarmWish[] raised = [.. wishes.Where(wish => wish.Alarm.ClearedAtMs is null)];
        AlarmWish[] cleared = [.. wishes.Where(wish => wish.Alarm.ClearedAtMs is not null)];
        await ownerWrites.WaitAsync().ConfigureAwait(false);
        try
        {
            NpgsqlBatch batch = source.CreateBatch();
            await using (batch.ConfigureAwait(false))
            {
                AddRaises(batch, raised);
                AddClears(batch, cleared);
                await batch.ExecuteNonQueryAsync().ConfigureAwait(false);
            }
        }
        finally
        {
            ownerWrites.Release();
        }
    }

    /// <summary>Keeps that somebody knows of an open alarm; the first one counts. Seen by everybody at the next look.</summary>
    /// <param name="alarm">As the book has it.</param>
    /// <param name="subject">Its subject's name.</param>
    /// <param name="word">Who and when.</param>
    /// <returns>Who was first; null = the alarm is no longer open, and nobody had said so.</returns>
    /// <exception cref="IOException">It could not be kept, or nobody knows: to be repeated, which changes nothing twice.</exception>
    public async Task<Acknowledgement?> AcknowledgeAsync(Alarm alarm, string subject, Acknowledgement word)
    {
        ArgumentNullException.ThrowIfNull(alarm);
        ArgumentNullException.ThrowIfNull(word);
        try
        {
            NpgsqlBatch batch = source.CreateBatch();
            await using (batch.ConfigureAwait(false))
            {
                // Any replica may: there is no judgement in it that an epoch would have to guard. The slot's lock orders the versions.
                Add(
                    batch,
                    """
                    WITH held AS (
                        UPDATE checker.slot s SET version = s.version + 1 FROM checker.alarm a
                        WHERE a.subject = $1 AND a.number = $2 AND s.slot = a.slot RETURNING s.slot, s.version)
                    UPDATE checker.alarm a SET acknowledged_by = $3, acknowledged_ms = $4, version = h.version FROM held h
                    WHERE a.subject = $1 AND a.number = $2 AND a.cleared_ms IS NULL AND a.acknowledged_by IS NULL
                    """,
                    subject,
                    alarm.Number,
                    word.By,
                    word.AtMs);
                Add(
                    batch,
                    """
                    SELECT acknowledged_by, acknowledged_ms FROM checker.alarm
                    WHERE subject = $1 AND number = $2 AND acknowledged_by IS NOT NULL
                    """,
                    subject,
                    alarm.Number);
                NpgsqlDataReader reader = await batch.ExecuteReaderAsync().ConfigureAwait(false);
                await using (reader.ConfigureAwait(false))
                {
                    return await reader.ReadAsync().ConfigureAwait(false)
                        ? new Acknowledgement(reader.GetString(0), reader.GetInt64(1)) : null;
                }
            }
        }
        catch (Exception failed) when (PostgresFailure.Is(failed))
        {
            throw new IOException(PostgresFailure.TextOf(failed), failed);
        }
    }

    /// <summary>Lets go of its slots, so that others need not wait, and of the database.</summary>
    public async ValueTask DisposeAsync()
    {
        await journal.DisposeAsync().ConfigureAwait(false);
        try
        {
            NpgsqlBatch batch = source.CreateBatch();
            await using (batch.ConfigureAwait(false))
            {
                Add(batch, "UPDATE checker.slot SET owner = NULL, epoch = epoch + 1 WHERE owner = $1", Replica);
                Add(batch, "UPDATE checker.replica SET lease_until = clock_timestamp() WHERE replica = $1", Replica);
                await batch.ExecuteNonQueryAsync().ConfigureAwait(false);
            }
        }
        catch (Exception failed) when (PostgresFailure.Is(failed))
        {
            // Then the lease runs out.
        }

        await source.DisposeAsync().ConfigureAwait(false);
        ownerWrites.Dispose();
    }

    private static void Add(NpgsqlBatch batch, string text, params ReadOnlySpan<object> values)
    {
        var command = new NpgsqlBatchCommand(text);
        foreach (object value in values)
        {
            command.Parameters.Add(new NpgsqlParameter { Value = value });
        }

        batch.BatchCommands.Add(command);
    }

    private async Task<bool> ClaimAsync(int most)
    {
        // Skipped when locked: its owner is writing in this moment, so he lives, or another replica is just taking it.
        using NpgsqlCommand claim = source.CreateCommand("""
            UPDATE checker.slot SET owner = $1, epoch = epoch + 1
            WHERE slot IN (
                SELECT s.slot FROM checker.slot s
                WHERE NOT EXISTS (SELECT FROM checker.replica r WHERE r.replica = s.owner AND r.lease_until > clock_timestamp())
                    AND EXISTS (SELECT FROM checker.replica r WHERE r.replica = $1 AND r.lease_until > clock_timestamp())
                ORDER BY s.slot LIMIT $2 FOR UPDATE OF s SKIP LOCKED)
            """);
        claim.Parameters.AddWithValue(Replica);
        claim.Parameters.AddWithValue(most);
        return await claim.ExecuteNonQueryAsync().ConfigureAwait(false) > 0;
    }

    private async Task<bool> ReleaseAsync(short[] some)
    {
        await ownerWrites.WaitAsync().ConfigureAwait(false);
        try
        {
            using NpgsqlCommand release = source.CreateCommand(
                "UPDATE checker.slot SET owner = NULL, epoch = epoch + 1 WHERE owner = $1 AND slot = ANY ($2)");
            release.Parameters.AddWithValue(Replica);
            release.Parameters.AddWithValue(some);
            return await release.ExecuteNonQueryAsync().ConfigureAwait(false) > 0;
        }
        finally
        {
            ownerWrites.Release();
        }
    }

    // The slot's row is locked until the end of the transaction: nobody can claim it meanwhile, and versions appear in their order.
    private void AddRaises(NpgsqlBatch batch, AlarmWish[] wishes)
    {
        if (wishes.Length > 0)
        {
            Add(
                batch,
                """
                WITH wish AS (
                    SELECT * FROM unnest($2::smallint[], $3::bigint[], $4::text[], $5::smallint[], $6::bigint[], $7::bigint[],
                        $8::smallint[], $9::integer[]) WITH ORDINALITY
                        AS w (slot, epoch, subject, kind, raised_ms, began_ms, cause, devices, place)),
                held AS (
                    UPDATE checker.slot s SET version = s.version + 1 FROM (SELECT DISTINCT slot, epoch FROM wish) w
                    WHERE s.slot = w.slot AND s.epoch = w.epoch AND s.owner = $1 RETURNING s.slot, s.version)
                INSERT INTO checker.alarm (subject, kind, slot, version, raised_ms, began_ms, cause, devices)
                SELECT w.subject, w.kind, w.slot, h.version, w.raised_ms, w.began_ms, w.cause, w.devices
                FROM wish w JOIN held h USING (slot) ORDER BY w.place
                ON CONFLICT DO NOTHING
                """,
                Replica,
                Column(wishes, wish => (short)wish.Slot),
                Column(wishes, wish => wish.Epoch),
                Column(wishes, wish => wish.Subject),
                Column(wishes, wish => (short)wish.Alarm.Kind),
                Column(wishes, wish => wish.Alarm.RaisedAtMs),
                Column(wishes, wish => wish.Alarm.BeganAtMs),
                Column(wishes, wish => (short)wish.Alarm.Cause),
                Column(wishes, wish => wish.Alarm.Devices));
        }
    }

    private void AddClears(NpgsqlBatch batch, AlarmWish[] wishes)
    {
        if (wishes.Length > 0)
        {
            Add(
                batch,
                """
                WITH wish AS (
                    SELECT * FROM unnest($2::smallint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::smallint[])
                        AS w (slot, epoch, subject, number, cleared_ms, device_reason)),
                held AS (
                    UPDATE checker.slot s SET version = s.version + 1 FROM (SELECT DISTINCT slot, epoch FROM wish) w
                    WHERE s.slot = w.slot AND s.epoch = w.epoch AND s.owner = $1 RETURNING s.slot, s.version)
                UPDATE checker.alarm a SET cleared_ms = w.cleared_ms, device_reason = w.device_reason, version = h.version
                FROM wish w JOIN held h USING (slot)
                WHERE a.subject = w.subject AND a.number = w.number AND a.cleared_ms IS NULL
                """,
                Replica,
                Column(wishes, wish => (short)wish.Slot),
                Column(wishes, wish => wish.Epoch),
                Column(wishes, wish => wish.Subject),
                Column(wishes, wish => wish.Alarm.Number),
                Column(wishes, wish => wish.Alarm.ClearedAtMs!.Value),
                Column(wishes, wish => (short)wish.Alarm.DeviceReason));
        }
    }

    private static T[] Column<T>(AlarmWish[] wishes, Func<AlarmWish, T> value) => [.. wishes.Select(value)];
}
