// What can be configured about a connection.
//
// Settings come from a command line, a scenario file or (later) the device twin, that is: from people. So they
// are one immutable object, made whole or not at all, and a bad draft is answered with every problem at once,
// each naming value, limit and unit. Each setting has its range here and nowhere else. One object is shared by as
// many sessions as like.
using System.Collections;

namespace Agent.Core
{
    /// <summary>A valid set of settings; made by <see cref="TokenSettingsDraft.TryBuild"/>.</summary>
    public sealed class TokenSettings
    {
        /// <summary>Seconds. Below this a renewal, its waits included, no longer fits.</summary>
        public const int LifetimeSecondsMin = 10;

        /// <summary>
        /// Seconds: one year. The hub states no maximum; a longer-lived password is no longer a token.
        /// </summary>
        public const int LifetimeSecondsMax = 31536000;

        /// <summary>
        /// Seconds. The default of every vendor SDK but nanoFramework's (facts/sdk-renewal.md section 1).
        /// </summary>
        public const int LifetimeSecondsDefault = 3600;

        /// <summary>Per cent of the lifetime. Earlier renewals would be gaps for nothing.</summary>
        public const int RenewAtPercentMin = 10;

        /// <summary>Per cent of the lifetime. The rest is the room to connect in before expiry.</summary>
        public const int RenewAtPercentMax = 95;

        /// <summary>Per cent of the lifetime; the vendor's documented point for .NET and Java.</summary>
        public const int RenewAtPercentDefault = 85;

        /// <summary>Per cent of the lifetime.</summary>
        public const int SpreadPercentMax = 50;

        /// <summary>Per cent of the lifetime: six minutes of an hour.</summary>
        public const int SpreadPercentDefault = 10;

        /// <summary>Seconds; the first retry is drawn from 0.1 s to this.</summary>
        public const int BackoffMinSecondsDefault = 1;

        /// <summary>
        /// Seconds; the ceiling of all later retries. A hub back after an outage is found within a minute.
        /// </summary>
        public const int BackoffMaxSecondsDefault = 60;

        /// <summary>Seconds; the largest value either back-off setting may have.</summary>
        public const int BackoffSecondsLimit = 3600;

        /// <summary>Seconds: one day.</summary>
        public const int ReconnectSpreadSecondsMax = 86400;

        /// <summary>
        /// Seconds. Shorter pings cost more than they tell; M2Mqtt waits one period for the answer.
        /// </summary>
        public const int KeepAliveSecondsMin = 5;

        /// <summary>Seconds: the hub waits 1.5 times this, at most 1767 s (facts/iothub.md section 1.5).</summary>
        public const int KeepAliveSecondsMax = 1177;

        /// <summary>Seconds; the C SDK's value. A dead link is noticed after a little over twice this.</summary>
        public const int KeepAliveSecondsDefault = 240;

        /// <summary>Seconds: one day.</summary>
        public const int HeartbeatIntervalSecondsMax = 86400;

        /// <summary>Seconds; 288 messages a device and day.</summary>
        public const int HeartbeatIntervalSecondsDefault = 300;

        /// <summary>Makes the settings of a draft that has been found good.</summary>
        internal TokenSettings(TokenSettingsDraft draft)
        {
            LifetimeSeconds = draft.LifetimeSeconds;
            RenewAtPercent = draft.RenewAtPercent;
            RenewBeforeSeconds = draft.RenewBeforeSeconds;
            SpreadPercent = draft.SpreadPercent;
            BackoffMinSeconds = draft.BackoffMinSeconds;
            BackoffMaxSeconds = draft.BackoffMaxSeconds;
            ReconnectSpreadSeconds = draft.ReconnectSpreadSeconds;
            KeepAliveSeconds = draft.KeepAliveSeconds;
            HeartbeatIntervalSeconds = draft.HeartbeatIntervalSeconds;
        }

        /// <summary>Seconds a token lives.</summary>
        public int LifetimeSeconds { get; }

        /// <summary>
        /// Share of the lifetime after which to renew; not used when <see cref="RenewBeforeSeconds"/> is set.
        /// </summary>
        public int RenewAtPercent { get; }

        /// <summary>Seconds before expiry at which to renew; 0 = go by <see cref="RenewAtPercent"/>.</summary>
        public int RenewBeforeSeconds { get; }

        /// <summary>
        /// How much earlier than that, at most, as a share of the lifetime; drawn anew for each token.
        /// </summary>
        public int SpreadPercent { get; }

        /// <summary>Seconds; ceiling of the first retry, doubling from there.</summary>
        public int BackoffMinSeconds { get; }

        /// <summary>
        /// Seconds; ceiling of every retry. A connection that lasted this long starts the back-off anew.
        /// </summary>
        public int BackoffMaxSeconds { get; }

        /// <summary>
        /// Seconds over which a fleet that comes back at once spreads its attempts, the first after power-on included;
        /// 0 = as the back-off alone does. Devices divided by this is the rate the hub sees: choose it below the hub's
        /// connection throttle.
        /// </summary>
        public int ReconnectSpreadSeconds { get; }

        /// <summary>Seconds; MQTT keep-alive in CONNECT.</summary>
        public int KeepAliveSeconds { get; }

        /// <summary>Seconds between heartbeats; 0 = none.</summary>
        public int HeartbeatIntervalSeconds { get; }

        /// <summary>The settings of an agent nobody has configured.</summary>
        public static TokenSettings Default()
        {
            return new TokenSettings(new TokenSettingsDraft());
        }
    }

    /// <summary>Settings as somebody wishes them, not yet checked; starts out as the defaults.</summary>
    public sealed class TokenSettingsDraft
    {
        public int LifetimeSeconds = TokenSettings.LifetimeSecondsDefault;
        public int RenewAtPercent = TokenSettings.RenewAtPercentDefault;
        public int RenewBeforeSeconds;
        public int SpreadPercent = TokenSettings.SpreadPercentDefault;
        public int BackoffMinSeconds = TokenSettings.BackoffMinSecondsDefault;
        public int BackoffMaxSeconds = TokenSettings.BackoffMaxSecondsDefault;
        public int ReconnectSpreadSeconds;
        public int KeepAliveSeconds = TokenSettings.KeepAliveSecondsDefault;
        public int HeartbeatIntervalSeconds = TokenSettings.HeartbeatIntervalSecondsDefault;

        /// <summary>True with the settings, or false with every problem there is, one sentence each.</summary>
        public bool TryBuild(out TokenSettings settings, out string[] problems)
        {
            problems = Problems();
            settings = problems.Length == 0 ? new TokenSettings(this) : null;
            return settings != null;
        }

        private string[] Problems()
        {
            ArrayList found = new ArrayList();
            bool lifetimeGood = InRange(found, "lifetimeSeconds", LifetimeSeconds,
                TokenSettings.LifetimeSecondsMin, TokenSettings.LifetimeSecondsMax);
            InRange(found, "renewAtPercent", RenewAtPercent,
                TokenSettings.RenewAtPercentMin, TokenSettings.RenewAtPercentMax);
            if (RenewBeforeSeconds != 0 && lifetimeGood)
            {
                InRange(found, "renewBeforeSeconds", RenewBeforeSeconds,
                    RenewBeforeSecondsMin(LifetimeSeconds), RenewBeforeSecondsMax(LifetimeSeconds));
            }

            InRange(found, "spreadPercent", SpreadPercent, 0, TokenSettings.SpreadPercentMax);
            bool backoffGood = InRange(found, "backoffMinSeconds", BackoffMinSeconds,
                1, TokenSettings.BackoffSecondsLimit);
            InRange(found, "backoffMaxSeconds", BackoffMaxSeconds,
                backoffGood ? BackoffMinSeconds : 1, TokenSettings.BackoffSecondsLimit);
            InRange(found, "reconnectSpreadSeconds", ReconnectSpreadSeconds,
                0, TokenSettings.ReconnectSpreadSecondsMax);
            InRange(found, "keepAliveSeconds", KeepAliveSeconds,
                TokenSettings.KeepAliveSecondsMin, TokenSettings.KeepAliveSecondsMax);
            InRange(found, "heartbeatIntervalSeconds", HeartbeatIntervalSeconds,
                0, TokenSettings.HeartbeatIntervalSecondsMax);
            return ToArray(found);
        }

        /// <summary>The room before expiry, rounded up to whole seconds.</summary>
        private static int RenewBeforeSecondsMin(int lifetimeSeconds)
        {
            return (int)((Renewal.RoomMs(lifetimeSeconds * 1000L) + 999) / 1000);
        }

        /// <summary>As early as the smallest percentage allows.</summary>
        private static int RenewBeforeSecondsMax(int lifetimeSeconds)
        {
            return (int)(lifetimeSeconds * (100L - TokenSettings.RenewAtPercentMin) / 100);
        }

        private static bool InRange(ArrayList found, string name, int value, int min, int max)
        {
            if (value < min)
            {
                found.Add(Problem(name, value, " is below ", min));
                return false;
            }

            if (value > max)
            {
                found.Add(Problem(name, value, " is above ", max));
                return false;
            }

            return true;
        }

        private static string Problem(string name, int value, string relation, int limit)
        {
            return string.Concat(string.Concat(name, ": ", value.ToString()), relation, limit.ToString());
        }

        private static string[] ToArray(ArrayList found)
        {
            string[] problems = new string[found.Count];
            for (int i = 0; i < problems.Length; i++)
            {
                problems[i] = (string)found[i];
            }

            return problems;
        }
    }
}
