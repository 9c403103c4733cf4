using System.Text;
using Agent.Service;

namespace Agent.Tests.Service.Postgres;

/// <summary>Who decides about which part of the fleet, and that it is one at a time.</summary>
public sealed class SlotTests
{
    [Fact]
    public async Task Slots_are_shared_evenly_and_a_dead_replicas_are_taken_over()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        using var first = new ReplicaRig(database);
        await first.TurnAsync(2);
        Assert.Equal([64], Held(first));

        using var second = new ReplicaRig(database);
        using var third = new ReplicaRig(database);
        ReplicaRig[] all = [first, second, third];
        await TurnAsync(4, all);
        Assert.Equal([20, 22, 22], Held(all).Order());
        Assert.Equal(3, first.Store.Living);

        await first.DieAsync();
        await TurnAsync(3, second, third);
        Assert.Equal([32, 32], Held(second, third));
        Assert.Equal(64, await third.AskAsync<int>(
            $"SELECT count(*) FROM checker.slot WHERE owner IN ({second.Store.Replica}, {third.Store.Replica})"));
    }

    [Fact]
    public async Task One_that_ends_in_order_gives_its_slots_back_at_once()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        using var stays = new ReplicaRig(database);
        var leaves = new ReplicaRig(database);
        await TurnAsync(3, stays, leaves);
        Assert.Equal([32, 32], Held(stays, leaves));

        leaves.Dispose();
        await stays.TurnAsync(2);
        Assert.Equal([64], Held(stays));
    }

    [Fact]
    public async Task A_silence_is_raised_once_with_one_number_and_cleared_once_whoever_owns_it()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        using var first = new ReplicaRig(database);
        using var second = new ReplicaRig(database);
        await TurnAsync(3, first, second);
        for (int device = 0; device < 10; device++)
        {
            await first.BeatAsync("device-" + device, agoSeconds: 600);
        }

        await TurnAsync(3, first, second);
        Assert.Equal(10, await first.AskAsync<int>("SELECT count(*) FROM checker.alarm"));
        Assert.Equal(Numbers(first), Numbers(second));
        Assert.Equal(Enumerable.Range(1, 10).Select(number => (long)number), Numbers(first).Order());

        await first.DieAsync();
        await second.BeatAsync("device-3");
        await second.TurnAsync(4);
        Assert.Equal(10, await second.AskAsync<int>("SELECT count(*) FROM checker.alarm"));
        Assert.Equal(9, second.Open());
        Assert.Equal(11, second.Told.Count);
        Assert.Equal("device-3", await second.AskAsync<string>("SELECT subject FROM checker.alarm WHERE cleared_ms IS NOT NULL"));
    }

    [Fact]
    public async Task A_replica_that_was_paused_and_replaced_changes_nothing()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        using var paused = new ReplicaRig(database);
        using var other = new ReplicaRig(database);
        await paused.TurnAsync(2);
        Assert.Equal([64], Held(paused));
        await paused.BeatAsync("device-1", agoSeconds: 30);
        await paused.BeatAsync("device-2", agoSeconds: 600);
        await paused.TurnAsync(2);
        Assert.Equal(1, paused.Open());
        (int slot, int otherSlot) = (Share.SlotOf("device-1"u8), Share.SlotOf("device-2"u8));
        long epoch = paused.Store.EpochOf(slot);
        Alarm open = paused.Loop.Ask((checker, _) => checker.Alarms.Open.Single());

        // Here it stops, with a raise, a clear and a fold on its way; and goes on when the other one has everything.
        await paused.DieAsync();
        await other.TurnAsync(2);
        Assert.Equal([64], Held(other));
        var raise = new Alarm(0, AlarmKind.DeviceSilent, 0, paused.NowMs) { BeganAtMs = paused.NowMs };
        await paused.Store.RecordAsync(
        [
            new AlarmWish(raise, "device-1", slot, epoch),
            new AlarmWish(open with { ClearedAtMs = paused.NowMs }, "device-2", otherSlot, paused.Store.EpochOf(otherSlot)),
        ]);
        await paused.Loop.FoldAsync();

        Assert.Equal(1, await other.AskAsync<int>("SELECT count(*) FROM checker.alarm WHERE cleared_ms IS NULL"));
        Assert.Equal(1, await other.AskAsync<int>("SELECT count(*) FROM checker.alarm"));
        Assert.Equal(0, await other.AskAsync<int>("SELECT count(*) FROM checker.device"));
        Assert.Equal(0, await other.AskAsync<int>("SELECT count(*) FROM checker.slot WHERE folded_s > 0"));

        // Awake again it follows, and takes its part.
        await TurnAsync(4, paused, other);
        Assert.Equal([32, 32], Held(paused, other));
        Assert.Equal(paused.Picture(), other.Picture());
    }

    [Fact]
    public async Task Who_does_not_trust_his_own_eyes_leaves_the_slots_to_those_who_do()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        using var sure = new ReplicaRig(database);
        using var unsure = new ReplicaRig(database);
        await TurnAsync(3, sure, unsure);
        unsure.Loop.Ask((checker, nowMs) =>
        {
            checker.Doubt.Hold(nowMs + 60_000);
            return 0;
        });
        await TurnAsync(4, unsure, sure);
        Assert.Equal([64, 0], Held(sure, unsure));

        // Nobody else is left: better an unsure one than none.
        await sure.DieAsync();
        await unsure.TurnAsync(3);
        Assert.Equal([64], Held(unsure));
    }

    [Fact]
    public async Task Lost_sites_and_the_lost_fleet_have_one_alarm_each_and_one_end()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        LivenessSettings settings = ReplicaRig.Settings with { MassLossDevices = 20, MassLossShare = 0.5, LossSettleMs = 0 };
        ReplicaRig[] all = [new(database, settings), new(database, settings), new(database, settings)];
        await TurnAsync(4, all);
        for (int device = 0; device < 100; device++)
        {
            await all[device % 3].BeatAsync("device-" + device, number: 1, site: device < 10 ? "north" : "south");
        }

        await TurnAsync(6, all);
        Assert.Equal("", await KindsAsync(all[0]));
        await BeatsAsync(all[1], 200, 230, site: "west", number: 1, interval: 4);
        await TurnUntilAsync("siteLost west", all);
        await all[1].DieAsync();
        await BeatsAsync(all[0], 200, 230, site: "west", number: 2);
        await TurnUntilAsync("", all[0], all[2]);
        Assert.Equal(1, await all[0].AskAsync<int>("SELECT count(*) FROM checker.alarm"));

        await BeatsAsync(all[0], 1000, 1300, site: null, number: 1, interval: 4);
        await TurnUntilAsync("fleetLost fleet", all[0], all[2]);
        await all[0].DieAsync();
        await BeatsAsync(all[2], 1000, 1300, site: null, number: 2);
        await TurnUntilAsync("", all[2]);
        Assert.Equal(2, await all[2].AskAsync<int>("SELECT count(*) FROM checker.alarm"));
        Assert.All(all, rig => rig.Dispose());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Through_any_order_of_turns_deaths_and_starts_every_outage_is_one_alarm(int seed)
    {
        string database = await PostgresServer.NewDatabaseAsync();
        var draw = new Random(seed);
        var living = new List<ReplicaRig> { new(database), new(database), new(database) };
        var dead = new List<ReplicaRig>();
        int[] outages = new int[30];
        bool[] isOut = new bool[30];
        uint number = 0;
        for (int step = 0; step < 150; step++)
        {
            ReplicaRig one = living[draw.Next(living.Count)];
            int device = draw.Next(isOut.Length);
            switch (draw.Next(12))
            {
                case 0 when !isOut[device]:
                    // It has long been silent, as of a moment of its own.
                    isOut[device] = true;
                    outages[device]++;
                    Assert.Null(await one.BeatAsync(Name(device, outages), agoSeconds: 400, number: ++number));
                    break;
                case 1 when isOut[device] && await IsRaisedAsync(one, Name(device, outages)):
                    isOut[device] = false;
                    Assert.Null(await one.BeatAsync(Name(device, outages), number: ++number));
                    break;
                case 2 when living.Count > 1:
                    living.Remove(one);
                    dead.Add(one);
                    await one.DieAsync();
                    break;
                case 3 when living.Count < 4:
                    living.Add(new ReplicaRig(database));
                    break;
                case 4:
                    await one.Loop.FoldAsync();
                    break;
                case 5 when dead.Count > 0:
                    // Somebody who was only paused goes on where he stopped.
                    living.Add(dead[^1]);
                    dead.RemoveAt(dead.Count - 1);
                    break;
                default:
                    await one.TurnAsync();
                    break;
            }
        }

        await TurnAsync(6, [.. living]);
        await Task.Delay(600); // A replica that has just come looks at what became worse in its next tick.
        await TurnAsync(1, [.. living]);
        int expected = outages.Sum();
        Assert.InRange(expected, 5, int.MaxValue);
        Assert.Equal(expected, await living[0].AskAsync<int>("SELECT count(*) FROM checker.alarm"));
        Assert.Equal(expected, await living[0].AskAsync<int>("SELECT count(DISTINCT (subject, began_ms)) FROM checker.alarm"));
        Assert.Equal(
            isOut.Count(each => each), await living[0].AskAsync<int>("SELECT count(*) FROM checker.alarm WHERE cleared_ms IS NULL"));
        Assert.All(living, rig => Assert.Equal(living[0].Picture(), rig.Picture()));
        Assert.All(living.Concat(dead), rig => rig.Dispose());
    }

    // A device of its own for each outage: its only sign of life before it is the one it fell silent after.
    private static string Name(int device, int[] outages) => $"device-{device}-{outages[device]}";

    private static async Task<bool> IsRaisedAsync(ReplicaRig rig, string device) =>
        await rig.AskAsync<int>($"SELECT count(*) FROM checker.alarm WHERE subject = '{device}' AND cleared_ms IS NULL") == 1;

    private static int[] Held(params ReplicaRig[] rigs) => [.. rigs.Select(rig => rig.Store.SlotsHeld)];

    private static long[] Numbers(ReplicaRig rig) =>
        rig.Loop.Ask((checker, _) => checker.Alarms.Open
            .OrderBy(alarm => checker.Table.Id(alarm.Subject)).Select(alarm => alarm.Number).ToArray());

    private static async Task TurnAsync(int times, params ReplicaRig[] rigs)
    {
        for (int i = 0; i < times; i++)
        {
            foreach (ReplicaRig rig in rigs)
            {
                await rig.TurnAsync();
            }
        }

        // A look more for each: what the last one changed.
        foreach (ReplicaRig rig in rigs)
        {
            await rig.TurnAsync();
        }
    }

    private static async Task TurnUntilAsync(string kinds, params ReplicaRig[] rigs)
    {
        var waited = System.Diagnostics.Stopwatch.StartNew();
        string now = "?";
        while (now != kinds)
        {
            Assert.True(waited.Elapsed < TimeSpan.FromSeconds(30), now);
            await TurnAsync(1, rigs);
            await Task.Delay(100);
            now = await KindsAsync(rigs[0]);
        }
    }

    private static Task BeatsAsync(ReplicaRig rig, int first, int end, string? site, uint number, int interval = 60) =>
        rig.BeatAsync(Enumerable.Range(first, end - first).Select(device => "device-" + device), 0, number, site, interval);

    private static async Task<string> KindsAsync(ReplicaRig rig)
    {
        var text = new StringBuilder(await rig.AskAsync<string>(
            "SELECT coalesce(string_agg(kind || ' ' || subject, ', ' ORDER BY kind), '') FROM checker.alarm WHERE cleared_ms IS NULL"));
        return text.Replace("3 ", "siteLost ").Replace("4 ", "fleetLost ").ToString();
    }
}
