// The storage of a device that was given none, or whose flash has failed: the same records, until the next reset.
using System;

namespace Agent.Core
{
    /// <summary>Storage in memory.</summary>
    public sealed class RamStorage : IStorage
    {
        private readonly byte[] bytes;

        public RamStorage(int blockCount, int blockSize)
        {
            BlockCount = blockCount;
            BlockSize = blockSize;
            bytes = new byte[blockCount * blockSize];
            for (int i = 0; i < bytes.Length; i++)
            {
                bytes[i] = 0xFF;
            }
        }

        public int BlockSize { get; }

        public int BlockCount { get; }

        public bool Read(int block, int offset, byte[] buffer, int index, int count)
        {
            Array.Copy(bytes, (block * BlockSize) + offset, buffer, index, count);
            return true;
        }

        public bool Write(int block, int offset, byte[] buffer, int index, int count)
        {
            Array.Copy(buffer, index, bytes, (block * BlockSize) + offset, count);
            return true;
        }

        public bool Erase(int block)
        {
            for (int i = 0; i < BlockSize; i++)
            {
                bytes[(block * BlockSize) + i] = 0xFF;
            }

            return true;
        }
    }
}
