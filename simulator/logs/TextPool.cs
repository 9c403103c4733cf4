using System.Text;

namespace Agent.Logs;

/// <summary>The strings a log repeats millions of times, made once. A fixed number of places: the newest text wins its place.</summary>
internal sealed class TextPool
{
    /// <summary>Longest text kept of a field, in bytes; what is longer ends with an ellipsis. A device id has at most 128.</summary>
    public const int TextBytesMax = 1024;

    private const int Places = 1 << 15;

    private readonly string?[] texts = new string?[Places];

    /// <summary>The text of valid UTF-8.</summary>
    public string Get(ReadOnlySpan<byte> utf8)
    {
        if (utf8.IsEmpty)
        {
            return "";
        }

        if (utf8.Length > TextBytesMax)
        {
            return Cut(utf8);
        }

        var hash = default(HashCode);
        hash.AddBytes(utf8);
        ref string? place = ref texts[hash.ToHashCode() & (Places - 1)];
        // Equal only for plain ASCII; other text is made anew each time, which is rare and harmless.
        if (place is null || !Ascii.Equals(utf8, place))
        {
            place = Encoding.UTF8.GetString(utf8);
        }

        return place;
    }

    private static string Cut(ReadOnlySpan<byte> utf8)
    {
        int length = TextBytesMax;
        while (length > 0 && (utf8[length] & 0xC0) == 0x80)
        {
            length--;
        }

        return Encoding.UTF8.GetString(utf8[..length]) + "…";
    }
}
