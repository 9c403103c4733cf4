using System.Buffers;
using System.Text.Json;

namespace Agent.Hub;

/// <summary><c>POST /devices</c>: up to 100 identities created, changed or deleted, each for itself.</summary>
/// <remarks>
/// The rows are worked off in their order, and a bad one does not stop those behind it; the answer lists what went wrong and is 400 as
/// soon as anything did (facts/iothub.md §7). A row names its id <c>id</c> and its etag <c>eTag</c>; the npm SDK and Azure IoT Explorer
/// write <c>etag</c>, and modes in several cases, so neither's case matters. A row may carry <c>tags</c> and
/// <c>properties.desired</c> for the twin, under an etag of their own (the vendor's bulk page). Only a body that is no list of
/// 1 to 100 objects is refused as a whole.
/// </remarks>
internal static class BulkRoute
{
    /// <summary>100 identities with twins of ordinary size.</summary>
    public const int BodyLengthMax = 1 << 20;

    /// <summary>Rows in one request (the npm SDK refuses more, too).</summary>
    private const int RowsMax = 100;

    private enum Work : byte
    {
        Create,
        Update,
        CreateOrUpdate,
        Delete,
        UpdateTwin,
    }

    public static async Task<HttpAnswer> RunAsync(HttpCall call)
    {
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(call.Body, IdentityReader.Strict);
        }
        catch (JsonException)
        {
            return HubError.ArgumentInvalid("the body is not valid JSON");
        }

        using (document)
        {
            JsonElement rows = document.RootElement;
            if (rows.ValueKind != JsonValueKind.Array || rows.GetArrayLength() is 0 or > RowsMax)
            {
                return HubError.ArgumentInvalid($"the body must be a list of 1 to {RowsMax} identities");
            }

            var errors = new List<(string Id, string? ModuleId, string Mode, HubError Error)>();
            var seen = new HashSet<string>(StringComparer.Ordinal);
            foreach (JsonElement row in rows.EnumerateArray())
            {
                var problems = new List<string>();
                (string id, string? moduleId, string mode) = ("", null, "");
                HubError? error;
                try
                {
                    id = Text(row, "id", problems) ?? "";
                    moduleId = Text(row, "moduleId", problems);
                    mode = Text(row, "importMode", problems) ?? "createOrUpdate";
                    error = !seen.Add(id + "/" + moduleId)
                        ? new HubError(400013, "DeviceDefinedMultipleTimes", "The list has this identity twice.")
                        : await WorkAsync(call.Hub, row, id, moduleId, mode, problems).ConfigureAwait(false);
                }
                catch (InvalidOperationException)
                {
                    error = HubError.ArgumentInvalid("a text has half a surrogate pair");
                }

                if (error is not null)
                {
                    errors.Add((id, moduleId, mode, error));
                }
            }

            return Result(errors);
        }
    }

    private static async Task<HubError?> WorkAsync(
        HubServer hub, JsonElement row, string id, string? moduleId, string mode, List<string> problems)
    {
        if (!Registry.IsId(id) || (moduleId is not null && !Registry.IsId(moduleId)))
        {
            problems.Add("id or moduleId is empty, too long or has a character that it cannot have");
        }

        if (!TryReadMode(mode, out Work work, out bool comparesETag))
        {
            problems.Add("importMode must be create, update, updateIfMatchETag, createOrUpdate, createOrUpdateIfMatchETag, delete, "
                + "deleteIfMatchETag, updateTwin or updateTwinIfMatchETag");
        }

        string? eTag = Text(row, "eTag", problems);
        string? twinETag = Text(row, "twinETag", problems);
        if (comparesETag && work != Work.UpdateTwin && eTag is null)
        {
            problems.Add("eTag is missing");
        }

        IdentityDraft? draft = work is Work.Delete or Work.UpdateTwin
            ? null
            : IdentityReader.Read(row, "id", id, moduleId, problems);
        if (problems.Count > 0)
        {
            return HubError.ArgumentInvalid(string.Join("; ", problems));
        }

        bool isThere = hub.Registry.TryFind(id, moduleId, out Device? device);
        if (work is Work.Delete or Work.UpdateTwin)
        {
            return !isThere
                ? moduleId is null ? HubError.DeviceNotFound(id) : HubError.ModuleNotFound($"{id}/{moduleId}")
                : work == Work.Delete ? await hub.DeleteAsync(device!, comparesETag ? eTag : "*").ConfigureAwait(false)
                : await ChangeTwinAsync(hub, row, device!, comparesETag ? twinETag ?? eTag : "*").ConfigureAwait(false);
        }

        HubAnswer<Device> done = await (work == Work.Create || (work == Work.CreateOrUpdate && !isThere)
            ? hub.CreateAsync(draft!)
            : hub.UpdateAsync(draft!, comparesETag ? eTag : "*")).ConfigureAwait(false);
        return done.Error ?? await ChangeTwinAsync(hub, row, done.Value!, comparesETag ? twinETag : "*").ConfigureAwait(false);
    }

    /// <summary>Patches the twin with what the row says of it; nothing when it says nothing.</summary>
    private static async Task<HubError?> ChangeTwinAsync(HubServer hub, JsonElement row, Device device, string? eTag)
    {
        bool hasTags = row.TryGetProperty("tags", out JsonElement tags) && tags.ValueKind != JsonValueKind.Null;
        JsonElement desired = default;
        bool hasDesired = row.TryGetProperty("properties", out JsonElement properties) && properties.ValueKind == JsonValueKind.Object
            && properties.TryGetProperty("desired", out desired) && desired.ValueKind != JsonValueKind.Null;
        if (!hasTags && !hasDesired)
        {
            return null;
        }

        var patch = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(patch))
        {
            writer.WriteStartObject();
            if (hasTags)
            {
                writer.WritePropertyName("tags");
                tags.WriteTo(writer);
            }

            if (hasDesired)
            {
                writer.WriteStartObject("properties");
                writer.WritePropertyName("desired");
                desired.WriteTo(writer);
                writer.WriteEndObject();
            }

            writer.WriteEndObject();
        }

        return (await hub.ChangeTwinAsync(device, patch.WrittenMemory, eTag, replace: false).ConfigureAwait(false)).Error;
    }

    private static bool TryReadMode(string mode, out Work work, out bool comparesETag)
    {
        const string IfMatch = "IfMatchETag";
        comparesETag = mode.EndsWith(IfMatch, StringComparison.OrdinalIgnoreCase);
        string word = comparesETag ? mode[..^IfMatch.Length] : mode;
        // Enum.TryParse would take numbers, too.
        foreach (Work candidate in Enum.GetValues<Work>())
        {
            if (candidate.ToString().Equals(word, StringComparison.OrdinalIgnoreCase))
            {
                work = candidate;
                return !(comparesETag && work == Work.Create);
            }
        }

        work = default;
        return false;
    }

    private static string? Text(JsonElement row, string name, List<string> problems)
    {
        if (row.ValueKind != JsonValueKind.Object)
        {
            return null;
        }

        foreach (JsonProperty member in row.EnumerateObject())
        {
            if (member.Name.Equals(name, StringComparison.OrdinalIgnoreCase) && member.Value.ValueKind != JsonValueKind.Null)
            {
                if (member.Value.ValueKind == JsonValueKind.String)
                {
                    return member.Value.GetString();
                }

                problems.Add($"{name} must be a text");
            }
        }

        return null;
    }

    private static HttpAnswer Result(List<(string Id, string? ModuleId, string Mode, HubError Error)> errors) => HttpAnswer.Json(writer =>
    {
        writer.WriteStartObject();
        writer.WriteBoolean("isSuccessful", errors.Count == 0);
        writer.WriteStartArray("errors");
        foreach ((string id, string? moduleId, string mode, HubError error) in errors)
        {
            writer.WriteStartObject();
            writer.WriteString("deviceId", id);
            writer.WriteString("errorCode", error.Name);
            writer.WriteString("errorStatus", error.Text);
            if (moduleId is not null)
            {
                writer.WriteString("moduleId", moduleId);
            }

            writer.WriteString("operation", mode);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteStartArray("warnings");
        writer.WriteEndArray();
        writer.WriteEndObject();
    }) with
    { Status = errors.Count == 0 ? 200 : 400 };
}
