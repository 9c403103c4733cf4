using System.Buffers;
using System.Text;

namespace Agent.Service;

/// <summary>
/// Device ids to row numbers 0, 1, 2 … in order of first sight.
/// </summary>
/// <remarks>
/// A dictionary of strings costs about 100 bytes a device before anything is known about it. Here the ids lie one behind
/// the other in one byte array and an open-addressed table of row numbers finds them: the id itself plus 10 to 20 bytes.
/// Nothing is ever removed, so the table needs no tombstones. Ids are ASCII by the hub's own rule, which
/// <see cref="IsValid"/> checks at the edge.
/// </remarks>
public sealed class DeviceIds
{
    public const int LengthMax = 128;

    private static readonly SearchValues<char> Allowed = SearchValues.Create(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-:.+%_#*?!(),=@$'");

    private byte[] bytes = new byte[1024];
    private int[] ends = new int[64];
    private int[] slots = new int[128];

    public int Count { get; private set; }

    /// <summary>The hub's rule for device ids: 1 to 128 of these ASCII characters.</summary>
    public static bool IsValid(ReadOnlySpan<char> id) =>
        id.Length is > 0 and <= LengthMax && !id.ContainsAnyExcept(Allowed);

    /// <summary>The id of a row.</summary>
    public string this[int row] => Encoding.ASCII.GetString(Id(row));

    /// <summary>The row of an id, or -1.</summary>
    public int Find(ReadOnlySpan<char> id)
    {
        if (!IsValid(id))
        {
            return -1;
        }

        Span<byte> ascii = stackalloc byte[id.Length];
        Encoding.ASCII.GetBytes(id, ascii);
        return slots[Slot(ascii)] - 1;
    }

    /// <summary>The row of a valid id, which is added when it is new.</summary>
    public int FindOrAdd(ReadOnlySpan<char> id)
    {
        if (!IsValid(id))
        {
            throw new ArgumentException("not a device id; the caller checks IsValid first", nameof(id));
        }

        Span<byte> ascii = stackalloc byte[id.Length];
        Encoding.ASCII.GetBytes(id, ascii);
        int slot = Slot(ascii);
        if (slots[slot] != 0)
        {
            return slots[slot] - 1;
        }

        Append(ascii);
        slots[slot] = Count;
        if (Count * 4L > slots.Length * 3L)
        {
            Rehash();
        }

        return Count - 1;
    }

    private void Append(ReadOnlySpan<byte> id)
    {
        int start = Count == 0 ? 0 : ends[Count - 1];
        if (start + id.Length > bytes.Length)
        {
            Array.Resize(ref bytes, (int)Math.Min(Array.MaxLength, bytes.Length * 2L));
        }

        if (Count == ends.Length)
        {
            Array.Resize(ref ends, Count * 2);
        }

        id.CopyTo(bytes.AsSpan(start));
        ends[Count] = start + id.Length;
        Count++;
    }

    private ReadOnlySpan<byte> Id(int row)
    {
        int start = row == 0 ? 0 : ends[row - 1];
        return bytes.AsSpan(start, ends[row] - start);
    }

    /// <summary>The slot that holds the id, or the free one where it belongs.</summary>
    private int Slot(ReadOnlySpan<byte> id)
    {
        int mask = slots.Length - 1;
        int slot = Hash(id) & mask;
        while (slots[slot] != 0 && !Id(slots[slot] - 1).SequenceEqual(id))
        {
            slot = (slot + 1) & mask;
        }

        return slot;
    }

    private void Rehash()
    {
        slots = new int[slots.Length * 2];
        for (int row = 0; row < Count; row++)
        {
            slots[Slot(Id(row))] = row + 1;
        }
    }

    // FNV-1a, then one multiplication so that the low bits depend on all others: ids of a fleet differ in a few digits.
    private static int Hash(ReadOnlySpan<byte> id)
    {
        ulong hash = 14695981039346656037;
        foreach (byte value in id)
        {
            hash = (hash ^ value) * 1099511628211;
        }

        return (int)((hash * 0x9E3779B97F4A7C15) >> 33);
    }
}
