// Repeatable randomness for jitter.
//
// A machine may not own a random source, or a failing run could not be repeated; so it is handed this one, which is
// nothing but its seed. The rule: a counter stepped by the golden ratio, scrambled by the 32-bit finaliser of
// MurmurHash3 (the 32-bit form of SplitMix). Four bytes of state, period 2^32, every seed is good, and neighbouring
// seeds (device 1, device 2, ...) give unrelated numbers, which xorshift of the same size does not.
// Never to be used for secrets: the whole sequence follows from one number.
namespace Agent.Core
{
    /// <summary>A small seeded generator of integers.</summary>
    public sealed class SeededRandom
    {
        private uint counter;

        public SeededRandom(uint seed)
        {
            counter = seed;
        }

        /// <summary>The next 32 random bits.</summary>
        public uint NextBits()
        {
            unchecked
            {
                counter += 0x9E3779B9u;
                uint bits = counter;
                bits = (bits ^ (bits >> 16)) * 0x85EBCA6Bu;
                bits = (bits ^ (bits >> 13)) * 0xC2B2AE35u;
                return bits ^ (bits >> 16);
            }
        }

        /// <summary>
        /// A number from 0 to below <paramref name="exclusiveMax"/>; 0 when that is 0 or less. Scaled by
        /// multiplication, so some values are more likely than others by at most exclusiveMax / 2^32: under one in
        /// 1,000 for the widest range used here (an hour in ms), and not worth a loop of unknown length.
        /// </summary>
        public int Next(int exclusiveMax)
        {
            if (exclusiveMax <= 0)
            {
                return 0;
            }

            return (int)(((ulong)NextBits() * (ulong)exclusiveMax) >> 32);
        }
    }
}
