using System.Buffers;
using System.Text.Json;
using System.Text.Unicode;

namespace Agent.Events;

/// <summary>A message body that claims to be JSON, made fit to stand inside an event.</summary>
/// <remarks>
/// A device's body travels with other devices' events in one document, so what would break a reader of that document is not let
/// in and goes as base64 instead, the way the hub treats bodies that are no JSON: text that is not UTF-8, half surrogate pairs,
/// nesting that together with the envelope exceeds what readers take (64 levels by default in .NET). Whitespace goes, so that
/// an event is one line.
/// </remarks>
internal static class JsonBody
{
    /// <summary>Levels a body may nest: 64 less the array, the event, <c>data</c> and one to spare.</summary>
    public const int DepthMax = 60;

    /// <summary>Copies the body without its whitespace; false, and nothing of use written, when it is not fit.</summary>
    public static bool TryCompact(ReadOnlySpan<byte> body, ArrayBufferWriter<byte> output)
    {
        if (!IsFit(body))
        {
            return false;
        }

        Span<byte> target = output.GetSpan(body.Length);
        int length = 0;
        bool inText = false;
        for (int i = 0; i < body.Length; i++)
        {
            byte c = body[i];
            if (inText && c == (byte)'\\')
            {
                target[length++] = c;
                c = body[++i];
            }
            else if (c == (byte)'"')
            {
                inText = !inText;
            }
            else if (!inText && c <= (byte)' ')
            {
                continue;
            }

            target[length++] = c;
        }

        output.Advance(length);
        return true;
    }

    private static bool IsFit(ReadOnlySpan<byte> body)
    {
        if (!Utf8.IsValid(body))
        {
            return false;
        }

        try
        {
            var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = DepthMax });
            while (reader.Read())
            {
                if (reader.ValueIsEscaped && !HasWholePairs(reader.ValueSpan))
                {
                    return false;
                }
            }

            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    /// <summary>Whether every escaped high surrogate is followed by an escaped low one, and no low one stands alone.</summary>
    private static bool HasWholePairs(ReadOnlySpan<byte> text)
    {
        bool isOpen = false;
        for (int i = 0; i < text.Length; i++)
        {
            bool isHigh = false;
            bool isLow = false;
            if (text[i] == (byte)'\\')
            {
                i++;
                if (text[i] == (byte)'u')
                {
                    int unit = Convert.ToInt32(System.Text.Encoding.ASCII.GetString(text.Slice(i + 1, 4)), 16);
                    isHigh = char.IsHighSurrogate((char)unit);
                    isLow = char.IsLowSurrogate((char)unit);
                    i += 4;
                }
            }

            if (isLow != isOpen)
            {
                return false;
            }

            isOpen = isHigh;
        }

        return !isOpen;
    }
}
