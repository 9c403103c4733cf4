// Messages beside heartbeats: one in flight at a time, whatever it is.
//
// The session knows only whether a message waits and whether one is in flight; the messages themselves are in the
// Outbox, which keeps each until it is acknowledged. One at a time keeps the order, bounds the memory to one payload
// and makes "what is in flight at a renewal" a question with one answer: it is waited for, and sent again on the next
// link if its acknowledgement did not come. Not chosen: a window of several, which would drain a long queue faster
// and lose all three.
namespace Agent.Core
{
    public sealed partial class Session
    {
        private bool messageWaits;
        private bool messageInFlight;

        /// <summary>Messages sent again after a new connection.</summary>
        public int MessagesRepeated { get; private set; }

        /// <summary>There is something in the outbox.</summary>
        public void OnMessageWaiting(Now now)
        {
            messageWaits = messageWaits || !messageInFlight;
            switch (State)
            {
                case SessionState.Connected:
                    if (!IsInFlight())
                    {
                        SendNext(now);
                    }

                    break;
                case SessionState.Stopped:
                case SessionState.NoNetwork:
                case SessionState.NoTime:
                case SessionState.Connecting:
                case SessionState.Renewing:
                case SessionState.BackingOff:
                case SessionState.TakingOver:
                    break; // sent when there is a link
                default:
                    throw Unlisted();
            }
        }

        /// <summary>The PUBACK of the message in flight.</summary>
        /// <param name="now">The moment.</param>
        /// <param name="moreWait">Whether the outbox holds another one.</param>
        public void OnMessageAcknowledged(Now now, bool moreWait)
        {
            messageInFlight = false;
            messageWaits = moreWait;
            switch (State)
            {
                case SessionState.Connected:
                    PutOffHeartbeat(now); // it has shown us alive
                    if (unacknowledged == NoHeartbeat)
                    {
                        timers.Stop(TimerId.Acknowledge);
                        SendNext(now);
                    }

                    break;
                case SessionState.Renewing:
                    if (IsDraining() && !IsInFlight())
                    {
                        LeaveLink(now);
                    }

                    break; // while closing there is nothing to hurry
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

        private bool IsInFlight()
        {
            return unacknowledged != NoHeartbeat || messageInFlight;
        }

        /// <summary>A new link: what the old one did not see acknowledged waits again.</summary>
        private void TakeBackMessage()
        {
            if (messageInFlight)
            {
                messageInFlight = false;
                messageWaits = true;
                MessagesRepeated++;
            }
        }

        /// <summary>Connected and nothing in flight: an overdue heartbeat first, then a message, else wait for the heartbeat.</summary>
        private void SendNext(Now now)
        {
            bool heartbeatIsDue = HasHeartbeatAhead() && heartbeatDueMs <= now.Ms;
            if (messageWaits && !heartbeatIsDue)
            {
                messageWaits = false;
                messageInFlight = true;
                timers.Stop(TimerId.Heartbeat);
                timers.Arm(TimerId.Acknowledge, now.Ms + AcknowledgeTimeoutMs);
                Order(OutputKind.SendMessage);
            }
            else
            {
                ArmHeartbeat(now);
            }
        }
    }
}
