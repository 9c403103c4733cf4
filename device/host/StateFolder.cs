using Agent.Core;

namespace Agent.Host;

/// <summary>The folder of --state: the three areas an agent keeps. Without a folder they are memory.</summary>
internal sealed record StateFolder(IStorage? State, IStorage? BlackBox, IStorage? Queue)
{
    /// <summary>Makes what is not there yet. Sizes are the board's, so that a folder behaves like its flash.</summary>
    /// <exception cref="IOException">The folder or a file cannot be made.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder or a file may not be made.</exception>
    public static StateFolder Open(string? folder)
    {
        if (folder is null)
        {
            return new StateFolder(null, null, null);
        }

        Directory.CreateDirectory(folder);
        return new StateFolder(
            FileStorage.Open(Path.Combine(folder, "state.bin"), blockCount: 2, blockSize: 4096),
            FileStorage.Open(Path.Combine(folder, "black-box.bin"), blockCount: 4, blockSize: 1024),
            FileStorage.Open(Path.Combine(folder, "queue.bin"), blockCount: 8, blockSize: 4096));
    }
}
