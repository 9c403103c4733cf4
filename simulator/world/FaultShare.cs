namespace Agent.World;

/// <summary>
/// Which devices a share hits: exactly round(share · count) of them, spread by a permutation i -> i·a + b of the fleet drawn
/// from the seed, so that every driver and every shard picks the same ones.
/// </summary>
public static class FaultShare
{
    /// <summary>Whether a fault covers a device of a fleet.</summary>
    /// <param name="scenario">The run.</param>
    /// <param name="fault">Index of the fault.</param>
    /// <param name="fleet">The fleet of the device.</param>
    /// <param name="globalIndex">The device in the whole run.</param>
    public static bool Covers(Scenario scenario, int fault, FleetRun fleet, int globalIndex)
    {
        FaultPlan plan = scenario.Faults[fault];
        if (plan.Fleet is not null && plan.Fleet != fleet.Plan.Name)
        {
            return false;
        }

        if (plan.Share >= 1)
        {
            return true;
        }

        ulong count = (ulong)fleet.Plan.Count;
        ulong draw = Randomness.Draw(scenario.Seed, fleet.FirstGlobal, 0x4000_0000u + (uint)fault);
        ulong step = (draw >> 32) % count | 1;
        while (Gcd(step, count) != 1)
        {
            step += 2;
        }

        ulong position = (ulong)(globalIndex - fleet.FirstGlobal);
        return ((position * step) + (draw & 0xFFFF_FFFF)) % count < (ulong)Math.Round(plan.Share * count);
    }

    private static ulong Gcd(ulong a, ulong b) => b == 0 ? a : Gcd(b, a % b);
}
