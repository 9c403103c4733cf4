using System.Globalization;
using System.Text.Json;

namespace Agent.Service;

/// <summary>What a device says of itself in a heartbeat, as texts where they lie, and the fact that follows.</summary>
/// <remarks>
/// The same names arrive as message properties in Event Grid's events, as the property bag of a topic, and as members of a payload; what
/// they mean is said once, here. All of it is the device's own word, so nonsense costs the word and not the sign of life.
/// Older firmware sends only the first four. gap = milliseconds the planned renewal will take; reason = number of the last
/// disconnect reason; down = seconds the device was away then, -1 = it does not know; site = where it stands.
/// </remarks>
internal ref struct BeatProperties
{
    public JsonText Type;
    public JsonText Number;
    public JsonText Interval;
    public JsonText Renewal;
    public JsonText Gap;
    public JsonText Reason;
    public JsonText LastGap;
    public JsonText Site;

    /// <summary>Which property the reader's name is, for <see cref="Set"/>; -1 = none of a heartbeat.</summary>
    public static int IndexOf(scoped ref Utf8JsonReader json) =>
        json.ValueTextEquals("type"u8) ? 0
        : json.ValueTextEquals("seq"u8) ? 1
        : json.ValueTextEquals("interval"u8) ? 2
        : json.ValueTextEquals("renewal"u8) ? 3
        : json.ValueTextEquals("gap"u8) ? 4
        : json.ValueTextEquals("reason"u8) ? 5
        : json.ValueTextEquals("down"u8) ? 6
        : json.ValueTextEquals("site"u8) ? 7
        : -1;

    /// <summary>The same for a name that is written without escapes.</summary>
    public static int IndexOf(scoped ReadOnlySpan<byte> name) => name switch
    {
        _ when name.SequenceEqual("type"u8) => 0,
        _ when name.SequenceEqual("seq"u8) => 1,
        _ when name.SequenceEqual("interval"u8) => 2,
        _ when name.SequenceEqual("renewal"u8) => 3,
        _ when name.SequenceEqual("gap"u8) => 4,
        _ when name.SequenceEqual("reason"u8) => 5,
        _ when name.SequenceEqual("down"u8) => 6,
        _ when name.SequenceEqual("site"u8) => 7,
        _ => -1,
    };

    /// <summary>Notes a property.</summary>
    public void Set(int index, JsonText text)
    {
        switch (index)
        {
            case 0: Type = text; break;
            case 1: Number = text; break;
            case 2: Interval = text; break;
            case 3: Renewal = text; break;
            case 4: Gap = text; break;
            case 5: Reason = text; break;
            case 6: LastGap = text; break;
            case 7: Site = text; break;
        }
    }

    /// <summary>Adds the heartbeat, or a mere sign of life when it is none or makes no sense; the nonsense is noted.</summary>
    public readonly void AddTo(ReadOutcome outcome, ReadOnlySpan<byte> id, long atMs, int index)
    {
        if (!Type.Raw.SequenceEqual("heartbeat"u8)
            || !IsWhole(Interval, "interval", 0, Hot.IntervalSecondsMax, index, outcome, out long interval))
        {
            outcome.Facts.Add(FactKind.SignOfLife, id, atMs);
            return;
        }

        ref Fact fact = ref outcome.Facts.Add(FactKind.Heartbeat, id, atMs);
        fact.IntervalSeconds = (int)interval;
        fact.Number = IsWhole(Number, "seq", 0, uint.MaxValue, index, outcome, out long number) ? (uint)number : 0;
        fact.RenewalSeconds = IsWholeIfThere(Renewal, "renewal", Hot.RenewalSecondsMax, index, outcome, out long renewal)
            ? (int)renewal : Hot.NoRenewal;
        fact.GapSeconds = IsWholeIfThere(Gap, "gap", Hot.GapSecondsMax * 1000L, index, outcome, out long gapMs)
            ? (ushort)((gapMs + 999) / 1000) : (ushort)0;
        fact.DeviceReason = IsWholeIfThere(Reason, "reason", byte.MaxValue, index, outcome, out long reason) ? (byte)reason : (byte)0;
        fact.LastGapSeconds = !LastGap.Raw.SequenceEqual("-1"u8)
            && IsWholeIfThere(LastGap, "down", uint.MaxValue, index, outcome, out long lastGap)
            ? (ushort)Math.Min(lastGap, ushort.MaxValue) : (ushort)0;
        if (Site.IsThere && Site.Raw.Length > 0)
        {
            string site = Site.AsString();
            if (site.Length is > 0 and <= Sites.NameLengthMax && !site.Any(char.IsControl))
            {
                outcome.Facts.SetSite(ref fact, site);
            }
            else
            {
                outcome.Note(index, $"data.properties.site is longer than {Sites.NameLengthMax} characters or not plain text");
            }
        }
    }

    private static bool IsWholeIfThere(JsonText text, string name, long max, int index, ReadOutcome outcome, out long value)
    {
        value = 0;
        return text.IsThere && IsWhole(text, name, 0, max, index, outcome, out value);
    }

    private static bool IsWhole(JsonText text, string name, long min, long max, int index, ReadOutcome outcome, out long value)
    {
        if (long.TryParse(text.Raw, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value >= min && value <= max)
        {
            return true;
        }

        outcome.Note(index, $"data.properties.{name} is not a whole number from {min} to {max}");
        return false;
    }
}
