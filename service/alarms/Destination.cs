namespace Agent.Service.Alarms;

/// <summary>Somewhere to tell of alarms: a webhook, its secret, and when it wants what.</summary>
public sealed class Destination
{
    /// <summary>
    /// Names the destination in the outbox and on the page: 1 to 64 letters, digits, '-' or '_'. Not to be changed lightly.
    /// </summary>
    public required string Name { get; init; }

    /// <summary>Where to post; may hold a secret of its own, so it is never shown.</summary>
    public required Uri Url { get; init; }

    /// <summary>Signs what is posted; null = unsigned.</summary>
    public WebhookSecret? Secret { get; init; }

    /// <summary>Signs as well while a secret is being changed; null = none.</summary>
    public WebhookSecret? FormerSecret { get; init; }

    /// <summary>What is less bad than this is not told.</summary>
    public Severity SeverityMin { get; init; } = Severity.Warning;

    /// <summary>When a raise waits unless it is critical; null = never.</summary>
    public QuietHours? Quiet { get; init; }

    /// <summary>What is wrong; null = nothing. Does not repeat the address.</summary>
    public string? FindProblem() =>
        Name.Length is < 1 or > 64 || !Name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_')
            ? "a destination's name has 1 to 64 letters, digits, '-' or '_'"
        : !Url.IsAbsoluteUri || Url.Scheme is not ("https" or "http")
            ? $"destination {Name}: the address must begin with https:// or http://"
        : Url.UserInfo.Length > 0 ? $"destination {Name}: no user and password in the address"
        : Url.Scheme == "http" && !Url.IsLoopback ? $"destination {Name}: http:// is allowed to this machine only, use https://"
        : FormerSecret is not null && Secret is null ? $"destination {Name}: a former secret needs a present one"
        : null;

    /// <summary>Whether it is told of this. What follows a raise is always wanted: an outbox drops it where there was no raise.</summary>
    public bool Wants(Notice notice) => notice.Edge != NoticeEdge.Raised || notice.Severity >= SeverityMin;

    public override string ToString() => Name;
}
