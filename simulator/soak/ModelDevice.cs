using System.Globalization;
using Agent.Fleet;
using Agent.Hub;

namespace Agent.Soak;

/// <summary>A device that runs the model of an SDK, with an application that sends heartbeats.</summary>
internal sealed class ModelDevice : SoakDevice
{
    private readonly SdkModel model;
    private readonly long everyMs;
    private readonly Turn turn;
    private ClientState client;
    private SoakLink? link;
    private Pulse pulse = Pulse.Idle;
    private int run;
    private int lastPacketId;
    private bool saysGoodbye;

    public ModelDevice(SoakWorld world, int index, string id, SoakFleet fleet)
        : base(world, index, id)
    {
        model = SdkCatalog.Create(fleet.Sdk, "source", fleet.Settings, 1, world.Plan.Seed + (ulong)index);
        everyMs = fleet.Settings.HeartbeatEveryMs;
        turn = new Turn(world.Plan.Seed);
    }

    public override SoakLink? Connection => client.Phase == Phase.Connected ? link : null;

    private long OwnMs => World.Plan.DeviceUptimeMs + World.NowMs;

    /// <inheritdoc/>
    public override void PowerOn()
    {
        if (HasPower)
        {
            return;
        }

        HasPower = true;
        World.Tell(this, "power on");
        run++;
        Turn((ref ClientState state) => model.OnStart(ref state, turn));
        SendLater(run);
    }

    /// <inheritdoc/>
    public override void PowerOff()
    {
        if (!HasPower)
        {
            return;
        }

        World.Tell(this, "power off");
        HasPower = false;
        run++;
        foreach (SoakLink open in Links)
        {
            SoakWorld.Vanish(open);
        }

        link = null;
        pulse = Pulse.Idle;
        client.LosePower();
        ForgetCalls();
    }

    /// <summary>Somebody comes by: a client that has given up, as some SDKs do, is started again.</summary>
    public void Visit()
    {
        if (HasPower)
        {
            PowerOff();
            PowerOn();
        }
    }

    /// <inheritdoc/>
    public override void OnUp(SoakLink up) => OnLink(up, Phase.Dialing, () =>
        Turn((ref ClientState state) => model.OnTransportUp(ref state, turn)));

    /// <inheritdoc/>
    public override void OnDialFailed(SoakLink failed, DialEnd end) => OnLink(failed, Phase.Dialing, () => FailAttempt(end switch
    {
        DialEnd.NoName => DialFault.Dns,
        DialEnd.Refused => DialFault.Refused,
        DialEnd.TlsFailed => DialFault.Tls,
        _ => DialFault.TimedOut,
    }));

    /// <inheritdoc/>
    public override void OnConnack(SoakLink of, int code, bool sessionPresent) => OnLink(of, Phase.AwaitingConnack, () =>
    {
        if (code == ConnectReply.HangUp)
        {
            FailAttempt(DialFault.Refused);
            return;
        }

        World.Tell(this, code == 0 ? "connected" : $"refused with {code}");
        Turn((ref ClientState state) => model.OnConnack(ref state, turn, (byte)code, sessionPresent));
        if (code == 0 && link == of)
        {
            pulse = Pulse.From(World.NowMs);
            PingLater(of);
        }
    });

    /// <inheritdoc/>
    public override void OnPuback(SoakLink on, int packetId)
    {
        if (on == link && pulse.Unacked > 0)
        {
            pulse.LastReceivedMs = World.NowMs;
            pulse.Unacked--;
            pulse.UnackedSinceMs = pulse.Unacked == 0 ? -1 : World.NowMs;
        }
    }

    /// <inheritdoc/>
    public override void OnPingresp(SoakLink on)
    {
        if (on == link)
        {
            pulse.LastReceivedMs = World.NowMs;
            pulse.PingSentMs = -1;
            if (model.Ping.Rule == PingRule.TickIfQuiet)
            {
                pulse.LookedMs = World.NowMs;
                PingLater(on);
            }
        }
    }

    /// <inheritdoc/>
    public override void OnClosed(SoakLink closed, bool reset) => Run(() =>
    {
        if (closed != link)
        {
            return;
        }

        link = null;
        pulse = Pulse.Idle;
        if (client.Phase is Phase.AwaitingConnack or Phase.Dialing)
        {
            FailAttempt(DialFault.Refused);
        }
        else if (client.Phase is Phase.Connected or Phase.Renewing)
        {
            World.Tell(this, "lost its connection");
            Turn((ref ClientState state) => model.OnClosed(ref state, turn, reset));
        }
    });

    /// <inheritdoc/>
    public override void OnClock()
    {
    }

    /// <inheritdoc/>
    public override void Check()
    {
    }

    /// <inheritdoc/>
    public override void CheckEnd()
    {
        if (client.Phase == Phase.Connected && link is { IsAccepted: true } && link != Books.HeldLink && !link.IsEndUnderWay(World.NowMs))
        {
            SoakWorld.Broken(Invariants.SameView, this, $"link {link.Number} here, link {Books.HeldLink?.Number} at the hub");
        }
    }

    /// <summary>Models are as their SDKs are: some never come back by themselves, none owes us a bound.</summary>
    public override long BackByMs(long sinceMs) => long.MaxValue;

    private delegate void ModelCall(ref ClientState state);

    private void OnLink(SoakLink of, Phase phase, Action call) => Run(() =>
    {
        if (of == link && client.Phase == phase)
        {
            call();
        }
    });

    private void FailAttempt(DialFault fault)
    {
        link = null;
        World.Tell(this, $"attempt failed: {fault}");
        Turn((ref ClientState state) => model.OnAttemptFailed(ref state, turn, fault));
    }

    private void Turn(ModelCall call)
    {
        turn.Begin(OwnMs, World.UtcMs + (SkewSeconds * 1000), Index, 0);
        call(ref client);
        foreach (Order order in turn.Orders.ToArray())
        {
            Carry(order);
        }
    }

    private void Carry(Order order)
    {
        int mine = run;
        switch (order.Kind)
        {
            case OrderKind.Arm:
                long dueMs = order.Value;
                World.After(dueMs - OwnMs, () => Fire(mine, order.Timer, dueMs));
                break;
            case OrderKind.Dial:
                Drop(sayGoodbye: saysGoodbye);
                link = World.Dial(this);
                SoakLink dialled = link;
                World.After(order.Value, () => OnLink(dialled, client.Phase, () => GiveUpDial(dialled)));
                break;
            case OrderKind.Connect when link is { } on:
                on.TokenMadeMs = World.NowMs;
                ConnectFields fields = model.Connect;
                World.SendConnect(on, order.Value, model.LifetimeSeconds, fields.KeepAliveSeconds, fields.CleanSession);
                break;
            case OrderKind.Subscribe or OrderKind.TwinGet when link is { } on:
                pulse.LastSentMs = World.NowMs;
                World.SendPacket(on, _ => { });
                break;
            case OrderKind.Ping when link is { } on:
                World.SendPing(on);
                break;
            case OrderKind.Disconnect:
                saysGoodbye = true;
                break;
            case OrderKind.Close or OrderKind.Reset:
                Drop(saysGoodbye && order.Kind == OrderKind.Close);
                break;
            case OrderKind.Stop:
                World.Tell(this, "waits for its application");
                break;
        }

        if (order.Kind == OrderKind.Disconnect)
        {
            Drop(sayGoodbye: true);
        }
    }

    private void Drop(bool sayGoodbye)
    {
        saysGoodbye = false;
        pulse = Pulse.Idle;
        if (link is not { } old)
        {
            return;
        }

        link = null;
        World.CloseByDevice(old, sayGoodbye);
        int mine = run;
        World.After(2 * World.Plan.LatencyMsMax, () =>
        {
            if (mine == run && link is null)
            {
                Run(() => Turn((ref ClientState state) => model.OnOwnCloseDone(ref state, turn)));
            }
        });
    }

    private void GiveUpDial(SoakLink dialled)
    {
        if (client.Phase is Phase.Dialing or Phase.AwaitingConnack)
        {
            World.CloseByDevice(dialled, sayGoodbye: false);
            dialled.IsOpenAtDevice = false;
            FailAttempt(DialFault.TimedOut);
        }
    }

    private void Fire(int mine, int timer, long dueMs)
    {
        if (mine == run)
        {
            Run(() =>
            {
                if (mine == run && client.IsTimer(timer, dueMs))
                {
                    client.ClearTimer(timer);
                    Turn((ref ClientState state) => model.OnTimer(ref state, turn, timer));
                }
            });
        }
    }

    private void SendLater(int mine)
    {
        long dueMs = ((World.NowMs / everyMs) + 1) * everyMs;
        World.After(dueMs - World.NowMs, () =>
        {
            if (mine == run && HasPower)
            {
                Run(() => Send(dueMs / everyMs));
                SendLater(mine);
            }
        });
    }

    private void Send(long number)
    {
        if (client.Phase == Phase.Connected && link is { IsAccepted: true } on)
        {
            pulse.LastSentMs = World.NowMs;
            if (pulse.Unacked++ == 0)
            {
                pulse.UnackedSinceMs = World.NowMs;
                World.After(model.AcknowledgeWithinMs, () => OnLink(on, Phase.Connected, LookForAck));
            }

            string interval = ((everyMs + 999) / 1000).ToString(CultureInfo.InvariantCulture);
            World.SendPublish(
                on, ++lastPacketId, $"devices/{Id}/messages/events/type=heartbeat&seq={number}&interval={interval}", "{}");
        }
        else if (client.Has(DeviceFlags.WakeOnSend) && client.Phase is Phase.Stopped or Phase.Waiting)
        {
            client.Flags &= ~DeviceFlags.WakeOnSend;
            Turn((ref ClientState state) => model.OnSendWhileDown(ref state, turn));
        }
    }

    private void LookForAck()
    {
        if (pulse.Unacked > 0 && World.NowMs - pulse.UnackedSinceMs >= model.AcknowledgeWithinMs)
        {
            LosePing();
        }
    }

    private void LosePing()
    {
        World.Tell(this, "gets no answer");
        Turn((ref ClientState state) => model.OnPingLost(ref state, turn));
        if (client.Phase != Phase.Connected)
        {
            pulse = Pulse.Idle;
        }
    }

    private void PingLater(SoakLink on)
    {
        if (!pulse.ArmPing(model.Ping, World.NowMs))
        {
            return;
        }

        long dueMs = pulse.PingDueMs;
        World.After(dueMs - World.NowMs, () => OnLink(on, Phase.Connected, () =>
        {
            if (pulse.PingDueMs != dueMs)
            {
                return;
            }

            if (pulse.Look(model.Ping, World.NowMs))
            {
                pulse.LastSentMs = World.NowMs;
                pulse.PingSentMs = World.NowMs;
                World.SendPing(on);
                long sentMs = World.NowMs;
                World.After(model.Ping.AnswerWithinMs, () => OnLink(on, Phase.Connected, () =>
                {
                    if (pulse.PingSentMs == sentMs)
                    {
                        LosePing();
                    }
                }));
            }

            PingLater(on);
        }));
    }
}
