using Agent.Core;

namespace Agent.Host;

// The PC's flash: one file of the full size, opened for every access as the board does, flushed to the disk before a write
// counts. A file that cannot be read or written answers false; the agent goes on without it.

/// <summary>Blocks of erasable bytes in a file.</summary>
internal sealed class FileStorage : IStorage
{
    private const byte Erased = 0xFF;

    private readonly string _path;

    private FileStorage(string path, int blockCount, int blockSize)
    {
        _path = path;
        BlockCount = blockCount;
        BlockSize = blockSize;
    }

    public int BlockSize { get; }

    public int BlockCount { get; }

    /// <summary>Opens or makes the file; one of another size is made as long as it has to be.</summary>
    /// <exception cref="IOException">The file cannot be made.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be made.</exception>
    public static FileStorage Open(string path, int blockCount, int blockSize)
    {
        FileStorage storage = new(path, blockCount, blockSize);
        using FileStream file = new(path, FileMode.OpenOrCreate, FileAccess.ReadWrite);
        if (file.Length < blockCount * blockSize)
        {
            byte[] blank = new byte[(blockCount * blockSize) - file.Length];
            Array.Fill(blank, Erased);
            file.Seek(0, SeekOrigin.End);
            file.Write(blank);
            file.Flush(flushToDisk: true);
        }

        return storage;
    }

    public bool Read(int block, int offset, byte[] buffer, int index, int count) => TryUse(FileAccess.Read, file =>
    {
        file.Seek((block * BlockSize) + offset, SeekOrigin.Begin);
        file.ReadExactly(buffer, index, count);
    });

    public bool Write(int block, int offset, byte[] buffer, int index, int count) => TryUse(FileAccess.Write, file =>
    {
        file.Seek((block * BlockSize) + offset, SeekOrigin.Begin);
        file.Write(buffer, index, count);
        file.Flush(flushToDisk: true);
    });

    public bool Erase(int block)
    {
        byte[] blank = new byte[BlockSize];
        Array.Fill(blank, Erased);
        return Write(block, 0, blank, 0, BlockSize);
    }

    private bool TryUse(FileAccess access, Action<FileStream> use)
    {
        try
        {
            using FileStream file = new(_path, FileMode.Open, access, FileShare.ReadWrite);
            use(file);
            return true;
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            return false; // the seam's answer to any failure; RingLog notes it
        }
    }
}
