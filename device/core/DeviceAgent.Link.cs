// How links begin and end, as the agent sees it: each end is turned into evidence, the evidence into a reason, and the
// reason goes to the session, the black box and the settings on probation.
namespace Agent.Core
{
    public sealed partial class DeviceAgent
    {
        private const long Never = long.MaxValue;

        /// <summary>A connection that lasted longer than this owes nothing to the closes before it.</summary>
        private const int ChainMs = 300000;

        /// <summary>Bytes of managed heap by which two measurements may differ without a leak.</summary>
        private const int HeapNoiseBytes = 2048;

        /// <summary>A TCP failure is looked into at once and then at every so many.</summary>
        private const int ProbeEvery = 8;

        private LinkPhase attemptPhase;
        private long inboundMs;
        private long connectedAtMs;
        private long publishedMs;
        private int closesInARow;
        private int closesInFlight;
        private int closesBeforeConnack;
        private int refusals;
        private int tcpFailures;
        private int subscribeCloses;
        private bool wasClosedWhileValid;
        private bool isRootGuessed;
        private bool probeWaits;
        private PortProbe probe;
        private int renewalsBefore;
        private int dropsBefore;
        private long heapAtFirst = -1;
        private long heapNow = -1;
        private int heapConnects;

        /// <summary>CONNACK 0. On a takeover the driver has closed the old link.</summary>
        public void OnConnected(Now now, bool sessionPresent)
        {
            if (session.State != SessionState.Connecting && session.State != SessionState.TakingOver)
            {
                return; // an attempt that was given up; the session knows no such link
            }

            Account(now);
            int renewals = session.Renewals;
            session.OnConnected(now, sessionPresent);
            bool isRenewal = session.Renewals != renewals;
            if (isRenewal)
            {
                box.CountRenewal(now, session.LastGapMs, AddOwn(seen.Saw(LinkPhase.Connected, LinkEnd.Unknown, 0), now));
                lastRenewalGapMs = session.LastGapMs;
                if (!session.IsLinkOutdated)
                {
                    keeper.OnRenewed(); // settings that came when the token was made already are not proven by it
                }
            }
            else
            {
                FinishOutage(now);
            }

            connectedAtMs = now.Ms;
            inboundMs = now.Ms;
            offlineSinceMs = -1;
            refusals = 0;
            tcpFailures = 0;
            closesBeforeConnack = 0;
            wasClosedWhileValid = false;
            isRootGuessed = false;
            probe = PortProbe.NotMade;
            probeWaits = false;
            record.LatestUtcSeconds = now.UtcSeconds;
            BeginTwin();
        }

        /// <summary>CONNACK with another code than 0. The driver has closed the link.</summary>
        public void OnRefused(Now now, int code)
        {
            seen.Saw(LinkPhase.Connack, LinkEnd.Refused, 0);
            seen.ConnackCode = code;
            bool wasTrying = session.State == SessionState.Connecting;
            Account(now);
            session.OnRefused(now, code);
            if (wasTrying)
            {
                refusals = code >= 3 && code <= 5 ? refusals + 1 : 0;
                Conclude(now, isDrop: false);
            }
        }

        /// <summary>The attempt ended before CONNACK; what was seen is in Seen. The driver has closed what it opened.</summary>
        public void OnConnectFailed(Now now)
        {
            SessionState before = session.State;
            Account(now);
            session.OnConnectFailed(now, DisconnectReason.Unknown);
            if (before == SessionState.Connecting)
            {
                refusals = 0;
                Conclude(now, isDrop: false);
            }
        }

        /// <summary>The link ended and we did not end it; what was seen is in Seen. The driver has closed its side.</summary>
        public void OnLinkLost(Now now)
        {
            bool hadLink = HasLink() && session.State != SessionState.TakingOver;
            bool wasTrying = session.State == SessionState.Connecting;
            Account(now);
            session.OnLinkLost(now, DisconnectReason.Unknown);
            if (hadLink || wasTrying)
            {
                Conclude(now, hadLink);
            }
        }

        /// <summary>A Disconnect order has been carried out and the link is closed.</summary>
        public void OnClosed(Now now)
        {
            Account(now);
            session.OnClosed(now);
        }

        /// <summary>TCP and TLS of the next link are open.</summary>
        public void OnPrewarmed(Now now)
        {
            session.OnPrewarmed(now);
        }

        /// <summary>The next link could not be opened beforehand.</summary>
        public void OnPrewarmFailed(Now now)
        {
            session.OnPrewarmFailed(now);
        }

        /// <summary>Whether port 443 of the hub's host answered.</summary>
        public void OnProbed(Now now, bool isOpen)
        {
            if (session.State == SessionState.Connected || tcpFailures == 0)
            {
                return; // the outage it was made for is over
            }

            probe = isOpen ? PortProbe.Open : PortProbe.Failed;
            if (isOpen)
            {
                box.Refine(DisconnectReason.PortBlocked);
                session.RefineReason(DisconnectReason.PortBlocked);
            }
        }

        /// <summary>
        /// Free bytes of the managed heap after a collection, measured at each connection when nothing of the one before is left:
        /// what a reconnect costs for ever. Less than 2 KB in all is what happens to be in flight (up to 0.9 KB on the interpreter).
        /// </summary>
        public void NoteHeap(long freeBytes)
        {
            heapNow = freeBytes;
            heapConnects++;
            if (heapConnects == 3)
            {
                heapAtFirst = freeBytes; // the first two still fill caches
            }
        }

        /// <summary>Bytes of managed heap each reconnect has cost on average; 0 = level or not known.</summary>
        public int HeapBytesPerReconnect =>
            heapConnects <= 3 || heapAtFirst - heapNow < HeapNoiseBytes ? 0 : (int)((heapAtFirst - heapNow) / (heapConnects - 3));

        /// <summary>Reconnects until the managed heap would be used up at that rate; -1 = never.</summary>
        public int ReconnectsLeft => HeapBytesPerReconnect == 0 ? -1 : (int)(heapNow / HeapBytesPerReconnect);

        /// <summary>What the session has ended by itself: an attempt or a message that took too long.</summary>
        private void SettleAfterWake(Now now, SessionState before, bool hadLink)
        {
            if (session.State != SessionState.BackingOff || before == SessionState.BackingOff)
            {
                return;
            }

            if (before == SessionState.Connecting)
            {
                seen.Saw(attemptPhase, LinkEnd.TimedOut, 0);
                Conclude(now, isDrop: false);
            }
            else if (hadLink)
            {
                seen.Saw(LinkPhase.Connected, LinkEnd.AcknowledgeTimedOut, 0);
                Conclude(now, isDrop: true);
            }
        }

        /// <summary>The end of a link or an attempt: evidence, reason, and everybody who wants to know.</summary>
        private void Conclude(Now now, bool isDrop)
        {
            if (offlineSinceMs < 0)
            {
                offlineSinceMs = now.Ms;
            }

            NoteHistory(now, isDrop);
            DisconnectReason reason = ReasonClassifier.Of(AddOwn(seen, now));
            if (reason == DisconnectReason.Unknown && session.LastReason == DisconnectReason.ConnectTimedOut)
            {
                reason = DisconnectReason.ConnectTimedOut;
            }

            // The board's one number says "not trusted" for a clock ahead of the certificate too; a step of the clock tells.
            isRootGuessed = isRootGuessed || (reason == DisconnectReason.TlsWrongRoot && seen.Tls == TlsFault.Unknown);
            session.RefineReason(reason);
            if (isDrop)
            {
                box.Begin(now, reason, seen);
            }
            else
            {
                box.FailedAttempt(now, reason, seen);
            }

            EndTwin();
            keeper.OnFailure(reason);
            ApplyChange(now);
        }

        private void NoteHistory(Now now, bool isDrop)
        {
            bool isClose = seen.End == LinkEnd.Closed || seen.End == LinkEnd.Unknown;
            bool isValid = session.ExpirySeconds > now.UtcSeconds;
            if (isDrop && isClose && isValid && seen.Phase == LinkPhase.Connected)
            {
                bool isChain = now.Ms - connectedAtMs < ChainMs;
                bool inFlight = session.IsWaitingForAcknowledgement;
                closesInFlight = inFlight ? (isChain ? closesInFlight + 1 : 1) : 0;
                closesInARow = inFlight ? 0 : isChain ? closesInARow + 1 : 1;
                wasClosedWhileValid = true;
                subscribeCloses = isSubscribed || !mayUseTwin ? 0 : subscribeCloses + 1;
            }
            else if (isDrop || seen.Phase != LinkPhase.Connack || seen.End != LinkEnd.Closed)
            {
                closesInARow = 0;
                closesInFlight = 0;
            }

            bool isCloseBefore = !isDrop && seen.Phase == LinkPhase.Connack && seen.End == LinkEnd.Closed;
            closesBeforeConnack = isCloseBefore ? closesBeforeConnack + 1 : 0;
            bool isTcp = seen.Phase == LinkPhase.Tcp && (seen.End == LinkEnd.Refused || seen.End == LinkEnd.TimedOut);
            if (isTcp)
            {
                probeWaits = probeWaits || (tcpFailures % ProbeEvery == 0 && probe != PortProbe.Open);
                tcpFailures++;
            }
        }

        /// <summary>Adds the agent's own knowledge to what the driver saw.</summary>
        private Evidence AddOwn(Evidence evidence, Now now)
        {
            long madeSeconds = session.ExpirySeconds - session.TokenLifetimeSeconds;
            bool hasToken = session.ExpirySeconds > 0 && now.UtcKnown;
            evidence.ClockKnown = now.UtcKnown;
            evidence.ClockSuspect = now.UtcKnown && now.UtcSeconds < record.LatestUtcSeconds - Session.ClockSkewSeconds;
            evidence.TokenAgeSeconds = hasToken ? (int)(now.UtcSeconds - madeSeconds) : 0;
            evidence.TokenRemainingSeconds = hasToken ? (int)(session.ExpirySeconds - now.UtcSeconds) : int.MaxValue;
            bool wasUp = evidence.Phase == LinkPhase.Connected || evidence.Phase == LinkPhase.Network;
            evidence.SinceInboundSeconds = wasUp && inboundMs > 0 ? (int)((now.Ms - inboundMs) / 1000) : 0;
            evidence.InFlightSeconds = (int)((now.Ms - publishedMs) / 1000);
            evidence.KeepAliveSeconds = session.Settings.KeepAliveSeconds;
            evidence.ClosesInARow = closesInARow;
            evidence.ClosesInFlightInARow = closesInFlight;
            evidence.ClosesBeforeConnack = closesBeforeConnack;
            evidence.RefusalsInARow = refusals;
            evidence.WasClosedWhileValid = wasClosedWhileValid;
            evidence.Probe = probe;
            evidence.FreeBytes = freeBytes;
            evidence.LargestBlockBytes = largestBlockBytes;
            evidence.Rssi = rssi;
            return evidence;
        }

        private void FinishOutage(Now now)
        {
            if (!box.IsOpen && IsPlannedByUs(session.LastReason))
            {
                box.Begin(now, session.LastReason, AddOwn(seen.Saw(LinkPhase.Connected, LinkEnd.Unknown, 0), now));
            }

            if (box.IsOpen)
            {
                bool isPlanned = IsPlannedByUs(box.Current.Reason);
                box.Finish(now, session.LastGapMs);
                TellOutage(now, isPlanned);
            }
        }

        private static bool IsPlannedByUs(DisconnectReason reason)
        {
            return reason == DisconnectReason.SettingsChange || reason == DisconnectReason.PlannedRenewal;
        }
    }
}
