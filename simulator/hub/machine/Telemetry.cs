namespace Agent.Hub;

/// <summary>Where a device's PUBLISH goes.</summary>
public enum PublishKind : byte
{
    /// <summary>A topic the hub does not know, or another device's: the connection is closed.</summary>
    Unknown = 0,

    /// <summary><c>devices/{id}/messages/events/{bag}</c>.</summary>
    Telemetry = 1,

    /// <summary><c>$iothub/twin/GET/?$rid={rid}</c>.</summary>
    TwinGet = 2,

    /// <summary><c>$iothub/twin/PATCH/properties/reported/?$rid={rid}</c>.</summary>
    TwinPatch = 3,

    /// <summary><c>$iothub/methods/res/{status}/?$rid={rid}</c>.</summary>
    MethodResponse = 4,
}

/// <summary>Device-to-cloud topics and the property bag in them.</summary>
/// <remarks>
/// A topic is read once, into a kind and the rest (facts/iothub.md §1.8). The bag stays as it is on the wire, because the
/// hub only counts, stores and forwards it; it is decoded when somebody reads the message.
/// </remarks>
public static class Telemetry
{
    /// <summary>Body, system property values, names and values of application properties (facts/iothub.md §1.7).</summary>
    public const int MessageLengthMax = 262_144;

    /// <summary>
    /// Reads a topic. <paramref name="rest"/> is the property bag for telemetry, what follows <c>$rid=</c> for twin
    /// requests, and <c>{status}/?$rid={rid}</c> for a method's answer.
    /// </summary>
    public static PublishKind Parse(
        ReadOnlySpan<byte> topic, ReadOnlySpan<byte> device, ReadOnlySpan<byte> module, out ReadOnlySpan<byte> rest)
    {
        rest = topic;
        if (TrySkip(ref rest, "$iothub/"u8))
        {
            return TrySkip(ref rest, "twin/GET/?$rid="u8) ? PublishKind.TwinGet
                : TrySkip(ref rest, "twin/PATCH/properties/reported/?$rid="u8) ? PublishKind.TwinPatch
                : TrySkip(ref rest, "methods/res/"u8) ? PublishKind.MethodResponse
                : PublishKind.Unknown;
        }

        if (!TrySkip(ref rest, "devices/"u8) || !TrySkip(ref rest, device)
            || (!module.IsEmpty && (!TrySkip(ref rest, "/modules/"u8) || !TrySkip(ref rest, module)))
            || !TrySkip(ref rest, "/messages/events"u8))
        {
            return PublishKind.Unknown;
        }

        if (rest.IsEmpty)
        {
            return PublishKind.Telemetry;
        }

        if (!TrySkip(ref rest, "/"u8))
        {
            return PublishKind.Unknown;
        }

        // The vendor's edge hub takes a slash after the bag as well.
        rest = rest.EndsWith("/"u8) ? rest[..^1] : rest;
        return PublishKind.Telemetry;
    }

    /// <summary>Whether a message keeps within the limit. Cheap for all but messages that come near it.</summary>
    public static bool IsWithinLimit(ReadOnlySpan<byte> bag, int bodyLength) =>
        bag.Length + bodyLength <= MessageLengthMax || bodyLength + CountedLength(bag) <= MessageLengthMax;

    /// <summary>
    /// What a message counts for the meter, bytes (facts/iothub.md §6, §1.7). Exact only where it matters: below one block the
    /// length on the wire will do, which is never less.
    /// </summary>
    public static int MeteredLength(ReadOnlySpan<byte> bag, int bodyLength, int blockBytes) =>
        bag.Length + bodyLength <= blockBytes ? bag.Length + bodyLength : bodyLength + CountedLength(bag);

    /// <summary>
    /// The properties of a bag, decoded: system properties with their <c>$.</c>, then <c>mqtt-retain</c> when the packet
    /// carried RETAIN (the hub stores nothing and passes the wish on).
    /// </summary>
    public static List<KeyValuePair<string, string?>> ReadBag(ReadOnlySpan<byte> bag, bool retain)
    {
        var properties = new List<KeyValuePair<string, string?>>();
        foreach (Range range in bag.Split((byte)'&'))
        {
            ReadOnlySpan<byte> property = bag[range];
            if (property.IsEmpty)
            {
                continue;
            }

            // "key" is null, "key=" is empty.
            int equals = property.IndexOf((byte)'=');
            string? value = equals < 0 ? null : PercentText.DecodeLenient(property[(equals + 1)..]);
            string name = PercentText.DecodeLenient(equals < 0 ? property : property[..equals]);
            properties.Add(new KeyValuePair<string, string?>(name, value));
        }

        if (retain)
        {
            properties.Add(new KeyValuePair<string, string?>("mqtt-retain", "true"));
        }

        return properties;
    }

    private static int CountedLength(ReadOnlySpan<byte> bag)
    {
        int length = 0;
        foreach (Range range in bag.Split((byte)'&'))
        {
            ReadOnlySpan<byte> property = bag[range];
            int equals = property.IndexOf((byte)'=');
            ReadOnlySpan<byte> name = equals < 0 ? property : property[..equals];
            bool isSystem = name.StartsWith("$."u8) || name.StartsWith("%24."u8);
            length += isSystem ? 0 : PercentText.DecodedLength(name);
            length += equals < 0 ? 0 : PercentText.DecodedLength(property[(equals + 1)..]);
        }

        return length;
    }

    private static bool TrySkip(ref ReadOnlySpan<byte> text, ReadOnlySpan<byte> prefix)
    {
        if (!text.StartsWith(prefix))
        {
            return false;
        }

        text = text[prefix.Length..];
        return true;
    }
}
