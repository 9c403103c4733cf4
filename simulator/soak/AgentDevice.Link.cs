using System.Globalization;
using System.Text;
using Agent.Core;
using Agent.Hub;

namespace Agent.Soak;

// Orders carried out, and what became of links told to the agent together with the reasons that would be true.
internal sealed partial class AgentDevice
{
    /// <inheritdoc/>
    public override void OnUp(SoakLink up) => Run(() =>
    {
        if (!up.IsOpenAtDevice)
        {
            return;
        }

        if (up == next && up.IsPrewarm)
        {
            Do(a => a.OnPrewarmed(Now));
        }
        else if (up == link || up == next)
        {
            agent!.NotePhase(LinkPhase.Connack);
            SendConnect(up);
        }
    });

    /// <inheritdoc/>
    public override void OnDialFailed(SoakLink failed, DialEnd end) => Run(() =>
    {
        if (!Forget(failed, out bool wasNext))
        {
            return;
        }

        (LinkPhase phase, LinkEnd how, int error, DisconnectReason[] truth) = end switch
        {
            DialEnd.NoName => (LinkPhase.Name, LinkEnd.Unknown, 0, new[] { DisconnectReason.NameNotResolved }),
            DialEnd.Refused => (LinkPhase.Tcp, LinkEnd.Refused, 0, [DisconnectReason.TcpRefused, DisconnectReason.PortBlocked]),
            DialEnd.TcpTimedOut => (LinkPhase.Tcp, LinkEnd.TimedOut, 0, [DisconnectReason.TcpTimedOut, DisconnectReason.PortBlocked]),
            DialEnd.TlsTimedOut => (LinkPhase.Tls, LinkEnd.TimedOut, 0, [DisconnectReason.SilentPeer]),
            _ => (LinkPhase.Tls, LinkEnd.Unknown, Evidence.CertificateError,
                [DisconnectReason.TlsWrongRoot, DisconnectReason.TlsWrongClock]),
        };
        agent!.Seen.Saw(phase, how, error);
        if (wasNext && failed.IsPrewarm)
        {
            Do(a => a.OnPrewarmFailed(Now));
        }
        else
        {
            Do(a => a.OnConnectFailed(Now), truth);
        }
    });

    /// <inheritdoc/>
    public override void OnConnack(SoakLink of, int code, bool sessionPresent) => Run(() =>
    {
        if (of != link && of != next)
        {
            return;
        }

        if (code == ConnectReply.HangUp)
        {
            EndUnaccepted(of, reset: false);
        }
        else if (code != 0)
        {
            Forget(of, out _);
            Do(a => a.OnRefused(Now, code), Refusals(code));
        }
        else if (of.IsOpenAtDevice)
        {
            if (of == next)
            {
                Leave(link);
                (link, next) = (next, null);
            }

            of.ReceivedMs = World.NowMs;
            Do(a => a.OnConnected(Now, sessionPresent));
            PingLater(of);
        }
    });

    /// <inheritdoc/>
    public override void OnPuback(SoakLink on, int packetId) => Run(() =>
    {
        if (on != link || packetId != packetInFlight)
        {
            return;
        }

        packetInFlight = 0;
        if (inFlight.StartsWith('m') && !Books.AtHub.Contains(int.Parse(inFlight.AsSpan(1), CultureInfo.InvariantCulture)))
        {
            SoakWorld.Broken(Invariants.AcknowledgedArrives, this, $"message {inFlight} is acknowledged and not at the hub");
        }

        Do(a => a.OnPublished(Now));
    });

    /// <inheritdoc/>
    public override void OnPingresp(SoakLink on)
    {
        on.PingSentMs = -1;
        Run(() =>
        {
            if (on == link)
            {
                agent!.NoteInbound(Now);
            }
        });
    }

    /// <inheritdoc/>
    public override void OnClosed(SoakLink closed, bool reset) => Run(() =>
    {
        if (closed != link && closed != next)
        {
            return;
        }

        if (!closed.IsAccepted)
        {
            EndUnaccepted(closed, reset);
            return;
        }

        Forget(closed, out _);
        if (Session.State == SessionState.TakingOver)
        {
            return; // The hub closes the old link as soon as it sees the new one; only the new one's end counts.
        }

        agent!.Seen.Saw(LinkPhase.Connected, reset ? LinkEnd.Reset : LinkEnd.Closed, 0);
        Do(a => a.OnLinkLost(Now), reset ? [DisconnectReason.ConnectionReset] : Closes(closed));
    });

    private void EndUnaccepted(SoakLink closed, bool reset)
    {
        closed.IsOpenAtDevice = false;
        Forget(closed, out bool wasNext);
        if (wasNext && closed.IsPrewarm)
        {
            Do(a => a.OnPrewarmFailed(Now));
            return;
        }

        agent!.Seen.Saw(LinkPhase.Connack, reset ? LinkEnd.Reset : LinkEnd.Closed, 0);
        Do(
            a => a.OnConnectFailed(Now),
            reset ? [DisconnectReason.ConnectionReset] : [DisconnectReason.ClosedByPeer, DisconnectReason.Throttled]);
    }

    private bool Forget(SoakLink ended, out bool wasNext)
    {
        wasNext = ended == next;
        bool isOurs = wasNext || ended == link;
        next = wasNext ? null : next;
        link = ended == link ? null : link;
        return isOurs && agent is not null;
    }

    private void CarryOut()
    {
        while (agent is not null && !state.IsDead && agent.TryTakeOutput(Now, out AgentOutput output))
        {
            switch (output.Kind)
            {
                case AgentOutputKind.Connect:
                    Connect(output);
                    break;
                case AgentOutputKind.Disconnect:
                    Disconnect();
                    break;
                case AgentOutputKind.Prewarm:
                    Leave(next);
                    next = World.Dial(this, isPrewarm: true);
                    break;
                case AgentOutputKind.Subscribe when link is { } on:
                    World.SendPacket(on, hubSide =>
                    {
                        hubSide.IsSubscribed = true;
                        World.SendDown(hubSide, () => Run(() => { if (hubSide == link) { Do(a => a.OnSubscribed(Now, true)); } }));
                    });
                    break;
                case AgentOutputKind.Publish when link is { } on:
                    Publish(on, output);
                    break;
                case AgentOutputKind.Probe:
                    World.After(3_000, Probe);
                    break;
                case AgentOutputKind.Reboot:
                    World.After(0, () => World.CutPower(this, 2_000));
                    break;
            }
        }
    }

    private void Connect(in AgentOutput output)
    {
        attempts++;
        dialled = Session.Settings;
        World.Tell(this, $"connects ({output.Mode}), token until {output.ExpirySeconds - (SoakWorld.EpochUtcMs / 1000)} s");
        SoakLink used;
        if (output.Mode == RenewMode.Takeover)
        {
            Leave(next);
            next = used = World.Dial(this);
        }
        else if (output.Mode == RenewMode.Prewarm && next is { IsUp: true, IsOpenAtDevice: true })
        {
            (link, next) = (next, null);
            used = link;
        }
        else
        {
            Leave(next);
            Leave(link);
            next = null;
            link = used = World.Dial(this);
        }

        used.ExpirySeconds = output.ExpirySeconds;
        used.LifetimeSeconds = output.ExpirySeconds - Now.UtcSeconds;
        used.TokenMadeMs = World.NowMs;
        used.KeepAliveSeconds = Session.Settings.KeepAliveSeconds;
        if (used.LifetimeSeconds != Session.Settings.LifetimeSeconds && !Session.IsLinkOutdated)
        {
            SoakWorld.Broken(Invariants.TokenFresh, this, $"a token of {used.LifetimeSeconds} s is used");
        }

        ChangeAtRenewal(output.Mode);
        if (used.IsUp)
        {
            agent!.NotePhase(LinkPhase.Connack);
            SendConnect(used);
        }
        else
        {
            agent!.NotePhase(LinkPhase.Tcp);
        }
    }

    private void SendConnect(SoakLink on) =>
        World.SendConnect(on, on.ExpirySeconds, on.LifetimeSeconds, on.KeepAliveSeconds, cleanSession: false);

    private void Disconnect()
    {
        packetInFlight = 0;
        bool isRenewal = Session.State == SessionState.Renewing;
        if (next is { IsPrewarm: false } || !isRenewal)
        {
            Leave(next);
            next = null;
        }

        World.Tell(this, $"disconnects, {SessionStateText.Of(Session.State)}");
        Leave(link);
        link = null;
        int run = boot;
        int ends = ++closings;
        World.After(dice.Below(OnTheWayMs), () => OfThisRun(run, () => Run(() =>
        {
            if (ends == closings)
            {
                Do(a => a.OnClosed(Now));
            }
        })));
    }

    private void Leave(SoakLink? old)
    {
        if (old is not null)
        {
            World.CloseByDevice(old, sayGoodbye: old.IsAccepted);
        }
    }

    private void Publish(SoakLink on, in AgentOutput output)
    {
        string topic = output.Topic;
        string payload = Encoding.UTF8.GetString(output.Buffer, 0, output.Count);
        if (output.Qos == 0)
        {
            World.SendPacket(on, hubSide => Answer(hubSide, topic, payload));
            return;
        }

        packetInFlight = lastPacketId = (lastPacketId % ushort.MaxValue) + 1;
        inFlight = payload;
        CheckPublish(topic);
        World.SendPublish(on, packetInFlight, topic, payload);
    }

    private void Probe() => Run(() =>
    {
        bool isOpen = IsUpOpen && IsDownOpen && !Suffers(SoakFault.NoName);
        if (isOpen)
        {
            possible.Add(DisconnectReason.PortBlocked);
        }

        Do(a => a.OnProbed(Now, isOpen));
    });

    private void PingLater(SoakLink on)
    {
        long everyMs = on.KeepAliveSeconds * 1000L;
        World.After(Math.Max(1, on.SentMs + everyMs - World.NowMs), () =>
        {
            if (on != link || !on.IsOpenAtDevice)
            {
                return;
            }

            if (IsHung)
            {
                PingLater(on);
            }
            else if (on.PingSentMs >= 0 && World.NowMs - on.PingSentMs >= everyMs)
            {
                LosePing(on);
            }
            else
            {
                if (on.PingSentMs < 0 && World.NowMs - on.SentMs >= everyMs)
                {
                    World.SendPing(on);
                }

                PingLater(on);
            }
        });
    }

    private void LosePing(SoakLink on)
    {
        World.CloseByDevice(on, sayGoodbye: false);
        Forget(on, out _);
        if (Session.State == SessionState.TakingOver)
        {
            return;
        }

        agent!.Seen.Saw(LinkPhase.Connected, LinkEnd.PingTimedOut, 0);
        Do(a => a.OnLinkLost(Now), DisconnectReason.KeepAliveLost);
    }
}
