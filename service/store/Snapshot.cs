using System.Buffers.Binary;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Agent.Service;

/// <summary>The whole table in one file: blocks of rows and ids as they lie in memory, each with its checksum.</summary>
/// <remarks>
/// Written while the checker works on: it is stopped for the copy of one block at a time, a millisecond or two. The blocks are therefore of
/// different moments, all later than the beginning of the journal that is replayed over them, and as facts are idempotent that
/// ends in the same place. A file counts only when its last block is there; it is written under another name and renamed.
/// </remarks>
public static unsafe class Snapshot
{
    private const uint Magic = 0x31534741; // "AGS1"
    private const int HeaderLength = 16;
    private const uint Head = 1;
    private const uint Ids = 2;
    private const uint HotRows = 3;
    private const uint ColdRows = 4;
    private const uint Prefixes = 5;
    private const uint WholeOrders = 6;
    private const uint SiteNames = 7;
    private const uint OpenAlarms = 8;
    private const uint End = 9;

    /// <summary>Writes a snapshot of the first <paramref name="count"/> devices and everything else there is.</summary>
    /// <param name="path">Where to; replaced only by a whole one.</param>
    /// <param name="checker">What to write.</param>
    /// <param name="turn">Its lock, taken for the copy of each block.</param>
    /// <param name="count">Devices there were when the journal's new file began.</param>
    /// <param name="arenaBytes">Bytes of ids there were then.</param>
    public static void Write(string path, Checker checker, Lock turn, int count, long arenaBytes)
    {
        string temporary = path + ".tmp";
        using (SafeFileHandle file = File.OpenHandle(temporary, FileMode.Create, FileAccess.Write))
        {
            var blocks = new BlockWriter(file);
            Span<byte> head = stackalloc byte[20];
            BinaryPrimitives.WriteInt32LittleEndian(head, count);
            BinaryPrimitives.WriteInt64LittleEndian(head[4..], arenaBytes);
            BinaryPrimitives.WriteInt32LittleEndian(head[12..], sizeof(Hot));
            BinaryPrimitives.WriteInt32LittleEndian(head[16..], sizeof(Cold));
            blocks.Write(Head, head);
            DeviceTable table = checker.Table;
            for (int block = 0; block * (long)DeviceTable.ArenaBlockBytes < arenaBytes; block++)
            {
                nint from;
                lock (turn)
                {
                    from = table.Arena(block);
                }

                // Ids are only ever appended, so these bytes stand still.
                long length = Math.Min(DeviceTable.ArenaBlockBytes, arenaBytes - (block * (long)DeviceTable.ArenaBlockBytes));
                blocks.Write(Ids, new ReadOnlySpan<byte>((void*)from, (int)length));
            }

            byte[] copy = new byte[DeviceTable.BlockRows * (sizeof(Hot) + sizeof(Cold))];
            for (int block = 0; block * DeviceTable.BlockRows < count; block++)
            {
                int rows = Math.Min(DeviceTable.BlockRows, count - (block * DeviceTable.BlockRows));
                lock (turn)
                {
                    (nint hot, nint cold) = table.Block(block);
                    new ReadOnlySpan<byte>((void*)hot, rows * sizeof(Hot)).CopyTo(copy);
                    new ReadOnlySpan<byte>((void*)cold, rows * sizeof(Cold)).CopyTo(copy.AsSpan(rows * sizeof(Hot)));
                }

                blocks.Write(HotRows, copy.AsSpan(0, rows * sizeof(Hot)));
                blocks.Write(ColdRows, copy.AsSpan(rows * sizeof(Hot), rows * sizeof(Cold)));
            }

            WriteRest(blocks, checker, turn);
            RandomAccess.FlushToDisk(file);
        }

        File.Move(temporary, path, overwrite: true);
    }

    /// <summary>Reads a snapshot into an empty checker.</summary>
    /// <returns>False = the file is not whole; the checker is of no use then.</returns>
    public static bool TryRead(string path, Checker checker)
    {
        using SafeFileHandle file = File.OpenHandle(path);
        var blocks = new BlockReader(file);
        DeviceTable table = checker.Table;
        if (!blocks.Next(Head) || blocks.Payload.Length != 20)
        {
            return false;
        }

        int count = BinaryPrimitives.ReadInt32LittleEndian(blocks.Payload);
        long arenaBytes = BinaryPrimitives.ReadInt64LittleEndian(blocks.Payload[4..]);
        if (count is < 0 or > DeviceTable.DevicesMax || arenaBytes < 0 || arenaBytes > RandomAccess.GetLength(file)
            || count > RandomAccess.GetLength(file) / sizeof(Hot)
            || BinaryPrimitives.ReadInt32LittleEndian(blocks.Payload[12..]) != sizeof(Hot)
            || BinaryPrimitives.ReadInt32LittleEndian(blocks.Payload[16..]) != sizeof(Cold))
        {
            return false;
        }

        table.Reserve(count, arenaBytes);
        for (int block = 0; block * (long)DeviceTable.ArenaBlockBytes < arenaBytes; block++)
        {
            long length = Math.Min(DeviceTable.ArenaBlockBytes, arenaBytes - (block * (long)DeviceTable.ArenaBlockBytes));
            if (!blocks.NextInto(Ids, new Span<byte>((void*)table.Arena(block), (int)length)))
            {
                return false;
            }
        }

        for (int block = 0; block * DeviceTable.BlockRows < count; block++)
        {
            int rows = Math.Min(DeviceTable.BlockRows, count - (block * DeviceTable.BlockRows));
            (nint hot, nint cold) = table.Block(block);
            if (!blocks.NextInto(HotRows, new Span<byte>((void*)hot, rows * sizeof(Hot)))
                || !blocks.NextInto(ColdRows, new Span<byte>((void*)cold, rows * sizeof(Cold))))
            {
                return false;
            }
        }

        return ReadRest(blocks, checker) && IsSound(checker);
    }

    private static void WriteRest(BlockWriter blocks, Checker checker, Lock turn)
    {
        byte[] prefixes, whole, alarms;
        using var sites = new MemoryStream();
        lock (turn)
        {
            prefixes = new byte[checker.Orders.Prefixes.Count * 32];
            for (int i = 0; i < checker.Orders.Prefixes.Count; i++)
            {
                JournalRecords.WriteOrder(prefixes.AsSpan(i * 32), checker.Orders.Prefixes[i]);
            }

            whole = new byte[checker.Orders.Whole.Count * 36];
            int at = 0;
            foreach ((int row, SequenceNumber order) in checker.Orders.Whole)
            {
                BinaryPrimitives.WriteInt32LittleEndian(whole.AsSpan(at), row);
                JournalRecords.WriteOrder(whole.AsSpan(at + 4), order);
                at += 36;
            }

            for (int number = 1; number < checker.Sites.Count; number++)
            {
                byte[] name = Encoding.UTF8.GetBytes(checker.Sites[number].Name);
                sites.WriteByte((byte)name.Length);
                sites.Write(name);
            }

            Alarm[] kept = [.. checker.Alarms.Closed, .. checker.Alarms.Open];
            alarms = new byte[kept.Length * 44];
            for (int i = 0; i < kept.Length; i++)
            {
                JournalRecords.WriteAlarm(alarms.AsSpan(i * 44), kept[i]);
            }
        }

        blocks.Write(Prefixes, prefixes);
        blocks.Write(WholeOrders, whole);
        blocks.Write(SiteNames, sites.ToArray());
        blocks.Write(OpenAlarms, alarms);
        blocks.Write(End, default);
    }

    private static bool ReadRest(BlockReader blocks, Checker checker)
    {
        if (!blocks.Next(Prefixes) || blocks.Payload.Length % 32 != 0)
        {
            return false;
        }

        var prefixes = new SequenceNumber[blocks.Payload.Length / 32];
        for (int i = 0; i < prefixes.Length; i++)
        {
            prefixes[i] = JournalRecords.ReadOrder(blocks.Payload[(i * 32)..]);
        }

        if (!blocks.Next(WholeOrders) || blocks.Payload.Length % 36 != 0)
        {
            return false;
        }

        var whole = new KeyValuePair<int, SequenceNumber>[blocks.Payload.Length / 36];
        for (int i = 0; i < whole.Length; i++)
        {
            ReadOnlySpan<byte> entry = blocks.Payload[(i * 36)..];
            whole[i] = new(BinaryPrimitives.ReadInt32LittleEndian(entry), JournalRecords.ReadOrder(entry[4..]));
        }

        checker.Orders.Restore(prefixes, whole);
        if (!blocks.Next(SiteNames))
        {
            return false;
        }

        for (ReadOnlySpan<byte> names = blocks.Payload; !names.IsEmpty; names = names[(1 + names[0])..])
        {
            if (names[0] >= names.Length)
            {
                return false;
            }

            checker.Sites.NumberOf(Encoding.UTF8.GetString(names.Slice(1, names[0])));
        }

        if (!blocks.Next(OpenAlarms) || blocks.Payload.Length % 44 != 0)
        {
            return false;
        }

        for (ReadOnlySpan<byte> alarms = blocks.Payload; !alarms.IsEmpty; alarms = alarms[44..])
        {
            checker.Alarms.Restore(JournalRecords.ReadAlarm(alarms));
        }

        return blocks.Next(End);
    }

    // Checksums say that the bytes are what was written; this says that following them leads nowhere outside.
    private static bool IsSound(Checker checker)
    {
        for (int row = 0; row < checker.Count; row++)
        {
            ref Hot hot = ref checker.Table.Hot(row);
            ref Cold cold = ref checker.Table.Cold(row);
            if (!checker.Table.IsIdInside(row) || hot.Group >= checker.Sites.Count || hot.Status > Status.Retired
                || !checker.Orders.IsSound(cold))
            {
                return false;
            }

            hot.WheelNext = -1;
            hot.Set(RowFlags.InWheel | RowFlags.Early, false);
        }

        checker.Table.Index();
        return true;
    }

    private sealed class BlockWriter(SafeFileHandle file)
    {
        private readonly byte[] header = new byte[HeaderLength];
        private long at;

        public void Write(uint type, ReadOnlySpan<byte> payload)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(header, Magic);
            BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(4), type);
            BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(8), payload.Length);
            BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(12), Checksum.Of(payload));
            RandomAccess.Write(file, header, at);
            RandomAccess.Write(file, payload, at + HeaderLength);
            at += HeaderLength + payload.Length;
        }
    }

    private sealed class BlockReader(SafeFileHandle file)
    {
        private readonly byte[] header = new byte[HeaderLength];
        private readonly long end = RandomAccess.GetLength(file);
        private byte[] buffer = [];
        private int length;
        private long at;

        public ReadOnlySpan<byte> Payload => buffer.AsSpan(0, length);

        public bool Next(uint type)
        {
            if (!ReadHeader(type))
            {
                return false;
            }

            buffer = buffer.Length < length ? new byte[length] : buffer;
            return Fill(buffer.AsSpan(0, length), at + HeaderLength) && IsRight(Payload);
        }

        public bool NextInto(uint type, Span<byte> to) =>
            ReadHeader(type) && length == to.Length && Fill(to, at + HeaderLength) && IsRight(to);

        private bool ReadHeader(uint type)
        {
            if (!Fill(header, at)
                || BinaryPrimitives.ReadUInt32LittleEndian(header) != Magic
                || BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(4)) != type)
            {
                return false;
            }

            length = BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(8));
            return length >= 0 && length <= end - at - HeaderLength;
        }

        private bool IsRight(ReadOnlySpan<byte> payload)
        {
            at += HeaderLength + payload.Length;
            return Checksum.Of(payload) == BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(12));
        }

        private bool Fill(Span<byte> to, long from)
        {
            while (!to.IsEmpty)
            {
                int read = RandomAccess.Read(file, to, from);
                if (read == 0)
                {
                    return false;
                }

                to = to[read..];
                from += read;
            }

            return true;
        }
    }
}
