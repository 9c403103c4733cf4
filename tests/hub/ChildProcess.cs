using System.Diagnostics;
using System.Text;

namespace Agent.Tests.Hub;

/// <summary>One of our own programs in a process of its own; it ends with this object.</summary>
internal sealed class ChildProcess : IAsyncDisposable
{
    private readonly Process process;
    private readonly StringBuilder output = new();
    private readonly StringBuilder error = new();

    private ChildProcess(Process process)
    {
        this.process = process;
        process.OutputDataReceived += (_, line) => Keep(output, line.Data, int.MaxValue);
        process.ErrorDataReceived += (_, line) => Keep(error, line.Data, 10_000);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>What it has written to standard output, whole lines.</summary>
    public string Output => Text(output);

    /// <summary>The first ten thousand characters of what it has written to standard error.</summary>
    public string Error => Text(error);

    public int Id => process.Id;

    public bool HasExited => process.HasExited;

    /// <summary>Once it has ended.</summary>
    public int ExitCode => process.ExitCode;

    /// <summary>Starts a program that lies beside this one.</summary>
    public static ChildProcess Start(string assembly, params string[] arguments)
    {
        // The muxer of the runtime that runs this: …/shared/Microsoft.NETCore.App/10.0.x/ is three below it.
        string runtime = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
        string muxer = Path.Combine(Path.GetFullPath(Path.Combine(runtime, "..", "..", "..")), "dotnet");
        var start = new ProcessStartInfo(
            File.Exists(muxer) ? muxer : "dotnet", ["exec", Path.Combine(AppContext.BaseDirectory, assembly), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        return new ChildProcess(Process.Start(start)!);
    }

    public Task WaitForExitAsync() => process.WaitForExitAsync();

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited)
        {
            process.Kill();
            await process.WaitForExitAsync();
        }

        process.Dispose();
    }

    private static void Keep(StringBuilder text, string? line, int lengthMax)
    {
        lock (text)
        {
            if (line is not null && text.Length < lengthMax)
            {
                text.Append(line).Append('\n');
            }
        }
    }

    private static string Text(StringBuilder text)
    {
        lock (text)
        {
            return text.ToString();
        }
    }
}
