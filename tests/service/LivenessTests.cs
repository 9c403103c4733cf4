using Agent.Service;

namespace Agent.Tests.Service;

public sealed class LivenessTests
{
    private const long T0 = Told.T0;

    [Theory]
    [InlineData(0, Status.Online)]
    [InlineData(69_999, Status.Online)]
    [InlineData(70_000, Status.Late)]
    [InlineData(129_999, Status.Late)]
    [InlineData(130_000, Status.Silent)]
    [InlineData(100_000_000, Status.Silent)]
    public void A_device_is_late_after_one_announced_interval_and_silent_after_two(long afterMs, Status expected)
    {
        Told told = new Told().Heartbeat("a", T0);

        Assert.Equal(expected, told.StatusAt("a", T0 + afterMs));
    }

    [Fact]
    public void The_deadline_follows_the_interval_the_device_announced_last()
    {
        Told told = new Told().Heartbeat("a", T0).Heartbeat("a", T0 + 60_000, number: 2, interval: 600);

        Assert.Equal(Status.Online, told.StatusAt("a", T0 + 60_000 + 609_999));
        Assert.Equal(Status.Late, told.StatusAt("a", T0 + 60_000 + 610_000));
    }

    [Fact]
    public void A_deadline_that_moves_nearer_is_kept_to_the_tick()
    {
        Told told = new Told().Heartbeat("a", T0, interval: 604_800).Heartbeat("a", T0 + 1000, number: 2, interval: 1);

        Assert.Equal(Status.Online, told.StatusAt("a", T0 + 11_750));
        Assert.Equal(Status.Late, told.StatusAt("a", T0 + 12_000));
        Assert.Equal(Status.Silent, told.StatusAt("a", T0 + 13_000));
    }

    [Fact]
    public void A_planned_renewal_within_the_wait_extends_it()
    {
        Told told = new Told().Heartbeat("a", T0, renewal: 50);

        Assert.True(told.View("a", T0).IsRenewalAllowedFor);
        Assert.Equal(Status.Online, told.StatusAt("a", T0 + 49_999));
        Assert.Equal(Status.Renewing, told.StatusAt("a", T0 + 50_000));
        Assert.Equal(Status.Renewing, told.StatusAt("a", T0 + 79_999));
        Assert.Equal(Status.Online, told.StatusAt("a", T0 + 99_999));
        Assert.Equal(Status.Late, told.StatusAt("a", T0 + 100_000));
        Assert.Equal(Cause.RenewalFailed, told.View("a", T0 + 100_000).Cause);
    }

    [Fact]
    public void A_device_that_says_how_long_its_renewal_takes_gets_that_long()
    {
        Told told = new Told().Heartbeat("a", T0, renewal: 50, gap: 120);

        Assert.Equal(Status.Renewing, told.StatusAt("a", T0 + 169_999));
        Assert.Equal(Status.Late, told.StatusAt("a", T0 + 190_000));
    }

    [Fact]
    public void A_planned_renewal_after_the_wait_or_before_the_last_sign_of_life_changes_nothing()
    {
        Told after = new Told().Heartbeat("a", T0, renewal: 71);
        Told before = new Told().Heartbeat("a", T0, renewal: 50).Sign("a", T0 + 51_000);

        Assert.Equal(Status.Late, after.StatusAt("a", T0 + 70_000));
        Assert.Equal(Status.Late, before.StatusAt("a", T0 + 51_000 + 70_000));
    }

    [Fact]
    public void Other_telemetry_stands_in_for_a_heartbeat()
    {
        Told told = new Told().Heartbeat("a", T0).Sign("a", T0 + 50_000);

        Assert.Equal(Status.Online, told.StatusAt("a", T0 + 119_999));
        Assert.Equal(Status.Late, told.StatusAt("a", T0 + 120_000));
    }

    [Fact]
    public void A_device_that_never_announced_an_interval_is_unknown_and_not_late()
    {
        Told told = new Told().Sign("a", T0);

        Assert.Equal(Status.Unknown, told.StatusAt("a", T0 + 1_000_000_000));
    }

    [Fact]
    public void A_device_whose_heartbeats_were_turned_off_is_judged_by_its_connection_until_they_come_again()
    {
        Told told = new Told().Connection("a", T0, 1, connected: true).Heartbeat("a", T0).Heartbeat("a", T0 + 30_000, 2, interval: 0);

        Assert.Equal(Status.Online, told.StatusAt("a", T0 + 86_400_000));
        DeviceView quiet = told.View("a", T0 + 86_400_000);
        Assert.Equal((null, null, T0 + 30_000), (quiet.SilentAtMs, quiet.IntervalSeconds, quiet.LastHeartbeatMs));
        Assert.Equal("it sends no heartbeats; the hub reports it connected", DeviceText.From(quiet, T0 + 86_400_000).Reason);
        Assert.Equal(Status.Late, told.Connection("a", T0 + 86_500_000, 2, connected: false).StatusAt("a", T0 + 86_500_000));
        told.Connection("a", T0 + 86_510_000, 3, connected: true).Heartbeat("a", T0 + 86_511_000, 3);
        Assert.Equal(Status.Silent, told.StatusAt("a", T0 + 86_511_000 + 131_000));
    }

    [Fact]
    public void A_disconnect_is_told_but_alone_is_no_alarm()
    {
        DeviceView view = new Told().Heartbeat("a", T0).Connection("a", T0 + 1000, 1, connected: false).View("a", T0 + 2000);

        Assert.Equal(Status.Online, view.Status);
        Assert.False(view.IsConnected);
        Assert.Equal(T0 + 1000, view.ConnectionAtMs);
    }

    [Fact]
    public void The_highest_sequence_number_wins_whatever_the_times_say()
    {
        Told told = new Told().Connection("a", T0 + 1000, 7, connected: true).Connection("a", T0 + 9000, 6, connected: false);

        Assert.True(told.View("a", T0 + 10_000).IsConnected);
    }

    [Fact]
    public void A_device_without_heartbeats_is_late_when_disconnected_and_silent_after_the_grace()
    {
        Told told = new Told().Connection("a", T0, 1, connected: true).Connection("a", T0 + 60_000, 2, connected: false);

        Assert.Equal(Status.Late, told.StatusAt("a", T0 + 60_000));
        Assert.Equal(Status.Late, told.StatusAt("a", T0 + 359_999));
        Assert.Equal(Status.Silent, told.StatusAt("a", T0 + 360_000));
        Assert.Equal(Cause.HubReportsDisconnect, told.View("a", T0 + 360_000).Cause);
        Assert.Equal(Status.Online, told.Connection("a", T0 + 400_000, 3, connected: true).StatusAt("a", T0 + 400_000));
    }

    [Theory]
    [InlineData(404104, Cause.ClosedRemotely)]
    [InlineData(401003, Cause.TokenRejected)]
    [InlineData(400027, Cause.TakenOver)]
    [InlineData(403012, Cause.Disabled)]
    [InlineData(403002, Cause.QuotaExceeded)]
    [InlineData(429002, Cause.Throttled)]
    [InlineData(500008, Cause.HubTrouble)]
    [InlineData(999999, Cause.OtherHubError)]
    [InlineData(0, Cause.SaidGoodbye)]
    public void The_hubs_code_after_the_last_sign_of_life_is_the_reason(int code, Cause expected)
    {
        Told told = new Told().Heartbeat("a", T0).Log(FactKind.LoggedDisconnect, "a", T0 + 20_000, code);

        Assert.Equal(expected, told.View("a", T0 + 130_000).Cause);
    }

    [Fact]
    public void A_code_from_before_the_last_sign_of_life_explains_nothing()
    {
        Told told = new Told().Log(FactKind.LoggedDisconnect, "a", T0, 404104).Heartbeat("a", T0 + 60_000);

        Assert.Equal(Cause.NoWord, told.View("a", T0 + 200_000).Cause);
    }

    [Fact]
    public void Of_two_codes_of_one_instant_the_one_that_explains_more_counts()
    {
        Told told = new Told().Heartbeat("a", T0)
            .Log(FactKind.LoggedDisconnect, "a", T0 + 20_000, 401003).Log(FactKind.LoggedDisconnect, "a", T0 + 20_000, 404104);

        Assert.Equal(Cause.TokenRejected, told.View("a", T0 + 130_000).Cause);
    }

    [Fact]
    public void A_deleted_device_is_retired_until_it_speaks_or_is_made_again()
    {
        Told told = new Told().Heartbeat("a", T0).Tell(FactKind.Deleted, "a", T0 + 5000);

        Assert.Equal(Status.Retired, told.StatusAt("a", T0 + 1_000_000));
        Assert.Equal(Status.Online, told.Heartbeat("a", T0 + 1_000_000).StatusAt("a", T0 + 1_000_000));
        Assert.Equal(Status.Retired, told.Tell(FactKind.Deleted, "a", T0 + 2_000_000).StatusAt("a", T0 + 2_000_000));
        Assert.Equal(Status.Silent, told.Tell(FactKind.Created, "a", T0 + 3_000_000).StatusAt("a", T0 + 3_000_000));
    }

    [Fact]
    public void Four_connects_in_a_few_minutes_are_flapping_until_it_calms_down()
    {
        var told = new Told();
        foreach ((long at, int order) in new[] { (0L, 1), (70L, 2), (95L, 3), (180L, 4) })
        {
            told.Connection("a", T0 + (at * 1000), (ulong)order, connected: true);
        }

        Assert.Equal(Status.Flapping, told.StatusAt("a", T0 + 181_000));
        Assert.Equal(Status.Online, told.StatusAt("a", T0 + 300_000));
    }

    [Theory]
    [InlineData(0, 10, 100, 190)] // A start that took two attempts, and then a renewal every 90 s.
    [InlineData(0, 90, 180, 271)]
    [InlineData(0, 20, 120, 221)]
    public void A_renewal_every_minute_and_a_half_is_no_flapping_once_two_periods_are_alike(params int[] seconds)
    {
        var told = new Told();
        for (int i = 0; i < seconds.Length; i++)
        {
            told.Connection("a", T0 + (seconds[i] * 1000L), (ulong)(2 * i) + 1, connected: true);
        }

        for (int second = seconds[^1]; second < 900; second++)
        {
            Assert.Equal(Status.Online, told.StatusAt("a", T0 + (second * 1000L)));
        }

        Assert.Empty(told.Checker.Alarms.Changes);
    }

    [Fact]
    public void A_bad_connection_is_named_however_its_periods_fall()
    {
        var draw = new Random(12);
        for (int round = 0; round < 200; round++)
        {
            var told = new Told();
            long at = T0;
            bool isNamed = false;
            for (int i = 0; i < 8; i++)
            {
                told.Connection("a", at, (ulong)i + 1, connected: true);
                isNamed |= told.StatusAt("a", at + 1000) == Status.Flapping;
                at += draw.Next(20_000, 90_000);
            }

            Assert.True(isNamed, $"round {round}");
        }
    }

    [Theory]
    [InlineData("", false)]
    [InlineData("a", true)]
    [InlineData("A-z.0:9+%_#*?!(),=@;$'", true)]
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

    [Fact]
    public void A_hundred_thousand_devices_are_told_apart()
    {
        var told = new Told();
        for (int i = 0; i < 100_000; i++)
        {
            told.Heartbeat("sensor-" + i, T0 + i, interval: 3600);
        }

        Assert.Equal(100_000, told.Checker.Count);
        for (int i = 0; i < 100_000; i++)
        {
            DeviceView view = told.Checker.At(told.Checker.Find("sensor-" + i), T0);
            Assert.Equal(("sensor-" + i, (long?)(T0 + i)), (view.Id, view.LastHeartbeatMs));
        }

        Assert.Equal(-1, told.Checker.Find("sensor-100000"));
    }

    [Fact]
    public void A_device_takes_72_bytes_beside_its_id_and_its_place_in_the_index()
    {
        Assert.Equal(40, System.Runtime.CompilerServices.Unsafe.SizeOf<Hot>());
        Assert.Equal(32, System.Runtime.CompilerServices.Unsafe.SizeOf<Cold>());
    }
}
