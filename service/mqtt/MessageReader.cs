using System.Text;
using System.Text.Json;

namespace Agent.Service.Mqtt;

/// <summary>Makes a fact of a message from a plain broker.</summary>
/// <remarks>
/// <para>
/// A broker stamps neither sender nor time. Who speaks is what the topic says, which the broker's access rules can hold a device to;
/// nothing in the bag or the payload can name another. When is the moment of arrival. So a message that waited in the broker looks
/// fresher than it is: after an interruption a silence is noticed up to one interval later, and never one invented. A retained
/// message has waited for nobody knows how long and says nothing.
/// </para>
/// <para>
/// The properties of a heartbeat stand in the topic, as with the hub, or else in a small payload, as members of one object, where numbers
/// may be numbers. <c>type=will</c> is a device's last will: the broker says that its connection ended without a goodbye, which with a
/// hub is the log's code 404104. Any other message is a sign of life, whatever it contains.
/// </para>
/// </remarks>
public sealed class MessageReader(TopicPattern pattern)
{
    /// <summary>Payloads longer than this are not looked into: no heartbeat needs as much.</summary>
    public const int PayloadBytesMax = 4096;

    private const int LostCode = 404104;

    private readonly byte[] decoded = new byte[Sites.NameLengthMax * 4];

    /// <summary>Reads one message; false = nobody can be said to have sent it.</summary>
    /// <param name="topic">As published.</param>
    /// <param name="payload">What was sent, or nothing of it when it was too long.</param>
    /// <param name="isRetained">Whether the broker had kept it from before.</param>
    /// <param name="atMs">When it arrived, UTC milliseconds.</param>
    /// <param name="outcome">Gets the fact, and what of the device's own words made no sense.</param>
    public bool TryRead(ReadOnlySpan<byte> topic, ReadOnlySpan<byte> payload, bool isRetained, long atMs, ReadOutcome outcome)
    {
        ArgumentNullException.ThrowIfNull(outcome);
        if (!pattern.TryMatch(topic, out ReadOnlySpan<byte> id, out ReadOnlySpan<byte> site, out ReadOnlySpan<byte> rest))
        {
            return false;
        }

        if (isRetained)
        {
            outcome.Ignored++;
            return true;
        }

        var beat = default(BeatProperties);
        if (rest.Contains((byte)'='))
        {
            ReadBag(rest, ref beat);
        }
        else if (payload.Length <= PayloadBytesMax && payload.TrimStart(" \t\r\n"u8) is [(byte)'{', ..])
        {
            ReadObject(payload, ref beat);
        }

        if (beat.Type.Raw.SequenceEqual("will"u8))
        {
            ref Fact lost = ref outcome.Facts.Add(FactKind.LoggedDisconnect, id, atMs);
            lost.HubCode = HubCodes.Pack(LostCode);
            return true;
        }

        if (!site.IsEmpty)
        {
            beat.Site = new JsonText(site);
        }

        beat.AddTo(outcome, id, atMs, index: 0);
        return true;
    }

    // Of a heartbeat's properties only the site is a text that can need escapes; an escape in a number makes it no number.
    private void ReadBag(ReadOnlySpan<byte> bag, ref BeatProperties beat)
    {
        foreach (Range range in bag.Split((byte)'&'))
        {
            ReadOnlySpan<byte> property = bag[range];
            int equals = property.IndexOf((byte)'=');
            int index = equals < 0 ? -1 : BeatProperties.IndexOf(property[..equals]);
            if (index < 0)
            {
                continue;
            }

            ReadOnlySpan<byte> value = property[(equals + 1)..];
            if (value.Contains((byte)'%') && value.Length <= decoded.Length)
            {
                string text = Uri.UnescapeDataString(Encoding.UTF8.GetString(value));
                value = Encoding.UTF8.TryGetBytes(text, decoded, out int length) ? decoded.AsSpan(0, length) : value;
            }

            beat.Set(index, new JsonText(value));
        }
    }

    private static void ReadObject(ReadOnlySpan<byte> payload, ref BeatProperties beat)
    {
        try
        {
            var json = new Utf8JsonReader(payload);
            json.Read();
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                int index = BeatProperties.IndexOf(ref json);
                json.Read();
                if (index >= 0 && json.TokenType is JsonTokenType.Number or JsonTokenType.String)
                {
                    beat.Set(index, json.TokenType == JsonTokenType.Number ? new JsonText(json.ValueSpan) : new JsonText(ref json));
                }

                json.Skip();
            }

            // Half an object, or one with something behind it, is no heartbeat.
            beat = json.TokenType == JsonTokenType.EndObject && !json.Read() ? beat : default;
        }
        catch (Exception broken) when (broken is JsonException or InvalidOperationException)
        {
            beat = default;
        }
    }
}
