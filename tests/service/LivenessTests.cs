using Agent.Service;

namespace Agent.Tests.Service;

public sealed class LivenessTests
{
    private const long T0 = 1_772_000_000_000;

    [Theory]
    [InlineData(0, Status.Online)]
    [InlineData(69_999, Status.Online)]
    [InlineData(70_000, Status.Late)]
    [InlineData(129_999, Status.Late)]
    [InlineData(130_000, Status.Silent)]
    [InlineData(100_000_000, Status.Silent)]
    public void A_device_is_late_after_one_announced_interval_and_silent_after_two(long afterMs, Status expected)
    {
        Liveness liveness = Told(Heartbeat("a", T0));

        Assert.Equal(expected, StatusOf(liveness, "a", T0 + afterMs));
    }

    [Fact]
    public void The_deadline_follows_the_interval_the_device_announced_last()
    {
        Liveness liveness = Told(Heartbeat("a", T0), Heartbeat("a", T0 + 60_000, number: 2, interval: 600));

        Assert.Equal(Status.Online, StatusOf(liveness, "a", T0 + 60_000 + 609_999));
        Assert.Equal(Status.Late, StatusOf(liveness, "a", T0 + 60_000 + 610_000));
    }

    [Fact]
    public void A_planned_renewal_within_the_wait_extends_it()
    {
        Liveness liveness = Told(Heartbeat("a", T0, renewal: 50));

        Assert.Equal(Status.Online, StatusOf(liveness, "a", T0 + 99_999));
        Assert.Equal(Status.Late, StatusOf(liveness, "a", T0 + 100_000));
        Assert.True(liveness.TryGet("a", T0, out DeviceView view) && view.IsRenewalAllowedFor);
    }

    [Fact]
    public void A_planned_renewal_after_the_wait_or_before_the_last_sign_of_life_changes_nothing()
    {
        Liveness after = Told(Heartbeat("a", T0, renewal: 71));
        Liveness before = Told(Heartbeat("a", T0, renewal: 50), Sign("a", T0 + 51_000));

        Assert.Equal(Status.Late, StatusOf(after, "a", T0 + 70_000));
        Assert.Equal(Status.Late, StatusOf(before, "a", T0 + 51_000 + 70_000));
    }

    [Fact]
    public void Other_telemetry_stands_in_for_a_heartbeat()
    {
        Liveness liveness = Told(Heartbeat("a", T0), Sign("a", T0 + 50_000));

        Assert.Equal(Status.Online, StatusOf(liveness, "a", T0 + 119_999));
        Assert.Equal(Status.Late, StatusOf(liveness, "a", T0 + 120_000));
    }

    [Fact]
    public void A_device_that_never_announced_an_interval_is_unknown_and_not_late()
    {
        Liveness liveness = Told(Sign("a", T0));

        Assert.Equal(Status.Unknown, StatusOf(liveness, "a", T0 + 1_000_000_000));
    }

    [Fact]
    public void A_disconnect_is_told_but_alone_is_no_alarm()
    {
        Liveness liveness = Told(Heartbeat("a", T0), Connection("a", T0 + 1000, 1, connected: false));

        Assert.True(liveness.TryGet("a", T0 + 2000, out DeviceView view));
        Assert.Equal(Status.Online, view.Status);
        Assert.False(view.IsConnected);
        Assert.Equal(T0 + 1000, view.ConnectionAtMs);
    }

    [Fact]
    public void The_highest_sequence_number_wins_whatever_the_times_say()
    {
        Liveness liveness = Told(
            Connection("a", T0 + 1000, 7, connected: true),
            Connection("a", T0 + 9000, 6, connected: false));

        Assert.True(liveness.TryGet("a", T0 + 10_000, out DeviceView view));
        Assert.True(view.IsConnected);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Order_and_repetition_of_facts_do_not_matter(int seed)
    {
        var draw = new Random(seed);
        var facts = new List<Fact>();
        for (int i = 0; i < 400; i++)
        {
            string device = "device-" + draw.Next(20);
            // Few distinct times, so that equal stamps with different contents occur.
            long at = T0 + (1000 * draw.Next(60));
            facts.Add(draw.Next(4) switch
            {
                0 => Sign(device, at),
                1 => Connection(device, at, (ulong)draw.Next(12), connected: draw.Next(2) == 0),
                _ => Heartbeat(device, at, (uint)draw.Next(5), 1 + draw.Next(90), draw.Next(2) == 0 ? Fact.NoRenewal : draw.Next(200)),
            });
        }

        string expected = Picture(Told([.. facts]));
        for (int round = 0; round < 20; round++)
        {
            List<Fact> mixed = [.. facts, .. facts.Where(_ => draw.Next(3) == 0)];
            draw.Shuffle(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(mixed));

            Assert.Equal(expected, Picture(Told([.. mixed])));
        }
    }

    [Fact]
    public void A_batch_that_does_not_fit_is_known_before_anything_is_applied()
    {
        var liveness = new Liveness(new LivenessSettings { DevicesMax = 2 });
        liveness.Apply(Sign("a", T0));

        Assert.True(liveness.HasRoomFor([Sign("a", T0), Sign("b", T0)]));
        Assert.False(liveness.HasRoomFor([Sign("b", T0), Sign("c", T0)]));
        Assert.Equal(1, liveness.Count);
    }

    [Fact]
    public void Many_devices_are_each_found_again()
    {
        var liveness = new Liveness(new LivenessSettings());
        for (int i = 0; i < 100_000; i++)
        {
            liveness.Apply(Heartbeat("sensor-" + i, T0 + i));
        }

        Assert.Equal(100_000, liveness.Count);
        for (int i = 0; i < 100_000; i++)
        {
            Assert.True(liveness.TryGet("sensor-" + i, T0, out DeviceView view));
            Assert.Equal(T0 + i, view.LastHeartbeatMs);
        }

        Assert.False(liveness.TryGet("sensor-100000", T0, out _));
    }

    [Theory]
    [InlineData("", false)]
    [InlineData("a", true)]
    [InlineData("A-z.0:9+%_#*?!(),=@$'", true)]
    [InlineData("a b", false)]
    [InlineData("a/b", false)]
    [InlineData("ä", false)]
    [InlineData("a\n", false)]
    public void Device_ids_follow_the_hubs_rule(string id, bool expected) => Assert.Equal(expected, DeviceIds.IsValid(id));

    [Fact]
    public void A_device_id_has_at_most_128_characters()
    {
        Assert.True(DeviceIds.IsValid(new string('a', 128)));
        Assert.False(DeviceIds.IsValid(new string('a', 129)));
    }

    private static string Picture(Liveness liveness)
    {
        var lines = new List<string>();
        for (int row = 0; row < liveness.Count; row++)
        {
            for (long after = 0; after <= 300_000; after += 25_000)
            {
                lines.Add(liveness.At(row, T0 + after).ToString());
            }
        }

        // Rows are in order of first sight, the one thing that may depend on the order of facts.
        lines.Sort(StringComparer.Ordinal);
        return string.Join('\n', lines);
    }

    private static Liveness Told(params Fact[] facts)
    {
        var liveness = new Liveness(new LivenessSettings());
        foreach (Fact fact in facts)
        {
            liveness.Apply(fact);
        }

        return liveness;
    }

    private static Status StatusOf(Liveness liveness, string device, long nowMs)
    {
        Assert.True(liveness.TryGet(device, nowMs, out DeviceView view));
        Assert.Equal(view.Status, liveness.StatusAt(0, nowMs));
        return view.Status;
    }

    private static Fact Sign(string device, long atMs) => new(FactKind.SignOfLife, device, atMs);

    private static Fact Heartbeat(string device, long atMs, uint number = 1, int interval = 60, int renewal = Fact.NoRenewal) =>
        new(FactKind.Heartbeat, device, atMs) { HeartbeatNumber = number, IntervalSeconds = interval, RenewalSeconds = renewal };

    private static Fact Connection(string device, long atMs, ulong order, bool connected) =>
        new(connected ? FactKind.Connected : FactKind.Disconnected, device, atMs) { Order = new SequenceNumber(0, 0, 0, order) };
}
