using Agent.Core;

namespace Agent.Tests.Core;

public sealed class RenewModeTests
{
    [Fact]
    public void Prewarm_opens_the_next_link_first_and_its_gap_is_one_round_trip()
    {
        SessionRig rig = Rig(RenewMode.Prewarm);
        rig.OnDisconnect = () => rig.Session.OnClosed(rig.Now); // the driver need not wait for the old link to close
        rig.Connect().RunTo(26_000);
        Assert.Equal(["0 Connect", "25500 Prewarm", "25550 Disconnect", "25550 Connect Prewarm"], rig.Orders);
        Assert.Equal((1, 50L, 0), (rig.Session.Renewals, rig.Session.LastGapMs, rig.Session.Fallbacks));
    }

    [Fact]
    public void Takeover_connects_beside_the_old_link_and_never_says_goodbye()
    {
        SessionRig rig = Rig(RenewMode.Takeover).Connect().RunTo(26_000);
        Assert.Equal(["0 Connect", "25500 Connect Takeover"], rig.Orders);
        Assert.Equal((1, 50L), (rig.Session.Renewals, rig.Session.LastGapMs));
    }

    [Theory]
    [InlineData(RenewMode.Takeover, 66_867, 20_000, RenewMode.Clean)]
    [InlineData(RenewMode.Takeover, 66_868, 16_716, RenewMode.Clean)]
    [InlineData(RenewMode.Takeover, 66_868, 16_717, RenewMode.Takeover)]
    [InlineData(RenewMode.Prewarm, 66_868, 16_717, RenewMode.Prewarm)]
    [InlineData(RenewMode.Prewarm, 60_000, 60_000, RenewMode.Clean)]
    [InlineData(RenewMode.Clean, 1_000_000, 1_000_000, RenewMode.Clean)]
    public void Two_sessions_are_opened_only_where_the_memory_is_there(RenewMode wanted, int free, int block, RenewMode used)
    {
        SessionRig rig = Rig(wanted);
        rig.Session.NoteMemory(free, block);
        Assert.Equal(used, rig.Session.ModeInUse);
        rig.Connect().RunTo(26_000);
        Assert.Equal(1, rig.Session.Renewals);
        Assert.Equal(used == RenewMode.Clean, rig.Orders[1] == "25500 Disconnect");
    }

    [Fact]
    public void A_driver_that_cannot_prewarm_renews_clean()
    {
        SessionRig rig = Rig(RenewMode.Prewarm);
        rig.Session.CanPrewarm = false;
        Assert.Equal(RenewMode.Clean, rig.Session.ModeInUse);
    }

    [Fact]
    public void Prewarming_that_fails_or_never_ends_is_made_good_by_a_clean_renewal()
    {
        SessionRig rig = Rig(RenewMode.Prewarm);
        rig.OnPrewarm = () => rig.After(20, () => rig.Session.OnPrewarmFailed(rig.Now));
        rig.Connect().RunTo(26_000);
        Assert.Equal((1, 1, 0), (rig.Session.Renewals, rig.Session.Fallbacks, rig.Session.Drops));
        rig.OnPrewarm = () => { };
        rig.RunTo(90_000);
        Assert.Equal((2, 2, 0), (rig.Session.Renewals, rig.Session.Fallbacks, rig.Session.Drops));
    }

    [Fact]
    public void A_prewarmed_link_that_is_dead_when_it_is_needed_costs_no_wait()
    {
        SessionRig rig = Rig(RenewMode.Prewarm);
        Action<SessionOutput> accept = rig.OnConnect;
        rig.OnConnect = output =>
        {
            if (output.Mode == RenewMode.Prewarm)
            {
                rig.After(5, () => rig.Session.OnLinkLost(rig.Now, DisconnectReason.ClosedByPeer));
            }
            else
            {
                accept(output);
            }
        };
        rig.Connect().RunTo(26_000);
        Assert.Equal(["25600 Connect Prewarm", "25605 Connect"], rig.Orders[^2..]);
        Assert.Equal(1, rig.Session.Renewals);
    }

    [Fact]
    public void A_takeover_that_is_refused_or_hangs_falls_back_to_a_clean_renewal()
    {
        SessionRig rig = Rig(RenewMode.Takeover);
        Action<SessionOutput> accept = rig.OnConnect;
        rig.OnConnect = output =>
        {
            if (output.Mode == RenewMode.Takeover)
            {
                rig.After(5, () => rig.Session.OnRefused(rig.Now, 3));
            }
            else
            {
                accept(output);
            }
        };
        rig.Connect().RunTo(26_000);
        Assert.Equal(["25500 Connect Takeover", "25505 Disconnect", "25555 Connect"], rig.Orders[^3..]);
        Assert.Equal((1, 1), (rig.Session.Renewals, rig.Session.Fallbacks));
    }

    [Fact]
    public void A_message_in_flight_at_a_renewal_is_waited_for_and_sent_again_if_its_answer_never_comes()
    {
        SessionRig rig = Rig(RenewMode.Clean).Connect();
        rig.OnMessage = () => { };
        rig.RunTo(25_400).Do((session, now) => session.OnMessageWaiting(now)).RunTo(25_600);
        Assert.Equal(SessionState.Renewing, rig.Session.State);
        rig.OnMessage = () => rig.After(10, () => rig.Session.OnMessageAcknowledged(rig.Now, false));
        rig.RunTo(29_000);
        Assert.Equal(["25400 SendMessage", "27500 Disconnect", "27550 Connect", "27600 SendMessage"], rig.Orders[^4..]);
        Assert.Equal(1, rig.Session.MessagesRepeated);
    }

    [Theory]
    [InlineData(RenewMode.Clean)]
    [InlineData(RenewMode.Takeover)]
    [InlineData(RenewMode.Prewarm)]
    public void A_year_of_renewals_across_the_49_day_wrap_with_a_wandering_clock_drops_nothing(RenewMode mode)
    {
        AgentRig rig = new AgentRig(Build.Settings(heartbeat: 0, mode: mode)).Start();
        SeededRandom random = new(4);
        for (int day = 0; day < 365; day++)
        {
            rig.RunFor(86_400_000);
            rig.UtcOffsetSeconds += random.Next(7) - 3;
            rig.Do(agent => agent.OnTimeKnown(rig.Now));
            if (day % 90 == 40)
            {
                rig.UtcOffsetSeconds += day < 100 ? 500 : -500; // a jump, and back
                rig.Do(agent => agent.OnTimeKnown(rig.Now));
            }

            if (day % 10 == 0)
            {
                rig.Do(agent => Assert.True(agent.Send(rig.Now, "n=1", [1, 2, 3], 3)));
            }
        }

        Assert.Equal((0, 0), (rig.Agent.Session.Drops, rig.Agent.Session.Fallbacks));
        Assert.InRange(rig.Agent.Session.Renewals, 365 * 28, 365 * 33);
        Assert.InRange(rig.Agent.ConnectedPerMille, 999, 1000);
        Assert.Equal(37, rig.Telemetry.Count);
        Assert.True(rig.Agent.Outbox.IsEmpty);
        int gets = rig.Orders.Count(order => order.Contains("/twin/GET/"));
        Assert.InRange(gets, rig.Agent.Session.Renewals, rig.Agent.Session.Renewals + 2); // one for each connection
        Assert.InRange(rig.Box.BytesUsed / 65, 0, 2 * 365 * 5); // four records a day, and the erases
    }

    [Fact]
    public void Offline_for_an_hour_telemetry_waits_in_flash_and_then_arrives_whole_and_in_order()
    {
        AgentRig rig = new AgentRig(with: options => options.QueueMemoryBytes = 256).Start();
        Action<AgentOutput> accept = rig.OnConnect;
        rig.OnConnect = _ => rig.FailConnect(LinkPhase.Tcp, LinkEnd.TimedOut);
        rig.Lose(LinkEnd.Reset);
        for (int i = 1; i <= 12; i++)
        {
            rig.RunFor(300_000);
            Assert.True(rig.Agent.Send(rig.Now, $"n={i}", new byte[50], 50));
        }

        Assert.True(rig.Agent.Outbox.InFlash > 0);
        rig.OnConnect = accept;
        rig.RunFor(120_000);
        string[] got = [.. rig.Telemetry.Where(message => message.Topic.Contains("/n=")).Select(message => message.Topic.Split("n=")[1])];
        Assert.Equal(Enumerable.Range(1, 12).Select(i => i.ToString()), got);
        Assert.Equal(0, rig.Agent.Outbox.Dropped);
    }

    private static SessionRig Rig(RenewMode mode)
    {
        SessionRig rig = new(Build.Settings(lifetime: 30, spread: 0, heartbeat: 0, mode: mode));
        rig.Session.CanPrewarm = true;
        return rig;
    }
}
