namespace Agent.Soak;

/// <summary>The truth about one device, which no machine gets to see.</summary>
internal sealed class DeviceBooks
{
    /// <summary>The link the hub holds by the books' own count.</summary>
    public SoakLink? HeldLink { get; set; }

    /// <summary>Connects less disconnects in the hub's records.</summary>
    public int Balance { get; set; }

    // Application messages, by number from 1.
    public int LastSent { get; set; }

    public HashSet<int> AtHub { get; } = [];

    public int HighestAtHub { get; set; }

    public int LostAtPowerCut { get; set; }

    public int DroppedBefore { get; set; }

    // Heartbeats.
    public long HighestBeat { get; set; }

    // Signs of life, UTC ms: the newest the hub has, and the newest the checker was given.
    public long SignMs { get; set; }

    public long DeliveredMs { get; set; }

    public int IntervalSeconds { get; set; }

    public long DeliveredBeatMs { get; set; }

    public int DeliveredIntervalSeconds { get; set; }

    /// <summary>The gap announced for the next renewal, seconds.</summary>
    public int GapSeconds { get; set; }

    /// <summary>The newest sign and the newest heartbeat the checker was given; only a newer one of either can change its mind.</summary>
    public (long SignMs, long BeatMs) Delivered => (DeliveredMs, DeliveredBeatMs);

    /// <summary>The same when the last alarm was raised.</summary>
    public (long SignMs, long BeatMs) AlarmedAt { get; set; } = (-1, -1);

    public bool HasAlarm { get; set; }

    /// <summary>From here on a silence counts, world ms: it began, or the checker came back.</summary>
    public long WatchedSinceMs { get; set; }
}
