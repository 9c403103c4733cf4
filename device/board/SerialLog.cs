// The console is the board's face: a person reads it, and the bench procedure (hardware/README.md) asserts on it. One line is
// one event, milliseconds since the start in front; the words are the same as the PC's (device/host). No secret is ever a part
// of a line, because no caller has one in its hands.
using System;

namespace Agent.Board
{
    /// <summary>Writes lines to the serial console.</summary>
    public static class SerialLog
    {
        public static void Say(string text)
        {
            Console.WriteLine(Environment.TickCount64.ToString() + " " + text);
        }
    }
}
