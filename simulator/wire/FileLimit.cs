using System.Globalization;
using System.Net.Sockets;

namespace Agent.Wire;

// A .NET process that has used up its file descriptors does not get an exception sooner or later: starting a thread
// needs one, and when there is none the runtime aborts with "Out of memory" (seen with strace). So the last few are
// never given to sockets. A new descriptor is the lowest free number, hence its number alone tells how many are gone,
// whoever took them.

/// <summary>How many files this process may have open, and when sockets must stop taking them.</summary>
public static class FileLimit
{
    /// <summary>Open files allowed to this process (RLIMIT_NOFILE, soft), or int.MaxValue where there is no such limit.</summary>
    public static int OpenFilesMax { get; } = Read();

    /// <summary>Descriptors left to the runtime, 32 to 100.</summary>
    public static int Reserve { get; } = ReserveOf(OpenFilesMax);

    /// <summary>The same for another limit.</summary>
    public static int ReserveOf(int openFilesMax) => Math.Clamp(openFilesMax / 20, 32, 100);

    /// <summary>Whether a socket's number says that only the reserve is left: close it at once.</summary>
    public static bool IsScarce(Socket socket) => IsScarce((int)socket.Handle);

    /// <inheritdoc cref="IsScarce(Socket)"/>
    public static bool IsScarce(int file) => file >= OpenFilesMax - Reserve;

    private static int Read()
    {
        const string title = "Max open files";
        try
        {
            foreach (string line in File.ReadLines("/proc/self/limits"))
            {
                if (line.StartsWith(title, StringComparison.Ordinal))
                {
                    string soft = line[title.Length..].TrimStart().Split(' ')[0];
                    return int.TryParse(soft, CultureInfo.InvariantCulture, out int limit) ? limit : int.MaxValue;
                }
            }
        }
        catch (Exception unreadable) when (unreadable is IOException or UnauthorizedAccessException)
        {
            // Not Linux: no such file, and no such limit that could be asked for.
        }

        return int.MaxValue;
    }
}
