namespace Agent.Service;

/// <summary>What the checker says about a device. Computed when asked for, never stored.</summary>
public enum Status
{
    /// <summary>No heartbeat was ever seen, so nobody promised when the next one comes.</summary>
    Unknown = 0,

    /// <summary>Every heartbeat that is due has come, or its planned renewal explains the pause.</summary>
    Online = 1,

    /// <summary>One heartbeat is overdue.</summary>
    Late = 2,

    /// <summary>As many heartbeats in a row as the settings say have not come.</summary>
    Silent = 3,
}

public enum FactKind
{
    /// <summary>Any message of the device: it lives, but says nothing about when it speaks next.</summary>
    SignOfLife = 0,

    /// <summary>A heartbeat: a sign of life that announces the next one.</summary>
    Heartbeat = 1,

    Connected = 2,
    Disconnected = 3,
}

/// <summary>One thing the hub told us. Which fields count depends on the kind.</summary>
public readonly record struct Fact(FactKind Kind, string DeviceId, long AtMs)
{
    /// <summary>The value of <see cref="RenewalSeconds"/> when the device announced no renewal.</summary>
    public const int NoRenewal = -1;

    public uint HeartbeatNumber { get; init; }

    public int IntervalSeconds { get; init; }

    /// <summary>Seconds from this heartbeat to the reconnect the device plans for its next token.</summary>
    public int RenewalSeconds { get; init; } = NoRenewal;

    public SequenceNumber Order { get; init; }
}

/// <summary>How patient the checker is.</summary>
public sealed record LivenessSettings
{
    /// <summary>Heartbeats in a row that must stay away before a device counts as silent.</summary>
    public int MissedBeforeSilent { get; init; } = 2;

    /// <summary>How long after its due moment a heartbeat may still be on its way to us.</summary>
    public long DeliverySlackMs { get; init; } = 10_000;

    /// <summary>How much longer a device may take when its announced renewal falls into the wait.</summary>
    public long RenewalAllowanceMs { get; init; } = 30_000;

    /// <summary>Bound on memory: a batch that would lead past it is refused whole.</summary>
    public int DevicesMax { get; init; } = 10_000_000;
}

/// <summary>What is known of one device and what follows from it at one moment. Moments are UTC milliseconds.</summary>
public readonly record struct DeviceView(string Id, Status Status)
{
    public long? LastSignMs { get; init; }
    public long? LastHeartbeatMs { get; init; }
    public int? IntervalSeconds { get; init; }
    public long? RenewalAtMs { get; init; }
    public bool IsRenewalAllowedFor { get; init; }
    public long? LateAtMs { get; init; }
    public long? SilentAtMs { get; init; }
    public bool? IsConnected { get; init; }
    public long? ConnectionAtMs { get; init; }
}

/// <summary>
/// The vendor's heartbeat pattern: remember when each device last spoke, worry when it is overdue.
/// </summary>
/// <remarks>
/// <para>
/// Events come at least once, late, and in any order. So nothing here counts or toggles: per device we keep three maxima
/// (latest sign of life, latest heartbeat, highest connection sequence number). A maximum does not care how often or in which
/// order its members arrive, and the status is a function of the three and of the moment asked about.
/// </para>
/// <para>
/// The deadline comes from the interval the device itself announced; only the hub's stamp says when it spoke, because device clocks
/// may be wrong. Any telemetry counts as a sign of life: the agent leaves a heartbeat out when other telemetry went out.
/// A disconnect event alone changes no status: the hub reports a snapshot once a minute, and every token renewal is a disconnect.
/// </para>
/// <para>Told the time, reads no clock, not safe for several threads at once: the driver takes turns.</para>
/// </remarks>
public sealed class Liveness(LivenessSettings settings)
{
    private const long Never = long.MinValue;

    private readonly DeviceIds ids = new();
    private Row[] rows = new Row[64];
    private Link[] links = new Link[16];
    private int linkCount;

    public int Count => ids.Count;

    /// <summary>
    /// Whether these facts fit. Ids new in this batch are counted as often as they occur: near the bound, err on its safe side.
    /// </summary>
    public bool HasRoomFor(IReadOnlyList<Fact> facts)
    {
        ArgumentNullException.ThrowIfNull(facts);
        int added = 0;
        for (int i = 0; i < facts.Count; i++)
        {
            added += ids.Find(facts[i].DeviceId) < 0 ? 1 : 0;
        }

        return added <= settings.DevicesMax - Count;
    }

    public void Apply(in Fact fact)
    {
        ref Row row = ref RowOf(fact.DeviceId);
        switch (fact.Kind)
        {
            case FactKind.SignOfLife:
                row.SignMs = Math.Max(row.SignMs, fact.AtMs);
                break;
            case FactKind.Heartbeat:
                row.SignMs = Math.Max(row.SignMs, fact.AtMs);
                KeepLater(ref row, fact);
                break;
            case FactKind.Connected:
            case FactKind.Disconnected:
                KeepHigher(ref row, fact);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(fact), "a fact has one of four kinds");
        }
    }

    /// <summary>The view of a device, or false when nothing was ever heard of it.</summary>
    public bool TryGet(ReadOnlySpan<char> id, long nowMs, out DeviceView view)
    {
        int row = ids.Find(id);
        view = row < 0 ? default : At(row, nowMs);
        return row >= 0;
    }

    /// <summary>The view of the device in a row from 0 to <see cref="Count"/> - 1; rows never move.</summary>
    public DeviceView At(int row, long nowMs)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)Count, nameof(row));
        ref readonly Row known = ref rows[row];
        var view = new DeviceView(ids[row], Status.Unknown)
        {
            LastSignMs = known.SignMs == Never ? null : known.SignMs,
            IsConnected = known.LinkNumber == 0 ? null : links[known.LinkNumber - 1].IsConnected,
            ConnectionAtMs = known.LinkNumber == 0 ? null : links[known.LinkNumber - 1].AtMs,
        };
        if (known.HeartbeatMs == Never)
        {
            return view;
        }

        Deadline late = DeadlineAfter(known, 1);
        Deadline silent = DeadlineAfter(known, settings.MissedBeforeSilent);
        Status status = StatusAt(known, nowMs);
        return view with
        {
            Status = status,
            LastHeartbeatMs = known.HeartbeatMs,
            IntervalSeconds = known.IntervalSeconds,
            RenewalAtMs = RenewalAt(known),
            IsRenewalAllowedFor = status == Status.Online ? late.HasAllowance : silent.HasAllowance,
            LateAtMs = late.Ms,
            SilentAtMs = silent.Ms,
        };
    }

    /// <summary>The status alone, for counting a whole fleet without making its texts.</summary>
    public Status StatusAt(int row, long nowMs)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)Count, nameof(row));
        return StatusAt(rows[row], nowMs);
    }

    private Status StatusAt(in Row known, long nowMs)
    {
        if (known.HeartbeatMs == Never)
        {
            return Status.Unknown;
        }

        // With MissedBeforeSilent = 1 both deadlines are one, and silent is the stronger word.
        if (nowMs >= DeadlineAfter(known, settings.MissedBeforeSilent).Ms)
        {
            return Status.Silent;
        }

        return nowMs >= DeadlineAfter(known, 1).Ms ? Status.Late : Status.Online;
    }

    /// <summary>The moment from which this many heartbeats are overdue.</summary>
    private Deadline DeadlineAfter(in Row known, int missed)
    {
        long due = known.SignMs + (missed * 1000L * known.IntervalSeconds) + settings.DeliverySlackMs;
        bool isRenewalInWait = RenewalAt(known) is long renewal && renewal > known.SignMs && renewal <= due;
        return new Deadline(isRenewalInWait ? due + settings.RenewalAllowanceMs : due, isRenewalInWait);
    }

    private static long? RenewalAt(in Row known) =>
        known.RenewalSeconds == Fact.NoRenewal ? null : known.HeartbeatMs + (1000L * known.RenewalSeconds);

    private ref Row RowOf(string id)
    {
        int before = ids.Count;
        int row = ids.FindOrAdd(id);
        if (row == before)
        {
            if (row == rows.Length)
            {
                Array.Resize(ref rows, row * 2);
            }

            rows[row] = new Row { SignMs = Never, HeartbeatMs = Never, RenewalSeconds = Fact.NoRenewal };
        }

        return ref rows[row];
    }

    // Two different heartbeats of one instant (a device that restarted, a forwarder that rounds): any fixed choice will do,
    // as long as it does not depend on which came first.
    private static void KeepLater(ref Row row, in Fact fact)
    {
        var kept = (row.HeartbeatMs, row.HeartbeatNumber, row.IntervalSeconds, row.RenewalSeconds);
        var told = (fact.AtMs, fact.HeartbeatNumber, fact.IntervalSeconds, fact.RenewalSeconds);
        if (told.CompareTo(kept) > 0)
        {
            (row.HeartbeatMs, row.HeartbeatNumber, row.IntervalSeconds, row.RenewalSeconds) = told;
        }
    }

    private void KeepHigher(ref Row row, in Fact fact)
    {
        var told = new Link(fact.Order, fact.AtMs, fact.Kind == FactKind.Connected);
        if (row.LinkNumber == 0)
        {
            if (linkCount == links.Length)
            {
                Array.Resize(ref links, linkCount * 2);
            }

            links[linkCount++] = told;
            row.LinkNumber = linkCount;
        }
        else if (told.CompareTo(links[row.LinkNumber - 1]) > 0)
        {
            links[row.LinkNumber - 1] = told;
        }
    }

    private readonly record struct Deadline(long Ms, bool HasAllowance);

    // 32 bytes. Not every device has connection events, so their 48 bytes live apart; LinkNumber counts from 1, 0 is none.
    private struct Row
    {
        public long SignMs;
        public long HeartbeatMs;
        public uint HeartbeatNumber;
        public int IntervalSeconds;
        public int RenewalSeconds;
        public int LinkNumber;
    }

    private readonly record struct Link(SequenceNumber Order, long AtMs, bool IsConnected) : IComparable<Link>
    {
        public int CompareTo(Link other) =>
            (Order, AtMs, IsConnected).CompareTo((other.Order, other.AtMs, other.IsConnected));
    }
}
