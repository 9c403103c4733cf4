using System.Net.Sockets;
using Npgsql;

namespace Agent.Service;

/// <summary>Appends facts to the shared journal, in rows that hold what gathered while the row before was being committed.</summary>
/// <remarks>
/// <para>
/// One statement at a time on purpose: rows become visible in the order of their numbers, so that readers may remember the last number
/// they saw. The road not taken, one sequence for everybody, makes numbers visible out of order, and a reader misses those that
/// were given out first and committed last.
/// </para>
/// <para>
/// When a connection breaks, nobody knows whether its row is there. Those who wait are told that it is not: they send again, and
/// facts may come twice. The next row takes the number behind the last one there is; should the lost statement still be under way, the
/// primary key makes one of the two wait for the other, and fail.
/// </para>
/// </remarks>
internal sealed class JournalWriter(NpgsqlDataSource source, long replica, TimeProvider time) : IAsyncDisposable
{
    private const int FilledBytesMax = 16 * 1024 * 1024;
    private static readonly TimeSpan RestAfterFailure = TimeSpan.FromMilliseconds(250);

    private readonly Lock gate = new();
    private readonly SemaphoreSlim hasNews = new(0);
    private byte[] filling = NewBuffer();
    private byte[] writing = NewBuffer();
    private int filled = 1;
    private TaskCompletionSource? waiting;
    private bool isStopping;
    private long failedAt;
    private long? lastSeq = 0;
    private Task loop = Task.CompletedTask;

    /// <summary>Why the last row could not be written; null = it was.</summary>
    public string? Failure { get; private set; }

    /// <summary>Rows written since the start: far fewer than bodies under load.</summary>
    public long Rows { get; private set; }

    public void Start() => loop = Task.Run(WriteAsync);

    /// <summary>Ends when the facts are committed; fails with <see cref="IOException"/> when they may not be.</summary>
    public Task AppendAsync(FactBatch batch)
    {
        if (batch.Count == 0)
        {
            return Task.CompletedTask;
        }

        lock (gate)
        {
            // Nobody waits for a database that has just failed: it is tried again a little later, by whoever comes then.
            if (isStopping || (Failure is not null && time.GetElapsedTime(failedAt) < RestAfterFailure))
            {
                return Task.FromException(new IOException(Failure ?? "the checker ends"));
            }

            int room = FactRecords.RoomFor(batch);
            if (filled > FilledBytesMax)
            {
                return Task.FromException(new IOException("more arrives than the database takes"));
            }

            if (filling.Length - filled < room)
            {
                Array.Resize(ref filling, Math.Max(filling.Length * 2, filled + room));
            }

            filled += FactRecords.Write(filling.AsSpan(filled), batch);
            if (waiting is null)
            {
                waiting = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                hasNews.Release();
            }

            return waiting.Task;
        }
    }

    /// <summary>Writes what there is and ends.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (gate)
        {
            isStopping = true;
            hasNews.Release();
        }

        await loop.ConfigureAwait(false);
        hasNews.Dispose();
    }

    private static byte[] NewBuffer()
    {
        byte[] buffer = new byte[1 << 16];
        buffer[0] = FactRecords.Format;
        return buffer;
    }

    private async Task WriteAsync()
    {
        while (true)
        {
            await hasNews.WaitAsync().ConfigureAwait(false);
            TaskCompletionSource? done;
            int length;
            lock (gate)
            {
                if (waiting is null)
                {
                    return; // Rung without news: the end.
                }

                (filling, writing) = (writing, filling);
                filling[0] = FactRecords.Format;
                (length, filled) = (filled, 1);
                (done, waiting) = (waiting, null);
            }

            try
            {
                await WriteRowAsync(length).ConfigureAwait(false);
                Failure = null;
                Rows++;
                done.SetResult();
            }
            catch (Exception failed)
            {
                // Whatever it was: the number is in doubt, and whoever waits must not be told that it is kept.
                lock (gate)
                {
                    lastSeq = null;
                    failedAt = time.GetTimestamp();
                    Failure = PostgresFailure.TextOf(failed);
                }

                done.SetException(new IOException(Failure, failed));
            }
        }
    }

    private async Task WriteRowAsync(int length)
    {
        lastSeq ??= await FindLastAsync().ConfigureAwait(false);
        NpgsqlCommand insert = source.CreateCommand("""
            INSERT INTO checker.journal (replica, seq, facts) SELECT replica, $2, $3 FROM checker.replica WHERE replica = $1
            """);
        await using (insert.ConfigureAwait(false))
        {
            insert.Parameters.AddWithValue(replica);
            insert.Parameters.AddWithValue(lastSeq.Value + 1);
            insert.Parameters.AddWithValue(new ReadOnlyMemory<byte>(writing, 0, length));
            if (await insert.ExecuteNonQueryAsync().ConfigureAwait(false) != 1)
            {
                throw new IOException("the other replicas took this one for dead long ago");
            }
        }

        lastSeq++;
    }

    private async Task<long> FindLastAsync()
    {
        NpgsqlCommand find = source.CreateCommand("""
            SELECT greatest((SELECT max(seq) FROM checker.journal WHERE replica = $1),
                (SELECT first_seq - 1 FROM checker.replica WHERE replica = $1), 0)
            """);
        await using (find.ConfigureAwait(false))
        {
            find.Parameters.AddWithValue(replica);
            return (long)(await find.ExecuteScalarAsync().ConfigureAwait(false))!;
        }
    }
}

/// <summary>What a failure of the database is called outside: one line without statements, values or addresses.</summary>
internal static class PostgresFailure
{
    public static bool Is(Exception failure) =>
        failure is NpgsqlException or TimeoutException or IOException or SocketException or ObjectDisposedException;

    public static string TextOf(Exception failure) => failure switch
    {
        PostgresException said => $"the database says {said.SqlState}: {said.MessageText}",
        IOException told when told.InnerException is null => told.Message,
        _ => "the database does not answer",
    };
}
