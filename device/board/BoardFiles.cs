// The files on drive I:, the one flash area that managed code can write (facts/nanoframework.md section 3).
//
// Writing is the hard case: a move onto an existing file fails, and power may go between any two steps. The rule of facts
// section 8.8: write a temporary file, delete the old one, move. So a reader finds the file, or, when only the delete was
// reached, the temporary one, which is complete then because it was closed before the delete began. A temporary file beside
// a file is what a cut left half written, and is not read. Every text written here ends with a line break, so that a first
// file cut off in the middle is known by the lack of it.
// No method throws: flash that fails costs what was to be kept, never the connection.
using System;
using System.IO;

namespace Agent.Board
{
    /// <summary>Names, reading and safe writing.</summary>
    public static class BoardFiles
    {
        /// <summary>Connection string or provisioning data, and the Wi-Fi password: the only place with secrets.</summary>
        public const string Identity = "I:\\identity.txt";

        /// <summary>What differs from board to board and is no secret.</summary>
        public const string Board = "I:\\board.txt";

        /// <summary>Hub and device id as the provisioning service assigned them; no secret.</summary>
        public const string Assigned = "I:\\assigned.txt";

        /// <summary>Trusted roots, PEM, instead of the ones compiled in.</summary>
        public const string Roots = "I:\\roots.pem";

        /// <summary>The agent's counters and settings, its black box and its message queue, each a few files.</summary>
        public const string State = "I:\\state";
        public const string BlackBox = "I:\\box";
        public const string Queue = "I:\\queue";

        /// <summary>Why the board was about to reboot.</summary>
        public const string Reboot = "I:\\reboot.txt";

        private const string Temporary = ".new";
        private const int LengthMax = 16384;

        /// <summary>The whole text, or null when there is none that can be read.</summary>
        public static string ReadText(string path)
        {
            try
            {
                if (File.Exists(path))
                {
                    return Read(path);
                }

                string beside = path + Temporary;
                string text = File.Exists(beside) ? Read(beside) : null;
                return text != null && text.EndsWith("\n") ? text : null; // cut off while it was the first of its name
            }
            catch (Exception)
            {
                return null; // an unreadable file is no file
            }
        }

        /// <summary>Replaces a file; false when that failed, and then the old one or the new one is still there whole.</summary>
        public static bool WriteText(string path, string text)
        {
            try
            {
                string beside = path + Temporary;
                if (File.Exists(beside))
                {
                    if (!File.Exists(path))
                    {
                        File.Move(beside, path); // finish what a power cut interrupted
                    }
                    else
                    {
                        File.Delete(beside);
                    }
                }

                File.WriteAllText(beside, text);
                if (File.Exists(path))
                {
                    File.Delete(path);
                }

                File.Move(beside, path);
                return true;
            }
            catch (Exception)
            {
                return false;
            }
        }

        /// <summary>Removes a file, its temporary one included.</summary>
        public static void Delete(string path)
        {
            try
            {
                if (File.Exists(path + Temporary))
                {
                    File.Delete(path + Temporary);
                }

                if (File.Exists(path))
                {
                    File.Delete(path);
                }
            }
            catch (Exception)
            {
                // It will be read once more; what is read twice must do no harm.
            }
        }

        private static string Read(string path)
        {
            using (FileStream stream = new FileStream(path, FileMode.Open, FileAccess.Read))
            {
                if (stream.Length > LengthMax)
                {
                    return null; // not one of ours, and reading it would take the heap
                }
            }

            return File.ReadAllText(path);
        }
    }
}
