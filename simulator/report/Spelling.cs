using System.Globalization;
using Agent.World;

namespace Agent.Report;

/// <summary>How lengths, moments and names are written on the page.</summary>
internal static class Spelling
{
    private const int NameCharactersMax = 120;

    /// <summary>A moment of the run as hours, minutes, seconds and milliseconds: <c>25:10:00.260</c>.</summary>
    public static string Moment(long ms) => string.Create(
        CultureInfo.InvariantCulture,
        $"{ms / 3_600_000}:{ms / 60_000 % 60:00}:{ms / 1000 % 60:00}.{ms % 1000:000}");

    /// <summary>The same without milliseconds.</summary>
    public static string Second(long seconds) => Moment(seconds * 1000)[..^4];

    /// <summary>A length in the units a person would take: <c>24 h</c>, <c>1 h 10 min</c>, <c>2.5 s</c>.</summary>
    public static string Length(long ms)
    {
        if (ms < 60_000)
        {
            return Number(ms / 1000.0) + " s";
        }

        var parts = new List<string>();
        long hours = ms / 3_600_000;
        bool inDays = hours > 48;
        Put(parts, inDays ? hours / 24 : 0, "d");
        Put(parts, inDays ? hours % 24 : hours, "h");
        Put(parts, ms / 60_000 % 60, "min");
        if (ms % 60_000 > 0)
        {
            parts.Add(Number(ms % 60_000 / 1000.0) + " s");
        }

        return string.Join(' ', parts);
    }

    /// <summary>Milliseconds below ten seconds, seconds above.</summary>
    public static string Short(double ms) => ms < 10_000 ? Number(ms) + " ms" : Number(ms / 1000) + " s";

    /// <summary>Seconds, or a dash when there is no value.</summary>
    public static string Seconds(double? seconds) => seconds is { } value ? Number(value) + " s" : "–";

    /// <summary>At most three decimals.</summary>
    public static string Number(double value) => value.ToString("0.###", CultureInfo.InvariantCulture);

    /// <summary>The name of a fleet, shortened when nobody could have meant it to be shown whole.</summary>
    public static string Name(FleetResult fleet) => Clip(fleet.Plan.Name);

    /// <summary>At most so many characters.</summary>
    public static string Clip(string text, int charactersMax = NameCharactersMax) =>
        text.Length <= charactersMax ? text : text[..charactersMax] + "…";

    private static void Put(List<string> parts, long count, string unit)
    {
        if (count > 0)
        {
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"{count} {unit}"));
        }
    }
}
