// What an agent knows across restarts: settings in force and the last good ones, counters, where it stood.
//
// One flat record, saved whole each time, so there is no half of it: after a power cut the record before counts. It
// is saved at a start, when settings change, once an hour, every 64 heartbeats and at a stop: about 30 records a day,
// which no flash notices (see BlackBox.cs for the sum). Places are for ever; the first byte says which layout it is.
namespace Agent.Core
{
    /// <summary>Where settings stand.</summary>
    public enum SettingsState
    {
        /// <summary>In force and proven.</summary>
        Good = 0,

        /// <summary>In force, not yet proven by a renewal.</summary>
        OnProbation = 1,

        /// <summary>The last ones lost the connection; the good ones before them are in force.</summary>
        RolledBack = 2,
    }

    /// <summary>Who set the settings in force.</summary>
    public enum SettingsSource
    {
        /// <summary>Nobody: the defaults the program was started with.</summary>
        Defaults = 0,
        Twin = 1,
        Method = 2,
    }

    /// <summary>How the last run ended.</summary>
    public enum LastExit
    {
        /// <summary>It said nothing: power cut or crash.</summary>
        Running = 0,
        Stopped = 1,
        Reboot = 2,

        /// <summary>It noted the reason itself before it ended.</summary>
        Noted = 3,
    }

    /// <summary>The record, in memory and in storage.</summary>
    public sealed class StateRecord
    {
        /// <summary>Bytes of the record.</summary>
        public const int Size = 208;

        /// <summary>Version of a twin nobody has seen.</summary>
        public const long NoVersion = -1;

        private const int Layout = 1;
        private const int InForceAt = 32;
        private const int LastGoodAt = 96;

        private readonly RingLog log;
        private readonly byte[] bytes = new byte[Size];

        /// <summary>Reads the newest whole record; without one everything starts at nothing.</summary>
        public StateRecord(IStorage storage)
        {
            log = new RingLog(storage, Size);
            bool isThere = false;
            for (int number = log.Next - 1; number >= log.Oldest && number > 0 && !isThere; number--)
            {
                isThere = log.TryRead(number, bytes) && bytes[0] == Layout;
            }

            log.Rest();

            if (!isThere)
            {
                System.Array.Clear(bytes, 0, Size);
                bytes[0] = Layout;
                TwinVersion = NoVersion;
                NextSequence = 1;
                Exit = LastExit.Stopped; // a first start is no restart
            }
        }

        public SettingsState State
        {
            get => (SettingsState)bytes[1];
            set => bytes[1] = (byte)value;
        }

        /// <summary>Starts since the settings went on probation.</summary>
        public int ProbationBoots
        {
            get => bytes[2];
            set => bytes[2] = (byte)value;
        }

        public SettingsSource Source
        {
            get => (SettingsSource)bytes[3];
            set => bytes[3] = (byte)value;
        }

        /// <summary>Starts of this agent, this one included.</summary>
        public int Boots
        {
            get => LittleEndian.Get32(bytes, 4);
            set => LittleEndian.Put32(bytes, 4, value);
        }

        /// <summary>The next run's first heartbeat number: at or above every number used.</summary>
        public int NextSequence
        {
            get => LittleEndian.Get32(bytes, 8);
            set => LittleEndian.Put32(bytes, 8, value);
        }

        /// <summary>The desired version last answered.</summary>
        public long TwinVersion
        {
            get => LittleEndian.Get64(bytes, 12);
            set => LittleEndian.Put64(bytes, 12, value);
        }

        public LastExit Exit
        {
            get => (LastExit)bytes[20];
            set => bytes[20] = (byte)value;
        }

        /// <summary>Why the settings were rolled back.</summary>
        public DisconnectReason RollbackReason
        {
            get => (DisconnectReason)bytes[21];
            set => bytes[21] = (byte)value;
        }

        /// <summary>Entries of the black box up to this number are not shown.</summary>
        public int ClearedUpTo
        {
            get => LittleEndian.Get32(bytes, 24);
            set => LittleEndian.Put32(bytes, 24, value);
        }

        /// <summary>Milliseconds with a connection, over all runs.</summary>
        public long ConnectedMs
        {
            get => LittleEndian.Get64(bytes, 160);
            set => LittleEndian.Put64(bytes, 160, value);
        }

        /// <summary>Milliseconds that should have been connected: all of the running time.</summary>
        public long ExpectedMs
        {
            get => LittleEndian.Get64(bytes, 168);
            set => LittleEndian.Put64(bytes, 168, value);
        }

        public int Renewals
        {
            get => LittleEndian.Get32(bytes, 176);
            set => LittleEndian.Put32(bytes, 176, value);
        }

        public int Drops
        {
            get => LittleEndian.Get32(bytes, 180);
            set => LittleEndian.Put32(bytes, 180, value);
        }

        /// <summary>Messages dropped because every place for them was full.</summary>
        public int MessagesDropped
        {
            get => LittleEndian.Get32(bytes, 184);
            set => LittleEndian.Put32(bytes, 184, value);
        }

        /// <summary>The latest UTC ever known, seconds since 1970; a clock before it is wrong.</summary>
        public long LatestUtcSeconds
        {
            get => LittleEndian.Get64(bytes, 188);
            set => LittleEndian.Put64(bytes, 188, value);
        }

        /// <summary>Whether the last saving failed.</summary>
        public bool HasFailed => log.HasFailed;

        /// <summary>The settings in force as saved, or null when what was saved is not valid here.</summary>
        public TokenSettings ReadInForce()
        {
            return Read(InForceAt);
        }

        /// <summary>The last good settings as saved, or null when what was saved is not valid here.</summary>
        public TokenSettings ReadLastGood()
        {
            return Read(LastGoodAt);
        }

        public void PutInForce(TokenSettings settings)
        {
            Put(InForceAt, settings);
        }

        public void PutLastGood(TokenSettings settings)
        {
            Put(LastGoodAt, settings);
        }

        /// <summary>Writes the record; false when the storage failed.</summary>
        public bool Save()
        {
            return log.Append(bytes);
        }

        private void Put(int at, TokenSettings settings)
        {
            for (int i = 0; i < (int)Setting.Count; i++)
            {
                LittleEndian.Put32(bytes, at + (4 * i), settings.Get((Setting)i));
            }
        }

        private TokenSettings Read(int at)
        {
            TokenSettingsDraft draft = new TokenSettingsDraft();
            for (int i = 0; i < (int)Setting.Count; i++)
            {
                draft.Set((Setting)i, LittleEndian.Get32(bytes, at + (4 * i)));
            }

            draft.TryBuild(out TokenSettings settings, out _);
            return settings;
        }
    }
}
