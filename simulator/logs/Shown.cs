using System.Globalization;

namespace Agent.Logs;

/// <summary>Text from a log as a terminal may see it: devices choose their names, terminals obey what they read.</summary>
internal static class Shown
{
    /// <summary>At most so many characters, and none that moves a cursor or turns the direction of writing.</summary>
    public static string Clip(string? text, int lengthMax)
    {
        if (string.IsNullOrEmpty(text))
        {
            return "";
        }

        int length = Math.Min(text.Length, lengthMax);
        if (length < text.Length && char.IsHighSurrogate(text[length - 1]))
        {
            length--;
        }

        return string.Create(length + (length < text.Length ? 1 : 0), (text, length), static (target, source) =>
        {
            for (int i = 0; i < source.length; i++)
            {
                target[i] = IsQuiet(source.text[i]) ? source.text[i] : '?';
            }

            if (target.Length > source.length)
            {
                target[^1] = '…';
            }
        });
    }

    private static bool IsQuiet(char letter) => char.GetUnicodeCategory(letter) is not (
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator
        or UnicodeCategory.ParagraphSeparator or UnicodeCategory.PrivateUse);
}
