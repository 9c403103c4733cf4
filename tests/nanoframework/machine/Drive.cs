namespace Agent.NanoMachine;

/// <summary>Drive I: as a folder, with the board's manners.</summary>
public static class Drive
{
    /// <summary>The host's path for one on drive I:; IOException for any other, as an unmounted drive gives.</summary>
    public static string PathOf(string path)
    {
        Machine.Pass();
        return path.StartsWith("I:\\", StringComparison.Ordinal)
            ? Path.Combine(Machine.Drive, path[3..].Replace('\\', '/'))
            : throw new IOException("Exception was thrown: System.IO.IOException");
    }

    /// <summary>A move onto an existing file fails (facts/nanoframework.md section 4).</summary>
    public static void Move(string from, string to)
    {
        if (!File.Exists(PathOf(from)) || File.Exists(PathOf(to)))
        {
            throw new IOException("Exception was thrown: System.IO.IOException");
        }

        File.Move(PathOf(from), PathOf(to));
    }

    /// <summary>A missing file is an IOException: the board has no FileNotFoundException.</summary>
    public static FileStream Open(string path, FileMode mode, FileAccess access)
    {
        try
        {
            return new FileStream(PathOf(path), mode, access);
        }
        catch (Exception fault) when (fault is FileNotFoundException or DirectoryNotFoundException or UnauthorizedAccessException)
        {
            throw new IOException("Exception was thrown: System.IO.IOException");
        }
    }
}
