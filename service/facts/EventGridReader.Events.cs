using System.Globalization;
using System.Text.Json;

namespace Agent.Service;

// What an event says, once all of it has been seen.
public static partial class EventGridReader
{
    /// <summary>The names of a heartbeat's message properties. Older firmware sends only the first four.</summary>
    /// <remarks>
    /// type, seq, interval, renewal: see the agent's heartbeat. gap = milliseconds the planned renewal will take; reason =
    /// number of the last disconnect reason; down = seconds the device was away then, -1 = it does not know; site = where it stands.
    /// </remarks>
    private static void ReadProperty(scoped ref Utf8JsonReader json, ref Noted noted)
    {
        if (json.ValueTextEquals("type"u8))
        {
            noted.BeatType = Next(ref json);
        }
        else if (json.ValueTextEquals("seq"u8))
        {
            noted.BeatNumber = Next(ref json);
        }
        else if (json.ValueTextEquals("interval"u8))
        {
            noted.Interval = Next(ref json);
        }
        else if (json.ValueTextEquals("renewal"u8))
        {
            noted.Renewal = Next(ref json);
        }
        else if (json.ValueTextEquals("gap"u8))
        {
            noted.Gap = Next(ref json);
        }
        else if (json.ValueTextEquals("reason"u8))
        {
            noted.Reason = Next(ref json);
        }
        else if (json.ValueTextEquals("down"u8))
        {
            noted.LastGap = Next(ref json);
        }
        else if (json.ValueTextEquals("site"u8))
        {
            noted.Site = Next(ref json);
        }
        else
        {
            Pass(ref json);
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

        if (!noted.BeatType.Raw.SequenceEqual("heartbeat"u8)
            || !IsWhole(noted.Interval, "interval", 1, Hot.IntervalSecondsMax, index, outcome, out long interval))
        {
            outcome.Facts.Add(FactKind.SignOfLife, id, atMs);
            return true;
        }

        ref Fact fact = ref outcome.Facts.Add(FactKind.Heartbeat, id, atMs);
        fact.IntervalSeconds = (int)interval;
        fact.Number = IsWhole(noted.BeatNumber, "seq", 0, uint.MaxValue, index, outcome, out long number) ? (uint)number : 0;
        fact.RenewalSeconds = IsWholeIfThere(noted.Renewal, "renewal", Hot.RenewalSecondsMax, index, outcome, out long renewal)
            ? (int)renewal : Hot.NoRenewal;
        fact.GapSeconds = IsWholeIfThere(noted.Gap, "gap", Hot.GapSecondsMax * 1000L, index, outcome, out long gapMs)
            ? (ushort)((gapMs + 999) / 1000) : (ushort)0;
        fact.DeviceReason = IsWholeIfThere(noted.Reason, "reason", byte.MaxValue, index, outcome, out long reason) ? (byte)reason : (byte)0;
        fact.LastGapSeconds = !noted.LastGap.Raw.SequenceEqual("-1"u8)
            && IsWholeIfThere(noted.LastGap, "down", uint.MaxValue, index, outcome, out long lastGap)
            ? (ushort)Math.Min(lastGap, ushort.MaxValue) : (ushort)0;
        if (noted.Site.IsThere && noted.Site.Raw.Length > 0)
        {
            string site = noted.Site.AsString();
            if (site.Length is > 0 and <= Sites.NameLengthMax && !site.Any(char.IsControl))
            {
                outcome.Facts.SetSite(ref fact, site);
            }
            else
            {
                outcome.Note(index, $"data.properties.site is longer than {Sites.NameLengthMax} characters or not plain text");
            }
        }

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

    private static bool IsWholeIfThere(Text text, string name, long max, int index, ReadOutcome outcome, out long value)
    {
        value = 0;
        return text.IsThere && IsWhole(text, name, 0, max, index, outcome, out value);
    }

    private static bool IsWhole(Text text, string name, long min, long max, int index, ReadOutcome outcome, out long value)
    {
        if (long.TryParse(text.Raw, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value >= min && value <= max)
        {
            return true;
        }

        outcome.Note(index, $"data.properties.{name} is not a whole number from {min} to {max}");
        return false;
    }
}
