using System.Buffers.Binary;
using System.Text;

namespace Agent.Service;

/// <summary>Facts in a row of the shared journal, one after another, little-endian.</summary>
/// <remarks>
/// As in the folder's journal, but with ids and names of sites in full: row numbers are one checker's own, and here each of several reads
/// what the others wrote. Kind (1 byte), moment (8), length of the id (1), id, and what belongs to the kind.
/// </remarks>
public static class FactRecords
{
    /// <summary>The first byte of a row.</summary>
    public const byte Format = 1;

    private const int HeaderLength = 10;
    private const int BeatLength = 18;
    private const int OrderLength = 32;

    // A site's name: 64 characters of at most 3 bytes.
    private const int FactLengthMax = HeaderLength + DeviceIds.LengthMax + BeatLength + (3 * Sites.NameLengthMax);

    /// <summary>Bytes that are certainly enough for a batch.</summary>
    public static int RoomFor(FactBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        return batch.Count * FactLengthMax;
    }

    /// <summary>Writes a batch.</summary>
    /// <returns>Bytes written.</returns>
    public static int Write(Span<byte> to, FactBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        int at = 0;
        foreach (ref readonly Fact fact in batch.Facts)
        {
            at += WriteOne(to[at..], fact, batch);
        }

        return at;
    }

    /// <summary>Reads a row of the journal and adds its facts to a batch.</summary>
    /// <exception cref="InvalidDataException">It is none of ours.</exception>
    public static void Read(ReadOnlySpan<byte> row, FactBatch into)
    {
        ArgumentNullException.ThrowIfNull(into);
        if (row.IsEmpty || row[0] != Format)
        {
            throw new InvalidDataException("facts in a format this program does not know");
        }

        try
        {
            for (row = row[1..]; !row.IsEmpty;)
            {
                row = row[ReadOne(row, into)..];
            }
        }
        catch (ArgumentOutOfRangeException outside)
        {
            throw new InvalidDataException("a fact that ends beyond its row", outside);
        }
    }

    private static int WriteOne(Span<byte> to, in Fact fact, FactBatch batch)
    {
        ReadOnlySpan<byte> id = batch.Id(fact);
        to[0] = (byte)fact.Kind;
        BinaryPrimitives.WriteInt64LittleEndian(to[1..], fact.AtMs);
        to[9] = (byte)id.Length;
        id.CopyTo(to[HeaderLength..]);
        int length = HeaderLength + id.Length;
        Span<byte> rest = to[length..];
        switch (fact.Kind)
        {
            case FactKind.Heartbeat:
                BinaryPrimitives.WriteUInt32LittleEndian(rest, fact.Number);
                BinaryPrimitives.WriteInt32LittleEndian(rest[4..], fact.IntervalSeconds);
                BinaryPrimitives.WriteInt32LittleEndian(rest[8..], fact.RenewalSeconds);
                BinaryPrimitives.WriteUInt16LittleEndian(rest[12..], fact.GapSeconds);
                BinaryPrimitives.WriteUInt16LittleEndian(rest[14..], fact.LastGapSeconds);
                rest[16] = fact.DeviceReason;
                rest[17] = fact.Extra < 0 ? (byte)0 : (byte)Encoding.UTF8.GetBytes(batch.Sites[fact.Extra], rest[BeatLength..]);
                return length + BeatLength + rest[17];
            case FactKind.Connected:
            case FactKind.Disconnected:
                JournalRecords.WriteOrder(rest, batch.Orders[fact.Extra]);
                return length + OrderLength;
            case FactKind.LoggedConnect:
            case FactKind.LoggedDisconnect:
            case FactKind.LoggedRefusal:
                rest[0] = fact.HubCode;
                return length + 1;
            default:
                return length;
        }
    }

    private static int ReadOne(ReadOnlySpan<byte> from, FactBatch into)
    {
        ReadOnlySpan<byte> header = from[..HeaderLength];
        ReadOnlySpan<byte> id = from.Slice(HeaderLength, header[9]);
        if (header[0] > (byte)FactKind.LoggedRefusal || !DeviceIds.IsValid(id))
        {
            throw new InvalidDataException("a fact of an unknown kind, or about no device");
        }

        ref Fact fact = ref into.Add((FactKind)header[0], id, BinaryPrimitives.ReadInt64LittleEndian(header[1..]));
        int length = HeaderLength + id.Length;
        ReadOnlySpan<byte> rest = from[length..];
        switch (fact.Kind)
        {
            case FactKind.Heartbeat:
                rest = rest[..(BeatLength + rest[..BeatLength][17])];
                fact.Number = BinaryPrimitives.ReadUInt32LittleEndian(rest);
                fact.IntervalSeconds = BinaryPrimitives.ReadInt32LittleEndian(rest[4..]);
                fact.RenewalSeconds = BinaryPrimitives.ReadInt32LittleEndian(rest[8..]);
                fact.GapSeconds = BinaryPrimitives.ReadUInt16LittleEndian(rest[12..]);
                fact.LastGapSeconds = BinaryPrimitives.ReadUInt16LittleEndian(rest[14..]);
                fact.DeviceReason = rest[16];
                if (rest[17] > 0)
                {
                    into.SetSite(ref fact, Encoding.UTF8.GetString(rest[BeatLength..]));
                }

                return length + rest.Length;
            case FactKind.Connected:
            case FactKind.Disconnected:
                into.SetOrder(ref fact, JournalRecords.ReadOrder(rest[..OrderLength]));
                return length + OrderLength;
            case FactKind.LoggedConnect:
            case FactKind.LoggedDisconnect:
            case FactKind.LoggedRefusal:
                fact.HubCode = rest[..1][0];
                return length + 1;
            default:
                return length;
        }
    }
}
