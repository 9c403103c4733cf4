using System.Text.Json;

namespace Agent.Service;

// What an event says, once all of it has been seen.
public static partial class EventGridReader
{
    private static void ReadProperty(scoped ref Utf8JsonReader json, ref Noted noted)
    {
        int property = BeatProperties.IndexOf(ref json);
        if (property < 0)
        {
            Pass(ref json);
        }
        else
        {
            noted.Beat.Set(property, Next(ref json));
        }
    }

    private static bool Judge(in Noted noted, int index, ReadOutcome outcome)
    {
        if (!noted.Type.IsThere)
        {
            return outcome.Refuse($"event [{index}] eventType (in a CloudEvent: type) is missing or not a text");
        }

        if (!noted.HasData)
        {
            return outcome.Refuse($"event [{index}] data is missing or not an object");
        }

        ReadOnlySpan<byte> type = noted.Type.Raw;
        if (type.SequenceEqual("Microsoft.Devices.DeviceTelemetry"u8))
        {
            return JudgeTelemetry(noted, index, outcome);
        }

        if (type.SequenceEqual("Microsoft.Devices.DeviceConnected"u8))
        {
            return JudgeOther(noted, index, FactKind.Connected, outcome);
        }

        if (type.SequenceEqual("Microsoft.Devices.DeviceDisconnected"u8))
        {
            return JudgeOther(noted, index, FactKind.Disconnected, outcome);
        }

        if (type.SequenceEqual("Microsoft.Devices.DeviceCreated"u8))
        {
            return JudgeOther(noted, index, FactKind.Created, outcome);
        }

        if (type.SequenceEqual("Microsoft.Devices.DeviceDeleted"u8))
        {
            return JudgeOther(noted, index, FactKind.Deleted, outcome);
        }

        if (type.SequenceEqual("Microsoft.EventGrid.SubscriptionValidationEvent"u8))
        {
            outcome.ValidationCode = noted.ValidationCode.IsThere ? noted.ValidationCode.AsString() : null;
            return outcome.ValidationCode is { Length: > 0 }
                || outcome.Refuse($"event [{index}] data.validationCode is missing or not a text");
        }

        outcome.Ignored++;
        return true;
    }

    private static bool JudgeTelemetry(in Noted noted, int index, ReadOutcome outcome)
    {
        if (!noted.HasSystem)
        {
            return outcome.Refuse($"event [{index}] data.systemProperties is missing or not an object");
        }

        Span<byte> room = stackalloc byte[DeviceIds.LengthMax * 6];
        ReadOnlySpan<byte> id = noted.MessageDevice.Bytes(room);
        if (!DeviceIds.IsValid(id))
        {
            return outcome.Refuse($"event [{index}] data.systemProperties.iothub-connection-device-id is missing or not a device id");
        }

        if (!Iso8601.TryRead(noted.EnqueuedTime.Raw, out long atMs))
        {
            return outcome.Refuse($"event [{index}] data.systemProperties.iothub-enqueuedtime is missing or not an ISO 8601 moment");
        }

        if (noted.MessageModule.IsThere)
        {
            outcome.Ignored++;
            return true;
        }

        noted.Beat.AddTo(outcome, id, atMs, index);
        return true;
    }

    private static bool JudgeOther(in Noted noted, int index, FactKind kind, ReadOutcome outcome)
    {
        Span<byte> room = stackalloc byte[DeviceIds.LengthMax * 6];
        ReadOnlySpan<byte> id = noted.DeviceId.Bytes(room);
        if (!DeviceIds.IsValid(id))
        {
            return outcome.Refuse($"event [{index}] data.deviceId is missing or not a device id");
        }

        if (!Iso8601.TryRead(noted.Time.Raw, out long atMs))
        {
            return outcome.Refuse($"event [{index}] eventTime (in a CloudEvent: time) is missing or not an ISO 8601 moment");
        }

        SequenceNumber order = default;
        if (kind is FactKind.Connected or FactKind.Disconnected && !SequenceNumber.TryParse(noted.Sequence.Raw, out order))
        {
            return outcome.Refuse(
                $"event [{index}] data.deviceConnectionStateEventInfo.sequenceNumber is missing or not 64 hexadecimal digits");
        }

        // A module has connections and a life of its own; they say nothing about the device's.
        if (noted.ModuleId.IsThere && noted.ModuleId.Raw.Length > 0)
        {
            outcome.Ignored++;
            return true;
        }

        ref Fact fact = ref outcome.Facts.Add(kind, id, atMs);
        if (kind is FactKind.Connected or FactKind.Disconnected)
        {
            outcome.Facts.SetOrder(ref fact, order);
        }

        return true;
    }
}
