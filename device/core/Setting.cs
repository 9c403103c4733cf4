// The table of settings: every one of them once, with the name the twin gives it, its range and its default.
//
//   desired.agent = { "token": { "lifetimeSeconds", "renewAtPercent" | "renewBeforeSeconds", "spreadPercent", "renewMode" },
//                     "backoff": { "minSeconds", "maxSeconds", "spreadSeconds" }, "keepAliveSeconds",
//                     "heartbeat": { "intervalSeconds" }, "diagnostics": { "level" } }
//
// Twin reader, twin report, flash record, direct methods and the model file (device/model) all follow this table. The
// numbers are places in the flash record: for ever, never reused.
namespace Agent.Core
{
    /// <summary>Every setting; the number is its place in the flash record.</summary>
    public enum Setting
    {
        /// <summary>Seconds a token lives.</summary>
        LifetimeSeconds = 0,

        /// <summary>Per cent of the lifetime after which to renew.</summary>
        RenewAtPercent = 1,

        /// <summary>Seconds before expiry at which to renew; 0 = go by the percentage.</summary>
        RenewBeforeSeconds = 2,

        /// <summary>Per cent of the lifetime by which to renew earlier, at most, drawn anew for each token.</summary>
        SpreadPercent = 3,

        /// <summary>How to renew; see <see cref="Core.RenewMode"/>.</summary>
        RenewMode = 4,

        /// <summary>Seconds; ceiling of the first retry.</summary>
        BackoffMinSeconds = 5,

        /// <summary>Seconds; ceiling of every retry.</summary>
        BackoffMaxSeconds = 6,

        /// <summary>Seconds over which a fleet spreads its attempts.</summary>
        ReconnectSpreadSeconds = 7,

        /// <summary>Seconds of MQTT keep-alive.</summary>
        KeepAliveSeconds = 8,

        /// <summary>Seconds between heartbeats; 0 = none.</summary>
        HeartbeatIntervalSeconds = 9,

        /// <summary>What is told about disconnects; see <see cref="Core.DiagnosticsLevel"/>.</summary>
        DiagnosticsLevel = 10,

        /// <summary>Not a setting: how many there are.</summary>
        Count = 11,
    }

    /// <summary>How a token is renewed.</summary>
    public enum RenewMode
    {
        /// <summary>DISCONNECT, then a new connection: needs one TLS session at a time.</summary>
        Clean = 0,

        /// <summary>A second connection takes the id over; the hub drops the first and logs 400027. Needs two sessions.</summary>
        Takeover = 1,

        /// <summary>TLS of the next connection is opened first, then DISCONNECT and CONNECT. Needs two sessions.</summary>
        Prewarm = 2,
    }

    /// <summary>What is told about disconnects without being asked. The black box is kept in any case.</summary>
    public enum DiagnosticsLevel
    {
        /// <summary>Nothing.</summary>
        Off = 0,

        /// <summary>Reported properties after a drop: counters and the last reason.</summary>
        Summary = 1,

        /// <summary>The same, and a message to the cloud for each drop.</summary>
        Full = 2,
    }

    /// <summary>Names, ranges and defaults.</summary>
    public static class SettingTable
    {
        /// <summary>The groups in the order they are written; the empty one is the top level.</summary>
        public static string Group(Setting setting)
        {
            switch (setting)
            {
                case Setting.BackoffMinSeconds:
                case Setting.BackoffMaxSeconds:
                case Setting.ReconnectSpreadSeconds: return "backoff";
                case Setting.KeepAliveSeconds: return "";
                case Setting.HeartbeatIntervalSeconds: return "heartbeat";
                case Setting.DiagnosticsLevel: return "diagnostics";
                default: return "token";
            }
        }

        /// <summary>The name within the group, unit last.</summary>
        public static string Name(Setting setting)
        {
            switch (setting)
            {
                case Setting.LifetimeSeconds: return "lifetimeSeconds";
                case Setting.RenewAtPercent: return "renewAtPercent";
                case Setting.RenewBeforeSeconds: return "renewBeforeSeconds";
                case Setting.SpreadPercent: return "spreadPercent";
                case Setting.RenewMode: return "renewMode";
                case Setting.BackoffMinSeconds: return "minSeconds";
                case Setting.BackoffMaxSeconds: return "maxSeconds";
                case Setting.ReconnectSpreadSeconds: return "spreadSeconds";
                case Setting.KeepAliveSeconds: return "keepAliveSeconds";
                case Setting.HeartbeatIntervalSeconds: return "intervalSeconds";
                default: return "level";
            }
        }

        /// <summary>Group and name, as problems spell it.</summary>
        public static string Path(Setting setting)
        {
            string group = Group(setting);
            return group.Length == 0 ? Name(setting) : string.Concat(group, ".", Name(setting));
        }

        public static int Min(Setting setting)
        {
            switch (setting)
            {
                case Setting.LifetimeSeconds: return TokenSettings.LifetimeSecondsMin;
                case Setting.RenewAtPercent: return TokenSettings.RenewAtPercentMin;
                case Setting.KeepAliveSeconds: return TokenSettings.KeepAliveSecondsMin;
                case Setting.BackoffMinSeconds:
                case Setting.BackoffMaxSeconds: return 1;
                default: return 0;
            }
        }

        public static int Max(Setting setting)
        {
            switch (setting)
            {
                case Setting.LifetimeSeconds: return TokenSettings.LifetimeSecondsMax;
                case Setting.RenewAtPercent: return TokenSettings.RenewAtPercentMax;
                case Setting.RenewBeforeSeconds: return TokenSettings.LifetimeSecondsMax;
                case Setting.SpreadPercent: return TokenSettings.SpreadPercentMax;
                case Setting.ReconnectSpreadSeconds: return TokenSettings.ReconnectSpreadSecondsMax;
                case Setting.KeepAliveSeconds: return TokenSettings.KeepAliveSecondsMax;
                case Setting.HeartbeatIntervalSeconds: return TokenSettings.HeartbeatIntervalSecondsMax;
                case Setting.RenewMode:
                case Setting.DiagnosticsLevel: return 2;
                default: return TokenSettings.BackoffSecondsLimit;
            }
        }

        public static int Default(Setting setting)
        {
            switch (setting)
            {
                case Setting.LifetimeSeconds: return TokenSettings.LifetimeSecondsDefault;
                case Setting.RenewAtPercent: return TokenSettings.RenewAtPercentDefault;
                case Setting.SpreadPercent: return TokenSettings.SpreadPercentDefault;
                case Setting.BackoffMinSeconds: return TokenSettings.BackoffMinSecondsDefault;
                case Setting.BackoffMaxSeconds: return TokenSettings.BackoffMaxSecondsDefault;
                case Setting.KeepAliveSeconds: return TokenSettings.KeepAliveSecondsDefault;
                case Setting.HeartbeatIntervalSeconds: return TokenSettings.HeartbeatIntervalSecondsDefault;
                case Setting.DiagnosticsLevel: return (int)DiagnosticsLevel.Full;
                default: return 0;
            }
        }

        /// <summary>Whether a change of it asks for a new connection, and so for probation.</summary>
        public static bool IsOfConnection(Setting setting)
        {
            return setting <= Setting.RenewMode || setting == Setting.KeepAliveSeconds;
        }

        /// <summary>The word for a value of a setting that has words; null for a setting of numbers or another value.</summary>
        public static string Word(Setting setting, int value)
        {
            if (setting == Setting.RenewMode)
            {
                switch ((RenewMode)value)
                {
                    case RenewMode.Clean: return "clean";
                    case RenewMode.Takeover: return "takeover";
                    case RenewMode.Prewarm: return "prewarm";
                    default: return null;
                }
            }

            if (setting == Setting.DiagnosticsLevel)
            {
                switch ((DiagnosticsLevel)value)
                {
                    case DiagnosticsLevel.Off: return "off";
                    case DiagnosticsLevel.Summary: return "summary";
                    case DiagnosticsLevel.Full: return "full";
                    default: return null;
                }
            }

            return null;
        }
    }
}
