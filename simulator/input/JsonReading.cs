using System.Globalization;
using System.Text.Json;

namespace Agent.Input;

// Reading a file a person wrote: unknown keys, wrong kinds and impossible values are refused, each with its JSON path. A
// serializer would fill objects for us, but its messages speak of types and members, not of what the person may write.

/// <summary>One JSON object being read, with its path.</summary>
internal sealed class JsonReading
{
    private readonly JsonElement element;
    private readonly HashSet<string> seen = [];

    public JsonReading(JsonElement element, string path)
    {
        if (element.ValueKind != JsonValueKind.Object)
        {
            throw new BadInputException($"{path}: expected an object, found {KindName(element)}");
        }

        this.element = element;
        Path = path;
    }

    public string Path { get; }

    public bool Has(string key) => element.TryGetProperty(key, out _);

    /// <summary>Refuses every key that no one has asked for.</summary>
    public void RefuseTheRest()
    {
        foreach (JsonProperty property in element.EnumerateObject())
        {
            if (!seen.Contains(property.Name))
            {
                throw new BadInputException(
                    $"{Path}: unknown key \"{Clip(property.Name)}\"; allowed: {string.Join(", ", seen)}");
            }
        }
    }

    public bool TryGet(string key, out JsonElement value, out string path)
    {
        seen.Add(key);
        path = $"{Path}.{key}";
        return element.TryGetProperty(key, out value);
    }

    public string? Text(string key)
    {
        if (!TryGet(key, out JsonElement value, out string path))
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.String
            ? value.GetString()!
            : throw new BadInputException($"{path}: expected text, found {KindName(value)}");
    }

    public string Choice(string key, string fallback, IEnumerable<string> allowed)
    {
        string text = Text(key) ?? fallback;
        return allowed.Contains(text)
            ? text
            : throw new BadInputException($"{Path}.{key}: unknown value \"{Clip(text)}\"; allowed: {string.Join(", ", allowed)}");
    }

    public bool Flag(string key, bool fallback)
    {
        if (!TryGet(key, out JsonElement value, out string path))
        {
            return fallback;
        }

        return value.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            _ => throw new BadInputException($"{path}: expected true or false, found {KindName(value)}"),
        };
    }

    public long? Whole(string key, long min, long max)
    {
        if (!TryGet(key, out JsonElement value, out string path))
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt64(out long number))
        {
            throw new BadInputException($"{path}: expected a whole number, found {Show(value)}");
        }

        return number >= min && number <= max
            ? number
            : throw new BadInputException($"{path}: {number} is out of range; allowed: {min} to {max}");
    }

    /// <param name="key">Name.</param>
    /// <param name="min">Smallest value.</param>
    /// <param name="max">Largest value.</param>
    /// <param name="open">Whether both bounds themselves are refused.</param>
    public double? Real(string key, double min, double max, bool open = false)
    {
        if (!TryGet(key, out JsonElement value, out string path))
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Number || !value.TryGetDouble(out double number) || !double.IsFinite(number))
        {
            throw new BadInputException($"{path}: expected a number, found {Show(value)}");
        }

        bool inside = open ? number > min && number < max : number >= min && number <= max;
        string Bound(double bound) => bound.ToString(CultureInfo.InvariantCulture);
        string allowed = open ? $"between {Bound(min)} and {Bound(max)}" : $"{Bound(min)} to {Bound(max)}";
        return inside
            ? number
            : throw new BadInputException($"{path}: {Bound(number)} is out of range; allowed: {allowed}");
    }

    /// <summary>A .NET TimeSpan text in ms; null when the key is absent.</summary>
    public long? Duration(string key, long minMs, long maxMs)
    {
        if (!TryGet(key, out JsonElement value, out string path))
        {
            return null;
        }

        return Duration(value, path, minMs, maxMs);
    }

    public static long Duration(JsonElement value, string path, long minMs, long maxMs)
    {
        const string Form = "a duration is text like \"00:20:00\" or \"1.00:00:00\" (days.hours:minutes:seconds)";
        if (value.ValueKind != JsonValueKind.String)
        {
            throw new BadInputException($"{path}: expected a duration, found {KindName(value)}; {Form}");
        }

        string text = value.GetString()!;
        if (text.StartsWith('-'))
        {
            throw new BadInputException($"{path}: \"{Clip(text)}\" is negative; a duration is not");
        }

        int hoursAt = text.IndexOf('.') is int dot && dot >= 0 && dot < text.IndexOf(':') ? dot + 1 : 0;
        int colon = text.IndexOf(':');
        if (colon > hoursAt && int.TryParse(
                text.AsSpan(hoursAt, colon - hoursAt), NumberStyles.None, CultureInfo.InvariantCulture, out int hours) && hours > 23)
        {
            throw new BadInputException(
                $"{path}: \"{Clip(text)}\" has {hours} hours, at most 23 are allowed; write days as \"1.00:00:00\"");
        }

        if (!TimeSpan.TryParseExact(text, "c", CultureInfo.InvariantCulture, out TimeSpan length) || colon < 0)
        {
            throw new BadInputException($"{path}: \"{Clip(text)}\" is not a duration; {Form}");
        }

        if (length.Ticks % TimeSpan.TicksPerMillisecond != 0)
        {
            throw new BadInputException($"{path}: \"{Clip(text)}\" is finer than a millisecond, the resolution of a run");
        }

        long ms = length.Ticks / TimeSpan.TicksPerMillisecond;
        return ms >= minMs && ms <= maxMs
            ? ms
            : throw new BadInputException(
                $"{path}: \"{Clip(text)}\" is out of range; allowed: " +
                $"{TimeSpan.FromMilliseconds(minMs):c} to {TimeSpan.FromMilliseconds(maxMs):c}");
    }

    public JsonReading? Object(string key) =>
        TryGet(key, out JsonElement value, out string path) ? new JsonReading(value, path) : null;

    /// <summary>Elements of an array with their paths; empty when the key is absent.</summary>
    public IEnumerable<(JsonElement Value, string Path)> Items(string key)
    {
        if (!TryGet(key, out JsonElement value, out string path))
        {
            yield break;
        }

        if (value.ValueKind != JsonValueKind.Array)
        {
            throw new BadInputException($"{path}: expected a list, found {KindName(value)}");
        }

        int index = 0;
        foreach (JsonElement item in value.EnumerateArray())
        {
            yield return (item, $"{path}[{index++}]");
        }
    }

    public IEnumerable<JsonProperty> Properties() => element.EnumerateObject();

    public void Allow(string key) => seen.Add(key);

    public static string KindName(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => "text",
        JsonValueKind.Number => "a number",
        JsonValueKind.Null => "null",
        _ => "true or false",
    };

    public static string Clip(string text)
    {
        string shown = text.Length > 40 ? text[..40] + "…" : text;
        return string.Create(shown.Length, shown, (span, source) =>
        {
            for (int i = 0; i < span.Length; i++)
            {
                span[i] = char.IsControl(source[i]) ? '?' : source[i];
            }
        });
    }

    private static string Show(JsonElement element) =>
        element.ValueKind == JsonValueKind.Number ? Clip(element.GetRawText()) : KindName(element);
}
