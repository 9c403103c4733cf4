// The connection of one device, kept up for ever: a machine that is told the time and what happened, and answers
// what to do and when to wake it.
//
// The hard cases: a token cannot be renewed in a living connection, so every renewal is a gap, and what is in
// flight at that moment must not be lost; a link dies without a word; a hub that is back refuses half the fleet;
// the clock is unknown at power-on and may be corrected later; an event of the old link arrives when the new one
// is already up.
// The rule: one method per event, one switch over all states in each (Session.Events.cs), a state that does
// nothing says why, and Enter is the only writer of the state. A state's timers are armed on entry and stopped on
// leaving, so NextWakeMs is never a moment nobody answers. Every wait is bounded. A driver must not report events
// of a link it was told to close.
// Not chosen: callbacks and timers as objects (nothing could be replayed), and giving up on CONNACK 4 and 5 as
// the .NET SDK does: a key rotated back or a clock set later heals without a visit, so those wait longer instead.
using System;

namespace Agent.Core
{
    /// <summary>
    /// The state machine of one device's connection. After every event take the outputs until there are none.
    /// </summary>
    public sealed partial class Session
    {
        /// <summary>
        /// Milliseconds. M2Mqtt gives up on CONNACK after 30 s (facts/nanoframework.md section 6); TCP and TLS
        /// come before.
        /// </summary>
        public const int ConnectTimeoutMs = 45000;

        /// <summary>Milliseconds a renewal waits for the acknowledgement in flight. Ten slow round trips.</summary>
        public const int DrainTimeoutMs = 2000;

        /// <summary>
        /// Milliseconds the old link may take to close; M2Mqtt's Close takes up to 2 s (facts section 6).
        /// </summary>
        public const int CloseTimeoutMs = 5000;

        /// <summary>
        /// Milliseconds after which an unacknowledged heartbeat means that the link is dead; sooner than
        /// keep-alive.
        /// </summary>
        public const int AcknowledgeTimeoutMs = 30000;

        /// <summary>
        /// A refusal that only a person or a new clock can heal draws its wait as after this many failures, or
        /// more: with the default settings from up to 16 s.
        /// </summary>
        public const int RefusedAttempt = 4;

        /// <summary>Seconds of clock error the hub tolerates (facts/iothub.md section 1.3).</summary>
        public const int ClockSkewSeconds = 300;

        private const long Never = -1;
        private const int NoHeartbeat = 0;

        private readonly SeededRandom random;
        private readonly Timers timers = new Timers();

        private TokenSettings settings;
        private DisconnectReason plannedReason = DisconnectReason.PlannedRenewal;
        private int waitingOutputs;
        private int failures;
        private int nextSequence;
        private int unacknowledged = NoHeartbeat;
        private long tokenMadeMs;
        private long renewPlannedMs;
        private long heartbeatDueMs;
        private bool intervalIsNews;
        private long connectedSinceMs;
        private long linkEndedMs = Never;

        /// <summary>
        /// A session that has no network yet. Settings may be shared; the random source is this session's own.
        /// </summary>
        /// <param name="settings">Valid settings.</param>
        /// <param name="random">For spread and jitter.</param>
        /// <param name="firstSequence">Number of the first heartbeat, 1 or more; goes on counting across restarts.</param>
        public Session(TokenSettings settings, SeededRandom random, int firstSequence)
        {
            this.settings = settings;
            this.random = random;
            nextSequence = firstSequence < 1 ? 1 : firstSequence;
            State = SessionState.NoNetwork;
            LastGapMs = Never;
        }

        public SessionState State { get; private set; }

        /// <summary>
        /// When OnWake wants to be called; long.MaxValue = only events matter. May change with every event and
        /// wake.
        /// </summary>
        public long NextWakeMs => timers.EarliestMs;

        /// <summary>Why the last link or attempt ended.</summary>
        public DisconnectReason LastReason { get; private set; }

        /// <summary>Expiry of the newest token, seconds since 1970, UTC; 0 before the first.</summary>
        public long ExpirySeconds { get; private set; }

        /// <summary>Lifetime of the newest token, which the settings in force may no longer ask for; seconds, 0 before the first.</summary>
        public int TokenLifetimeSeconds { get; private set; }

        /// <summary>Whether the hub still had a session for us at the last CONNACK.</summary>
        public bool SessionPresent { get; private set; }

        /// <summary>Renewals completed: old link closed as planned, new one accepted at the first attempt.</summary>
        public int Renewals { get; private set; }

        /// <summary>Links that ended without our planning it.</summary>
        public int Drops { get; private set; }

        /// <summary>Attempts to connect, successful ones included.</summary>
        public int Attempts { get; private set; }

        /// <summary>Attempts the hub answered with a refusal.</summary>
        public int Refusals { get; private set; }

        /// <summary>
        /// Milliseconds from the end of the last link to the next CONNACK; -1 before there was one.
        /// </summary>
        public long LastGapMs { get; private set; }

        /// <summary>Heartbeats sent for the first time.</summary>
        public int HeartbeatsSent { get; private set; }

        /// <summary>Heartbeats sent again after a new connection.</summary>
        public int HeartbeatsRepeated { get; private set; }

        public int HeartbeatsAcknowledged { get; private set; }

        /// <summary>The number the next new heartbeat gets.</summary>
        public int NextSequence => nextSequence;

        /// <summary>Whether a heartbeat or a message is sent and not acknowledged.</summary>
        public bool IsWaitingForAcknowledgement => IsInFlight();

        /// <summary>
        /// When the retry of BackingOff or the renewal of Connected is due; long.MaxValue in other states.
        /// </summary>
        public long DueAtMs(TimerId timer)
        {
            return timers.DueAtMs(timer);
        }

        /// <summary>The next order, in the order they are to be carried out; false when there is none.</summary>
        public bool TryTakeOutput(out SessionOutput output)
        {
            output = new SessionOutput();
            if (TakeWaiting(OutputKind.Disconnect))
            {
                output.Kind = OutputKind.Disconnect;
                return true;
            }

            if (TakeWaiting(OutputKind.Connect))
            {
                output.Kind = OutputKind.Connect;
                output.ExpirySeconds = ExpirySeconds;
                output.Mode = connectMode;
                return true;
            }

            if (TakeWaiting(OutputKind.Prewarm))
            {
                output.Kind = OutputKind.Prewarm;
                return true;
            }

            if (TakeWaiting(OutputKind.SendHeartbeat))
            {
                output.Kind = OutputKind.SendHeartbeat;
                output.Sequence = unacknowledged;
                output.RenewalSeconds = SecondsToRenewal();
                return true;
            }

            if (TakeWaiting(OutputKind.SendMessage))
            {
                output.Kind = OutputKind.SendMessage;
                return true;
            }

            return false;
        }

        private void WakeConnected(Now now)
        {
            if (timers.IsExpired(TimerId.Acknowledge, now.Ms))
            {
                NoteDrop(now, DisconnectReason.PublishNotAcknowledged);
                BackOff(now);
                Order(OutputKind.Disconnect);
            }
            else if (timers.IsExpired(TimerId.Renew, now.Ms))
            {
                PrepareRenewal(now);
            }
            else if (timers.IsExpired(TimerId.Prewarm, now.Ms))
            {
                FallBack(now);
            }
            else if (timers.IsExpired(TimerId.Heartbeat, now.Ms))
            {
                SendHeartbeat(now);
            }
        }

        /// <summary>
        /// Network and perhaps time are back: connect, but not in step with everybody else who lost them too.
        /// </summary>
        private void ComeBack(Now now)
        {
            if (!now.UtcKnown)
            {
                Enter(SessionState.NoTime);
            }
            else if (Attempts == 0 && settings.ReconnectSpreadSeconds == 0)
            {
                StartConnecting(now);
            }
            else
            {
                BackOff(now);
            }
        }

        private void StartConnecting(Now now)
        {
            if (!now.UtcKnown)
            {
                Enter(SessionState.NoTime); // the clock was lost; without a date there is no token
                return;
            }

            Enter(SessionState.Connecting);
            connectMode = isPrewarmed ? RenewMode.Prewarm : RenewMode.Clean;
            isPrewarmed = false;
            Dial(now);
        }

        private void Dial(Now now)
        {
            Attempts++;
            IsLinkOutdated = false;
            tokenMadeMs = now.Ms;
            TokenLifetimeSeconds = settings.LifetimeSeconds;
            ExpirySeconds = now.UtcSeconds + settings.LifetimeSeconds;
            timers.Arm(TimerId.Connect, now.Ms + ConnectTimeoutMs);
            Order(OutputKind.Connect);
        }

        private void Accept(Now now, bool sessionPresent)
        {
            SessionPresent = sessionPresent;
            if (LastReason == DisconnectReason.PlannedRenewal)
            {
                Renewals++; // still this reason: nothing failed since we said goodbye
            }
            else
            {
                connectedSinceMs = now.Ms;
            }

            LastGapMs = linkEndedMs == Never ? Never : now.Ms - linkEndedMs;
            plannedReason = DisconnectReason.PlannedRenewal;
            Enter(SessionState.Connected);
            renewPlannedMs = Renewal.RenewAtMs(tokenMadeMs, settings, random.Next(Renewal.DrawRange));
            ArmRenewal(now);
            if (IsLinkOutdated)
            {
                PlanForSettings(now);
            }

            TakeBackMessage();
            if (unacknowledged == NoHeartbeat)
            {
                SendNext(now);
            }
            else
            {
                HeartbeatsRepeated++;
                timers.Arm(TimerId.Acknowledge, now.Ms + AcknowledgeTimeoutMs);
                Order(OutputKind.SendHeartbeat);
            }
        }

        /// <summary>
        /// The planned moment, or earlier by as much as the clock has since turned out to have been behind.
        /// </summary>
        private void ArmRenewal(Now now)
        {
            long behindSeconds = now.UtcKnown ? ClockCorrectionSeconds(now) : 0;
            long at = behindSeconds > 1 ? renewPlannedMs - (behindSeconds * 1000) : renewPlannedMs;
            timers.Arm(TimerId.Renew, at > now.Ms ? at : now.Ms);
        }

        /// <summary>
        /// By how much UTC has moved against the monotonic clock since the token was made; + = it was behind.
        /// </summary>
        private long ClockCorrectionSeconds(Now now)
        {
            long elapsedSeconds = (now.Ms - tokenMadeMs) / 1000;
            return now.UtcSeconds - (ExpirySeconds - TokenLifetimeSeconds) - elapsedSeconds;
        }

        /// <summary>Whether the clock has moved, since the last token was made, by more than the hub tolerates.</summary>
        internal bool IsClockCorrected(Now now)
        {
            long correction = ClockCorrectionSeconds(now);
            return correction > ClockSkewSeconds || correction < -ClockSkewSeconds;
        }

        private void RetryIfClockWasWrong(Now now)
        {
            bool refused = LastReason == DisconnectReason.RefusedCredentials
                || LastReason == DisconnectReason.RefusedNotAuthorized
                || LastReason == DisconnectReason.TokenExpired
                || LastReason == DisconnectReason.Disabled
                || LastReason == DisconnectReason.ClockSkew;
            bool mistrusted = LastReason == DisconnectReason.TlsWrongClock || LastReason == DisconnectReason.TlsFailed;
            if ((refused || mistrusted) && IsClockCorrected(now))
            {
                LastReason = mistrusted ? DisconnectReason.TlsWrongClock : DisconnectReason.ClockSkew;
                failures = 0;
                BackOff(now);
            }
        }

        private void BeginRenewal(Now now)
        {
            Enter(SessionState.Renewing);
            if (IsInFlight())
            {
                timers.Arm(TimerId.Drain, now.Ms + DrainTimeoutMs);
            }
            else
            {
                LeaveLink(now);
            }
        }

        private void CloseForRenewal(Now now)
        {
            LastReason = plannedReason;
            linkEndedMs = now.Ms;
            timers.Stop(TimerId.Drain);
            timers.Arm(TimerId.Close, now.Ms + CloseTimeoutMs);
            Order(OutputKind.Disconnect);
        }

        private bool IsDraining()
        {
            return timers.IsArmed(TimerId.Drain);
        }

        private void SendHeartbeat(Now now)
        {
            unacknowledged = nextSequence;
            nextSequence = nextSequence == int.MaxValue ? 1 : nextSequence + 1;
            HeartbeatsSent++;
            intervalIsNews = false;
            heartbeatDueMs = Heartbeat.NextDueMs(heartbeatDueMs, now.Ms, settings.HeartbeatIntervalSeconds);
            timers.Stop(TimerId.Heartbeat);
            timers.Arm(TimerId.Acknowledge, now.Ms + AcknowledgeTimeoutMs);
            Order(OutputKind.SendHeartbeat);
        }

        private bool HasHeartbeatAhead()
        {
            return settings.HeartbeatIntervalSeconds > 0 || intervalIsNews;
        }

        private void ArmHeartbeat(Now now)
        {
            if (HasHeartbeatAhead())
            {
                if (heartbeatDueMs < now.Ms)
                {
                    heartbeatDueMs = now.Ms; // overdue: now, and the rhythm starts from here
                }

                timers.Arm(TimerId.Heartbeat, heartbeatDueMs);
            }
        }

        private void PutOffHeartbeat(Now now)
        {
            if (intervalIsNews)
            {
                return;
            }

            heartbeatDueMs = now.Ms + (settings.HeartbeatIntervalSeconds * 1000L);
            if (timers.IsArmed(TimerId.Heartbeat))
            {
                timers.Arm(TimerId.Heartbeat, heartbeatDueMs);
            }
        }

        private int SecondsToRenewal()
        {
            // The heartbeat leaves at the moment it was ordered, which is AcknowledgeTimeoutMs before its own
            // deadline.
            long sentMs = timers.DueAtMs(TimerId.Acknowledge) - AcknowledgeTimeoutMs;
            return timers.IsArmed(TimerId.Renew) ? (int)((timers.DueAtMs(TimerId.Renew) - sentMs) / 1000) : 0;
        }

        /// <summary>
        /// An established link ended unplanned. One that lasted longer than the longest wait owes nothing to
        /// earlier failures.
        /// </summary>
        private void NoteDrop(Now now, DisconnectReason reason)
        {
            Drops++;
            LastReason = reason;
            linkEndedMs = now.Ms;
            if (now.Ms - connectedSinceMs >= settings.BackoffMaxSeconds * 1000L)
            {
                failures = 0;
            }
        }

        private void NoteFailure(DisconnectReason reason)
        {
            LastReason = reason;
        }

        private void BackOff(Now now)
        {
            int delayMs = Backoff.DelayMs(settings, failures, random);
            failures++;
            Enter(SessionState.BackingOff);
            timers.Arm(TimerId.Retry, now.Ms + delayMs);
        }

        private static DisconnectReason RefusalReason(int code)
        {
            switch (code)
            {
                case 1: return DisconnectReason.RefusedProtocolVersion;
                case 2: return DisconnectReason.RefusedIdentifier;
                case 3: return DisconnectReason.RefusedUnavailable;
                case 4: return DisconnectReason.RefusedCredentials;
                case 5: return DisconnectReason.RefusedNotAuthorized;
                default: return DisconnectReason.RefusedOther;
            }
        }

        /// <summary>
        /// The only writer of the state. Timers and orders of the state left behind go; an order to close stays.
        /// </summary>
        private void Enter(SessionState next)
        {
            State = next;
            timers.StopAll();
            waitingOutputs &= 1 << (int)OutputKind.Disconnect;
            isPrewarmed = isPrewarmed && (next == SessionState.Renewing || next == SessionState.Connecting);
        }

        private void Order(OutputKind kind)
        {
            waitingOutputs |= 1 << (int)kind;
        }

        private bool TakeWaiting(OutputKind kind)
        {
            int bit = 1 << (int)kind;
            bool waits = (waitingOutputs & bit) != 0;
            waitingOutputs &= ~bit;
            return waits;
        }

        private static Exception Unlisted()
        {
            return new InvalidOperationException("a session state without a rule");
        }
    }
}
