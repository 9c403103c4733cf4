// The supervisor's other half: orders of the agent carried out on links, and reports of links told to the agent. There are at most
// three links: the one in use, a channel opened early for the next one, and one that has said goodbye and waits to be closed.
//   clean     DISCONNECT on the old link, close, then TCP, TLS and CONNECT on a new one.
//   takeover  the new link first; the hub drops the old one, which is closed when the new one is up.
//   prewarm   TCP and TLS of the next link early, by the one way M2Mqtt leaves (ChannelSlot), then DISCONNECT and CONNECT one after
//             the other: the gap is one round trip.
using System;
using Agent.Core;

namespace Agent.Board
{
    public sealed partial class Supervisor
    {
        /// <summary>
        /// Milliseconds after which an ended link is closed for certain: its own thread has done it by then, and the shortest
        /// possible renewal has not begun, in whose gap the 0.2 s of a Close would show.
        /// </summary>
        private const long RetireMs = 800;

        private const int FiguresEveryMs = 10000;

        private SasToken tokens;
        private AgentLines lines;
        private ChannelSlot slot;
        private bool isSlotSought;
        private HubLink link;
        private HubLink retired;
        private long retiredAtMs;
        private HubChannel spare;
        private long figuresAtMs;
        private int packetId = -1;
        private string topicInFlight;
        private byte[] payloadInFlight;
        private bool publishedAgain;
        private bool isHeapDue;
        private int droppedTold;

        private void NoteFigures(Now now)
        {
            if (link != null && link.LastInboundMs > 0)
            {
                agent.NoteInbound(new Now(link.LastInboundMs, now.UtcSeconds, now.UtcKnown));
            }

            if (now.Ms >= figuresAtMs)
            {
                figuresAtMs = now.Ms + FiguresEveryMs;
                NoteMemory();
                agent.NoteSignal(radio.SignalDbm());
            }
        }

        private void NoteMemory()
        {
            int free;
            int largest;
            HeapFigures.Native(out free, out largest);
            if (free >= 0)
            {
                agent.NoteMemory(free, largest);
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

                switch (report.Kind)
                {
                    case LinkReportKind.Closed:
                        link.ExplainEnd(agent.Seen);
                        LoseLink(now);
                        break;
                    case LinkReportKind.Subscribed:
                        agent.OnSubscribed(now, report.Ok);
                        break;
                    case LinkReportKind.Message:
                        agent.OnMessage(now, report.Topic, report.Payload, 0, report.Payload.Length);
                        break;
                    case LinkReportKind.Published:
                        if (report.Id == packetId)
                        {
                            TakePublished(now, report.Ok);
                        }

                        break;
                }

                CarryOut(now);
            }

            if (reports.Dropped != droppedTold)
            {
                droppedTold = reports.Dropped;
                agent.OnMessageDropped(now);
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
                ForgetInFlight();
                agent.OnPublished(now);
                lines.SayAcknowledged();
            }
            else if (!publishedAgain)
            {
                publishedAgain = true;
                packetId = link.Publish(topicInFlight, payloadInFlight, 1);
            }
            else
            {
                agent.Seen.Saw(LinkPhase.Connected, LinkEnd.AcknowledgeTimedOut, 0);
                LoseLink(now);
            }
        }

        private void ForgetInFlight()
        {
            packetId = -1;
            topicInFlight = null;
            payloadInFlight = null;
        }

        private void LoseLink(Now now)
        {
            lines.ErrorCode = agent.Seen.Error;
            NoteMemory();
            link.Close();
            link = null;
            DropSpare();
            agent.OnLinkLost(now);
        }

        private void CarryOut(Now now)
        {
            lines.SayChanges(now);
            AgentOutput output;
            while (agent.TryTakeOutput(now, out output))
            {
                switch (output.Kind)
                {
                    case AgentOutputKind.Connect:
                        Connect(output);
                        break;
                    case AgentOutputKind.Disconnect:
                        Disconnect(now);
                        break;
                    case AgentOutputKind.Prewarm:
                        Prewarm();
                        break;
                    case AgentOutputKind.Subscribe:
                        if (link != null)
                        {
                            link.Subscribe(new string[] { HubTopics.TwinResponses, HubTopics.DesiredPatches, HubTopics.Methods });
                        }

                        break;
                    case AgentOutputKind.Publish:
                        Publish(output);
                        break;
                    case AgentOutputKind.Probe:
                        bool isOpen = BlockedPort.DoesHttpsAnswer(identity.DialHost);
                        agent.OnProbed(clock.Read(), isOpen);
                        break;
                    case AgentOutputKind.Reboot:
                        Reboot();
                        break;
                }

                now = clock.Read(); // connecting and probing take a while
                lines.SayChanges(now);
            }
        }

        /// <summary>Sought when there is a network: the library looks a name up whenever a client is made.</summary>
        private void SeekSlot()
        {
            if (isSlotSought)
            {
                return;
            }

            isSlotSought = true;
            slot = ChannelSlot.Detect();
            session.CanPrewarm = slot != null;
            if (slot == null)
            {
                SerialLog.Say("this M2Mqtt has no place for an open channel: prewarm is not possible");
            }
        }

        /// <summary>Blocks until the outcome is known.</summary>
        private void Connect(AgentOutput output)
        {
            SeekSlot();
            string token = tokens.Build(output.ExpirySeconds);
            string userName = HubTopics.UserName(identity.HostName, identity.DeviceId, Version, DeviceModel.Id);
            HubChannel channel = spare;
            if (output.Mode == RenewMode.Prewarm && channel != null)
            {
                spare = null;
            }
            else
            {
                DropSpare();
                channel = slot == null ? null : new HubChannel(identity.DialHost, configuration.HubPort);
            }

            HubLink next = new HubLink(reports, channel);
            int code = next.Connect(
                identity.DialHost, configuration.HubPort, slot,
                identity.DeviceId, userName, token, session.Settings.KeepAliveSeconds, agent.Seen);
            guard.Feed();
            Now now = clock.Read();
            if (code == 0)
            {
                if (link != null)
                {
                    Retire(link, now); // a takeover: the hub has dropped it, or is about to
                }

                link = next;
                ForgetInFlight();
                isHeapDue = true;
                agent.OnConnected(now, next.SessionPresent);
            }
            else if (code > 0)
            {
                agent.OnRefused(now, code);
            }
            else
            {
                lines.ErrorCode = agent.Seen.Error;
                if (agent.Seen.Phase == LinkPhase.Tls)
                {
                    clock.Ask(); // the first suspect (facts/nanoframework.md section 5)
                }

                agent.OnConnectFailed(now);
            }
        }

        private void Disconnect(Now now)
        {
            HubLink old = link;
            link = null;
            ForgetInFlight();
            bool isRenewal = session.State == SessionState.Renewing;
            if (old == null)
            {
                if (isRenewal)
                {
                    agent.OnClosed(now);
                }

                return;
            }

            if (isRenewal || session.State == SessionState.Stopped)
            {
                old.Finish();
                Retire(old, now);
                agent.OnClosed(now);
            }
            else
            {
                DropSpare();
                old.Close(); // given up, not finished: a goodbye into a dead link could take minutes
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

        private void TendLinks(Now now)
        {
            if (retired != null && now.Ms >= retiredAtMs)
            {
                retired.Close();
                retired = null;
            }

            // Once for each connection, and only when nothing of the one before is left: two clients weigh 7 KB more than one, and
            // would look like a leak.
            if (isHeapDue && link != null && retired == null)
            {
                isHeapDue = false;
                agent.NoteHeap(HeapFigures.ManagedFreeBytes());
            }
        }

        private void Prewarm()
        {
            DropSpare();
            HubChannel channel = new HubChannel(identity.DialHost, configuration.HubPort);
            try
            {
                channel.Open();
                spare = channel;
                agent.OnPrewarmed(clock.Read());
            }
            catch (Exception)
            {
                agent.Seen.Saw(channel.Phase, HubLink.EndOf(channel.Phase, channel.ErrorCode), channel.ErrorCode);
                agent.OnPrewarmFailed(clock.Read());
            }

            guard.Feed();
        }

        private void DropSpare()
        {
            if (spare != null)
            {
                spare.Close();
                spare = null;
            }
        }

        /// <summary>The payload is copied: the library sends it later, and the agent's one buffer is written again before.</summary>
        private void Publish(AgentOutput output)
        {
            byte[] payload = new byte[output.Count];
            Array.Copy(output.Buffer, payload, output.Count);
            int id = link == null ? -1 : link.Publish(output.Topic, payload, output.Qos);
            if (output.Qos == 1)
            {
                packetId = id;
                topicInFlight = output.Topic;
                payloadInFlight = payload;
                publishedAgain = false;
                lines.NotePublished(output.Topic);
            }
        }

        private void Reboot()
        {
            agent.OnStop(clock.Read());
            Restart.Now(DisconnectReason.Reboot, "asked for");
        }
    }
}
