// One LED tells a person without a computer how things are: one short flash is connected, a few short ones are a board that is
// not ready yet, and long flashes followed by short ones are the reason of the last outage, by the table that core keeps
// (DiagnosticsText) and hardware/README.md shows. A timer drives it, so it goes on while the supervisor waits, and stands still
// during a TLS handshake, when everything does (facts/nanoframework.md section 5).
using System;
using System.Device.Gpio;
using System.Threading;
using Agent.Core;

namespace Agent.Board
{
    /// <summary>Flash codes on one pin; does nothing where there is no pin.</summary>
    public sealed class StatusLed
    {
        /// <summary>Short flashes without a long one.</summary>
        public const int Connected = 1;
        public const int NoTime = 2;
        public const int NoIdentity = 3;
        public const int Starting = 4;

        private readonly GpioPin pin;
        private readonly bool lightsLow;
        private readonly Timer timer;
        private int longFlashes;
        private int shortFlashes = Starting;
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
                timer = new Timer(OnTick, null, FlashCode.TickMs, FlashCode.TickMs);
            }
            catch (Exception)
            {
                pin = null; // no such pin: the agent works in the dark
            }
        }

        /// <summary>Shows short flashes only.</summary>
        public void Show(int flashes)
        {
            longFlashes = 0;
            shortFlashes = flashes;
        }

        /// <summary>Shows a session: connected, or why not.</summary>
        public void Show(SessionState state, DisconnectReason reason)
        {
            switch (state)
            {
                case SessionState.Connected:
                case SessionState.Renewing:
                case SessionState.TakingOver:
                    Show(Connected);
                    break;
                case SessionState.NoTime:
                    Show(NoTime);
                    break;
                default:
                    longFlashes = DiagnosticsText.LongFlashes(reason);
                    shortFlashes = longFlashes == 0 ? Starting : DiagnosticsText.ShortFlashes(reason);
                    break;
            }
        }

        private void OnTick(object state)
        {
            try
            {
                tick = (tick + 1) % FlashCode.PatternTicks(longFlashes, shortFlashes);
                pin.Write(FlashCode.IsOn(longFlashes, shortFlashes, tick) != lightsLow ? PinValue.High : PinValue.Low);
            }
            catch (Exception)
            {
                // A pin that fails must not end the timer's thread.
            }
        }
    }
}
