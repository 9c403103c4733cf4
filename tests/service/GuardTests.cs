using Agent.Service;

namespace Agent.Tests.Service;

/// <summary>One trouble is one alarm, and a trouble of ours is none.</summary>
public sealed class GuardTests
{
    private const long T0 = Told.T0;

    [Fact]
    public void A_silent_device_is_one_alarm_when_its_deadline_passes_and_one_clear_when_it_returns()
    {
        Told told = Fleet(200);
        long cut = T0 + 600_000;
        Run(told, 200, T0, cut + 400_000, device => device < 10 ? cut : long.MaxValue);
        Alarm[] raised = [.. told.Checker.Alarms.Open];

        Assert.Equal(10, raised.Length);
        Assert.All(raised, alarm => Assert.Equal((AlarmKind.DeviceSilent, Cause.NoWord), (alarm.Kind, alarm.Cause)));
        Assert.All(raised, alarm => Assert.InRange(alarm.RaisedAtMs - alarm.BeganAtMs, 0, 1000));

        Run(told, 200, cut + 400_000, cut + 800_000, _ => long.MaxValue);
        Assert.Empty(told.Checker.Alarms.Open);
        Assert.Equal(10, told.Checker.Alarms.Closed.Count);
        Assert.Equal(20, told.Checker.Alarms.Changes.Count);
    }

    [Fact]
    public void A_fleet_that_falls_silent_at_once_is_one_alarm()
    {
        Told told = Fleet(500);
        long cut = T0 + 300_000;
        Run(told, 500, T0, cut + 600_000, _ => cut);

        Alarm alarm = Assert.Single(told.Checker.Alarms.Changes);
        Assert.Equal(AlarmKind.FleetLost, alarm.Kind);

        Run(told, 500, cut + 600_000, cut + 1_300_000, _ => long.MaxValue);
        Assert.Empty(told.Checker.Alarms.Open);
        Assert.Equal(2, told.Checker.Alarms.Changes.Count);
    }

    [Fact]
    public void Who_stays_away_when_the_fleet_is_back_gets_an_alarm_of_his_own()
    {
        Told told = Fleet(500);
        long cut = T0 + 300_000;
        Run(told, 500, T0, cut + 600_000, _ => cut);
        Run(told, 500, cut + 600_000, cut + 1_300_000, device => device < 3 ? 0 : long.MaxValue);

        Assert.Equal(3, told.Checker.Alarms.Open.Count(alarm => alarm.Kind == AlarmKind.DeviceSilent));
        Assert.DoesNotContain(told.Checker.Alarms.Open, alarm => alarm.Kind == AlarmKind.FleetLost);
    }

    [Fact]
    public void A_late_repetition_of_an_old_message_does_not_end_an_alarm_and_raise_it_again()
    {
        var told = new Told(new LivenessSettings());
        told.Heartbeat("d-1", T0, interval: 20);
        told.RunTo(T0, T0 + 120_000);
        Assert.Equal(Status.Silent, told.Checker.StatusOf(0));

        var batch = new FactBatch();
        batch.Add(FactKind.SignOfLife, "d-1"u8, T0);
        told.Checker.Apply(batch, T0 + 120_000); // Two minutes late: for the checker a sign that deliveries are late, not of life.
        Assert.Equal(Status.Silent, told.Checker.StatusOf(0));

        told.RunTo(T0 + 120_000, T0 + 400_000);
        Assert.Single(told.Checker.Alarms.Changes);
    }

    [Fact]
    public void The_end_of_a_backlog_does_not_put_alarms_off_by_as_much_as_it_was_late()
    {
        var told = new Told(new LivenessSettings());
        told.Heartbeat("d-1", T0, interval: 60);
        told.RunTo(T0, T0 + 65_000);
        var batch = new FactBatch();
        batch.Add(FactKind.Connected, "d-1"u8, T0 - 500_000);
        batch.SetOrder(ref batch.Facts[0], new SequenceNumber(0, 0, 0, 1));
        batch.Add(FactKind.SignOfLife, "d-1"u8, T0 - 500_000);
        told.Checker.Apply(batch, T0 + 65_000);

        told.RunTo(T0 + 65_000, T0 + 180_000);
        Assert.Equal(Status.Silent, told.Checker.StatusOf(0));
    }

    [Fact]
    public void A_site_that_loses_its_power_is_one_alarm_and_others_are_not_covered_by_it()
    {
        var told = new Told();
        const int Count = 400;
        long cut = T0 + 300_000;
        string Site(int device) => device < 20 ? "mill" : "office-" + (device % 7);
        Run(told, Count, T0, cut + 600_000, device => device < 20 || device == 30 ? cut : long.MaxValue, Site);

        Assert.Equal(
            [AlarmKind.DeviceSilent, AlarmKind.SiteLost],
            told.Checker.Alarms.Open.Select(alarm => alarm.Kind).Order());
        Assert.Equal("mill", told.Checker.Sites[told.Checker.Alarms.Open.Single(alarm => alarm.Kind == AlarmKind.SiteLost).Subject].Name);
    }

    [Fact]
    public void A_checker_that_stood_still_blames_nobody_until_what_piled_up_has_arrived()
    {
        var told = new Told(new LivenessSettings());
        Run(told, 50, T0, T0 + 120_000, _ => long.MaxValue);
        long back = T0 + 720_000;
        told.Checker.Sweep(back);

        Assert.Equal(0, told.Checker.CountOf(Status.Silent));
        for (int device = 0; device < 50; device++)
        {
            told.Heartbeat("device-" + device, back - 10_000);
        }

        told.RunTo(back, back + 40_000);
        Assert.Equal(50, told.Checker.CountOf(Status.Online));
        told.RunTo(back + 40_000, back + 300_000);
        Assert.Equal(50, told.Checker.CountOf(Status.Silent));
    }

    [Fact]
    public void Facts_that_arrive_late_put_deadlines_off_by_as_much()
    {
        var told = new Told(new LivenessSettings());
        long delay = 90_000;
        var batch = new FactBatch();
        for (long now = T0; now < T0 + 600_000; now += TimingWheel.TickMs)
        {
            told.Checker.Sweep(now);
            if ((now - T0) % 10_000 == 0)
            {
                batch.Clear();
                ref Fact fact = ref batch.Add(FactKind.Heartbeat, "a"u8, now - delay);
                fact.IntervalSeconds = 10;
                told.Checker.Apply(batch, now);
            }
        }

        Assert.Equal(delay, told.Checker.Doubt.DelayMs);
        Assert.Equal(0, told.Checker.CountOf(Status.Silent) + told.Checker.CountOf(Status.Late));
        Assert.DoesNotContain(told.Checker.Transitions, change => change.To is Status.Late or Status.Silent);
    }

    [Fact]
    public void A_storm_of_renewals_is_announced_before_it_comes_and_cleared_after()
    {
        var told = new Told(Told.Settings with { RenewalStormPerSecond = 5 });
        for (int device = 0; device < 100; device++)
        {
            told.Heartbeat("device-" + device, T0 + device, interval: 3600, renewal: 1800);
            told.Heartbeat("device-" + device, T0 + device, interval: 3600, renewal: 1800);
        }

        told.Checker.Sweep(T0 + 2000);
        Alarm storm = Assert.Single(told.Checker.Alarms.Open);
        Assert.Equal((AlarmKind.RenewalStorm, 100), (storm.Kind, storm.Devices));
        Assert.InRange(storm.BeganAtMs - T0, 1_790_000, 1_800_000);

        told.Checker.Sweep(T0 + 1_820_000);
        Assert.Empty(told.Checker.Alarms.Open);
    }

    [Fact]
    public void Flapping_is_an_alarm_when_it_lasts_and_ends_when_it_calms_down()
    {
        var told = new Told();
        int[] seconds = [0, 70, 95, 180, 200, 260, 330, 345];
        for (int i = 0; i < seconds.Length; i++)
        {
            told.Connection("a", T0 + (seconds[i] * 1000L), (ulong)i + 1, connected: true);
        }

        told.RunTo(T0 + 345_000, T0 + 420_000);
        Assert.Equal(AlarmKind.DeviceFlapping, Assert.Single(told.Checker.Alarms.Open).Kind);
        told.RunTo(T0 + 420_000, T0 + 1_200_000);
        Assert.Empty(told.Checker.Alarms.Open);
        Assert.Equal(2, told.Checker.Alarms.Changes.Count);
    }

    [Fact]
    public void A_sweep_looks_at_nobody_whose_time_has_not_come()
    {
        var told = new Told();
        for (int device = 0; device < 5000; device++)
        {
            told.Heartbeat("device-" + device, T0, interval: 7200);
        }

        Assert.Equal(0, told.Checker.Sweep(T0 + 60_000));
        int looks = 0;
        for (long now = T0 + 60_000; now < T0 + 7_200_000; now += TimingWheel.TickMs)
        {
            looks += told.Checker.Sweep(now);
        }

        Assert.InRange(looks, 0, 3 * 5000);
    }

    private static Told Fleet(int devices)
    {
        var told = new Told();
        Run(told, devices, T0 - 60_000, T0, _ => long.MaxValue);
        return told;
    }

    /// <summary>Devices that send a heartbeat a minute, evenly spread, until their power is cut.</summary>
    private static void Run(Told told, int devices, long fromMs, long untilMs, Func<int, long> cutMs, Func<int, string>? site = null)
    {
        for (long now = fromMs; now < untilMs; now += TimingWheel.TickMs)
        {
            told.Checker.Sweep(now);
            for (int device = 0; device < devices; device++)
            {
                long phase = device * 60_000L / devices / TimingWheel.TickMs * TimingWheel.TickMs;
                if ((now - T0 - phase) % 60_000 == 0 && now < cutMs(device))
                {
                    told.Heartbeat("device-" + device, now, site: site?.Invoke(device));
                }
            }
        }
    }
}
