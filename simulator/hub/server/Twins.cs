using System.Text.Json;
using System.Text.Json.Nodes;

namespace Agent.Hub;

/// <summary>Device twins in memory: enough for an SDK to read its twin and report properties.</summary>
/// <remarks>
/// A twin exists from the first time a device asks. Reported patches merge as documented (objects merge, null deletes,
/// everything else replaces; facts/iothub.md §1.8). Nothing is kept across restarts, and no service can change a twin yet.
/// </remarks>
public sealed class Twins
{
    /// <summary>Longest patch, and longest reported section, in bytes of JSON (facts/iothub.md §6).</summary>
    private const int LengthMax = 32_768;

    /// <summary>Nesting allowed (facts/iothub.md §7).</summary>
    private const int DepthMax = 10;

    private static readonly JsonDocumentOptions Strict = new()
    {
        MaxDepth = DepthMax,
        AllowDuplicateProperties = false,
    };

    private readonly Lock gate = new();
    private readonly Dictionary<int, Twin> twins = [];

    /// <summary>The answer to a twin GET: <c>{"desired":{…},"reported":{…}}</c>, each with its <c>$version</c>.</summary>
    public byte[] Read(int device)
    {
        lock (gate)
        {
            Twin twin = Find(device);
            JsonNode reported = twin.Reported.DeepClone();
            reported["$version"] = twin.ReportedVersion;
            return JsonSerializer.SerializeToUtf8Bytes(new JsonObject
            {
                ["desired"] = new JsonObject { ["$version"] = 1 },
                ["reported"] = reported,
            });
        }
    }

    /// <summary>Merges a reported patch; false when it is no JSON object within the limits (status 400).</summary>
    public bool TryReport(int device, ReadOnlySpan<byte> patch, out long version)
    {
        version = 0;
        if (patch.Length > LengthMax || !TryParse(patch, out JsonObject? changes))
        {
            return false;
        }

        lock (gate)
        {
            Twin twin = Find(device);
            var merged = (JsonObject)twin.Reported.DeepClone();
            Merge(merged, changes!);
            if (JsonSerializer.SerializeToUtf8Bytes(merged).Length > LengthMax)
            {
                return false;
            }

            twin.Reported = merged;
            version = ++twin.ReportedVersion;
            return true;
        }
    }

    private static bool TryParse(ReadOnlySpan<byte> text, out JsonObject? value)
    {
        value = null;
        try
        {
            value = JsonNode.Parse(text, null, Strict) as JsonObject;
            if (value is not null)
            {
                // The tree is read lazily; text that is no text comes to light only when all of it is walked.
                var scratch = new JsonObject();
                Merge(scratch, value);
                JsonSerializer.SerializeToUtf8Bytes(scratch);
            }

            return value is not null;
        }
        catch (Exception exception) when (exception is JsonException or ArgumentException or InvalidOperationException)
        {
            value = null;
            return false;
        }
    }

    private static void Merge(JsonObject target, JsonObject changes)
    {
        foreach ((string name, JsonNode? change) in changes)
        {
            if (change is null)
            {
                target.Remove(name);
            }
            else if (change is JsonObject inner)
            {
                if (target[name] is not JsonObject existing)
                {
                    existing = [];
                    target[name] = existing;
                }

                Merge(existing, inner);
            }
            else
            {
                target[name] = change.DeepClone();
            }
        }
    }

    private Twin Find(int device)
    {
        if (!twins.TryGetValue(device, out Twin? twin))
        {
            twin = new Twin();
            twins.Add(device, twin);
        }

        return twin;
    }

    private sealed class Twin
    {
        public JsonObject Reported { get; set; } = [];

        public long ReportedVersion { get; set; } = 1;
    }
}
