using System.Globalization;

namespace Agent.Service;

/// <summary>
/// The hub's order mark on connection events: 64 hexadecimal digits that only ever grow for one device.
/// </summary>
/// <remarks>
/// The vendor says to compare them as strings. For 64 digits of one case that is the same as comparing four big-endian
/// 64-bit words, which take 32 bytes instead of the string's 150 and do not depend on the case of the letters.
/// </remarks>
public readonly record struct SequenceNumber(ulong A, ulong B, ulong C, ulong D) : IComparable<SequenceNumber>
{
    public const int Digits = 64;

    public static bool TryParse(ReadOnlySpan<byte> text, out SequenceNumber value)
    {
        value = default;
        if (text.Length != Digits
            || !TryWord(text[..16], out ulong a)
            || !TryWord(text[16..32], out ulong b)
            || !TryWord(text[32..48], out ulong c)
            || !TryWord(text[48..], out ulong d))
        {
            return false;
        }

        value = new SequenceNumber(a, b, c, d);
        return true;
    }

    public int CompareTo(SequenceNumber other)
    {
        int order = A.CompareTo(other.A);
        order = order != 0 ? order : B.CompareTo(other.B);
        order = order != 0 ? order : C.CompareTo(other.C);
        return order != 0 ? order : D.CompareTo(other.D);
    }

    // AllowHexSpecifier alone: no signs, no blanks, no "0x".
    private static bool TryWord(ReadOnlySpan<byte> text, out ulong word) =>
        ulong.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out word);
}
