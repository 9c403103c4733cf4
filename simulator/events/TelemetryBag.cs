using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using Agent.Hub;

namespace Agent.Events;

/// <summary>A message's property bag, taken apart without garbage: what the device's application set and what the SDK set.</summary>
/// <remarks>
/// Of two properties with one name the first counts. A JSON object must not repeat a name, and comparing each with each would
/// let one message cost the square of its length, hence <see cref="ComparedMax"/>: beyond it a set does the work, with garbage.
/// </remarks>
internal sealed class TelemetryBag
{
    /// <summary>Properties up to which names are compared one by one.</summary>
    public const int ComparedMax = 32;

    private Entry[] entries = new Entry[ComparedMax];
    private int count;
    private byte[] text = new byte[1024];
    private int textLength;

    /// <summary>Whether the body is declared as what goes into an event as JSON: application/json in UTF-8, in any case.</summary>
    /// <remarks>
    /// Content type and encoding are two properties, but the vendor's routing page also accepts the charset as a parameter of
    /// the type (facts/iothub.md section 1.8).
    /// </remarks>
    public bool SaysJson { get; private set; }

    /// <summary>Reads a bag; what was read before is forgotten.</summary>
    public void Read(ReadOnlySpan<byte> bag, bool retain)
    {
        count = 0;
        textLength = 0;
        if (text.Length < bag.Length + 64)
        {
            text = new byte[bag.Length + 64];
        }

        foreach (Range range in bag.Split((byte)'&'))
        {
            ReadOnlySpan<byte> property = bag[range];
            if (property.IsEmpty)
            {
                continue;
            }

            // "key" is null, "key=" is empty.
            int equals = property.IndexOf((byte)'=');
            (int nameAt, int nameLength) = Decode(equals < 0 ? property : property[..equals]);
            (int valueAt, int valueLength) = equals < 0 ? (0, -1) : Decode(property[(equals + 1)..]);
            Add(new Entry(nameAt, nameLength, valueAt, valueLength));
        }

        if (retain)
        {
            (int nameAt, int nameLength) = Decode("mqtt-retain"u8);
            (int valueAt, int valueLength) = Decode("true"u8);
            Add(new Entry(nameAt, nameLength, valueAt, valueLength));
        }

        DropRepeated();
        SaysJson = IsDeclaredJson(Find("$.ct"u8), Find("$.ce"u8));
    }

    /// <summary>Writes the application's properties, as members of the object that is open.</summary>
    public void WriteApplication(Utf8JsonWriter json)
    {
        foreach (ref readonly Entry entry in entries.AsSpan(0, count))
        {
            if (!entry.IsRepeated && !NameOf(entry).StartsWith("$."u8))
            {
                WriteMember(json, NameOf(entry), entry);
            }
        }
    }

    /// <summary>Writes the system properties the device may set, as members of the object that is open.</summary>
    public void WriteSystem(Utf8JsonWriter json)
    {
        foreach (ref readonly Entry entry in entries.AsSpan(0, count))
        {
            ReadOnlySpan<byte> name = entry.IsRepeated ? default : SystemName(NameOf(entry));
            if (!name.IsEmpty)
            {
                WriteMember(json, name, entry);
            }
        }
    }

    // Content type and encoding are the schema page's, dt-… the construct page's; the others follow their pattern (inferred).
    // What the hub sets itself ($.cdid, $.cmid) and what it does not know is not passed on: a device could impersonate another.
    private static ReadOnlySpan<byte> SystemName(ReadOnlySpan<byte> name) => name switch
    {
        _ when name.SequenceEqual("$.ct"u8) => "iothub-content-type"u8,
        _ when name.SequenceEqual("$.ce"u8) => "iothub-content-encoding"u8,
        _ when name.SequenceEqual("$.mid"u8) => "iothub-message-id"u8,
        _ when name.SequenceEqual("$.cid"u8) => "iothub-correlation-id"u8,
        _ when name.SequenceEqual("$.uid"u8) => "iothub-user-id"u8,
        _ when name.SequenceEqual("$.ctime"u8) => "iothub-creation-time-utc"u8,
        _ when name.SequenceEqual("$.sub"u8) => "dt-subject"u8,
        _ => default,
    };

    private static bool IsDeclaredJson(ReadOnlySpan<byte> type, ReadOnlySpan<byte> encoding)
    {
        int end = type.IndexOf((byte)';');
        ReadOnlySpan<byte> media = (end < 0 ? type : type[..end]).Trim((byte)' ');
        if (!Ascii.EqualsIgnoreCase(media, "application/json"u8))
        {
            return false;
        }

        return encoding.IsEmpty
            ? end >= 0 && Ascii.EqualsIgnoreCase(type[(end + 1)..].Trim((byte)' '), "charset=utf-8"u8)
            : Ascii.EqualsIgnoreCase(encoding, "utf-8"u8);
    }

    private void WriteMember(Utf8JsonWriter json, ReadOnlySpan<byte> name, in Entry entry)
    {
        if (entry.ValueLength < 0)
        {
            json.WriteNull(name);
        }
        else
        {
            json.WriteString(name, text.AsSpan(entry.ValueAt, entry.ValueLength));
        }
    }

    private ReadOnlySpan<byte> NameOf(in Entry entry) => text.AsSpan(entry.NameAt, entry.NameLength);

    private ReadOnlySpan<byte> Find(ReadOnlySpan<byte> name)
    {
        foreach (ref readonly Entry entry in entries.AsSpan(0, count))
        {
            if (entry.ValueLength >= 0 && !entry.IsRepeated && NameOf(entry).SequenceEqual(name))
            {
                return text.AsSpan(entry.ValueAt, entry.ValueLength);
            }
        }

        return default;
    }

    private (int At, int Length) Decode(ReadOnlySpan<byte> encoded)
    {
        int at = textLength;
        if (PercentText.TryDecode(encoded, text.AsSpan(at), out int length) && Utf8.IsValid(text.AsSpan(at, length)))
        {
            textLength += length;
            return (at, length);
        }

        // A broken escape stays as it is written, what is not UTF-8 becomes a replacement character: three bytes for one.
        byte[] decoded = Encoding.UTF8.GetBytes(PercentText.DecodeLenient(encoded));
        if (text.Length < at + decoded.Length)
        {
            Array.Resize(ref text, (at + decoded.Length) * 2);
        }

        decoded.CopyTo(text, at);
        textLength += decoded.Length;
        return (at, decoded.Length);
    }

    private void Add(in Entry entry)
    {
        if (count == entries.Length)
        {
            Array.Resize(ref entries, count * 2);
        }

        entries[count++] = entry;
    }

    private void DropRepeated()
    {
        HashSet<string>? seen = count > ComparedMax ? new HashSet<string>(StringComparer.Ordinal) : null;
        for (int i = 0; i < count; i++)
        {
            ref Entry entry = ref entries[i];
            if (seen is not null)
            {
                entry.IsRepeated = !seen.Add(Encoding.UTF8.GetString(NameOf(entry)));
                continue;
            }

            for (int earlier = 0; earlier < i && !entry.IsRepeated; earlier++)
            {
                entry.IsRepeated = NameOf(entry).SequenceEqual(NameOf(entries[earlier]));
            }
        }
    }

    /// <summary>Where a name and a value lie in the text; a value length of -1 is null.</summary>
    private struct Entry(int nameAt, int nameLength, int valueAt, int valueLength)
    {
        public readonly int NameAt = nameAt;
        public readonly int NameLength = nameLength;
        public readonly int ValueAt = valueAt;
        public readonly int ValueLength = valueLength;
        public bool IsRepeated;
    }
}
