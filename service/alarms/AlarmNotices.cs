using System.Globalization;

namespace Agent.Service.Alarms;

/// <summary>Puts an alarm of the book into the words of notices. Pure.</summary>
public static class AlarmNotices
{
    /// <summary>The edges an alarm has had so far, the raise first: a clear is never told without it.</summary>
    /// <param name="alarm">As the book has it.</param>
    /// <param name="checker">For the names, and for what a device's alarm rests on.</param>
    /// <param name="settings">Who says so.</param>
    /// <param name="nowMs">UTC milliseconds.</param>
    public static IEnumerable<Notice> EdgesOf(Alarm alarm, Checker checker, AlarmSettings settings, long nowMs)
    {
        ArgumentNullException.ThrowIfNull(alarm);
        ArgumentNullException.ThrowIfNull(checker);
        ArgumentNullException.ThrowIfNull(settings);
        AlarmText text = AlarmText.From(alarm, checker);
        bool isOfDevice = alarm.Kind is AlarmKind.DeviceSilent or AlarmKind.DeviceFlapping;
        var raise = new Notice
        {
            Installation = settings.Installation,
            Episode = alarm.Number,
            Edge = NoticeEdge.Raised,
            Kind = text.Kind,
            Severity = SeverityOf(alarm.Kind),
            Subject = text.Subject,
            AtMs = alarm.RaisedAtMs,
            BeganAtMs = alarm.BeganAtMs,
            Devices = alarm.Devices,
            Reason = text.Cause == "none" ? "" : text.Cause,
            Explanation = Sentence(text.Reason),
            Facts = isOfDevice ? [.. FactsOf(checker.At(alarm.Subject, nowMs))] : [],
            Link = settings.Page is null ? null : new Uri(settings.Page, "#" + Uri.EscapeDataString(text.Subject)),
        };
        yield return raise;
        if (checker.Alarms.AcknowledgementOf(alarm.Number) is { } word)
        {
            yield return raise with { Edge = NoticeEdge.Acknowledged, AtMs = word.AtMs, By = word.By };
        }

        if (alarm.ClearedAtMs is { } clearedMs)
        {
            yield return raise with
            {
                Edge = NoticeEdge.Cleared,
                AtMs = clearedMs,
                Facts = text.DeviceReason is { } said ? [$"the device says itself: {said}"] : [],
            };
        }
    }

    // What concerns many, or the way to all of them, is told at night too.
    private static Severity SeverityOf(AlarmKind kind) => kind switch
    {
        AlarmKind.FleetLost or AlarmKind.SiteLost => Severity.Critical,
        AlarmKind.DeviceSilent => Severity.Error,
        _ => Severity.Warning,
    };

    private static IEnumerable<string> FactsOf(DeviceView view)
    {
        if (view.LastSignMs is { } sign)
        {
            yield return $"last sign of life {NoticeText.Moment(sign)}";
        }

        if (view.IntervalSeconds is { } seconds)
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"a heartbeat every {seconds} s was announced");
        }

        if (view.ConnectionAtMs is { } at)
        {
            yield return $"the hub reported it {(view.IsConnected == true ? "connected" : "disconnected")} {NoticeText.Moment(at)}";
        }

        if (HubCodes.Number(view.HubCode) is { } code && view.HubCodeAtMs is { } codeAt)
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"hub's log: {code} at {NoticeText.Moment(codeAt)}");
        }
    }

    private static string Sentence(string text) => text.Length == 0 ? "" : char.ToUpperInvariant(text[0]) + text[1..] + ".";
}
