namespace Agent.Service;

/// <summary>How patient the checker is. Lengths are in milliseconds unless the name says otherwise.</summary>
public sealed record LivenessSettings
{
    /// <summary>Heartbeats in a row that must stay away before a device counts as silent; 1 or more.</summary>
    public int MissedBeforeSilent { get; init; } = 2;

    /// <summary>How long after its due moment a heartbeat may still be on its way to us.</summary>
    public long DeliverySlackMs { get; init; } = 10_000;

    /// <summary>How much longer a device may take when an announced renewal falls into the wait and it named no gap itself.</summary>
    public long RenewalAllowanceMs { get; init; } = 30_000;

    /// <summary>
    /// How long a device without heartbeats may be disconnected at a moment that fits its rhythm: the hub takes its snapshot once a
    /// minute (facts/iothub.md §4), so a reconnect can be invisible for that long.
    /// </summary>
    public long RhythmAllowanceMs { get; init; } = 120_000;

    /// <summary>How long a device without heartbeats may be disconnected before it counts as silent.</summary>
    public long DisconnectGraceMs { get; init; } = 300_000;

    /// <summary>Four connects within this time without a rhythm are flapping.</summary>
    public long FlapWindowMs { get; init; } = 300_000;

    /// <summary>After a restart, devices that were not heard since get this long before they may become late or silent.</summary>
    public long SlowStartMs { get; init; } = 90_000;

    /// <summary>A pause between two sweeps longer than this means that this program stood still, not the devices.</summary>
    public long SelfDoubtMs { get; init; } = 5_000;

    /// <summary>After such a pause nobody new is declared late or silent for this long, while what piled up arrives.</summary>
    public long SelfDoubtHoldMs { get; init; } = 30_000;

    /// <summary>Facts that arrive later than this after their stamp put every deadline off by as much.</summary>
    public long DeliveryDelayMs { get; init; } = 2_000;

    /// <summary>Share of the watched devices overdue at once from which it is the hub, the network or us.</summary>
    public double MassLossShare { get; init; } = 0.15;

    /// <summary>... and at least so many devices.</summary>
    public int MassLossDevices { get; init; } = 20;

    /// <summary>Share of a site's devices overdue at once from which the site has the trouble and not each of them.</summary>
    public double SiteLossShare { get; init; } = 0.5;

    /// <summary>... and at least so many devices.</summary>
    public int SiteLossDevices { get; init; } = 5;

    /// <summary>After such a loss has ended, devices get at least this long to come back before they have a trouble of their own.</summary>
    public long LossSettleMs { get; init; } = 120_000;

    /// <summary>How long a device must have been silent before that is an alarm.</summary>
    public long SilentAlarmMs { get; init; }

    /// <summary>How long a device must have been flapping before that is an alarm.</summary>
    public long FlappingAlarmMs { get; init; } = 60_000;

    /// <summary>Announced renewals a second from which a storm is ahead: an S1 unit takes 100 new connections a second.</summary>
    public int RenewalStormPerSecond { get; init; } = 100;

    /// <summary>Bound on memory: a batch that would lead past it is refused whole. At most 16 million.</summary>
    public int DevicesMax { get; init; } = 10_000_000;
}
