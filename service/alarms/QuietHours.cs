using System.Globalization;

namespace Agent.Service.Alarms;

/// <summary>Hours of a week during which nobody wants to be told: parsed from text, asked with a UTC moment.</summary>
/// <remarks>
/// <para>
/// A window begins at a local time of day on certain weekdays and ends at the next such time of day: one that ends before it begins runs
/// past midnight and still belongs to the day it began on ("fri 22:00-07:00" ends on Saturday morning). Local means the zone's: when
/// clocks change, a window keeps its wall-clock times and is an hour longer or shorter.
/// </para>
/// <para>The zone is data and the moment is handed in, so this reads no clock.</para>
/// </remarks>
public sealed class QuietHours
{
    private const int WindowsMax = 32;
    private const int MinutesOfDay = 24 * 60;
    private const int HorizonDays = 8;

    private static readonly string[] DayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

    private readonly TimeZoneInfo zone;
    private readonly Window[] windows;

    private QuietHours(TimeZoneInfo zone, Window[] windows)
    {
        this.zone = zone;
        this.windows = windows;
    }

    /// <summary>Reads windows such as <c>mon-fri 22:00-07:00; sat,sun 00:00-24:00</c>; without days every day is meant.</summary>
    /// <param name="text">At most 32 windows, separated by semicolons.</param>
    /// <param name="zone">Whose wall clock is meant.</param>
    /// <param name="quiet">The result; null when the text is not one.</param>
    /// <param name="problem">What is wrong and what is allowed, in one line.</param>
    public static bool TryParse(string text, TimeZoneInfo zone, out QuietHours? quiet, out string problem)
    {
        quiet = null;
        string[] parts = text.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (parts.Length is 0 or > WindowsMax)
        {
            problem = $"quiet hours: 1 to {WindowsMax} windows are allowed, such as mon-fri 22:00-07:00";
            return false;
        }

        var windows = new Window[parts.Length];
        for (int i = 0; i < parts.Length; i++)
        {
            if (!TryParseWindow(parts[i], out windows[i]))
            {
                problem = $"quiet hours, window {i + 1}: write days and times such as mon-fri 22:00-07:00 or sat,sun 00:00-24:00";
                return false;
            }
        }

        if (CoversTheWeek(windows))
        {
            problem = "quiet hours cover the whole week: nothing would ever be sent";
            return false;
        }

        problem = "";
        quiet = new QuietHours(zone, windows);
        return true;
    }

    /// <summary>When the quiet that reigns at a moment ends, UTC milliseconds; null = it is not quiet.</summary>
    public long? EndsAtMs(long utcMs)
    {
        long moment = utcMs;
        long limit = utcMs + (long)TimeSpan.FromDays(HorizonDays).TotalMilliseconds;

        // Windows may touch or overlap, so the end of one can lie within another. Each turn ends at least one of them.
        for (int turn = 0; turn <= HorizonDays * windows.Length && moment < limit; turn++)
        {
            if (EndOfOne(moment) is not { } end)
            {
                break;
            }

            moment = end;
        }

        return moment == utcMs ? null : moment;
    }

    private static bool TryParseWindow(string text, out Window window)
    {
        window = default;
        string[] words = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        byte days = 0x7F;
        if (words.Length is < 1 or > 2 || (words.Length == 2 && !TryParseDays(words[0], out days)))
        {
            return false;
        }

        string[] times = words[^1].Split('-');
        if (times.Length != 2 || !TryParseTime(times[0], out int from) || !TryParseTime(times[1], out int until)
            || from == MinutesOfDay || from == until)
        {
            return false;
        }

        window = new Window(days, from, until);
        return true;
    }

    private static bool TryParseDays(string text, out byte days)
    {
        days = 0;
        foreach (string part in text.Split(','))
        {
            string[] ends = part.Split('-');
            int first = Array.IndexOf(DayNames, ends[0].ToLowerInvariant());
            int last = Array.IndexOf(DayNames, ends[^1].ToLowerInvariant());
            if (ends.Length > 2 || first < 0 || last < 0)
            {
                return false;
            }

            // "fri-mon" goes over the end of the week.
            for (int day = first; ; day = (day + 1) % 7)
            {
                days |= (byte)(1 << day);
                if (day == last)
                {
                    break;
                }
            }
        }

        return true;
    }

    private static bool TryParseTime(string text, out int minutes)
    {
        minutes = 0;
        if (text.Length != 5 || text[2] != ':'
            || !int.TryParse(text.AsSpan(0, 2), NumberStyles.None, CultureInfo.InvariantCulture, out int hour)
            || !int.TryParse(text.AsSpan(3, 2), NumberStyles.None, CultureInfo.InvariantCulture, out int minute))
        {
            return false;
        }

        minutes = (hour * 60) + minute;
        return minute < 60 && minutes <= MinutesOfDay;
    }

    private static bool CoversTheWeek(Window[] windows)
    {
        var quiet = new bool[7 * MinutesOfDay];
        foreach (Window window in windows)
        {
            for (int day = 0; day < 7; day++)
            {
                for (int minute = 0; window.IsOn(day) && minute < window.Minutes; minute++)
                {
                    quiet[((day * MinutesOfDay) + window.From + minute) % quiet.Length] = true;
                }
            }
        }

        return !quiet.Contains(false);
    }

    // The latest end of the windows that contain the moment; null = none does.
    private long? EndOfOne(long utcMs)
    {
        DateTime utc = DateTimeOffset.FromUnixTimeMilliseconds(utcMs).UtcDateTime;
        DateTime local = DateTime.SpecifyKind(TimeZoneInfo.ConvertTimeFromUtc(utc, zone), DateTimeKind.Unspecified);
        long? latest = null;
        foreach (Window window in windows)
        {
            // One that runs past midnight began yesterday.
            for (int back = 0; back <= 1; back++)
            {
                DateTime day = local.Date.AddDays(-back);
                if (window.IsOn((int)day.DayOfWeek)
                    && ToUtcMs(day.AddMinutes(window.From)) <= utcMs
                    && ToUtcMs(day.AddMinutes(window.From + window.Minutes)) is var end && end > utcMs)
                {
                    latest = Math.Max(latest ?? end, end);
                }
            }
        }

        return latest;
    }

    // A time that the change to summer time leaves out is taken as the moment of the change; of two equal ones the first.
    private long ToUtcMs(DateTime local)
    {
        DateTime existing = local;
        while (zone.IsInvalidTime(existing))
        {
            existing = existing.AddMinutes(1);
        }

        TimeSpan offset = zone.IsAmbiguousTime(existing) ? zone.GetAmbiguousTimeOffsets(existing).Max() : zone.GetUtcOffset(existing);
        return new DateTimeOffset(existing, offset).ToUnixTimeMilliseconds();
    }

    private readonly record struct Window(byte Days, int From, int Until)
    {
        public int Minutes => Until > From ? Until - From : Until + MinutesOfDay - From;

        public bool IsOn(int day) => (Days & (1 << day)) != 0;
    }
}
