using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Agent.Logs;

/// <summary>One JSON object into a <see cref="ConnectionsEntry"/>.</summary>
/// <remarks>
/// Documented (facts/iothub.md §3) and accepted: <c>properties</c> as a text of JSON or as an object, <c>authType</c> as a text
/// or null, <c>resultType</c> absent, a text or a number. Keys nobody asks for are passed over: the cloud adds some now and then.
/// </remarks>
internal sealed class RecordParser
{
    private const int DepthMax = 32;

    private static readonly JsonReaderOptions Options = new() { MaxDepth = DepthMax };

    private readonly TextPool pool = new();
    private byte[] propertiesText = new byte[4096];
    private byte[] plainText = new byte[4096];

    private DateTime? time;
    private string? operation;
    private string? category;
    private string? level;
    private string? resultType;
    private string? resultDescription;
    private string? device;
    private string? sdk;
    private string? protocol;
    private string? authType;
    private string? address;
    private string? errorMessage;

    /// <summary>True: the record is understood; <paramref name="entry"/> is null when it is of another category.</summary>
    public bool TryParse(ReadOnlySpan<byte> record, out ConnectionsEntry? entry, [NotNullWhen(false)] out string? problem)
    {
        entry = null;
        problem = null;
        if (!Utf8.IsValid(record))
        {
            problem = "not UTF-8";
            return false;
        }

        try
        {
            Clear();
            ReadRecord(record);
        }
        catch (JsonException)
        {
            problem = "not valid JSON, or nested too deeply";
            return false;
        }
        catch (InvalidOperationException)
        {
            // An escape such as \ud800: half a character.
            problem = "a text in it is not valid";
            return false;
        }

        bool isOurs = category is null ? operation is "deviceConnect" or "deviceDisconnect" : category == "Connections";
        if (!isOurs && category is not null)
        {
            return true;
        }

        problem = !isOurs ? "no category and no operation of a connection"
            : time is null ? "time is missing or not a date"
            : operation is null ? "operationName is missing"
            : string.IsNullOrEmpty(device) ? "properties name no deviceId"
            : null;
        if (problem is not null)
        {
            return false;
        }

        entry = Build();
        return true;
    }

    private ConnectionsEntry Build()
    {
        string? code = resultType is "" or "0" ? null : resultType;
        return new ConnectionsEntry
        {
            TimeGenerated = time!.Value,
            DeviceId = device!,
            OperationName = operation!,
            Level = level ?? (code is null ? "Information" : "Error"),
            ResultType = code,
            ResultDescription = resultDescription is "" ? null : resultDescription,
            SdkVersion = sdk is "" ? null : sdk,
            Protocol = protocol,
            AuthType = authType,
            MaskedIpAddress = address is "" ? null : address,
            ErrorMessage = errorMessage,
        };
    }

    private void Clear()
    {
        time = null;
        operation = category = level = resultType = resultDescription = null;
        device = sdk = protocol = authType = address = errorMessage = null;
    }

    private void ReadRecord(ReadOnlySpan<byte> record)
    {
        var reader = new Utf8JsonReader(record, Options);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("time"u8))
            {
                reader.Read();
                time = Time(ref reader);
            }
            else if (reader.ValueTextEquals("properties"u8))
            {
                reader.Read();
                ReadPropertiesValue(ref reader);
            }
            else
            {
                ref string? target = ref Target(ref reader, out bool isWanted);
                reader.Read();
                if (isWanted)
                {
                    target = Text(ref reader);
                }
                else
                {
                    reader.Skip();
                }
            }
        }

        level = level switch
        {
            "2" => "Error", // The number of the same name in older records.
            "4" => "Information",
            _ => level,
        };
        reader.Read();
    }

    private ref string? Target(ref Utf8JsonReader reader, out bool isWanted)
    {
        isWanted = true;
        if (reader.ValueTextEquals("operationName"u8))
        {
            return ref operation;
        }

        if (reader.ValueTextEquals("category"u8))
        {
            return ref category;
        }

        if (reader.ValueTextEquals("level"u8))
        {
            return ref level;
        }

        if (reader.ValueTextEquals("resultType"u8))
        {
            return ref resultType;
        }

        if (reader.ValueTextEquals("resultDescription"u8))
        {
            return ref resultDescription;
        }

        isWanted = false;
        return ref operation;
    }

    private void ReadPropertiesValue(ref Utf8JsonReader reader)
    {
        if (reader.TokenType == JsonTokenType.StartObject)
        {
            ReadProperties(ref reader);
        }
        else if (reader.TokenType == JsonTokenType.String)
        {
            ReadOnlySpan<byte> text = Plain(ref reader, ref propertiesText);
            if (category is not null && category != "Connections")
            {
                return; // Not ours to judge.
            }

            var inner = new Utf8JsonReader(text, Options);
            if (inner.Read() && inner.TokenType == JsonTokenType.StartObject)
            {
                ReadProperties(ref inner);
                inner.Read();
            }
        }
        else
        {
            reader.Skip();
        }
    }

    private void ReadProperties(ref Utf8JsonReader reader)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            ref string? target = ref PropertyTarget(ref reader, out bool isWanted);
            reader.Read();
            if (isWanted)
            {
                target = Text(ref reader);
            }
            else
            {
                reader.Skip();
            }
        }
    }

    private ref string? PropertyTarget(ref Utf8JsonReader reader, out bool isWanted)
    {
        isWanted = true;
        if (reader.ValueTextEquals("deviceId"u8))
        {
            return ref device;
        }

        if (reader.ValueTextEquals("sdkVersion"u8))
        {
            return ref sdk;
        }

        if (reader.ValueTextEquals("protocol"u8))
        {
            return ref protocol;
        }

        if (reader.ValueTextEquals("authType"u8))
        {
            return ref authType;
        }

        if (reader.ValueTextEquals("maskedIpAddress"u8))
        {
            return ref address;
        }

        if (reader.ValueTextEquals("errorMessage"u8))
        {
            return ref errorMessage;
        }

        isWanted = false;
        return ref device;
    }

    // Null for null and for whole objects where a text is expected.
    private string? Text(ref Utf8JsonReader reader)
    {
        switch (reader.TokenType)
        {
            case JsonTokenType.String:
                return pool.Get(Plain(ref reader, ref plainText));
            case JsonTokenType.Number:
                return pool.Get(reader.ValueSpan);
            default:
                reader.Skip();
                return null;
        }
    }

    private static ReadOnlySpan<byte> Plain(ref Utf8JsonReader reader, ref byte[] target)
    {
        if (!reader.ValueIsEscaped)
        {
            return reader.ValueSpan;
        }

        // Unescaping never makes a text longer, and a record has a largest length.
        if (reader.ValueSpan.Length > target.Length)
        {
            target = new byte[reader.ValueSpan.Length];
        }

        return target.AsSpan(0, reader.CopyString(target));
    }

    private static DateTime? Time(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.String)
        {
            reader.Skip();
            return null;
        }

        if (reader.TryGetDateTime(out DateTime moment))
        {
            return moment.Kind == DateTimeKind.Unspecified
                ? DateTime.SpecifyKind(moment, DateTimeKind.Utc)
                : moment.ToUniversalTime();
        }

        const DateTimeStyles Utc = DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal;
        return reader.ValueSpan.Length <= 64
            && DateTime.TryParse(Encoding.UTF8.GetString(reader.ValueSpan), CultureInfo.InvariantCulture, Utc, out moment)
            ? moment
            : null;
    }
}
