// Somebody has to notice when the supervisor no longer turns, and ESP32 firmware has no watchdog for managed code
// (facts/nanoframework.md section 4). So a timer counts its ticks since the supervisor's last sign of life, and after too many
// writes down why and reboots. A timer and not a thread of its own: all timers share one thread, and a thread costs about 1 KB of
// heap. What a library hangs into that thread would blind the guard; the LED and the patience of a join are all that is in it.
//
// Ticks, not the clock: a handshake with a server that says nothing stops every thread for as long as TCP is patient, this one
// included. By the clock the supervisor would be long overdue when both wake up, and the guard would reboot a board that is
// about to go on by itself. What it cannot see is a freeze that never ends; only an outside watchdog can.
using System;
using System.Threading;
using Agent.Core;

namespace Agent.Board
{
    /// <summary>Reboots the board when the supervisor stands still.</summary>
    public sealed class HangGuard
    {
        /// <summary>Milliseconds between looks.</summary>
        public const int TickMs = 5000;

        /// <summary>
        /// Looks without a sign of life: five minutes. The longest honest wait of the supervisor is a join (40 s), or a
        /// connection attempt: name, TCP and CONNACK, each bounded by the stack or by M2Mqtt (30 s).
        /// </summary>
        public const int TicksMax = 60;

        private readonly int ticksMax;
        private readonly Timer timer;
        private int signs;
        private int seen;
        private int ticks;

        public HangGuard(int tickMs, int ticksMax)
        {
            this.ticksMax = ticksMax;
            timer = new Timer(OnTick, null, tickMs, tickMs);
        }

        /// <summary>Whose black box to write into; null until there is an agent.</summary>
        public Supervisor Supervisor { get; set; }

        /// <summary>The supervisor's sign of life.</summary>
        public void Feed()
        {
            signs++;
        }

        private void OnTick(object state)
        {
            try
            {
                ticks = signs == seen ? ticks + 1 : 0;
                seen = signs;
                if (ticks < ticksMax)
                {
                    return;
                }

                ticks = 0; // should the reboot fail, try again later
                if (Supervisor != null)
                {
                    Supervisor.NoteFatal(DisconnectReason.Watchdog);
                }

                Restart.Now(DisconnectReason.Watchdog, "the supervisor stood still");
            }
            catch (Exception)
            {
                // The guard is the last to give up.
            }
        }
    }
}
