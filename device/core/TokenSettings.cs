// What can be configured about a connection.
//
// Settings come from a command line, a scenario file, the device twin or a direct method, that is: from people. So
// they are one immutable object, made whole or not at all, and a bad draft is answered with every problem at once,
// each naming value and limit. Each setting has its name and range in Setting.cs and nowhere else. One object is
// shared by as many sessions as like.
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

        private readonly int[] values = new int[(int)Setting.Count];

        /// <summary>Makes the settings of a draft that has been found good.</summary>
        internal TokenSettings(TokenSettingsDraft draft)
        {
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = draft.Get((Setting)i);
            }
        }

        /// <summary>Seconds a token lives.</summary>
        public int LifetimeSeconds => values[(int)Setting.LifetimeSeconds];

        /// <summary>
        /// Share of the lifetime after which to renew; not used when <see cref="RenewBeforeSeconds"/> is set.
        /// </summary>
        public int RenewAtPercent => values[(int)Setting.RenewAtPercent];

        /// <summary>Seconds before expiry at which to renew; 0 = go by <see cref="RenewAtPercent"/>.</summary>
        public int RenewBeforeSeconds => values[(int)Setting.RenewBeforeSeconds];

        /// <summary>
        /// How much earlier than that, at most, as a share of the lifetime; drawn anew for each token.
        /// </summary>
        public int SpreadPercent => values[(int)Setting.SpreadPercent];

        /// <summary>How a renewal is made, if the device can.</summary>
        public RenewMode RenewMode => (RenewMode)values[(int)Setting.RenewMode];

        /// <summary>Seconds; ceiling of the first retry, doubling from there.</summary>
        public int BackoffMinSeconds => values[(int)Setting.BackoffMinSeconds];

        /// <summary>
        /// Seconds; ceiling of every retry. A connection that lasted this long starts the back-off anew.
        /// </summary>
        public int BackoffMaxSeconds => values[(int)Setting.BackoffMaxSeconds];

        /// <summary>
        /// Seconds over which a fleet that comes back at once spreads its attempts, the first after power-on included;
        /// 0 = as the back-off alone does. Devices divided by this is the rate the hub sees: choose it below the hub's
        /// connection throttle.
        /// </summary>
        public int ReconnectSpreadSeconds => values[(int)Setting.ReconnectSpreadSeconds];

        /// <summary>Seconds; MQTT keep-alive in CONNECT.</summary>
        public int KeepAliveSeconds => values[(int)Setting.KeepAliveSeconds];

        /// <summary>Seconds between heartbeats; 0 = none, and the one that says so when heartbeats are turned off.</summary>
        public int HeartbeatIntervalSeconds => values[(int)Setting.HeartbeatIntervalSeconds];

        /// <summary>What is told about disconnects without being asked.</summary>
        public DiagnosticsLevel DiagnosticsLevel => (DiagnosticsLevel)values[(int)Setting.DiagnosticsLevel];

        /// <summary>The settings of an agent nobody has configured.</summary>
        public static TokenSettings Default()
        {
            return new TokenSettings(new TokenSettingsDraft());
        }

        /// <summary>A setting's value by its place in the table.</summary>
        public int Get(Setting setting)
        {
            return values[(int)setting];
        }

        /// <summary>Whether going from other settings to these asks for a new connection.</summary>
        public bool DiffersInConnection(TokenSettings other)
        {
            for (int i = 0; i < values.Length; i++)
            {
                if (values[i] != other.values[i] && SettingTable.IsOfConnection((Setting)i))
                {
                    return true;
                }
            }

            return false;
        }

        /// <summary>Whether every value is the same.</summary>
        public bool IsSameAs(TokenSettings other)
        {
            for (int i = 0; i < values.Length; i++)
            {
                if (values[i] != other.values[i])
                {
                    return false;
                }
            }

            return true;
        }
    }

    /// <summary>Settings as somebody wishes them, not yet checked; starts out as the defaults.</summary>
    public sealed class TokenSettingsDraft
    {
        private readonly int[] values = new int[(int)Setting.Count];

        public TokenSettingsDraft()
        {
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = SettingTable.Default((Setting)i);
            }
        }

        /// <summary>A draft that starts out as settings in force.</summary>
        public TokenSettingsDraft(TokenSettings from)
        {
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = from.Get((Setting)i);
            }
        }

        public int LifetimeSeconds
        {
            get => Get(Setting.LifetimeSeconds);
            set => Set(Setting.LifetimeSeconds, value);
        }

        public int RenewAtPercent
        {
            get => Get(Setting.RenewAtPercent);
            set => Set(Setting.RenewAtPercent, value);
        }

        public int RenewBeforeSeconds
        {
            get => Get(Setting.RenewBeforeSeconds);
            set => Set(Setting.RenewBeforeSeconds, value);
        }

        public int SpreadPercent
        {
            get => Get(Setting.SpreadPercent);
            set => Set(Setting.SpreadPercent, value);
        }

        public RenewMode RenewMode
        {
            get => (RenewMode)Get(Setting.RenewMode);
            set => Set(Setting.RenewMode, (int)value);
        }

        public int BackoffMinSeconds
        {
            get => Get(Setting.BackoffMinSeconds);
            set => Set(Setting.BackoffMinSeconds, value);
        }

        public int BackoffMaxSeconds
        {
            get => Get(Setting.BackoffMaxSeconds);
            set => Set(Setting.BackoffMaxSeconds, value);
        }

        public int ReconnectSpreadSeconds
        {
            get => Get(Setting.ReconnectSpreadSeconds);
            set => Set(Setting.ReconnectSpreadSeconds, value);
        }

        public int KeepAliveSeconds
        {
            get => Get(Setting.KeepAliveSeconds);
            set => Set(Setting.KeepAliveSeconds, value);
        }

        public int HeartbeatIntervalSeconds
        {
            get => Get(Setting.HeartbeatIntervalSeconds);
            set => Set(Setting.HeartbeatIntervalSeconds, value);
        }

        public DiagnosticsLevel DiagnosticsLevel
        {
            get => (DiagnosticsLevel)Get(Setting.DiagnosticsLevel);
            set => Set(Setting.DiagnosticsLevel, (int)value);
        }

        public int Get(Setting setting)
        {
            return values[(int)setting];
        }

        public void Set(Setting setting, int value)
        {
            values[(int)setting] = value;
        }

        /// <summary>True with the settings, or false with every problem there is, one sentence each.</summary>
        public bool TryBuild(out TokenSettings settings, out string[] problems)
        {
            ArrayList found = new ArrayList();
            AddProblems(found);
            problems = ToArray(found);
            settings = problems.Length == 0 ? new TokenSettings(this) : null;
            return settings != null;
        }

        /// <summary>Adds every problem to a list of strings that may hold others already.</summary>
        internal void AddProblems(ArrayList found)
        {
            for (int i = 0; i < (int)Setting.Count; i++)
            {
                Setting setting = (Setting)i;
                if (setting == Setting.RenewBeforeSeconds)
                {
                    CheckRenewBefore(found);
                }
                else if (setting == Setting.BackoffMaxSeconds)
                {
                    bool minIsGood = IsInRange(Setting.BackoffMinSeconds);
                    InRange(found, setting, minIsGood ? BackoffMinSeconds : 1, SettingTable.Max(setting));
                }
                else
                {
                    InRange(found, setting, SettingTable.Min(setting), SettingTable.Max(setting));
                }
            }
        }

        private void CheckRenewBefore(ArrayList found)
        {
            if (RenewBeforeSeconds != 0 && IsInRange(Setting.LifetimeSeconds))
            {
                InRange(found, Setting.RenewBeforeSeconds,
                    RenewBeforeSecondsMin(LifetimeSeconds), RenewBeforeSecondsMax(LifetimeSeconds));
            }
        }

        private bool IsInRange(Setting setting)
        {
            return Get(setting) >= SettingTable.Min(setting) && Get(setting) <= SettingTable.Max(setting);
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

        private void InRange(ArrayList found, Setting setting, int min, int max)
        {
            int value = Get(setting);
            if (value < min)
            {
                found.Add(Problem(setting, value, " is below ", min));
            }
            else if (value > max)
            {
                found.Add(Problem(setting, value, " is above ", max));
            }
        }

        private static string Problem(Setting setting, int value, string relation, int limit)
        {
            return string.Concat(
                string.Concat(SettingTable.Path(setting), ": ", value.ToString()), relation, limit.ToString());
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
