using System.Globalization;
using System.Text.Json;
using System.Text.Unicode;

namespace Agent.Service;

/// <summary>
/// Reads Azure Monitor records of the hub's category <c>Connections</c> (facts/iothub.md §3): <c>{"records":[…]}</c> as an event hub
/// carries them, an array, or one JSON object a line as storage keeps them.
/// </summary>
/// <remarks>
/// Other categories travel in the same stream and are counted as ignored. A record of ours that has not the documented shape refuses
/// the body: records are a second witness, and half a body of them would be a silent gap. <c>properties</c> is a text of JSON,
/// read where it lies; some collectors deliver it as an object, which is taken too. Nothing is allocated per record unless
/// the text needs unescaping, and then one buffer serves all.
/// </remarks>
public sealed class ConnectionsReader
{
    private const int PropertiesBytesMax = 64 * 1024;

    private byte[] room = new byte[4096];

    /// <summary>Reads a body into <paramref name="outcome"/>, which must be clear; false = it is refused.</summary>
    public bool TryRead(ReadOnlySpan<byte> body, ReadOutcome outcome)
    {
        ArgumentNullException.ThrowIfNull(outcome);
        if (!Utf8.IsValid(body))
        {
            return outcome.Refuse("not JSON: it is not UTF-8");
        }

        int index = 0;
        long before = 0;
        try
        {
            // With several values allowed, lines are simply values one after another, and so is a single wrapped body.
            var json = new Utf8JsonReader(body, new JsonReaderOptions { AllowMultipleValues = true });
            while (json.Read())
            {
                before = json.TokenStartIndex;
                bool isRead = json.TokenType switch
                {
                    JsonTokenType.StartArray => ReadArray(ref json, ref index, outcome),
                    JsonTokenType.StartObject => ReadTop(ref json, ref index, outcome),
                    _ => outcome.Refuse($"record [{index}] is not an object"),
                };
                if (!isRead)
                {
                    return false;
                }
            }

            return index > 0 || outcome.Ignored > 0 || body.IsEmpty || outcome.Refuse("there is no record in it");
        }
        catch (JsonException broken)
        {
            return outcome.Refuse($"not JSON: line {broken.LineNumber + 1}, byte {broken.BytePositionInLine + 1}, after byte {before}");
        }
        catch (InvalidOperationException)
        {
            return outcome.Refuse($"record [{index}] holds a text that is not valid Unicode");
        }
    }

    private bool ReadArray(scoped ref Utf8JsonReader json, ref int index, ReadOutcome outcome)
    {
        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            if (json.TokenType != JsonTokenType.StartObject)
            {
                return outcome.Refuse($"record [{index}] is not an object");
            }

            if (!ReadRecord(ref json, index++, outcome))
            {
                return false;
            }
        }

        return true;
    }

    // An object at the top is a record, or a wrapper that begins with "records".
    private bool ReadTop(scoped ref Utf8JsonReader json, ref int index, ReadOutcome outcome)
    {
        Utf8JsonReader ahead = json;
        if (!ahead.Read() || ahead.TokenType != JsonTokenType.PropertyName || !ahead.ValueTextEquals("records"u8))
        {
            return ReadRecord(ref json, index++, outcome);
        }

        json.Read();
        json.Read();
        if (json.TokenType != JsonTokenType.StartArray)
        {
            return outcome.Refuse("records is not an array");
        }

        if (!ReadArray(ref json, ref index, outcome))
        {
            return false;
        }

        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            json.Read();
            json.Skip();
        }

        return true;
    }

    private struct Record
    {
        public bool IsOurs;
        public bool IsConnect;
        public bool IsDisconnect;
        public bool IsError;
        public bool HasTime;
        public long AtMs;
        public int Code;
        public int IdLength;
    }

    private bool ReadRecord(scoped ref Utf8JsonReader json, int index, ReadOutcome outcome)
    {
        var record = default(Record);
        Span<byte> id = stackalloc byte[DeviceIds.LengthMax];
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (json.ValueTextEquals("time"u8))
            {
                json.Read();
                record.HasTime = json.TokenType == JsonTokenType.String && Iso8601.TryRead(json.ValueSpan, out record.AtMs);
            }
            else if (json.ValueTextEquals("category"u8))
            {
                json.Read();
                record.IsOurs = json.TokenType == JsonTokenType.String && json.ValueTextEquals("Connections"u8);
            }
            else if (json.ValueTextEquals("operationName"u8))
            {
                json.Read();
                record.IsConnect = json.TokenType == JsonTokenType.String && json.ValueTextEquals("deviceConnect"u8);
                record.IsDisconnect = json.TokenType == JsonTokenType.String && json.ValueTextEquals("deviceDisconnect"u8);
            }
            else if (json.ValueTextEquals("level"u8))
            {
                json.Read();
                record.IsError = json.TokenType == JsonTokenType.String && json.ValueTextEquals("Error"u8);
            }
            else if (json.ValueTextEquals("resultType"u8))
            {
                json.Read();
                record.Code = ReadCode(ref json);
            }
            else if (json.ValueTextEquals("properties"u8))
            {
                json.Read();
                record.IdLength = ReadProperties(ref json, id);
            }
            else
            {
                json.Read();
            }

            json.Skip();
        }

        return Judge(record, id[..record.IdLength], index, outcome);
    }

    private static bool Judge(in Record record, ReadOnlySpan<byte> id, int index, ReadOutcome outcome)
    {
        if (!record.IsOurs || !(record.IsConnect || record.IsDisconnect))
        {
            outcome.Ignored++;
            return true;
        }

        if (!record.HasTime)
        {
            return outcome.Refuse($"record [{index}] time is missing or not an ISO 8601 moment");
        }

        if (!DeviceIds.IsValid(id))
        {
            // A refused stranger may call itself anything, and the hub logs that.
            if (record.IsConnect && record.IsError)
            {
                outcome.Ignored++;
                return true;
            }

            return outcome.Refuse($"record [{index}] properties.deviceId is missing or not a device id");
        }

        FactKind kind = record.IsDisconnect ? FactKind.LoggedDisconnect
            : record.IsError ? FactKind.LoggedRefusal
            : FactKind.LoggedConnect;
        ref Fact fact = ref outcome.Facts.Add(kind, id, record.AtMs);
        fact.HubCode = !record.IsError ? HubCodes.Clean : record.Code == 0 ? HubCodes.Other : HubCodes.Pack(record.Code);
        return true;
    }

    // A text in the documentation, a number in some collectors' output.
    private static int ReadCode(scoped ref Utf8JsonReader json) => json.TokenType switch
    {
        JsonTokenType.String when int.TryParse(json.ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out int code) => code,
        JsonTokenType.Number when json.TryGetInt32(out int number) => number,
        _ => 0,
    };

    private int ReadProperties(scoped ref Utf8JsonReader json, scoped Span<byte> id)
    {
        if (json.TokenType == JsonTokenType.StartObject)
        {
            return ReadDeviceId(ref json, id);
        }

        if (json.TokenType != JsonTokenType.String || json.ValueSpan.Length > PropertiesBytesMax)
        {
            return 0;
        }

        if (room.Length < json.ValueSpan.Length)
        {
            room = new byte[PropertiesBytesMax];
        }

        int length = json.CopyString(room);
        var inner = new Utf8JsonReader(room.AsSpan(0, length));
        try
        {
            return inner.Read() && inner.TokenType == JsonTokenType.StartObject ? ReadDeviceId(ref inner, id) : 0;
        }
        catch (JsonException)
        {
            return 0; // Named as a missing device id, which is what it comes to.
        }
    }

    private static int ReadDeviceId(scoped ref Utf8JsonReader json, scoped Span<byte> id)
    {
        int length = 0;
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            bool isId = json.ValueTextEquals("deviceId"u8);
            json.Read();
            if (isId && json.TokenType == JsonTokenType.String && json.ValueSpan.Length <= DeviceIds.LengthMax)
            {
                length = json.CopyString(id);
            }

            json.Skip();
        }

        return length;
    }
}
