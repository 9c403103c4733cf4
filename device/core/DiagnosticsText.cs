// The black box for people and programs: lines for the serial console, JSON for methods and messages, flashes for an LED.
//
// The flashes follow the reason's number and need no table of their own: long ones for the range (1 ours, 2 network and
// TLS, 3 silence, 4 refused by the hub, 5 this device), then short ones for the place in it, counted from one. The
// numbers never change, so neither do the codes.
using System.Text;

namespace Agent.Core
{
    /// <summary>Writes entries.</summary>
    public static class DiagnosticsText
    {
        /// <summary>Bytes that are enough for one entry in JSON.</summary>
        public const int EntryBytesMax = 420;

        /// <summary>One line, for the console.</summary>
        public static string Line(BlackBoxEntry entry)
        {
            StringBuilder line = new StringBuilder(200);
            line.Append('#').Append(entry.Number).Append(" boot ").Append(entry.Boot);
            line.Append(" up ").Append(entry.UptimeSeconds).Append(" s");
            if (entry.UtcSeconds != 0)
            {
                line.Append(" utc ").Append(entry.UtcSeconds);
            }

            line.Append(": ").Append(DisconnectReasonText.Of(entry.Reason));
            if (entry.Count > 1)
            {
                line.Append(" x").Append(entry.Count);
            }

            line.Append(", ").Append(Phase(entry.Phase));
            AppendKnown(line, ", error ", entry.Error, 0, "");
            AppendKnown(line, ", gap ", entry.GapMs, -1, " ms");
            AppendKnown(line, ", attempts ", entry.Attempts, 0, "");
            if (entry.AttemptReason != DisconnectReason.None && entry.AttemptReason != entry.Reason)
            {
                line.Append(" (last: ").Append(DisconnectReasonText.Of(entry.AttemptReason)).Append(')');
            }

            line.Append(", token ").Append(entry.TokenAgeSeconds).Append(" s old, ");
            line.Append(entry.TokenRemainingSeconds).Append(" s left, silent ");
            line.Append(entry.SinceInboundSeconds).Append(" s");
            AppendKnown(line, ", rssi ", entry.Rssi, 0, "");
            AppendKnown(line, ", free ", entry.FreeBytes, -1, "");
            AppendKnown(line, ", block ", entry.LargestBlockBytes, -1, "");
            return line.ToString();
        }

        /// <summary>The members of one entry, into an object that is open.</summary>
        public static void WriteMembers(JsonWriter json, BlackBoxEntry entry)
        {
            json.Number("n", entry.Number).Number("reason", (int)entry.Reason);
            json.Text("text", DisconnectReasonText.Of(entry.Reason)).Text("phase", Phase(entry.Phase));
            json.Number("boot", entry.Boot).Number("uptime", entry.UptimeSeconds);
            WriteKnown(json, "utc", entry.UtcSeconds, 0);
            WriteKnown(json, "error", entry.Error, 0);
            WriteKnown(json, "connack", entry.ConnackCode, 0);
            WriteKnown(json, "gapMs", entry.GapMs, -1);
            WriteKnown(json, "attempts", entry.Attempts, 0);
            WriteKnown(json, "attemptReason", (int)entry.AttemptReason, 0);
            WriteKnown(json, "count", entry.Count, 1);
            json.Number("tokenAge", entry.TokenAgeSeconds).Number("tokenLeft", entry.TokenRemainingSeconds);
            json.Number("silent", entry.SinceInboundSeconds);
            WriteKnown(json, "rssi", entry.Rssi, 0);
            WriteKnown(json, "free", entry.FreeBytes, -1);
            WriteKnown(json, "block", entry.LargestBlockBytes, -1);
        }

        /// <summary>A phase in a word or two.</summary>
        public static string Phase(LinkPhase phase)
        {
            switch (phase)
            {
                case LinkPhase.Network: return "network";
                case LinkPhase.Name: return "name";
                case LinkPhase.Tcp: return "tcp";
                case LinkPhase.Tls: return "tls";
                case LinkPhase.Connack: return "connack";
                case LinkPhase.Connected: return "connected";
                default: return "no link";
            }
        }

        /// <summary>Long flashes of the LED for a reason: 1 to 5; 0 = none to show.</summary>
        public static int LongFlashes(DisconnectReason reason)
        {
            switch ((int)reason >> 4)
            {
                case 1: return 1;
                case 4: return 2;
                case 5: return 3;
                case 6: return 4;
                case 8: return 5;
                default: return 0;
            }
        }

        /// <summary>Short flashes after them: 1 to 16.</summary>
        public static int ShortFlashes(DisconnectReason reason)
        {
            return ((int)reason & 15) + 1;
        }

        private static void AppendKnown(StringBuilder line, string name, int value, int unknown, string unit)
        {
            if (value != unknown)
            {
                line.Append(name).Append(value).Append(unit);
            }
        }

        private static void WriteKnown(JsonWriter json, string name, long value, long unknown)
        {
            if (value != unknown)
            {
                json.Number(name, value);
            }
        }
    }
}
