using System.Globalization;

namespace Agent.Service;

/// <summary>A device as the JSON answers show it: moments in ISO 8601 UTC, the reason in a sentence.</summary>
public sealed record DeviceText(string Id, string Status, string Reason)
{
    /// <summary>The words for <see cref="Service.Status"/>, by its numbers.</summary>
    public static readonly string[] StatusNames = ["unknown", "online", "late", "silent"];

    public string? Since { get; init; }
    public string? LastSignOfLife { get; init; }
    public string? LastHeartbeat { get; init; }
    public int? IntervalSeconds { get; init; }
    public string? PlannedRenewal { get; init; }
    public string? LateAt { get; init; }
    public string? SilentAt { get; init; }
    public string? HubSays { get; init; }
    public string? HubSaysAt { get; init; }

    public static DeviceText From(in DeviceView view, long nowMs) =>
        new(view.Id, StatusNames[(int)view.Status], ReasonOf(view, nowMs))
        {
            // Only where it follows from what is known; since when a device has been online needs its history, which is not kept yet.
            Since = view.Status switch
            {
                Service.Status.Late => Moment(view.LateAtMs),
                Service.Status.Silent => Moment(view.SilentAtMs),
                _ => null,
            },
            LastSignOfLife = Moment(view.LastSignMs),
            LastHeartbeat = Moment(view.LastHeartbeatMs),
            IntervalSeconds = view.IntervalSeconds,
            PlannedRenewal = Moment(view.RenewalAtMs),
            LateAt = Moment(view.LateAtMs),
            SilentAt = Moment(view.SilentAtMs),
            HubSays = view.IsConnected switch { true => "connected", false => "disconnected", null => null },
            HubSaysAt = Moment(view.ConnectionAtMs),
        };

    public static string? Moment(long? utcMs) => utcMs is long ms
        ? DateTimeOffset.FromUnixTimeMilliseconds(ms).ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture)
        : null;

    private static string ReasonOf(in DeviceView view, long nowMs)
    {
        if (view.Status == Service.Status.Unknown)
        {
            return "no heartbeat was ever seen, so nothing is overdue";
        }

        // A hub's stamp may be a little ahead of our clock.
        long quietSeconds = Math.Max(0, (nowMs - view.LastSignMs!.Value) / 1000);
        string quiet = $"last sign of life {quietSeconds} s ago, a heartbeat every {view.IntervalSeconds} s was announced";
        string renewal = view.IsRenewalAllowedFor ? "; the planned renewal was allowed for" : "";
        string hub = view.Status != Service.Status.Online && view.IsConnected == false ? "; the hub reported it disconnected" : "";
        return quiet + renewal + hub;
    }
}
