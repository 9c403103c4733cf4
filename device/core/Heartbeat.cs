// What a heartbeat says.
//
// A checker that only counts silences cannot tell a dead device from one that is renewing its token. So the
// heartbeat carries what the device knows: its number, how often to expect one, when the next planned gap comes and
// how long it is expected to be, why and how long it was away last, how often it has started, and which settings it
// runs under. The body is empty and the knowledge is in the topic's property bag, which routes and Event Grid can read
// without a payload parser. Rule of suppression: a heartbeat is due one interval after the last thing that proved
// the device alive, and other telemetry proves that as well; a device that talks anyway pays for no heartbeats.
// Not chosen: a fixed rhythm, which doubles the messages (and the bill) of a device that reports every minute.
using System.Text;

namespace Agent.Core
{
    /// <summary>Writes the topic of a heartbeat and keeps its rhythm.</summary>
    public static class Heartbeat
    {
        /// <summary>The topic, property bag included; the payload is empty.</summary>
        /// <param name="deviceId">As registered.</param>
        /// <param name="sequence">Counts up by one; a repeat after a lost connection keeps its number.</param>
        /// <param name="intervalSeconds">When to expect the next one; 0 = no more are coming.</param>
        /// <param name="renewalSeconds">Seconds to the next planned renewal.</param>
        public static string Topic(string deviceId, int sequence, int intervalSeconds, int renewalSeconds)
        {
            return Start(deviceId, sequence, intervalSeconds, renewalSeconds).ToString();
        }

        /// <summary>The same, with everything the device knows about its connection.</summary>
        /// <param name="deviceId">As registered.</param>
        /// <param name="sequence">Counts up by one; a repeat after a lost connection keeps its number.</param>
        /// <param name="intervalSeconds">When to expect the next one; 0 = no more are coming.</param>
        /// <param name="renewalSeconds">Seconds to the next planned renewal.</param>
        /// <param name="gapMs">Milliseconds the next renewal is expected to take.</param>
        /// <param name="reason">Why the last outage began; None = there was none.</param>
        /// <param name="downSeconds">Seconds it lasted; -1 = unknown.</param>
        /// <param name="boots">Starts of the device, this one included.</param>
        /// <param name="settingsVersion">Version of the desired properties last answered; -1 = none.</param>
        public static string Topic(
            string deviceId, int sequence, int intervalSeconds, int renewalSeconds, int gapMs, DisconnectReason reason,
            int downSeconds, int boots, long settingsVersion)
        {
            StringBuilder topic = Start(deviceId, sequence, intervalSeconds, renewalSeconds);
            topic.Append("&gap=").Append(gapMs);
            if (reason != DisconnectReason.None)
            {
                topic.Append("&reason=").Append((int)reason);
                topic.Append("&down=").Append(downSeconds);
            }

            topic.Append("&boots=").Append(boots);
            if (settingsVersion >= 0)
            {
                topic.Append("&settings=").Append(settingsVersion);
            }

            return topic.ToString();
        }

        /// <summary>
        /// The next due moment after a heartbeat that was due at <paramref name="dueAtMs"/> went out: on the same
        /// grid as long as it is kept, starting afresh after a longer pause, so that no burst makes up for lost time.
        /// </summary>
        public static long NextDueMs(long dueAtMs, long nowMs, int intervalSeconds)
        {
            long intervalMs = intervalSeconds * 1000L;
            long next = dueAtMs + intervalMs;
            return next > nowMs ? next : nowMs + intervalMs;
        }

        private static StringBuilder Start(string deviceId, int sequence, int intervalSeconds, int renewalSeconds)
        {
            StringBuilder topic = new StringBuilder(deviceId.Length + 160);
            topic.Append("devices/").Append(deviceId).Append("/messages/events/");
            topic.Append("type=heartbeat&seq=").Append(sequence);
            topic.Append("&interval=").Append(intervalSeconds);
            topic.Append("&renewal=").Append(renewalSeconds);
            return topic;
        }
    }
}
