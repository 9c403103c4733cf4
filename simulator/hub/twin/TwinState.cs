using System.Text.Json;

namespace Agent.Hub;

/// <summary>
/// A twin section as the journal keeps it: each value with its moment and version. An object is
/// <c>{"m":ms,"v":version,"o":{…}}</c>, anything else <c>{"m":ms,"v":version,"x":value}</c>.
/// </summary>
internal static class TwinState
{
    public static void Write(Utf8JsonWriter writer, TwinNode node)
    {
        writer.WriteStartObject();
        writer.WriteNumber("m", node.ChangedMs);
        writer.WriteNumber("v", node.ChangedVersion);
        if (node.Kind == TwinKind.Object)
        {
            writer.WriteStartObject("o");
            foreach ((string key, TwinNode value) in node.Members!)
            {
                writer.WritePropertyName(key);
                Write(writer, value);
            }

            writer.WriteEndObject();
        }
        else
        {
            writer.WritePropertyName("x");
            node.Write(writer);
        }

        writer.WriteEndObject();
    }

    /// <summary>Throws what <see cref="JsonElement"/> throws when the document is another.</summary>
    public static TwinNode Read(JsonElement element)
    {
        TwinNode node = element.TryGetProperty("o", out JsonElement members)
            ? Members(members)
            : Value(element.GetProperty("x"));
        return node.At(element.GetProperty("m").GetInt64(), element.GetProperty("v").GetInt64());
    }

    private static TwinNode Members(JsonElement element)
    {
        var members = new OrderedDictionary<string, TwinNode>();
        foreach (JsonProperty member in element.EnumerateObject())
        {
            members.Add(member.Name, Read(member.Value));
        }

        return TwinNode.OfMembers(members);
    }

    // Inside a list nothing has a time of its own.
    private static TwinNode Value(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Array:
                return TwinNode.OfItems([.. element.EnumerateArray().Select(Value)]);
            case JsonValueKind.Object:
                var members = new OrderedDictionary<string, TwinNode>();
                foreach (JsonProperty member in element.EnumerateObject())
                {
                    members.Add(member.Name, Value(member.Value));
                }

                return TwinNode.OfMembers(members);
            case JsonValueKind.String:
                return TwinNode.Of(TwinKind.Text, element.GetString()!);
            case JsonValueKind.Number:
                return TwinNode.Of(TwinKind.Number, element.GetRawText());
            default:
                return TwinNode.Of(element.ValueKind switch
                {
                    JsonValueKind.True => TwinKind.True,
                    JsonValueKind.False => TwinKind.False,
                    _ => TwinKind.Null,
                });
        }
    }
}
