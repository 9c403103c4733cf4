using Agent.Service.Alarms;
using Agent.Tests.Service.Alarms;

namespace Agent.Tests.Service.Postgres;

public sealed class PostgresOutboxTests
{
    private static readonly long Now = Notices.StartMs;
    private static readonly Destination Ops = Notices.To(new Uri("https://x.example/"));

    [Fact]
    public async Task A_claimed_row_is_nobody_elses_until_the_lease_ends_and_the_oldest_come_first()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        using var first = new ReplicaRig(database);
        using var second = new ReplicaRig(database);
        (PostgresOutbox one, PostgresOutbox other) = (new PostgresOutbox(first.Store), new PostgresOutbox(second.Store));
        await one.IntroduceAsync("ops", 0);
        foreach (long episode in new long[] { 5, 3, 9, 4 })
        {
            Assert.True(await one.AppendAsync([Notices.Of(NoticeEdge.Raised, episode)], [Ops]));
        }

        Assert.Equal([3, 4, 5], (await one.ClaimAsync("ops", Now, Now + 1_500, 3, default)).Select(row => row.Episode));
        Assert.Equal([9], (await other.ClaimAsync("ops", Now, Now + 60_000, 3, default)).Select(row => row.Episode));
        Assert.Empty(await other.ClaimAsync("ops", Now, Now + 60_000, 3, default));
        Assert.Empty(await other.ClaimAsync("else", Now, Now + 60_000, 3, default));
        await Task.Delay(1_600);
        Assert.Equal([3, 4, 5], (await other.ClaimAsync("ops", Now, Now + 60_000, 9, default)).Select(row => row.Episode));
    }

    [Fact]
    public async Task What_all_replicas_add_at_once_and_again_later_is_there_once()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        ReplicaRig[] rigs = [new(database), new(database), new(database)];
        PostgresOutbox[] boxes = [.. rigs.Select(rig => new PostgresOutbox(rig.Store))];
        await boxes[0].IntroduceAsync("ops", 10);
        Notice[] edges = [.. Enumerable.Range(1, 40)
            .SelectMany(episode => new[] { Notices.Of(NoticeEdge.Raised, episode), Notices.Of(NoticeEdge.Cleared, episode) })];
        await Task.WhenAll(boxes.Select(box => Task.Run(async () =>
        {
            for (int i = 0; i < edges.Length; i += 8)
            {
                await box.AppendAsync(edges[i..(i + 8)], [Ops]);
            }
        })));

        // Ten of them are of before the destination was known.
        IReadOnlyList<Delivery> rows = await boxes[1].ClaimAsync("ops", Now, Now + 60_000, 100, default);
        Assert.Equal(Enumerable.Range(11, 30).Select(episode => (long)episode), rows.Select(row => row.Episode));
        Assert.All(rows, row => Assert.Equal([NoticeEdge.Raised, NoticeEdge.Cleared], row.Notices.Select(notice => notice.Edge)));
        foreach (Delivery row in rows)
        {
            await boxes[1].RecordAsync(row with { Settled = 2 }, default);
        }

        Assert.False(await boxes[2].AppendAsync(edges, [Ops]));
        Assert.Empty(await boxes[0].ClaimAsync("ops", Now, Now + 60_000, 100, default));
        Assert.Equal((0, 0L), (boxes[0].Waiting("ops"), boxes[0].Overflown));
        Assert.All(rigs, rig => rig.Dispose());
    }

    [Fact]
    public async Task A_clear_that_comes_while_the_raise_is_under_way_is_told_next_and_alone_it_is_not_told()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        using var rig = new ReplicaRig(database);
        var box = new PostgresOutbox(rig.Store);
        await box.IntroduceAsync("ops", 0);
        Assert.False(await box.AppendAsync([Notices.Of(NoticeEdge.Cleared, 7)], [Ops]));
        await box.AppendAsync([Notices.Of(NoticeEdge.Raised)], [Ops]);
        Delivery claimed = (await box.ClaimAsync("ops", Now, Now + 60_000, 1, default)).Single();
        await box.AppendAsync([Notices.Of(NoticeEdge.Cleared)], [Ops]);
        await box.RecordAsync(DeliveryRules.After(claimed, PostOutcome.Delivered, new DeliveryPatience(), Now, 0), default);

        Delivery next = Assert.Single(await box.ClaimAsync("ops", Now, Now + 60_000, 1, default));
        Assert.Equal(NoticeEdge.Cleared, next.Notices[next.Settled].Edge);
        Assert.Equal(1, await rig.AskAsync<int>("SELECT count(*) FROM checker.outbox"));
    }

    [Fact]
    public async Task A_record_that_comes_after_its_lease_takes_nothing_back()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        using var rig = new ReplicaRig(database);
        var box = new PostgresOutbox(rig.Store);
        await box.IntroduceAsync("ops", 0);
        await box.AppendAsync([Notices.Of(NoticeEdge.Raised), Notices.Of(NoticeEdge.Cleared)], [Ops]);
        Delivery late = (await box.ClaimAsync("ops", Now, Now, 1, default)).Single();
        Delivery other = (await box.ClaimAsync("ops", Now, Now, 1, default)).Single();
        await box.RecordAsync(other with { Settled = 1 }, default);
        await box.RecordAsync(late with { Attempts = 1, NextMs = Now + 1000 }, default);

        Delivery next = (await box.ClaimAsync("ops", Now, Now + 60_000, 1, default)).Single();
        Assert.Equal((1, 0), (next.Settled, next.Attempts));
    }
}
