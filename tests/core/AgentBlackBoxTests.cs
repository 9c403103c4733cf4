using System.Text.Json;
using Agent.Core;

namespace Agent.Tests.Core;

/// <summary>The black box through the whole agent: every kind of end, in virtual time, and what is kept of it.</summary>
public sealed class AgentBlackBoxTests
{
    [Fact]
    public void What_the_last_run_left_in_the_queue_is_sent_without_waiting_for_another_message()
    {
        AgentRig rig = new AgentRig().Start();
        rig.OnConnect = _ => rig.FailConnect(LinkPhase.Tcp, LinkEnd.Refused);
        rig.Lose(LinkEnd.Closed);
        rig.Do(agent => agent.Send(rig.Now, "kept=1", [1], 1));
        rig.Do(agent => agent.OnStop(rig.Now));

        AgentRig next = new AgentRig(before: rig).Start().RunFor(2_000);
        Assert.Contains(next.Telemetry, message => message.Topic.EndsWith("kept=1"));
        Assert.True(next.Agent.Outbox.IsEmpty);
    }

    [Fact]
    public void A_drop_is_kept_with_reason_gap_and_attempts_and_told_after_the_reconnect()
    {
        AgentRig rig = new AgentRig(Build.Settings(heartbeat: 60)).Start();
        Action<AgentOutput> accept = rig.OnConnect;
        int failures = 2;
        rig.OnConnect = output =>
        {
            if (failures-- > 0)
            {
                rig.FailConnect(LinkPhase.Tcp, LinkEnd.Refused, 10061);
            }
            else
            {
                accept(output);
            }
        };
        rig.RunTo(100_000).Lose(LinkEnd.Reset).RunFor(120_000);
        BlackBoxEntry entry = rig.Entries()[0];
        Assert.Equal((DisconnectReason.ConnectionReset, DisconnectReason.TcpRefused), (entry.Reason, entry.AttemptReason));
        Assert.Equal((3, LinkPhase.Connected, 100L), (entry.Attempts, entry.Phase, entry.UptimeSeconds));
        Assert.InRange(entry.GapMs, 200, 5_000);
        Assert.InRange(entry.TokenAgeSeconds, 99, 100);
        Assert.Equal(3600, entry.TokenAgeSeconds + entry.TokenRemainingSeconds);
        AgentRig.Message told = Assert.Single(rig.Telemetry, message => message.Topic.Contains("type=disconnect"));
        Assert.Contains("\"text\":\"connection reset\"", told.Payload);
        Assert.Contains("$.ct=application%2Fjson", told.Topic);
        Assert.Contains("\"lastText\":\"connection reset\"", rig.Reports[^1]);
        Assert.Contains($"&reason=77&down={entry.GapMs / 1000}&boots=1", rig.Telemetry[^1].Topic);
        Assert.StartsWith("#1 boot 1 up 100 s utc 1800000100: connection reset, connected, gap ", DiagnosticsText.Line(entry));
    }

    [Fact]
    public void The_age_of_a_token_is_its_own_when_other_settings_came_a_moment_before_the_end()
    {
        AgentRig rig = new AgentRig().Start();
        rig.RunTo(100_000).Change(2, "{\"token\":{\"lifetimeSeconds\":7200}}").Lose(LinkEnd.Reset).RunFor(20_000);
        BlackBoxEntry entry = rig.Entries()[0];
        Assert.Equal(DisconnectReason.ConnectionReset, entry.Reason);
        Assert.InRange(entry.TokenAgeSeconds, 99, 100);
        Assert.Equal(3600, entry.TokenAgeSeconds + entry.TokenRemainingSeconds);
    }

    [Theory]
    [InlineData(-1_000_000, TlsFault.Unknown, DisconnectReason.TlsWrongClock)]
    [InlineData(1_000_000, TlsFault.Unknown, DisconnectReason.TlsWrongClock)]
    [InlineData(-60, TlsFault.Unknown, DisconnectReason.TlsWrongRoot)]
    [InlineData(-1_000_000, TlsFault.WrongRoot, DisconnectReason.TlsWrongRoot)] // named, not guessed
    public void A_large_step_of_the_clock_after_a_certificate_error_tells_what_it_was(
        int stepSeconds, TlsFault told, DisconnectReason expected)
    {
        AgentRig rig = new();
        Action<AgentOutput> accept = rig.OnConnect;
        rig.OnConnect = _ =>
        {
            rig.Agent.Seen.Saw(LinkPhase.Tls, LinkEnd.Unknown, Evidence.CertificateError).Tls = told;
            rig.Agent.OnConnectFailed(rig.Now);
        };
        rig.Start();
        Assert.Equal(DisconnectReason.TlsWrongRoot, rig.Agent.Session.LastReason);
        rig.UtcOffsetSeconds += stepSeconds;
        rig.OnConnect = accept;
        rig.Do(agent => agent.OnTimeKnown(rig.Now));
        Assert.Equal(expected, rig.Agent.Session.LastReason);
        rig.RunFor(30_000);
        Assert.Equal((expected, expected), (rig.Entries()[0].Reason, rig.Entries()[0].AttemptReason));
    }

    [Fact]
    public void Renewals_are_counted_in_one_entry_and_reach_flash_before_the_next_other_thing()
    {
        AgentRig rig = new AgentRig(Build.Settings(lifetime: 60, spread: 0, heartbeat: 0)).Start().RunFor((10 * 51_000) + 5_000);
        Assert.Equal((DisconnectReason.PlannedRenewal, 10), (rig.Entries()[0].Reason, rig.Entries()[0].Count));
        rig.Lose(LinkEnd.Closed).RunFor(5_000);
        AgentRig next = new(before: rig);
        Assert.Equal(
            [(DisconnectReason.ClosedByPeer, 1), (DisconnectReason.PlannedRenewal, 10)],
            next.Entries().Take(2).Select(entry => (entry.Reason, entry.Count)));
    }

    [Fact]
    public void A_restart_without_goodbye_is_told_from_a_stop_a_reboot_and_a_crash_that_was_noticed()
    {
        AgentRig rig = new AgentRig().Start();
        rig = new AgentRig(before: rig).Start();
        Assert.Equal(DisconnectReason.Restarted, rig.Entries()[0].Reason);
        rig.Do(agent => agent.OnStop(rig.Now));
        int entries = rig.Entries().Count;
        rig = new AgentRig(before: rig).Start();
        Assert.Equal(entries, rig.Entries().Count);
        rig.Call("reboot").RunFor(2_000);
        Assert.True(rig.HasRebooted);
        rig = new AgentRig(before: rig).Start();
        Assert.Equal(DisconnectReason.Reboot, rig.Entries()[0].Reason);
        rig.Agent.OnFatal(rig.Now, DisconnectReason.Watchdog);
        rig = new AgentRig(before: rig).Start();
        Assert.Equal((DisconnectReason.Watchdog, 4), (rig.Entries()[0].Reason, rig.Entries()[0].Boot));
        Assert.Equal(5, rig.Agent.Boots);
    }

    [Fact]
    public void A_blocked_port_is_found_out_by_asking_another_one()
    {
        AgentRig rig = new();
        rig.OnProbe = () => rig.After(10, () => rig.Agent.OnProbed(rig.Now, isOpen: true));
        Action<AgentOutput> accept = rig.OnConnect;
        rig.OnConnect = _ => rig.FailConnect(LinkPhase.Tcp, LinkEnd.TimedOut, 10060);
        rig.Start().RunFor(60_000);
        rig.OnConnect = accept;
        rig.RunFor(70_000);
        Assert.Equal(DisconnectReason.PortBlocked, rig.Entries()[0].Reason);
        Assert.Equal(1, rig.Orders.Count(order => order.EndsWith("Probe")));
    }

    [Fact]
    public void Another_client_with_our_id_is_recognised_at_the_third_close()
    {
        AgentRig rig = new AgentRig(Build.Settings(heartbeat: 600)).Start();
        for (int i = 0; i < 4; i++)
        {
            rig.RunFor(20_000).Lose(LinkEnd.Closed);
        }

        rig.RunFor(5_000);
        Assert.Equal(
            [DisconnectReason.TakenOver, DisconnectReason.TakenOver, DisconnectReason.ClosedByPeer, DisconnectReason.ClosedByPeer],
            rig.Entries().Take(4).Select(entry => entry.Reason));
    }

    [Fact]
    public void A_hub_that_fails_over_is_not_taken_for_another_client()
    {
        AgentRig rig = new AgentRig().Start();
        Action<AgentOutput> accept = rig.OnConnect;
        for (int i = 0; i < 5; i++)
        {
            rig.RunFor(20_000).Lose(LinkEnd.Closed);
            rig.OnConnect = _ => rig.FailConnect(LinkPhase.Tcp, LinkEnd.Refused);
            rig.RunFor(3_000);
            rig.OnConnect = accept;
            rig.RunFor(70_000);
        }

        Assert.All(rig.Entries().Take(5), entry => Assert.Equal(DisconnectReason.ClosedByPeer, entry.Reason));
    }

    [Fact]
    public void A_device_that_was_disabled_is_recognised_at_the_second_refusal()
    {
        AgentRig rig = new AgentRig().Start();
        Action<AgentOutput> accept = rig.OnConnect;
        rig.OnConnect = _ => rig.Agent.OnRefused(rig.Now, 5);
        rig.Lose(LinkEnd.Closed).RunFor(120_000);
        Assert.Equal(DisconnectReason.Disabled, rig.Agent.Session.LastReason);
        rig.OnConnect = accept;
        rig.RunFor(70_000);
        Assert.Equal(DisconnectReason.Disabled, rig.Entries()[0].Reason);
    }

    [Fact]
    public void A_hub_out_of_quota_is_recognised_by_closing_at_each_message()
    {
        AgentRig rig = new AgentRig(Build.Settings(heartbeat: 10)).Start();
        rig.OnPublish = message =>
        {
            if (message.Qos == 1)
            {
                rig.Agent.Seen.Saw(LinkPhase.Connected, LinkEnd.Closed, 0);
                rig.Agent.OnLinkLost(rig.Now);
            }
            else
            {
                rig.AcknowledgeAndAnswer(message);
            }
        };
        rig.RunFor(30_000);
        Assert.Equal(DisconnectReason.Throttled, rig.Entries()[0].Reason);
    }

    [Fact]
    public void A_clock_that_turns_out_wrong_explains_the_refusals_before_it()
    {
        AgentRig rig = new();
        rig.OnConnect = _ => rig.Agent.OnRefused(rig.Now, 5);
        rig.Start().RunFor(20_000);
        Assert.Equal(DisconnectReason.RefusedNotAuthorized, rig.Agent.Session.LastReason);
        rig.UtcOffsetSeconds += 7_200;
        rig.OnConnect = _ => rig.Agent.OnConnected(rig.Now, false);
        rig.Do(agent => agent.OnTimeKnown(rig.Now)).RunFor(3_000);
        Assert.Equal((DisconnectReason.ClockSkew, SessionState.Connected), (rig.Entries()[0].Reason, rig.Agent.Session.State));
    }

    [Fact]
    public void A_hub_without_twins_is_served_without_them()
    {
        AgentRig rig = new();
        rig.OnConnect = _ =>
        {
            rig.Agent.OnConnected(rig.Now, false);
            rig.After(20, () =>
            {
                int subscribed = rig.Orders.FindLastIndex(order => order.EndsWith("Subscribe"));
                if (subscribed > rig.Orders.FindLastIndex(order => order.EndsWith(" Connect")))
                {
                    rig.Lose(LinkEnd.Closed);
                }
            });
        };
        rig.Start().RunFor(600_000);
        Assert.Equal(SessionState.Connected, rig.Agent.Session.State);
        Assert.Equal(3, rig.Agent.Session.Drops);
    }

    [Fact]
    public void Diagnostics_are_read_by_method_page_by_page_and_cleared()
    {
        AgentRig rig = new AgentRig(Build.Settings(heartbeat: 0)).Start();
        for (int i = 0; i < 12; i++)
        {
            rig.RunFor(400_000).Lose(LinkEnd.Reset).RunFor(10_000);
        }

        rig.Call("getDiagnostics");
        JsonElement first = JsonDocument.Parse(rig.MethodAnswers[^1].Payload).RootElement;
        JsonElement[] entries = [.. first.GetProperty("entries").EnumerateArray()];
        Assert.InRange(entries.Length, 3, 12);
        Assert.Equal(12, first.GetProperty("drops").GetInt32());
        Assert.InRange(first.GetProperty("connectedPerMille").GetInt32(), 990, 1000);
        int last = entries[^1].GetProperty("n").GetInt32();
        rig.Call("getDiagnostics", $"{{\"below\":{last}}}");
        JsonElement next = JsonDocument.Parse(rig.MethodAnswers[^1].Payload).RootElement.GetProperty("entries")[0];
        Assert.Equal(last - 1, next.GetProperty("n").GetInt32());
        rig.Call("clearDiagnostics").Call("getDiagnostics");
        Assert.EndsWith("\"entries\":[]}", rig.MethodAnswers[^1].Payload);
        Assert.Empty(new AgentRig(before: rig).Entries());
    }

    [Fact]
    public void A_bad_day_does_not_wear_out_the_flash()
    {
        AgentRig rig = new AgentRig(Build.Settings(heartbeat: 0, backoffMax: 2)).Start();
        int before = rig.Box.BytesUsed;
        long end = rig.Ms + 86_400_000;
        while (rig.Ms < end)
        {
            rig.RunFor(20_000).Lose(LinkEnd.Reset);
        }

        int records = (rig.Box.BytesUsed - before) / (BlackBoxEntry.Size + RingLog.HeaderSize) / 2; // writes and erases
        Assert.InRange(records, 100, 288 + BlackBox.WriteReserve);
        Assert.True(rig.Agent.BlackBox.NotStored > 3_000);
    }

    [Fact]
    public void A_heap_that_shrinks_with_each_reconnect_says_when_it_will_be_used_up()
    {
        AgentRig rig = new AgentRig().Start();
        for (int i = 0; i < 13; i++)
        {
            rig.Agent.NoteHeap(100_000 - (i < 2 ? 0 : (i - 2) * 1_784)); // what esp-azure loses (facts/anchors.md part A)
        }

        Assert.Equal((1_784, (100_000 - (10 * 1_784)) / 1_784), (rig.Agent.HeapBytesPerReconnect, rig.Agent.ReconnectsLeft));
    }

    [Fact]
    public void A_heap_that_goes_up_and_down_with_what_is_in_flight_is_level()
    {
        AgentRig rig = new AgentRig().Start();
        for (int i = 0; i < 100; i++)
        {
            rig.Agent.NoteHeap(86_500 - (i * 7919 % 900));
            Assert.Equal((0, -1), (rig.Agent.HeapBytesPerReconnect, rig.Agent.ReconnectsLeft));
        }
    }

    [Fact]
    public void Entries_survive_a_power_cut_at_every_byte_of_the_next_ones_writing()
    {
        AgentRig start = new AgentRig().Start().RunFor(10_000).Lose(LinkEnd.Reset).RunFor(10_000);
        int size = BlackBoxEntry.Size + RingLog.HeaderSize;
        string[] before = [.. start.Entries().Select(DiagnosticsText.Line)];
        for (int cut = 1; cut <= 2 * size; cut++)
        {
            AgentRig rig = new AgentRig(before: start).Start();
            string[] held = [.. rig.Entries().Select(DiagnosticsText.Line)];
            rig.Box.TornMask = (byte)(cut * 37);
            rig.Box.BytesLeft = cut;
            rig.RunFor(10_000).Lose(LinkEnd.Closed).RunFor(10_000);
            rig.Box.BytesLeft = 0;
            AgentRig after = new(before: rig);
            string[] kept = [.. after.Entries().Select(DiagnosticsText.Line)];
            Assert.Equal(held, kept[^held.Length..]);
            Assert.InRange(kept.Length, held.Length, held.Length + 1);
            Assert.All(kept[..^held.Length], line => Assert.Contains("closed by the hub", line));
            Assert.Equal(before, held[^before.Length..]);
        }
    }
}
