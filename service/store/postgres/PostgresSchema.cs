using System.Globalization;
using System.Text;
using Npgsql;

namespace Agent.Service;

/// <summary>Brings the tables to the version this program knows.</summary>
/// <remarks>
/// Numbered files of SQL beside this one, each applied once, in order, in a transaction that also notes it; an advisory lock makes replicas
/// that start together wait for the first. A file that was ever released is not changed: what is to be different is a new file.
/// A database of a later version is refused, and a replica that meets one while it runs ends, so that an old program cannot write what
/// a new one would misread.
/// </remarks>
public static class PostgresSchema
{
    // Any number that others are unlikely to use: "Agent" in ASCII.
    private const long LockKey = 0x4167656E74;

    private static readonly string[] Files = [.. ReadFiles()];

    /// <summary>The version this program knows.</summary>
    public static int Version => Files.Length;

    /// <summary>Migrates, up to some version when told so.</summary>
    /// <returns>How many versions were applied.</returns>
    /// <exception cref="StoreException">The database is of a later version.</exception>
    /// <exception cref="NpgsqlException">It cannot be had, or does not allow it.</exception>
    public static async Task<int> MigrateAsync(NpgsqlDataSource source, int? upTo = null)
    {
        ArgumentNullException.ThrowIfNull(source);
        NpgsqlConnection connection = await source.OpenConnectionAsync().ConfigureAwait(false);
        await using (connection.ConfigureAwait(false))
        {
            NpgsqlTransaction transaction = await connection.BeginTransactionAsync().ConfigureAwait(false);
            await using (transaction.ConfigureAwait(false))
            {
                await RunAsync(connection, $"SELECT pg_advisory_xact_lock({LockKey})").ConfigureAwait(false);
                int version = await FindVersionAsync(connection).ConfigureAwait(false);
                if (version > Version)
                {
                    throw new StoreException(
                        $"the database has schema version {version}, this program knows up to {Version}: it is too old for it");
                }

                int applied = 0;
                for (int next = version + 1; next <= (upTo ?? Version); next++, applied++)
                {
                    await RunAsync(connection, Files[next - 1]).ConfigureAwait(false);
                    await RunAsync(connection, $"INSERT INTO checker.schema_version (version) VALUES ({next})").ConfigureAwait(false);
                }

                await transaction.CommitAsync().ConfigureAwait(false);
                return applied;
            }
        }
    }

    private static async Task<int> FindVersionAsync(NpgsqlConnection connection)
    {
        // Asked for first: whoever may not make schemas can use one that somebody else has made.
        using (var ask = new NpgsqlCommand("SELECT to_regclass('checker.schema_version') IS NOT NULL", connection))
        {
            if (await ask.ExecuteScalarAsync().ConfigureAwait(false) is not true)
            {
                await RunAsync(connection, """
                    CREATE SCHEMA IF NOT EXISTS checker;
                    CREATE TABLE checker.schema_version (
                        version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())
                    """).ConfigureAwait(false);
                return 0;
            }
        }

        using var find = new NpgsqlCommand("SELECT coalesce(max(version), 0) FROM checker.schema_version", connection);
        return (int)(await find.ExecuteScalarAsync().ConfigureAwait(false))!;
    }

    private static async Task RunAsync(NpgsqlConnection connection, string text)
    {
        using var command = new NpgsqlCommand(text, connection) { CommandTimeout = 300 };
        await command.ExecuteNonQueryAsync().ConfigureAwait(false);
    }

    private static IEnumerable<string> ReadFiles()
    {
        for (int number = 1; ; number++)
        {
            string name = string.Create(CultureInfo.InvariantCulture, $"Agent.Service.store.postgres.schema.{number:0000}.sql");
            using Stream? file = typeof(PostgresSchema).Assembly.GetManifestResourceStream(name);
            if (file is null)
            {
                yield break;
            }

            using var reader = new StreamReader(file, Encoding.UTF8);
            yield return reader.ReadToEnd();
        }
    }
}
