// Both clocks, and the time servers.
//
// A board starts in 1970 or 2000-something, and a certificate is checked against the date: a TLS connection before the clock is
// set fails with the same number as a wrong certificate (facts/nanoframework.md section 5). So nothing is dialled before the
// date is plausible, which here means: not before 2025.
using System;
using Agent.Core;
using nanoFramework.Networking;

namespace Agent.Board
{
    /// <summary>The one place of the firmware that asks what time it is.</summary>
    public sealed class BoardClock
    {
        /// <summary>2025-01-01, UTC, as on the PC. Any earlier date is a clock that was never set.</summary>
        public const long PlausibleUtcSeconds = 1735689600;

        private readonly bool hasServers;
        private bool started;

        public BoardClock(string server1, string server2)
        {
            hasServers = server1 != "none";
            if (!hasServers)
            {
                return;
            }

            try
            {
                Sntp.Server1 = server1;
                Sntp.Server2 = server2;
            }
            catch (Exception)
            {
                // The servers built into the interpreter stay.
            }
        }

        public Now Read()
        {
            long utcSeconds = DateTime.UtcNow.ToUnixTimeSeconds();
            return new Now(Environment.TickCount64, utcSeconds, utcSeconds >= PlausibleUtcSeconds);
        }

        /// <summary>Asks the time servers; the answer shows in <see cref="Read"/> some time later.</summary>
        public void Ask()
        {
            if (!hasServers)
            {
                return;
            }

            try
            {
                if (!started)
                {
                    Sntp.Start();
                    started = true;
                }

                Sntp.UpdateNow();
            }
            catch (Exception)
            {
                // Asked again soon; without a date the session waits.
            }
        }
    }
}
