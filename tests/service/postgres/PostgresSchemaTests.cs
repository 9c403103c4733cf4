using Agent.Service;
using Npgsql;

namespace Agent.Tests.Service.Postgres;

public sealed class PostgresSchemaTests
{
    [Fact]
    public async Task An_older_schema_is_brought_up_once_and_keeps_what_it_has()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        await using NpgsqlDataSource source = NpgsqlDataSource.Create(database);
        Assert.Equal(1, await PostgresSchema.MigrateAsync(source, upTo: 1));
        await ReplicaRig.RunAsync(database, """
            INSERT INTO checker.device VALUES ('device-1', 0, 6, 1, 0, '',
                decode('01200000' || repeat('00', 38) || '01000000' || repeat('00', 21), 'hex'))
            """);

        Assert.Equal(PostgresSchema.Version - 1, await PostgresSchema.MigrateAsync(source));
        Assert.Equal(0, await PostgresSchema.MigrateAsync(source));
        using var rig = new ReplicaRig(database);
        Assert.Equal(Status.Retired, rig.Loop.Ask((checker, _) => checker.StatusOf(checker.Find("device-1"))));
    }

    [Fact]
    public async Task Replicas_that_start_together_migrate_once()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        await using NpgsqlDataSource source = NpgsqlDataSource.Create(database);
        int[] applied = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => PostgresSchema.MigrateAsync(source))));

        Assert.Equal(PostgresSchema.Version, applied.Sum());
        Assert.Single(applied, count => count > 0);
        Assert.Equal(Share.Slots, await ReplicaRig.AskAsync<int>(database, "SELECT count(*) FROM checker.slot"));
    }

    [Fact]
    public async Task A_migration_that_fails_leaves_nothing_behind()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        await using NpgsqlDataSource source = NpgsqlDataSource.Create(database);
        await PostgresSchema.MigrateAsync(source, upTo: 1);
        await ReplicaRig.RunAsync(database, "CREATE TABLE checker.outbox (taken integer)");

        await Assert.ThrowsAsync<PostgresException>(() => PostgresSchema.MigrateAsync(source));
        Assert.Equal(1, await ReplicaRig.AskAsync<int>(database, "SELECT max(version) FROM checker.schema_version"));
        Assert.True(await ReplicaRig.AskAsync<bool>(database, "SELECT to_regclass('checker.alarm') IS NULL"));
        StoreException refused = Assert.Throws<StoreException>(() => new ReplicaRig(database));
        Assert.DoesNotContain("\n", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_later_schema_is_refused_at_the_start_and_ends_a_replica_that_meets_it()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        using var rig = new ReplicaRig(database);
        rig.Loop.Run();
        await rig.RunAsync("INSERT INTO checker.schema_version (version) VALUES (99)");

        Assert.Contains("too old", await rig.Loop.Ended.WaitAsync(TimeSpan.FromSeconds(30)), StringComparison.Ordinal);
        Assert.Contains("too old", await rig.BeatAsync("device-1"), StringComparison.Ordinal);
        Assert.Contains("99", Assert.Throws<StoreException>(() => new ReplicaRig(database)).Message, StringComparison.Ordinal);
    }
}
