using System.Security.Cryptography;

namespace Agent.Hub;

/// <summary>Bad contents of <c>--data</c>: one line that names the file. Never holds a key.</summary>
public sealed class HubDataException(string message) : Exception(message);

/// <summary>Files that are either the old ones or the new ones, never half of each.</summary>
public static class HubFiles
{
    /// <summary>
    /// Writes a file whole: a temporary file beside it, synchronised to the disk, renamed over it. A power cut leaves
    /// the old contents or the new. Secret files can be read by their owner only.
    /// </summary>
    public static void WriteAtomically(string path, bool secret, Action<Stream> write)
    {
        string temporary = path + ".tmp";
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = secret
                ? UnixFileMode.UserRead | UnixFileMode.UserWrite
                : UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
            // The mode counts only for a file that is created, so a left-over one must go first.
            File.Delete(temporary);
        }

        using (var stream = new FileStream(temporary, options))
        {
            write(stream);
            stream.Flush(flushToDisk: true);
        }

        File.Move(temporary, path, overwrite: true);
    }

    /// <summary>Runs a reader; whatever it makes of damaged contents becomes one line naming the file.</summary>
    public static T Read<T>(string path, string what, Func<string, T> read)
    {
        try
        {
            return read(path);
        }
        catch (Exception exception) when (exception is CryptographicException or ArgumentException or FormatException)
        {
            // The exception's own text is left out: it may quote what it could not read.
            throw new HubDataException(
                $"{path}: {what} cannot be read; the file is damaged (restore it, or remove it to have a new one made)");
        }
    }
}
