using System.Globalization;
using Agent.Input;

namespace Agent.Logs;

/// <summary>Reads <c>--since</c> and <c>--until</c>: a date and time, or so long ago, as in a Kusto query.</summary>
public static class TimeText
{
    /// <summary>UTC.</summary>
    /// <param name="option">The option's name, for the message.</param>
    /// <param name="text">What was given.</param>
    /// <param name="now">The present moment, UTC.</param>
    /// <exception cref="BadInputException">It is neither.</exception>
    public static DateTime Read(string option, string text, DateTime now)
    {
        string trimmed = text.Trim();
        if (trimmed.Length is > 1 and <= 64)
        {
            if (UnitOf(trimmed[^1]) is { } unit && double.TryParse(
                    trimmed.AsSpan(0, trimmed.Length - 1), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double count)
                && count * unit.TotalSeconds <= (now - DateTime.MinValue).TotalSeconds)
            {
                return now - (count * unit);
            }

            const DateTimeStyles Utc = DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal;
            if (char.IsAsciiDigit(trimmed[0]) && trimmed.Contains('-', StringComparison.Ordinal)
                && DateTime.TryParse(trimmed, CultureInfo.InvariantCulture, Utc, out DateTime moment))
            {
                return moment;
            }
        }

        throw new BadInputException(
            $"{option}: \"{Shown.Clip(text, 40)}\" is no moment; allowed: \"2026-11-20\", " +
            "\"2026-11-20T14:00:00Z\" (UTC where no zone is given), "
            + "or so long ago: \"30s\", \"15m\", \"2h\", \"7d\"");
    }

    private static TimeSpan? UnitOf(char letter) => letter switch
    {
        's' => TimeSpan.FromSeconds(1),
        'm' => TimeSpan.FromMinutes(1),
        'h' => TimeSpan.FromHours(1),
        'd' => TimeSpan.FromDays(1),
        _ => null,
    };
}
