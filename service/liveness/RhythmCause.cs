using System.Globalization;

namespace Agent.Service;

/// <summary>What a period between two connects gives away: the SDK and the lifetime of its token.</summary>
/// <param name="Sdk">The id this project uses for the SDK; null = more than one fits.</param>
/// <param name="LifetimeSeconds">The token's; null = not known.</param>
/// <param name="Text">For a person.</param>
public readonly record struct RhythmCause(string? Sdk, int? LifetimeSeconds, string Text)
{
    private const int Hour = 3600;
    private const int Grace = 600;
    private const int ShortGrace = 300;

    // facts/sdk-renewal.md §1 and §12. A cut is a close by the hub after the token expired; the others are the client's own.
    private static readonly (double Seconds, double Before, double After, bool IsCut, string Sdk, int Lifetime, string Text)[] Defaults =
    [
        (2700, 5, 12, false, "node", Hour, "Node.js with its default token of 60 min, renewed after 45 min"),
        (2881, 5, 12, false, "c", Hour, "the C SDK with its default token of 60 min, renewed after 48 min"),
        (3480, 5, 12, false, "python", Hour, "Python with its default token of 60 min, renewed after 58 min"),
        (3571, 5, 12, false, "arduino-central", Hour, "the ESP32 sample for Central, token of 60 min renewed half a minute early"),
        (3600, 5, 12, false, "arduino-esp32", Hour, "the ESP32 sample for IoT Hub, token of 60 min renewed when it expires"),
        (85_801, 10, 60, false, "nanoframework", 24 * Hour, "nanoFramework with its token of 24 h, renewed after 23 h 50 min"),
        (4200, 5, 0.9, true, "dotnet", Hour, ".NET: token of 60 min that is never renewed, cut by the hub 10 min after it expired"),
        (4201, 0.1, 20, true, "java", Hour, "Java: token of 60 min that is never renewed, cut by the hub 10 min after it expired"),
        (3900, 5, 0.9, true, "dotnet", Hour, ".NET: token of 60 min that is never renewed, cut by the hub 5 min after it expired"),
        (3901, 0.1, 20, true, "java", Hour, "Java: token of 60 min that is never renewed, cut by the hub 5 min after it expired"),
        (7800, 5, 20, true, "embedded-c", 2 * Hour, "the Embedded C samples: token of 120 min, cut by the hub 10 min after it expired"),
    ];

    /// <summary>Names the cause of a period.</summary>
    /// <param name="periodSeconds">Above 0.</param>
    /// <param name="isCut">The hub logged an error at the end of the connection; null = nobody knows.</param>
    public static RhythmCause Of(double periodSeconds, bool? isCut)
    {
        foreach (var row in Defaults)
        {
            if (row.IsCut != !isCut && periodSeconds >= row.Seconds - row.Before && periodSeconds < row.Seconds + row.After)
            {
                return new RhythmCause(row.Sdk, row.Lifetime, row.Text);
            }
        }

        return isCut == true ? OfCut(periodSeconds) : OfOwn(periodSeconds, isCut is null);
    }

    private static RhythmCause OfCut(double period)
    {
        // People choose whole minutes, and a handshake lies on top: take the grace that leaves a whole number of them.
        double lifetime = IsWholeMinutes(period - Grace) || !IsWholeMinutes(period - ShortGrace) ? period - Grace : period - ShortGrace;
        return lifetime < 60
            ? new RhythmCause(null, null, $"regular cuts every {Length(period)}: an idle timeout on the way, or a timer in the application")
            : new RhythmCause(
                null, (int)Math.Round(lifetime), $"a token of {Length(lifetime)} that is never renewed (.NET, Java and samples do not)");
    }

    private static RhythmCause OfOwn(double period, bool mayBeCut)
    {
        (string Sdk, string Name, double Lifetime)[] rules =
        [
            ("node", "Node.js", period + 900),
            ("python", "Python (or Node.js with a margin of 120 s)", period + 120),
            ("c", "the C SDK", (period - 1) / 0.8),
            ("arduino-esp32", "an ESP32 sample", period),
            ("dotnet", "a client that never renews", mayBeCut ? period - Grace : double.NaN),
        ];
        // People choose lifetimes in steps of five minutes.
        var fitting = rules
            .Where(rule => rule.Lifetime >= 120 && Math.Abs(rule.Lifetime - (Math.Round(rule.Lifetime / 300) * 300)) <= 2)
            .ToArray();
        string which = string.Join(" or ", fitting.Select(rule => $"{rule.Name} with a token of {Length(rule.Lifetime)}"));
        return fitting.Length switch
        {
            0 => new RhythmCause(null, null, $"reconnects every {Length(period)}: planned renewals, the SDK is not known"),
            1 => new RhythmCause(fitting[0].Sdk, (int)Math.Round(fitting[0].Lifetime), which),
            _ => new RhythmCause(null, null, which),
        };
    }

    private static bool IsWholeMinutes(double seconds) => Math.Abs(seconds - (Math.Round(seconds / 60) * 60)) <= 3;

    private static string Length(double seconds) =>
        seconds >= 120 && IsWholeMinutes(seconds)
            ? string.Create(CultureInfo.InvariantCulture, $"{Math.Round(seconds / 60):0} min")
            : string.Create(CultureInfo.InvariantCulture, $"{seconds:0} s");
}
