using Agent.World;

namespace Agent.Events;

/// <summary>Ids of events: random to look at, the same again from the same seed.</summary>
/// <param name="seed">Drawn once by a driver in real time; the scenario's own in virtual time.</param>
public sealed class EventIds(ulong seed)
{
    private ulong count;

    /// <summary>The next id. One thread at a time.</summary>
    public Guid Next() => Make(seed, count++);

    /// <summary>The id that belongs to a seed and a number, as a version 4 UUID.</summary>
    public static Guid Make(ulong seed, ulong number)
    {
        ulong high = Randomness.Mix(seed ^ Randomness.Mix(number));
        ulong low = Randomness.Mix(high ^ ~number);
        return new Guid(
            (uint)(high >> 32), (ushort)(high >> 16), (ushort)((high & 0x0FFF) | 0x4000),
            (byte)(((low >> 56) & 0x3F) | 0x80), (byte)(low >> 48), (byte)(low >> 40), (byte)(low >> 32),
            (byte)(low >> 24), (byte)(low >> 16), (byte)(low >> 8), (byte)low);
    }
}
