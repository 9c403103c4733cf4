// The flash seam: a small area of memory that survives a reset, as flash offers it.
//
// Flash can be written once after an erase, and is erased in whole blocks; both may be cut off by power at any
// byte. Whoever keeps something here (RingLog) relies on that and on nothing else, so the board's file, the PC's
// file and a test's memory with a power switch are equally good. Failures are answers, never exceptions: a device
// whose flash has died goes on without it.
namespace Agent.Core
{
    /// <summary>Blocks of erasable bytes, supplied by the driver. An erased byte reads 0xFF.</summary>
    public interface IStorage
    {
        /// <summary>Bytes of one block.</summary>
        int BlockSize { get; }

        /// <summary>How many blocks there are, 2 or more.</summary>
        int BlockCount { get; }

        /// <summary>Reads bytes of one block; false when that failed.</summary>
        bool Read(int block, int offset, byte[] buffer, int index, int count);

        /// <summary>
        /// Writes bytes of one block that are erased, or turns bits of written ones from 1 to 0. True once they are
        /// on the medium; false when that failed, some of them may then be there.
        /// </summary>
        bool Write(int block, int offset, byte[] buffer, int index, int count);

        /// <summary>Sets every byte of a block to 0xFF; false when that failed.</summary>
        bool Erase(int block);
    }
}
