// Two heaps decide what fits. The managed one is ours; the chip's own (ESP-IDF) holds the TLS buffers, two of 16.7 KB in one
// piece each for a connection (facts/nf-baseline.md section 3: not in the managed figures). The agent is told both, and opens a
// second TLS session at once only when there is room for it.
using System;
using nanoFramework.Hardware.Esp32;
using GC = nanoFramework.Runtime.Native.GC;

namespace Agent.Board
{
    /// <summary>Free memory, in bytes; -1 where the board cannot say.</summary>
    public static class HeapFigures
    {
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
    }
}
