using System.Buffers.Binary;
using System.Text;

namespace Agent.Service;

/// <summary>What the journal says, one record after another, little-endian: kind (1 byte), row or number, fields.</summary>
/// <remarks>
/// Facts are written and not only their consequences: they are idempotent, so a journal may be replayed over a snapshot that was taken
/// while it went on. Devices and sites are written once and then named by their numbers. Numbers of kinds are never used again.
/// </remarks>
public static class JournalRecords
{
    private const byte Device = 0x40;
    private const byte SiteName = 0x41;
    private const byte StatusChange = 0x42;
    private const byte AlarmState = 0x43;
    private const int FactHeaderLength = 13;

    /// <summary>Most bytes any record takes.</summary>
    public const int LengthMax = 1024;

    /// <summary>Writes a new device.</summary>
    public static int WriteDevice(Span<byte> to, int row, ReadOnlySpan<byte> id)
    {
        to[0] = Device;
        BinaryPrimitives.WriteInt32LittleEndian(to[1..], row);
        to[5] = (byte)id.Length;
        id.CopyTo(to[6..]);
        return 6 + id.Length;
    }

    /// <summary>Writes a new site.</summary>
    public static int WriteSite(Span<byte> to, int number, string name)
    {
        to[0] = SiteName;
        BinaryPrimitives.WriteUInt16LittleEndian(to[1..], (ushort)number);
        to[3] = (byte)Encoding.UTF8.GetBytes(name, to[4..]);
        return 4 + to[3];
    }

    /// <summary>Writes a fact whose row is known.</summary>
    public static int WriteFact(Span<byte> to, in Fact fact, FactBatch batch, Sites sites)
    {
        to[0] = (byte)fact.Kind;
        BinaryPrimitives.WriteInt32LittleEndian(to[1..], fact.Row);
        BinaryPrimitives.WriteInt64LittleEndian(to[5..], fact.AtMs);
        Span<byte> rest = to[FactHeaderLength..];
        switch (fact.Kind)
        {
            case FactKind.Heartbeat:
                BinaryPrimitives.WriteUInt32LittleEndian(rest, fact.Number);
                BinaryPrimitives.WriteInt32LittleEndian(rest[4..], fact.IntervalSeconds);
                BinaryPrimitives.WriteInt32LittleEndian(rest[8..], fact.RenewalSeconds);
                BinaryPrimitives.WriteUInt16LittleEndian(rest[12..], fact.GapSeconds);
                BinaryPrimitives.WriteUInt16LittleEndian(rest[14..], fact.LastGapSeconds);
                rest[16] = fact.DeviceReason;
                ushort site = fact.Extra < 0 ? (ushort)0 : sites.NumberOf(batch.Sites[fact.Extra]);
                BinaryPrimitives.WriteUInt16LittleEndian(rest[17..], site);
                return FactHeaderLength + 19;
            case FactKind.Connected:
            case FactKind.Disconnected:
                WriteOrder(rest, batch.Orders[fact.Extra]);
                return FactHeaderLength + 32;
            case FactKind.LoggedConnect:
            case FactKind.LoggedDisconnect:
            case FactKind.LoggedRefusal:
                rest[0] = fact.HubCode;
                return FactHeaderLength + 1;
            default:
                return FactHeaderLength;
        }
    }

    /// <summary>Writes what a device was declared to be.</summary>
    public static int WriteTransition(Span<byte> to, in Transition change)
    {
        to[0] = StatusChange;
        BinaryPrimitives.WriteInt32LittleEndian(to[1..], change.Row);
        to[5] = (byte)change.To;
        to[6] = (byte)change.Cause;
        BinaryPrimitives.WriteInt64LittleEndian(to[7..], change.SinceMs);
        return 15;
    }

    /// <summary>Writes an alarm as it is now.</summary>
    public static int WriteAlarm(Span<byte> to, Alarm alarm)
    {
        to[0] = AlarmState;
        BinaryPrimitives.WriteInt64LittleEndian(to[1..], alarm.Number);
        to[9] = (byte)alarm.Kind;
        BinaryPrimitives.WriteInt32LittleEndian(to[10..], alarm.Subject);
        BinaryPrimitives.WriteInt64LittleEndian(to[14..], alarm.RaisedAtMs);
        BinaryPrimitives.WriteInt64LittleEndian(to[22..], alarm.BeganAtMs);
        BinaryPrimitives.WriteInt64LittleEndian(to[30..], alarm.ClearedAtMs ?? 0);
        BinaryPrimitives.WriteInt32LittleEndian(to[38..], alarm.Devices);
        to[42] = (byte)alarm.Cause;
        to[43] = alarm.DeviceReason;
        return 44;
    }

    /// <summary>Writes an order mark, big end first as its digits are.</summary>
    public static void WriteOrder(Span<byte> to, in SequenceNumber order)
    {
        BinaryPrimitives.WriteUInt64BigEndian(to, order.A);
        BinaryPrimitives.WriteUInt64BigEndian(to[8..], order.B);
        BinaryPrimitives.WriteUInt64BigEndian(to[16..], order.C);
        BinaryPrimitives.WriteUInt64BigEndian(to[24..], order.D);
    }

    /// <summary>Reads an order mark.</summary>
    public static SequenceNumber ReadOrder(ReadOnlySpan<byte> from) => new(
        BinaryPrimitives.ReadUInt64BigEndian(from),
        BinaryPrimitives.ReadUInt64BigEndian(from[8..]),
        BinaryPrimitives.ReadUInt64BigEndian(from[16..]),
        BinaryPrimitives.ReadUInt64BigEndian(from[24..]));

    /// <summary>Replays records into a checker.</summary>
    /// <exception cref="InvalidDataException">They are none of ours, although their checksum is right.</exception>
    public static void Replay(ReadOnlySpan<byte> records, Checker checker, FactBatch scratch)
    {
        try
        {
            while (!records.IsEmpty)
            {
                records = records[ReplayOne(records, checker, scratch)..];
            }
        }
        catch (ArgumentOutOfRangeException outside)
        {
            throw new InvalidDataException("a record that ends beyond its block", outside);
        }
    }

    private static int ReplayOne(ReadOnlySpan<byte> record, Checker checker, FactBatch scratch)
    {
        switch (record[0])
        {
            case Device:
                checker.RestoreDevice(BinaryPrimitives.ReadInt32LittleEndian(record[1..]), record.Slice(6, record[5]));
                return 6 + record[5];
            case SiteName:
                int number = BinaryPrimitives.ReadUInt16LittleEndian(record[1..]);
                string name = Encoding.UTF8.GetString(record.Slice(4, record[3]));
                return checker.Sites.NumberOf(name) == number
                    ? 4 + record[3]
                    : throw new InvalidDataException("a site that does not follow the one before");
            case StatusChange:
                checker.RestoreStatus(
                    Row(record, checker), (Status)record[5], BinaryPrimitives.ReadInt64LittleEndian(record[7..]));
                return 15;
            case AlarmState:
                checker.Alarms.Restore(ReadAlarm(record));
                return 44;
            case <= (byte)FactKind.LoggedRefusal:
                return ReplayFact(record, checker, scratch);
            default:
                throw new InvalidDataException("a record of an unknown kind");
        }
    }

    /// <summary>Reads an alarm.</summary>
    public static Alarm ReadAlarm(ReadOnlySpan<byte> record)
    {
        long clearedMs = BinaryPrimitives.ReadInt64LittleEndian(record[30..]);
        return new Alarm(
            BinaryPrimitives.ReadInt64LittleEndian(record[1..]),
            (AlarmKind)record[9],
            BinaryPrimitives.ReadInt32LittleEndian(record[10..]),
            BinaryPrimitives.ReadInt64LittleEndian(record[14..]))
        {
            BeganAtMs = BinaryPrimitives.ReadInt64LittleEndian(record[22..]),
            ClearedAtMs = clearedMs == 0 ? null : clearedMs,
            Devices = BinaryPrimitives.ReadInt32LittleEndian(record[38..]),
            Cause = (Cause)record[42],
            DeviceReason = record[43],
        };
    }

    private static int ReplayFact(ReadOnlySpan<byte> record, Checker checker, FactBatch scratch)
    {
        scratch.Clear();
        ref Fact fact = ref scratch.Add((FactKind)record[0], default, BinaryPrimitives.ReadInt64LittleEndian(record[5..]));
        fact.Row = Row(record, checker);
        ReadOnlySpan<byte> rest = record[FactHeaderLength..];
        int length = FactHeaderLength;
        switch (fact.Kind)
        {
            case FactKind.Heartbeat:
                fact.Number = BinaryPrimitives.ReadUInt32LittleEndian(rest);
                fact.IntervalSeconds = BinaryPrimitives.ReadInt32LittleEndian(rest[4..]);
                fact.RenewalSeconds = BinaryPrimitives.ReadInt32LittleEndian(rest[8..]);
                fact.GapSeconds = BinaryPrimitives.ReadUInt16LittleEndian(rest[12..]);
                fact.LastGapSeconds = BinaryPrimitives.ReadUInt16LittleEndian(rest[14..]);
                fact.DeviceReason = rest[16];
                int site = BinaryPrimitives.ReadUInt16LittleEndian(rest[17..]);
                if (site != 0 && site < checker.Sites.Count)
                {
                    scratch.SetSite(ref fact, checker.Sites[site].Name);
                }

                length += 19;
                break;
            case FactKind.Connected:
            case FactKind.Disconnected:
                scratch.SetOrder(ref fact, ReadOrder(rest));
                length += 32;
                break;
            case FactKind.LoggedConnect:
            case FactKind.LoggedDisconnect:
            case FactKind.LoggedRefusal:
                fact.HubCode = rest[0];
                length++;
                break;
        }

        checker.RestoreFact(fact, scratch);
        return length;
    }

    private static int Row(ReadOnlySpan<byte> record, Checker checker)
    {
        int row = BinaryPrimitives.ReadInt32LittleEndian(record[1..]);
        return (uint)row < (uint)checker.Count ? row : throw new InvalidDataException("a record about a device that was never added");
    }
}
