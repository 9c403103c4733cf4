using Agent.Core;

namespace Agent.Tests.Core;

/// <summary>Settings by twin and method, through the whole agent in virtual time.</summary>
public sealed class AgentSettingsTests
{
    private const string NothingAsked = "{\"desired\":{\"$version\":1},\"reported\":{}}";

    [Fact]
    public void A_twin_that_asks_for_nothing_is_told_once_what_is_in_force()
    {
        AgentRig rig = new AgentRig { Twin = NothingAsked }.Start().RunFor(10_000);
        string report = Assert.Single(rig.Reports);
        Assert.StartsWith("{\"agent\":{\"ac\":203,\"av\":0,\"ad\":\"nothing set: defaults in force\",\"value\":{\"token\":{", report);
        Assert.Equal(report, System.Text.Json.JsonSerializer.Serialize(System.Text.Json.JsonDocument.Parse(report).RootElement));
    }

    [Fact]
    public void A_change_is_in_force_at_once_on_probation_and_proven_by_the_next_renewal()
    {
        AgentRig rig = new AgentRig().Start();
        rig.Change(2, "{\"token\":{\"lifetimeSeconds\":60,\"spreadPercent\":0}}").RunFor(3_000);
        Assert.Equal((60, SettingsState.OnProbation), (rig.Agent.Session.Settings.LifetimeSeconds, rig.Agent.Settings.State));
        Assert.Contains("\"ac\":202,\"av\":2", rig.Reports[^1]);
        Assert.Equal(DisconnectReason.SettingsChange, rig.Entries()[0].Reason);
        rig.RunFor(55_000);
        Assert.Equal((1, SettingsState.Good), (rig.Agent.Session.Renewals, rig.Agent.Settings.State));
        Assert.Contains("\"ac\":200,\"av\":2", rig.Reports[^1]);
        Assert.Contains("\"lifetimeSeconds\":60", rig.Reports[^1]);
    }

    [Fact]
    public void A_bad_change_is_refused_with_every_problem_and_nothing_of_it_is_in_force()
    {
        AgentRig rig = new AgentRig().Start();
        rig.Patch(2, "{\"token\":{\"lifetimeSeconds\":60,\"renewAtPercent\":99},\"heartbeat\":{\"intervalSeconds\":-1}}").RunFor(1_000);
        Assert.Equal(3600, rig.Agent.Session.Settings.LifetimeSeconds);
        Assert.Contains(
            "\"ac\":400,\"av\":2,\"ad\":\"refused: token.renewAtPercent: 99 is above 95; heartbeat.intervalSeconds: -1 is below 0\"",
            rig.Reports[^1]);
        rig.Twin = "{\"desired\":{\"agent\":{\"token\":{\"lifetimeSeconds\":60,\"renewAtPercent\":90}},\"$version\":3},\"reported\":{}}";
        rig.Patch(3, "{\"token\":{\"renewAtPercent\":90},\"heartbeat\":null}").RunFor(1_000);
        Assert.Equal((60, 90), (rig.Agent.Session.Settings.LifetimeSeconds, rig.Agent.Session.Settings.RenewAtPercent));
    }

    [Fact]
    public void A_change_that_needs_no_new_connection_makes_none()
    {
        AgentRig rig = new AgentRig().Start();
        int orders = rig.Orders.Count(order => order.EndsWith("Connect"));
        rig.Patch(2, "{\"heartbeat\":{\"intervalSeconds\":30},\"backoff\":{\"maxSeconds\":30}}").RunFor(61_000);
        Assert.Equal(orders, rig.Orders.Count(order => order.EndsWith("Connect")));
        Assert.Equal(SettingsState.Good, rig.Agent.Settings.State);
        Assert.Equal(3, rig.Telemetry.Count(message => message.Topic.Contains("type=heartbeat&seq=")));
        Assert.Contains("&settings=2", rig.Telemetry[^1].Topic);
    }

    [Fact]
    public void A_longer_interval_is_told_at_once_although_a_message_is_in_flight()
    {
        AgentRig rig = new AgentRig(Build.Settings(heartbeat: 20)).Start();
        rig.RunFor(1_000);
        rig.Do(agent => agent.Send(rig.Now, "", [1], 1));
        rig.Change(2, "{\"heartbeat\":{\"intervalSeconds\":300}}").RunFor(1_000);
        Assert.Contains("type=heartbeat&seq=2&interval=300", rig.Telemetry[^1].Topic);
    }

    [Fact]
    public void That_no_more_heartbeats_are_coming_is_told_once()
    {
        AgentRig rig = new AgentRig(Build.Settings(heartbeat: 20)).Start().RunFor(1_000);
        rig.Change(2, "{\"heartbeat\":{\"intervalSeconds\":0}}").RunFor(1_000);
        Assert.Contains("type=heartbeat&seq=2&interval=0", rig.Telemetry[^1].Topic);
        int told = rig.Telemetry.Count;
        rig.RunFor(3_600_000);
        Assert.Equal(told, rig.Telemetry.Count);
        rig.Change(3, "{\"heartbeat\":{\"intervalSeconds\":20}}").RunFor(1_000);
        Assert.Contains("type=heartbeat&seq=3&interval=20", rig.Telemetry[^1].Topic);
    }

    [Fact]
    public void A_renewal_whose_token_was_made_before_the_change_proves_nothing_and_is_followed_by_one_that_does()
    {
        AgentRig rig = new AgentRig(Build.Settings(lifetime: 60, spread: 0, mode: RenewMode.Takeover)).Start();
        rig.OnConnect = _ =>
        {
            rig.OnConnect = _ => rig.Agent.OnConnected(rig.Now, sessionPresent: false);
            rig.Tell("$iothub/methods/POST/setSettings/?$rid=r1", "{\"token\":{\"lifetimeSeconds\":1200}}");
            rig.Agent.OnConnected(rig.Now, sessionPresent: false);
        };
        rig.RunTo(52_000);
        Assert.Equal((1, SettingsState.OnProbation), (rig.Agent.Session.Renewals, rig.Agent.Settings.State));
        int connects = rig.Orders.Count(order => order.EndsWith("Connect"));
        rig.RunFor(5_000);
        Assert.Equal(connects + 1, rig.Orders.Count(order => order.EndsWith("Connect")));
        Assert.Equal((false, SettingsState.OnProbation), (rig.Agent.Session.IsLinkOutdated, rig.Agent.Settings.State));
    }

    [Fact]
    public void A_version_that_was_refused_stays_refused_when_the_one_before_it_is_proven()
    {
        AgentRig rig = new AgentRig().Start();
        rig.Change(2, "{\"token\":{\"lifetimeSeconds\":60,\"spreadPercent\":0}}").RunFor(3_000);
        rig.Change(3, "{\"token\":{\"lifetimeSeconds\":60,\"spreadPercent\":0,\"renewAtPercent\":140}}").RunFor(55_000);
        Assert.Equal((1, SettingsState.Good), (rig.Agent.Session.Renewals, rig.Agent.Settings.State));
        Assert.Contains("\"ac\":400,\"av\":3", rig.Reports[^1]);
        Assert.Equal(400, rig.Agent.Settings.Code);
    }

    [Fact]
    public void A_missed_or_old_notification_is_told_from_the_next_one()
    {
        AgentRig rig = new AgentRig().Start();
        int gets = Gets(rig);
        rig.Patch(1, "{\"keepAliveSeconds\":20}").RunFor(1_000);
        Assert.Equal((240, gets), (rig.Agent.Session.Settings.KeepAliveSeconds, Gets(rig)));
        rig.Twin = "{\"desired\":{\"agent\":{\"keepAliveSeconds\":55},\"$version\":5},\"reported\":{}}";
        rig.Patch(5, "{\"backoff\":{\"minSeconds\":2}}").RunFor(500);
        TokenSettings settings = rig.Agent.Session.Settings;
        Assert.Equal((55, 1, gets + 1), (settings.KeepAliveSeconds, settings.BackoffMinSeconds, Gets(rig)));
    }

    [Fact]
    public void Settings_that_lose_the_connection_are_rolled_back_and_stay_back_after_a_restart()
    {
        AgentRig rig = new AgentRig().Start();
        Action<AgentOutput> accept = rig.OnConnect;
        rig.OnConnect = output =>
        {
            if (rig.Agent.Session.Settings.LifetimeSeconds == 86_400)
            {
                rig.Agent.OnRefused(rig.Now, 5); // a hub that does not like tokens of a day
            }
            else
            {
                accept(output);
            }
        };
        rig.Twin = "{\"desired\":{\"agent\":{\"token\":{\"lifetimeSeconds\":86400}},\"$version\":2},\"reported\":{}}";
        rig.Patch(2, "{\"token\":{\"lifetimeSeconds\":86400}}").RunFor(300_000);
        Assert.Equal((SettingsState.RolledBack, 3600), (rig.Agent.Settings.State, rig.Agent.Session.Settings.LifetimeSeconds));
        Assert.Equal(SessionState.Connected, rig.Agent.Session.State);
        Assert.Contains(
            "\"ac\":500,\"av\":2,\"ad\":\"rolled back to the last good settings: refused: not authorised (CONNACK 5)\"",
            rig.Reports[^1].Contains("agent") ? rig.Reports[^1] : rig.Reports[^2]);

        AgentRig next = new AgentRig(before: rig).Start().RunFor(20_000);
        Assert.Equal((SettingsState.RolledBack, 3600), (next.Agent.Settings.State, next.Agent.Session.Settings.LifetimeSeconds));
        next.Twin = next.Twin.Replace("86400", "1200").Replace("\"$version\":2", "\"$version\":3");
        next.Patch(3, "{\"token\":{\"lifetimeSeconds\":1200}}").RunFor(5_000);
        Assert.Equal((SettingsState.OnProbation, 1200), (next.Agent.Settings.State, next.Agent.Session.Settings.LifetimeSeconds));
    }

    [Fact]
    public void An_outage_of_the_network_is_not_blamed_on_new_settings_before_ten_minutes()
    {
        AgentRig rig = new AgentRig().Start();
        rig.Change(2, "{\"keepAliveSeconds\":60}").RunFor(3_000);
        rig.OnConnect = _ => rig.FailConnect(LinkPhase.Tcp, LinkEnd.TimedOut);
        rig.Lose(LinkEnd.Reset).RunFor(590_000);
        Assert.Equal(SettingsState.OnProbation, rig.Agent.Settings.State);
        rig.RunFor(15_000);
        Assert.Equal((SettingsState.RolledBack, 240), (rig.Agent.Settings.State, rig.Agent.Session.Settings.KeepAliveSeconds));
    }

    [Fact]
    public void Restarting_again_and_again_under_new_settings_rolls_them_back()
    {
        AgentRig rig = new AgentRig().Start();
        rig.Twin = "{\"desired\":{\"agent\":{\"keepAliveSeconds\":60},\"$version\":2},\"reported\":{}}";
        rig.Patch(2, "{\"keepAliveSeconds\":60}");
        List<int> keepAlives = [];
        for (int i = 0; i < 5; i++)
        {
            rig = new AgentRig(before: rig).Start();
            keepAlives.Add(rig.Agent.Session.Settings.KeepAliveSeconds);
        }

        Assert.Equal([60, 60, 60, 240, 240], keepAlives);
    }

    [Fact]
    public void A_method_sets_settings_and_answers_with_them_or_with_the_problems()
    {
        AgentRig rig = new AgentRig().Start();
        rig.Call("setSettings", "{\"heartbeat\":{\"intervalSeconds\":45}}").Call("setSettings", "{\"keepAliveSeconds\":1}");
        rig.Call("setSettings", "{\"keepAlive").Call("getSettings").Call("noSuchThing", "[1");
        Assert.Equal(["200", "400", "400", "200", "404"], rig.MethodAnswers.Select(answer => answer.Topic.Split('/')[3]));
        Assert.Contains("\"intervalSeconds\":45", rig.MethodAnswers[0].Payload);
        Assert.Equal("{\"error\":\"keepAliveSeconds: 1 is below 5\"}", rig.MethodAnswers[1].Payload);
        Assert.Contains("\"renewModeInUse\":\"clean\"", rig.MethodAnswers[3].Payload);
        Assert.All(rig.MethodAnswers, answer => Assert.EndsWith("/?$rid=r1", answer.Topic));
    }

    [Fact]
    public void After_a_method_the_next_change_of_the_twin_is_read_whole()
    {
        AgentRig rig = new AgentRig().Start();
        rig.Call("setSettings", "{\"keepAliveSeconds\":30}").RunFor(3_000);
        rig.Twin = "{\"desired\":{\"agent\":{\"heartbeat\":{\"intervalSeconds\":20}},\"$version\":2},\"reported\":{}}";
        rig.Patch(2, "{\"heartbeat\":{\"intervalSeconds\":20}}").RunFor(500);
        Assert.Equal((20, 240), (rig.Agent.Session.Settings.HeartbeatIntervalSeconds, rig.Agent.Session.Settings.KeepAliveSeconds));
    }

    [Fact]
    public void Settings_survive_a_power_cut_at_every_byte_of_their_writing_as_the_old_or_the_new_ones()
    {
        AgentRig start = new AgentRig().Start();
        CuttableFlash probe = start.State.PowerUp();
        int size = StateRecord.Size + RingLog.HeaderSize;
        for (int cut = 1; cut <= size; cut++)
        {
            AgentRig rig = new AgentRig(before: start).Start();
            rig.State.BytesLeft = cut;
            rig.Patch(2, "{\"heartbeat\":{\"intervalSeconds\":77}}");
            rig.State.BytesLeft = 0;
            AgentRig after = new(before: rig);
            int kept = after.Agent.Session.Settings.HeartbeatIntervalSeconds;
            Assert.Equal(cut > size ? 77 : 0, kept == 77 && cut == size ? 0 : kept);
            Assert.Equal(rig.Agent.Boots + 1, after.Agent.Boots);
        }
    }

    [Fact]
    public void Twins_of_any_kind_never_crash_the_agent_and_always_get_an_answer_or_another_question()
    {
        SeededRandom random = new(21);
        AgentRig rig = new AgentRig(Build.Settings(heartbeat: 0, backoffMax: 2)).Start();
        for (int i = 0; i < 3_000; i++)
        {
            long version = Math.Max(i + 10, rig.Agent.Settings.Version + 1); // a document may have claimed any
            rig.Twin = TwinFuzz.Document(random).Replace("\"$version\":4", $"\"$version\":{version}");
            int asked = rig.Reports.Count + Gets(rig);
            rig.Patch(version, "{}").RunFor(70_000); // what was refused is asked again after 30 to 60 s
            Assert.True(rig.Reports.Count + Gets(rig) > asked);
            Assert.True(new TokenSettingsDraft(rig.Agent.Session.Settings).TryBuild(out _, out _));
        }
    }

    [Theory]
    [InlineData(RenewMode.Clean)]
    [InlineData(RenewMode.Takeover)]
    [InlineData(RenewMode.Prewarm)]
    public void A_change_made_in_the_gap_of_a_renewal_is_in_force_at_once(RenewMode mode)
    {
        AgentRig rig = new AgentRig(Build.Settings(heartbeat: 0, mode: mode)).Start();
        Action<AgentOutput> accept = rig.OnConnect;
        rig.OnConnect = output =>
        {
            rig.Twin = "{\"desired\":{\"agent\":{\"heartbeat\":{\"intervalSeconds\":33}},\"$version\":2},\"reported\":{}}";
            accept(output); // and no notification: nobody was there to be told
        };
        while (rig.Agent.Session.Renewals == 0)
        {
            rig.RunFor(60_000);
        }

        Assert.Equal(33, rig.Agent.Session.Settings.HeartbeatIntervalSeconds);
    }

    [Fact]
    public void Renewals_one_after_the_other_read_the_twin_from_a_reserve_and_a_change_waits_five_minutes_at_most()
    {
        AgentRig rig = new AgentRig(Build.Settings(lifetime: 10, percent: 10, spread: 0, heartbeat: 0)).Start();
        rig.RunFor(3_600_000);
        Assert.True(rig.Agent.Session.Renewals > 1_000);
        Assert.InRange(Gets(rig), 15, 1 + DeviceAgent.TwinReadReserve + 12);
        rig.Twin = "{\"desired\":{\"agent\":{\"heartbeat\":{\"intervalSeconds\":33}},\"$version\":2},\"reported\":{}}";
        rig.RunFor(DeviceAgent.TwinReadEveryMs + 5_000);
        Assert.Equal(33, rig.Agent.Session.Settings.HeartbeatIntervalSeconds);
    }

    [Fact]
    public void A_link_that_breaks_before_every_answer_does_not_make_the_agent_ask_without_end()
    {
        AgentRig rig = new AgentRig(Build.Settings(heartbeat: 0, backoffMax: 1)).Start();
        rig.OnPublish = message =>
        {
            if (message.Topic.Contains("/twin/GET/"))
            {
                rig.Lose(LinkEnd.Closed);
            }
            else
            {
                rig.AcknowledgeAndAnswer(message);
            }
        };
        for (int i = 0; i < 360; i++)
        {
            rig.Lose(LinkEnd.Reset).RunFor(10_000);
        }

        Assert.InRange(Gets(rig), 12, 1 + DeviceAgent.TwinReadReserve + 12);
    }

    [Fact]
    public void A_throttled_read_is_made_again_later_and_not_by_everybody_at_the_same_moment()
    {
        long[] again = [.. Enumerable.Range(1, 8).Select(seed => MomentOfSecondRead((uint)seed)).Distinct()];
        Assert.InRange(again.Length, 4, 8);
        Assert.All(again, ms => Assert.InRange(ms, 30_000, 61_000));
    }

    [Fact]
    public void A_dropped_message_makes_the_agent_read_its_twin()
    {
        AgentRig rig = new AgentRig().Start();
        int gets = Gets(rig);
        rig.Do(agent => agent.OnMessageDropped(rig.Now)).RunFor(1_000);
        Assert.Equal(gets + 1, Gets(rig));
    }

    private static long MomentOfSecondRead(uint seed)
    {
        AgentRig rig = new(seed: seed);
        rig.OnPublish = message =>
        {
            if (message.Topic.Contains("/twin/GET/"))
            {
                rig.Tell($"$iothub/twin/res/429/?{message.Topic[message.Topic.IndexOf("$rid=")..]}", "");
            }
        };
        rig.Start().RunFor(61_000);
        return long.Parse(rig.Orders.Where(order => order.Contains("/twin/GET/")).ElementAt(1).Split(' ')[0]);
    }

    private static int Gets(AgentRig rig) => rig.Orders.Count(order => order.Contains("/twin/GET/"));
}
