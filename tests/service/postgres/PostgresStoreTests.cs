using Agent.Service;

namespace Agent.Tests.Service.Postgres;

public sealed class PostgresStoreTests
{
    [Fact]
    public async Task What_one_replica_took_all_know_after_a_turn_and_so_does_one_that_comes_later()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        using var first = new ReplicaRig(database);
        using var second = new ReplicaRig(database);
        await TellAsync(first, second);
        Assert.Equal("", first.Picture());
        await first.TurnAsync();
        await second.TurnAsync();
        using var third = new ReplicaRig(database);

        string picture = first.Picture();
        Assert.Contains("HubCode", picture, StringComparison.Ordinal);
        Assert.Equal(5, picture.Split('\n').Length);
        Assert.Equal(picture, second.Picture());
        await Task.Delay(600); // What became worse while nobody looked is looked at in the next tick.
        await third.TurnAsync();
        Assert.Equal(picture, third.Picture());
    }

    [Fact]
    public async Task What_was_folded_into_rows_comes_back_from_them_when_the_journal_is_gone()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        using var first = new ReplicaRig(database, keepJournal: TimeSpan.Zero);
        await first.TurnAsync(2);
        await TellAsync(first, first);
        await first.TurnAsync();
        await first.Loop.FoldAsync();
        Assert.Equal(0, await first.AskAsync<int>("SELECT count(*) FROM checker.journal"));
        Assert.Equal(5, await first.AskAsync<int>("SELECT count(*) FROM checker.device"));

        await first.BeatAsync("device-9");
        await first.TurnAsync();
        using var second = new ReplicaRig(database);
        await second.TurnAsync();
        Assert.Equal(first.Picture(), second.Picture());

        // And again over the rows there are.
        await first.BeatAsync("device-1", number: 77);
        await first.TurnAsync();
        await first.Loop.FoldAsync();
        using var third = new ReplicaRig(database);
        await third.TurnAsync();
        Assert.Equal(first.Picture(withSince: true), third.Picture(withSince: true));
    }

    [Fact]
    public async Task Who_takes_a_slot_over_writes_what_the_dead_owner_had_not_written()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        using var first = new ReplicaRig(database, keepJournal: TimeSpan.Zero);
        using var second = new ReplicaRig(database, keepJournal: TimeSpan.Zero);
        await first.TurnAsync(2);
        await TellAsync(second, second);
        await first.TurnAsync();
        await second.TurnAsync();
        await first.DieAsync();
        await second.TurnAsync(2);
        await second.Loop.FoldAsync();

        Assert.Equal(0, await second.AskAsync<int>("SELECT count(*) FROM checker.journal"));
        using var third = new ReplicaRig(database);
        await third.TurnAsync();
        Assert.Equal(second.Picture(), third.Picture());
    }

    [Fact]
    public async Task A_replica_that_missed_what_the_journal_no_longer_has_says_that_it_must_start_anew()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        using var first = new ReplicaRig(database, keepJournal: TimeSpan.Zero);
        using var asleep = new ReplicaRig(database);
        await first.TurnAsync(2);
        await first.BeatAsync("device-1");
        await first.TurnAsync();
        await first.Loop.FoldAsync();

        StoreException over = await Assert.ThrowsAsync<StoreException>(() => asleep.TurnAsync());
        Assert.Contains("start anew", over.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_acknowledged_is_lost_when_connections_break_all_the_time()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        using var taker = new ReplicaRig(database);
        using var reader = new ReplicaRig(database);
        var acknowledged = new Dictionary<string, uint>();
        using var enough = new CancellationTokenSource(TimeSpan.FromSeconds(4));
        Task breaking = Task.Run(async () =>
        {
            while (!enough.IsCancellationRequested)
            {
                await Task.Delay(100);
                await taker.RunAsync(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    + "WHERE datname = current_database() AND pid <> pg_backend_pid()");
            }
        });
        int refused = 0;
        for (uint number = 1; !enough.IsCancellationRequested; number++)
        {
            string device = "device-" + (number % 5);
            if (await taker.BeatAsync(device, number: number) is null)
            {
                acknowledged[device] = number;
            }
            else
            {
                refused++;
            }

            await reader.Loop.TurnAsync().ContinueWith(_ => { }, TaskScheduler.Default);
        }

        await breaking;
        Assert.InRange(refused, 1, int.MaxValue);
        Assert.Equal(5, acknowledged.Count);
        await Task.Delay(300);
        await reader.Loop.TurnAsync().ContinueWith(_ => { }, TaskScheduler.Default); // With what is left of its broken connections.
        await reader.TurnAsync();
        using var later = new ReplicaRig(database);
        foreach ((string device, uint number) in acknowledged)
        {
            Assert.All([reader, later], rig => Assert.InRange(
                rig.Loop.Ask((checker, nowMs) => checker.At(checker.Find(device), nowMs).HeartbeatNumber!.Value), number, uint.MaxValue));
        }

        Assert.True(await reader.AskAsync<bool>(
            "SELECT bool_and(first = 1 AND last = rows) FROM (SELECT min(seq) AS first, max(seq) AS last, count(*) AS rows "
            + "FROM checker.journal GROUP BY replica) AS numbers"));
    }

    [Fact]
    public async Task While_the_database_is_away_facts_are_refused_and_nobody_is_late_and_then_it_goes_on()
    {
        await using PostgresServer server = await PostgresServer.StartAsync();
        string database = await server.CreateDatabaseAsync();
        using var rig = new ReplicaRig(database, ReplicaRig.Settings with { SelfDoubtMs = 500, SelfDoubtHoldMs = 0, SlowStartMs = 60_000 });
        await rig.RunAsync("UPDATE checker.service SET started_at = '-infinity'");
        await rig.TurnAsync(2);
        Assert.Null(await rig.BeatAsync("device-1", agoSeconds: 119));
        await rig.TurnAsync();

        await server.CrashAsync();
        Assert.Contains("cannot be kept", await rig.BeatAsync("device-2"), StringComparison.Ordinal);
        await Assert.ThrowsAnyAsync<Exception>(() => rig.TurnAsync());
        Assert.NotNull(rig.Loop.Failure);
        await Task.Delay(1500);
        Assert.Equal(Status.Late, rig.Loop.Ask((checker, _) => checker.StatusOf(checker.Find("device-1"))));

        await server.BeginAsync();
        await Task.Delay(300);
        Assert.Null(await rig.BeatAsync("device-2"));
        await rig.TurnAsync(2);
        Assert.Null(rig.Loop.Failure);
        // Its deadline passed while nobody could tell us of it: it has a minute.
        Assert.Equal(Status.Late, rig.Loop.Ask((checker, _) => checker.StatusOf(checker.Find("device-1"))));
        Assert.Equal(2, rig.Loop.Ask((checker, _) => checker.Count));
    }

    private static async Task TellAsync(ReplicaRig one, ReplicaRig other)
    {
        Assert.Null(await one.BeatAsync("device-1", agoSeconds: 90, number: 5, site: "Łódź"));
        Assert.Null(await other.BeatAsync("device-1", agoSeconds: 30, number: 6, site: "Łódź"));
        Assert.Null(await one.BeatAsync("device-1", agoSeconds: 30, number: 6, site: "Łódź"));
        Assert.Null(await other.LinkAsync("device-2", agoSeconds: 500, order: 1UL << 40, isConnected: true));
        Assert.Null(await one.LinkAsync("device-2", agoSeconds: 60, order: (1UL << 40) + 1, isConnected: false));
        Assert.Null(await one.LogAsync(FactKind.LoggedDisconnect, "device-2", agoSeconds: 60, code: 404104));
        Assert.Null(await one.LogAsync(FactKind.LoggedConnect, "device-3", agoSeconds: 70.5));
        Assert.Null(await other.LogAsync(FactKind.LoggedConnect, "device-3", agoSeconds: 3.25));
        Assert.Null(await other.LogAsync(FactKind.Deleted, "device-4", agoSeconds: 3));
        Assert.Null(await one.BeatAsync("device-5", agoSeconds: 3600));
    }
}
