using System.Buffers.Text;
using System.Text;
using System.Text.Json;

namespace Agent.Hub;

/// <summary>A direct method as a service asks for it: the body of <c>POST /twins/{id}/methods</c>.</summary>
/// <param name="Name">The method.</param>
/// <param name="Payload">JSON as it came; empty = none.</param>
/// <param name="ResponseTimeoutSeconds">How long the device may take to answer.</param>
/// <param name="ConnectTimeoutSeconds">How long the hub waits for a device that is not there.</param>
public sealed record MethodRequest(string Name, ReadOnlyMemory<byte> Payload, int ResponseTimeoutSeconds, int ConnectTimeoutSeconds)
{
    /// <summary>Each way (facts/iothub.md §6).</summary>
    public const int PayloadLengthMax = 131_072;

    public const int TimeoutSecondsMin = 5;
    public const int TimeoutSecondsMax = 300;
    public const int TimeoutSecondsDefault = 30;

    private const int NameLengthMax = 100;

    // The vendor's page forbids the separators of HTTP; '#' and '+' cannot stand in an MQTT topic.
    private const string NameForbidden = "$()<>@,;:\\\"/[]?={}#+";

    /// <summary>The rest of the body beside the payload.</summary>
    private const int EnvelopeLengthMax = 4096;

    /// <summary>Reads a request; false with all that is wrong with it.</summary>
    public static bool TryParse(ReadOnlySpan<byte> body, out MethodRequest? request, out IReadOnlyList<string> problems)
    {
        var found = new List<string>();
        problems = found;
        request = null;
        if (body.Length > PayloadLengthMax + EnvelopeLengthMax)
        {
            found.Add($"the body is longer than {PayloadLengthMax + EnvelopeLengthMax} bytes");
            return false;
        }

        string? name = null;
        ReadOnlyMemory<byte> payload = default;
        int response = TimeoutSecondsDefault, connect = 0;
        try
        {
            var reader = new Utf8JsonReader(body);
            using JsonDocument document = JsonDocument.ParseValue(ref reader);
            if (reader.Read() || document.RootElement.ValueKind != JsonValueKind.Object)
            {
                found.Add("the body must be a JSON object");
                return false;
            }

            foreach (JsonProperty member in document.RootElement.EnumerateObject())
            {
                switch (member.Name)
                {
                    case "methodName":
                        name = member.Value.ValueKind == JsonValueKind.String ? member.Value.GetString() : null;
                        break;
                    case "payload":
                        payload = Encoding.UTF8.GetBytes(member.Value.GetRawText());
                        break;
                    case "responseTimeoutInSeconds":
                        response = Seconds(member, TimeoutSecondsMin, TimeoutSecondsDefault, found);
                        break;
                    case "connectTimeoutInSeconds":
                        connect = Seconds(member, 0, 0, found);
                        break;
                }
            }
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            found.Add("the body is not valid JSON");
            return false;
        }

        if (!IsName(name))
        {
            found.Add($"methodName must be 1 to {NameLengthMax} printable ASCII characters, no blank and none of {NameForbidden}");
        }

        if (payload.Length > PayloadLengthMax)
        {
            found.Add($"payload is longer than {PayloadLengthMax} bytes");
        }

        request = found.Count == 0 ? new MethodRequest(name!, payload, response, connect) : null;
        return request is not null;
    }

    /// <summary>
    /// Reads what follows <c>$iothub/methods/res/</c>: <c>{status}/?$rid={id}</c>. False = a topic the hub does not know.
    /// </summary>
    public static bool TryParseAnswer(ReadOnlySpan<byte> rest, out int status, out long requestId)
    {
        requestId = 0;
        if (!Utf8Parser.TryParse(rest, out status, out int used) || !rest[used..].StartsWith("/?$rid="u8))
        {
            return false;
        }

        // SDKs send properties of their own behind the id.
        ReadOnlySpan<byte> id = rest[(used + "/?$rid=".Length)..];
        int end = id.IndexOf((byte)'&');
        id = end < 0 ? id : id[..end];
        return Utf8Parser.TryParse(id, out requestId, out int digits, 'x') && digits == id.Length;
    }

    /// <summary>Whether these bytes are empty or one JSON value, within the limit.</summary>
    public static bool IsPayload(ReadOnlySpan<byte> payload)
    {
        if (payload.Length > PayloadLengthMax)
        {
            return false;
        }

        try
        {
            var reader = new Utf8JsonReader(payload);
            while (payload.Length > 0 && reader.Read())
            {
            }

            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static bool IsName(string? name) => name is { Length: >= 1 and <= NameLengthMax }
        && !name.AsSpan().ContainsAnyExceptInRange('!', '~') && !name.AsSpan().ContainsAny(NameForbidden);

    private static int Seconds(JsonProperty member, int min, int whenNull, List<string> problems)
    {
        if (member.Value.ValueKind == JsonValueKind.Null)
        {
            return whenNull;
        }

        if (member.Value.ValueKind == JsonValueKind.Number && member.Value.TryGetInt32(out int seconds)
            && seconds >= min && seconds <= TimeoutSecondsMax)
        {
            return seconds;
        }

        problems.Add($"{member.Name} must be a whole number from {min} to {TimeoutSecondsMax}");
        return whenNull;
    }
}
