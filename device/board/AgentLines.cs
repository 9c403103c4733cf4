// What the board says of its agent; the wording is the PC's (device/host), and the bench procedure asserts on it.
using Agent.Core;

namespace Agent.Board
{
    /// <summary>One console line for each change.</summary>
    public sealed class AgentLines
    {
        private const string HeartbeatMark = "type=heartbeat&seq=";

        private readonly DeviceAgent agent;
        private readonly Session session;
        private SessionState shown;
        private int renewalsShown;
        private int heartbeatsShown;
        private string heartbeat = "";
        private int fallbacksShown;
        private int entryShown;
        private int codeShown;
        private long versionShown;

        public AgentLines(DeviceAgent agent)
        {
            this.agent = agent;
            session = agent.Session;
            shown = session.State;
            codeShown = agent.Settings.Code;
            versionShown = agent.Settings.Version;
        }

        /// <summary>The number that came with an end, for the next line; 0 = none.</summary>
        public int ErrorCode { get; set; }

        public void SayStart(Identity identity)
        {
            SerialLog.Say(identity.DeviceId + " at " + identity.HostName + ", token "
                + session.Settings.LifetimeSeconds.ToString() + " s, start " + agent.Boots.ToString()
                + ", renews " + ModeText(session.ModeInUse));
        }

        /// <summary>Remembers which heartbeat went out, to name it when it is acknowledged.</summary>
        public void NotePublished(string topic)
        {
            int at = topic.IndexOf(HeartbeatMark);
            if (at >= 0)
            {
                int start = at + HeartbeatMark.Length;
                heartbeat = topic.Substring(start, topic.IndexOf('&', start) - start);
            }
        }

        public void SayAcknowledged()
        {
            if (session.HeartbeatsAcknowledged != heartbeatsShown)
            {
                heartbeatsShown = session.HeartbeatsAcknowledged;
                SerialLog.Say("heartbeat " + heartbeat + " acknowledged");
            }
        }

        public void SayChanges(Now now)
        {
            SaySettings();
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

        private void SaySettings()
        {
            if (session.Fallbacks != fallbacksShown)
            {
                fallbacksShown = session.Fallbacks;
                SerialLog.Say("renewal made clean: the second connection could not be had");
            }

            if (agent.Settings.Code != codeShown || agent.Settings.Version != versionShown)
            {
                codeShown = agent.Settings.Code;
                versionShown = agent.Settings.Version;
                SerialLog.Say("settings version " + versionShown.ToString() + ": " + codeShown.ToString()
                    + (codeShown == 400 ? ": " + agent.Settings.Problems : "") + ", token "
                    + agent.Settings.InForce.LifetimeSeconds.ToString() + " s");
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
                    string number = ErrorCode == 0 ? "" : " (error " + ErrorCode.ToString() + ")";
                    ErrorCode = 0;
                    return what + DisconnectReasonText.Of(session.LastReason) + number + "; next attempt in "
                        + (session.NextWakeMs - now.Ms).ToString() + " ms";
                default:
                    return SessionStateText.Of(shown);
            }
        }

        private void SayFigures()
        {
            BlackBoxEntry entry = agent.BlackBox.Current;
            if (entry.Number > entryShown && entry.IsKnown && entry.Reason != DisconnectReason.PlannedRenewal)
            {
                entryShown = entry.Number;
                SerialLog.Say("black box: " + DiagnosticsText.Line(entry));
            }

            int free;
            int largest;
            HeapFigures.Native(out free, out largest);
            SerialLog.Say("heap " + HeapFigures.ManagedFreeBytes().ToString() + ", native " + free.ToString()
                + ", largest block " + largest.ToString());
        }

        private static string ModeText(RenewMode mode)
        {
            return mode == RenewMode.Takeover ? "by takeover" : mode == RenewMode.Prewarm ? "prewarmed" : "clean";
        }
    }
}
