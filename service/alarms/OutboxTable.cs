namespace Agent.Service.Alarms;

/// <summary>The rows of an outbox in memory: what may be added, claimed and recorded. Pure; a store keeps it.</summary>
/// <remarks>
/// <para>
/// Adding is safe to repeat: after a crash a store may add the edges of all alarms it knows once more, and nothing is told twice. For that
/// the numbers of episodes that are over are remembered, the latest few thousand one by one and all older ones by a mark below
/// which every number without a row counts as over. Episodes are numbered in rising order, so the mark costs nothing.
/// </para>
/// <para>
/// The table is bounded. When it is full a new episode is not taken in and counts as over, so that its clear does not come alone; that is
/// counted and the page can say so. What is already in it is never thrown out.
/// </para>
/// </remarks>
public sealed class OutboxTable
{
    private const int OverKeptMax = 4096;

    private readonly int rowsMax;
    private readonly Dictionary<string, Shelf> shelves = new(StringComparer.Ordinal);

    /// <param name="rowsMax">Most rows for each destination, 1 or more.</param>
    public OutboxTable(int rowsMax = 10_000)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rowsMax);
        this.rowsMax = rowsMax;
    }

    /// <summary>Episodes not taken in because the table was full.</summary>
    public long Overflown { get; private set; }

    /// <summary>All rows, by destination and episode.</summary>
    public IEnumerable<Delivery> Rows => shelves.Values.SelectMany(shelf => shelf.Rows.Values.Select(entry => entry.Row));

    /// <summary>Destinations and, for each, the mark and the numbers above it that are over: what a store keeps beside the rows.</summary>
    public IEnumerable<(string Destination, long Mark, IReadOnlyCollection<long> Over)> Over =>
        shelves.Select(shelf => (shelf.Key, shelf.Value.Mark, (IReadOnlyCollection<long>)shelf.Value.Over));

    /// <summary>Rows that are not idle, for one destination.</summary>
    public int Waiting(string destination) =>
        shelves.TryGetValue(destination, out Shelf? shelf) ? shelf.Rows.Values.Count(entry => !entry.Row.IsIdle) : 0;

    /// <summary>
    /// Makes a destination known. One that is new hears of episodes after this one only: nobody wants the alarms of last year from a
    /// webhook set up today.
    /// </summary>
    /// <returns>Whether it was new.</returns>
    public bool Introduce(string destination, long lastEpisode)
    {
        if (shelves.ContainsKey(destination))
        {
            return false;
        }

        ShelfOf(destination).Mark = lastEpisode;
        return true;
    }

    /// <summary>Adds an edge; null = it was known, or is not to be told. A row that is over at once is returned too.</summary>
    public Delivery? Append(string destination, Notice notice)
    {
        Shelf shelf = ShelfOf(destination);
        shelf.Rows.TryGetValue(notice.Episode, out Entry? entry);
        if (entry is null && shelf.IsOver(notice.Episode))
        {
            return null;
        }

        if (entry is null && shelf.Rows.Count >= rowsMax)
        {
            if (notice.Edge == NoticeEdge.Raised)
            {
                Overflown++;
                shelf.Forget(notice.Episode);
            }

            return null;
        }

        Delivery? row = Delivery.Append(entry?.Row, destination, notice);
        if (row is not null)
        {
            shelf.Rows[notice.Episode] = new Entry(row, entry?.LeaseUntilMs ?? 0);
        }

        return row;
    }

    /// <summary>As <see cref="IOutbox.ClaimAsync"/>.</summary>
    public IReadOnlyList<Delivery> Claim(string destination, long nowMs, long leaseUntilMs, int count)
    {
        if (!shelves.TryGetValue(destination, out Shelf? shelf))
        {
            return [];
        }

        var claimed = new List<Delivery>();
        foreach (Entry entry in shelf.Rows.Values)
        {
            if (claimed.Count >= count)
            {
                break;
            }

            if (!entry.Row.IsIdle && entry.Row.NextMs <= nowMs && entry.LeaseUntilMs <= nowMs)
            {
                entry.LeaseUntilMs = leaseUntilMs;
                claimed.Add(entry.Row);
            }
        }

        return claimed;
    }

    /// <summary>As <see cref="IOutbox.RecordAsync"/>; the row as it is now, null when it was not there.</summary>
    public Delivery? Record(Delivery row)
    {
        Shelf shelf = ShelfOf(row.Destination);
        if (!shelf.Rows.TryGetValue(row.Episode, out Entry? entry))
        {
            return null;
        }

        Delivery merged = row with { Notices = entry.Row.Notices };
        if (merged.IsOver)
        {
            shelf.Rows.Remove(row.Episode);
            shelf.Forget(row.Episode);
        }
        else
        {
            // A notice that came while the last one was under way must not wait for a moment meant for nothing.
            shelf.Rows[row.Episode] = new Entry(merged, 0);
        }

        return merged;
    }

    /// <summary>Puts back a row that was kept.</summary>
    public void Restore(Delivery row)
    {
        if (row.IsOver)
        {
            RestoreOver(row.Destination, row.Episode);
        }
        else
        {
            ShelfOf(row.Destination).Rows[row.Episode] = new Entry(row, 0);
        }
    }

    /// <summary>Puts back the number of an episode that is over, and takes its row away.</summary>
    public void RestoreOver(string destination, long episode)
    {
        Shelf shelf = ShelfOf(destination);
        shelf.Rows.Remove(episode);
        shelf.Forget(episode);
    }

    /// <summary>Puts back a mark.</summary>
    public void RestoreMark(string destination, long mark) => ShelfOf(destination).Mark = mark;

    private Shelf ShelfOf(string destination)
    {
        if (!shelves.TryGetValue(destination, out Shelf? shelf))
        {
            shelf = new Shelf();
            shelves.Add(destination, shelf);
        }

        return shelf;
    }

    private sealed class Entry(Delivery row, long leaseUntilMs)
    {
        public Delivery Row { get; } = row;

        public long LeaseUntilMs { get; set; } = leaseUntilMs;
    }

    private sealed class Shelf
    {
        public SortedDictionary<long, Entry> Rows { get; } = [];

        public SortedSet<long> Over { get; } = [];

        public long Mark { get; set; }

        public bool IsOver(long episode) => episode <= Mark || Over.Contains(episode);

        public void Forget(long episode)
        {
            if (episode > Mark)
            {
                Over.Add(episode);
                if (Over.Count > OverKeptMax)
                {
                    Mark = Over.Min;
                    Over.Remove(Mark);
                }
            }
        }
    }
}
