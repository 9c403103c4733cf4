using System.Buffers;
using System.Globalization;
using System.Text.Json;

namespace Agent.Service.Alarms;

/// <summary>
/// A notice as the JSON that is posted: <c>type</c>, <c>timestamp</c>, <c>data</c> for programs, <c>email</c> for people.
/// </summary>
/// <remarks>
/// The first three are how Standard Webhooks shapes a payload, so that a receiver's ready-made library can route it. The same notice
/// always gives the same bytes: nothing of the attempt is in them, only in the headers.
/// </remarks>
public static class NoticeBody
{
    /// <summary>UTF-8 JSON, a few kilobytes at most because a notice is bounded.</summary>
    public static byte[] Write(Notice notice)
    {
        Notice bounded = notice.Bounded();
        var buffer = new ArrayBufferWriter<byte>(2048);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("type", bounded.Edge == NoticeEdge.Test ? "test" : "alarm." + bounded.EdgeName);
            json.WriteString("timestamp", Iso(bounded.AtMs));
            WriteData(json, bounded);
            json.WriteStartObject("email");
            json.WriteString("subject", NoticeText.Subject(bounded));
            json.WriteString("text", NoticeText.Text(bounded));
            json.WriteString("html", NoticeText.Html(bounded));
            json.WriteEndObject();
            json.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    private static void WriteData(Utf8JsonWriter json, Notice notice)
    {
        json.WriteStartObject("data");
        json.WriteString("id", notice.Id);
        json.WriteString("installation", notice.Installation);
        json.WriteNumber("episode", notice.Episode);
        json.WriteString("edge", notice.EdgeName);
        json.WriteString("kind", notice.Kind);
        json.WriteString("severity", notice.SeverityName);
        json.WriteString("subject", notice.Subject);
        json.WriteString("began", Iso(notice.BeganAtMs));
        json.WriteString("at", Iso(notice.AtMs));
        json.WriteNumber("devices", notice.Devices);
        json.WriteString("reason", notice.Reason);
        json.WriteString("explanation", notice.Explanation);
        json.WriteStartArray("facts");
        foreach (string fact in notice.Facts)
        {
            json.WriteStringValue(fact);
        }

        json.WriteEndArray();
        if (notice.By is { } person)
        {
            json.WriteString("by", person);
        }

        if (notice.Link is { } link)
        {
            json.WriteString("link", link.AbsoluteUri);
        }

        json.WriteEndObject();
    }

    private static string Iso(long utcMs) =>
        DateTimeOffset.FromUnixTimeMilliseconds(utcMs).ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
}
