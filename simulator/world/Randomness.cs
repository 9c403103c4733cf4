using System.Runtime.CompilerServices;

namespace Agent.World;

// Where does a virtual device get its dice from? A generator per device costs memory; one generator for all makes a device's
// fate depend on its neighbours, and then on the number of shards. So a draw is a pure function of (seed, device, how many
// draws this device has made): no state but a counter, the same on every machine and for every number of shards.

/// <summary>Counter-based random numbers.</summary>
public static class Randomness
{
    /// <summary>The n-th draw of a device: 64 uniform bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Draw(ulong seed, int device, uint count) =>
        Mix(seed ^ Mix(((ulong)(uint)device << 32) | count));

    /// <summary>Scatters 64 bits (the finaliser of SplitMix64, Steele, Lea and Flood 2014).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Mix(ulong value)
    {
        value += 0x9E3779B97F4A7C15;
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }

    /// <summary>Uniform in [0, 1) from 53 of the bits.</summary>
    public static double ToUnit(ulong bits) => (bits >> 11) * (1.0 / (1UL << 53));
}
