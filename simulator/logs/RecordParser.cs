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

    private static readonly (byte[] Name, Field Field)[] RecordFields =
    [
        ("operationName"u8.ToArray(), Field.Operation),
        ("category"u8.ToArray(), Field.Category),
        ("level"u8.ToArray(), Field.Level),
        ("resultType"u8.ToArray(), Field.ResultType),
        ("resultDescription"u8.ToArray(), Field.ResultDescription),
    ];

    private static readonly (byte[] Name, Field Field)[] PropertyFields =
    [
        ("deviceId"u8.ToArray(), Field.Device),
        ("sdkVersion"u8.ToArray(), Field.Sdk),
        ("protocol"u8.ToArray(), Field.Protocol),
        ("authType"u8.ToArray(), Field.AuthType),
        ("maskedIpAddress"u8.ToArray(), Field.Address),
        ("errorMessage"u8.ToArray(), Field.ErrorMessage),
    ];

    private readonly string?[] texts = new string?[(int)Field.ErrorMessage + 1];
    private DateTime? time;

    private enum Field
    {
        Operation,
        Category,
        Level,
        ResultType,
        ResultDescription,
        Device,
        Sdk,
        Protocol,
        AuthType,
        Address,
        ErrorMessage,
    }

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

        string? operation = Get(Field.Operation);
        string? category = Get(Field.Category);
        bool isOurs = category is null ? operation is "deviceConnect" or "deviceDisconnect" : category == "Connections";
        if (!isOurs && category is not null)
        {
            return true;
        }

        problem = !isOurs ? "no category and no operation of a connection"
            : time is null ? "time is missing or not a date"
            : operation is null ? "operationName is missing"
            : string.IsNullOrEmpty(Get(Field.Device)) ? "properties name no deviceId"
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
        string? code = Get(Field.ResultType) is "" or "0" ? null : Get(Field.ResultType);
        return new ConnectionsEntry
        {
            TimeGenerated = time!.Value,
            DeviceId = Get(Field.Device)!,
            OperationName = Get(Field.Operation)!,
            Level = Get(Field.Level) switch
            {
                "2" => "Error", // The number of the same name in older records.
                "4" => "Information",
                null => code is null ? "Information" : "Error",
                var level => level,
            },
            ResultType = code,
            ResultDescription = NotEmpty(Field.ResultDescription),
            SdkVersion = NotEmpty(Field.Sdk),
            Protocol = Get(Field.Protocol),
            AuthType = Get(Field.AuthType),
            MaskedIpAddress = NotEmpty(Field.Address),
            ErrorMessage = Get(Field.ErrorMessage),
        };
    }

    private string? Get(Field field) => texts[(int)field];

    private string? NotEmpty(Field field) => Get(field) is "" ? null : Get(field);

    private void Clear()
    {
        time = null;
        Array.Clear(texts);
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
                ReadText(ref reader, RecordFields);
            }
        }

        reader.Read();
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
            if (Get(Field.Category) is not (null or "Connections"))
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
            ReadText(ref reader, PropertyFields);
        }
    }

    private void ReadText(ref Utf8JsonReader reader, (byte[] Name, Field Field)[] wanted)
    {
        foreach ((byte[] name, Field field) in wanted)
        {
            if (reader.ValueTextEquals(name))
            {
                reader.Read();
                texts[(int)field] = Text(ref reader);
                return;
            }
        }

        reader.Read();
        reader.Skip();
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
