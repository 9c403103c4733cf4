using System.Text.Unicode;

namespace Agent.Wire;

/// <summary>What text MQTT 3.1.1 allows: UTF-8 strings (§1.5.3), topic names (§4.7) and topic filters (§4.7.1).</summary>
public static class MqttText
{
    /// <summary>Well-formed UTF-8 without U+0000 (surrogates and overlong forms are not well-formed).</summary>
    public static bool IsString(ReadOnlySpan<byte> text) => !text.Contains((byte)0) && Utf8.IsValid(text);

    /// <summary>A topic one may publish to: a string of at least one character, no wildcard.</summary>
    public static bool IsTopicName(ReadOnlySpan<byte> text) =>
        !text.IsEmpty && !text.ContainsAny((byte)'+', (byte)'#', (byte)0) && Utf8.IsValid(text);

    /// <summary>
    /// A topic one may subscribe to: '+' and '#' stand alone in their level, and nothing follows '#'.
    /// </summary>
    public static bool IsTopicFilter(ReadOnlySpan<byte> text)
    {
        if (text.IsEmpty || !IsString(text))
        {
            return false;
        }

        for (int at = text.IndexOfAny((byte)'+', (byte)'#'); at >= 0;)
        {
            bool startsLevel = at == 0 || text[at - 1] == '/';
            bool endsFilter = at == text.Length - 1;
            bool endsLevel = endsFilter || (text[at] == '+' && text[at + 1] == '/');
            if (!startsLevel || !endsLevel)
            {
                return false;
            }

            int next = text[(at + 1)..].IndexOfAny((byte)'+', (byte)'#');
            at = next < 0 ? -1 : at + 1 + next;
        }

        return true;
    }
}
