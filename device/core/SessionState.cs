// The states of a session. Numbers are explicit because they are logged; each state has its own sentence, and
// Session.cs says for every event what happens in every one of them.
namespace Agent.Core
{
    /// <summary>Where a session stands.</summary>
    public enum SessionState
    {
        /// <summary>Ended for good by the program; only a new session connects again.</summary>
        Stopped = 0,

        /// <summary>There is no network to try on.</summary>
        NoNetwork = 1,

        /// <summary>There is a network but no date, and without one there is no token.</summary>
        NoTime = 2,

        /// <summary>A link is being opened; CONNACK has not come yet.</summary>
        Connecting = 3,

        /// <summary>The hub has accepted us.</summary>
        Connected = 4,

        /// <summary>
        /// A planned renewal: first the acknowledgement still in flight is waited for (timer Drain), then the old
        /// link is being closed (timer Close). The new one is then opened in Connecting.
        /// </summary>
        Renewing = 5,

        /// <summary>An attempt or a link has failed; waiting for the next attempt.</summary>
        BackingOff = 6,

        /// <summary>A planned renewal by takeover: the old link still stands, a second one is being opened.</summary>
        TakingOver = 7,
    }

    /// <summary>The states in words, for logs.</summary>
    public static class SessionStateText
    {
        public static string Of(SessionState state)
        {
            switch (state)
            {
                case SessionState.Stopped: return "stopped";
                case SessionState.NoNetwork: return "no network";
                case SessionState.NoTime: return "no time";
                case SessionState.Connecting: return "connecting";
                case SessionState.Connected: return "connected";
                case SessionState.Renewing: return "renewing";
                case SessionState.BackingOff: return "backing off";
                case SessionState.TakingOver: return "taking over";
                default: return "unlisted state";
            }
        }
    }
}
