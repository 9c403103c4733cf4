using Npgsql;

namespace Agent.Service;

// Reading: what is new since the last look, and at a start everything.
public sealed partial class PostgresStore
{
    private const int RowsPerLook = 512;
    private const int ClosedMax = 1000;

    private const string AlarmColumns =
        "a.slot, a.version, a.subject, a.number, a.kind, a.raised_ms, a.began_ms, a.cause, a.devices, a.cleared_ms, a.device_reason, "
        + "a.acknowledged_by, a.acknowledged_ms";

    // In this order on purpose: an alarm rests on facts that were committed before it, so whoever reads alarms first and facts then has
    // all that it rests on; and the clock before both, so that every fact up to that moment is there.
    private const string LookAtAlarms = $"""
        SELECT {AlarmColumns} FROM unnest($1::smallint[], $2::bigint[]) AS k (slot, version)
        JOIN checker.alarm a ON a.slot = k.slot AND a.version > k.version ORDER BY a.number
        """;

    private const string LookAtFacts = """
        SELECT r.replica, j.seq, j.facts FROM checker.replica r
        LEFT JOIN unnest($1::bigint[], $2::bigint[]) AS c (replica, seq) ON c.replica = r.replica
        CROSS JOIN LATERAL (
            SELECT seq, facts FROM checker.journal WHERE replica = r.replica AND seq > coalesce(c.seq, r.first_seq - 1)
            ORDER BY seq LIMIT $3) j
        ORDER BY r.replica, j.seq
        """;

    /// <summary>Renews the lease when it is time to, and reads what is new.</summary>
    /// <param name="into">Gets the facts.</param>
    /// <exception cref="StoreException">This replica cannot go on: it has to start anew.</exception>
    /// <exception cref="NpgsqlException">The database could not be asked; nothing was read.</exception>
    public async Task<Glance> LookAsync(FactBatch into)
    {
        ArgumentNullException.ThrowIfNull(into);
        KeyValuePair<long, long>[] cursorsBefore = [.. cursors];
        long[] versionsBefore = [.. versions];
        try
        {
            Glance glance = await AskAsync(into).ConfigureAwait(false);
            lookFailure = null;
            return glance;
        }
        catch (Exception failed) when (PostgresFailure.Is(failed))
        {
            lookFailure = PostgresFailure.TextOf(failed);
            // What was read half-way is read again as a whole.
            into.Clear();
            cursors.Clear();
            foreach ((long replica, long seq) in cursorsBefore)
            {
                cursors.Add(replica, seq);
            }

            versionsBefore.CopyTo(versions, 0);
            throw;
        }
    }

    /// <summary>What the look showed is in the checker now. Called under the lock of its turns, as <see cref="Touch"/> is.</summary>
    public void Accept(Glance glance)
    {
        ArgumentNullException.ThrowIfNull(glance);
        applied = new Dictionary<long, long>(cursors);
        slots = glance.Slots;
        knownMs = glance.IsDrained ? Math.Max(knownMs, glance.NowMs) : knownMs;
    }

    private async Task<Glance> AskAsync(FactBatch into)
    {
        NpgsqlBatch batch = source.CreateBatch();
        await using (batch.ConfigureAwait(false))
        {
            // After a pause it is not, until it has looked: who wakes first must not vouch for the others.
            bool isSure = IsSure && (renewedAt is null || time.GetElapsedTime(renewedAt.Value) < options.Lease);
            bool isDue = hasLoaded
                && (renewedAt is null || isSure != toldSure || time.GetElapsedTime(renewedAt.Value) > options.Lease / 4);
            long askedAt = time.GetTimestamp();
            if (isDue)
            {
                Add(
                    batch,
                    "UPDATE checker.replica SET lease_until = clock_timestamp() + $2, is_sure = $3 WHERE replica = $1",
                    Replica,
                    options.Lease,
                    isSure);
            }

            Add(batch, """
                SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, (SELECT max(version) FROM checker.schema_version),
                    count(*), count(*) FILTER (WHERE is_sure), coalesce(bool_or(replica = $1), false),
                    count(*) FILTER (WHERE is_sure AND replica <> $1)
                FROM checker.replica WHERE lease_until > clock_timestamp()
                """, Replica);
            Add(batch, """
                SELECT s.slot, coalesce(s.owner, 0), s.epoch, s.folded_s, coalesce(r.lease_until > clock_timestamp(), false)
                FROM checker.slot s LEFT JOIN checker.replica r ON r.replica = s.owner
                """);
            Add(batch, LookAtAlarms, Enumerable.Range(0, Share.Slots).Select(slot => (short)slot).ToArray(), versions);
            Add(batch, "SELECT replica, first_seq FROM checker.replica");
            Add(batch, LookAtFacts, cursors.Keys.ToArray(), cursors.Values.ToArray(), RowsPerLook);
            NpgsqlDataReader reader = await batch.ExecuteReaderAsync().ConfigureAwait(false);
            await using (reader.ConfigureAwait(false))
            {
                Glance glance = await ReadAsync(reader, into).ConfigureAwait(false);
                (renewedAt, toldSure) = isDue ? (askedAt, isSure) : isAlive ? (renewedAt, toldSure) : (null, toldSure);
                return glance;
            }
        }
    }

    private async Task<Glance> ReadAsync(NpgsqlDataReader reader, FactBatch into)
    {
        await reader.ReadAsync().ConfigureAwait(false);
        long nowMs = reader.GetInt64(0);
        if (reader.GetInt32(1) > PostgresSchema.Version)
        {
            throw new StoreException($"the database has now schema version {reader.GetInt32(1)}: this program is too old for it");
        }

        (Living, int sure) = ((int)reader.GetInt64(2), (int)reader.GetInt64(3));
        isAlive = reader.GetBoolean(4);
        int othersSure = (int)reader.GetInt64(5);
        var states = new SlotState[Share.Slots];
        await reader.NextResultAsync().ConfigureAwait(false);
        while (await reader.ReadAsync().ConfigureAwait(false))
        {
            states[reader.GetInt16(0)] = new SlotState(
                reader.GetInt64(1), reader.GetInt64(2), reader.GetInt64(3), reader.GetBoolean(4));
        }

        await reader.NextResultAsync().ConfigureAwait(false);
        List<KeptAlarm> alarms = await ReadAlarmsAsync(reader).ConfigureAwait(false);
        await reader.NextResultAsync().ConfigureAwait(false);
        await ReadReplicasAsync(reader).ConfigureAwait(false);
        await reader.NextResultAsync().ConfigureAwait(false);
        bool isDrained = await ReadFactsAsync(reader, into).ConfigureAwait(false);
        return new Glance(nowMs, Living, sure, othersSure, states, alarms, isDrained);
    }

    private async Task<List<KeptAlarm>> ReadAlarmsAsync(NpgsqlDataReader reader)
    {
        var alarms = new List<KeptAlarm>();
        while (await reader.ReadAsync().ConfigureAwait(false))
        {
            ref long version = ref versions[reader.GetInt16(0)];
            version = Math.Max(version, reader.GetInt64(1));
            alarms.Add(AlarmOf(reader));
        }

        return alarms;
    }

    private static KeptAlarm AlarmOf(NpgsqlDataReader reader) => new(
        new Alarm(reader.GetInt64(3), (AlarmKind)reader.GetInt16(4), 0, reader.GetInt64(5))
        {
            BeganAtMs = reader.GetInt64(6),
            Cause = (Cause)reader.GetInt16(7),
            Devices = reader.GetInt32(8),
            ClearedAtMs = reader.IsDBNull(9) ? null : reader.GetInt64(9),
            DeviceReason = (byte)reader.GetInt16(10),
        },
        reader.GetString(2),
        reader.IsDBNull(11) ? null : new Acknowledgement(reader.GetString(11), reader.GetInt64(12)));

    private async Task ReadReplicasAsync(NpgsqlDataReader reader)
    {
        var known = new HashSet<long>();
        while (await reader.ReadAsync().ConfigureAwait(false))
        {
            (long replica, long first) = (reader.GetInt64(0), reader.GetInt64(1));
            known.Add(replica);
            if (cursors.TryAdd(replica, 0) ? first > 1 : cursors[replica] < first - 1)
            {
                throw FellBehind();
            }
        }

        if (!known.Contains(Replica))
        {
            throw FellBehind();
        }

        foreach (long gone in cursors.Keys.Where(replica => !known.Contains(replica)).ToArray())
        {
            cursors.Remove(gone);
        }
    }

    private async Task<bool> ReadFactsAsync(NpgsqlDataReader reader, FactBatch into)
    {
        bool isDrained = true;
        int ofOne = 0;
        long before = 0;
        while (await reader.ReadAsync().ConfigureAwait(false))
        {
            (long replica, long seq) = (reader.GetInt64(0), reader.GetInt64(1));
            ofOne = replica == before ? ofOne + 1 : 1;
            before = replica;
            if (seq != cursors.GetValueOrDefault(replica) + 1)
            {
                throw FellBehind();
            }

            FactRecords.Read(reader.GetFieldValue<byte[]>(2), into);
            cursors[replica] = seq;
            isDrained &= ofOne < RowsPerLook;
        }

        return isDrained;
    }

    private static StoreException FellBehind() => new(
        "it stood still for so long that the journal no longer has what it missed: it has to start anew");

    private static async Task<long> JoinAsync(NpgsqlDataSource source, PostgresOptions options)
    {
        // Not living before it has loaded: others would give it slots it cannot look after.
        NpgsqlCommand join = source.CreateCommand(
            "INSERT INTO checker.replica (name, lease_until) VALUES ($1, clock_timestamp()) RETURNING replica");
        await using (join.ConfigureAwait(false))
        {
            join.Parameters.AddWithValue(options.Name);
            return (long)(await join.ExecuteScalarAsync().ConfigureAwait(false))!;
        }
    }

    private async Task LoadAsync(Checker checker)
    {
        NpgsqlConnection connection = await source.OpenConnectionAsync().ConfigureAwait(false);
        await using (connection.ConfigureAwait(false))
        {
            NpgsqlTransaction transaction =
                await connection.BeginTransactionAsync(System.Data.IsolationLevel.RepeatableRead).ConfigureAwait(false);
            await using (transaction.ConfigureAwait(false))
            {
                await LoadCursorsAsync(connection).ConfigureAwait(false);
                await LoadDevicesAsync(connection, checker).ConfigureAwait(false);
                await LoadAlarmsAsync(connection, checker).ConfigureAwait(false);
            }
        }

        var batch = new FactBatch();
        Glance glance;
        do
        {
            glance = await LookAsync(batch).ConfigureAwait(false);
            checker.Note(batch);
            foreach (ref readonly Fact fact in batch.Facts)
            {
                Touch(fact.Row, glance.NowMs);
            }

            Restore(checker, glance.Alarms);
            batch.Clear();
            Accept(glance);
        }
        while (!glance.IsDrained);

        long startedAtMs = await FindStartAsync().ConfigureAwait(false);
        checker.FinishRestore(glance.NowMs, startedAtMs);
        hasLoaded = true;
    }

    private static void Restore(Checker checker, IEnumerable<KeptAlarm> kept)
    {
        foreach ((Alarm alarm, string subject, Acknowledgement? word) in kept)
        {
            checker.Alarms.Restore(alarm with { Subject = checker.NumberOf(alarm.Kind, subject) });
            if (word is not null)
            {
                checker.Alarms.Acknowledge(alarm.Number, word);
            }
        }
    }

    private async Task LoadCursorsAsync(NpgsqlConnection connection)
    {
        using var command = new NpgsqlCommand("""
            SELECT r.replica, greatest(r.first_seq - 1, min(coalesce((s.folded ->> r.replica::text)::bigint, 0)))
            FROM checker.replica r CROSS JOIN checker.slot s GROUP BY r.replica, r.first_seq
            """, connection);
        NpgsqlDataReader reader = await command.ExecuteReaderAsync().ConfigureAwait(false);
        await using (reader.ConfigureAwait(false))
        {
            while (await reader.ReadAsync().ConfigureAwait(false))
            {
                cursors[reader.GetInt64(0)] = reader.GetInt64(1);
            }
        }
    }

    private static async Task LoadDevicesAsync(NpgsqlConnection connection, Checker checker)
    {
        using var command = new NpgsqlCommand("SELECT device_id, status, since_s, site, state FROM checker.device", connection)
        {
            CommandTimeout = 0,
        };
        byte[] id = new byte[DeviceIds.LengthMax];
        NpgsqlDataReader reader = await command.ExecuteReaderAsync().ConfigureAwait(false);
        await using (reader.ConfigureAwait(false))
        {
            while (await reader.ReadAsync().ConfigureAwait(false))
            {
                int row = checker.Count;
                string name = reader.GetString(0);
                if (!DeviceIds.IsValid(name.AsSpan()) || (uint)reader.GetInt16(1) > (uint)Status.Retired)
                {
                    throw new InvalidDataException("the table of devices has a row that is none of ours");
                }

                checker.RestoreDevice(row, id.AsSpan(0, System.Text.Encoding.ASCII.GetBytes(name, id)));
                DeviceRecord.Read(reader.GetFieldValue<byte[]>(4), checker, row, reader.GetString(3));
                checker.RestoreStatus(row, (Status)reader.GetInt16(1), reader.GetInt64(2) * 1000);
            }
        }
    }

    private async Task LoadAlarmsAsync(NpgsqlConnection connection, Checker checker)
    {
        using (var find = new NpgsqlCommand("SELECT slot, version FROM checker.slot", connection))
        using (NpgsqlDataReader reader = await find.ExecuteReaderAsync().ConfigureAwait(false))
        {
            while (await reader.ReadAsync().ConfigureAwait(false))
            {
                versions[reader.GetInt16(0)] = reader.GetInt64(1);
            }
        }

        using var command = new NpgsqlCommand($"""
            SELECT * FROM (
                (SELECT {AlarmColumns} FROM checker.alarm a WHERE cleared_ms IS NOT NULL ORDER BY cleared_ms DESC LIMIT {ClosedMax})
                UNION ALL (SELECT {AlarmColumns} FROM checker.alarm a WHERE cleared_ms IS NULL)) AS kept
            ORDER BY cleared_ms NULLS LAST
            """, connection);
        using NpgsqlDataReader alarms = await command.ExecuteReaderAsync().ConfigureAwait(false);
        Restore(checker, await ReadAlarmsAsync(alarms).ConfigureAwait(false));
    }

    // When the last replica died before this one came, devices get time to be heard; where others went on, they were heard.
    private async Task<long> FindStartAsync()
    {
        using NpgsqlCommand command = source.CreateCommand("""
            UPDATE checker.service SET started_at = CASE
                WHEN EXISTS (SELECT FROM checker.replica WHERE lease_until > clock_timestamp() AND replica <> $1) THEN started_at
                ELSE clock_timestamp() END
            RETURNING (extract(epoch FROM started_at) * 1000)::bigint
            """);
        command.Parameters.AddWithValue(Replica);
        return (long)(await command.ExecuteScalarAsync().ConfigureAwait(false))!;
    }
}
