namespace Agent.Service;

/// <summary>The hub's order marks of all devices in 6 bytes each.</summary>
/// <remarks>
/// An order mark has 32 bytes, and nothing documents its structure. Marks of one hub share their first 24 or so bytes for long
/// (facts/iothub.md §4), so the first 28 are kept once in a table and a device keeps the place in it and the last 4. Should a
/// hub give each event a prefix of its own, the table is full after 65,000 of them and the rest are kept whole, one per device: more
/// memory, the same answers. The road not taken, to compare the times of events instead, is what the vendor warns of.
/// </remarks>
public sealed class LinkOrders
{
    private const ushort KeptWhole = ushort.MaxValue;

    private readonly Dictionary<SequenceNumber, ushort> places = [];
    private readonly List<SequenceNumber> prefixes = [];
    private readonly Dictionary<int, SequenceNumber> whole = [];

    /// <summary>The table, for keeping.</summary>
    public IReadOnlyList<SequenceNumber> Prefixes => prefixes;

    /// <summary>The marks that do not fit, for keeping.</summary>
    public IReadOnlyDictionary<int, SequenceNumber> Whole => whole;

    /// <summary>Puts back what was kept.</summary>
    public void Restore(IEnumerable<SequenceNumber> keptPrefixes, IEnumerable<KeyValuePair<int, SequenceNumber>> keptWhole)
    {
        foreach (SequenceNumber prefix in keptPrefixes)
        {
            places.Add(prefix, (ushort)prefixes.Count);
            prefixes.Add(prefix);
        }

        foreach ((int row, SequenceNumber order) in keptWhole)
        {
            whole[row] = order;
        }
    }

    /// <summary>Whether a row that was read from a file names a prefix there is.</summary>
    public bool IsSound(in Cold cold) => cold.OrderPrefix == KeptWhole || cold.OrderPrefix < Math.Max(1, prefixes.Count);

    /// <summary>The mark a device has; only where an event gave it one.</summary>
    public SequenceNumber Of(int row, in Cold cold) =>
        cold.OrderPrefix == KeptWhole
            ? whole.GetValueOrDefault(row)
            : prefixes[cold.OrderPrefix] with { D = prefixes[cold.OrderPrefix].D | cold.OrderCount };

    /// <summary>Gives a device a mark.</summary>
    public void Set(int row, ref Cold cold, in SequenceNumber order)
    {
        SequenceNumber prefix = order with { D = order.D & ~(ulong)uint.MaxValue };
        if (!places.TryGetValue(prefix, out ushort place))
        {
            if (prefixes.Count == KeptWhole)
            {
                cold.OrderPrefix = KeptWhole;
                whole[row] = order;
                return;
            }

            place = (ushort)prefixes.Count;
            places.Add(prefix, place);
            prefixes.Add(prefix);
        }

        if (cold.OrderPrefix == KeptWhole)
        {
            whole.Remove(row);
        }

        cold.OrderPrefix = place;
        cold.OrderCount = (uint)order.D;
    }
}
