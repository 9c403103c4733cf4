using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>When faults begin and end, and what they do meanwhile; virtual time.</summary>
public sealed class HubFaultsTests
{
    private readonly HubFaults faults = new();

    [Fact]
    public void A_lasting_fault_begins_at_once_and_ends_by_itself()
    {
        HubFault fault = Order(1000, HubFaultKind.Throttle, forMs: 500, devices: [3, 4]);
        Assert.Equal(1000, faults.NextWakeMs);
        Assert.False(faults.IsAny);
        Assert.Equal("+throttle", Steps(1000));
        Assert.Equal(1500, faults.NextWakeMs);
        Assert.True(faults.EffectOn(3).IsThrottled && faults.EffectOn(4).IsThrottled);
        Assert.Equal(default, faults.EffectOn(5));
        Assert.Equal("", Steps(1499));
        Assert.Equal("-throttle", Steps(1500));
        Assert.Equal((default, false, long.MaxValue), (faults.EffectOn(3), faults.IsAny, faults.NextWakeMs));
        Assert.False(faults.End(1500, fault.Id));
    }

    [Fact]
    public void A_moment_leaves_nothing_behind()
    {
        Order(5, HubFaultKind.TcpDrop);
        Assert.Equal("+tcpDrop", Steps(5));
        Assert.Empty(faults.List());
        Assert.False(faults.IsAny);
    }

    [Fact]
    public void A_fault_without_a_length_stays_until_it_is_ended_and_then_ends_once()
    {
        HubFault fault = Order(5, HubFaultKind.SilentHub);
        Assert.Equal("+silentHub", Steps(5));
        Assert.Equal(long.MaxValue, faults.NextWakeMs);
        Assert.True(faults.EffectOn(123_456).IsSilent);
        Assert.True(faults.End(9, fault.Id));
        Assert.True(faults.End(9, fault.Id));
        Assert.Equal("-silentHub", Steps(9));
        Assert.Empty(faults.List());
    }

    [Fact]
    public void An_end_by_hand_makes_the_planned_one_void()
    {
        HubFault fault = Order(0, HubFaultKind.Refuse, forMs: 100);
        Steps(0);
        faults.End(50, fault.Id);
        Assert.Equal("-refuse", Steps(50));
        Assert.Equal("", Steps(100));
    }

    [Fact]
    public void Faults_on_one_device_add_up_and_come_apart_again()
    {
        HubFault all = Order(0, HubFaultKind.AckDelay, byMs: 5000);
        HubFault one = Order(0, HubFaultKind.AckDelay, byMs: 9000, devices: [1]);
        Order(0, HubFaultKind.Refuse, code: 3, devices: [1]);
        HubFault last = Order(0, HubFaultKind.Refuse, code: 4, devices: [1, 2]);
        Order(0, HubFaultKind.QuotaExceeded, devices: [2]);
        Assert.Equal("+ackDelay+ackDelay+refuse+refuse+quotaExceeded", Steps(0));

        Assert.Equal(new FaultEffect(false, 4, false, false, 9000), faults.EffectOn(1));
        Assert.Equal(new FaultEffect(false, 4, false, true, 5000), faults.EffectOn(2));
        Assert.Equal(new FaultEffect(false, 0, false, false, 5000), faults.EffectOn(3));
        faults.End(1, one.Id);
        faults.End(1, last.Id);
        Steps(1);
        Assert.Equal(new FaultEffect(false, 3, false, false, 5000), faults.EffectOn(1));
        faults.End(2, all.Id);
        Steps(2);
        Assert.Equal(default, faults.EffectOn(3));
        Assert.True(faults.IsActive(2, HubFaultKind.QuotaExceeded));
        Assert.False(faults.IsActive(1, HubFaultKind.QuotaExceeded));
    }

    [Fact]
    public void Of_one_moment_the_ends_come_before_the_beginnings()
    {
        Order(0, HubFaultKind.DeviceDisabled, forMs: 100);
        Steps(0);
        Order(100, HubFaultKind.DeviceDisabled, forMs: 100);
        Assert.Equal("-deviceDisabled+deviceDisabled", Steps(100));
    }

    [Theory]
    [InlineData(RequestedFault.KillTcp, "tcpDrop", true)]
    [InlineData(RequestedFault.ShutDownMqtt, "tcpDrop", false)]
    [InlineData(RequestedFault.InvokeThrottling, "throttle", false)]
    [InlineData(RequestedFault.InvokeMaxMessageQuota, "quotaExceeded", false)]
    [InlineData(RequestedFault.InvokeAuthError, "refuse", false)]
    public void A_device_s_request_begins_after_its_delay_and_hits_that_device_only(RequestedFault wish, string kind, bool reset)
    {
        Assert.NotNull(faults.Request(1000, 8, new FaultRequest(wish, 2000, 3000)));
        Assert.Null(faults.Request(1500, 8, new FaultRequest(wish, 2000, 3000)));
        Assert.Equal("", Steps(2999));
        Assert.True(faults.TryTakeStep(3000, out FaultStep step));
        Assert.Equal((kind, reset, true), (step.Fault.Order.Kind.Name(), step.Fault.Order.Reset, step.Fault.IsRequested));
        Assert.True(step.Fault.Covers(8) && !step.Fault.Covers(9));
        Assert.Equal(kind == "tcpDrop" ? "" : "-" + kind, Steps(6000));
        Assert.NotNull(faults.Request(7000, 8, new FaultRequest(wish, 0, 0)));
    }

    [Fact]
    public void A_fault_that_waits_can_be_called_off()
    {
        HubFault fault = faults.Request(0, 8, new FaultRequest(RequestedFault.KillTcp, 5000, 0))!;
        Assert.True(faults.End(1, fault.Id));
        Assert.Equal("", Steps(10_000));
        Assert.NotNull(faults.Request(1, 8, new FaultRequest(RequestedFault.KillTcp, 0, 0)));
    }

    [Fact]
    public void Services_cannot_pile_up_more_than_the_limit_and_devices_do_not_count()
    {
        faults.Request(0, 1, new FaultRequest(RequestedFault.KillTcp, 5000, 0));
        for (int i = 0; i < HubFaults.OrderedMax; i++)
        {
            Assert.NotNull(Order(0, HubFaultKind.Throttle));
        }

        Assert.Null(faults.Order(0, new HubFaultOrder { Kind = HubFaultKind.Throttle }, null));
    }

    private HubFault Order(
        long nowMs, HubFaultKind kind, long? forMs = null, byte code = 5, long byMs = 0, int[]? devices = null) =>
        faults.Order(nowMs, new HubFaultOrder { Kind = kind, ForMs = forMs, Code = code, ByMs = byMs }, devices)!;

    private string Steps(long nowMs)
    {
        string text = "";
        while (faults.TryTakeStep(nowMs, out FaultStep step))
        {
            text += (step.Begins ? "+" : "-") + step.Fault.Order.Kind.Name();
        }

        return text;
    }
}
