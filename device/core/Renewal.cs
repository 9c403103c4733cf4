// When to replace a token.
//
// MQTT 3.1.1 cannot exchange a token in a living connection, so a renewal is a short planned gap, and its moment
// is a trade: early costs more gaps, late risks the hub cutting the line (which it logs as an error and alarms
// fire on). The rule: a point at a share of the lifetime, or a length before expiry; never closer to expiry than
// a small room; and from there *earlier* by a random part of a spread, never later than configured. The spread is
// drawn again for every token, so devices started by one power cut drift apart instead of renewing in step for
// ever, as every vendor SDK does (facts/sdk-renewal.md section 14, point 8). Pure arithmetic: the random draw is
// a parameter.
namespace Agent.Core
{
    /// <summary>The moment of a renewal as a function of token age, settings and one random draw.</summary>
    public static class Renewal
    {
        /// <summary>Draws are numbers from 0 to below this.</summary>
        public const int DrawRange = 65536;

        /// <summary>
        /// The room kept before expiry is a twentieth of the lifetime, at most this (milliseconds).
        /// </summary>
        public const long RoomMsMax = 30000;

        /// <summary>
        /// The moment to renew a token made at <paramref name="createdMs"/> (monotonic milliseconds).
        /// </summary>
        public static long RenewAtMs(long createdMs, TokenSettings settings, int draw)
        {
            long point = PointMs(settings);
            return createdMs + point - (SpreadMs(settings, point) * draw / DrawRange);
        }

        /// <summary>Age at which the renewal is configured, before the spread: the latest it can happen.</summary>
        public static long PointMs(TokenSettings settings)
        {
            long lifetime = settings.LifetimeSeconds * 1000L;
            return settings.RenewBeforeSeconds > 0
                ? lifetime - (settings.RenewBeforeSeconds * 1000L)
                : lifetime * settings.RenewAtPercent / 100;
        }

        /// <summary>
        /// Time kept free before expiry for closing, connecting and a slow network. TokenSettings refuses values that
        /// would leave less.
        /// </summary>
        public static long RoomMs(long lifetimeMs)
        {
            long room = lifetimeMs / 20;
            return room < RoomMsMax ? room : RoomMsMax;
        }

        /// <summary>Width of the spread: a share of the lifetime, at most half of the way to the point.</summary>
        private static long SpreadMs(TokenSettings settings, long point)
        {
            long spread = settings.LifetimeSeconds * 1000L * settings.SpreadPercent / 100;
            return spread < point / 2 ? spread : point / 2;
        }
    }
}
