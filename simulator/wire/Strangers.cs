using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Agent.Wire;

/// <summary>The connections of one port that have not shown who they are: bounded in all and for each address.</summary>
/// <remarks>
/// A stranger costs memory and a file descriptor and may be a liar; a client whose CONNECT was accepted is neither limited nor
/// counted here, so thousands of devices may share an address. When a newcomer finds its address or the port full, the oldest
/// stranger there which owes us bytes makes room, at once: against a flood the newest have the best chance, and an honest
/// client needs milliseconds. One that waits for *us*, its bytes still in the kernel or under work, is never the victim; when
/// all do, the newcomer waits, so that a crowd of honest clients queues instead of eating itself. To refuse the newcomer was the
/// other road: then ten thousand silent connections would lock everybody out until they time out.
/// </remarks>
public sealed class Strangers
{
    // How far to look for a victim: those who wait for us are few and old, unless all are.
    private const int LookedAtMax = 64;

    private readonly Lock gate = new();
    private readonly LinkedList<Stranger> all = new();
    private readonly Dictionary<ulong, LinkedList<Stranger>> byAddress = [];
    private readonly int max;
    private readonly int perAddressMax;
    private int leaving;
    private long evictedCount;

    /// <param name="max">In all, at least 1.</param>
    /// <param name="perAddressMax">Of one IPv4 address or one IPv6 /64, at least 1.</param>
    public Strangers(int max, int perAddressMax)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(max, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(perAddressMax, 1);
        this.max = max;
        this.perAddressMax = perAddressMax;
    }

    /// <summary>Strangers now, those evicted and not yet gone included: never more than max and an eighth of it.</summary>
    public int Count
    {
        get
        {
            lock (gate)
            {
                return all.Count + leaving;
            }
        }
    }

    /// <summary>Strangers evicted since the start.</summary>
    public long EvictedCount => Interlocked.Read(ref evictedCount);

    /// <summary>Counts a newcomer in, evicting an older stranger where there is no room.</summary>
    /// <returns>False: no room, and nobody to evict just now. Nothing was changed.</returns>
    public bool TryAdd(Stranger newcomer)
    {
        Stranger? victim = null;
        lock (gate)
        {
            ulong key = KeyOf(newcomer.Address);
            LinkedList<Stranger>? neighbours = byAddress.GetValueOrDefault(key);
            LinkedList<Stranger>? full = neighbours?.Count >= perAddressMax ? neighbours : all.Count >= max ? all : null;
            if (full is not null)
            {
                victim = leaving <= max / 8 ? FindVictim(full) : null;
                if (victim is null)
                {
                    return false;
                }

                Unlink(victim);
                victim.IsEvicted = true;
                leaving++;
            }

            if (!byAddress.TryGetValue(key, out neighbours))
            {
                neighbours = new LinkedList<Stranger>();
                byAddress.Add(key, neighbours);
            }

            newcomer.Home = this;
            newcomer.Place = all.AddLast(newcomer);
            newcomer.PlaceAtAddress = neighbours.AddLast(newcomer);
        }

        if (victim is not null)
        {
            Interlocked.Increment(ref evictedCount);
            victim.CarryOutEviction();
        }

        return true;
    }

    internal void Remove(Stranger stranger)
    {
        lock (gate)
        {
            if (stranger.Home is null)
            {
                return;
            }

            stranger.Home = null;
            if (stranger.IsEvicted)
            {
                leaving--;
            }
            else
            {
                Unlink(stranger);
            }
        }
    }

    private void Unlink(Stranger stranger)
    {
        all.Remove(stranger.Place!);
        LinkedList<Stranger> neighbours = stranger.PlaceAtAddress!.List!;
        neighbours.Remove(stranger.PlaceAtAddress);
        if (neighbours.Count == 0)
        {
            byAddress.Remove(KeyOf(stranger.Address));
        }
    }

    private static Stranger? FindVictim(LinkedList<Stranger> strangers)
    {
        LinkedListNode<Stranger>? node = strangers.First;
        for (int seen = 0; node is not null && seen < LookedAtMax; seen++, node = node.Next)
        {
            if (node.Value.OwesUs)
            {
                return node.Value;
            }
        }

        return null;
    }

    // Whoever has one IPv6 address has a /64 of them.
    private static ulong KeyOf(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6)
        {
            address = address.MapToIPv4();
        }

        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out _);
        return address.AddressFamily == AddressFamily.InterNetwork
            ? 0xFFFF_0000_0000UL | BinaryPrimitives.ReadUInt32BigEndian(bytes)
            : BinaryPrimitives.ReadUInt64BigEndian(bytes);
    }
}
