using Agent.Service;
using Agent.Service.Alarms;

namespace Agent.Tests.Service.Postgres;

/// <summary>Who says to one replica that he knows of an alarm has said it to all of them.</summary>
public sealed class SharedAcknowledgementTests
{
    [Fact]
    public async Task The_first_word_counts_at_every_replica_and_after_their_end()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        using var first = new ReplicaRig(database);
        using var second = new ReplicaRig(database);
        using Acknowledgements atFirst = Acknowledgements.Open(null, first.Loop);
        using Acknowledgements atSecond = Acknowledgements.Open(null, second.Loop);
        await TurnAsync(3, first, second);
        await first.BeatAsync("device-1", agoSeconds: 600);
        await TurnAsync(3, first, second);
        long number = Assert.Single(first.Told).Number;
        second.Told.Clear();

        Acknowledgement kim = new("kim", 1_800_000_000_000);
        Acknowledgement?[] answers = await Task.WhenAll(
            atFirst.AddAsync(number, "kim", kim.AtMs), atFirst.AddAsync(number, "kim", kim.AtMs));
        Assert.All(answers, answer => Assert.Equal(kim, answer));
        Assert.Equal(kim, await atSecond.AddAsync(number, "lee", kim.AtMs + 1));
        await TurnAsync(2, first, second);

        Assert.All([first, second], rig => Assert.Equal(kim, WordOf(rig, number)));
        Assert.Equal(number, Assert.Single(second.Told).Number);
        using var third = new ReplicaRig(database);
        Assert.Equal(kim, WordOf(third, number));
    }

    [Fact]
    public async Task Nobody_can_acknowledge_what_is_over()
    {
        using var rig = new ReplicaRig(await PostgresServer.NewDatabaseAsync());
        using Acknowledgements words = Acknowledgements.Open(null, rig.Loop);
        await rig.TurnAsync(2);
        await rig.BeatAsync("device-1", agoSeconds: 600);
        await rig.TurnAsync(3);
        long number = Assert.Single(rig.Told).Number;
        await rig.RunAsync("UPDATE checker.alarm SET cleared_ms = 1");

        Assert.Null(await words.AddAsync(number, "kim", 2));
        Assert.Null(await words.AddAsync(number + 1, "kim", 2));
    }

    private static Acknowledgement? WordOf(ReplicaRig rig, long number) =>
        rig.Loop.Ask((checker, _) => checker.Alarms.AcknowledgementOf(number));

    private static async Task TurnAsync(int times, params ReplicaRig[] rigs)
    {
        for (int i = 0; i < times; i++)
        {
            foreach (ReplicaRig rig in rigs)
            {
                await rig.TurnAsync();
            }
        }
    }
}
