using System.Globalization;
using System.Text.Json;
using Agent.Hub;

namespace Agent.Events;

/// <summary>Dead letters in a folder, laid out like the blobs Event Grid writes.</summary>
/// <remarks>
/// <c>FOLDER/SUBSCRIPTION/2026/3/1/12/id.json</c>: year, month, day and hour of the writing in UTC without leading zeros, each file an
/// array (the vendor's page on setting a dead-letter location). An event keeps its form and gains properties at its end;
/// CloudEvents get them in lower case. <c>lastHttpStatusCode</c> is not on the page but in real dead letters.
/// </remarks>
internal sealed class DeadLetters(string folder, string subscription, bool isCloudEvents)
{
    /// <summary>Writes one file.</summary>
    /// <param name="items">Events given up.</param>
    /// <param name="utcMs">Now, ms since 1970.</param>
    /// <param name="nowMs">The same moment on the clock of the items.</param>
    public void Write(IReadOnlyList<DeliveryItem> items, long utcMs, long nowMs)
    {
        string hour = DateTime.UnixEpoch.AddMilliseconds(utcMs).ToString("yyyy/M/d/H", CultureInfo.InvariantCulture);
        string place = Path.Combine([folder, subscription, .. hour.Split('/')]);
        Directory.CreateDirectory(place);
        HubFiles.WriteAtomically(Path.Combine(place, Guid.NewGuid().ToString("D") + ".json"), secret: false, stream =>
        {
            for (int i = 0; i < items.Count; i++)
            {
                stream.Write(i == 0 ? "["u8 : ",\n"u8);
                WriteItem(stream, items[i], utcMs - nowMs);
            }

            stream.Write("]\n"u8);
        });
    }

    private void WriteItem(Stream stream, DeliveryItem item, long utcOffsetMs)
    {
        // The event is an object of our own writing: all of it but the closing brace, then the new properties.
        stream.Write(item.Json.AsSpan(0, item.Json.Length - 1));
        stream.WriteByte((byte)',');
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString(Name("deadLetterReason"), item.Reason);
            json.WriteNumber(Name("deliveryAttempts"), item.Attempts);
            json.WriteString(Name("lastDeliveryOutcome"), item.LastOutcome.ToString());
            if (item.LastStatus != 0)
            {
                json.WriteNumber(Name("lastHttpStatusCode"), item.LastStatus);
            }

            json.WriteString(Name("publishTime"), Moment(item.PublishedMs + utcOffsetMs));
            if (item.Attempts > 0)
            {
                json.WriteString(Name("lastDeliveryAttemptTime"), Moment(item.LastAttemptMs + utcOffsetMs));
            }

            json.WriteEndObject();
        }

        stream.Write(buffer.GetBuffer().AsSpan(1, (int)buffer.Length - 1));
    }

    private string Name(string name) => isCloudEvents ? name.ToLowerInvariant() : name;

    private static DateTime Moment(long utcMs) => DateTime.UnixEpoch.AddMilliseconds(utcMs);
}
