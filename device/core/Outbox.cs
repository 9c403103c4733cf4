// Messages on their way: a bounded queue, first in memory, then in flash.
//
// A link that is down, or only seems up, must not lose telemetry without a word; a device that is offline for a week
// must not run out of memory either. The rule: a message stays here until its acknowledgement has come. New ones go
// to memory; when that is full the oldest of memory goes to flash; when flash is full the oldest of all is dropped
// and counted. Flash therefore always holds the older part, and sending begins there. Only while the queue overflows
// memory is flash written at all, and what has been sent from it is marked at most every 16 messages, so that after a
// power cut at worst 16 are sent twice (QoS 1 allows that), never one lost that had reached flash. A message must fit
// one flash record; longer ones are refused when they are put in, where the caller can still do something about it.
//
//   message = length of properties (1) | length of payload (2) | properties (ASCII) | payload
//
// Wear: one record per message that overflows memory and one mark per 16. A device that is always online writes
// nothing; one that sends a message a minute and is offline all day writes 1,440 records: with the sum of BlackBox.cs
// 40 x 100,000 / (1,440 x 2) = 1,388 days without a break, or 19 years at an hour offline each day and ten.

namespace Agent.Core
{
    /// <summary>Keeps messages until they are acknowledged.</summary>
    public sealed class Outbox
    {
        /// <summary>Bytes of a flash record; the longest message has three less, properties and payload together.</summary>
        public const int RecordSize = 240;

        private const int MarkEvery = 16;
        private const int Header = 3;

        private readonly RingLog log;
        private readonly byte[] memory;
        private byte[] record; // only while something goes to flash or comes from it
        private int first;
        private int used;
        private int inMemory;
        private int logHead;
        private int marked;
        private bool isPeeked;
        private bool isPeekedGone;

        /// <summary>Finds again what a former run left in flash.</summary>
        /// <param name="storage">Where messages go that memory has no room for; null = they are dropped.</param>
        /// <param name="memoryBytes">Bytes of memory for messages, at least a record's.</param>
        public Outbox(IStorage storage, int memoryBytes)
        {
            memory = new byte[memoryBytes < RecordSize ? RecordSize : memoryBytes];
            if (storage != null)
            {
                log = new RingLog(storage, RecordSize);
                marked = log.NewestMarked();
                logHead = marked + 1 > log.Oldest ? marked + 1 : log.Oldest;
                while (logHead < log.Next && !log.IsThere(logHead))
                {
                    logHead++;
                }

                Rest();
            }
        }

        /// <summary>Messages dropped because everything was full.</summary>
        public int Dropped { get; private set; }

        /// <summary>Whether nothing waits.</summary>
        public bool IsEmpty => inMemory == 0 && !IsInFlash;

        /// <summary>Messages in memory.</summary>
        public int InMemory => inMemory;

        /// <summary>Messages in flash, at most.</summary>
        public int InFlash => log == null ? 0 : log.Next - logHead;

        /// <summary>Whether the storage failed at the last writing.</summary>
        public bool HasFailed => log != null && log.HasFailed;

        private bool IsInFlash => log != null && logHead < log.Next;

        /// <summary>Puts a message in, at the cost of the oldest when all is full; false when it is too long.</summary>
        /// <param name="properties">The topic's property bag, encoded already; ASCII, at most 255 characters.</param>
        /// <param name="payload">The body.</param>
        /// <param name="count">Bytes of it.</param>
        public bool Put(string properties, byte[] payload, int count)
        {
            int size = Header + properties.Length + count;
            if (properties.Length > 255 || count < 0 || size > RecordSize)
            {
                return false;
            }

            while (memory.Length - used < size)
            {
                Spill();
            }

            Rest();
            PutByte(properties.Length);
            PutByte(count);
            PutByte(count >> 8);
            for (int i = 0; i < properties.Length; i++)
            {
                PutByte(properties[i]);
            }

            for (int i = 0; i < count; i++)
            {
                PutByte(payload[i]);
            }

            inMemory++;
            return true;
        }

        /// <summary>Reads the oldest message without taking it out; false when there is none.</summary>
        public bool TryPeek(out string properties, byte[] payload, out int count)
        {
            isPeeked = true;
            isPeekedGone = false;
            while (IsInFlash)
            {
                record = record ?? new byte[RecordSize];
                if (log.TryRead(logHead, record))
                {
                    count = Take(record, 0, out properties, payload);
                    return true;
                }

                logHead++; // cut off by a power failure, or fallen out of the ring
            }

            properties = null;
            count = inMemory > 0 ? Take(memory, first, out properties, payload) : 0;
            return inMemory > 0;
        }

        /// <summary>
        /// The message last read has been acknowledged. It may have been dropped while it was under way; the one that is
        /// oldest now has not been sent then, and stays.
        /// </summary>
        public void TakeOut()
        {
            isPeeked = false;
            if (isPeekedGone)
            {
                isPeekedGone = false;
                return;
            }

            if (IsInFlash)
            {
                int number = logHead++;
                while (logHead < log.Next && !log.IsThere(logHead))
                {
                    logHead++;
                }

                if (number - marked >= MarkEvery || logHead >= log.Next)
                {
                    MarkSent(number);
                }

                Rest();
            }
            else if (inMemory > 0)
            {
                Forget(FirstSize());
            }
        }

        /// <summary>Before an intended end: what is in memory goes to flash.</summary>
        public void Save()
        {
            while (log != null && inMemory > 0)
            {
                Spill();
            }

            if (log != null && logHead > marked + 1)
            {
                MarkSent(logHead - 1);
            }

            Rest();
        }

        /// <summary>Flash is left alone for a while: the memory for one record is given back.</summary>
        private void Rest()
        {
            record = null;
            if (log != null)
            {
                log.Rest();
            }
        }

        private void MarkSent(int number)
        {
            if (log.IsThere(number) && log.Mark(number))
            {
                marked = number;
            }
        }

        /// <summary>The oldest message of memory goes to flash, or away.</summary>
        private void Spill()
        {
            CopyFirstToRecord();
            Forget(FirstSize());
            if (log == null)
            {
                Drop(true);
                return;
            }

            bool wasInFlash = IsInFlash;
            bool isWritten = log.Append(record);
            if (!isWritten)
            {
                Drop(!wasInFlash);
            }

            if (!wasInFlash)
            {
                logHead = isWritten ? log.Next - 1 : log.Next;
            }

            while (logHead < log.Next && !log.IsThere(logHead))
            {
                if (logHead < log.Oldest || logHead < log.Next - 1)
                {
                    Drop(true); // erased with its block
                }

                logHead++;
            }
        }

        private void Drop(bool isOldest)
        {
            Dropped++;
            isPeekedGone = isPeekedGone || (isPeeked && isOldest);
        }

        /// <summary>Reads the message at a place of a ring; a record is a ring that is never gone around.</summary>
        private static int Take(byte[] ring, int at, out string properties, byte[] payload)
        {
            int length = ring[at];
            int count = ring[(at + 1) % ring.Length] | (ring[(at + 2) % ring.Length] << 8);
            char[] text = new char[length];
            for (int i = 0; i < length; i++)
            {
                text[i] = (char)ring[(at + Header + i) % ring.Length];
            }

            properties = new string(text, 0, length);
            for (int i = 0; i < count; i++)
            {
                payload[i] = ring[(at + Header + length + i) % ring.Length];
            }

            return count;
        }

        private void CopyFirstToRecord()
        {
            record = new byte[RecordSize];
            int size = FirstSize();
            for (int i = 0; i < size; i++)
            {
                record[i] = memory[(first + i) % memory.Length];
            }
        }

        private int FirstSize()
        {
            return Header + memory[first]
                + (memory[(first + 1) % memory.Length] | (memory[(first + 2) % memory.Length] << 8));
        }

        private void Forget(int size)
        {
            first = (first + size) % memory.Length;
            used -= size;
            inMemory--;
        }

        private void PutByte(int value)
        {
            memory[(first + used) % memory.Length] = (byte)value;
            used++;
        }
    }
}
