// The firmware's start. Main must not return and nothing may escape it: a board whose Main ends waits for a debugger for ever
// and does not reboot (facts/nanoframework.md section 3). So whatever the supervisor throws is written down, and the board starts
// anew; after a pause, so that a fault at every start does not become a storm of reboots.
using System;
using System.Threading;
using Agent.Board;
using Agent.Core;

namespace Agent
{
    public static class Program
    {
        private const int PauseBeforeRebootMs = 10000;

        public static void Main()
        {
            while (true)
            {
                DisconnectReason reason = DisconnectReason.Crash;
                string detail = "the supervisor returned";
                Supervisor supervisor = null;
                try
                {
                    supervisor = new Supervisor();
                    supervisor.Run();
                }
                catch (OutOfMemoryException)
                {
                    reason = DisconnectReason.OutOfMemory;
                    detail = "OutOfMemoryException";
                }
                catch (Exception fault)
                {
                    detail = fault.GetType().Name;
                    SayTrace(fault);
                }

                if (supervisor != null)
                {
                    supervisor.NoteFatal(reason);
                }

                Thread.Sleep(PauseBeforeRebootMs);
                TryRestart(reason, detail);
            }
        }

        private static void SayTrace(Exception fault)
        {
            try
            {
                // The message of a framework exception is only its type (facts section 4); where it came from is in the trace.
                SerialLog.Say("crash: " + fault.GetType().Name + " " + fault.StackTrace);
            }
            catch (Exception)
            {
                // No memory for words: the reboot's reason has to do.
            }
        }

        private static void TryRestart(DisconnectReason reason, string detail)
        {
            try
            {
                Restart.Now(reason, detail);
            }
            catch (Exception)
            {
                // The next round tries again; Main goes on in any case.
            }
        }
    }
}
