using Agent.World;

namespace Agent.Soak;

/// <summary>One stream of a seed's random numbers; streams do not disturb each other.</summary>
internal sealed class Dice(ulong seed, int stream)
{
    private uint count;

    /// <summary>64 uniform bits.</summary>
    public ulong Bits() => Randomness.Draw(seed, stream, count++);

    /// <summary>From 0 to below a bound of 1 or more.</summary>
    public int Below(int bound) => (int)(Bits() % (ulong)bound);

    /// <summary>From the first to the second, both included.</summary>
    public int Between(int min, int max) => min + Below(max - min + 1);

    /// <summary>True in so many of a hundred cases.</summary>
    public bool Chance(int percent) => Below(100) < percent;

    /// <summary>One of several.</summary>
    public T Of<T>(params ReadOnlySpan<T> some) => some[Below(some.Length)];

    /// <summary>One of a list.</summary>
    public T OneOf<T>(IReadOnlyList<T> some) => some[Below(some.Count)];
}
