using System.Globalization;

namespace Agent.Logs;

// What a rhythm of disconnects suggests. The periods of the defaults are facts/sdk-renewal.md §1 and §12; away from the
// defaults the SDK's own rule is turned round, and where even the SDK is unknown, the rules that give a round lifetime are
// named. Two SDKs a second apart (.NET, Java) cannot be told apart by a clock with handshakes in it, so the record's
// sdkVersion decides where there is one. A guess stays a guess: every sentence says "suggests".

/// <summary>What a rhythm suggests.</summary>
/// <param name="Text">One sentence for people.</param>
/// <param name="Sdk">The id a scenario would use; null = not one.</param>
/// <param name="LifetimeSeconds">The token's; null = not known.</param>
public readonly record struct RhythmSuggestion(string Text, string? Sdk = null, double? LifetimeSeconds = null);

/// <summary>Names the SDK and the token lifetime behind a rhythm.</summary>
public static class RhythmGuide
{
    private const double Hour = 3600;
    private const double Grace = 600;
    private const double ShortGrace = 300;

    /// <summary>A period with defaults: <c>From</c> .. <c>To</c> around it counts, for handshakes and the hub's own steps.</summary>
    private readonly record struct Default(
        double Seconds, bool IsCut, SdkFamily Family, string Sdk, double Lifetime, string Text, double Before = 5, double After = 10);

    private static readonly Default[] Defaults =
    [
        new(2700, false, SdkFamily.Node, "node", Hour, "Node.js: 60 min token, renewed 15 min before it expires"),
        new(2881, false, SdkFamily.C, "c", Hour, "C: 60 min token, renewed at 80 %"),
        new(3480, false, SdkFamily.Python, "python", Hour, "Python: 60 min token, renewed 120 s before it expires"),
        new(3571, false, SdkFamily.Arduino, "arduino-central", Hour, "Arduino ESP32 (Central sample): 60 min token, renewed 29 s before"),
        new(3600, false, SdkFamily.Arduino, "arduino-esp32", Hour, "Arduino ESP32 (Hub sample): 60 min token, renewed when it expires"),
        new(85_801, false, SdkFamily.Nano, "nanoframework", 86_400, "nanoFramework: 24 h token, renewed 10 min before", 10, 60),
        new(4200, true, SdkFamily.Dotnet, "dotnet", Hour, ".NET: 60 min token, cut by the hub 10 min after it expired", 5, 0.8),
        new(4201, true, SdkFamily.Java, "java", Hour, "Java: 60 min token (and 1 s), cut by the hub 10 min after it expired", 0.2, 14),
        new(3900, true, SdkFamily.Dotnet, "dotnet", Hour, ".NET: 60 min token, cut by the hub 5 min after it expired", 5, 0.8),
        new(3901, true, SdkFamily.Java, "java", Hour, "Java: 60 min token (and 1 s), cut by the hub 5 min after it expired", 0.2, 14),
        new(7800, true, SdkFamily.Unknown, "embedded-c", 2 * Hour, "Embedded C samples: 120 min token, cut 10 min after it expired"),
    ];

    // 1.5 x the default keep-alive of each SDK (facts/iothub.md §1.5).
    private static readonly (double Seconds, string Whose)[] KeepAlives =
        [(90, "Python"), (270, "Node.js"), (345, "Java"), (360, "C"), (450, ".NET")];

    /// <summary>Whether a length is the period of cuts of an SDK with its defaults.</summary>
    public static bool IsKnownCut(double seconds) => Array.Exists(Defaults, entry => entry.IsCut && Matches(entry, seconds));

    /// <summary>What the disconnects of a device suggest.</summary>
    public static RhythmSuggestion Suggest(DeviceHistory device)
    {
        if (device.Disconnects == 0)
        {
            return new("no disconnect");
        }

        if (device.Takeovers * 2 > device.Disconnects)
        {
            return new("suggests two clients with one identity, each taking the connection from the other");
        }

        if (device.QuotaCuts * 2 > device.Disconnects)
        {
            return new("suggests a used-up message quota: cut at every send");
        }

        bool areCuts = device.CleanDisconnects * 2 < device.Disconnects;
        Rhythm rhythm = Choose(device.Periods, Rhythm.OfSessions(device.Ends), areCuts);
        SdkFamily family = SdkNames.FamilyOf(device.SdkVersion);
        if (rhythm.Count == 0)
        {
            return new("too few records to see a rhythm");
        }

        if (family == SdkFamily.Agent && !areCuts)
        {
            return new($"suggests this project's agent: renewals drawn at random around every {Length(rhythm.Median)}", "agent");
        }

        if (rhythm.Count > 1 && !rhythm.IsRegular)
        {
            return areCuts
                ? new("irregular: suggests drops, not renewals; see --explain")
                : new("irregular but announced: suggests renewals spread at random, or an application that reconnects");
        }

        bool speakOfTokens = device.Ends.Count(end => end.SpeaksOfToken) * 2 >= device.Ends.Count;
        RhythmSuggestion suggestion = OfDefaults(rhythm.Median, areCuts, family)
            ?? (!areCuts ? OfRenewals(rhythm.Median, family)
                : speakOfTokens ? OfExpiries(rhythm, family)
                : OfOtherCuts(rhythm.Median));
        return rhythm.Count == 1
            ? suggestion with { Text = suggestion.Text + " (from one period only)" }
            : suggestion;
    }

    // A cut comes so long after the connect that made the token, however late the client came back; a renewal's timer may
    // have started with an earlier connect.
    private static Rhythm Choose(Rhythm periods, Rhythm sessions, bool areCuts)
    {
        (Rhythm first, Rhythm second) = areCuts ? (sessions, periods) : (periods, sessions);
        return first.IsRegular ? first
            : second.IsRegular ? second
            : first.Count > 0 && second.Count <= 1 ? first
            : second.Count > 0 ? second
            : first;
    }

    private static RhythmSuggestion? OfDefaults(double seconds, bool areCuts, SdkFamily family)
    {
        foreach (Default entry in Defaults)
        {
            // With a known family its own row counts, and with a wide step: the hub's grace is not exact to the second.
            bool isNear = family == SdkFamily.Unknown
                ? Matches(entry, seconds)
                : entry.Family == family && seconds >= entry.Seconds - 5 && seconds <= entry.Seconds + Math.Max(15, entry.After);
            if (entry.IsCut == areCuts && isNear)
            {
                string rest = family == SdkFamily.Unknown ? Neighbours(entry) : "";
                return new($"suggests {entry.Text}{rest}", entry.Sdk, entry.Lifetime);
            }
        }

        return null;
    }

    private static string Neighbours(in Default entry) => !entry.IsCut ? ""
        : entry.Family == SdkFamily.Dotnet ? " (Java lies 1 s later; other clients that never renew look the same)"
        : entry.Family == SdkFamily.Java ? " (.NET lies 1 s earlier; other clients that never renew look the same)"
        : "";

    private static RhythmSuggestion OfOtherCuts(double seconds)
    {
        foreach ((double keepAlive, string whose) in KeepAlives)
        {
            if (Math.Abs(seconds - keepAlive) <= 5)
            {
                return new($"suggests keep-alive loss: {keepAlive:0} s of silence is 1.5 x the default of {whose}");
            }
        }

        return new("regular drops without a word about the token: suggests a network device that ends idle connections, "
            + "or an application that crashes on a timer");
    }

    private static RhythmSuggestion OfExpiries(Rhythm rhythm, SdkFamily family)
    {
        (string? sdk, string who) = family switch
        {
            SdkFamily.Dotnet => ("dotnet", ".NET"),
            SdkFamily.Java => ("java", "Java"),
            SdkFamily.PythonV3 => ("python-v3", "Python v3"),
            SdkFamily.EmbeddedC => ("embedded-c", "the Embedded C library"),
            SdkFamily.FreeRtos => ("freertos", "the FreeRTOS middleware"),
            SdkFamily.Arduino => ("esp8266", "an Arduino sample without renewal"),
            _ => ((string?)null, "a client that does not renew (.NET, Java, an embedded sample)"),
        };
        double own = family == SdkFamily.Java ? 1 : 0;
        if (rhythm.P95 - rhythm.P5 > 30)
        {
            // The hub's grace varies: the shortest had 5 min of it, the longest 10.
            double about = Math.Round(((rhythm.P5 - ShortGrace) + (rhythm.P95 - Grace)) / 120) * 60;
            return about > 0
                ? new($"suggests {who}: token of about {Length(about)}, cut by the hub 5 to 10 min after it expired", sdk, about)
                : new($"suggests {who}: cut by the hub after its token expired", sdk);
        }

        double lifetime = Math.Floor(rhythm.Median + 0.2 - Grace - own);
        return lifetime > 0
            ? new($"suggests {who}: token of {Length(lifetime)}, cut by the hub 10 min after it expired "
                + $"({Length(lifetime + Grace - ShortGrace)} if it allows 5 min)", sdk, lifetime)
            : new($"suggests {who} with a token of {Length(Math.Max(rhythm.Median - ShortGrace - own, 0))} or less", sdk);
    }

    private static RhythmSuggestion OfRenewals(double seconds, SdkFamily family)
    {
        switch (family)
        {
            case SdkFamily.Node:
                return new(
                    $"suggests Node.js renewing every {Length(seconds)}: token of {Length(seconds + 900)} with its default margin "
                    + "of 15 min, shorter with a smaller one", "node", Round(seconds + 900));
            case SdkFamily.C:
                return new($"suggests C: token of {Length((seconds - 1) / 0.8)}, renewed at 80 %", "c", Round((seconds - 1) / 0.8));
            case SdkFamily.Python:
                return new(
                    $"suggests Python: token of {Length(seconds + 120)}, renewed 120 s before it expires", "python", Round(seconds + 120));
            case SdkFamily.Arduino when IsWholeMinutes(seconds + 29):
                return new(
                    $"suggests Arduino ESP32 (Central sample): token of {Length(seconds + 29)}, renewed 29 s before", "arduino-central",
                    Round(seconds + 29));
            case SdkFamily.Arduino:
                return new(
                    $"suggests Arduino ESP32 (Hub sample): token of {Length(seconds)}, renewed when it expires", "arduino-esp32",
                    Round(seconds));
        }

        string rounds = string.Join(" or ", RoundLifetimes(seconds));
        return new(rounds.Length > 0
            ? $"announced and regular: suggests planned renewals, such as {rounds}"
            : $"announced and regular, every {Length(seconds)}: suggests planned renewals");
    }

    // The rules whose lifetime would be a whole number of five minutes, as people choose them.
    private static IEnumerable<string> RoundLifetimes(double seconds)
    {
        (string Name, double Lifetime)[] rules =
        [
            ("Node.js", seconds + 900), ("Python", seconds + 120), ("C", (seconds - 1) / 0.8), ("an Arduino sample", seconds),
        ];
        foreach ((string name, double lifetime) in rules)
        {
            double whole = Math.Round(lifetime / 300) * 300;
            if (whole > 0 && lifetime - whole is > -1.5 and < 3)
            {
                yield return $"{name} with a token of {Length(whole)}";
            }
        }
    }

    private static bool Matches(in Default entry, double seconds) =>
        seconds >= entry.Seconds - entry.Before && seconds < entry.Seconds + entry.After;

    private static bool IsWholeMinutes(double seconds) => Math.Abs(seconds - (Math.Round(seconds / 60) * 60)) <= 3;

    private static double Round(double seconds) => Math.Round(seconds);

    private static string Length(double seconds)
    {
        string Text(double number) => number.ToString("0.#", CultureInfo.InvariantCulture);
        // A second of handshake does not make 20 min into 20.02 min.
        double minutes = Math.Round(seconds / 60);
        return seconds >= 120 && Math.Abs(seconds - (minutes * 60)) <= 3
            ? minutes >= 600 && minutes % 60 == 0 ? Text(minutes / 60) + " h" : Text(minutes) + " min"
            : Text(seconds) + " s";
    }
}
