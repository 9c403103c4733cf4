// A ring of fixed-size records in flash that survives a power cut at any byte.
//
// The hard cases: power goes in the middle of a record, in the middle of an erase, or between the two; flash that is
// written cannot be written again before its whole block is erased; and every erase wears the block.
// The rule: records have numbers that never repeat, and record n lives in slot n modulo the number of slots. So a
// number says where to look, and what lies there either is that record, checksum and number included, or does not
// count. A slot that is not blank is never written: a record cut off in the middle costs its slot and its number,
// nothing else. A block is erased at the moment the ring enters it, which drops the oldest records, and only then.
//
//   record = checksum of the rest (4) | number (4) | mark (1) | payload
//
// The mark is the one byte that may be changed afterwards, from 0xFF to 0; it is not covered by the checksum. Any
// value but 0xFF counts as marked, because a write of it was begun.
// What is kept at least: the records of all blocks but one. Erases: one for every block full of records.
// Not chosen: an index or a header block (a second place to be wrong, and worn out first).
using System;

namespace Agent.Core
{
    /// <summary>Appends records to storage and finds them again after a restart.</summary>
    public sealed class RingLog
    {
        /// <summary>Bytes of a record that are not payload.</summary>
        public const int HeaderSize = 9;

        private const int NumberAt = 4;
        private const int MarkAt = 8;

        private readonly IStorage storage;
        private readonly int recordSize;
        private readonly int slotsPerBlock;
        private byte[] record;
        private int next;

        /// <summary>Opens what the storage holds; the first number of an empty one is 1.</summary>
        /// <param name="storage">Blocks that hold at least one record each.</param>
        /// <param name="payloadSize">Bytes of every record.</param>
        public RingLog(IStorage storage, int payloadSize)
        {
            this.storage = storage;
            PayloadSize = payloadSize;
            recordSize = HeaderSize + payloadSize;
            slotsPerBlock = storage.BlockSize / recordSize;
            if (slotsPerBlock < 1 || storage.BlockCount < 2)
            {
                throw new ArgumentException("a ring needs two blocks, each with room for a record");
            }

            Mount();
            Rest();
        }

        public int PayloadSize { get; }

        /// <summary>Slots of the whole ring.</summary>
        public int SlotCount => slotsPerBlock * storage.BlockCount;

        /// <summary>The number the next record gets.</summary>
        public int Next => next;

        /// <summary>The lowest number that can still be there; not every number from here to Next is.</summary>
        public int Oldest => next > SlotCount ? next - SlotCount : 1;

        /// <summary>Blocks erased since the start, for the wear budget.</summary>
        public int Erases { get; private set; }

        /// <summary>Whether the last writing failed.</summary>
        public bool HasFailed { get; private set; }

        /// <summary>Adds a record; its number is what Next was. False when the storage failed; the number is then used up.</summary>
        public bool Append(byte[] payload)
        {
            HasFailed = false;
            if (SlotOf(next) % slotsPerBlock == 0)
            {
                int block = BlockOf(next);
                if (!IsBlank(block, 0, storage.BlockSize))
                {
                    Erases++;
                    if (!storage.Erase(block))
                    {
                        HasFailed = true;
                        next += slotsPerBlock; // on to the next block; this one may be worn out
                        return false;
                    }
                }
            }

            Prepare();
            LittleEndian.Put32(record, NumberAt, next);
            record[MarkAt] = 0xFF;
            Array.Copy(payload, 0, record, HeaderSize, PayloadSize);
            LittleEndian.Put32(record, 0, ChecksumOfRecord());
            HasFailed = !storage.Write(BlockOf(next), OffsetOf(next), record, 0, recordSize);
            next++;
            Rest();
            return !HasFailed;
        }

        /// <summary>Reads a record; false when it is not there, whole.</summary>
        public bool TryRead(int number, byte[] payload)
        {
            if (!IsThere(number))
            {
                return false;
            }

            Array.Copy(record, HeaderSize, payload, 0, PayloadSize);
            return true;
        }

        /// <summary>Whether a record is there, whole.</summary>
        public bool IsThere(int number)
        {
            return number >= 1 && number >= Oldest && number < next && Load(number) && LittleEndian.Get32(record, NumberAt) == number;
        }

        /// <summary>Marks a record that is there; false when the storage failed.</summary>
        public bool Mark(int number)
        {
            Prepare();
            record[MarkAt] = 0;
            HasFailed = !storage.Write(BlockOf(number), OffsetOf(number) + MarkAt, record, MarkAt, 1);
            return !HasFailed;
        }

        /// <summary>The newest record that carries a mark; 0 = none.</summary>
        public int NewestMarked()
        {
            for (int number = next - 1; number >= Oldest && number > 0; number--)
            {
                if (IsThere(number) && record[MarkAt] != 0xFF)
                {
                    return number;
                }
            }

            return 0;
        }

        /// <summary>
        /// Gives the memory for one record back until the next access. A ring is idle nearly always, and a board's heap is small;
        /// Append does it by itself, who has read calls it.
        /// </summary>
        public void Rest()
        {
            record = null;
        }

        private void Prepare()
        {
            record = record ?? new byte[recordSize];
        }

        private void Mount()
        {
            int newest = 0;
            for (int slot = 0; slot < SlotCount; slot++)
            {
                if (LoadSlot(slot))
                {
                    int number = LittleEndian.Get32(record, NumberAt);
                    if (number > newest && number < int.MaxValue - SlotCount && SlotOf(number) == slot)
                    {
                        newest = number;
                    }
                }
            }

            next = newest + 1;
            while (SlotOf(next) % slotsPerBlock != 0 && !IsBlank(BlockOf(next), OffsetOf(next), recordSize))
            {
                next++; // cut off in the middle: it stays as it is until its block is erased
            }
        }

        private bool Load(int number)
        {
            return LoadSlot(SlotOf(number));
        }

        private bool LoadSlot(int slot)
        {
            Prepare();
            return storage.Read(slot / slotsPerBlock, slot % slotsPerBlock * recordSize, record, 0, recordSize)
                && LittleEndian.Get32(record, 0) == ChecksumOfRecord();
        }

        private bool IsBlank(int block, int offset, int count)
        {
            Prepare();
            int end = offset + count;
            for (int at = offset; at < end;)
            {
                int part = end - at < recordSize ? end - at : recordSize;
                if (!storage.Read(block, at, record, 0, part))
                {
                    return false;
                }

                for (int i = 0; i < part; i++)
                {
                    if (record[i] != 0xFF)
                    {
                        return false;
                    }
                }

                at += part;
            }

            return true;
        }

        private int ChecksumOfRecord()
        {
            byte mark = record[MarkAt];
            record[MarkAt] = 0xFF;
            int checksum = Crc32.Of(record, NumberAt, recordSize - NumberAt);
            record[MarkAt] = mark;
            return checksum;
        }

        private int SlotOf(int number)
        {
            return (number - 1) % SlotCount;
        }

        private int BlockOf(int number)
        {
            return SlotOf(number) / slotsPerBlock;
        }

        private int OffsetOf(int number)
        {
            return SlotOf(number) % slotsPerBlock * recordSize;
        }
    }
}
