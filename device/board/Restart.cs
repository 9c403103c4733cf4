// An intended reboot. The chip cannot say afterwards why it started (facts/nanoframework.md section 4: no reset-reason API), so
// the reason goes into a file first and is read once at the next start. A start without one was the power, or a death so sudden
// that nobody could write.
using Agent.Core;
using nanoFramework.Runtime.Native;

namespace Agent.Board
{
    /// <summary>Writes down why, then reboots.</summary>
    public static class Restart
    {
        /// <summary>Does not return on a board.</summary>
        public static void Now(DisconnectReason reason, string detail)
        {
            try
            {
                BoardFiles.WriteText(
                    BoardFiles.Reboot, "reason=" + ((int)reason).ToString() + "\ndetail=" + detail + "\n");
                SerialLog.Say("rebooting: " + DisconnectReasonText.Of(reason) + " (" + detail + ")");
            }
            finally
            {
                Power.RebootDevice(RebootOption.NormalReboot);
            }
        }

        /// <summary>Why the board rebooted last, read once; None after a power cut or a sudden death.</summary>
        public static DisconnectReason TakeReason(out string detail)
        {
            string text = BoardFiles.ReadText(BoardFiles.Reboot);
            detail = NamedValues.Find(text, '\n', "detail");
            int number = NamedValues.FindNumber(text, '\n', "reason", (int)DisconnectReason.None);
            if (text != null)
            {
                BoardFiles.Delete(BoardFiles.Reboot);
            }

            return (DisconnectReason)number;
        }
    }
}
