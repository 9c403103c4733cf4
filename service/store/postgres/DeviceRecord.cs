using System.Buffers.Binary;

namespace Agent.Service;

/// <summary>What is known of one device as bytes, little-endian: the column <c>state</c> of its row.</summary>
/// <remarks>
/// Field by field and not as it lies in memory, as the folder's snapshot does: replicas of two versions read each other's rows, and a
/// database outlives a program. Columns of their own have only what people ask a database for.
/// </remarks>
public static class DeviceRecord
{
    private const byte Format = 1;
    private const int LengthWithoutOrder = 67;
    private const int OrderLength = 32;

    [Flags]
    private enum Known : byte
    {
        Sign = 1,
        Beat = 2,
        Link = 4,
        Connected = 8,
        LinkFromLog = 16,
        Deleted = 32,
        ConnectsFromLog = 64,
    }

    /// <summary>Writes what is known of a row.</summary>
    public static byte[] Write(Checker checker, int row)
    {
        ArgumentNullException.ThrowIfNull(checker);
        ref readonly Hot hot = ref checker.Table.Hot(row);
        ref readonly Cold cold = ref checker.Table.Cold(row);
        bool hasOrder = cold.IsLinkKnown && !cold.IsLinkFromLog;
        Known known = (hot.SignMs != 0 ? Known.Sign : 0) | (hot.HasBeat ? Known.Beat : 0)
            | (cold.IsLinkKnown ? Known.Link : 0) | (cold.IsConnected ? Known.Connected : 0) | (cold.IsLinkFromLog ? Known.LinkFromLog : 0)
            | (cold.IsDeleted ? Known.Deleted : 0) | (cold.Connects.AreFromLog ? Known.ConnectsFromLog : 0);
        byte[] record = new byte[LengthWithoutOrder + (hasOrder ? OrderLength : 0)];
        Span<byte> to = record;
        to[0] = Format;
        to[1] = (byte)known;
        to[2] = cold.HubCode;
        to[3] = hot.DeviceReason;
        BinaryPrimitives.WriteInt64LittleEndian(to[4..], hot.SignMs);
        BinaryPrimitives.WriteInt64LittleEndian(to[12..], hot.HasBeat ? hot.BeatMs : 0);
        BinaryPrimitives.WriteUInt32LittleEndian(to[20..], hot.BeatNumber);
        BinaryPrimitives.WriteInt32LittleEndian(to[24..], hot.IntervalSeconds);
        BinaryPrimitives.WriteInt32LittleEndian(to[28..], hot.RenewalSeconds);
        BinaryPrimitives.WriteUInt16LittleEndian(to[32..], (ushort)hot.GapSeconds);
        BinaryPrimitives.WriteUInt16LittleEndian(to[34..], hot.LastGapSeconds);
        BinaryPrimitives.WriteUInt32LittleEndian(to[36..], cold.LinkAt);
        BinaryPrimitives.WriteUInt16LittleEndian(to[40..], cold.IsLinkFromLog ? (ushort)cold.OrderCount : (ushort)0);
        BinaryPrimitives.WriteUInt32LittleEndian(to[42..], cold.LifeAt);
        BinaryPrimitives.WriteUInt32LittleEndian(to[46..], cold.CodeAt);
        to[50] = (byte)cold.Connects.Count;
        for (int i = 0; i < Moments.Kept; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(to[(51 + (4 * i))..], cold.Connects[i]);
        }

        if (hasOrder)
        {
            JournalRecords.WriteOrder(to[LengthWithoutOrder..], checker.Orders.Of(row, cold));
        }

        return record;
    }

    /// <summary>Puts what a record says into a row nothing is known of.</summary>
    /// <exception cref="InvalidDataException">It is none of ours.</exception>
    public static void Read(ReadOnlySpan<byte> record, Checker checker, int row, string site)
    {
        ArgumentNullException.ThrowIfNull(checker);
        if (record.Length < LengthWithoutOrder || record[0] != Format)
        {
            throw new InvalidDataException("a device in a format this program does not know");
        }

        var known = (Known)record[1];
        ref Hot hot = ref checker.Table.Hot(row);
        if (known.HasFlag(Known.Sign))
        {
            hot.Sign(BinaryPrimitives.ReadInt64LittleEndian(record[4..]));
        }

        if (known.HasFlag(Known.Beat))
        {
            hot.Beat(BinaryPrimitives.ReadInt64LittleEndian(record[12..]));
            hot.BeatNumber = BinaryPrimitives.ReadUInt32LittleEndian(record[20..]);
            hot.IntervalSeconds = BinaryPrimitives.ReadInt32LittleEndian(record[24..]);
            hot.RenewalSeconds = BinaryPrimitives.ReadInt32LittleEndian(record[28..]);
            hot.GapSeconds = BinaryPrimitives.ReadUInt16LittleEndian(record[32..]);
            hot.LastGapSeconds = BinaryPrimitives.ReadUInt16LittleEndian(record[34..]);
            hot.DeviceReason = record[3];
            hot.Group = checker.Sites.NumberOf(site);
        }

        ReadCold(record, known, checker, row);
    }

    private static void ReadCold(ReadOnlySpan<byte> record, Known known, Checker checker, int row)
    {
        ref Cold cold = ref checker.Table.Cold(row);
        if (known.HasFlag(Known.Link))
        {
            bool isFromLog = known.HasFlag(Known.LinkFromLog);
            if (isFromLog)
            {
                cold.OrderCount = BinaryPrimitives.ReadUInt16LittleEndian(record[40..]);
            }
            else if (record.Length == LengthWithoutOrder + OrderLength)
            {
                checker.Orders.Set(row, ref cold, JournalRecords.ReadOrder(record[LengthWithoutOrder..]));
            }
            else
            {
                throw new InvalidDataException("a device whose connection has no order mark");
            }

            cold.SetLink(BinaryPrimitives.ReadUInt32LittleEndian(record[36..]), known.HasFlag(Known.Connected), isFromLog);
        }

        cold.LifeAt = BinaryPrimitives.ReadUInt32LittleEndian(record[42..]);
        cold.IsDeleted = known.HasFlag(Known.Deleted);
        cold.CodeAt = BinaryPrimitives.ReadUInt32LittleEndian(record[46..]);
        cold.HubCode = record[2];
        for (int i = Math.Min(record[50], (byte)Moments.Kept) - 1; i >= 0; i--)
        {
            cold.Connects.Add(BinaryPrimitives.ReadUInt32LittleEndian(record[(51 + (4 * i))..]), known.HasFlag(Known.ConnectsFromLog));
        }
    }
}
