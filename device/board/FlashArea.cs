// A small erasable area (core's IStorage) kept as files on drive I:, one file for each block.
//
// Bytes that were never written read 0xFF, so a block that is erased is a file that is not there, and a block that is half full
// is a short file. That makes an erase a delete, which the flash file system does without rewriting anything, and a record an
// append to one small file; changing bytes in the middle of one large file would make it copy everything behind them.
// Every access opens and closes the file: closed is the only state in which a write is known to be on flash.
using System;
using System.IO;
using Agent.Core;

namespace Agent.Board
{
    /// <summary>Blocks as files; a failure is an answer, never an exception.</summary>
    public sealed class FlashArea : IStorage
    {
        private const byte Erased = 0xFF;

        private readonly string name;

        /// <param name="name">Path without the block's number and ending.</param>
        public FlashArea(string name, int blockCount, int blockSize)
        {
            this.name = name;
            BlockCount = blockCount;
            BlockSize = blockSize;
        }

        public int BlockSize { get; }

        public int BlockCount { get; }

        public bool Read(int block, int offset, byte[] buffer, int index, int count)
        {
            for (int i = 0; i < count; i++)
            {
                buffer[index + i] = Erased;
            }

            FileStream file = null;
            try
            {
                string path = PathOf(block);
                if (!File.Exists(path))
                {
                    return true;
                }

                file = new FileStream(path, FileMode.Open, FileAccess.Read);
                long there = file.Length - offset;
                int wanted = there < count ? (int)there : count;
                if (wanted > 0)
                {
                    file.Seek(offset, SeekOrigin.Begin);
                }

                int have = 0;
                while (have < wanted)
                {
                    int read = file.Read(buffer, index + have, wanted - have);
                    if (read <= 0)
                    {
                        return false;
                    }

                    have += read;
                }

                return true;
            }
            catch (Exception)
            {
                return false;
            }
            finally
            {
                Close(file);
            }
        }

        public bool Write(int block, int offset, byte[] buffer, int index, int count)
        {
            FileStream file = null;
            try
            {
                file = new FileStream(PathOf(block), FileMode.OpenOrCreate, FileAccess.ReadWrite);
                long length = file.Length;
                file.Seek(length < offset ? length : offset, SeekOrigin.Begin);
                for (long at = length; at < offset; at++)
                {
                    file.WriteByte(Erased);
                }

                file.Write(buffer, index, count);
                file.Flush();
                return true;
            }
            catch (Exception)
            {
                return false;
            }
            finally
            {
                Close(file);
            }
        }

        public bool Erase(int block)
        {
            try
            {
                string path = PathOf(block);
                if (File.Exists(path))
                {
                    File.Delete(path);
                }

                return true;
            }
            catch (Exception)
            {
                return false;
            }
        }

        private string PathOf(int block)
        {
            return name + block.ToString() + ".bin";
        }

        private static void Close(FileStream file)
        {
            try
            {
                if (file != null)
                {
                    file.Dispose();
                }
            }
            catch (Exception)
            {
                // What was not on flash before this is found torn at the next start, and does not count.
            }
        }
    }
}
