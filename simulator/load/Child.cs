using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Agent.Wire;

namespace Agent.Load;

/// <summary>A process of this program's own that a benchmark has started: told things in words, answers in JSON.</summary>
internal sealed class Child : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    private readonly Process process;
    private readonly string name;

    private Child(Process process, string name)
    {
        this.process = process;
        this.name = name;
    }

    /// <summary>What the runtime of a process is told when so many of them work at once.</summary>
    /// <remarks>
    /// Native: the processors are dealt out. With a loop for each processor in each process more threads would be ready than there
    /// are processors, an acknowledgement would wait for the scheduler's slices (3 ms) of the others, and the threads of one process
    /// would take OpenSSL's locks from each other: measured, a third of a message's processor time and a tenth of a handshake's.
    /// Portable: what a socket has done goes on where it was noticed, not on a thread of the pool that must be woken for it. That is
    /// for handlers that never block, as the hub's and the fleet's are; it is half of a message's processor time over TLS
    /// (facts/limits.md B). The threads that notice are dealt out as the native loops are, which was a quarter of a message; to deal the
    /// processors themselves out costs this engine a fifth. Each collection of the youngest walks what every
    /// SslStream has changed, 60 ms with 19,000 of them however little is new; 64 MB of room make them rare. Handshakes have as many
    /// places as a process's share of the processors: with two each in four processes on two processors, a message waited behind eight.
    /// </remarks>
    public static Dictionary<string, string> SettingsFor(TlsEngine engine, int processes)
    {
        int share = Math.Max(1, Environment.ProcessorCount / processes);
        return engine == TlsEngine.Native
            ? new() { ["DOTNET_PROCESSOR_COUNT"] = share.ToString("x", CultureInfo.InvariantCulture) }
            : new()
            {
                ["DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS"] = "1",
                ["DOTNET_SYSTEM_NET_SOCKETS_THREAD_COUNT"] = share.ToString(CultureInfo.InvariantCulture),
                ["DOTNET_GCgen0size"] = (64 << 20).ToString("x", CultureInfo.InvariantCulture),
                ["AGENT_HANDSHAKES_AT_ONCE"] = share.ToString(CultureInfo.InvariantCulture),
            };
    }

    /// <summary>Starts it with these arguments of the command line and waits for its first answer.</summary>
    /// <param name="name">For messages.</param>
    /// <param name="settings">Of its runtime and C library, where the environment does not have them already.</param>
    /// <param name="arguments">Of the command line.</param>
    /// <exception cref="IOException">It ended instead; the text is what it said of why.</exception>
    public static Task<(Child Child, JsonObject Ready)> StartAsync(
        string name, IReadOnlyDictionary<string, string> settings, params string[] arguments)
    {
        (string program, string[] before) = OwnProgram();
        return StartOtherAsync(name, settings, program, [.. before, .. arguments]);
    }

    /// <summary>The same with another program that understands the orders.</summary>
    public static async Task<(Child Child, JsonObject Ready)> StartOtherAsync(
        string name, IReadOnlyDictionary<string, string> settings, string program, string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach ((string key, string value) in settings)
        {
            start.Environment.TryAdd(key, value);
        }

        Process process = Process.Start(start)!;
        var child = new Child(process, name);
        try
        {
            return (child, await child.ReadAsync(null).ConfigureAwait(false));
        }
        catch
        {
            await child.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Has it do something and returns its answer.</summary>
    public async Task<JsonObject> AskAsync(string order, Action<int>? onProgress = null)
    {
        await process.StandardInput.WriteLineAsync(order).ConfigureAwait(false);
        await process.StandardInput.FlushAsync().ConfigureAwait(false);
        return await ReadAsync(onProgress).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        try
        {
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It is gone already.
        }

        using var late = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        try
        {
            await process.WaitForExitAsync(late.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
        }

        process.Dispose();
    }

    private async Task<JsonObject> ReadAsync(Action<int>? onProgress)
    {
        while (await process.StandardOutput.ReadLineAsync().WaitAsync(Patience).ConfigureAwait(false) is { } line)
        {
            var said = (JsonObject)JsonNode.Parse(line)!;
            if (said["progress"] is { } progress)
            {
                onProgress?.Invoke((int)progress);
                continue;
            }

            return said;
        }

        string why = (await process.StandardError.ReadToEndAsync().ConfigureAwait(false)).Trim();
        throw new IOException($"{name} ended: {(why.Length == 0 ? "no reason given" : why.ReplaceLineEndings(" "))}");
    }

    // The host beside this assembly when there is one: then a list of processes shows what it is.
    private static (string Program, string[] Before) OwnProgram()
    {
        string assembly = typeof(Child).Assembly.Location;
        string host = Path.ChangeExtension(assembly, OperatingSystem.IsWindows() ? ".exe" : null);
        return File.Exists(host) ? (host, []) : ("dotnet", [assembly]);
    }
}
