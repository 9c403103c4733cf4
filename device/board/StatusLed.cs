// One LED tells a person without a computer what is wrong: it blinks a number, pauses, and blinks it again. The numbers are in
// hardware/README.md and drawn in hardware/wiring.svg. A timer drives it, so it goes on while the supervisor waits, and stands
// still during a TLS handshake, when everything does (facts/nanoframework.md section 5).
using System;
using System.Device.Gpio;
using System.Threading;
using Agent.Core;

namespace Agent.Board
{
    /// <summary>Blink codes on one pin; does nothing where there is no pin.</summary>
    public sealed class StatusLed
    {
        public const int Connected = 1;
        public const int NoNetwork = 2;
        public const int NoTime = 3;
        public const int HubUnreachable = 4;
        public const int TlsFailed = 5;
        public const int HubRefuses = 6;
        public const int NoIdentity = 7;
        public const int LocalFault = 8;

        private const int TickMs = 250;
        private const int PauseTicks = 6;

        private readonly GpioPin pin;
        private readonly bool lightsLow;
        private readonly Timer timer;
        private int code;
        private int tick;

        public StatusLed(int pinNumber, bool lightsLow)
        {
            this.lightsLow = lightsLow;
            if (pinNumber < 0)
            {
                return;
            }

            try
            {
                pin = new GpioController().OpenPin(pinNumber, PinMode.Output);
                timer = new Timer(OnTick, null, TickMs, TickMs);
            }
            catch (Exception)
            {
                pin = null; // no such pin: the agent works in the dark
            }
        }

        /// <summary>The number to blink; 0 = dark.</summary>
        public void Show(int number)
        {
            code = number;
        }

        /// <summary>The number for a session's state and last reason.</summary>
        public static int CodeOf(SessionState state, DisconnectReason reason)
        {
            switch (state)
            {
                case SessionState.Stopped: return LocalFault;
                case SessionState.NoNetwork: return NoNetwork;
                case SessionState.NoTime: return NoTime;
                case SessionState.Connected: return Connected;
                case SessionState.Renewing: return Connected;
                default: return CodeOf(reason);
            }
        }

        private static int CodeOf(DisconnectReason reason)
        {
            if (reason >= DisconnectReason.TlsFailed && reason <= DisconnectReason.TlsNoMemory)
            {
                return TlsFailed;
            }

            int range = (int)reason & 0xE0;
            return range == 0x60 ? HubRefuses : range >= 0x80 ? LocalFault : HubUnreachable;
        }

        private void OnTick(object state)
        {
            try
            {
                int period = (code * 2) + PauseTicks;
                tick = (tick + 1) % period;
                bool on = tick < code * 2 && (tick & 1) == 0;
                pin.Write(on != lightsLow ? PinValue.High : PinValue.Low);
            }
            catch (Exception)
            {
                // A pin that fails must not end the timer's thread.
            }
        }
    }
}
