using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Agent.Events;

/// <summary>The envelope of an event.</summary>
public enum EventSchema : byte
{
    /// <summary>Event Grid's own.</summary>
    EventGrid,

    /// <summary>CloudEvents 1.0, structured mode.</summary>
    CloudEvents,
}

/// <summary>DeviceConnected or DeviceDisconnected.</summary>
public readonly ref struct ConnectionStateEvent
{
    public required Guid Id { get; init; }

    public required ReadOnlySpan<byte> DeviceId { get; init; }

    /// <summary>Empty for a device itself.</summary>
    public ReadOnlySpan<byte> ModuleId { get; init; }

    public required bool IsConnected { get; init; }

    /// <summary>When the state changed, ms since 1970.</summary>
    public required long UtcMs { get; init; }

    public required EventSequence Sequence { get; init; }
}

/// <summary>DeviceCreated or DeviceDeleted.</summary>
public readonly ref struct LifecycleEvent
{
    public required Guid Id { get; init; }

    public required ReadOnlySpan<byte> DeviceId { get; init; }

    public required bool IsCreated { get; init; }

    public required long UtcMs { get; init; }

    /// <summary>The identity's ETag.</summary>
    public ReadOnlySpan<byte> DeviceETag { get; init; }

    public bool IsDisabled { get; init; }
}

/// <summary>DeviceTelemetry.</summary>
public readonly ref struct TelemetryEvent
{
    public required Guid Id { get; init; }

    public required ReadOnlySpan<byte> DeviceId { get; init; }

    /// <summary>Empty for a device itself.</summary>
    public ReadOnlySpan<byte> ModuleId { get; init; }

    public required ReadOnlySpan<byte> GenerationId { get; init; }

    /// <summary>Whether a policy's key signed the token, not the device's own.</summary>
    public bool ByPolicy { get; init; }

    /// <summary>When the hub took the message, ms since 1970.</summary>
    public required long EnqueuedUtcMs { get; init; }

    /// <summary>The property bag as it stood in the topic.</summary>
    public ReadOnlySpan<byte> Bag { get; init; }

    /// <summary>Whether the packet carried RETAIN.</summary>
    public bool Retain { get; init; }

    public ReadOnlySpan<byte> Body { get; init; }
}

/// <summary>Writes a hub's events in the cloud's shape, one JSON object each and on one line.</summary>
/// <remarks>
/// Shapes: facts/iothub.md section 4 (the vendor's schema page). Framing, an array or a lone object, is the delivery's matter.
/// One writer serves one thread at a time and allocates nothing once warm, except for what only a confused or hostile device
/// sends: broken escapes, text that is not UTF-8, more than <see cref="TelemetryBag.ComparedMax"/> properties.
/// </remarks>
public sealed class EventGridWriter : IDisposable
{
    /// <summary>Space an event takes beside ids and body, amply.</summary>
    private const int UsualLength = 2048;

    private static readonly JsonWriterOptions Options = new()
    {
        // Plain \" instead of \u0022, as the vendor's samples have it; control characters are still escaped.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        SkipValidation = true,
    };

    private readonly bool isCloud;
    private readonly byte[] source;
    private readonly byte[] hubName;
    private readonly Utf8JsonWriter json = new(Stream.Null, Options);
    private readonly TelemetryBag bag = new();
    private readonly ArrayBufferWriter<byte> subject = new(300);
    private readonly ArrayBufferWriter<byte> compact = new(UsualLength);

    /// <param name="schema">The envelope.</param>
    /// <param name="hubName">The hub's short name, <c>hubName</c> in the data.</param>
    public EventGridWriter(EventSchema schema, string hubName)
    {
        Schema = schema;
        isCloud = schema == EventSchema.CloudEvents;
        this.hubName = Encoding.UTF8.GetBytes(hubName);
        Source = "/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000000/RESOURCEGROUPS/LOCAL"
            + "/PROVIDERS/MICROSOFT.DEVICES/IOTHUBS/" + hubName.ToUpperInvariant();
        source = Encoding.UTF8.GetBytes(Source);
    }

    /// <summary>The envelope this writer writes.</summary>
    public EventSchema Schema { get; }

    /// <summary>The hub's resource id: <c>topic</c> or <c>source</c> of every event.</summary>
    public string Source { get; }

    /// <summary>Writes a connection state.</summary>
    public void Write(IBufferWriter<byte> output, in ConnectionStateEvent state)
    {
        Span<byte> sequence = stackalloc byte[EventSequence.Length];
        state.Sequence.Format(sequence);

        BeginEvent(output, state.Id, Subject(state.DeviceId, state.ModuleId), state.UtcMs,
            state.IsConnected ? "Microsoft.Devices.DeviceConnected"u8 : "Microsoft.Devices.DeviceDisconnected"u8);
        json.WriteStartObject("deviceConnectionStateEventInfo"u8);
        json.WriteString("sequenceNumber"u8, sequence);
        json.WriteEndObject();
        json.WriteString("hubName"u8, hubName);
        json.WriteString("deviceId"u8, state.DeviceId);
        if (!state.ModuleId.IsEmpty)
        {
            json.WriteString("moduleId"u8, state.ModuleId);
        }

        EndEvent("1"u8);
    }

    /// <summary>Writes the creation or deletion of an identity.</summary>
    /// <remarks>
    /// The twin in it is a template that says nothing about the device's own twin; the vendor's page warns of it. That goes
    /// for <c>authenticationType</c> and the times too.
    /// </remarks>
    public void Write(IBufferWriter<byte> output, in LifecycleEvent change)
    {
        BeginEvent(output, change.Id, Subject(change.DeviceId, default), change.UtcMs,
            change.IsCreated ? "Microsoft.Devices.DeviceCreated"u8 : "Microsoft.Devices.DeviceDeleted"u8);
        json.WriteStartObject("twin"u8);
        json.WriteString("deviceId"u8, change.DeviceId);
        json.WriteString("etag"u8, "AAAAAAAAAAE="u8);
        json.WriteString("deviceEtag"u8, change.DeviceETag.IsEmpty ? "null"u8 : change.DeviceETag);
        json.WriteString("status"u8, change.IsDisabled ? "disabled"u8 : "enabled"u8);
        json.WriteString("statusUpdateTime"u8, "0001-01-01T00:00:00"u8);
        json.WriteString("connectionState"u8, "Disconnected"u8);
        json.WriteString("lastActivityTime"u8, "0001-01-01T00:00:00"u8);
        json.WriteNumber("cloudToDeviceMessageCount"u8, 0);
        json.WriteString("authenticationType"u8, "sas"u8);
        json.WriteStartObject("x509Thumbprint"u8);
        json.WriteNull("primaryThumbprint"u8);
        json.WriteNull("secondaryThumbprint"u8);
        json.WriteEndObject();
        json.WriteNumber("version"u8, 2);
        json.WriteStartObject("properties"u8);
        WriteEmptySection("desired"u8, change.UtcMs);
        WriteEmptySection("reported"u8, change.UtcMs);
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteString("hubName"u8, hubName);
        json.WriteString("deviceId"u8, change.DeviceId);
        EndEvent("1"u8);
    }

    /// <summary>Writes a device-to-cloud message.</summary>
    public void Write(IBufferWriter<byte> output, in TelemetryEvent message)
    {
        bag.Read(message.Bag, message.Retain);
        compact.ResetWrittenCount();
        bool isJson = bag.SaysJson && JsonBody.TryCompact(message.Body, compact);

        BeginEvent(output, message.Id, Subject(message.DeviceId, message.ModuleId), message.EnqueuedUtcMs,
            "Microsoft.Devices.DeviceTelemetry"u8);
        if (isJson)
        {
            json.WritePropertyName("body"u8);
            json.WriteRawValue(compact.WrittenSpan, skipInputValidation: true);
        }
        else
        {
            json.WriteBase64String("body"u8, message.Body);
        }

        json.WriteStartObject("properties"u8);
        bag.WriteApplication(json);
        json.WriteEndObject();
        json.WriteStartObject("systemProperties"u8);
        bag.WriteSystem(json);
        json.WriteString("iothub-connection-device-id"u8, message.DeviceId);
        if (!message.ModuleId.IsEmpty)
        {
            json.WriteString("iothub-connection-module-id"u8, message.ModuleId);
        }

        json.WriteString("iothub-connection-auth-method"u8, AuthMethod(message));
        json.WriteString("iothub-connection-auth-generation-id"u8, message.GenerationId);
        json.WriteString("iothub-enqueuedtime"u8, Moment(message.EnqueuedUtcMs));
        json.WriteString("iothub-message-source"u8, "Telemetry"u8);
        json.WriteEndObject();
        EndEvent(default);
    }

    /// <summary>Writes the event of the validation handshake, which is in the Event Grid schema whatever the schema is.</summary>
    /// <param name="output">Where to.</param>
    /// <param name="id">The event's id.</param>
    /// <param name="utcMs">Now.</param>
    /// <param name="code">What the receiver must send back.</param>
    /// <param name="validationUrl">Where a person may confirm instead; null = nowhere, and then the property is left out.</param>
    public void WriteValidation(IBufferWriter<byte> output, Guid id, long utcMs, string code, string? validationUrl)
    {
        json.Reset(output);
        json.WriteStartObject();
        json.WriteString("id"u8, id);
        json.WriteString("topic"u8, source);
        json.WriteString("subject"u8, ""u8);
        json.WriteStartObject("data"u8);
        json.WriteString("validationCode"u8, code);
        if (validationUrl is not null)
        {
            json.WriteString("validationUrl"u8, validationUrl);
        }

        json.WriteEndObject();
        json.WriteString("eventType"u8, "Microsoft.EventGrid.SubscriptionValidationEvent"u8);
        json.WriteString("eventTime"u8, Moment(utcMs));
        json.WriteString("metadataVersion"u8, "1"u8);
        json.WriteString("dataVersion"u8, "1"u8);
        json.WriteEndObject();
        json.Flush();
    }

    /// <inheritdoc/>
    public void Dispose() => json.Dispose();

    private static DateTime Moment(long utcMs) => DateTime.UnixEpoch.AddMilliseconds(utcMs);

    private static ReadOnlySpan<byte> AuthMethod(in TelemetryEvent message) => message switch
    {
        { ByPolicy: true } => """{"scope":"hub","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}"""u8,
        { ModuleId.IsEmpty: false } => """{"scope":"module","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}"""u8,
        _ => """{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}"""u8,
    };

    // A module's subject is inferred from its path in topics and tokens; the schema page shows devices only.
    private ReadOnlySpan<byte> Subject(ReadOnlySpan<byte> device, ReadOnlySpan<byte> module)
    {
        subject.ResetWrittenCount();
        subject.Write("devices/"u8);
        subject.Write(device);
        if (!module.IsEmpty)
        {
            subject.Write("/modules/"u8);
            subject.Write(module);
        }

        return subject.WrittenSpan;
    }

    private void BeginEvent(
        IBufferWriter<byte> output, Guid id, ReadOnlySpan<byte> about, long utcMs, ReadOnlySpan<byte> type)
    {
        json.Reset(output);
        json.WriteStartObject();
        json.WriteString("id"u8, id);
        json.WriteString(isCloud ? "source"u8 : "topic"u8, source);
        json.WriteString("subject"u8, about);
        json.WriteString(isCloud ? "type"u8 : "eventType"u8, type);
        json.WriteString(isCloud ? "time"u8 : "eventTime"u8, Moment(utcMs));
        json.WriteStartObject("data"u8);
    }

    private void EndEvent(ReadOnlySpan<byte> dataVersion)
    {
        json.WriteEndObject();
        if (isCloud)
        {
            json.WriteString("specversion"u8, "1.0"u8);
        }
        else
        {
            json.WriteString("dataVersion"u8, dataVersion);
            json.WriteString("metadataVersion"u8, "1"u8);
        }

        json.WriteEndObject();
        json.Flush();
    }

    private void WriteEmptySection(ReadOnlySpan<byte> name, long utcMs)
    {
        json.WriteStartObject(name);
        json.WriteStartObject("$metadata"u8);
        json.WriteString("$lastUpdated"u8, Moment(utcMs));
        json.WriteEndObject();
        json.WriteNumber("$version"u8, 1);
        json.WriteEndObject();
    }
}
