using System.Text;
using System.Text.Json;

namespace Agent.Hub;

/// <summary>What a <see cref="TwinNode"/> holds.</summary>
internal enum TwinKind : byte
{
    /// <summary>In a patch: delete. In an array: null. Nowhere else.</summary>
    Null,
    False,
    True,
    Number,
    Text,
    List,
    Object,
}

/// <summary>One value of a twin section, with the moment and the version of its last change.</summary>
/// <remarks>
/// Never changed after it is made: a merge builds the new objects along the patch's paths and shares all the rest with the old
/// tree, so whoever holds an older twin may go on reading it. Numbers keep their text: 1.0 stays 1.0.
/// </remarks>
internal sealed class TwinNode
{
    /// <summary>An object without members, never changed.</summary>
    public static readonly TwinNode Empty = OfMembers([]);

    private TwinNode(TwinKind kind) => Kind = kind;

    public TwinKind Kind { get; }

    /// <summary>The string, or the number's text.</summary>
    public string Text { get; private init; } = "";

    public IReadOnlyList<TwinNode> Items { get; private init; } = [];

    /// <summary>Members in the order they came; treated as frozen.</summary>
    public OrderedDictionary<string, TwinNode>? Members { get; private init; }

    /// <summary>Last change, ms since 1970.</summary>
    public long ChangedMs { get; private init; }

    /// <summary>The section's version that changed it.</summary>
    public long ChangedVersion { get; private init; }

    public static TwinNode Of(TwinKind kind, string text = "") => new(kind) { Text = text };

    public static TwinNode OfItems(IReadOnlyList<TwinNode> items) => new(TwinKind.List) { Items = items };

    public static TwinNode OfMembers(OrderedDictionary<string, TwinNode> members) =>
        new(TwinKind.Object) { Members = members };

    /// <summary>The same value, changed at that moment.</summary>
    public TwinNode At(long utcMs, long version) => new(Kind)
    {
        Text = Text,
        Items = Items,
        Members = Members,
        ChangedMs = utcMs,
        ChangedVersion = version,
    };

    /// <summary>
    /// The value after a patch (facts/iothub.md §1.8): objects merge, null deletes, everything else replaces. An object that is
    /// touched counts as changed even when a key was only removed from it (the vendor's twin page says why).
    /// </summary>
    public static TwinNode Merge(TwinNode? old, TwinNode patch, long utcMs, long version)
    {
        if (patch.Kind != TwinKind.Object)
        {
            return patch.At(utcMs, version);
        }

        OrderedDictionary<string, TwinNode> before = old?.Members ?? [];
        var after = new OrderedDictionary<string, TwinNode>(before.Count + patch.Members!.Count);
        foreach ((string key, TwinNode value) in before)
        {
            if (!patch.Members.TryGetValue(key, out TwinNode? change))
            {
                after.Add(key, value);
            }
            else if (change.Kind != TwinKind.Null)
            {
                after.Add(key, Merge(value, change, utcMs, version));
            }
        }

        foreach ((string key, TwinNode change) in patch.Members)
        {
            if (change.Kind != TwinKind.Null && !before.ContainsKey(key))
            {
                after.Add(key, Merge(null, change, utcMs, version));
            }
        }

        return OfMembers(after).At(utcMs, version);
    }

    /// <summary>
    /// The patch that says what a replacement did: the new values, and null for what is gone. Values are not compared, only
    /// their presence (a service engineer in azure-iot-sdk-csharp issue 954).
    /// </summary>
    public static TwinNode PatchOf(TwinNode old, TwinNode replacement)
    {
        var patch = new OrderedDictionary<string, TwinNode>();
        foreach ((string key, TwinNode before) in old.Members!)
        {
            if (!replacement.Members!.TryGetValue(key, out TwinNode? after))
            {
                patch.Add(key, Of(TwinKind.Null));
            }
            else
            {
                bool both = before.Kind == TwinKind.Object && after.Kind == TwinKind.Object;
                patch.Add(key, both ? PatchOf(before, after) : after);
            }
        }

        foreach ((string key, TwinNode after) in replacement.Members!)
        {
            patch.TryAdd(key, after);
        }

        return OfMembers(patch);
    }

    /// <summary>
    /// Size as the vendor's twin page counts it: keys and strings without control characters, 8 for a number, 4 for a boolean.
    /// </summary>
    public long Size()
    {
        switch (Kind)
        {
            case TwinKind.Number:
                return 8;
            case TwinKind.True or TwinKind.False:
                return 4;
            case TwinKind.Text:
                return SizeOf(Text);
            case TwinKind.List:
                return Items.Sum(item => item.Size());
            case TwinKind.Object:
                return Members!.Sum(member => SizeOf(member.Key) + member.Value.Size());
            default:
                return 0;
        }
    }

    /// <summary>The value as JSON, without metadata.</summary>
    public void Write(Utf8JsonWriter writer)
    {
        switch (Kind)
        {
            case TwinKind.Null:
                writer.WriteNullValue();
                break;
            case TwinKind.False or TwinKind.True:
                writer.WriteBooleanValue(Kind == TwinKind.True);
                break;
            case TwinKind.Number:
                writer.WriteRawValue(Text, skipInputValidation: true);
                break;
            case TwinKind.Text:
                writer.WriteStringValue(Text);
                break;
            case TwinKind.List:
                writer.WriteStartArray();
                foreach (TwinNode item in Items)
                {
                    item.Write(writer);
                }

                writer.WriteEndArray();
                break;
            default:
                writer.WriteStartObject();
                WriteMembers(writer);
                writer.WriteEndObject();
                break;
        }
    }

    /// <summary>The members of an object, for a caller that adds its own.</summary>
    public void WriteMembers(Utf8JsonWriter writer)
    {
        foreach ((string key, TwinNode value) in Members!)
        {
            writer.WritePropertyName(key);
            value.Write(writer);
        }
    }

    /// <summary>
    /// <c>$lastUpdated</c> at every level, and <c>$lastUpdatedVersion</c> where the section shows it: desired properties from
    /// their first change on (service documents in azure-iot-sdk-java issue 1011 and pull request 1219).
    /// </summary>
    public void WriteMetadata(Utf8JsonWriter writer, bool withVersion)
    {
        writer.WriteStartObject();
        writer.WriteString("$lastUpdated", UtcText.Of(ChangedMs));
        if (withVersion && ChangedVersion > 1)
        {
            writer.WriteNumber("$lastUpdatedVersion", ChangedVersion);
        }

        foreach ((string key, TwinNode value) in Members ?? [])
        {
            writer.WritePropertyName(key);
            value.WriteMetadata(writer, withVersion);
        }

        writer.WriteEndObject();
    }

    private static long SizeOf(string text)
    {
        long size = Encoding.UTF8.GetByteCount(text);
        foreach (char c in text)
        {
            // C0 is one byte in UTF-8, C1 two.
            size -= char.IsControl(c) ? (c < 0x80 ? 1 : 2) : 0;
        }

        return size;
    }
}
