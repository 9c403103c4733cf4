using System.Buffers.Binary;
using System.Text;

namespace Agent.Hub;

/// <summary>Which final states of a message its sender wants to hear of: the application property <c>iothub-ack</c>.</summary>
[Flags]
public enum CommandAck : byte
{
    None = 0,

    /// <summary>Completed.</summary>
    Positive = 1,

    /// <summary>Dead lettered.</summary>
    Negative = 2,

    Full = Positive | Negative,
}

/// <summary>One cloud-to-device message as its sender gave it. A value.</summary>
public sealed class CommandMessage
{
    /// <summary>Body, system property values, names and values of application properties (facts/iothub.md §1.7).</summary>
    public const int LengthMax = 65_536;

    private const byte StateFormat = 1;

    /// <summary>Needed for feedback.</summary>
    public string? MessageId { get; init; }

    public string? CorrelationId { get; init; }

    public string? UserId { get; init; }

    public string? ContentType { get; init; }

    public string? ContentEncoding { get; init; }

    public CommandAck Ack { get; init; }

    /// <summary>Ms since 1970; null = the hub's default time to live.</summary>
    public long? ExpiryUtcMs { get; init; }

    /// <summary>Application properties in their order. A null value shows as the bare key (facts/iothub.md §1.8).</summary>
    public IReadOnlyList<KeyValuePair<string, string?>> Properties { get; init; } = [];

    public ReadOnlyMemory<byte> Payload { get; init; }

    /// <summary>What counts towards <see cref="LengthMax"/>.</summary>
    public long Length => Payload.Length + Size(MessageId) + Size(CorrelationId) + Size(UserId) + Size(ContentType)
        + Size(ContentEncoding) + Properties.Sum(property => Size(property.Key) + Size(property.Value));

    /// <summary>Reads <c>iothub-ack</c>; false when it is none of the four words.</summary>
    public static bool TryReadAck(string? text, out CommandAck ack)
    {
        ack = text switch
        {
            "positive" => CommandAck.Positive,
            "negative" => CommandAck.Negative,
            "full" => CommandAck.Full,
            _ => CommandAck.None,
        };
        return ack != CommandAck.None || text is null or "" or "none";
    }

    /// <summary><c>none</c>, <c>positive</c>, <c>negative</c> or <c>full</c>.</summary>
    public static string Name(CommandAck ack) => ack switch
    {
        CommandAck.Positive => "positive",
        CommandAck.Negative => "negative",
        CommandAck.Full => "full",
        _ => "none",
    };

    /// <summary>
    /// The topic a device gets it on: <c>devices/{id}/messages/devicebound/{bag}</c>. Names and values are escaped but for
    /// unreserved characters; ids stand in the topic as they are (facts/iothub.md §1.2, §1.8).
    /// </summary>
    public string Topic(string deviceId)
    {
        var topic = new StringBuilder($"devices/{deviceId}/messages/devicebound/");
        int start = topic.Length;
        Add("$.mid", MessageId);
        Add("$.cid", CorrelationId);
        Add("$.uid", UserId);
        Add("$.to", $"/devices/{deviceId}/messages/deviceBound");
        Add("$.ct", ContentType);
        Add("$.ce", ContentEncoding);
        Add("$.exp", ExpiryUtcMs is { } expiry ? UtcText.Of(expiry) : null);
        Add("iothub-ack", Ack == CommandAck.None ? null : Name(Ack));
        foreach ((string key, string? value) in Properties)
        {
            Append(key, value);
        }

        return topic.ToString();

        void Add(string key, string? value)
        {
            if (value is not null)
            {
                Append(key, value);
            }
        }

        void Append(string key, string? value)
        {
            topic.Append(topic.Length > start ? "&" : "").Append(Uri.EscapeDataString(key));
            if (value is not null)
            {
                topic.Append('=').Append(Uri.EscapeDataString(value));
            }
        }
    }

    /// <summary>Everything, for the journal: with the queue's number and the moments that follow from when it was taken in.</summary>
    internal byte[] State(in CommandTicket ticket)
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream, Encoding.UTF8);
        writer.Write(StateFormat);
        writer.Write(ticket.Sequence);
        writer.Write(ticket.EnqueuedUtcMs);
        writer.Write(ticket.ExpiryUtcMs);
        writer.Write((byte)Ack);
        writer.Write(ExpiryUtcMs ?? -1);
        foreach (string? text in new[] { MessageId, CorrelationId, UserId, ContentType, ContentEncoding })
        {
            WriteText(writer, text);
        }

        writer.Write(Properties.Count);
        foreach ((string key, string? value) in Properties)
        {
            WriteText(writer, key);
            WriteText(writer, value);
        }

        writer.Write(Payload.Length);
        writer.Write(Payload.Span);
        writer.Flush();
        return stream.ToArray();
    }

    /// <summary>Reads what <see cref="State"/> wrote; false when it is something else.</summary>
    internal static bool TryRead(ReadOnlySpan<byte> state, out CommandMessage? command, out CommandTicket ticket)
    {
        command = null;
        ticket = default;
        if (!TakeByte(ref state, out byte format) || format != StateFormat
            || !TakeLong(ref state, out long sequence) || !TakeLong(ref state, out long enqueued) || !TakeLong(ref state, out long until)
            || !TakeByte(ref state, out byte ack) || ack > (byte)CommandAck.Full || !TakeLong(ref state, out long asked))
        {
            return false;
        }

        var texts = new string?[5];
        for (int i = 0; i < texts.Length; i++)
        {
            if (!TakeText(ref state, out texts[i]))
            {
                return false;
            }
        }

        if (!TakeInt(ref state, out int count) || count < 0 || count > state.Length)
        {
            return false;
        }

        var properties = new List<KeyValuePair<string, string?>>();
        for (int i = 0; i < count; i++)
        {
            if (!TakeText(ref state, out string? key) || key is null || !TakeText(ref state, out string? value))
            {
                return false;
            }

            properties.Add(new KeyValuePair<string, string?>(key, value));
        }

        if (!TakeInt(ref state, out int length) || length != state.Length)
        {
            return false;
        }

        ticket = new CommandTicket(sequence, enqueued, until);
        command = new CommandMessage
        {
            MessageId = texts[0],
            CorrelationId = texts[1],
            UserId = texts[2],
            ContentType = texts[3],
            ContentEncoding = texts[4],
            Ack = (CommandAck)ack,
            ExpiryUtcMs = asked < 0 ? null : asked,
            Properties = properties,
            Payload = state.ToArray(),
        };
        return true;
    }

    private static long Size(string? text) => text is null ? 0 : Encoding.UTF8.GetByteCount(text);

    private static void WriteText(BinaryWriter writer, string? text)
    {
        writer.Write(text is null ? -1 : Encoding.UTF8.GetByteCount(text));
        writer.Write(Encoding.UTF8.GetBytes(text ?? ""));
    }

    private static bool TakeText(ref ReadOnlySpan<byte> from, out string? text)
    {
        text = null;
        if (!TakeInt(ref from, out int length) || length < -1 || length > from.Length)
        {
            return false;
        }

        if (length >= 0)
        {
            text = Encoding.UTF8.GetString(from[..length]);
            from = from[length..];
        }

        return true;
    }

    private static bool TakeByte(ref ReadOnlySpan<byte> from, out byte value)
    {
        bool there = from.Length >= 1;
        value = there ? from[0] : (byte)0;
        from = there ? from[1..] : from;
        return there;
    }

    private static bool TakeInt(ref ReadOnlySpan<byte> from, out int value)
    {
        bool there = BinaryPrimitives.TryReadInt32LittleEndian(from, out value);
        from = there ? from[sizeof(int)..] : from;
        return there;
    }

    private static bool TakeLong(ref ReadOnlySpan<byte> from, out long value)
    {
        bool there = BinaryPrimitives.TryReadInt64LittleEndian(from, out value);
        from = there ? from[sizeof(long)..] : from;
        return there;
    }
}

/// <summary>What the queue adds to a message when it takes it in.</summary>
/// <param name="Sequence">Counts up per device; no two messages waiting have the same.</param>
/// <param name="EnqueuedUtcMs">When it was taken in.</param>
/// <param name="ExpiryUtcMs">When it is dead lettered.</param>
internal readonly record struct CommandTicket(long Sequence, long EnqueuedUtcMs, long ExpiryUtcMs);
