// What the device is there for, and the one place of the firmware that is meant to be replaced: the example measures what every
// board can without a wire, its radio and its heap. Whatever is measured goes through the agent's queue (core's Outbox): it is
// acknowledged by the hub or kept, through a renewal, an outage and a restart, and only dropped, and counted, when flash is full.
//
// The supervisor asks, on its own thread, as often as I:\board.txt says (measurement.everySeconds; nothing said = never: each
// message is billed). So a measurement must not wait: a sensor that takes long is read by a thread of its own, which keeps the
// newest value in a field for Take to report.
using Agent.Core;

namespace Agent.Board
{
    /// <summary>The application's telemetry.</summary>
    public static class Measurement
    {
        /// <summary>The message's property bag, encoded already; the hub routes by it.</summary>
        public const string Properties = "type=measurement&$.ct=application%2Fjson&$.ce=utf-8";

        /// <summary>Bytes of a body; with the properties above it still fits one record of the queue (Outbox.RecordSize).</summary>
        public const int BytesMax = 160;

        /// <summary>Writes one JSON object of at most BytesMax bytes; false = nothing to tell this time.</summary>
        /// <param name="json">Empty.</param>
        /// <param name="signalDbm">Strength of the radio signal; WifiRadio.NoSignal = not known.</param>
        /// <param name="freeBytes">Free bytes of the managed heap; -1 = not known.</param>
        public static bool Take(JsonWriter json, int signalDbm, int freeBytes)
        {
            json.Start().Open();
            if (signalDbm != WifiRadio.NoSignal)
            {
                json.Number("signalDbm", signalDbm);
            }

            json.Number("freeBytes", freeBytes).Close();
            return true;
        }
    }
}
