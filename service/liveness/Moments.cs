namespace Agent.Service;

/// <summary>
/// The newest four moments at which a device connected, in 12 bytes: what a rhythm and a flapping connection are seen from.
/// </summary>
/// <remarks>
/// Events arrive in any order and more than once, so a running average would depend on the order. "The four greatest of a set" does
/// not, and neither does "those within 12 days of the greatest", which is why three differences of 20 bits suffice: the longest
/// rhythm we name is a day. Two sources tell of one connect (the hub's log and its Event Grid events) with moments that may differ;
/// as soon as one comes from the log, those of the events no longer count.
/// </remarks>
public struct Moments
{
    /// <summary>How many are kept.</summary>
    public const int Kept = 4;

    private const int OffsetBits = 20;
    private const uint OffsetMax = (1u << OffsetBits) - 1;
    private const ulong LogFlag = 1UL << 63;

    private uint newest;
    private uint low;
    private uint high;

    private ulong Offsets
    {
        readonly get => ((ulong)high << 32) | low;
        set => (low, high) = ((uint)value, (uint)(value >> 32));
    }

    /// <summary>Whether they come from the hub's log.</summary>
    public readonly bool AreFromLog => (Offsets & LogFlag) != 0;

    /// <summary>The newest, in seconds since 1970; 0 = none.</summary>
    public readonly uint Newest => newest;

    /// <summary>How many there are, up to <see cref="Kept"/>.</summary>
    public readonly int Count
    {
        get
        {
            int count = newest == 0 ? 0 : 1;
            for (int i = 0; i < Kept - 1 && Offset(i) != 0; i++)
            {
                count++;
            }

            return count;
        }
    }

    /// <summary>Seconds since 1970 of the newest (0), the one before (1), and so on; 0 = there are not so many.</summary>
    public readonly uint this[int index] => index == 0 ? newest : Offset(index - 1) is > 0 and var offset ? newest - offset : 0;

    /// <summary>Adds a moment; one that is there already changes nothing.</summary>
    /// <param name="seconds">Since 1970, above 0.</param>
    /// <param name="isFromLog">From the hub's log, not from an Event Grid event.</param>
    public void Add(uint seconds, bool isFromLog)
    {
        if (isFromLog && !AreFromLog)
        {
            newest = 0;
            Offsets = LogFlag;
        }
        else if (!isFromLog && AreFromLog)
        {
            return;
        }

        Span<uint> kept = stackalloc uint[Kept + 1];
        int count = 0;
        bool isPlaced = false;
        for (int i = 0; i < Kept && this[i] != 0; i++)
        {
            uint old = this[i];
            if (!isPlaced && seconds >= old)
            {
                isPlaced = true;
                kept[count++] = seconds;
                if (seconds == old)
                {
                    continue;
                }
            }

            kept[count++] = old;
        }

        if (!isPlaced)
        {
            kept[count++] = seconds;
        }

        Store(kept[..Math.Min(count, Kept)]);
    }

    private void Store(ReadOnlySpan<uint> kept)
    {
        newest = kept[0];
        ulong offsets = Offsets & LogFlag;
        for (int i = 1; i < kept.Length && newest - kept[i] <= OffsetMax; i++)
        {
            offsets |= (ulong)(newest - kept[i]) << ((i - 1) * OffsetBits);
        }

        Offsets = offsets;
    }

    private readonly uint Offset(int index) => (uint)(Offsets >> (index * OffsetBits)) & OffsetMax;
}
