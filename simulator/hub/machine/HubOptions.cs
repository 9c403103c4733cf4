namespace Agent.Hub;

/// <summary>What differs between hubs. Defaults reproduce the vendor's published charts.</summary>
public sealed record HubOptions
{
    /// <summary>
    /// How long the hub lets an expired token live, shortest, in ms. 10 min reproduces the published screenshots
    /// (1200 s token, 30 min period); other evidence says 5 min or 5 to 10. The two may differ: then each connection draws.
    /// </summary>
    public long GraceMinMs { get; init; } = 600_000;

    /// <summary>Longest grace in ms; at least <see cref="GraceMinMs"/>.</summary>
    public long GraceMaxMs { get; init; } = 600_000;

    /// <summary>A token expired for less than this is still accepted at CONNECT, in ms (5 min in the vendor's own tests).</summary>
    public long ClockSkewAllowedMs { get; init; } = 300_000;

    /// <summary>F1, B1..B3 or S1..S3.</summary>
    public string Tier { get; init; } = "S1";

    /// <summary>Units bought, 1..200.</summary>
    public int Units { get; init; } = 1;

    /// <summary>Whether the tier's throttles and its daily quota are applied.</summary>
    public bool Throttle { get; init; }

    /// <summary>How late <c>connectionState</c> may be, ms (5 min on the vendor's page); 0 = not at all.</summary>
    public long ConnectionStateLagMs { get; init; } = ConnectionStateView.LagMsDefault;

    /// <summary>B1..B3: no twins, no direct methods, no messages to devices (vendor's scaling page).</summary>
    public bool IsBasic => Tier.StartsWith('B');

    /// <summary>New connections per second the tier allows (vendor's quotas and throttling page).</summary>
    public int ConnectsPerSecondLimit => Tier switch
    {
        "S3" or "B3" => 6000 * Units,
        "S2" or "B2" => 120 * Units,
        _ => Math.Max(100, 12 * Units),
    };

    /// <summary>Messages a day the tier allows for all units together.</summary>
    public long MessagesPerDayLimit => Units * (Tier switch
    {
        "F1" => 8_000L,
        "S2" or "B2" => 6_000_000L,
        "S3" or "B3" => 300_000_000L,
        _ => 400_000L,
    });

    /// <summary>US dollars per unit and month (S1 as published; the others by the published ratios).</summary>
    public double UsdPerUnitMonth => Tier switch
    {
        "F1" => 0,
        "B1" => 10,
        "B2" => 50,
        "B3" => 500,
        "S2" => 250,
        "S3" => 2500,
        _ => 25,
    };
}
