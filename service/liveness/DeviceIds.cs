using System.Buffers;
using System.Text;

namespace Agent.Service;

/// <summary>What a device id may be, and the number an index finds it by.</summary>
public static class DeviceIds
{
    /// <summary>Longest id, in characters and bytes (facts/iothub.md §1.2).</summary>
    public const int LengthMax = 128;

    private static readonly SearchValues<byte> Allowed = SearchValues.Create(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-:.+%_#*?!(),=@;$'"u8);

    /// <summary>The hub's rule for device ids: 1 to 128 of these ASCII characters.</summary>
    public static bool IsValid(ReadOnlySpan<byte> id) => id.Length is > 0 and <= LengthMax && !id.ContainsAnyExcept(Allowed);

    /// <summary>The same for text.</summary>
    public static bool IsValid(ReadOnlySpan<char> id)
    {
        Span<byte> bytes = stackalloc byte[LengthMax];
        return id.Length <= LengthMax
            && Ascii.IsValid(id)
            && Encoding.ASCII.TryGetBytes(id, bytes, out int length)
            && IsValid(bytes[..length]);
    }

    /// <summary>
    /// A hash of the id. Ids of a fleet differ in a few digits, so eight bytes at a time are mixed by a multiplication whose high half
    /// depends on all of them. Whoever may register devices could choose ids that collide; the seed, drawn anew at each start, keeps
    /// them from knowing how.
    /// </summary>
    public static ulong Hash(ReadOnlySpan<byte> id, ulong seed)
    {
        ulong hash = seed ^ ((ulong)id.Length * 0x9E3779B97F4A7C15);
        while (id.Length >= sizeof(ulong))
        {
            hash = Mix(hash ^ BitConverter.ToUInt64(id));
            id = id[sizeof(ulong)..];
        }

        ulong rest = 0;
        for (int i = 0; i < id.Length; i++)
        {
            rest |= (ulong)id[i] << (i * 8);
        }

        return Mix(hash ^ rest);
    }

    private static ulong Mix(ulong value)
    {
        ulong high = Math.BigMul(value ^ 0xA0761D6478BD642F, 0xE7037ED1A0B428DB, out ulong low);
        return high ^ low;
    }
}
