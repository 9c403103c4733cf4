// What differs from board to board and is no secret: I:\board.txt, all of it optional. Settings that the twin can change stand
// here only as the values a board starts its life with.
//
//   led.pin=2                      -1 = no LED; led.on=low for one that lights at 0 V
//   network=wifi                   or "other": something else brings the network up
//   hub.port=8883
//   sntp.server1=pool.ntp.org      sntp.server2=time.windows.com; "none" = the clock is set by something else
//   measurement.everySeconds=60    Measurement.cs; 0 = never
//   settings.lifetimeSeconds=3600  and every other number of TokenSettings; settings.renewMode=clean, takeover or prewarm
using Agent.Core;

namespace Agent.Board
{
    /// <summary>The board file, with defaults for what it leaves out.</summary>
    public sealed class BoardConfiguration
    {
        private readonly string text;

        public BoardConfiguration(string text)
        {
            this.text = text;
            LedPin = NamedValues.FindNumber(text, '\n', "led.pin", 2);
            LedLightsLow = NamedValues.Find(text, '\n', "led.on") == "low";
            HasWifi = NamedValues.Find(text, '\n', "network") != "other";
            HubPort = NamedValues.FindNumber(text, '\n', "hub.port", 8883);
            MeasurementSeconds = NamedValues.FindNumber(text, '\n', "measurement.everyseconds", 0);
            SntpServer1 = Text("sntp.server1", "pool.ntp.org");
            SntpServer2 = Text("sntp.server2", "time.windows.com");
        }

        /// <summary>GPIO number of the LED; -1 = none.</summary>
        public int LedPin { get; }

        public bool LedLightsLow { get; }

        /// <summary>Whether joining Wi-Fi is the agent's job.</summary>
        public bool HasWifi { get; }

        public int HubPort { get; }

        /// <summary>Seconds between two measurements; 0 or less = none are made.</summary>
        public int MeasurementSeconds { get; }

        /// <summary>"none" = the clock is set by something else.</summary>
        public string SntpServer1 { get; }

        public string SntpServer2 { get; }

        /// <summary>The settings to begin with; the defaults, with the problems, when the file's do not fit together.</summary>
        public TokenSettings Settings(out string[] problems)
        {
            TokenSettingsDraft draft = new TokenSettingsDraft();
            draft.LifetimeSeconds = Number("lifetimeseconds", draft.LifetimeSeconds);
            draft.RenewAtPercent = Number("renewatpercent", draft.RenewAtPercent);
            draft.RenewBeforeSeconds = Number("renewbeforeseconds", draft.RenewBeforeSeconds);
            draft.SpreadPercent = Number("spreadpercent", draft.SpreadPercent);
            draft.BackoffMinSeconds = Number("backoffminseconds", draft.BackoffMinSeconds);
            draft.BackoffMaxSeconds = Number("backoffmaxseconds", draft.BackoffMaxSeconds);
            draft.ReconnectSpreadSeconds = Number("reconnectspreadseconds", draft.ReconnectSpreadSeconds);
            draft.KeepAliveSeconds = Number("keepaliveseconds", draft.KeepAliveSeconds);
            draft.HeartbeatIntervalSeconds = Number("heartbeatintervalseconds", draft.HeartbeatIntervalSeconds);
            string mode = Text("settings.renewmode", "clean");
            draft.RenewMode = mode == "takeover" ? RenewMode.Takeover : mode == "prewarm" ? RenewMode.Prewarm : RenewMode.Clean;
            TokenSettings settings;
            return draft.TryBuild(out settings, out problems) ? settings : TokenSettings.Default();
        }

        private int Number(string name, int otherwise)
        {
            return NamedValues.FindNumber(text, '\n', "settings." + name, otherwise);
        }

        private string Text(string name, string otherwise)
        {
            string value = NamedValues.Find(text, '\n', name);
            return string.IsNullOrEmpty(value) ? otherwise : value;
        }
    }
}
