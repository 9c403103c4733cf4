using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Agent.Hub;

/// <summary>
/// Reads a cloud-to-device message from <c>POST /local/devices/{id}/messages/devicebound</c>: a route, and so a format, of ours.
/// </summary>
/// <remarks>
/// <para>Two forms. With <c>Content-Type: application/json</c> the body is an envelope; unknown members are refused:</para>
/// <code>
/// { "body": any JSON (a text is sent as that text, anything else as JSON), or "bodyBase64": "…",
///   "messageId", "correlationId", "userId", "contentType", "contentEncoding": texts,
///   "ack": "none" | "positive" | "negative" | "full",
///   "expiryTimeUtc": "2026-01-31T12:00:00Z", or "timeToLiveSeconds": 1 to 172800,
///   "properties": { "name": "value", "bare": null } }
/// </code>
/// <para>With any other content type, or none, the body is sent as it is, and the rest are headers named as on the cloud's own HTTP way
/// to a device: <c>iothub-messageid</c>, <c>iothub-correlationid</c>, <c>iothub-userid</c>, <c>iothub-contenttype</c>,
/// <c>iothub-contentencoding</c>, <c>iothub-ack</c>, <c>iothub-expiry</c>, and <c>iothub-app-NAME</c> for an application property.</para>
/// <para>The answer is <c>{"messageId":"…"}</c>: the one given, or a fresh one, since feedback needs one.</para>
/// </remarks>
internal static class CommandReader
{
    /// <summary>A message of 64 KB whose every byte is an escape of six.</summary>
    public const int BodyLengthMax = 6 * CommandMessage.LengthMax;

    /// <summary>Two days (facts/iothub.md §5).</summary>
    private const int TimeToLiveSecondsMax = 172_800;

    private const int TextLengthMax = 128;
    private const int NameLengthMax = 256;
    private const string AppPrefix = "iothub-app-";

    /// <summary>Reads either form; null with all that is wrong.</summary>
    public static CommandMessage? Read(HttpCall call, List<string> problems)
    {
        string type = call.Context.Request.ContentType ?? "";
        int end = type.IndexOf(';', StringComparison.Ordinal);
        bool isEnvelope = (end < 0 ? type : type[..end]).Trim().Equals("application/json", StringComparison.OrdinalIgnoreCase);
        Parts parts;
        try
        {
            parts = isEnvelope ? ReadEnvelope(call.Body, problems) : ReadHeaders(call);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            problems.Add("the body is not valid JSON");
            return null;
        }

        CommandMessage message = Check(parts, call.UtcMs, problems);
        return problems.Count == 0 ? message : null;
    }

    private static Parts ReadHeaders(HttpCall call) => new()
    {
        Payload = call.Body,
        MessageId = call.Header("iothub-messageid"),
        CorrelationId = call.Header("iothub-correlationid"),
        UserId = call.Header("iothub-userid"),
        ContentType = call.Header("iothub-contenttype"),
        ContentEncoding = call.Header("iothub-contentencoding"),
        Ack = call.Header("iothub-ack"),
        Expiry = call.Header("iothub-expiry"),
        Properties = [.. call.Context.Request.Headers
            .Where(header => header.Key.StartsWith(AppPrefix, StringComparison.OrdinalIgnoreCase))
            .Select(header => KeyValuePair.Create(header.Key[AppPrefix.Length..], (string?)header.Value.ToString()))],
    };

    private static Parts ReadEnvelope(ReadOnlyMemory<byte> body, List<string> problems)
    {
        using JsonDocument document = JsonDocument.Parse(body, IdentityReader.Strict);
        var parts = new Parts();
        if (document.RootElement.ValueKind != JsonValueKind.Object)
        {
            problems.Add("the body must be a JSON object");
            return parts;
        }

        if (document.RootElement.TryGetProperty("body", out _) && document.RootElement.TryGetProperty("bodyBase64", out _))
        {
            problems.Add("give body or bodyBase64, not both");
        }

        foreach (JsonProperty member in document.RootElement.EnumerateObject())
        {
            ReadMember(member, parts, problems);
        }

        return parts;
    }

    private static void ReadMember(JsonProperty member, Parts parts, List<string> problems)
    {
        switch (member.Name)
        {
            case "body":
                parts.Payload = Encoding.UTF8.GetBytes(
                    member.Value.ValueKind == JsonValueKind.String ? member.Value.GetString()! : member.Value.GetRawText());
                break;
            case "bodyBase64":
                byte[]? bytes = null;
                Demand(member.Value.ValueKind == JsonValueKind.String && member.Value.TryGetBytesFromBase64(out bytes),
                    "bodyBase64 must be base64", problems);
                parts.Payload = bytes;
                break;
            case "messageId":
                parts.MessageId = Text(member, problems);
                break;
            case "correlationId":
                parts.CorrelationId = Text(member, problems);
                break;
            case "userId":
                parts.UserId = Text(member, problems);
                break;
            case "contentType":
                parts.ContentType = Text(member, problems);
                break;
            case "contentEncoding":
                parts.ContentEncoding = Text(member, problems);
                break;
            case "ack":
                parts.Ack = Text(member, problems);
                break;
            case "expiryTimeUtc":
                parts.Expiry = Text(member, problems);
                break;
            case "timeToLiveSeconds":
                bool isSeconds = member.Value.ValueKind == JsonValueKind.Number
                    && member.Value.TryGetInt32(out parts.TimeToLiveSeconds) && parts.TimeToLiveSeconds is >= 1 and <= TimeToLiveSecondsMax;
                Demand(isSeconds, $"timeToLiveSeconds must be a whole number from 1 to {TimeToLiveSecondsMax}", problems);
                break;
            case "properties":
                ReadProperties(member.Value, parts, problems);
                break;
            default:
                problems.Add($"unknown member {Shown(member.Name)}");
                break;
        }
    }

    private static void ReadProperties(JsonElement value, Parts parts, List<string> problems)
    {
        if (value.ValueKind != JsonValueKind.Object)
        {
            problems.Add("properties must be an object");
            return;
        }

        foreach (JsonProperty property in value.EnumerateObject())
        {
            parts.Properties.Add(KeyValuePair.Create(property.Name, Text(property, problems)));
        }
    }

    private static CommandMessage Check(Parts parts, long utcMs, List<string> problems)
    {
        Demand(CommandMessage.TryReadAck(parts.Ack, out CommandAck ack), "ack must be none, positive, negative or full", problems);
        Demand(
            parts.MessageId is null || Registry.IsId(parts.MessageId), "messageId must be 1 to 128 of the characters ids have", problems);
        foreach ((string name, string? text) in new[]
        {
            ("correlationId", parts.CorrelationId), ("userId", parts.UserId),
            ("contentType", parts.ContentType), ("contentEncoding", parts.ContentEncoding),
        })
        {
            Demand(text is null || text.Length <= TextLengthMax, $"{name} must be at most {TextLengthMax} characters", problems);
        }

        long? expiry = null;
        if (parts.Expiry is not null)
        {
            Demand(parts.TimeToLiveSeconds == 0, "give expiryTimeUtc or timeToLiveSeconds, not both", problems);
            bool isTime = DateTimeOffset.TryParseExact(
                parts.Expiry, "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK", CultureInfo.InvariantCulture,
                DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out DateTimeOffset at);
            Demand(isTime, "the expiry must be written like 2026-01-31T12:00:00Z", problems);
            expiry = at.ToUnixTimeMilliseconds();
        }
        else if (parts.TimeToLiveSeconds > 0)
        {
            expiry = utcMs + (parts.TimeToLiveSeconds * 1000L);
        }

        foreach ((string name, _) in parts.Properties)
        {
            bool isName = name.Length is > 0 and <= NameLengthMax && !name.AsSpan().ContainsAnyExceptInRange(' ', '~') && name[0] != '$';
            Demand(isName, $"a property's name must be 1 to {NameLengthMax} printable ASCII characters and not begin with $", problems);
        }

        return new CommandMessage
        {
            Payload = parts.Payload,
            MessageId = parts.MessageId ?? Guid.NewGuid().ToString(),
            CorrelationId = parts.CorrelationId,
            UserId = parts.UserId,
            ContentType = parts.ContentType,
            ContentEncoding = parts.ContentEncoding,
            Ack = ack,
            ExpiryUtcMs = expiry,
            Properties = parts.Properties,
        };
    }

    private static string? Text(JsonProperty member, List<string> problems)
    {
        if (member.Value.ValueKind is JsonValueKind.String or JsonValueKind.Null)
        {
            return member.Value.GetString();
        }

        problems.Add($"{Shown(member.Name)} must be a text");
        return null;
    }

    private static string Shown(string name) => name.Length <= 40 ? name : name[..40] + "…";

    private static void Demand(bool holds, string problem, List<string> problems)
    {
        if (!holds && !problems.Contains(problem))
        {
            problems.Add(problem);
        }
    }

    private sealed class Parts
    {
        public int TimeToLiveSeconds;

        public ReadOnlyMemory<byte> Payload { get; set; }

        public string? MessageId { get; set; }

        public string? CorrelationId { get; set; }

        public string? UserId { get; set; }

        public string? ContentType { get; set; }

        public string? ContentEncoding { get; set; }

        public string? Ack { get; set; }

        public string? Expiry { get; set; }

        public List<KeyValuePair<string, string?>> Properties { get; set; } = [];
    }
}
