// The three ways to renew, and settings that change while the session lives.
//
// Clean needs one TLS session at a time, takeover and prewarm need two for a moment; two buffers of 16,717 bytes each
// is what a session takes on the board (facts/anchors.md part A), in one piece. So a mode that needs two is used when
// it is asked for, the driver is able, and the memory it last reported allows it; otherwise clean is used and
// ModeInUse says so. A takeover or prewarming that fails falls back to clean at once: the old link still stands then,
// and nothing is lost but the attempt.
namespace Agent.Core
{
    public sealed partial class Session
    {
        /// <summary>Bytes in one piece that one TLS session needs (facts/anchors.md part A).</summary>
        public const int TlsBlockBytes = 16717;

        /// <summary>Free bytes that must be there before a second TLS session: its two buffers and as much again.</summary>
        public const int TwoSessionsBytes = 4 * TlsBlockBytes;

        /// <summary>Milliseconds the next link's TLS may take; the hub waits 30 s or more for a CONNECT (iothub.md 1.2).</summary>
        public const int PrewarmTimeoutMs = 25000;

        /// <summary>Milliseconds a link lives on after new settings, so that the answer to them can leave.</summary>
        public const int SettingsDelayMs = 1000;

        private RenewMode connectMode;
        private bool isPrewarmed;
        private long freeBytes = long.MaxValue;
        private long largestBlockBytes = long.MaxValue;

        /// <summary>Whether the driver can open TLS without CONNECT; set once, before the first event.</summary>
        public bool CanPrewarm { get; set; }

        /// <summary>Renewals that were to be made by takeover or prewarming and were made clean.</summary>
        public int Fallbacks { get; private set; }

        /// <summary>The settings in force.</summary>
        public TokenSettings Settings => settings;

        /// <summary>Whether the newest link was dialled under settings that other ones, which ask for a new link, have replaced.</summary>
        public bool IsLinkOutdated { get; private set; }

        /// <summary>How the next renewal will be made.</summary>
        public RenewMode ModeInUse
        {
            get
            {
                RenewMode wanted = settings.RenewMode;
                bool fits = freeBytes >= TwoSessionsBytes && largestBlockBytes >= TlsBlockBytes;
                bool can = wanted == RenewMode.Takeover || CanPrewarm;
                return wanted != RenewMode.Clean && fits && can ? wanted : RenewMode.Clean;
            }
        }

        /// <summary>Memory TLS can have, in bytes, as last seen; a driver that does not know says nothing.</summary>
        public void NoteMemory(long free, long largestBlock)
        {
            freeBytes = free;
            largestBlockBytes = largestBlock;
        }

        /// <summary>A reason found out in hindsight replaces the one seen at first.</summary>
        public void RefineReason(DisconnectReason reason)
        {
            LastReason = reason;
        }

        /// <summary>
        /// Other settings are in force from now on; <paramref name="reconnects"/> asks for a new connection under them,
        /// soon, but not in step with everybody who got them at the same moment.
        /// </summary>
        public void OnSettings(Now now, TokenSettings next, bool reconnects)
        {
            bool isOtherInterval = settings.HeartbeatIntervalSeconds != next.HeartbeatIntervalSeconds;
            settings = next;
            if (isOtherInterval)
            {
                RestartHeartbeat(now);
            }

            switch (State)
            {
                case SessionState.Stopped:
                case SessionState.NoNetwork:
                case SessionState.NoTime:
                case SessionState.Renewing:
                    break; // used from the next link on
                case SessionState.Connecting:
                case SessionState.TakingOver:
                    IsLinkOutdated = IsLinkOutdated || reconnects; // its token is made already
                    break;
                case SessionState.Connected:
                    if (reconnects)
                    {
                        PlanForSettings(now);
                    }

                    break;
                case SessionState.BackingOff:
                    if (reconnects)
                    {
                        failures = 0;
                        BackOff(now); // the waits of the old settings no longer count
                    }

                    break;
                default:
                    throw Unlisted();
            }
        }

        /// <summary>Renew after so many milliseconds, for a reason of ours.</summary>
        public void OnRenewNow(Now now, DisconnectReason reason, int delayMs)
        {
            switch (State)
            {
                case SessionState.Connected:
                    PlanSoon(now, reason, delayMs);
                    break;
                case SessionState.Stopped:
                case SessionState.NoNetwork:
                case SessionState.NoTime:
                case SessionState.Connecting:
                case SessionState.Renewing:
                case SessionState.BackingOff:
                case SessionState.TakingOver:
                    break; // the next link brings a new token anyway
                default:
                    throw Unlisted();
            }
        }

        /// <summary>TCP and TLS of the next link are open.</summary>
        public void OnPrewarmed(Now now)
        {
            switch (State)
            {
                case SessionState.Connected:
                    if (timers.IsArmed(TimerId.Prewarm))
                    {
                        isPrewarmed = true;
                        BeginRenewal(now);
                    }

                    break; // too late for the renewal it was for; the next Connect throws it away
                case SessionState.Stopped:
                case SessionState.NoNetwork:
                case SessionState.NoTime:
                case SessionState.Connecting:
                case SessionState.Renewing:
                case SessionState.BackingOff:
                case SessionState.TakingOver:
                    break; // the link it was to follow has ended meanwhile
                default:
                    throw Unlisted();
            }
        }

        /// <summary>The next link could not be opened beforehand.</summary>
        public void OnPrewarmFailed(Now now)
        {
            switch (State)
            {
                case SessionState.Connected:
                    if (timers.IsArmed(TimerId.Prewarm))
                    {
                        FallBack(now);
                    }

                    break; // given up before
                case SessionState.Stopped:
                case SessionState.NoNetwork:
                case SessionState.NoTime:
                case SessionState.Connecting:
                case SessionState.Renewing:
                case SessionState.BackingOff:
                case SessionState.TakingOver:
                    break; // nothing waits for it
                default:
                    throw Unlisted();
            }
        }

        private void PlanForSettings(Now now)
        {
            PlanSoon(now, DisconnectReason.SettingsChange, SettingsDelayMs + Backoff.DelayMs(settings, 0, random));
        }

        private void PlanSoon(Now now, DisconnectReason reason, int delayMs)
        {
            plannedReason = reason;
            timers.Stop(TimerId.Prewarm);
            timers.Arm(TimerId.Renew, now.Ms + delayMs);
        }

        private void PrepareRenewal(Now now)
        {
            if (ModeInUse != RenewMode.Prewarm)
            {
                BeginRenewal(now);
                return;
            }

            timers.Stop(TimerId.Renew);
            timers.Arm(TimerId.Prewarm, now.Ms + PrewarmTimeoutMs);
            Order(OutputKind.Prewarm);
        }

        /// <summary>Nothing is in flight any more, or it was waited for long enough.</summary>
        private void LeaveLink(Now now)
        {
            if (ModeInUse == RenewMode.Takeover && now.UtcKnown)
            {
                Enter(SessionState.TakingOver);
                LastReason = plannedReason;
                linkEndedMs = now.Ms; // the old link may end at any moment from now on
                connectMode = RenewMode.Takeover;
                Dial(now);
            }
            else
            {
                CloseForRenewal(now);
            }
        }

        private void FallBack(Now now)
        {
            Fallbacks++;
            bool wasTakingOver = State == SessionState.TakingOver;
            if (wasTakingOver)
            {
                Enter(SessionState.Renewing);
                CloseForRenewal(now);
            }
            else
            {
                timers.Stop(TimerId.Prewarm);
                BeginRenewal(now);
            }
        }

        /// <summary>A prewarmed link that turns out dead costs no waiting: a fresh one is tried at once.</summary>
        private void FailAttempt(Now now, DisconnectReason reason)
        {
            if (connectMode == RenewMode.Prewarm)
            {
                Fallbacks++;
                StartConnecting(now);
                return;
            }

            NoteFailure(reason);
            BackOff(now);
        }

        /// <summary>
        /// Another interval: whoever watches goes by the one last told, so the next heartbeat is due at once and no other
        /// message puts it off. That none will follow (0) is told too: otherwise the last promise would be broken for ever.
        /// </summary>
        private void RestartHeartbeat(Now now)
        {
            timers.Stop(TimerId.Heartbeat);
            heartbeatDueMs = now.Ms;
            intervalIsNews = true;
            if (State == SessionState.Connected && !IsInFlight())
            {
                ArmHeartbeat(now);
            }
        }
    }
}
