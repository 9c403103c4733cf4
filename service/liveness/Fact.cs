namespace Agent.Service;

/// <summary>The numbers are written to disk and stay as they are.</summary>
public enum FactKind : byte
{
    /// <summary>Any message of the device: it lives, but says nothing about when it speaks next.</summary>
    SignOfLife = 0,

    /// <summary>A heartbeat: a sign of life that announces the next one.</summary>
    Heartbeat = 1,

    /// <summary>Event Grid: connected, with an order mark.</summary>
    Connected = 2,

    /// <summary>Event Grid: disconnected, with an order mark.</summary>
    Disconnected = 3,

    /// <summary>Registered.</summary>
    Created = 4,

    /// <summary>Deleted from the registry.</summary>
    Deleted = 5,

    /// <summary>The hub's log: a connection was accepted.</summary>
    LoggedConnect = 6,

    /// <summary>The hub's log: a connection ended, with a code.</summary>
    LoggedDisconnect = 7,

    /// <summary>The hub's log: a connection was refused, with a code.</summary>
    LoggedRefusal = 8,
}

/// <summary>One thing the hub told us. Which fields count depends on the kind; the id lies in the batch.</summary>
public struct Fact
{
    /// <summary>The hub's stamp, UTC milliseconds.</summary>
    public long AtMs;

    /// <summary>Where the id begins in the batch's bytes.</summary>
    public int IdStart;

    /// <summary>Its row, once the checker has looked it up.</summary>
    public int Row;

    /// <summary>Number of a heartbeat.</summary>
    public uint Number;

    /// <summary>Seconds to the next heartbeat, 0 (no more are coming) to <see cref="Hot.IntervalSecondsMax"/>.</summary>
    public int IntervalSeconds;

    /// <summary>Seconds from this heartbeat to the reconnect planned for the next token, or <see cref="Hot.NoRenewal"/>.</summary>
    public int RenewalSeconds;

    /// <summary>Index of the order mark, or of the site's name, in the batch; -1 = none.</summary>
    public int Extra;

    /// <summary>How long the device expects that reconnect to take, seconds; 0 = not told.</summary>
    public ushort GapSeconds;

    /// <summary>How long the device was away the last time, seconds.</summary>
    public ushort LastGapSeconds;

    /// <summary>Length of the id in bytes.</summary>
    public byte IdLength;

    /// <summary>What was told.</summary>
    public FactKind Kind;

    /// <summary>Why the device's last connection ended, as it told it; 0 = not told.</summary>
    public byte DeviceReason;

    /// <summary>The hub's code, see <see cref="HubCodes"/>.</summary>
    public byte HubCode;
}

/// <summary>Facts that were understood as a whole, with their ids, in arrays that are used again.</summary>
public sealed class FactBatch
{
    private Fact[] facts = new Fact[256];
    private byte[] ids = new byte[8192];
    private int idBytes;

    /// <summary>How many facts there are.</summary>
    public int Count { get; private set; }

    /// <summary>Order marks of connection events.</summary>
    public List<SequenceNumber> Orders { get; } = [];

    /// <summary>Names of sites.</summary>
    public List<string> Sites { get; } = [];

    /// <summary>The latest stamp of a message; 0 = no message.</summary>
    public long FreshestMs { get; private set; }

    /// <summary>The latest stamp of anything; 0 = nothing.</summary>
    public long LatestMs { get; private set; }

    /// <summary>The facts, in order of arrival.</summary>
    public Span<Fact> Facts => facts.AsSpan(0, Count);

    /// <summary>The id of a fact.</summary>
    public ReadOnlySpan<byte> Id(in Fact fact) => ids.AsSpan(fact.IdStart, fact.IdLength);

    /// <summary>Empties it and keeps its arrays.</summary>
    public void Clear()
    {
        Count = 0;
        idBytes = 0;
        FreshestMs = 0;
        LatestMs = 0;
        Orders.Clear();
        Sites.Clear();
    }

    /// <summary>Adds a fact; the caller fills in what belongs to its kind.</summary>
    /// <param name="kind">What was told.</param>
    /// <param name="id">A valid id.</param>
    /// <param name="atMs">The hub's stamp, UTC milliseconds, above 0.</param>
    public ref Fact Add(FactKind kind, ReadOnlySpan<byte> id, long atMs)
    {
        if (Count == facts.Length)
        {
            Array.Resize(ref facts, Count * 2);
        }

        if (idBytes + id.Length > ids.Length)
        {
            Array.Resize(ref ids, ids.Length * 2);
        }

        id.CopyTo(ids.AsSpan(idBytes));
        LatestMs = Math.Max(LatestMs, atMs);
        if (kind <= FactKind.Heartbeat)
        {
            FreshestMs = Math.Max(FreshestMs, atMs);
        }

        ref Fact fact = ref facts[Count++];
        fact = new Fact
        {
            Kind = kind,
            AtMs = atMs,
            IdStart = idBytes,
            IdLength = (byte)id.Length,
            Row = -1,
            RenewalSeconds = Hot.NoRenewal,
            Extra = -1,
        };
        idBytes += id.Length;
        return ref fact;
    }

    /// <summary>Gives a fact its order mark.</summary>
    public void SetOrder(ref Fact fact, in SequenceNumber order)
    {
        fact.Extra = Orders.Count;
        Orders.Add(order);
    }

    /// <summary>Gives a heartbeat its site.</summary>
    public void SetSite(ref Fact fact, string site)
    {
        // Devices of one body often share their site.
        bool isLast = Sites.Count > 0 && Sites[^1] == site;
        fact.Extra = isLast ? Sites.Count - 1 : Sites.Count;
        if (!isLast)
        {
            Sites.Add(site);
        }
    }
}
