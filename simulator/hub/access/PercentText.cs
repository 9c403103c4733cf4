using System.Text;

namespace Agent.Hub;

/// <summary>Percent-encoding as IoT Hub's topics, user names and tokens use it, on bytes.</summary>
/// <remarks>
/// Two readings are needed. A token is all or nothing: a broken escape there makes it malformed. A property bag comes
/// from clients that sometimes forget to encode, so a broken escape stays as it is written, as .NET's own
/// <c>Uri.UnescapeDataString</c> does. A plus sign is a plus sign in both: device ids may contain one.
/// </remarks>
public static class PercentText
{
    /// <summary>Decodes into <paramref name="destination"/>; false on a broken escape or when it does not fit.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> text, Span<byte> destination, out int written) =>
        TryDecode(text, destination, strict: true, out written);

    /// <summary>Decodes to text, keeping broken escapes and replacing what is not UTF-8.</summary>
    public static string DecodeLenient(ReadOnlySpan<byte> text)
    {
        if (!text.Contains((byte)'%'))
        {
            return Encoding.UTF8.GetString(text);
        }

        byte[] decoded = new byte[text.Length];
        TryDecode(text, decoded, strict: false, out int written);
        return Encoding.UTF8.GetString(decoded, 0, written);
    }

    /// <summary>
    /// How many bytes <see cref="DecodeLenient"/> would see: what a property counts towards the message size.
    /// </summary>
    public static int DecodedLength(ReadOnlySpan<byte> text)
    {
        int length = 0;
        for (int i = 0; i < text.Length; i++, length++)
        {
            if (text[i] == (byte)'%' && TryReadEscape(text[i..], out _))
            {
                i += 2;
            }
        }

        return length;
    }

    private static bool TryDecode(ReadOnlySpan<byte> text, Span<byte> destination, bool strict, out int written)
    {
        written = 0;
        for (int i = 0; i < text.Length; i++)
        {
            byte value = text[i];
            if (value == (byte)'%')
            {
                if (TryReadEscape(text[i..], out byte decoded))
                {
                    value = decoded;
                    i += 2;
                }
                else if (strict)
                {
                    return false;
                }
            }

            if (written == destination.Length)
            {
                return false;
            }

            destination[written++] = value;
        }

        return true;
    }

    private static bool TryReadEscape(ReadOnlySpan<byte> text, out byte value)
    {
        value = 0;
        return text.Length >= 3 && TryReadHex(text[1], out int high) && TryReadHex(text[2], out int low)
            && (value = (byte)((high << 4) | low)) >= 0;
    }

    private static bool TryReadHex(byte digit, out int value)
    {
        value = digit switch
        {
            >= (byte)'0' and <= (byte)'9' => digit - '0',
            >= (byte)'a' and <= (byte)'f' => digit - 'a' + 10,
            >= (byte)'A' and <= (byte)'F' => digit - 'A' + 10,
            _ => -1,
        };
        return value >= 0;
    }
}
