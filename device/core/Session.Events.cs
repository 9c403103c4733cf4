// The events of a session: one method each, the moment first, one switch over all states. What a state does is
// one or two lines here and its working stands in Session.cs; a state that does nothing says why. The same table,
// with what comes of every pair, is tests/golden/session.txt, which a test compares with this file.
namespace Agent.Core
{
    public sealed partial class Session
    {
        /// <summary>There is a network with an address.</summary>
        public void OnNetworkUp(Now now)
        {
            switch (State)
            {
                case SessionState.Stopped:
                    break; // ended for good
                case SessionState.NoNetwork:
                    ComeBack(now);
                    break;
                case SessionState.NoTime:
                case SessionState.Connecting:
                case SessionState.Connected:
                case SessionState.Renewing:
                case SessionState.BackingOff:
                case SessionState.TakingOver:
                    break; // it was up already; a repeated report changes nothing
                default:
                    throw Unlisted();
            }
        }

        /// <summary>The network is gone (Wi-Fi lost, no address any more).</summary>
        public void OnNetworkLost(Now now)
        {
            switch (State)
            {
                case SessionState.Stopped:
                case SessionState.NoNetwork:
                    break; // nothing depends on it
                case SessionState.NoTime:
                case SessionState.BackingOff:
                    Enter(SessionState.NoNetwork); // no link to lose; the last reason stays the telling one
                    break;
                case SessionState.Connecting:
                    NoteFailure(DisconnectReason.NetworkLost);
                    Enter(SessionState.NoNetwork);
                    Order(OutputKind.Disconnect);
                    break;
                case SessionState.Connected:
                case SessionState.TakingOver:
                    NoteDrop(now, DisconnectReason.NetworkLost);
                    Enter(SessionState.NoNetwork);
                    Order(OutputKind.Disconnect);
                    break;
                case SessionState.Renewing:
                    if (IsDraining())
                    {
                        NoteDrop(now, DisconnectReason.NetworkLost);
                        Enter(SessionState.NoNetwork);
                        Order(OutputKind.Disconnect);
                    }
                    else
                    {
                        NoteFailure(DisconnectReason.NetworkLost); // the close was planned, what follows is not
                        Enter(SessionState.NoNetwork); // the order to close stands
                    }

                    break;
                default:
                    throw Unlisted();
            }
        }

        /// <summary>The clock was set for the first time, or corrected.</summary>
        public void OnTimeKnown(Now now)
        {
            switch (State)
            {
                case SessionState.Stopped:
                    break; // ended for good
                case SessionState.NoNetwork:
                    break; // OnNetworkUp looks at the clock itself
                case SessionState.NoTime:
                    ComeBack(now);
                    break;
                case SessionState.Connecting:
                    break; // the token is already under way; a wrong one shows as a refusal
                case SessionState.Connected:
                    if (plannedReason == DisconnectReason.PlannedRenewal && !timers.IsArmed(TimerId.Prewarm))
                    {
                        ArmRenewal(now); // a clock that was behind has made a token that ends early
                    }

                    break; // a renewal ordered for now, or under way, needs no other moment
                case SessionState.Renewing:
                    break; // the next token is made with the new clock anyway
                case SessionState.TakingOver:
                    break; // as in Connecting
                case SessionState.BackingOff:
                    RetryIfClockWasWrong(now);
                    break;
                default:
                    throw Unlisted();
            }
        }

        /// <summary>CONNACK 0.</summary>
        public void OnConnected(Now now, bool sessionPresent)
        {
            switch (State)
            {
                case SessionState.Connecting:
                case SessionState.TakingOver:
                    Accept(now, sessionPresent);
                    break;
                case SessionState.Stopped:
                case SessionState.NoNetwork:
                case SessionState.NoTime:
                case SessionState.BackingOff:
                    break; // an attempt we have given up; its link was ordered closed
                case SessionState.Connected:
                case SessionState.Renewing:
                    break; // CONNACK comes once per link: this is another link's
                default:
                    throw Unlisted();
            }
        }

        /// <summary>CONNACK with another code than 0. The driver has closed the link.</summary>
        public void OnRefused(Now now, int code)
        {
            switch (State)
            {
                case SessionState.Connecting:
                    Refusals++;
                    NoteFailure(RefusalReason(code));
                    if (code != 3 && failures < RefusedAttempt)
                    {
                        failures = RefusedAttempt; // 3 is the hub's trouble and passes; the others are ours
                    }

                    BackOff(now);
                    break;
                case SessionState.TakingOver:
                    Refusals++;
                    FallBack(now); // the old link still stands; if the token is bad, the clean way will say so
                    break;
                case SessionState.Stopped:
                case SessionState.NoNetwork:
                case SessionState.NoTime:
                case SessionState.BackingOff:
                    break; // an attempt we have given up
                case SessionState.Connected:
                case SessionState.Renewing:
                    break; // CONNACK comes once per link: this is another link's
                default:
                    throw Unlisted();
            }
        }

        /// <summary>The attempt ended before CONNACK. The driver has closed what it opened.</summary>
        public void OnConnectFailed(Now now, DisconnectReason reason)
        {
            switch (State)
            {
                case SessionState.Connecting:
                    FailAttempt(now, reason);
                    break;
                case SessionState.TakingOver:
                    FallBack(now);
                    break;
                case SessionState.Stopped:
                case SessionState.NoNetwork:
                case SessionState.NoTime:
                case SessionState.BackingOff:
                    break; // an attempt we have given up
                case SessionState.Connected:
                case SessionState.Renewing:
                    break; // no attempt is under way: a late report of an earlier one
                default:
                    throw Unlisted();
            }
        }

        /// <summary>The link ended and we did not end it. The driver has closed its side.</summary>
        public void OnLinkLost(Now now, DisconnectReason reason)
        {
            switch (State)
            {
                case SessionState.Stopped:
                case SessionState.NoNetwork:
                case SessionState.NoTime:
                case SessionState.BackingOff:
                    break; // there is no link; a late report of the one we gave up
                case SessionState.Connecting:
                    FailAttempt(now, reason); // closed between TCP and CONNACK
                    break;
                case SessionState.TakingOver:
                    break; // the old link, which the hub closes as soon as it sees the new one; only that one counts
                case SessionState.Connected:
                    NoteDrop(now, reason);
                    BackOff(now);
                    break;
                case SessionState.Renewing:
                    if (IsDraining())
                    {
                        NoteDrop(now, reason); // we had not yet said goodbye
                        BackOff(now);
                    }
                    else
                    {
                        StartConnecting(now); // as good as OnClosed
                    }

                    break;
                default:
                    throw Unlisted();
            }
        }

        /// <summary>A Disconnect order has been carried out and the link is closed.</summary>
        public void OnClosed(Now now)
        {
            switch (State)
            {
                case SessionState.Renewing:
                    if (!IsDraining())
                    {
                        StartConnecting(now);
                    }

                    break; // while draining nothing was ordered closed: a late report of an earlier link
                case SessionState.Stopped:
                case SessionState.NoNetwork:
                case SessionState.NoTime:
                case SessionState.BackingOff:
                    break; // the close we ordered on the way here; nothing waits for it
                case SessionState.Connecting:
                case SessionState.Connected:
                case SessionState.TakingOver:
                    break; // the old link closed late; the new one is already ours
                default:
                    throw Unlisted();
            }
        }

        /// <summary>Other telemetry went out, which shows the device alive as well as a heartbeat.</summary>
        public void OnTelemetrySent(Now now)
        {
            switch (State)
            {
                case SessionState.Connected:
                case SessionState.Renewing:
                case SessionState.TakingOver:
                    PutOffHeartbeat(now); // outside Connected its timer is armed again when connected
                    break;
                case SessionState.Stopped:
                case SessionState.NoNetwork:
                case SessionState.NoTime:
                case SessionState.Connecting:
                case SessionState.BackingOff:
                    break; // without a link nothing went out, whatever the caller believes
                default:
                    throw Unlisted();
            }
        }

        /// <summary>
        /// The PUBACK of a heartbeat. True whenever it comes, so that nothing the hub has is sent twice.
        /// </summary>
        public void OnHeartbeatAcknowledged(Now now, int sequence)
        {
            if (unacknowledged == NoHeartbeat || sequence != unacknowledged)
            {
                return; // a second PUBACK for one that was repeated
            }

            unacknowledged = NoHeartbeat;
            HeartbeatsAcknowledged++;
            switch (State)
            {
                case SessionState.Connected:
                    timers.Stop(TimerId.Acknowledge);
                    SendNext(now);
                    break;
                case SessionState.Renewing:
                    if (IsDraining())
                    {
                        LeaveLink(now);
                    }

                    break; // while closing it is enough to have counted it
                case SessionState.Stopped:
                case SessionState.NoNetwork:
                case SessionState.NoTime:
                case SessionState.Connecting:
                case SessionState.BackingOff:
                case SessionState.TakingOver:
                    break; // came just as the link ended; it will not be repeated
                default:
                    throw Unlisted();
            }
        }

        /// <summary>The program ends. The driver carries out the last order and reports nothing more.</summary>
        public void OnStop(Now now)
        {
            switch (State)
            {
                case SessionState.Stopped:
                    break; // already
                case SessionState.NoNetwork:
                case SessionState.NoTime:
                case SessionState.BackingOff:
                    Enter(SessionState.Stopped); // no link to close
                    break;
                case SessionState.Connecting:
                case SessionState.Connected:
                case SessionState.TakingOver:
                    Enter(SessionState.Stopped);
                    LastReason = DisconnectReason.Stopped;
                    linkEndedMs = now.Ms;
                    Order(OutputKind.Disconnect);
                    break;
                case SessionState.Renewing:
                    bool draining = IsDraining();
                    Enter(SessionState.Stopped);
                    LastReason = DisconnectReason.Stopped;
                    if (draining)
                    {
                        linkEndedMs = now.Ms;
                        Order(OutputKind.Disconnect);
                    }

                    break; // while closing the order has been given
                default:
                    throw Unlisted();
            }
        }

        /// <summary>Time has passed. Does what is due; harmless when nothing is.</summary>
        public void OnWake(Now now)
        {
            switch (State)
            {
                case SessionState.Stopped:
                case SessionState.NoNetwork:
                case SessionState.NoTime:
                    break; // these wait for an event, not for a moment
                case SessionState.Connecting:
                    if (timers.IsExpired(TimerId.Connect, now.Ms))
                    {
                        NoteFailure(DisconnectReason.ConnectTimedOut);
                        BackOff(now);
                        Order(OutputKind.Disconnect);
                    }

                    break;
                case SessionState.TakingOver:
                    if (timers.IsExpired(TimerId.Connect, now.Ms))
                    {
                        FallBack(now);
                    }

                    break;
                case SessionState.Connected:
                    WakeConnected(now);
                    break;
                case SessionState.Renewing:
                    if (timers.IsExpired(TimerId.Drain, now.Ms))
                    {
                        LeaveLink(now); // what was in flight is repeated on the new link
                    }
                    else if (timers.IsExpired(TimerId.Close, now.Ms))
                    {
                        StartConnecting(now); // a driver that cannot close must not cost us the renewal
                    }

                    break;
                case SessionState.BackingOff:
                    if (timers.IsExpired(TimerId.Retry, now.Ms))
                    {
                        StartConnecting(now);
                    }

                    break;
                default:
                    throw Unlisted();
            }
        }
    }
}
