namespace Agent.Events;

// A run may be simulated in shards, and nobody who reads its records should be able to tell: they come in the order of time, those of
// one moment in the order of the devices, and those of one device as they happened. So the shards stop together now and then, and what
// they saw in between is put in order and handed on. What is held in memory is one such stretch, not the run.

/// <summary>What a hub lets out during a run, in one order for any number of shards.</summary>
public sealed class RunMonitor
{
    private readonly List<HubMonitor> shards = [];
    private long recordsHandedOn;
    private long eventsHandedOn;

    /// <summary>Most records, and most events, handed on; the rest is counted.</summary>
    public required long KeptMax { get; init; }

    /// <summary>Whether each message is an event too.</summary>
    public bool Telemetry { get; init; }

    /// <summary>Receives the records.</summary>
    public required Action<MonitoredRecord> OnRecord { get; init; }

    /// <summary>Receives the events.</summary>
    public required Action<MonitoredEvent> OnEvent { get; init; }

    /// <summary>Records so far, handed on or not.</summary>
    public long RecordCount => shards.Sum(shard => shard.RecordCount);

    /// <summary>Events so far, handed on or not.</summary>
    public long EventCount => shards.Sum(shard => shard.EventCount);

    /// <summary>Adds what watches one shard.</summary>
    public void Add(HubMonitor shard) => shards.Add(shard);

    /// <summary>Hands on what all shards saw since the last time; they must stand at one moment.</summary>
    public void HandOn()
    {
        recordsHandedOn += HandOn(
            shards.SelectMany(shard => shard.Records), KeptMax - recordsHandedOn, OnRecord,
            (one, other) => (one.AtMs, one.Device).CompareTo((other.AtMs, other.Device)));
        eventsHandedOn += HandOn(
            shards.SelectMany(shard => shard.Events), KeptMax - eventsHandedOn, OnEvent,
            (one, other) => (one.SeenMs, one.AtMs, one.Device).CompareTo((other.SeenMs, other.AtMs, other.Device)));
        foreach (HubMonitor shard in shards)
        {
            shard.Clear();
            shard.KeepsRecords = recordsHandedOn < KeptMax;
            shard.KeepsEvents = eventsHandedOn < KeptMax;
        }
    }

    // LINQ's own sort takes the middle for its pivot, which of two ordered halves is the worst choice there is.
    private static long HandOn<T>(IEnumerable<T> seen, long room, Action<T> receiver, Comparison<T> order)
    {
        (T Item, int Place)[] all = [.. seen.Select((item, place) => (item, place))];
        Array.Sort(all, (one, other) => order(one.Item, other.Item) is var found and not 0 ? found : one.Place.CompareTo(other.Place));
        int count = (int)Math.Clamp(room, 0, all.Length);
        foreach ((T item, _) in all.AsSpan(0, count))
        {
            receiver(item);
        }

        return count;
    }
}
