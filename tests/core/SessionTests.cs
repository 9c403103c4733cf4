using Agent.Core;

namespace Agent.Tests.Core;

public sealed class SessionTests
{
    private const long YearMs = 365L * 86_400_000;

    [Fact]
    public void Nothing_is_tried_before_the_clock_is_known()
    {
        SessionRig rig = new(Build.Settings(heartbeat: 0)) { UtcKnown = false };
        rig.Connect().RunFor(60_000);
        Assert.Equal(SessionState.NoTime, rig.Session.State);
        Assert.Empty(rig.Orders);
        rig.UtcKnown = true;
        rig.Do((session, now) => session.OnTimeKnown(now)).RunFor(50);
        Assert.Equal(SessionState.Connected, rig.Session.State);
    }

    [Fact]
    public void A_token_lives_from_the_moment_of_connecting()
    {
        SessionRig rig = new(Build.Settings(lifetime: 1200), startMs: 7_000);
        rig.Connect();
        Assert.Equal([1_800_000_007 + 1200], rig.Expiries);
    }

    [Fact]
    public void A_renewal_says_goodbye_and_then_connects_with_a_fresh_token()
    {
        SessionRig rig = new(Build.Settings(spread: 0, heartbeat: 0));
        rig.Connect().RunTo(3_060_200);
        Assert.Equal(["0 Connect", "3060000 Disconnect", "3060050 Connect"], rig.Orders);
        Assert.Equal(3060, rig.Expiries[1] - rig.Expiries[0]);
        Assert.Equal((1, 0, 100L), (rig.Session.Renewals, rig.Session.Drops, rig.Session.LastGapMs));
        Assert.Equal(DisconnectReason.PlannedRenewal, rig.Session.LastReason);
    }

    [Fact]
    public void A_token_of_30_seconds_is_renewed_again_and_again_without_a_drop()
    {
        SessionRig rig = new(Build.Settings(lifetime: 30, heartbeat: 5));
        rig.Connect().RunFor(600_000);
        Assert.InRange(rig.Session.Renewals, 22, 28);
        Assert.Equal(0, rig.Session.Drops);
        Assert.Equal(rig.Session.HeartbeatsSent, rig.Session.HeartbeatsAcknowledged);
    }

    [Fact]
    public void A_year_of_renewals_beyond_the_49_day_wrap_loses_nothing()
    {
        SessionRig rig = new(Build.Settings(heartbeat: 0), startMs: (1L << 32) - 5_000_000);
        rig.Connect().RunFor(YearMs);
        Assert.InRange(rig.Session.Renewals, (int)(YearMs / 3_060_100), (int)(YearMs / 2_700_000));
        Assert.Equal((0, SessionState.Connected), (rig.Session.Drops, rig.Session.State));
        Assert.All(rig.Expiries.Zip(rig.Expiries.Skip(1)), pair => Assert.InRange(pair.Second - pair.First, 2699, 3061));
    }

    [Fact]
    public void A_renewal_waits_for_the_acknowledgement_in_flight()
    {
        SessionRig rig = new(Build.Settings(lifetime: 60, percent: 50, spread: 0, heartbeat: 29)) { DelayMs = 1 };
        rig.Connect().RunTo(28_000);
        rig.DelayMs = 1_500; // the heartbeat of 29.001 s is still under way when the renewal of 30 s is due
        rig.RunTo(40_000);
        Assert.Contains("29001 SendHeartbeat 2", rig.Orders);
        Assert.Contains("30501 Disconnect", rig.Orders);
        Assert.Equal((2, 0), (rig.Session.HeartbeatsAcknowledged, rig.Session.HeartbeatsRepeated));
    }

    [Fact]
    public void A_heartbeat_not_acknowledged_before_a_renewal_is_repeated_after_it_with_its_number()
    {
        SessionRig rig = new(Build.Settings(lifetime: 60, percent: 50, spread: 0, heartbeat: 29)) { DelayMs = 1 };
        rig.Connect().RunTo(28_000);
        Action<SessionOutput> acknowledge = rig.OnHeartbeat;
        rig.OnHeartbeat = _ => rig.OnHeartbeat = acknowledge; // the hub loses exactly one
        rig.RunTo(33_000);
        Assert.Equal(
            ["29001 SendHeartbeat 2", "32000 Disconnect", "32001 Connect", "32002 SendHeartbeat 2"],
            rig.Orders[2..]);
        Assert.Equal((1, 2), (rig.Session.HeartbeatsRepeated, rig.Session.HeartbeatsAcknowledged));
    }

    [Fact]
    public void A_heartbeat_in_flight_when_the_link_is_lost_is_repeated_on_the_next_link()
    {
        SessionRig rig = new(Build.Settings(heartbeat: 60));
        rig.OnHeartbeat = _ => { };
        rig.Connect().Do((session, now) => session.OnLinkLost(now, DisconnectReason.ConnectionReset)).RunFor(2_000);
        Assert.Equal(2, rig.Orders.Count(order => order.EndsWith("SendHeartbeat 1")));
        Assert.Equal((1, 1), (rig.Session.HeartbeatsSent, rig.Session.HeartbeatsRepeated));
    }

    [Fact]
    public void A_driver_that_never_reports_the_close_does_not_cost_the_renewal()
    {
        SessionRig rig = new(Build.Settings(spread: 0, heartbeat: 0)) { OnDisconnect = () => { } };
        rig.Connect().RunTo(3_070_000);
        Assert.Equal("3065000 Connect", rig.Orders[^1]);
        Assert.Equal(1, rig.Session.Renewals);
    }

    [Fact]
    public void An_attempt_that_is_never_answered_is_given_up_and_made_again()
    {
        SessionRig rig = new(Build.Settings());
        rig.OnConnect = _ => { };
        rig.Connect().RunTo(45_000);
        Assert.Equal(["0 Connect", "45000 Disconnect"], rig.Orders);
        Assert.Equal(DisconnectReason.ConnectTimedOut, rig.Session.LastReason);
        rig.RunTo(46_000);
        Assert.EndsWith("Connect", rig.Orders[^1]);
    }

    [Fact]
    public void A_hub_that_acknowledges_nothing_is_noticed_long_before_keep_alive()
    {
        SessionRig rig = new(Build.Settings(heartbeat: 60));
        rig.OnHeartbeat = _ => { };
        rig.Connect().RunTo(30_050);
        Assert.Equal(DisconnectReason.PublishNotAcknowledged, rig.Session.LastReason);
        Assert.Equal("30050 Disconnect", rig.Orders[^1]);
        Assert.Equal(1, rig.Session.Drops);
    }

    [Fact]
    public void A_failed_renewal_backs_off_and_is_no_renewal()
    {
        SessionRig rig = new(Build.Settings(spread: 0, heartbeat: 0));
        rig.Connect().RunTo(3_000_000);
        rig.OnConnect = _ => rig.After(10, () => rig.Session.OnConnectFailed(rig.Now, DisconnectReason.TcpRefused));
        rig.RunTo(3_060_061);
        Assert.Equal(SessionState.BackingOff, rig.Session.State);
        Assert.InRange(rig.Session.NextWakeMs - rig.Ms, 90, 1000);
        Assert.Equal((0, 0), (rig.Session.Renewals, rig.Session.Drops));
    }

    [Fact]
    public void Refusals_are_retried_for_ever_with_long_waits()
    {
        SessionRig rig = new(Build.Settings());
        rig.OnConnect = _ => rig.After(10, () => rig.Session.OnRefused(rig.Now, 5));
        rig.Connect().RunFor(86_400_000);
        Assert.InRange(rig.Session.Refusals, 2_600, 3_300); // one in 30 s on average
        Assert.Equal(DisconnectReason.RefusedNotAuthorized, rig.Session.LastReason);
    }

    [Fact]
    public void A_link_that_keeps_being_cut_at_once_is_tried_less_and_less_often()
    {
        SessionRig rig = new(Build.Settings(heartbeat: 0));
        rig.OnConnect = _ => rig.After(10, () =>
        {
            rig.Session.OnConnected(rig.Now, sessionPresent: false);
            rig.Session.OnLinkLost(rig.Now, DisconnectReason.ClosedByPeer);
        });
        rig.Connect().RunFor(3_600_000);
        Assert.InRange(rig.Session.Drops, 90, 170);
    }

    [Fact]
    public void A_link_that_lasted_comes_back_within_the_smallest_backoff()
    {
        SessionRig rig = new(Build.Settings(heartbeat: 0));
        rig.Connect();
        for (int i = 0; i < 20; i++)
        {
            rig.RunFor(62_000).Do((session, now) => session.OnLinkLost(now, DisconnectReason.ClosedByPeer));
            Assert.InRange(rig.Session.NextWakeMs - rig.Ms, Backoff.DelayMsMin, 1000);
        }
    }

    [Fact]
    public void Other_telemetry_within_the_interval_saves_the_heartbeat()
    {
        SessionRig rig = new(Build.Settings(heartbeat: 60));
        rig.Connect();
        for (int i = 0; i < 40; i++)
        {
            rig.RunFor(59_000).Do((session, now) => session.OnTelemetrySent(now));
        }

        Assert.Equal(1, rig.Session.HeartbeatsSent);
        rig.RunFor(60_000);
        Assert.Equal(2, rig.Session.HeartbeatsSent);
    }

    [Fact]
    public void A_heartbeat_knows_the_seconds_to_the_next_renewal()
    {
        SessionRig rig = new(Build.Settings(spread: 0, heartbeat: 60)) { DelayMs = 0 };
        List<int> renewals = [];
        rig.OnHeartbeat = output =>
        {
            renewals.Add(output.RenewalSeconds);
            rig.Do((session, now) => session.OnHeartbeatAcknowledged(now, output.Sequence));
        };
        rig.Connect().RunTo(120_000);
        Assert.Equal([3060, 3000, 2940], renewals);
    }

    [Fact]
    public void A_clock_found_to_be_ten_minutes_behind_moves_the_renewal_ten_minutes_earlier()
    {
        SessionRig rig = new(Build.Settings(spread: 0, heartbeat: 0));
        rig.Connect().RunTo(1_000_000);
        rig.UtcOffsetSeconds += 600;
        rig.Do((session, now) => session.OnTimeKnown(now));
        Assert.Equal(2_460_000, rig.Session.NextWakeMs);
        rig.UtcOffsetSeconds -= 1200; // and back: a token that lives longer than thought is renewed as planned
        rig.Do((session, now) => session.OnTimeKnown(now));
        Assert.Equal(3_060_000, rig.Session.NextWakeMs);
    }

    [Fact]
    public void A_refusal_is_blamed_on_the_clock_once_the_clock_is_corrected_and_retried_soon()
    {
        SessionRig rig = new(Build.Settings());
        rig.OnConnect = _ => rig.After(10, () => rig.Session.OnRefused(rig.Now, 5));
        rig.Connect().RunFor(10);
        rig.UtcOffsetSeconds += 301;
        rig.Do((session, now) => session.OnTimeKnown(now));
        Assert.Equal(DisconnectReason.ClockSkew, rig.Session.LastReason);
        Assert.InRange(rig.Session.NextWakeMs - rig.Ms, Backoff.DelayMsMin, 1000);
    }

    [Theory]
    [InlineData(7200)]
    [InlineData(600)]
    public void Another_lifetime_in_the_settings_is_not_taken_for_a_step_of_the_clock(int lifetime)
    {
        SessionRig rig = new(Build.Settings());
        rig.OnConnect = _ => rig.After(10, () => rig.Session.OnRefused(rig.Now, 5));
        rig.Connect().RunFor(10);
        rig.Do((session, now) => session.OnSettings(now, Build.Settings(lifetime: lifetime), reconnects: true));
        rig.UtcOffsetSeconds += 3; // a correction that explains nothing
        rig.Do((session, now) => session.OnTimeKnown(now));
        Assert.Equal(DisconnectReason.RefusedNotAuthorized, rig.Session.LastReason);
    }

    [Fact]
    public void Stopping_says_goodbye_and_is_final()
    {
        SessionRig rig = new(Build.Settings(heartbeat: 0));
        rig.Connect().Do((session, now) => session.OnStop(now)).RunFor(YearMs);
        Assert.Equal(["0 Connect", "50 Disconnect"], rig.Orders);
        Assert.Equal(SessionState.Stopped, rig.Session.State);
    }

    [Fact]
    public void A_session_allocates_nothing_after_its_start_and_weighs_less_than_half_a_kilobyte()
    {
        TokenSettings settings = Build.Settings(heartbeat: 60);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Session session = new(settings, new SeededRandom(1), firstSequence: 1);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 512);
        session.OnNetworkUp(new Now(0, 1_800_000_000, true));
        int i = 0;
        Assert.Equal(0, Allocations.Of(() =>
        {
            for (int end = i + 10_000; i < end; i++)
            {
                Now now = new(Math.Min(session.NextWakeMs, i * 60_000L), 1_800_000_000 + (i * 60), true);
                session.OnWake(now);
                while (session.TryTakeOutput(out SessionOutput output))
                {
                    Answer(session, now, output);
                }
            }
        }));
        Assert.True(session.Renewals > 100);

        static void Answer(Session session, Now now, SessionOutput output)
        {
            switch (output.Kind)
            {
                case OutputKind.Connect: session.OnConnected(now, sessionPresent: true); break;
                case OutputKind.Disconnect: session.OnClosed(now); break;
                default: session.OnHeartbeatAcknowledged(now, output.Sequence); break;
            }
        }
    }

    [Fact]
    public void Random_events_in_random_order_never_throw_and_never_leave_a_connection_untended()
    {
        for (uint seed = 0; seed < 200; seed++)
        {
            SeededRandom random = new(seed);
            SessionRig rig = new(Build.Settings(lifetime: 60, heartbeat: 7), seed);
            for (int i = 0; i < 200; i++)
            {
                Action<Session, Now> happening = SessionTable.Events[random.Next(SessionTable.Events.Count)].Happens;
                rig.UtcKnown = random.Next(10) != 0;
                rig.Do(happening).RunFor(random.Next(20_000));
                bool waits = rig.Session.NextWakeMs != long.MaxValue;
                bool mayRest = rig.Session.State is SessionState.NoNetwork or SessionState.NoTime or SessionState.Stopped;
                Assert.Equal(!mayRest, waits);
            }
        }
    }
}
