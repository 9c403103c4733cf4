using System.Globalization;
using System.Text.Json;

namespace Agent.Hub;

/// <summary>One twin of the collection that is queried.</summary>
public readonly record struct TwinRow(TwinIdentity Identity, Twin Twin);

/// <summary>A dotted path into a twin document: the identity's properties at the root, tags and properties below.</summary>
/// <remarks>
/// Names at the root know no case, because the vendor's own examples write <c>DeviceID</c>; keys in tags and properties do. A
/// root that no twin has is an error, so that <c>tag.x</c> for <c>tags.x</c> does not look like an empty hub.
/// </remarks>
internal sealed class QueryPath
{
    private static readonly string[] Roots =
    [
        "deviceId", "moduleId", "etag", "deviceEtag", "status", "statusReason", "statusUpdateTime", "connectionState",
        "lastActivityTime", "cloudToDeviceMessageCount", "authenticationType", "x509Thumbprint.primaryThumbprint",
        "x509Thumbprint.secondaryThumbprint", "modelId", "version", "capabilities.iotEdge",
    ];

    private readonly string root;
    private readonly string[] keys;

    private QueryPath(string root, string[] keys, string name)
    {
        this.root = root;
        this.keys = keys;
        Name = name;
    }

    /// <summary>What a column is called that has no alias: the last part.</summary>
    public string Name { get; }

    public static QueryPath Parse(IReadOnlyList<string> parts, int column)
    {
        int start = parts.Count > 1 && Same(parts[0], "devices") ? 1 : 0;
        string[] path = [.. parts.Skip(start)];
        if (Same(path[0], "tags"))
        {
            return new QueryPath("tags", path[1..], path[^1]);
        }

        if (Same(path[0], "properties"))
        {
            bool known = path.Length > 1 && path[1] is "desired" or "reported";
            return known
                ? new QueryPath(path[1], path[2..], path[^1])
                : throw new QueryException(column, "after 'properties' comes .desired or .reported");
        }

        string whole = string.Join('.', path);
        return Roots.FirstOrDefault(name => Same(name, whole)) is { } found
            ? new QueryPath(found, [], found.Split('.')[^1])
            : throw new QueryException(
                column, $"'{Shown(whole)}' is no property of a twin; there are tags, properties, {string.Join(", ", Roots)}");
    }

    public QueryValue ValueOn(in TwinRow row)
    {
        if (Find(row.Twin) is { } node)
        {
            return node.Kind switch
            {
                TwinKind.Number => QueryValue.Of(double.Parse(node.Text, NumberStyles.Float, CultureInfo.InvariantCulture)),
                TwinKind.Text => QueryValue.Of(node.Text),
                _ => new QueryValue(node.Kind),
            };
        }

        TwinIdentity identity = row.Identity;
        return root switch
        {
            "tags" => QueryValue.Undefined,
            "desired" or "reported" => SystemValue(row.Twin),
            "deviceId" => QueryValue.Of(identity.DeviceId),
            "moduleId" => identity.ModuleId is { } module ? QueryValue.Of(module) : QueryValue.Undefined,
            "etag" => QueryValue.Of(row.Twin.ETag),
            "deviceEtag" => QueryValue.Of(identity.DeviceETag),
            "status" => QueryValue.Of(identity.IsEnabled ? "enabled" : "disabled"),
            "statusReason" => identity.StatusReason is { } reason ? QueryValue.Of(reason) : QueryValue.Undefined,
            "statusUpdateTime" => QueryValue.Of(UtcText.Of(identity.StatusUpdateUtcMs)),
            "connectionState" => QueryValue.Of(identity.IsConnected ? "Connected" : "Disconnected"),
            "lastActivityTime" => QueryValue.Of(UtcText.Of(identity.LastActivityUtcMs)),
            "cloudToDeviceMessageCount" => QueryValue.Of(identity.CommandCount),
            "authenticationType" => QueryValue.Of(identity.AuthenticationType),
            "x509Thumbprint.primaryThumbprint" => QueryValue.Of(identity.PrimaryThumbprint),
            "x509Thumbprint.secondaryThumbprint" => QueryValue.Of(identity.SecondaryThumbprint),
            "modelId" => QueryValue.Of(identity.ModelId),
            "version" => QueryValue.Of(row.Twin.Version),
            _ => QueryValue.Of(identity.IsEdge),
        };
    }

    public bool IsDefinedOn(in TwinRow row) => Find(row.Twin) is not null || ValueOn(row).IsDefined;

    /// <summary>Writes the value, false when there is none.</summary>
    public bool TryWrite(Utf8JsonWriter writer, string name, in TwinRow row)
    {
        if (Find(row.Twin) is { } node)
        {
            writer.WritePropertyName(name);
            node.Write(writer);
            return true;
        }

        QueryValue value = ValueOn(row);
        if (!value.IsDefined)
        {
            return false;
        }

        writer.WritePropertyName(name);
        switch (value.Kind)
        {
            case TwinKind.Number:
                writer.WriteNumberValue(value.Number);
                break;
            case TwinKind.Text:
                writer.WriteStringValue(value.Text);
                break;
            case TwinKind.True or TwinKind.False:
                writer.WriteBooleanValue(value.Kind == TwinKind.True);
                break;
            default:
                writer.WriteNullValue();
                break;
        }

        return true;
    }

    /// <summary>A name from a query as it may stand in a message.</summary>
    internal static string Shown(string text)
    {
        const int LengthMax = 60;
        string start = text.Length > LengthMax ? text[..LengthMax] + "…" : text;
        return new string([.. start.Select(c => char.IsControl(c) || char.IsSurrogate(c) ? '?' : c)]);
    }

    private static bool Same(string a, string b) => a.Equals(b, StringComparison.OrdinalIgnoreCase);

    private TwinNode? Find(Twin twin) => root is "tags" or "desired" or "reported" ? Follow(twin.Section(root), keys) : null;

    private static TwinNode? Follow(TwinNode node, ReadOnlySpan<string> keys)
    {
        TwinNode? at = node;
        foreach (string key in keys)
        {
            if (at.Members is null || !at.Members.TryGetValue(key, out at))
            {
                return null;
            }
        }

        return at;
    }

    // $version of the section, and $metadata.….$lastUpdated of any value in it.
    private QueryValue SystemValue(Twin twin)
    {
        if (keys is ["$version"])
        {
            return QueryValue.Of(root == "desired" ? twin.DesiredVersion : twin.ReportedVersion);
        }

        if (keys is not ["$metadata", .. var inner, "$lastUpdated" or "$lastUpdatedVersion"]
            || Follow(twin.Section(root), inner) is not { } node)
        {
            return QueryValue.Undefined;
        }

        return keys[^1] == "$lastUpdated" ? QueryValue.Of(UtcText.Of(node.ChangedMs))
            : root == "desired" && node.ChangedVersion > 1 ? QueryValue.Of(node.ChangedVersion)
            : QueryValue.Undefined;
    }
}
