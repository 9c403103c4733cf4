using System.Collections.Concurrent;
using System.Data;
using System.Text.Json;
using System.Text.Json.Serialization;
using Npgsql;
using NpgsqlTypes;

namespace Agent.Service.Alarms;

/// <summary>The outbox that replicas share: one row for each episode and destination, claimed with a row lock and a lease.</summary>
/// <remarks>
/// Every replica adds every edge it reads in the shared book, and whoever comes first makes the row. The other way, only the owner of
/// the slot adds it, would need somebody who notices that he died in between. Leases are measured by the database's clock. What is
/// over stays as long as the alarm itself, so that nothing that is added again late is told again.
/// </remarks>
public sealed class PostgresOutbox(PostgresStore store) : IAlarmOutbox
{
    private static readonly JsonSerializerOptions Format = new()
    {
        IgnoreReadOnlyProperties = true,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault,
    };

    private readonly ConcurrentDictionary<string, int> waiting = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public long Overflown => 0;

    /// <inheritdoc/>
    public int Waiting(string destination) => waiting.GetValueOrDefault(destination);

    /// <inheritdoc/>
    public async ValueTask IntroduceAsync(string destination, long lastEpisode)
    {
        try
        {
            using NpgsqlCommand introduce = store.Source.CreateCommand(
                "INSERT INTO checker.destination (name, mark) VALUES ($1, $2) ON CONFLICT DO NOTHING");
            introduce.Parameters.AddWithValue(destination);
            introduce.Parameters.AddWithValue(lastEpisode);
            await introduce.ExecuteNonQueryAsync().ConfigureAwait(false);
        }
        catch (Exception failed) when (PostgresFailure.Is(failed))
        {
            throw new IOException(PostgresFailure.TextOf(failed), failed);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<bool> AppendAsync(IReadOnlyList<Notice> notices, IReadOnlyList<Destination> destinations)
    {
        ArgumentNullException.ThrowIfNull(notices);
        bool isNew = false;
        try
        {
            // In one order everywhere, so that two replicas wait for each other and never in a circle.
            foreach (Destination destination in destinations.OrderBy(each => each.Name, StringComparer.Ordinal))
            {
                Notice[] wanted = [.. notices.Where(destination.Wants)];
                Dictionary<long, Delivery> known = await FindAsync(destination.Name, wanted).ConfigureAwait(false);
                foreach (IGrouping<long, Notice> episode in wanted.GroupBy(notice => notice.Episode).OrderBy(of => of.Key))
                {
                    // Mostly another replica was faster, or it is a start, where all that is known is added again.
                    if (!known.TryGetValue(episode.Key, out Delivery? row)
                        || episode.Any(edge => Delivery.Append(row, destination.Name, edge) is not null))
                    {
                        isNew |= await AppendAsync(destination.Name, episode.Key, [.. episode]).ConfigureAwait(false);
                    }
                }
            }
        }
        catch (Exception failed) when (PostgresFailure.Is(failed))
        {
            throw new IOException(PostgresFailure.TextOf(failed), failed);
        }

        return isNew;
    }

    /// <inheritdoc/>
    public async ValueTask<IReadOnlyList<Delivery>> ClaimAsync(
        string destination, long nowMs, long leaseUntilMs, int count, CancellationToken cancellation)
    {
        NpgsqlBatch batch = store.Source.CreateBatch();
        await using (batch.ConfigureAwait(false))
        {
            Add(
                batch,
                """
                UPDATE checker.outbox o SET lease_until = clock_timestamp() + $3
                FROM (
                    SELECT episode FROM checker.outbox
                    WHERE destination = $1 AND NOT is_idle AND next_ms <= $2 AND lease_until <= clock_timestamp()
                    ORDER BY episode LIMIT $4 FOR UPDATE SKIP LOCKED) due
                WHERE o.destination = $1 AND o.episode = due.episode
                RETURNING o.episode, o.notices, o.settled, o.attempts, o.next_ms, o.held_ms, o.is_withheld
                """,
                destination,
                nowMs,
                TimeSpan.FromMilliseconds(leaseUntilMs - nowMs),
                count);
            Add(batch, "SELECT count(*) FROM checker.outbox WHERE destination = $1 AND NOT is_idle", destination);
            var rows = new List<Delivery>();
            NpgsqlDataReader reader = await batch.ExecuteReaderAsync(cancellation).ConfigureAwait(false);
            await using (reader.ConfigureAwait(false))
            {
                while (await reader.ReadAsync(cancellation).ConfigureAwait(false))
                {
                    rows.Add(new Delivery
                    {
                        Destination = destination,
                        Episode = reader.GetInt64(0),
                        Notices = NoticesOf(reader.GetString(1)),
                        Settled = reader.GetInt32(2),
                        Attempts = reader.GetInt32(3),
                        NextMs = reader.GetInt64(4),
                        HeldUntilMs = reader.GetInt64(5),
                        IsWithheld = reader.GetBoolean(6),
                    });
                }

                await reader.NextResultAsync(cancellation).ConfigureAwait(false);
                await reader.ReadAsync(cancellation).ConfigureAwait(false);
                waiting[destination] = (int)reader.GetInt64(0);
            }

            rows.Sort(static (a, b) => a.Episode.CompareTo(b.Episode));
            return rows;
        }
    }

    /// <inheritdoc/>
    public async ValueTask RecordAsync(Delivery row, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(row);
        // One that comes late, after its lease, must not take back what another replica has told since.
        using NpgsqlCommand record = store.Source.CreateCommand("""
            UPDATE checker.outbox SET settled = $3, attempts = $4, next_ms = $5, held_ms = $6, is_withheld = $7,
                is_idle = $3 >= jsonb_array_length(notices), lease_until = '-infinity'
            WHERE destination = $1 AND episode = $2 AND settled <= $3
            RETURNING is_idle
            """);
        record.Parameters.AddWithValue(row.Destination);
        record.Parameters.AddWithValue(row.Episode);
        record.Parameters.AddWithValue(row.Settled);
        record.Parameters.AddWithValue(row.Attempts);
        record.Parameters.AddWithValue(row.NextMs);
        record.Parameters.AddWithValue(row.HeldUntilMs);
        record.Parameters.AddWithValue(row.IsWithheld);
        if (await record.ExecuteScalarAsync(cancellation).ConfigureAwait(false) is true)
        {
            waiting.AddOrUpdate(row.Destination, 0, static (_, count) => Math.Max(0, count - 1));
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask; // The connections are the store's.

    private async Task<Dictionary<long, Delivery>> FindAsync(string destination, Notice[] notices)
    {
        using NpgsqlCommand find = store.Source.CreateCommand(
            "SELECT episode, notices FROM checker.outbox WHERE destination = $1 AND episode = ANY ($2)");
        find.Parameters.AddWithValue(destination);
        find.Parameters.AddWithValue(notices.Select(notice => notice.Episode).Distinct().ToArray());
        var rows = new Dictionary<long, Delivery>();
        NpgsqlDataReader reader = await find.ExecuteReaderAsync().ConfigureAwait(false);
        await using (reader.ConfigureAwait(false))
        {
            while (await reader.ReadAsync().ConfigureAwait(false))
            {
                rows.Add(reader.GetInt64(0), new Delivery
                {
                    Destination = destination,
                    Episode = reader.GetInt64(0),
                    Notices = NoticesOf(reader.GetString(1)),
                });
            }
        }

        return rows;
    }

    private async Task<bool> AppendAsync(string destination, long episode, Notice[] edges)
    {
        NpgsqlConnection connection = await store.Source.OpenConnectionAsync().ConfigureAwait(false);
        await using (connection.ConfigureAwait(false))
        {
            NpgsqlTransaction transaction = await connection.BeginTransactionAsync(IsolationLevel.ReadCommitted).ConfigureAwait(false);
            await using (transaction.ConfigureAwait(false))
            {
                Delivery? before = await LockAsync(connection, destination, episode).ConfigureAwait(false);
                if (before is null)
                {
                    return false;
                }

                Delivery? row = before.Notices.Count == 0 ? null : before;
                bool isNew = false;
                foreach (Notice edge in edges)
                {
                    Delivery? longer = Delivery.Append(row, destination, edge);
                    isNew |= longer is not null;
                    row = longer ?? row;
                }

                if (isNew)
                {
                    await WriteAsync(connection, row!).ConfigureAwait(false);
                    await transaction.CommitAsync().ConfigureAwait(false);
                }

                return isNew;
            }
        }
    }

    // The row as it is, locked, without notices if it is new; null = the destination came later than the episode.
    private static async Task<Delivery?> LockAsync(NpgsqlConnection connection, string destination, long episode)
    {
        using var batch = new NpgsqlBatch(connection);
        // A replica that stops in the middle must not keep the others from the row.
        Add(batch, "SET LOCAL idle_in_transaction_session_timeout = '5s'");
        Add(
            batch,
            """
            INSERT INTO checker.outbox (destination, episode, notices, is_idle)
            SELECT name, $2, '[]', true FROM checker.destination WHERE name = $1 AND mark < $2 ON CONFLICT DO NOTHING
            """,
            destination,
            episode);
        Add(
            batch,
            """
            SELECT notices, settled, attempts, next_ms, held_ms, is_withheld FROM checker.outbox
            WHERE destination = $1 AND episode = $2 FOR UPDATE
            """,
            destination,
            episode);
        NpgsqlDataReader reader = await batch.ExecuteReaderAsync().ConfigureAwait(false);
        await using (reader.ConfigureAwait(false))
        {
            return !await reader.ReadAsync().ConfigureAwait(false) ? null : new Delivery
            {
                Destination = destination,
                Episode = episode,
                Notices = NoticesOf(reader.GetString(0)),
                Settled = reader.GetInt32(1),
                Attempts = reader.GetInt32(2),
                NextMs = reader.GetInt64(3),
                HeldUntilMs = reader.GetInt64(4),
                IsWithheld = reader.GetBoolean(5),
            };
        }
    }

    private static async Task WriteAsync(NpgsqlConnection connection, Delivery row)
    {
        using var write = new NpgsqlCommand(
            "UPDATE checker.outbox SET notices = $3, next_ms = $4, is_idle = $5 WHERE destination = $1 AND episode = $2", connection);
        write.Parameters.AddWithValue(row.Destination);
        write.Parameters.AddWithValue(row.Episode);
        write.Parameters.AddWithValue(NpgsqlDbType.Jsonb, JsonSerializer.Serialize(row.Notices, Format));
        write.Parameters.AddWithValue(row.NextMs);
        write.Parameters.AddWithValue(row.IsIdle);
        await write.ExecuteNonQueryAsync().ConfigureAwait(false);
    }

    private static IReadOnlyList<Notice> NoticesOf(string json) => JsonSerializer.Deserialize<Notice[]>(json, Format) ?? [];

    private static void Add(NpgsqlBatch batch, string text, params ReadOnlySpan<object> values)
    {
        var command = new NpgsqlBatchCommand(text);
        foreach (object value in values)
        {
            command.Parameters.Add(new NpgsqlParameter { Value = value });
        }

        batch.BatchCommands.Add(command);
    }
}
