// The disconnect black box: why each connection ended, kept through resets.
//
// One entry is one outage, from the end of a link to the next CONNACK. It is written when the outage begins, because
// the device may not live to see its end, and again when it is over, with gap and attempts; both records carry the
// entry's number and the later one counts. Planned renewals are normal life: they are counted in one entry, which is
// written when something else happens, every six hours, and at a stop.
// Wear is bounded: writing may go on at one record in five minutes for ever, with a reserve of 32 for a bad hour; what
// comes faster stays in memory and is counted as not stored. Worst case 288 records a day. On the board's littlefs
// (64 blocks of 4 KB shared by all files, say 40 of them free to move data to, 100,000 erases each, two erases per
// record for data and directory) that is 40 x 100,000 / (288 x 2) days = 19 years; at ten outages a day (20 records)
// it is 270 years. In raw flash with its own blocks: 1 KB blocks of 15 records, 4 blocks, 100,000 erases = 57 years.
namespace Agent.Core
{
    /// <summary>Keeps entries in storage, the newest ones also in memory.</summary>
    public sealed class BlackBox
    {
        /// <summary>Records that may be written in a row.</summary>
        public const int WriteReserve = 32;

        /// <summary>Milliseconds in which one more record may be written.</summary>
        public const int WriteIntervalMs = 300000;

        /// <summary>Milliseconds after which counted renewals are written in any case.</summary>
        public const int RenewalsKeptMs = 6 * 3600 * 1000;

        private readonly RingLog log;
        private readonly BlackBoxEntry current = new BlackBoxEntry();
        private readonly int boot;
        private int nextNumber = 1;
        private int writesLeft = WriteReserve;
        private long refilledMs = -1;
        private long renewalsSinceMs;
        private bool isUnwritten;

        /// <param name="storage">Where entries are kept.</param>
        /// <param name="boot">The number of this start.</param>
        /// <param name="clearedUpTo">Entries up to this number are not shown.</param>
        public BlackBox(IStorage storage, int boot, int clearedUpTo)
        {
            log = new RingLog(storage, BlackBoxEntry.Size);
            this.boot = boot;
            ClearedUpTo = clearedUpTo;
            for (int number = log.Next - 1; number >= log.Oldest && number > 0; number--)
            {
                if (log.TryRead(number, current.Bytes) && current.IsKnown)
                {
                    nextNumber = current.Number + 1;
                    LastReason = current.Reason;
                    LastGapMs = current.GapMs;
                    break;
                }
            }

            log.Rest();
            current.Bytes[0] = 0;
        }

        /// <summary>An outage is going on.</summary>
        public bool IsOpen { get; private set; }

        /// <summary>The newest unplanned end, or what the box held at the start.</summary>
        public DisconnectReason LastReason { get; private set; }

        /// <summary>Its gap in milliseconds; -1 = unknown or not over.</summary>
        public int LastGapMs { get; private set; }

        /// <summary>Entries up to this number have been cleared.</summary>
        public int ClearedUpTo { get; private set; }

        /// <summary>Records that were not written to spare the flash, or because it failed.</summary>
        public int NotStored { get; private set; }

        /// <summary>Whether the storage failed at the last writing.</summary>
        public bool HasFailed => log.HasFailed;

        /// <summary>The entry being made, or the last one made since the start.</summary>
        public BlackBoxEntry Current => current;

        /// <summary>An outage begins, or, while one is open, changes nothing.</summary>
        public void Begin(Now now, DisconnectReason reason, Evidence seen)
        {
            if (IsOpen)
            {
                return;
            }

            Flush(now);
            Start(now, reason, seen);
            IsOpen = true;
            LastReason = reason;
            LastGapMs = -1;
            Write(now);
        }

        /// <summary>An attempt of the open outage failed. Begins one when none is open.</summary>
        public void FailedAttempt(Now now, DisconnectReason reason, Evidence seen)
        {
            Begin(now, reason, seen);
            current.Attempts = current.Attempts + 1;
            current.AttemptReason = reason;
            Refine(reason);
        }

        /// <summary>Hindsight: a vague reason gives way to a telling one.</summary>
        public void Refine(DisconnectReason reason)
        {
            if (IsOpen && ReasonClassifier.IsVague(current.Reason) && ReasonClassifier.IsTelling(reason))
            {
                current.Reason = reason;
                LastReason = reason;
                isUnwritten = true;
            }
        }

        /// <summary>A guess of the open outage that has turned out wrong, also that of its last attempt.</summary>
        public void Replace(DisconnectReason guess, DisconnectReason found)
        {
            if (IsOpen && current.AttemptReason == guess)
            {
                current.AttemptReason = found;
                isUnwritten = true;
            }

            if (IsOpen && current.Reason == guess)
            {
                current.Reason = found;
                LastReason = found;
                isUnwritten = true;
            }
        }

        /// <summary>The outage is over: CONNACK came.</summary>
        public void Finish(Now now, long gapMs)
        {
            if (IsOpen)
            {
                current.Attempts = current.Attempts + 1;
                current.GapMs = gapMs > int.MaxValue ? int.MaxValue : (int)gapMs;
                LastGapMs = current.GapMs;
                IsOpen = false;
                Write(now);
            }
        }

        /// <summary>A planned end that was planned for no other reason than the token: one more in the running count.</summary>
        public void CountRenewal(Now now, long gapMs, Evidence seen)
        {
            bool goesOn = current.IsKnown && !IsOpen && isUnwritten && current.Reason == DisconnectReason.PlannedRenewal
                && now.Ms - renewalsSinceMs < RenewalsKeptMs;
            if (!goesOn)
            {
                Flush(now);
                Start(now, DisconnectReason.PlannedRenewal, seen);
                current.Count = 0;
                renewalsSinceMs = now.Ms;
                isUnwritten = true;
            }

            current.Count = current.Count + 1;
            if (gapMs > current.GapMs)
            {
                current.GapMs = (int)gapMs; // the longest of those counted
            }
        }

        /// <summary>Something that is its own entry and has no gap to wait for: a restart, a crash caught at the edge.</summary>
        public void Note(Now now, DisconnectReason reason, Evidence seen)
        {
            Flush(now);
            IsOpen = false;
            Start(now, reason, seen);
            LastReason = reason;
            LastGapMs = -1;
            Write(now);
        }

        /// <summary>Writes what is only in memory.</summary>
        public void Flush(Now now)
        {
            if (isUnwritten)
            {
                Write(now);
            }
        }

        /// <summary>From now on nothing of the past is shown.</summary>
        public int Clear()
        {
            ClearedUpTo = nextNumber - 1;
            return ClearedUpTo;
        }

        /// <summary>
        /// Reads the newest entry with a lower number than <paramref name="below"/> (int.MaxValue for the first);
        /// false when there is none.
        /// </summary>
        public bool TryReadBelow(int below, BlackBoxEntry entry)
        {
            if (current.IsKnown && current.Number < below)
            {
                System.Array.Copy(current.Bytes, 0, entry.Bytes, 0, BlackBoxEntry.Size);
                return entry.Number > ClearedUpTo;
            }

            for (int number = log.Next - 1; number >= log.Oldest && number > 0; number--)
            {
                if (log.TryRead(number, entry.Bytes) && entry.IsKnown && entry.Number < below)
                {
                    return entry.Number > ClearedUpTo;
                }
            }

            return false;
        }

        private void Start(Now now, DisconnectReason reason, Evidence seen)
        {
            current.Begin(now, reason, seen);
            current.Boot = boot;
            current.Number = nextNumber++;
        }

        private void Write(Now now)
        {
            isUnwritten = false;
            if (!MayWrite(now) || !log.Append(current.Bytes))
            {
                NotStored++;
            }
        }

        private bool MayWrite(Now now)
        {
            if (refilledMs < 0)
            {
                refilledMs = now.Ms;
            }

            while (writesLeft < WriteReserve && now.Ms - refilledMs >= WriteIntervalMs)
            {
                writesLeft++;
                refilledMs += WriteIntervalMs;
            }

            if (writesLeft == WriteReserve)
            {
                refilledMs = now.Ms;
            }

            bool may = writesLeft > 0;
            writesLeft -= may ? 1 : 0;
            return may;
        }
    }
}
