using System.Globalization;
using System.Text.Json;

namespace Agent.Service;

/// <summary>A body that was understood as a whole.</summary>
public sealed record EventBatch(IReadOnlyList<Fact> Facts)
{
    /// <summary>The code to send back when Event Grid asks whether we want this subscription.</summary>
    public string? ValidationCode { get; init; }

    /// <summary>Events of types, or of modules, that say nothing about a device's liveness.</summary>
    public int Ignored { get; init; }

    /// <summary>What devices wrote into their own properties that could not be used, at most ten lines.</summary>
    public IReadOnlyList<string> Problems { get; init; } = [];
}

/// <summary>
/// Reads what Event Grid posts: a JSON array of events in the Event Grid schema.
/// </summary>
/// <remarks>
/// Two writers meet in one body and get different treatment. The envelope is the hub's: if it has not the documented shape, the sender is
/// not who we think and the whole body is refused, before anything of it was applied. The message properties are the device's: a
/// device that writes nonsense there must not make Event Grid drop the events of others in the batch (a 400 is not retried), so its
/// message still counts as a sign of life and the nonsense is reported. Texts name places, never values, which may be anything.
/// </remarks>
public static class EventGridEvents
{
    public const int IntervalSecondsMax = 7 * 24 * 3600;
    public const int RenewalSecondsMax = 366 * 24 * 3600;
    private const int ProblemsMax = 10;

    private static readonly string[] TimeFormats = ["yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK", "yyyy-MM-dd'T'HH:mm:ssK"];

    public static bool TryParse(ReadOnlyMemory<byte> body, out EventBatch batch, out string error)
    {
        batch = new EventBatch([]);
        try
        {
            using JsonDocument document = JsonDocument.Parse(body);
            var reader = new Reader();
            if (!reader.ReadAll(document.RootElement))
            {
                error = reader.Error;
                return false;
            }

            batch = new EventBatch(reader.Facts)
            {
                ValidationCode = reader.ValidationCode,
                Ignored = reader.Ignored,
                Problems = reader.Problems,
            };
            error = "";
            return true;
        }
        catch (JsonException broken)
        {
            error = $"not JSON: line {broken.LineNumber + 1}, byte {broken.BytePositionInLine + 1}";
            return false;
        }
        catch (InvalidOperationException)
        {
            // GetString and property look-up on text that is valid JSON but not valid Unicode, such as a lone surrogate or bad UTF-8.
            error = "not JSON: a text in it is not valid Unicode";
            return false;
        }
    }

    private sealed class Reader
    {
        private int index;

        public List<Fact> Facts { get; } = [];
        public List<string> Problems { get; } = [];
        public string? ValidationCode { get; private set; }
        public int Ignored { get; private set; }
        public string Error { get; private set; } = "";

        public bool ReadAll(JsonElement root)
        {
            if (root.ValueKind != JsonValueKind.Array)
            {
                Error = "expected an array of events in the Event Grid schema (CloudEvents are not read yet)";
                return false;
            }

            foreach (JsonElement item in root.EnumerateArray())
            {
                if (!ReadEvent(item))
                {
                    return false;
                }

                index++;
            }

            return true;
        }

        private bool ReadEvent(JsonElement item)
        {
            if (item.ValueKind != JsonValueKind.Object)
            {
                return Refuse("", "is not an object");
            }

            if (!TryText(item, "eventType", out string type))
            {
                return Refuse("eventType", "is missing or not a text");
            }

            if (!item.TryGetProperty("data", out JsonElement data) || data.ValueKind != JsonValueKind.Object)
            {
                return Refuse("data", "is missing or not an object");
            }

            switch (type)
            {
                case "Microsoft.Devices.DeviceTelemetry":
                    return ReadTelemetry(data);
                case "Microsoft.Devices.DeviceConnected":
                    return ReadConnection(item, data, FactKind.Connected);
                case "Microsoft.Devices.DeviceDisconnected":
                    return ReadConnection(item, data, FactKind.Disconnected);
                case "Microsoft.EventGrid.SubscriptionValidationEvent":
                    return ReadValidation(data);
                default:
                    Ignored++;
                    return true;
            }
        }

        private bool ReadTelemetry(JsonElement data)
        {
            if (!data.TryGetProperty("systemProperties", out JsonElement system) || system.ValueKind != JsonValueKind.Object)
            {
                return Refuse("data.systemProperties", "is missing or not an object");
            }

            if (!TryText(system, "iothub-connection-device-id", out string id) || !DeviceIds.IsValid(id))
            {
                return Refuse("data.systemProperties.iothub-connection-device-id", "is missing or not a device id");
            }

            if (!TryTime(system, "iothub-enqueuedtime", out long atMs))
            {
                return Refuse("data.systemProperties.iothub-enqueuedtime", "is missing or not an ISO 8601 moment");
            }

            if (system.TryGetProperty("iothub-connection-module-id", out _))
            {
                Ignored++;
                return true;
            }

            Facts.Add(ReadHeartbeat(data, id, atMs));
            return true;
        }

        private Fact ReadHeartbeat(JsonElement data, string id, long atMs)
        {
            var sign = new Fact(FactKind.SignOfLife, id, atMs);
            if (!data.TryGetProperty("properties", out JsonElement properties)
                || properties.ValueKind != JsonValueKind.Object
                || !TryText(properties, "type", out string type)
                || type != "heartbeat")
            {
                return sign;
            }

            if (!TryWhole(properties, "interval", 1, IntervalSecondsMax, out long interval))
            {
                return sign;
            }

            TryWhole(properties, "seq", 0, uint.MaxValue, out long number);
            int renewal = properties.TryGetProperty("renewal", out _)
                && TryWhole(properties, "renewal", 0, RenewalSecondsMax, out long seconds) ? (int)seconds : Fact.NoRenewal;
            return sign with
            {
                Kind = FactKind.Heartbeat,
                HeartbeatNumber = (uint)number,
                IntervalSeconds = (int)interval,
                RenewalSeconds = renewal,
            };
        }

        private bool ReadConnection(JsonElement item, JsonElement data, FactKind kind)
        {
            if (!TryText(data, "deviceId", out string id) || !DeviceIds.IsValid(id))
            {
                return Refuse("data.deviceId", "is missing or not a device id");
            }

            if (!TryTime(item, "eventTime", out long atMs))
            {
                return Refuse("eventTime", "is missing or not an ISO 8601 moment");
            }

            if (!data.TryGetProperty("deviceConnectionStateEventInfo", out JsonElement info)
                || info.ValueKind != JsonValueKind.Object
                || !TryText(info, "sequenceNumber", out string digits)
                || !SequenceNumber.TryParse(digits, out SequenceNumber order))
            {
                return Refuse("data.deviceConnectionStateEventInfo.sequenceNumber", "is missing or not 64 hexadecimal digits");
            }

            // A module has connections of its own; they say nothing about the device's.
            if (TryText(data, "moduleId", out string module) && module.Length > 0)
            {
                Ignored++;
                return true;
            }

            Facts.Add(new Fact(kind, id, atMs) { Order = order });
            return true;
        }

        private bool ReadValidation(JsonElement data)
        {
            if (!TryText(data, "validationCode", out string code))
            {
                return Refuse("data.validationCode", "is missing or not a text");
            }

            ValidationCode = code;
            return true;
        }

        private bool Refuse(string place, string what)
        {
            Error = place.Length == 0 ? $"event [{index}] {what}" : $"event [{index}] {place} {what}";
            return false;
        }

        private bool TryWhole(JsonElement from, string name, long min, long max, out long value)
        {
            value = 0;
            if (TryText(from, name, out string text)
                && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long read)
                && read >= min
                && read <= max)
            {
                value = read;
                return true;
            }

            if (Problems.Count < ProblemsMax)
            {
                Problems.Add($"event [{index}] data.properties.{name} is not a whole number from {min} to {max}");
            }

            return false;
        }

        private static bool TryText(JsonElement from, string name, out string text)
        {
            bool isText = from.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String;
            text = isText ? value.GetString()! : "";
            return isText;
        }

        private static bool TryTime(JsonElement from, string name, out long utcMs)
        {
            utcMs = 0;
            if (!TryText(from, name, out string text)
                || !DateTimeOffset.TryParseExact(
                    text, TimeFormats, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset moment))
            {
                return false;
            }

            utcMs = moment.ToUnixTimeMilliseconds();
            return true;
        }
    }
}
