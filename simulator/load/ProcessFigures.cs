using System.Globalization;
using System.Runtime;
using System.Runtime.InteropServices;

namespace Agent.Load;

/// <summary>What a process has used: processor time and memory of its own.</summary>
/// <param name="CpuMicros">User and system time since its start, µs.</param>
/// <param name="Bytes">Resident memory that is nobody else's (RssAnon), bytes; the working set where the system tells no better.</param>
public readonly partial record struct ProcessFigures(double CpuMicros, long Bytes)
{
    /// <summary>What this process has spent in its compiler, µs.</summary>
    public static double CompilerMicros => JitInfo.GetCompilationTime().TotalMicroseconds;

    /// <summary>How long its collector has held everything up, µs.</summary>
    public static double PauseMicros => GC.GetTotalPauseDuration().TotalMicroseconds;

    /// <summary>This process's.</summary>
    public static ProcessFigures Own() => new(Environment.CpuUsage.TotalTime.TotalMicroseconds, BytesOf("self") ?? Environment.WorkingSet);

    /// <summary>Another process's, Linux only; its time is that of all its threads.</summary>
    public static ProcessFigures Of(int processId)
    {
        string id = processId.ToString(CultureInfo.InvariantCulture);
        long nanos = Directory.EnumerateDirectories($"/proc/{id}/task")
            .Sum(thread => long.Parse(File.ReadAllText($"{thread}/schedstat").Split(' ')[0], CultureInfo.InvariantCulture));
        return new ProcessFigures(nanos / 1000.0, BytesOf(id) ?? 0);
    }

    /// <summary>Gives back what is only kept for later: a full compacting collection and, with glibc, its free lists.</summary>
    public static void Settle()
    {
        for (int times = 0; times < 2; times++)
        {
            GCSettings.LargeObjectHeapCompactionMode = GCLargeObjectHeapCompactionMode.CompactOnce;
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            GC.WaitForPendingFinalizers();
        }

        if (OperatingSystem.IsLinux() && NativeLibrary.TryLoad("libc.so.6", out nint libc)
            && NativeLibrary.TryGetExport(libc, "malloc_trim", out _))
        {
            _ = TrimMalloc(0);
        }
    }

    private static long? BytesOf(string process)
    {
        const string title = "RssAnon:";
        string path = $"/proc/{process}/status";
        string? line = File.Exists(path)
            ? File.ReadLines(path).FirstOrDefault(line => line.StartsWith(title, StringComparison.Ordinal))
            : null;
        return line is null ? null : long.Parse(line[title.Length..].Trim().Split(' ')[0], CultureInfo.InvariantCulture) * 1024;
    }

    [LibraryImport("libc.so.6", EntryPoint = "malloc_trim")]
    private static partial int TrimMalloc(nuint spare);
}
