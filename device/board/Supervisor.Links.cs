// The supervisor's other half: orders of the session carried out on links, and reports of links told to the session.
using System;
using System.Security.Cryptography.X509Certificates;
using Agent.Core;

namespace Agent.Board
{
    public sealed partial class Supervisor
    {
        /// <summary>Milliseconds before a renewal at which a prewarmed channel is opened: a slow handshake, twice.</summary>
        private const long PrewarmLeadMs = 5000;

        /// <summary>
        /// Milliseconds after which an ended link is closed for certain: its own thread has done it by then, and the shortest
        /// possible renewal has not begun, in whose gap the 0.2 s of a Close would show.
        /// </summary>
        private const long RetireMs = 800;

        private enum Way
        {
            Clean,
            Takeover,
            Prewarm,
        }

        private TokenSettings settings;
        private SasToken tokens;
        private string userName;
        private Way way;
        private string renewModeText;
        private ChannelSlot slot;
        private readonly BlockedPort blockedPort = new BlockedPort();
        private HubLink link;
        private HubLink outgoing;
        private HubLink retired;
        private long retiredAtMs;
        private HubChannel spare;
        private bool spareTried;
        private int packetId;
        private int sequenceInFlight;
        private string topicInFlight;
        private bool publishedAgain;
        private SessionState shown;
        private int renewalsShown;
        private int acknowledgedShown;
        private int errorCode;

        private void ChooseRenewMode()
        {
            slot = ChannelSlot.Detect();
            string wished = configuration.RenewMode;
            way = wished == "takeover" ? Way.Takeover : wished == "prewarm" ? Way.Prewarm : Way.Clean;
            renewModeText = "renews " + (way == Way.Clean ? "clean" : wished);
            if (way == Way.Prewarm && slot == null)
            {
                way = Way.Clean;
                renewModeText = "renews clean: this M2Mqtt has no place for an open channel, prewarm is not possible";
            }
        }

        private void TakeReports(Now now)
        {
            LinkReport report;
            while (reports.TryTake(out report))
            {
                if (report.Link != link)
                {
                    continue; // a late word about a link that is no longer ours
                }

                if (report.Kind == LinkReportKind.Closed)
                {
                    LoseLink(now, link.EndReason());
                }
                else if (report.Id == packetId)
                {
                    TakePublished(now, report.Ok);
                }

                CarryOut(now);
            }
        }

        /// <summary>
        /// M2Mqtt gives a message up after three tries in 4 s (facts/nanoframework.md section 6), which a busy hub can take. So
        /// it is told to try once more before the link counts as dead.
        /// </summary>
        private void TakePublished(Now now, bool acknowledged)
        {
            if (acknowledged)
            {
                session.OnHeartbeatAcknowledged(now, sequenceInFlight);
            }
            else if (!publishedAgain)
            {
                publishedAgain = true;
                packetId = link.Publish(topicInFlight);
            }
            else
            {
                LoseLink(now, DisconnectReason.PublishNotAcknowledged);
            }
        }

        private void LoseLink(Now now, DisconnectReason reason)
        {
            errorCode = link.ErrorCode;
            link.Close();
            link = null;
            DropSpare();
            session.OnLinkLost(now, reason);
        }

        private void CarryOut(Now now)
        {
            SayChanges(now);
            SessionOutput output;
            while (session.TryTakeOutput(out output))
            {
                switch (output.Kind)
                {
                    case OutputKind.Connect:
                        now = Connect(output.ExpirySeconds);
                        break;
                    case OutputKind.Disconnect:
                        Disconnect(now);
                        break;
                    case OutputKind.SendHeartbeat:
                        SendHeartbeat(output);
                        break;
                }

                SayChanges(now);
            }
        }

        /// <summary>Blocks until the outcome is known; answers the moment of it.</summary>
        private Now Connect(long expirySeconds)
        {
            string token = tokens.Build(expirySeconds);
            HubChannel channel = spare;
            spare = null;
            spareTried = false;
            int code = -1;
            HubLink next = null;
            if (channel != null)
            {
                next = new HubLink(reports, channel);
                code = Connect(next, token);
            }

            if (code < 0)
            {
                // Without a spare, or with one the hub has closed meanwhile: from the beginning.
                channel = slot == null ? null : new HubChannel(identity.DialHost, configuration.HubPort, roots);
                next = new HubLink(reports, channel);
                code = Connect(next, token);
            }

            guard.Feed();
            Now now = clock.Read();
            RetireOutgoing(now);
            if (code == 0)
            {
                link = next;
                session.OnConnected(now, next.SessionPresent);
            }
            else if (code > 0)
            {
                session.OnRefused(now, code);
            }
            else
            {
                errorCode = next.ErrorCode;
                session.OnConnectFailed(now, Explain(next.FailureReason, now));
            }

            return now;
        }

        private int Connect(HubLink next, string token)
        {
            return next.Connect(
                identity.DialHost, configuration.HubPort, roots, slot,
                identity.DeviceId, userName, token, settings.KeepAliveSeconds);
        }

        private DisconnectReason Explain(DisconnectReason reason, Now now)
        {
            switch (reason)
            {
                case DisconnectReason.TcpRefused:
                case DisconnectReason.TcpTimedOut:
                    return blockedPort.IsPortBlocked(identity.DialHost, now.Ms) ? DisconnectReason.PortBlocked : reason;
                case DisconnectReason.TlsFailed:
                    clock.Ask(); // the first suspect (facts/nanoframework.md section 5)
                    return reason;
                default:
                    return reason;
            }
        }

        private void Disconnect(Now now)
        {
            HubLink old = link;
            link = null;
            if (old == null)
            {
                return;
            }

            if (session.State != SessionState.Renewing)
            {
                DropSpare();
                old.Close(); // given up, not finished: a goodbye into a dead link could take minutes
                return;
            }

            if (way == Way.Takeover && HeapFigures.FitsSecondSession())
            {
                RetireOutgoing(now);
                outgoing = old; // stays up until the hub drops it for the next
            }
            else
            {
                old.Finish();
                Retire(old, now);
            }

            session.OnClosed(now);
        }

        private void RetireOutgoing(Now now)
        {
            if (outgoing != null)
            {
                Retire(outgoing, now);
                outgoing = null;
            }
        }

        private void Retire(HubLink old, Now now)
        {
            if (retired != null)
            {
                retired.Close();
            }

            retired = old;
            retiredAtMs = now.Ms + RetireMs;
        }

        /// <summary>Links that wait to be closed, and the next channel when it is time to open it early.</summary>
        private void TendLinks(Now now)
        {
            if (retired != null && now.Ms >= retiredAtMs)
            {
                retired.Close();
                retired = null;
            }

            if (now.Ms >= PrewarmAtMs())
            {
                spareTried = true;
                OpenSpare();
            }
        }

        private void OpenSpare()
        {
            if (!HeapFigures.FitsSecondSession())
            {
                SerialLog.Say("not enough memory for two TLS sessions: this renewal is clean");
                return;
            }

            HubChannel channel = new HubChannel(identity.DialHost, configuration.HubPort, roots);
            try
            {
                channel.Open();
                spare = channel;
            }
            catch (Exception)
            {
                SerialLog.Say("prewarm failed with error " + channel.ErrorCode.ToString() + ": this renewal is clean");
            }
        }

        private void DropSpare()
        {
            if (spare != null)
            {
                spare.Close();
                spare = null;
            }
        }

        private long NextLinkMs()
        {
            return Earlier(retired == null ? Timers.Never : retiredAtMs, PrewarmAtMs());
        }

        private long PrewarmAtMs()
        {
            bool waits = way == Way.Prewarm && !spareTried && session.State == SessionState.Connected;
            long renewMs = waits ? session.DueAtMs(TimerId.Renew) : Timers.Never;
            return renewMs == Timers.Never ? Timers.Never : renewMs - PrewarmLeadMs;
        }

        private void SendHeartbeat(SessionOutput output)
        {
            sequenceInFlight = output.Sequence;
            state.Use(output.Sequence);
            topicInFlight = Heartbeat.Topic(
                identity.DeviceId, output.Sequence, settings.HeartbeatIntervalSeconds, output.RenewalSeconds);
            publishedAgain = false;
            packetId = link == null ? -1 : link.Publish(topicInFlight);
        }

        /// <summary>One line for what changed; the wording is the PC's, and the bench procedure asserts on it.</summary>
        private void SayChanges(Now now)
        {
            if (session.HeartbeatsAcknowledged != acknowledgedShown)
            {
                acknowledgedShown = session.HeartbeatsAcknowledged;
                SerialLog.Say("heartbeat " + sequenceInFlight.ToString() + " acknowledged");
            }

            if (session.State == shown)
            {
                return;
            }

            SessionState before = shown;
            shown = session.State;
            SerialLog.Say(Line(before, now));
            if (shown == SessionState.Connected)
            {
                SayFigures();
            }
        }

        private string Line(SessionState before, Now now)
        {
            switch (shown)
            {
                case SessionState.Connected:
                    string gap = session.LastGapMs.ToString() + " ms";
                    if (session.Renewals != renewalsShown)
                    {
                        renewalsShown = session.Renewals;
                        return "renewed (" + renewalsShown.ToString() + ") gap " + gap;
                    }

                    return session.LastGapMs < 0 ? "connected" : "connected after " + gap;
                case SessionState.BackingOff:
                    string what = before == SessionState.Connecting ? "failed: " : "lost: ";
                    string number = errorCode == 0 ? "" : " (error " + errorCode.ToString() + ")";
                    errorCode = 0;
                    return what + DisconnectReasonText.Of(session.LastReason) + number + "; next attempt in "
                        + (session.NextWakeMs - now.Ms).ToString() + " ms";
                default:
                    return SessionStateText.Of(shown);
            }
        }

        private void SayFigures()
        {
            int free;
            int largest;
            HeapFigures.Native(out free, out largest);
            SerialLog.Say("heap " + HeapFigures.ManagedFreeBytes().ToString() + ", native " + free.ToString()
                + ", largest block " + largest.ToString() + ", signal " + radio.SignalDbm().ToString() + " dBm");
        }
    }
}
