using System.Globalization;
using Agent.Wire;

namespace Agent.Load;

/// <summary>How many processes a load test needs on this machine, and what stands in its way, found out before it begins.</summary>
/// <remarks>
/// Open files bound a process, ephemeral ports a source address, memory the whole; each limit is read and not assumed. A process
/// may not raise its hard limit of files, so more connections mean more pairs of a hub and a fleet (facts/limits.md section 0).
/// </remarks>
/// <param name="Pairs">Hubs, and fleets beside them.</param>
/// <param name="PerPair">Connections of the largest pair.</param>
/// <param name="Notes">What was found, a line each, for a person.</param>
public sealed record WireLimits(int Pairs, int PerPair, IReadOnlyList<string> Notes)
{
    // Runtime, files of the data folder, pipes.
    private const int FilesSpare = 150;

    private static readonly Dictionary<TlsEngine, long> BytesPerPair = new()
    {
        // Both ends and the kernel (facts/limits.md A4), with an eighth on top.
        [TlsEngine.Portable] = 130_000,
        [TlsEngine.Native] = 60_000,
    };

    /// <summary>Plans a test.</summary>
    /// <param name="connections">In all, 1 or more.</param>
    /// <param name="engine">Who does the work of TLS.</param>
    /// <exception cref="IOException">A limit of this machine does not allow it; which, and how many would fit.</exception>
    public static WireLimits Plan(int connections, TlsEngine engine) =>
        Plan(connections, engine, FileLimit.OpenFilesMax, AvailableBytes(), ReadPorts(), ReadNumber("/proc/sys/net/core/somaxconn"));

    /// <summary>The same with given limits; null = not known here.</summary>
    public static WireLimits Plan(
        int connections, TlsEngine engine, int openFilesMax, long? availableBytes, (int First, int Last)? ports, long? backlogMax)
    {
        int perProcess = Math.Min(openFilesMax, 4_000_000) - FileLimit.ReserveOf(openFilesMax) - FilesSpare;
        if (perProcess < 1)
        {
            throw new IOException($"bench wire: {openFilesMax} open files (ulimit -n) leave none for connections");
        }

        int pairs = ((connections - 1) / perProcess) + 1;
        int perPair = ((connections - 1) / pairs) + 1;
        long needed = connections * BytesPerPair[engine];
        if (availableBytes is { } available && needed > available)
        {
            throw new IOException(string.Create(
                CultureInfo.InvariantCulture,
                $"bench wire: {connections} connections need about {needed >> 20} MB with --tls {engine.Name()}, {available >> 20} MB are "
                + $"available: at most --connections {available / BytesPerPair[engine]}"));
        }

        string free = availableBytes is { } bytes ? $"{bytes >> 20} MB available" : "how much is available is not known";
        var notes = new List<string>
        {
            $"open files: {openFilesMax} a process, {perProcess} of them for connections: {pairs} hub(s) and {pairs} fleet(s) of {perPair}",
            $"memory: about {needed >> 20} MB needed, {free}",
        };
        if (ports is { } range)
        {
            int count = range.Last - range.First + 1;
            notes.Add($"ports: {count} a source address, to each hub's own port"
                + (perPair > LoadTarget.ConnectionsPerAddress
                    ? $"; one address of 127.0.0.0/8 for each {LoadTarget.ConnectionsPerAddress} connections"
                    : ""));
        }

        if (backlogMax is { } backlog)
        {
            notes.Add($"backlog: {backlog} (net.core.somaxconn)" + (backlog < 128 ? ": small, SYNs may be lost and dials be slow" : ""));
        }

        return new WireLimits(pairs, perPair, notes);
    }

    private static long? AvailableBytes()
    {
        const string title = "MemAvailable:";
        string? line = File.Exists("/proc/meminfo")
            ? File.ReadLines("/proc/meminfo").FirstOrDefault(line => line.StartsWith(title, StringComparison.Ordinal))
            : null;
        return line is null ? null : long.Parse(line[title.Length..].Trim().Split(' ')[0], CultureInfo.InvariantCulture) * 1024;
    }

    private static (int First, int Last)? ReadPorts()
    {
        const string path = "/proc/sys/net/ipv4/ip_local_port_range";
        if (!File.Exists(path))
        {
            return null;
        }

        int[] range = [.. File.ReadAllText(path).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)
            .Select(word => int.Parse(word, CultureInfo.InvariantCulture))];
        return (range[0], range[1]);
    }

    private static long? ReadNumber(string path) =>
        File.Exists(path) ? long.Parse(File.ReadAllText(path).Trim(), CultureInfo.InvariantCulture) : null;
}
