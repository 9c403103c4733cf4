// One disconnect in 56 bytes, the layout it has in flash. Numbers are little-endian; places are for ever, what is added
// goes into the spare bytes, and the first byte says which layout it is.
//
//   0 layout  1 reason  2 reason of the last failed attempt  3 phase | flags<<4   4 error number (4)
//   8 UTC seconds, 0 = unknown (4)   12 uptime, s (4)   16 gap, ms, -1 = still open (4)   20 attempts (2)
//   22 RSSI  23 CONNACK code   24 free heap (4)  28 largest block (4)   32 token age, s (4)  36 token left, s (4)
//   40 seconds since the last packet (4)   44 boot (2)   46 how many alike (2)   48 entry number (4)   52 spare
namespace Agent.Core
{
    /// <summary>A view of an entry's bytes; reusable.</summary>
    public sealed class BlackBoxEntry
    {
        /// <summary>Bytes of an entry.</summary>
        public const int Size = 56;

        private const int Layout = 1;

        public BlackBoxEntry()
        {
            Bytes = new byte[Size];
        }

        public byte[] Bytes { get; }

        /// <summary>Whether the bytes are an entry this program can read.</summary>
        public bool IsKnown => Bytes[0] == Layout;

        public DisconnectReason Reason
        {
            get => (DisconnectReason)Bytes[1];
            set => Bytes[1] = (byte)value;
        }

        /// <summary>Why the last attempt of the outage failed; None = every attempt succeeded.</summary>
        public DisconnectReason AttemptReason
        {
            get => (DisconnectReason)Bytes[2];
            set => Bytes[2] = (byte)value;
        }

        public LinkPhase Phase => (LinkPhase)(Bytes[3] & 15);

        /// <summary>Whether the clock was known.</summary>
        public bool ClockKnown => (Bytes[3] & 0x10) != 0;

        public int Error => LittleEndian.Get32(Bytes, 4);

        /// <summary>Seconds since 1970, UTC; 0 = unknown.</summary>
        public long UtcSeconds => (uint)LittleEndian.Get32(Bytes, 8);

        public long UptimeSeconds => (uint)LittleEndian.Get32(Bytes, 12);

        /// <summary>Milliseconds without a connection; -1 = not over, or the device restarted meanwhile.</summary>
        public int GapMs
        {
            get => LittleEndian.Get32(Bytes, 16);
            set => LittleEndian.Put32(Bytes, 16, value);
        }

        public int Attempts
        {
            get => LittleEndian.Get16(Bytes, 20);
            set => LittleEndian.Put16(Bytes, 20, value > 65535 ? 65535 : value);
        }

        /// <summary>dBm; 0 = unknown.</summary>
        public int Rssi => (sbyte)Bytes[22];

        public int ConnackCode => Bytes[23];

        /// <summary>Bytes; -1 = unknown.</summary>
        public int FreeBytes => LittleEndian.Get32(Bytes, 24);

        /// <summary>Bytes; -1 = unknown.</summary>
        public int LargestBlockBytes => LittleEndian.Get32(Bytes, 28);

        public int TokenAgeSeconds => LittleEndian.Get32(Bytes, 32);

        public int TokenRemainingSeconds => LittleEndian.Get32(Bytes, 36);

        public int SinceInboundSeconds => LittleEndian.Get32(Bytes, 40);

        public int Boot
        {
            get => LittleEndian.Get16(Bytes, 44);
            set => LittleEndian.Put16(Bytes, 44, value & 0xFFFF);
        }

        /// <summary>How many of the same kind this entry stands for: planned renewals are counted in one.</summary>
        public int Count
        {
            get => LittleEndian.Get16(Bytes, 46);
            set => LittleEndian.Put16(Bytes, 46, value > 65535 ? 65535 : value);
        }

        /// <summary>Counts up for ever; two records of one number are the same entry, the later one counts.</summary>
        public int Number
        {
            get => LittleEndian.Get32(Bytes, 48);
            set => LittleEndian.Put32(Bytes, 48, value);
        }

        /// <summary>Starts an entry with what was seen.</summary>
        public void Begin(Now now, DisconnectReason reason, Evidence seen)
        {
            System.Array.Clear(Bytes, 0, Size);
            Bytes[0] = Layout;
            Reason = reason;
            GapMs = -1;
            Count = 1;
            Bytes[3] = (byte)((int)seen.Phase | (now.UtcKnown ? 0x10 : 0));
            LittleEndian.Put32(Bytes, 4, seen.Error);
            LittleEndian.Put32(Bytes, 8, now.UtcKnown ? (int)now.UtcSeconds : 0);
            LittleEndian.Put32(Bytes, 12, (int)(now.Ms / 1000));
            Bytes[22] = (byte)(sbyte)seen.Rssi;
            Bytes[23] = (byte)seen.ConnackCode;
            LittleEndian.Put32(Bytes, 24, Bounded(seen.FreeBytes));
            LittleEndian.Put32(Bytes, 28, Bounded(seen.LargestBlockBytes));
            LittleEndian.Put32(Bytes, 32, seen.TokenAgeSeconds);
            LittleEndian.Put32(Bytes, 36, seen.TokenRemainingSeconds);
            LittleEndian.Put32(Bytes, 40, seen.SinceInboundSeconds);
        }

        private static int Bounded(long value)
        {
            return value > int.MaxValue ? int.MaxValue : (int)value;
        }
    }
}
