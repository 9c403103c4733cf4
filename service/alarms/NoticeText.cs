using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;

namespace Agent.Service.Alarms;

/// <summary>A notice in words: subject, plain text and HTML of a mail, ready to be sent by whoever can send mail.</summary>
/// <remarks>
/// The checker has no mail server and wants none: a webhook receiver (a Logic App, a mail gateway) takes these three strings as they
/// are. The HTML uses no style sheet, no picture and no script, because mail programs take those out.
/// </remarks>
public static class NoticeText
{
    /// <summary>One line, without control characters.</summary>
    public static string Subject(Notice notice)
    {
        string mark = notice.Edge == NoticeEdge.Raised ? notice.SeverityName : notice.EdgeName;
        return $"[{mark}] {Headline(notice)}";
    }

    /// <summary>Plain text, lines ended by LF.</summary>
    public static string Text(Notice notice)
    {
        var text = new StringBuilder();
        text.Append(Headline(notice)).Append(".\n");
        if (notice.Explanation.Length > 0)
        {
            text.Append(notice.Explanation).Append('\n');
        }

        text.Append('\n');
        foreach ((string name, string value) in Rows(notice))
        {
            text.Append(CultureInfo.InvariantCulture, $"{name + ":",-14}{value}\n");
        }

        if (notice.Facts.Count > 0)
        {
            text.Append("\nThis rests on:\n");
            foreach (string fact in notice.Facts)
            {
                text.Append("- ").Append(fact).Append('\n');
            }
        }

        return text.ToString();
    }

    /// <summary>The body of an HTML mail; everything that came from outside is encoded.</summary>
    public static string Html(Notice notice)
    {
        var html = new StringBuilder();
        html.Append("<h2>").Append(Encoded(Headline(notice))).Append("</h2>");
        if (notice.Explanation.Length > 0)
        {
            html.Append("<p>").Append(Encoded(notice.Explanation)).Append("</p>");
        }

        html.Append("<table>");
        foreach ((string name, string value) in Rows(notice))
        {
            html.Append("<tr><th align=\"left\">").Append(name).Append("</th><td>").Append(Encoded(value)).Append("</td></tr>");
        }

        html.Append("</table>");
        if (notice.Facts.Count > 0)
        {
            html.Append("<p>This rests on:</p><ul>");
            foreach (string fact in notice.Facts)
            {
                html.Append("<li>").Append(Encoded(fact)).Append("</li>");
            }

            html.Append("</ul>");
        }

        if (notice.Link is { } link && link.Scheme is "http" or "https")
        {
            html.Append("<p><a href=\"").Append(Encoded(notice.Link.AbsoluteUri)).Append("\">Show it</a></p>");
        }

        return html.ToString();
    }

    /// <summary>A UTC moment as people read it.</summary>
    public static string Moment(long utcMs) =>
        DateTimeOffset.FromUnixTimeMilliseconds(utcMs).ToString("yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture);

    private static string Headline(Notice notice)
    {
        string subject = notice.Subject;
        bool isOver = notice.Edge == NoticeEdge.Cleared;
        string devices = notice.Devices == 1 ? "1 device" : string.Create(CultureInfo.InvariantCulture, $"{notice.Devices} devices");
        return notice.Edge == NoticeEdge.Test
            ? "Test message of the heartbeat checker"
            : (notice.Kind, isOver) switch
            {
                ("deviceSilent", false) => $"{subject} is silent",
                ("deviceSilent", true) => $"{subject} is back",
                ("deviceFlapping", false) => $"{subject} comes and goes",
                ("deviceFlapping", true) => $"{subject} is steady again",
                ("siteLost", false) => $"Site {subject}: {devices} overdue at once",
                ("siteLost", true) => $"Site {subject} is back",
                ("fleetLost", false) => $"{subject}: {devices} overdue at once",
                ("fleetLost", true) => $"{subject}: the fleet is back",
                ("renewalStorm", false) => $"{subject}: {devices} are about to renew at once",
                ("renewalStorm", true) => $"{subject}: the renewals are through",
                (_, false) => $"{subject}: {notice.Kind}",
                (_, true) => $"{subject}: {notice.Kind} is over",
            };
    }

    private static IEnumerable<(string Name, string Value)> Rows(Notice notice)
    {
        if (notice.Edge == NoticeEdge.Test)
        {
            yield return ("Sent", Moment(notice.AtMs));
            yield return ("Installation", notice.Installation);
            yield break;
        }

        yield return ("Began", Moment(notice.BeganAtMs));
        yield return (char.ToUpperInvariant(notice.EdgeName[0]) + notice.EdgeName[1..], Moment(notice.AtMs));
        if (notice.Edge == NoticeEdge.Cleared && notice.AtMs > notice.BeganAtMs)
        {
            yield return ("Lasted", Length(notice.AtMs - notice.BeganAtMs));
        }

        if (notice.By is { } person)
        {
            yield return ("By", person);
        }

        yield return ("Severity", notice.SeverityName);
        if (notice.Reason.Length > 0)
        {
            yield return ("Reason", notice.Reason);
        }

        if (notice.Devices != 1)
        {
            yield return ("Devices", notice.Devices.ToString(CultureInfo.InvariantCulture));
        }

        if (notice.Link is { } link)
        {
            yield return ("Look at", link.AbsoluteUri);
        }

        yield return ("Id", notice.Id);
    }

    private static string Length(long ms)
    {
        TimeSpan length = TimeSpan.FromMilliseconds(ms);
        return length.TotalDays >= 1 ? string.Create(CultureInfo.InvariantCulture, $"{(int)length.TotalDays} d {length.Hours} h")
            : length.TotalHours >= 1 ? string.Create(CultureInfo.InvariantCulture, $"{length.Hours} h {length.Minutes} min")
            : length.TotalMinutes >= 1 ? string.Create(CultureInfo.InvariantCulture, $"{length.Minutes} min {length.Seconds} s")
            : string.Create(CultureInfo.InvariantCulture, $"{length.TotalSeconds:0} s");
    }

    private static string Encoded(string text) => HtmlEncoder.Default.Encode(text);
}
