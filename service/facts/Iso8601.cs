namespace Agent.Service;

/// <summary>Moments as the hub writes them: <c>2018-06-02T19:17:44.4383997Z</c>, straight from bytes.</summary>
/// <remarks>A general parser of dates takes ten times as long and accepts things no hub sends; this is read once per event.</remarks>
public static class Iso8601
{
    private const int DateAndTimeLength = 19;
    private const int YearMin = 1970;

    /// <summary>
    /// Reads a moment in UTC: date and time to the second, a fraction of any length or none, and <c>Z</c>, an offset, or nothing (which
    /// means UTC).
    /// </summary>
    /// <returns>Whether it is one, from 1970 to 9999; fractions below a millisecond are cut off.</returns>
    public static bool TryRead(ReadOnlySpan<byte> text, out long utcMs)
    {
        utcMs = 0;
        if (text.Length < DateAndTimeLength
            || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':'
            || !TryDigits(text[..4], out int year)
            || !TryDigits(text[5..7], out int month)
            || !TryDigits(text[8..10], out int day)
            || !TryDigits(text[11..13], out int hour)
            || !TryDigits(text[14..16], out int minute)
            || !TryDigits(text[17..19], out int second)
            || year < YearMin || month is < 1 or > 12 || day < 1 || hour > 23 || minute > 59 || second > 59
            || day > DateTime.DaysInMonth(year, month))
        {
            return false;
        }

        text = text[DateAndTimeLength..];
        if (!TryFraction(ref text, out int milliseconds) || !TryOffset(text, out int offsetMinutes))
        {
            return false;
        }

        utcMs = (((((Days(year, month, day) * 24L) + hour) * 60) + minute - offsetMinutes) * 60_000) + (second * 1000) + milliseconds;
        return utcMs > 0;
    }

    private static bool TryFraction(ref ReadOnlySpan<byte> text, out int milliseconds)
    {
        milliseconds = 0;
        if (text.IsEmpty || text[0] != '.')
        {
            return true;
        }

        int length = 1;
        int unit = 100;
        while (length < text.Length && (uint)(text[length] - '0') <= 9)
        {
            milliseconds += (text[length] - '0') * unit;
            unit /= 10;
            length++;
        }

        text = text[length..];
        return length > 1;
    }

    private static bool TryOffset(ReadOnlySpan<byte> text, out int minutes)
    {
        minutes = 0;
        if (text.IsEmpty || (text.Length == 1 && text[0] == 'Z'))
        {
            return true;
        }

        if (text.Length != 6 || text[0] is not ((byte)'+' or (byte)'-') || text[3] != ':'
            || !TryDigits(text[1..3], out int hours) || !TryDigits(text[4..6], out int rest) || hours > 14 || rest > 59)
        {
            return false;
        }

        minutes = ((hours * 60) + rest) * (text[0] == '-' ? -1 : 1);
        return true;
    }

    private static bool TryDigits(ReadOnlySpan<byte> text, out int value)
    {
        value = 0;
        foreach (byte digit in text)
        {
            if ((uint)(digit - '0') > 9)
            {
                return false;
            }

            value = (value * 10) + digit - '0';
        }

        return true;
    }

    // Days since 1970-01-01 with years that begin in March, so that the leap day comes last.
    private static int Days(int year, int month, int day)
    {
        int shifted = month > 2 ? year : year - 1;
        int era = shifted / 400;
        int yearOfEra = shifted - (era * 400);
        int dayOfYear = (((153 * (month > 2 ? month - 3 : month + 9)) + 2) / 5) + day - 1;
        return (era * 146_097) + (yearOfEra * 365) + (yearOfEra / 4) - (yearOfEra / 100) + dayOfYear - 719_468;
    }
}
