using System.Text.Json;

namespace Agent.Hub;

/// <summary>The hub's most recent device-to-cloud messages: what <c>GET /local/telemetry</c> shows.</summary>
/// <remarks>
/// A ring whose slots keep their buffers, so that storing a message is two copies and no garbage. Memory is bounded by
/// slots × (property bag + 4 KB of body), whatever devices send; longer bodies are cut, with their true length told.
/// </remarks>
public sealed class TelemetryRing
{
    /// <summary>Messages kept.</summary>
    public const int CountMax = 1000;

    /// <summary>Bytes of a body that are kept.</summary>
    public const int BodyLengthMax = 4096;

    /// <summary>Bytes of a property bag that are kept.</summary>
    public const int BagLengthMax = 4096;

    private readonly Lock gate = new();
    private readonly Slot[] slots = new Slot[CountMax];

    /// <summary>Messages ever stored.</summary>
    public long Total { get; private set; }

    /// <summary>Stores one message, over the oldest when the ring is full.</summary>
    public void Add(Device device, long utcMs, ReadOnlySpan<byte> bag, bool retain, ReadOnlySpan<byte> body)
    {
        lock (gate)
        {
            ref Slot slot = ref slots[Total % CountMax];
            Total++;
            slot.Device = device;
            slot.UtcMs = utcMs;
            slot.Retain = retain;
            slot.BodyLength = body.Length;
            slot.BagKept = Copy(ref slot.Bag, bag, BagLengthMax);
            slot.BodyKept = Copy(ref slot.Body, body, BodyLengthMax);
        }
    }

    /// <summary>
    /// Writes the messages as a JSON array, oldest first: <c>deviceId, enqueuedTime, sequence, properties,
    /// systemProperties, bodyLength, body</c> (base64).
    /// </summary>
    public void WriteJson(Stream output, string? deviceId = null)
    {
        using var writer = new Utf8JsonWriter(output);
        writer.WriteStartArray();
        lock (gate)
        {
            for (long number = Math.Max(0, Total - CountMax); number < Total; number++)
            {
                ref readonly Slot slot = ref slots[number % CountMax];
                if (deviceId is null || slot.Device!.Id == deviceId)
                {
                    WriteMessage(writer, number, slot);
                }
            }
        }

        writer.WriteEndArray();
    }

    private static void WriteMessage(Utf8JsonWriter writer, long number, in Slot slot)
    {
        List<KeyValuePair<string, string?>> bag = Telemetry.ReadBag(slot.Bag.AsSpan(0, slot.BagKept), slot.Retain);
        writer.WriteStartObject();
        writer.WriteString("deviceId", slot.Device!.Id);
        if (slot.Device.ModuleId is { } module)
        {
            writer.WriteString("moduleId", module);
        }

        writer.WriteString("enqueuedTime", DateTime.UnixEpoch.AddMilliseconds(slot.UtcMs));
        writer.WriteNumber("sequence", number);
        WriteProperties(writer, "properties", bag, isSystem: false);
        WriteProperties(writer, "systemProperties", bag, isSystem: true);
        writer.WriteNumber("bodyLength", slot.BodyLength);
        writer.WriteBase64String("body", slot.Body.AsSpan(0, slot.BodyKept));
        writer.WriteEndObject();
    }

    private static void WriteProperties(
        Utf8JsonWriter writer, string name, List<KeyValuePair<string, string?>> bag, bool isSystem)
    {
        writer.WriteStartObject(name);
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach ((string key, string? value) in bag)
        {
            if (key.StartsWith("$.", StringComparison.Ordinal) == isSystem && seen.Add(key))
            {
                writer.WriteString(key, value);
            }
        }

        writer.WriteEndObject();
    }

    private static int Copy(ref byte[]? buffer, ReadOnlySpan<byte> source, int lengthMax)
    {
        int length = Math.Min(source.Length, lengthMax);
        if (buffer is null || buffer.Length < length)
        {
            buffer = new byte[Math.Min(lengthMax, Math.Max(64, length * 2))];
        }

        source[..length].CopyTo(buffer);
        return length;
    }

    private struct Slot
    {
        public Device? Device;
        public long UtcMs;
        public byte[]? Bag;
        public byte[]? Body;
        public int BagKept;
        public int BodyKept;
        public int BodyLength;
        public bool Retain;
    }
}
