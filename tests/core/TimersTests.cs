using Agent.Core;

namespace Agent.Tests.Core;

public sealed class TimersTests
{
    [Fact]
    public void A_new_table_waits_for_nothing()
    {
        Assert.Equal(long.MaxValue, new Timers().EarliestMs);
    }

    [Fact]
    public void The_earliest_timer_decides_when_to_wake()
    {
        Timers timers = new();
        timers.Arm(TimerId.Renew, 5000);
        timers.Arm(TimerId.Heartbeat, 300);
        timers.Arm(TimerId.Retry, 400);
        Assert.Equal(300, timers.EarliestMs);
        timers.Stop(TimerId.Heartbeat);
        Assert.Equal(400, timers.EarliestMs);
    }

    [Fact]
    public void A_timer_stays_expired_until_it_is_stopped()
    {
        Timers timers = new();
        timers.Arm(TimerId.Close, 100);
        Assert.False(timers.IsExpired(TimerId.Close, 99));
        Assert.True(timers.IsExpired(TimerId.Close, 100));
        Assert.True(timers.IsExpired(TimerId.Close, 5_000_000_000));
        timers.StopAll();
        Assert.False(timers.IsExpired(TimerId.Close, long.MaxValue));
    }

    [Fact]
    public void Every_timer_has_a_row_of_its_own()
    {
        Timers timers = new();
        TimerId[] all = [.. Enum.GetValues<TimerId>().Where(timer => timer != TimerId.Count)];
        Assert.Equal((int)TimerId.Count, all.Length);
        foreach (TimerId timer in all)
        {
            timers.Arm(timer, 1000 + (int)timer);
        }

        Assert.All(all, timer => Assert.Equal(1000 + (int)timer, timers.DueAtMs(timer)));
    }
}
