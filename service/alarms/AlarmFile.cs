using System.Text.Json;

namespace Agent.Service.Alarms;

/// <summary>What the file of <c>--alarms</c> says: who we are, and whom to tell.</summary>
public sealed record AlarmSettings
{
    /// <summary>Names this checker in every notice and in the ids by which receivers know repetitions. To be kept.</summary>
    public required string Installation { get; init; }

    /// <summary>Where this checker's page is, for links; null = no links.</summary>
    public Uri? Page { get; init; }

    /// <summary>Whom to tell; at least one, without problems and with names of their own.</summary>
    public required IReadOnlyList<Destination> Destinations { get; init; }
}

/// <summary>Reads the file of destinations: JSON, in which comments and a comma at the end of a list are allowed.</summary>
/// <remarks>
/// A key that is not known is refused with its place and not skipped: a mistyped <c>"quiet"</c> would otherwise be found out at three in
/// the morning. Values are never repeated in a problem, because one of them is the secret and another may hold one.
/// </remarks>
public static class AlarmFile
{
    private const int BytesMax = 1 << 20;
    private const int DestinationsMax = 32;
    private const string FileKeys = "installation, page, destinations";
    private const string DestinationKeys = "name, url, secret, formerSecret, severity, quiet, timeZone";

    private static readonly string[] SeverityNames = ["information", "warning", "error", "critical"];

    private static readonly JsonDocumentOptions Format = new()
    {
        CommentHandling = JsonCommentHandling.Skip,
        AllowTrailingCommas = true,
        MaxDepth = 8,
    };

    /// <summary>Reads the file.</summary>
    /// <param name="path">Where it is.</param>
    /// <param name="settings">What it says; null = there is a problem.</param>
    /// <param name="problem">One line with the place in the file, without values; empty = none.</param>
    public static bool TryRead(string path, out AlarmSettings? settings, out string problem)
    {
        settings = null;
        try
        {
            var file = new FileInfo(path);
            problem = file.Length > BytesMax ? $"{path}: larger than {BytesMax} bytes" : "";
            if (problem.Length > 0 || TryParse(File.ReadAllBytes(path), out settings, out problem))
            {
                return problem.Length == 0;
            }

            problem = $"{path}: {problem}";
        }
        catch (Exception failed) when (failed is IOException or UnauthorizedAccessException)
        {
            problem = $"{path} cannot be read";
        }

        return false;
    }

    /// <summary>As <see cref="TryRead"/>, from bytes.</summary>
    public static bool TryParse(ReadOnlyMemory<byte> json, out AlarmSettings? settings, out string problem)
    {
        settings = null;
        try
        {
            // A byte order mark, as some editors write one, is no part of the JSON.
            ReadOnlyMemory<byte> text = json.Span.StartsWith("\uFEFF"u8) ? json[3..] : json;
            using JsonDocument document = JsonDocument.Parse(text, Format);
            settings = SettingsOf(document.RootElement);
            problem = "";
            return true;
        }
        catch (JsonException broken)
        {
            problem = $"line {broken.LineNumber + 1}: not JSON";
        }
        catch (InvalidDataException wrong)
        {
            problem = wrong.Message;
        }

        return false;
    }

    private static AlarmSettings SettingsOf(JsonElement root)
    {
        string? installation = null;
        Uri? page = null;
        var destinations = new List<Destination>();
        foreach ((string name, string path, JsonElement value) in Members(root, "$", FileKeys))
        {
            switch (name)
            {
                case "installation":
                    installation = Text(value, path);
                    bool isName = installation.Length is > 0 and <= 64
                        && installation.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_' or '.');
                    _ = isName ? 0 : throw Wrong(path, "1 to 64 letters, digits, '-', '_' or '.'");
                    break;
                case "page":
                    page = Address(value, path);
                    break;
                default:
                    _ = value.ValueKind == JsonValueKind.Array && value.GetArrayLength() is > 0 and <= DestinationsMax
                        ? 0 : throw Wrong(path, $"a list of 1 to {DestinationsMax} destinations");
                    destinations.AddRange(value.EnumerateArray().Select((each, index) => DestinationOf(each, $"{path}[{index}]")));
                    break;
            }
        }

        string? twice = destinations.GroupBy(each => each.Name, StringComparer.Ordinal).FirstOrDefault(group => group.Count() > 1)?.Key;
        return new AlarmSettings
        {
            Installation = installation ?? throw Wrong("$.installation", "needed: the name of this checker"),
            Page = page,
            Destinations = destinations.Count == 0 ? throw Wrong("$.destinations", "needed")
                : twice is not null ? throw Wrong("$.destinations", $"two have the name {twice}")
                : destinations,
        };
    }

    private static Destination DestinationOf(JsonElement element, string place)
    {
        string? name = null;
        Uri? url = null;
        WebhookSecret? secret = null;
        WebhookSecret? former = null;
        Severity severity = Severity.Warning;
        string? quiet = null;
        TimeZoneInfo zone = TimeZoneInfo.Utc;
        foreach ((string key, string path, JsonElement value) in Members(element, place, DestinationKeys))
        {
            switch (key)
            {
                case "name":
                    name = Text(value, path);
                    break;
                case "url":
                    url = Address(value, path);
                    break;
                case "secret":
                    secret = Secret(value, path);
                    break;
                case "formerSecret":
                    former = Secret(value, path);
                    break;
                case "severity":
                    int index = Array.IndexOf(SeverityNames, Text(value, path));
                    severity = index >= 0 ? (Severity)index : throw Wrong(path, "one of " + string.Join(", ", SeverityNames));
                    break;
                case "quiet":
                    quiet = Text(value, path);
                    break;
                default:
                    zone = TimeZoneInfo.TryFindSystemTimeZoneById(Text(value, path), out TimeZoneInfo? found)
                        ? found : throw Wrong(path, "a time zone such as Europe/Berlin");
                    break;
            }
        }

        QuietHours? hours = null;
        if (quiet is not null && !QuietHours.TryParse(quiet, zone, out hours, out string problem))
        {
            throw Wrong(place + ".quiet", problem);
        }

        var destination = new Destination
        {
            Name = name ?? throw Wrong(place + ".name", "needed"),
            Url = url ?? throw Wrong(place + ".url", "needed"),
            Secret = secret,
            FormerSecret = former,
            SeverityMin = severity,
            Quiet = hours,
        };
        return destination.FindProblem() is { } wrong ? throw Wrong(place, wrong) : destination;
    }

    private static IEnumerable<(string Name, string Path, JsonElement Value)> Members(JsonElement element, string place, string allowed)
    {
        if (element.ValueKind != JsonValueKind.Object)
        {
            throw Wrong(place, $"an object with {allowed}");
        }

        string[] names = allowed.Split(", ");
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (JsonProperty member in element.EnumerateObject())
        {
            bool isPlain = member.Name.Length is > 0 and <= 64 && member.Name.All(char.IsAsciiLetterOrDigit);
            string path = place + "." + (isPlain ? member.Name : "?");
            yield return !names.Contains(member.Name) ? throw Wrong(path, "not known here; allowed are " + allowed)
                : !seen.Add(member.Name) ? throw Wrong(path, "given twice")
                : (member.Name, path, member.Value);
        }
    }

    private static string Text(JsonElement value, string path) =>
        value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Wrong(path, "a text in quotes");

    private static Uri Address(JsonElement value, string path) =>
        Uri.TryCreate(Text(value, path), UriKind.Absolute, out Uri? address) && address.Scheme is "http" or "https"
            ? address : throw Wrong(path, "an address with https:// or http://");

    private static WebhookSecret Secret(JsonElement value, string path) =>
        WebhookSecret.TryParse(Text(value, path), out WebhookSecret? secret, out string problem) ? secret! : throw Wrong(path, problem);

    private static InvalidDataException Wrong(string path, string what) => new($"{path}: {what}");
}
