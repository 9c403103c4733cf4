// A moment, as a driver tells it to the machines.
//
// A device has two clocks with two meanings: one that only counts (and therefore measures), and one that knows the
// date (and may be unknown, wrong or corrected). Mixing them is how renewals get lost, so both travel together, are
// read once per turn of a driver's loop, and every delay in core is measured on Ms alone. UTC is used for exactly one
// thing: the expiry written into a token. Not chosen: DateTime, which cannot say "not known yet".
namespace Agent.Core
{
    /// <summary>Monotonic milliseconds, and UTC as far as it is known.</summary>
    public struct Now
    {
        /// <summary>Milliseconds since some fixed moment; 64 bits wide, never goes backwards.</summary>
        public long Ms;

        /// <summary>Seconds since 1970-01-01T00:00:00Z; meaningless while <see cref="UtcKnown"/> is false.</summary>
        public long UtcSeconds;

        /// <summary>False until the clock has been set once; a board has no date at power-on.</summary>
        public bool UtcKnown;

        public Now(long ms, long utcSeconds, bool utcKnown)
        {
            Ms = ms;
            UtcSeconds = utcSeconds;
            UtcKnown = utcKnown;
        }
    }
}
