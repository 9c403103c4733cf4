using Agent.Service.Alarms;
using Agent.Tests.Events;

namespace Agent.Tests.Service.Alarms;

/// <summary>Notices and destinations as the tests of delivery need them.</summary>
internal static class Notices
{
    public static readonly long StartMs = ManualTime.Start.ToUnixTimeMilliseconds();

    // Made for these tests; signs nothing else.
    public const string SecretText = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    public static WebhookSecret Secret(string text = SecretText)
    {
        Assert.True(WebhookSecret.TryParse(text, out WebhookSecret? secret, out string problem), problem);
        return secret!;
    }

    public static Notice Of(NoticeEdge edge, long episode = 1, long atMs = -1, Severity severity = Severity.Error) => new()
    {
        Installation = "plant-7",
        Episode = episode,
        Edge = edge,
        Kind = "deviceSilent",
        Severity = severity,
        Subject = "device-0001",
        AtMs = atMs < 0 ? StartMs : atMs,
        BeganAtMs = StartMs - 10_000,
        Reason = "closedRemotely",
        Explanation = "The connection ended without a goodbye: power, network, or keep-alive not answered.",
        Facts = ["last heartbeat 2026-03-01 11:57:50 UTC", "hub's log: 404104 at 2026-03-01 11:58:40 UTC"],
        By = edge == NoticeEdge.Acknowledged ? "kim" : null,
        Link = new Uri("https://checker.example/#device-0001"),
    };

    public static Destination To(Uri url, string name = "ops", string? quiet = null, bool isSigned = true) => new()
    {
        Name = name,
        Url = url,
        Secret = isSigned ? Secret() : null,
        Quiet = quiet is null ? null : Quiet(quiet),
    };

    public static QuietHours Quiet(string text, string zone = "UTC")
    {
        Assert.True(
            QuietHours.TryParse(text, TimeZoneInfo.FindSystemTimeZoneById(zone), out QuietHours? quiet, out string problem), problem);
        return quiet!;
    }
}
