using System.Globalization;

namespace Agent.Service;

/// <summary>A rhythm as the JSON answers show it.</summary>
public sealed record RhythmText(double PeriodSeconds, int Periods, string? Sdk, int? LifetimeSeconds, string Text);

/// <summary>A device as the JSON answers show it: moments in ISO 8601 UTC, the reason in a sentence, and the facts it rests on.</summary>
public sealed record DeviceText(string Id, string Status, string Cause, string Reason)
{
    /// <summary>The words for <see cref="Service.Status"/>, by its numbers.</summary>
    public static readonly string[] StatusNames = ["unknown", "online", "late", "silent", "renewing", "flapping", "retired"];

    public string? Since { get; init; }
    public string? LastSignOfLife { get; init; }
    public string? LastHeartbeat { get; init; }
    public uint? HeartbeatNumber { get; init; }
    public int? IntervalSeconds { get; init; }
    public string? PlannedRenewal { get; init; }
    public string? LateAt { get; init; }
    public string? SilentAt { get; init; }
    public string? HubSays { get; init; }
    public string? HubSaysAt { get; init; }
    public int? HubCode { get; init; }
    public string? HubCodeAt { get; init; }
    public string? DeviceReason { get; init; }
    public int? DeviceReasonCode { get; init; }
    public int? LastGapSeconds { get; init; }
    public string? LastConnect { get; init; }
    public RhythmText? Rhythm { get; init; }
    public string? Site { get; init; }
    public bool Alarm { get; init; }

    public static DeviceText From(in DeviceView view, long nowMs) =>
        new(view.Id, StatusNames[(int)view.Status], CauseText.NameOf(view.Cause), ReasonOf(view, nowMs))
        {
            Since = Moment(view.SinceMs),
            LastSignOfLife = Moment(view.LastSignMs),
            LastHeartbeat = Moment(view.LastHeartbeatMs),
            HeartbeatNumber = view.HeartbeatNumber,
            IntervalSeconds = view.IntervalSeconds,
            PlannedRenewal = Moment(view.RenewalAtMs),
            LateAt = Moment(view.LateAtMs),
            SilentAt = Moment(view.SilentAtMs),
            HubSays = view.IsConnected switch { true => "connected", false => "disconnected", null => null },
            HubSaysAt = Moment(view.ConnectionAtMs),
            HubCode = HubCodes.Number(view.HubCode),
            HubCodeAt = Moment(view.HubCodeAtMs),
            DeviceReason = DeviceReasons.TextOf(view.DeviceReason),
            DeviceReasonCode = view.DeviceReason == 0 ? null : view.DeviceReason,
            LastGapSeconds = view.DeviceReason == 0 ? null : view.LastGapSeconds,
            LastConnect = Moment(view.LastConnectMs),
            Rhythm = RhythmOf(view),
            Site = view.Site,
            Alarm = view.HasAlarm,
        };

    /// <summary>A moment in ISO 8601 UTC; null stays null.</summary>
    public static string? Moment(long? utcMs) => utcMs is long ms
        ? DateTimeOffset.FromUnixTimeMilliseconds(ms).ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture)
        : null;

    private static RhythmText? RhythmOf(in DeviceView view)
    {
        if (!view.Rhythm.IsRegular)
        {
            return null;
        }

        bool? isCut = view.HubCode == HubCodes.None ? null : view.HubCode != HubCodes.Clean;
        RhythmCause cause = RhythmCause.Of(view.Rhythm.PeriodSeconds, isCut);
        return new RhythmText(Math.Round(view.Rhythm.PeriodSeconds, 1), view.Rhythm.Periods, cause.Sdk, cause.LifetimeSeconds, cause.Text);
    }

    private static string ReasonOf(in DeviceView view, long nowMs)
    {
        string cause = CauseText.SentenceOf(view.Cause);
        string because = cause.Length == 0 ? "" : "; " + cause;
        if (view.Status == Service.Status.Retired)
        {
            return "deleted from the registry and not heard since";
        }

        if (view.IntervalSeconds is null)
        {
            return view.IsConnected switch
            {
                null when view.LastHeartbeatMs is null => "no heartbeat was ever seen, so nothing is overdue",
                null => "its last heartbeat said that no more are coming, so nothing is overdue",
                true => "it sends no heartbeats; the hub reports it connected" + because,
                false => "it sends no heartbeats; the hub reports it disconnected" + because,
            };
        }

        // A hub's stamp may be a little ahead of our clock.
        long quietSeconds = Math.Max(0, (nowMs - view.LastSignMs!.Value) / 1000);
        string quiet = $"last sign of life {quietSeconds} s ago, a heartbeat every {view.IntervalSeconds} s was announced";
        string renewal = view.IsRenewalAllowedFor ? "; the planned renewal was allowed for" : "";
        string hub = view.Status != Service.Status.Online && view.IsConnected == false ? "; the hub reported it disconnected" : "";
        return quiet + renewal + hub + because;
    }
}

/// <summary>Words for causes.</summary>
public static class CauseText
{
    private static readonly (string Name, string Sentence)[] Texts =
    [
        ("none", ""),
        ("announcedRenewal", "it announced that it would renew its token now"),
        ("rhythmicRenewal", "it reconnects at this rhythm"),
        ("renewalFailed", "it went to renew its token and did not come back"),
        ("noWord", "no word from the hub: power, network, or a program that hangs"),
        ("hubReportsDisconnect", "the hub saw the connection end"),
        ("closedRemotely", "its connection ended without a goodbye (404104): power, network, or keep-alive not answered"),
        ("tokenRejected", "the hub did not accept its token (401): clock, key, or not registered"),
        ("takenOver", "another client uses its identity"),
        ("disabled", "the hub has it disabled (403012)"),
        ("quotaExceeded", "the hub's daily quota of messages is used up (403002)"),
        ("throttled", "the hub throttles (429)"),
        ("hubTrouble", "trouble in the hub (5xx)"),
        ("saidGoodbye", "it disconnected cleanly and stayed away"),
        ("unsteady", "it connects again and again without a rhythm"),
        ("deleted", "deleted from the registry"),
        ("otherHubError", "the hub logged an error that is not in this program's list"),
    ];

    /// <summary>The name in JSON.</summary>
    public static string NameOf(Cause cause) => (int)cause < Texts.Length ? Texts[(int)cause].Name : "none";

    /// <summary>For a person; empty = nothing to explain.</summary>
    public static string SentenceOf(Cause cause) => (int)cause < Texts.Length ? Texts[(int)cause].Sentence : "";
}
