// Two heaps decide what fits. The managed one is ours; the chip's own (ESP-IDF) holds the TLS buffers, two of 16.7 KB in one
// piece each for a connection (facts/nf-baseline.md section 3: not in the managed figures). A second TLS session at once is
// opened only when the chip's heap has room for it with something to spare, in sum and in one piece.
using System;
using nanoFramework.Hardware.Esp32;
using GC = nanoFramework.Runtime.Native.GC;

namespace Agent.Board
{
    /// <summary>Free memory, in bytes; -1 where the board cannot say.</summary>
    public static class HeapFigures
    {
        /// <summary>Two record buffers, the handshake and a reserve for the chip's own needs.</summary>
        public const int SecondSessionFreeBytes = 60000;

        /// <summary>One record buffer is one piece.</summary>
        public const int SecondSessionBlockBytes = 20000;

        /// <summary>Free bytes of the managed heap after a collection.</summary>
        public static int ManagedFreeBytes()
        {
            try
            {
                return (int)GC.Run(false);
            }
            catch (Exception)
            {
                return -1;
            }
        }

        /// <summary>The chip's heap.</summary>
        public static void Native(out int freeBytes, out int largestBlockBytes)
        {
            try
            {
                uint total;
                uint free;
                uint largest;
                NativeMemory.GetMemoryInfo(NativeMemory.MemoryType.Internal, out total, out free, out largest);
                freeBytes = (int)free;
                largestBlockBytes = (int)largest;
            }
            catch (Exception)
            {
                freeBytes = -1;
                largestBlockBytes = -1;
            }
        }

        /// <summary>Whether a second TLS session may be opened beside the one there is; yes on a rig that cannot say.</summary>
        public static bool FitsSecondSession()
        {
            int free;
            int largest;
            Native(out free, out largest);
            return free < 0 || (free >= SecondSessionFreeBytes && largest >= SecondSessionBlockBytes);
        }
    }
}
