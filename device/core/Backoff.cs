// How long to wait before the next attempt.
//
// When a hub restarts, everything that was connected comes back at once; what keeps the second wave from being as
// tall as the first is randomness, not patience. The rule is full jitter: a delay drawn evenly from nothing to
// min(max, min * 2^attempt), which spreads a fleet better than a fixed delay with a little noise on it. "Nothing"
// is cut off at 100 ms, so that a device that draws badly many times in a row still cannot storm. A fleet too large for
// its hub's connection throttle is told to spread every attempt over ReconnectSpreadSeconds instead. Not chosen:
// giving up (a device nobody visits must come back after any outage) and decorrelated jitter (needs the previous
// delay, gains nothing here).
namespace Agent.Core
{
    /// <summary>Full-jitter exponential backoff.</summary>
    public static class Backoff
    {
        /// <summary>No delay is ever shorter (milliseconds).</summary>
        public const int DelayMsMin = 100;

        /// <summary>
        /// The delay before the attempt that follows <paramref name="attempt"/> failed ones (0 = the first).
        /// </summary>
        public static int DelayMs(TokenSettings settings, int attempt, SeededRandom random)
        {
            return DelayMsMin + random.Next(CeilingMs(settings, attempt) - DelayMsMin + 1);
        }

        /// <summary>The longest delay that can be drawn for an attempt.</summary>
        public static int CeilingMs(TokenSettings settings, int attempt)
        {
            int max = settings.BackoffMaxSeconds * 1000;
            long ceiling = settings.BackoffMinSeconds * 1000L;
            for (int i = 0; i < attempt && ceiling < max; i++)
            {
                ceiling *= 2;
            }

            int backoff = ceiling < max ? (int)ceiling : max;
            int spread = settings.ReconnectSpreadSeconds * 1000;
            return backoff < spread ? spread : backoff;
        }
    }
}
