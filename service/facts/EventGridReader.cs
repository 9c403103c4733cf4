using System.Text.Json;
using System.Text.Unicode;

namespace Agent.Service;

/// <summary>
/// Reads what Event Grid posts: events in the Event Grid schema or as CloudEvents, one or an array of them (facts/iothub.md §4).
/// </summary>
/// <remarks>
/// <para>
/// Two writers meet in one body and get different treatment. The envelope is the hub's: if it has not the documented shape, the sender is
/// not who we think and the whole body is refused, before anything of it was applied. The message properties are the device's: a
/// device that writes nonsense there must not make Event Grid drop the events of others in the batch (a 400 is not retried), so its
/// message still counts as a sign of life and the nonsense is reported. Texts name places, never values, which may be anything.
/// </para>
/// <para>
/// One pass over the bytes, no objects and no allocation per event: keys come in any order, so what may matter is noted as places in the
/// body and judged when the event ends. A device's message is skipped however deeply it is nested; it costs a bit per level.
/// </para>
/// </remarks>
public static partial class EventGridReader
{
    // A message has at most 256 KB, so no device can nest deeper.
    private const int DepthMax = 300_000;

    private static readonly JsonReaderOptions Options = new() { MaxDepth = DepthMax };

    /// <summary>Reads a body into <paramref name="outcome"/>, which must be clear; false = it is refused.</summary>
    public static bool TryRead(ReadOnlySpan<byte> body, ReadOutcome outcome)
    {
        ArgumentNullException.ThrowIfNull(outcome);
        if (!Utf8.IsValid(body))
        {
            return outcome.Refuse("not JSON: it is not UTF-8");
        }

        try
        {
            var json = new Utf8JsonReader(body, Options);
            return ReadAll(ref json, outcome);
        }
        catch (JsonException broken)
        {
            return outcome.Refuse($"not JSON: line {broken.LineNumber + 1}, byte {broken.BytePositionInLine + 1}");
        }
    }

    private static bool ReadAll(scoped ref Utf8JsonReader json, ReadOutcome outcome)
    {
        json.Read();
        if (json.TokenType == JsonTokenType.StartObject)
        {
            // A CloudEvent that is not batched comes alone.
            return ReadEvent(ref json, 0, outcome) && !json.Read();
        }

        if (json.TokenType != JsonTokenType.StartArray)
        {
            return outcome.Refuse("expected an array of events, or one CloudEvent");
        }

        for (int index = 0; json.Read() && json.TokenType != JsonTokenType.EndArray; index++)
        {
            if (json.TokenType != JsonTokenType.StartObject)
            {
                return outcome.Refuse($"event [{index}] is not an object");
            }

            if (!ReadEvent(ref json, index, outcome))
            {
                return false;
            }
        }

        return !json.Read();
    }

    /// <summary>What of an event may matter, as texts in the body without their quotes.</summary>
    private ref struct Noted
    {
        public JsonText Type;
        public JsonText Time;
        public JsonText DeviceId;
        public JsonText ModuleId;
        public JsonText Sequence;
        public JsonText ValidationCode;
        public JsonText MessageDevice;
        public JsonText MessageModule;
        public JsonText EnqueuedTime;
        public BeatProperties Beat;
        public bool HasData;
        public bool HasSystem;
    }

    private static bool ReadEvent(scoped ref Utf8JsonReader json, int index, ReadOutcome outcome)
    {
        var noted = default(Noted);
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (json.ValueTextEquals("eventType"u8) || json.ValueTextEquals("type"u8))
            {
                noted.Type = Next(ref json);
            }
            else if (json.ValueTextEquals("eventTime"u8) || json.ValueTextEquals("time"u8))
            {
                noted.Time = Next(ref json);
            }
            else if (json.ValueTextEquals("data"u8))
            {
                json.Read();
                noted.HasData = json.TokenType == JsonTokenType.StartObject;
                if (noted.HasData)
                {
                    ReadData(ref json, ref noted);
                }
                else
                {
                    json.Skip();
                }
            }
            else
            {
                Pass(ref json);
            }
        }

        return Judge(noted, index, outcome);
    }

    private static void ReadData(scoped ref Utf8JsonReader json, ref Noted noted)
    {
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (json.ValueTextEquals("properties"u8))
            {
                json.Read();
                ReadObject(ref json, ref noted, ReadProperty);
            }
            else if (json.ValueTextEquals("systemProperties"u8))
            {
                json.Read();
                noted.HasSystem = json.TokenType == JsonTokenType.StartObject;
                ReadObject(ref json, ref noted, ReadSystemProperty);
            }
            else if (json.ValueTextEquals("deviceConnectionStateEventInfo"u8))
            {
                json.Read();
                ReadObject(ref json, ref noted, ReadOrder);
            }
            else if (json.ValueTextEquals("deviceId"u8))
            {
                noted.DeviceId = Next(ref json);
            }
            else if (json.ValueTextEquals("moduleId"u8))
            {
                noted.ModuleId = Next(ref json);
            }
            else if (json.ValueTextEquals("validationCode"u8))
            {
                noted.ValidationCode = Next(ref json);
            }
            else
            {
                Pass(ref json);
            }
        }
    }

    private delegate void ReadPair(scoped ref Utf8JsonReader json, ref Noted noted);

    private static void ReadObject(scoped ref Utf8JsonReader json, ref Noted noted, ReadPair read)
    {
        if (json.TokenType != JsonTokenType.StartObject)
        {
            json.Skip();
            return;
        }

        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            read(ref json, ref noted);
        }
    }

    private static void ReadOrder(scoped ref Utf8JsonReader json, ref Noted noted)
    {
        if (json.ValueTextEquals("sequenceNumber"u8))
        {
            noted.Sequence = Next(ref json);
        }
        else
        {
            Pass(ref json);
        }
    }

    private static void ReadSystemProperty(scoped ref Utf8JsonReader json, ref Noted noted)
    {
        if (json.ValueTextEquals("iothub-connection-device-id"u8))
        {
            noted.MessageDevice = Next(ref json);
        }
        else if (json.ValueTextEquals("iothub-enqueuedtime"u8))
        {
            noted.EnqueuedTime = Next(ref json);
        }
        else if (json.ValueTextEquals("iothub-connection-module-id"u8))
        {
            noted.MessageModule = Next(ref json);
        }
        else
        {
            Pass(ref json);
        }
    }

    private static JsonText Next(scoped ref Utf8JsonReader json)
    {
        json.Read();
        var text = new JsonText(ref json);
        json.Skip();
        return text;
    }

    private static void Pass(scoped ref Utf8JsonReader json)
    {
        json.Read();
        json.Skip();
    }
}
