// The agent's talk with its twin, and every message that leaves: one place where documents are written, in a fixed
// order, each at the moment it is taken.
//
// While there is no link the hub keeps no notification of a change, and a renewal is a moment without a link. So every
// connection is followed by a read, as the vendor's flow has it (facts/iothub.md section 7): subscribe, then GET. A read is
// billed (facts/anchors.md part E, azure-iot-sdk-c #1213) and throttled hub-wide, so these reads come from a reserve of four
// that gains one in five minutes: enough for each renewal of an hourly token, and a device whose link comes and goes every
// second reads twelve times an hour. A change made in a gap is therefore in force at once as a rule, and after five minutes
// at the latest. Reading $version alone would cost as much: there is no other request than the whole twin. A notification
// that does not follow the last one asks at once: somebody is just changing settings.
//
//   state of the read   how it is known              leaves it by
//   not wanted          none of the others           a connection or a dropped message: waits; a notification missed: wanted
//   waits               twinReadWaits                a read in reserve, SUBACK in hand: wanted, and the reserve has one less
//   wanted              keeper.NeedsTwin             SUBACK in hand, no request open: asked; before reports, after a method's answer
//   asked               twinDeadlineMs, isTwinGet    200 and JSON: not wanted; anything else, or 30 s: refused; link ends: waits
//   refused             twinRetryAtMs                30 to 60 s later, not the same for two devices: wanted
//   not offered         mayUseTwin is false          the next connection (a hub of the basic tier has no twins)
namespace Agent.Core
{
    public sealed partial class DeviceAgent
    {
        private const int TwinRetryMs = 30000;

        private bool mayUseTwin = true;
        private bool subscribeWaits;
        private bool isSubscribed;
        private bool isTwinGet;
        private int twinRequest;
        private long twinDeadlineMs = Never;
        private long twinRetryAtMs = Never;
        private bool twinReadWaits;
        private int twinReadsLeft = TwinReadReserve;
        private long twinRefilledMs;
        private bool summaryWaits;
        private bool isSummaryOpen;
        private long summaryNotBeforeMs;
        private long lastRenewalGapMs = ExpectedGapMs;

        /// <summary>SUBACK: whether the hub granted all of it.</summary>
        public void OnSubscribed(Now now, bool isGranted)
        {
            inboundMs = now.Ms;
            if (session.State == SessionState.Connected || session.State == SessionState.Renewing)
            {
                isSubscribed = isGranted;
                subscribeCloses = 0;
            }
        }

        /// <summary>A message was lost between the link and the agent: it may have been a change of the twin.</summary>
        public void OnMessageDropped(Now now)
        {
            inboundMs = now.Ms;
            twinReadWaits = true;
        }

        /// <summary>A message came on one of the subscribed topics.</summary>
        public void OnMessage(Now now, string topic, byte[] payload, int index, int count)
        {
            inboundMs = now.Ms;
            HubMessage message = HubTopics.Parse(topic);
            switch (message.Kind)
            {
                case HubMessageKind.TwinResponse:
                    OnTwinResponse(now, message, payload, index, count);
                    break;
                case HubMessageKind.DesiredPatch:
                    keeper.OnPatch(payload, index, count, message.Version);
                    ApplyChange(now);
                    break;
                case HubMessageKind.Method:
                    OnMethod(now, message, payload, index, count);
                    break;
                default:
                    break; // nothing we subscribed to
            }
        }

        /// <summary>PUBACK of the one QoS 1 message in flight.</summary>
        public void OnPublished(Now now)
        {
            inboundMs = now.Ms;
            if (heartbeatInFlight != 0)
            {
                int sequence = heartbeatInFlight;
                heartbeatInFlight = 0;
                session.OnHeartbeatAcknowledged(now, sequence);
            }
            else if (messageInFlight)
            {
                messageInFlight = false;
                outbox.TakeOut();
                session.OnMessageAcknowledged(now, !outbox.IsEmpty);
            }
        }

        /// <summary>The next order, in the order they are to be carried out; false when there is none.</summary>
        public bool TryTakeOutput(Now now, out AgentOutput output)
        {
            output = new AgentOutput();
            output.Buffer = buffer;
            while (session.TryTakeOutput(out SessionOutput order))
            {
                if (TakeOrder(now, order, ref output))
                {
                    return true;
                }
            }

            if (session.State == SessionState.Connected && TakeDocument(now, ref output))
            {
                return true;
            }

            if (probeWaits)
            {
                probeWaits = false;
                output.Kind = AgentOutputKind.Probe;
                return true;
            }

            if (rebootWaits)
            {
                rebootWaits = false;
                output.Kind = AgentOutputKind.Reboot;
                return true;
            }

            return false;
        }

        private bool TakeOrder(Now now, SessionOutput order, ref AgentOutput output)
        {
            switch (order.Kind)
            {
                case OutputKind.Connect:
                    heartbeatInFlight = 0;
                    messageInFlight = false;
                    attemptPhase = LinkPhase.None;
                    output.Kind = AgentOutputKind.Connect;
                    output.ExpirySeconds = order.ExpirySeconds;
                    output.Mode = order.Mode;
                    return true;
                case OutputKind.Disconnect:
                    EndTwin();
                    output.Kind = AgentOutputKind.Disconnect;
                    return true;
                case OutputKind.Prewarm:
                    output.Kind = AgentOutputKind.Prewarm;
                    return true;
                case OutputKind.SendHeartbeat:
                    heartbeatInFlight = order.Sequence;
                    if (order.Sequence >= record.NextSequence)
                    {
                        Save(now);
                    }

                    int down = box.LastGapMs < 0 ? -1 : box.LastGapMs / 1000;
                    Publish(ref output, now, 1, 0, Heartbeat.Topic(
                        deviceId, order.Sequence, session.Settings.HeartbeatIntervalSeconds,
                        order.RenewalSeconds, (int)lastRenewalGapMs, box.LastReason, down, record.Boots, keeper.Version));
                    return true;
                case OutputKind.SendMessage:
                    if (!outbox.TryPeek(out string properties, buffer, out int count))
                    {
                        session.OnMessageAcknowledged(now, false); // everything was dropped meanwhile
                        return false;
                    }

                    messageInFlight = true;
                    Publish(ref output, now, 1, count, string.Concat(HubTopics.Telemetry(deviceId), properties));
                    return true;
                default:
                    return false;
            }
        }

        /// <summary>Connected: subscription, method answer, twin request, in this order.</summary>
        private bool TakeDocument(Now now, ref AgentOutput output)
        {
            if (subscribeWaits)
            {
                subscribeWaits = false;
                output.Kind = AgentOutputKind.Subscribe;
                return true;
            }

            if (methodRequest != null)
            {
                string topic = HubTopics.MethodResponse(methodStatus, methodRequest);
                methodRequest = null;
                Publish(ref output, now, 0, WriteMethodAnswer(), topic);
                return true;
            }

            if (!isSubscribed || twinDeadlineMs != Never || now.Ms < twinRetryAtMs && twinRetryAtMs != Never)
            {
                return false;
            }

            if (twinReadWaits && !keeper.NeedsTwin && MayReadTwin(now))
            {
                twinReadsLeft--;
                keeper.NeedsTwin = true;
            }

            if (keeper.NeedsTwin)
            {
                twinReadWaits = false;
                isTwinGet = true;
                AskTwin(now);
                Publish(ref output, now, 0, 0, HubTopics.TwinGet(twinRequest));
                return true;
            }

            bool summaryIsDue = summaryWaits && now.Ms >= summaryNotBeforeMs;
            if (!keeper.NeedsReport && !summaryIsDue)
            {
                return false;
            }

            isTwinGet = false;
            isSummaryOpen = !keeper.NeedsReport;
            if (isSummaryOpen)
            {
                summaryWaits = false;
                summaryNotBeforeMs = now.Ms + SummaryIntervalMs;
                WriteSummary();
            }
            else
            {
                keeper.NeedsReport = false;
                keeper.WriteReport(json);
            }

            if (!json.IsWhole)
            {
                return false; // a buffer too small for its documents: said by a test, not by the hub
            }

            AskTwin(now);
            Publish(ref output, now, 0, json.Length, HubTopics.ReportedPatch(twinRequest));
            return true;
        }

        private void Publish(ref AgentOutput output, Now now, int qos, int count, string topic)
        {
            if (qos == 1)
            {
                publishedMs = now.Ms;
            }

            output.Kind = AgentOutputKind.Publish;
            output.Topic = topic;
            output.Count = count;
            output.Qos = qos;
        }

        private void AskTwin(Now now)
        {
            twinRequest = twinRequest == int.MaxValue ? 1 : twinRequest + 1;
            twinDeadlineMs = now.Ms + TwinTimeoutMs;
            twinRetryAtMs = Never;
        }

        private void OnTwinResponse(Now now, HubMessage message, byte[] payload, int index, int count)
        {
            if (twinDeadlineMs == Never || message.RequestId != twinRequest.ToString())
            {
                return; // the answer to a question given up
            }

            twinDeadlineMs = Never;
            bool isGood = isTwinGet
                ? message.Status == 200 && keeper.OnTwin(payload, index, count)
                : message.Status == 204 || message.Status == 200;
            if (!isGood)
            {
                AskAgainLater(now);
            }
            else if (isTwinGet)
            {
                ApplyChange(now);
            }
        }

        private void AskAgainLater(Now now)
        {
            twinRetryAtMs = now.Ms + TwinRetryMs + random.Next(TwinRetryMs);
            if (isTwinGet)
            {
                keeper.NeedsTwin = true;
            }
            else if (isSummaryOpen)
            {
                summaryWaits = true;
            }
            else
            {
                keeper.NeedsReport = true;
            }
        }

        private void WakeTwin(Now now)
        {
            if (twinDeadlineMs <= now.Ms)
            {
                twinDeadlineMs = Never;
                AskAgainLater(now);
            }

            if (twinRetryAtMs <= now.Ms)
            {
                twinRetryAtMs = Never;
            }
        }

        private bool MayReadTwin(Now now)
        {
            while (twinReadsLeft < TwinReadReserve && now.Ms - twinRefilledMs >= TwinReadEveryMs)
            {
                twinReadsLeft++;
                twinRefilledMs += TwinReadEveryMs;
            }

            if (twinReadsLeft == TwinReadReserve)
            {
                twinRefilledMs = now.Ms;
            }

            return twinReadsLeft > 0;
        }

        /// <summary>A new link: nothing of the old one's talk goes on, and the twin may have changed meanwhile.</summary>
        private void BeginTwin()
        {
            mayUseTwin = subscribeCloses < SubscribeClosesMax; // a hub without twins closes then (iothub.md section 1.7)
            isSubscribed = false;
            subscribeWaits = mayUseTwin;
            twinReadWaits = true;
        }

        private void EndTwin()
        {
            if (twinDeadlineMs != Never)
            {
                twinDeadlineMs = Never;
                keeper.NeedsReport = keeper.NeedsReport || (!isTwinGet && !isSummaryOpen);
                summaryWaits = summaryWaits || (!isTwinGet && isSummaryOpen);
            }

            keeper.NeedsTwin = false; // the next connection reads it, from the reserve: a link that breaks at every answer ends there
            twinRetryAtMs = Never;
            isSubscribed = false;
            subscribeWaits = false;
            methodRequest = null; // the hub has given the call up with the link
        }

        /// <summary>An outage is over: the summary, and for a drop a message with the entry.</summary>
        private void TellOutage(Now now, bool isPlanned)
        {
            DiagnosticsLevel level = session.Settings.DiagnosticsLevel;
            if (isPlanned || level == DiagnosticsLevel.Off)
            {
                return;
            }

            summaryWaits = true;
            if (level == DiagnosticsLevel.Full)
            {
                json.Start().Open();
                json.Number("n", box.Current.Number).Number("reason", (int)box.Current.Reason);
                json.Text("text", DisconnectReasonText.Of(box.Current.Reason));
                json.Number("gapMs", box.Current.GapMs).Number("attempts", box.Current.Attempts);
                json.Number("silent", box.Current.SinceInboundSeconds).Number("tokenLeft", box.Current.TokenRemainingSeconds);
                json.Close();
                Send(now, "type=disconnect&$.ct=application%2Fjson&$.ce=utf-8", buffer, json.Length);
            }
        }

        private void WriteSummary()
        {
            json.Start().Open().Open("diagnostics");
            WriteCounters();
            if (box.LastReason != DisconnectReason.None)
            {
                json.Number("lastReason", (int)box.LastReason).Text("lastText", DisconnectReasonText.Of(box.LastReason));
                json.Number("lastGapMs", box.LastGapMs);
            }

            json.Close().Close();
        }

        private void WriteCounters()
        {
            json.Number("boots", record.Boots).Number("connectedPerMille", ConnectedPerMille);
            json.Number("renewals", renewalsBefore + session.Renewals).Number("drops", dropsBefore + session.Drops);
            json.Number("fallbacks", session.Fallbacks).Number("renewalGapMs", lastRenewalGapMs);
            json.Number("queued", outbox.InMemory + outbox.InFlash).Number("dropped", record.MessagesDropped);
            json.Number("notStored", box.NotStored);
            json.Number("heapPerReconnect", HeapBytesPerReconnect).Number("reconnectsLeft", ReconnectsLeft);
        }
    }
}
