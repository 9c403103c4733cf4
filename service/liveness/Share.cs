namespace Agent.Service;

/// <summary>The part of the fleet a checker decides about, when several of them watch one fleet.</summary>
/// <remarks>
/// The fleet is cut into a fixed number of slots by a checksum of the device's id. Every checker knows all devices and what they are; only
/// the one that holds a device's slot says that there is an alarm about it. So who takes a slot over has nothing to load and nobody to ask,
/// and the guards that compare a share with the whole see the whole. The road not taken, each checker knowing only its part, would save
/// memory and would have to move it whenever a checker dies, which is when there is least time for it.
/// </remarks>
public sealed class Share
{
    /// <summary>How many slots there are. Written to the store and stays as it is.</summary>
    public const int Slots = 64;

    /// <summary>The slot of what concerns the whole fleet.</summary>
    public const int FleetSlot = 0;

    private readonly bool[] held = new bool[Slots];

    /// <summary>How many are held.</summary>
    public int Count { get; private set; }

    /// <summary>The slot of a device's id or a site's name, as bytes. Stays as it is: it is written to the store.</summary>
    public static int SlotOf(ReadOnlySpan<byte> name) => (int)(Checksum.Of(name) % Slots);

    /// <summary>Whether a slot is held.</summary>
    public bool Has(int slot) => held[slot];

    /// <summary>Takes a slot or lets it go.</summary>
    public void Set(int slot, bool isHeld)
    {
        Count += (isHeld ? 1 : 0) - (held[slot] ? 1 : 0);
        held[slot] = isHeld;
    }
}
