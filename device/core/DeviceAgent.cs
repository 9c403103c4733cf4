// The agent whole: session, settings, black box, outbox, twin and methods, behind one set of events and one stream of
// orders. A driver (board, PC, virtual time) feeds it and carries out; it decides nothing.
//
// The rule that keeps it small: nothing is prepared before it is asked for. An event sets flags; TryTakeOutput looks at
// them in a fixed order and writes the one document that is due into the one buffer. So there is never more than one
// document in memory, however many are due, and what became stale meanwhile is never sent. One request to the twin is
// open at a time, one message of QoS 1 is in flight at a time.
// After a connection: subscribe, then heartbeat and messages, then the twin (DeviceAgent.Twin.cs).

namespace Agent.Core
{
    /// <summary>One device's agent. After every event take the outputs until there are none.</summary>
    public sealed partial class DeviceAgent
    {
        /// <summary>Reads of the twin after connections that may follow each other at once.</summary>
        public const int TwinReadReserve = 4;

        /// <summary>Milliseconds in which the reserve gains one read.</summary>
        public const int TwinReadEveryMs = 300000;

        /// <summary>Milliseconds the hub has to answer a twin request.</summary>
        public const int TwinTimeoutMs = 30000;

        /// <summary>Milliseconds between two summaries of the black box, at least.</summary>
        public const int SummaryIntervalMs = 60000;

        /// <summary>Milliseconds between two savings of counters.</summary>
        public const int SaveIntervalMs = 3600000;

        /// <summary>Milliseconds a method's answer is given to leave before what it announced is done.</summary>
        public const int AnswerLeavesMs = 1000;

        /// <summary>Heartbeat numbers set aside at each saving: a restart skips at most as many.</summary>
        public const int SequencesSaved = 64;

        /// <summary>Closes in a row before SUBACK after which the twin is left alone: a hub of the basic tier has none.</summary>
        public const int SubscribeClosesMax = 3;

        private const int ExpectedGapMs = 2000;

        private readonly string deviceId;
        private readonly bool canReboot;
        private readonly StateRecord record;
        private readonly SettingsKeeper keeper;
        private readonly BlackBox box;
        private readonly Outbox outbox;
        private readonly Session session;
        private readonly JsonWriter json;
        private readonly byte[] buffer;
        private readonly SeededRandom random;
        private readonly Evidence seen = new Evidence();

        private int droppedBefore;
        private long freeBytes = Evidence.Unknown;
        private long largestBlockBytes = Evidence.Unknown;
        private int rssi;
        private long startedMs = -1;
        private long accountedMs;
        private long savedMs;
        private long offlineSinceMs = -1;

        /// <summary>Reads what storage holds. OnStart comes next.</summary>
        public DeviceAgent(DeviceAgentOptions options)
        {
            deviceId = options.DeviceId;
            canReboot = options.CanReboot;
            record = new StateRecord(options.StateStorage ?? new RamStorage(2, 256));
            keeper = new SettingsKeeper(record, options.Defaults);
            record.Boots = record.Boots + 1;
            box = new BlackBox(options.BlackBoxStorage ?? new RamStorage(2, 520), record.Boots, record.ClearedUpTo);
            outbox = new Outbox(options.QueueStorage, options.QueueMemoryBytes);
            random = options.Random;
            session = new Session(keeper.InForce, random, record.NextSequence);
            session.CanPrewarm = options.CanPrewarm;
            buffer = new byte[options.BufferBytes];
            json = new JsonWriter(buffer);
            droppedBefore = record.MessagesDropped;
            renewalsBefore = record.Renewals;
            dropsBefore = record.Drops;
        }

        /// <summary>The connection's state machine, to look at.</summary>
        public Session Session => session;

        /// <summary>Settings and what became of those asked for, to look at.</summary>
        public SettingsKeeper Settings => keeper;

        /// <summary>The black box, to look at.</summary>
        public BlackBox BlackBox => box;

        /// <summary>The message queue, to look at.</summary>
        public Outbox Outbox => outbox;

        /// <summary>Starts of this agent, this one included.</summary>
        public int Boots => record.Boots;

        /// <summary>Share of the running time with a connection, all runs together, in thousandths; 1000 before any.</summary>
        public int ConnectedPerMille =>
            record.ExpectedMs <= 0 ? 1000 : (int)(record.ConnectedMs * 1000 / record.ExpectedMs);

        /// <summary>When OnWake wants to be called; long.MaxValue = only events matter.</summary>
        public long NextWakeMs
        {
            get
            {
                long next = session.NextWakeMs;
                next = Earlier(next, twinDeadlineMs);
                next = Earlier(next, rebootAtMs);
                bool mayAsk = session.State == SessionState.Connected && isSubscribed
                    && twinDeadlineMs == Never && twinRetryAtMs == Never;
                next = Earlier(next, summaryWaits && mayAsk ? summaryNotBeforeMs : Never);
                next = Earlier(next, twinReadWaits && mayAsk && twinReadsLeft == 0 ? twinRefilledMs + TwinReadEveryMs : Never);
                next = Earlier(next, twinRetryAtMs);
                next = Earlier(next, offlineSinceMs >= 0 && keeper.State == SettingsState.OnProbation
                    ? offlineSinceMs + SettingsKeeper.ProbationOfflineMs
                    : Never);
                return startedMs < 0 ? next : Earlier(next, savedMs + SaveIntervalMs);
            }
        }

        /// <summary>The first event: how the last run ended goes into the black box.</summary>
        public void OnStart(Now now)
        {
            startedMs = now.Ms;
            accountedMs = now.Ms;
            offlineSinceMs = now.Ms;
            if (record.Exit == LastExit.Running)
            {
                box.Note(now, DisconnectReason.Restarted, AddOwn(seen.Clear(), now));
            }

            if (!outbox.IsEmpty)
            {
                session.OnMessageWaiting(now); // left by the last run
            }

            summaryWaits = record.Boots > 1;
            record.Exit = LastExit.Running;
            Save(now);
        }

        /// <summary>There is a network with an address.</summary>
        public void OnNetworkUp(Now now)
        {
            Account(now);
            session.OnNetworkUp(now);
        }

        /// <summary>The network is gone.</summary>
        public void OnNetworkLost(Now now, bool hasAddress)
        {
            bool hadLink = HasLink();
            bool wasTrying = session.State == SessionState.Connecting;
            Account(now);
            session.OnNetworkLost(now);
            if (hadLink || wasTrying)
            {
                seen.Saw(LinkPhase.Network, LinkEnd.Unknown, 0);
                seen.HasAddress = hasAddress;
                Conclude(now, hadLink);
            }
        }

        /// <summary>The clock has been set for the first time, or corrected.</summary>
        public void OnTimeKnown(Now now)
        {
            Account(now);
            if (isRootGuessed && session.IsClockCorrected(now))
            {
                isRootGuessed = false;
                box.Replace(DisconnectReason.TlsWrongRoot, DisconnectReason.TlsWrongClock);
                session.RefineReason(DisconnectReason.TlsWrongClock);
            }

            session.OnTimeKnown(now);
            if (session.LastReason == DisconnectReason.ClockSkew || session.LastReason == DisconnectReason.TlsWrongClock)
            {
                box.Refine(session.LastReason);
            }
        }

        /// <summary>
        /// Where a driver puts what it saw, just before it reports an end: call Saw on it, then add the TLS fault if known.
        /// </summary>
        public Evidence Seen => seen;

        /// <summary>Memory TLS can have, in bytes; a driver that does not know says nothing. Best said before each end.</summary>
        public void NoteMemory(long freeBytes, long largestBlockBytes)
        {
            this.freeBytes = freeBytes;
            this.largestBlockBytes = largestBlockBytes;
            session.NoteMemory(freeBytes, largestBlockBytes);
        }

        /// <summary>Strength of the radio signal in dBm, below 0.</summary>
        public void NoteSignal(int rssi)
        {
            this.rssi = rssi;
        }

        /// <summary>The attempt that is under way has come so far.</summary>
        public void NotePhase(LinkPhase phase)
        {
            attemptPhase = phase;
        }

        /// <summary>Something came from the hub, whatever it was.</summary>
        public void NoteInbound(Now now)
        {
            inboundMs = now.Ms;
        }

        /// <summary>Puts a message in the queue; false when it is longer than Outbox.RecordSize allows.</summary>
        /// <param name="now">The moment.</param>
        /// <param name="properties">The topic's property bag, encoded already.</param>
        /// <param name="payload">The body.</param>
        /// <param name="count">Bytes of it.</param>
        public bool Send(Now now, string properties, byte[] payload, int count)
        {
            if (!outbox.Put(properties, payload, count))
            {
                return false;
            }

            record.MessagesDropped = droppedBefore + outbox.Dropped;
            session.OnMessageWaiting(now);
            return true;
        }

        /// <summary>The program ends. Everything is saved; the driver carries out the last orders.</summary>
        public void OnStop(Now now)
        {
            Account(now);
            session.OnStop(now);
            box.Flush(now);
            outbox.Save();
            record.Exit = LastExit.Stopped;
            record.NextSequence = session.NextSequence;
            Save(now);
        }

        /// <summary>
        /// The device is about to restart itself for a reason of its own (watchdog, crash, out of memory): the last thing to
        /// be called.
        /// </summary>
        public void OnFatal(Now now, DisconnectReason reason)
        {
            box.Note(now, reason, AddOwn(seen.Clear(), now));
            outbox.Save();
            record.Exit = LastExit.Noted;
            Save(now);
        }

        /// <summary>Time has passed. Does what is due; harmless when nothing is.</summary>
        public void OnWake(Now now)
        {
            SessionState before = session.State;
            bool wasLink = HasLink();
            Account(now);
            session.OnWake(now);
            SettleAfterWake(now, before, wasLink);
            WakeTwin(now);
            if (now.Ms >= savedMs + SaveIntervalMs)
            {
                Save(now);
            }

            if (offlineSinceMs >= 0)
            {
                keeper.OnOffline(now.Ms - offlineSinceMs, session.LastReason);
                ApplyChange(now);
            }

            WakeReboot(now);
        }

        private static long Earlier(long a, long b)
        {
            return a < b ? a : b;
        }

        private bool HasLink()
        {
            return session.State == SessionState.Connected || session.State == SessionState.TakingOver
                || (session.State == SessionState.Renewing && session.DueAtMs(TimerId.Drain) != Timers.Never);
        }

        /// <summary>Time since the last event counts as connected or not, by the state it was spent in.</summary>
        private void Account(Now now)
        {
            long spentMs = now.Ms - accountedMs;
            accountedMs = now.Ms;
            record.ExpectedMs = record.ExpectedMs + spentMs;
            if (HasLink())
            {
                record.ConnectedMs = record.ConnectedMs + spentMs;
            }
        }

        private void ApplyChange(Now now)
        {
            if (keeper.TryTakeChange(out TokenSettings next, out bool reconnects))
            {
                session.OnSettings(now, next, reconnects);
            }
        }

        private void Save(Now now)
        {
            savedMs = now.Ms;
            if (record.Exit == LastExit.Running)
            {
                int ahead = session.NextSequence;
                record.NextSequence = ahead > int.MaxValue - SequencesSaved ? 1 : ahead + SequencesSaved;
            }

            record.Renewals = renewalsBefore + session.Renewals;
            record.Drops = dropsBefore + session.Drops;
            record.Save();
        }
    }
}
