// The moments a session waits for.
//
// A timer here is a row in a table, not an object: no callback can run by itself, nothing is left behind to be
// disposed, and "when must I be called again" is one pass over the table. A driver asks for the earliest moment,
// waits in its own way (socket timeout, event queue, virtual time) and calls OnWake. Not chosen:
// System.Threading.Timer, whose callbacks the nanoFramework runs on threads that die silently
// (facts/nanoframework.md section 4).
namespace Agent.Core
{
    /// <summary>Every timer of a session; at most one of each runs at a time.</summary>
    public enum TimerId
    {
        /// <summary>The token should be replaced now (Connected).</summary>
        Renew = 0,

        /// <summary>The next heartbeat is due (Connected, nothing in flight).</summary>
        Heartbeat = 1,

        /// <summary>What is in flight should have been acknowledged by now (Connected).</summary>
        Acknowledge = 2,

        /// <summary>The last acknowledgement before a renewal has been waited for long enough (Renewing).</summary>
        Drain = 3,

        /// <summary>The old connection should have closed by now (Renewing).</summary>
        Close = 4,

        /// <summary>The attempt to connect has taken too long (Connecting).</summary>
        Connect = 5,

        /// <summary>The wait between two attempts is over (BackingOff).</summary>
        Retry = 6,

        /// <summary>The next link's TLS has been waited for long enough (Connected, at a renewal).</summary>
        Prewarm = 7,

        /// <summary>Not a timer: the number of timers, which sizes the table.</summary>
        Count = 8,
    }

    /// <summary>The table of moments, in monotonic milliseconds.</summary>
    public sealed class Timers
    {
        /// <summary>The moment of a timer that does not run.</summary>
        public const long Never = long.MaxValue;

        private readonly long[] dueAtMs = new long[(int)TimerId.Count];

        public Timers()
        {
            StopAll();
        }

        /// <summary>The earliest moment any timer is due, or <see cref="Never"/>.</summary>
        public long EarliestMs
        {
            get
            {
                long earliest = Never;
                for (int i = 0; i < dueAtMs.Length; i++)
                {
                    if (dueAtMs[i] < earliest)
                    {
                        earliest = dueAtMs[i];
                    }
                }

                return earliest;
            }
        }

        /// <summary>Starts a timer, or moves it when it already runs.</summary>
        public void Arm(TimerId timer, long atMs)
        {
            dueAtMs[(int)timer] = atMs;
        }

        public void Stop(TimerId timer)
        {
            dueAtMs[(int)timer] = Never;
        }

        public void StopAll()
        {
            for (int i = 0; i < dueAtMs.Length; i++)
            {
                dueAtMs[i] = Never;
            }
        }

        public bool IsArmed(TimerId timer)
        {
            return dueAtMs[(int)timer] != Never;
        }

        /// <summary>True from the due moment on, until the timer is stopped or armed again.</summary>
        public bool IsExpired(TimerId timer, long nowMs)
        {
            return dueAtMs[(int)timer] != Never && dueAtMs[(int)timer] <= nowMs;
        }

        /// <summary>The moment a timer is due, or <see cref="Never"/>.</summary>
        public long DueAtMs(TimerId timer)
        {
            return dueAtMs[(int)timer];
        }
    }
}
