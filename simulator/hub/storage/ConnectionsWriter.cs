using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Unicode;

namespace Agent.Hub;

/// <summary>One event of the Azure Monitor category <c>Connections</c>, before it is written down.</summary>
public readonly ref struct ConnectionsRecord
{
    /// <summary>Milliseconds since 1970, UTC.</summary>
    public required long UtcMs { get; init; }

    public required LogKind Kind { get; init; }

    /// <summary>The id as sent; need not exist, need not be text.</summary>
    public required ReadOnlySpan<byte> DeviceId { get; init; }

    /// <summary>The decoded <c>DeviceClientType</c> of the user name; may be empty.</summary>
    public ReadOnlySpan<byte> SdkVersion { get; init; }

    /// <summary>As <see cref="ConnectionsWriter.Mask"/> gives it; may be empty.</summary>
    public string? MaskedAddress { get; init; }

    /// <summary>Whether a policy key signed the token, not the device's own.</summary>
    public bool ByPolicy { get; init; }

    /// <summary>For refusals: which of the causes behind the code it was. A field of ours, see the writer.</summary>
    public string? Cause { get; init; }
}

/// <summary>Writes Connections records in the cloud's shape, one JSON object a line.</summary>
/// <remarks>
/// The shape is facts/iothub.md §3: <c>properties</c> is a string of JSON, and <c>authType</c> in it is a string of JSON
/// again (null on disconnects); <c>resultType</c> and <c>resultDescription</c> are absent on Information. One thing is added:
/// on refusals <c>properties</c> gains <c>errorMessage</c>, because 401003 alone has seven causes and a person at a desk
/// wants to know which. One writer serves one thread at a time and allocates nothing once warm.
/// </remarks>
public sealed class ConnectionsWriter : IDisposable
{
    /// <summary>The region of a hub that is in none.</summary>
    public const string LocationDefault = "local";

    private static readonly JsonWriterOptions Options = new()
    {
        // Plain \" instead of \u0022 for the nested quotes; control characters and invalid text are still escaped.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        SkipValidation = true,
    };

    private readonly ArrayBufferWriter<byte> properties = new(512);
    private readonly Utf8JsonWriter inner;
    private readonly Utf8JsonWriter outer;
    private readonly byte[] resourceId;
    private readonly byte[] location;
    private readonly byte[] resultType = new byte[16];

    /// <param name="hubName">The last part of the resource id.</param>
    /// <param name="location">The region's name.</param>
    public ConnectionsWriter(string hubName, string location = LocationDefault)
    {
        resourceId = Encoding.UTF8.GetBytes(ResourceIdOf(hubName));
        this.location = Encoding.UTF8.GetBytes(location);
        inner = new Utf8JsonWriter(properties, Options);
        outer = new Utf8JsonWriter(Stream.Null, Options);
    }

    /// <summary>What a hub of this name is called in Azure Monitor.</summary>
    public static string ResourceIdOf(string hubName) =>
        "/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000000/RESOURCEGROUPS/LOCAL"
        + "/PROVIDERS/MICROSOFT.DEVICES/IOTHUBS/" + hubName.ToUpperInvariant();

    /// <summary>Appends one record and its line end.</summary>
    public void Write(IBufferWriter<byte> output, in ConnectionsRecord record)
    {
        LogShape shape = record.Kind.Shape();
        WriteProperties(record, shape);

        Span<byte> time = stackalloc byte[32];
        DateTime.UnixEpoch.AddMilliseconds(record.UtcMs).TryFormat(
            time, out int timeLength, "yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);

        outer.Reset(output);
        outer.WriteStartObject();
        outer.WriteString("time"u8, time[..timeLength]);
        outer.WriteString("resourceId"u8, resourceId);
        outer.WriteString("operationName"u8, shape.Operation);
        outer.WriteString("category"u8, "Connections"u8);
        outer.WriteString("level"u8, shape.IsError ? "Error"u8 : "Information"u8);
        if (shape.IsError)
        {
            shape.Code.TryFormat(resultType, out int length, default, CultureInfo.InvariantCulture);
            outer.WriteString("resultType"u8, resultType.AsSpan(0, length));
            outer.WriteString("resultDescription"u8, shape.Description);
        }

        outer.WriteString("properties"u8, properties.WrittenSpan);
        outer.WriteString("location"u8, location);
        outer.WriteEndObject();
        outer.Flush();
        output.Write("\n"u8);
    }

    /// <summary>The address as the log shows it: the last part hidden.</summary>
    public static string Mask(IPAddress? address)
    {
        if (address is null)
        {
            return "";
        }

        address = address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
        string text = address.ToString();
        int last = text.LastIndexOf(address.AddressFamily == AddressFamily.InterNetwork ? '.' : ':');
        return string.Concat(text.AsSpan(0, last + 1), "XXX");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        inner.Dispose();
        outer.Dispose();
    }

    private void WriteProperties(in ConnectionsRecord record, in LogShape shape)
    {
        properties.ResetWrittenCount();
        inner.Reset(properties);
        inner.WriteStartObject();
        WriteText("deviceId"u8, record.DeviceId);
        WriteText("sdkVersion"u8, record.SdkVersion);
        inner.WriteString("protocol"u8, "Mqtt"u8);
        if (record.Kind is LogKind.Connect or >= LogKind.ConnectUnauthorized)
        {
            inner.WriteString("authType"u8, record.ByPolicy
                ? """{"scope":"hub","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}"""u8
                : """{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}"""u8);
        }
        else
        {
            inner.WriteNull("authType"u8);
        }

        inner.WriteString("maskedIpAddress"u8, record.MaskedAddress ?? "");
        if (shape.IsError)
        {
            // The HTTP-like class of the code, as a string ("403" in the vendor's Routes sample).
            (shape.Code / 1000).TryFormat(resultType, out int length, default, CultureInfo.InvariantCulture);
            inner.WriteString("statusCode"u8, resultType.AsSpan(0, length));
        }
        else
        {
            inner.WriteNull("statusCode"u8);
        }

        if (record.Cause is not null)
        {
            inner.WriteString("errorMessage"u8, record.Cause);
        }

        inner.WriteEndObject();
        inner.Flush();
    }

    // What comes from the wire may not be UTF-8, which the JSON writer answers with an exception.
    private void WriteText(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        if (Utf8.IsValid(value))
        {
            inner.WriteString(name, value);
        }
        else
        {
            inner.WriteString(name, Encoding.UTF8.GetString(value));
        }
    }
}
