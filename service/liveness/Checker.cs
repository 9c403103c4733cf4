namespace Agent.Service;

/// <summary>A device got another status.</summary>
/// <param name="Row">Which device.</param>
/// <param name="From">What it was.</param>
/// <param name="To">What it is.</param>
/// <param name="Cause">Why.</param>
/// <param name="SinceMs">When that began, UTC milliseconds; a deadline, not the moment we looked.</param>
public readonly record struct Transition(int Row, Status From, Status To, Cause Cause, long SinceMs);

/// <summary>The heartbeat checker: facts in, statuses and alarms out.</summary>
/// <remarks>
/// A pure machine: told the time, it reads no clock, no file, no chance. What a status is, <see cref="Judgement"/> says; here is what
/// it takes to ask that of ten million devices in time: a table to find them, a wheel that says whom to look at when, and the guards that
/// keep one trouble from becoming ten thousand alarms. Not safe for several threads at once: the driver takes turns, and takes
/// <see cref="Transitions"/> and the changed alarms away after each.
/// </remarks>
public sealed partial class Checker
{
    private const int Ahead = 32;
    private const int StatusCount = 7;

    private readonly LivenessSettings settings;
    private readonly DeviceTable table;
    private readonly TimingWheel wheel;
    private readonly LinkOrders orders = new();
    private readonly Doubt doubt;
    private readonly int[] counts = new int[StatusCount];
    private readonly List<Transition> transitions = [];

    /// <param name="settings">How patient it is.</param>
    /// <param name="seed">For the index of ids; any number that those who choose ids do not know.</param>
    public Checker(LivenessSettings settings, ulong seed = 0)
    {
        this.settings = settings;
        table = new DeviceTable(seed);
        wheel = new TimingWheel(table);
        doubt = new Doubt(settings);
    }

    /// <summary>Devices known.</summary>
    public int Count => table.Count;

    /// <summary>The rows, for keeping.</summary>
    public DeviceTable Table => table;

    /// <summary>The order marks, for keeping.</summary>
    public LinkOrders Orders => orders;

    /// <summary>The sites.</summary>
    public Sites Sites { get; } = new();

    /// <summary>The alarms.</summary>
    public AlarmBook Alarms { get; } = new();

    /// <summary>The renewals announced.</summary>
    public RenewalForecast Forecast { get; } = new();

    /// <summary>Whether and how long it holds its judgement.</summary>
    public Doubt Doubt => doubt;

    /// <summary>What changed since the driver last cleared it.</summary>
    public IReadOnlyList<Transition> Transitions => transitions;

    /// <summary>How many devices have a status.</summary>
    public int CountOf(Status status) => counts[(int)status];

    /// <summary>Forgets the transitions, after they were written down.</summary>
    public void ClearTransitions() => transitions.Clear();

    /// <summary>Where time stands at the beginning; before any fact.</summary>
    public void Start(long nowMs)
    {
        wheel.Start(nowMs);
        Forecast.MoveTo(nowMs);
        doubt.Start(nowMs, withDevices: Count > 0);
    }

    /// <summary>
    /// Whether these facts fit. Ids new in this batch are counted as often as they occur: near the bound, err on its safe side.
    /// </summary>
    public bool HasRoomFor(FactBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        int room = Math.Min(settings.DevicesMax, DeviceTable.DevicesMax) - Count;
        if (batch.Count <= room)
        {
            return true;
        }

        int added = 0;
        foreach (ref readonly Fact fact in batch.Facts)
        {
            added += table.Find(batch.Id(fact)) < 0 ? 1 : 0;
        }

        return added <= room;
    }

    /// <summary>Takes facts in, in the order they came; afterwards each knows its row.</summary>
    /// <param name="batch">The facts; there is room for them.</param>
    /// <param name="nowMs">The moment they arrived, UTC milliseconds.</param>
    public void Apply(FactBatch batch, long nowMs)
    {
        ArgumentNullException.ThrowIfNull(batch);
        if (batch.FreshestMs > 0)
        {
            doubt.OnBatch(nowMs, batch.FreshestMs);
        }

        Span<Fact> facts = batch.Facts;
        Span<ulong> hashes = stackalloc ulong[Ahead];
        for (int start = 0; start < facts.Length; start += Ahead)
        {
            Span<Fact> some = facts[start..Math.Min(start + Ahead, facts.Length)];
            Resolve(batch, some, hashes);
            for (int i = 0; i < some.Length; i++)
            {
                ref Fact fact = ref some[i];
                ReadOnlySpan<byte> id = batch.Id(fact);
                if (fact.Row < 0 || !table.IdBytes(fact.Row).SequenceEqual(id))
                {
                    // Not there, another id with the same tag, or added a moment ago by this very batch.
                    fact.Row = table.Find(id, hashes[i]);
                    fact.Row = fact.Row < 0 ? Add(id, hashes[i]) : fact.Row;
                }

                ref Hot hot = ref table.Hot(fact.Row);
                if (!MattersNow(hot, fact))
                {
                    Take(fact.Row, ref hot, fact, batch);
                    continue;
                }

                // Its entry in the wheel is for the moment at which it would have been looked at, or an earlier one.
                long oldNextMs = Judgement.Of(hot, table.Cold(fact.Row), settings, nowMs - doubt.DelayMs).NextMs;
                Take(fact.Row, ref hot, fact, batch);
                LookAgain(fact.Row, ref hot, nowMs, oldNextMs);
            }
        }
    }

    // The waits for memory of many devices at once; see the table's remarks.
    private void Resolve(FactBatch batch, Span<Fact> facts, Span<ulong> hashes)
    {
        for (int i = 0; i < facts.Length; i++)
        {
            hashes[i] = table.HashOf(batch.Id(facts[i]));
            table.FetchSlot(hashes[i]);
        }

        for (int i = 0; i < facts.Length; i++)
        {
            facts[i].Row = table.FetchRow(hashes[i]);
        }

        for (int i = 0; i < facts.Length; i++)
        {
            table.FetchId(facts[i].Row);
        }
    }

    private int Add(ReadOnlySpan<byte> id, ulong hash)
    {
        int row = table.Add(id, hash);
        counts[(int)Status.Unknown]++;
        return row;
    }

    /// <summary>
    /// Whether a device must be looked at because of a fact, and not only when its time comes. For a heartbeat of a healthy device
    /// that only repeats what it said before: no, and that is what makes millions of them a second possible.
    /// </summary>
    private bool MattersNow(in Hot hot, in Fact fact)
    {
        if (fact.Kind > FactKind.Heartbeat || hot.Status != Status.Online)
        {
            return true;
        }

        if (fact.Kind == FactKind.SignOfLife)
        {
            return false;
        }

        // Rounding moves a plan by a second. A new one counts at once only if it comes before the next look.
        long oldPlanMs = hot.PlannedMs;
        long planMs = fact.RenewalSeconds == Hot.NoRenewal ? 0 : fact.AtMs + (fact.RenewalSeconds * 1000L);
        return !hot.HasBeatAhead || fact.IntervalSeconds < hot.IntervalSeconds || fact.DeviceReason != hot.DeviceReason
            || planMs == 0 != (oldPlanMs == 0) || planMs + 1500 < oldPlanMs || fact.GapSeconds != hot.GapSeconds
            || (planMs > oldPlanMs + 1500 && planMs <= fact.AtMs + (fact.IntervalSeconds * 1000L) + settings.DeliverySlackMs);
    }

    /// <summary>Notes a fact.</summary>
    private void Take(int row, ref Hot hot, in Fact fact, FactBatch batch)
    {
        hot.Set(RowFlags.HeardSinceStart, true);
        switch (fact.Kind)
        {
            case FactKind.SignOfLife:
                hot.Sign(fact.AtMs);
                break;
            case FactKind.Heartbeat:
                TakeHeartbeat(ref hot, fact, batch);
                break;
            case FactKind.Connected:
            case FactKind.Disconnected:
                TakeLink(row, ref table.Cold(row), fact, batch.Orders[fact.Extra]);
                break;
            case FactKind.Created:
            case FactKind.Deleted:
                TakeLife(ref table.Cold(row), fact);
                break;
            default:
                TakeLog(ref table.Cold(row), fact);
                break;
        }
    }

    private void TakeHeartbeat(ref Hot hot, in Fact fact, FactBatch batch)
    {
        hot.Sign(fact.AtMs);
        if (hot.IsTooOld(fact.AtMs) || (hot.HasBeat && !IsLater(hot, fact, batch)))
        {
            return;
        }

        long oldPlanMs = hot.PlannedMs;
        ushort site = fact.Extra < 0 ? (ushort)0 : Sites.NumberOf(batch.Sites[fact.Extra]);
        if (site != hot.Group)
        {
            Move(ref hot, site);
        }

        hot.Beat(fact.AtMs);
        hot.BeatNumber = fact.Number;
        hot.IntervalSeconds = fact.IntervalSeconds;
        hot.RenewalSeconds = fact.RenewalSeconds;
        hot.GapSeconds = fact.GapSeconds;
        hot.DeviceReason = fact.DeviceReason;
        hot.LastGapSeconds = fact.LastGapSeconds;
        Forecast.Change(oldPlanMs, hot.PlannedMs);
    }

    // Two different heartbeats of one instant (a device that restarted, a forwarder that rounds): any fixed choice will do, as long as it
    // does not depend on which came first.
    private bool IsLater(in Hot hot, in Fact fact, FactBatch batch)
    {
        if (fact.AtMs != hot.BeatMs)
        {
            return fact.AtMs > hot.BeatMs;
        }

        var told = (fact.Number, fact.IntervalSeconds, fact.RenewalSeconds, (int)fact.GapSeconds, fact.DeviceReason, fact.LastGapSeconds);
        var kept = (hot.BeatNumber, hot.IntervalSeconds, hot.RenewalSeconds, hot.GapSeconds, hot.DeviceReason, hot.LastGapSeconds);
        int order = told.CompareTo(kept);
        string site = fact.Extra < 0 ? "" : batch.Sites[fact.Extra];
        return order > 0 || (order == 0 && string.CompareOrdinal(site, Sites[hot.Group].Name) > 0);
    }

    private void TakeLink(int row, ref Cold cold, in Fact fact, in SequenceNumber order)
    {
        bool isConnected = fact.Kind == FactKind.Connected;
        uint seconds = (uint)(fact.AtMs / 1000);
        if (isConnected)
        {
            cold.Connects.Add(seconds, isFromLog: false);
        }

        if (cold.IsLinkKnown && !cold.IsLinkFromLog)
        {
            // One mark belongs to one event; should it come with two contents, a fixed choice as above.
            var told = (order, seconds, isConnected);
            if (told.CompareTo((orders.Of(row, cold), cold.LinkAt, cold.IsConnected)) <= 0)
            {
                return;
            }
        }

        orders.Set(row, ref cold, order);
        cold.SetLink(seconds, isConnected, isFromLog: false);
    }

    // Created and deleted have no order marks. Of one second, the deletion counts: a device that lives on will be heard.
    private static void TakeLife(ref Cold cold, in Fact fact)
    {
        uint seconds = (uint)(fact.AtMs / 1000);
        bool isDeleted = fact.Kind == FactKind.Deleted;
        if (seconds > cold.LifeAt || (seconds == cold.LifeAt && isDeleted))
        {
            cold.LifeAt = seconds;
            cold.IsDeleted = isDeleted;
        }
    }

    // The log is a second witness (facts/iothub.md §3: late, unordered, sometimes lost): it names codes and shows rhythms to the second,
    // and speaks for the connection only where no event does.
    private static void TakeLog(ref Cold cold, in Fact fact)
    {
        uint seconds = (uint)(fact.AtMs / 1000);
        bool isConnect = fact.Kind == FactKind.LoggedConnect;
        if (isConnect)
        {
            cold.Connects.Add(seconds, isFromLog: true);
        }
        else if (seconds > cold.CodeAt || (seconds == cold.CodeAt && HubCodes.Stronger(fact.HubCode, cold.HubCode) == fact.HubCode))
        {
            cold.CodeAt = seconds;
            cold.HubCode = fact.HubCode;
        }

        if (fact.Kind == FactKind.LoggedRefusal || (cold.IsLinkKnown && !cold.IsLinkFromLog))
        {
            return;
        }

        uint millisecond = (uint)(fact.AtMs % 1000);
        if (!cold.IsLinkKnown || (seconds, millisecond, isConnect).CompareTo((cold.LinkAt, cold.OrderCount, cold.IsConnected)) > 0)
        {
            cold.SetLink(seconds, isConnect, isFromLog: true);
            cold.OrderCount = millisecond;
        }
    }
}
