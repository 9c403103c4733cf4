using System.Collections.Concurrent;
using System.Diagnostics;
using Agent.Hub;
using Agent.Tests.Hub;

namespace Agent.Tests.NanoFramework;

/// <summary>
/// The whole firmware on the simulated board, one process per start, against the local hub over TLS. The console is what the bench
/// procedure looks at too; the drive survives the process.
/// </summary>
internal sealed class BoardRun : IAsyncDisposable
{
    private const int RebootExitCode = 64;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly HubFolder drive = new();
    private readonly BlockingCollection<string> lines = [];
    private readonly ConcurrentQueue<string> all = [];
    private readonly ConcurrentQueue<string> errors = [];
    private readonly Dictionary<string, string> environment = [];
    private Process? process;

    public BoardRun(HubRig hub, string settings = "", string? identity = null)
    {
        Device device = hub.Server.Registry.Devices[0];
        Key = Convert.ToBase64String(device.PrimaryKey);
        Write("identity.txt", identity ?? $"connection=HostName=localhost;DeviceId={device.Id};SharedAccessKey={Key}");
        File.AppendAllText(drive["identity.txt"], $"\nwifi.ssid=net\nwifi.password={WifiPassword}\n");
        Write("roots.pem", File.ReadAllText(hub.Server.Data.AuthorityPath));
        Write("board.txt", $"hub.port={hub.Server.EndPoint.Port}\n{settings}\n");
    }

    public const string WifiPassword = "not to be seen 17";

    /// <summary>Lifetime 10 s, renewed at a tenth of it: a renewal every second.</summary>
    public const string RenewsEverySecond =
        "settings.lifetimeSeconds=10\nsettings.renewAtPercent=10\nsettings.spreadPercent=0\nsettings.heartbeatIntervalSeconds=1\n";

    public string Key { get; }

    /// <summary>Everything printed since the first start.</summary>
    public IReadOnlyCollection<string> Printed => all;

    /// <summary>Threads and callbacks that died of an exception; on a board nobody would ever know.</summary>
    public IReadOnlyCollection<string> Errors => errors;

    public void Write(string file, string text) => File.WriteAllText(drive[file], text);

    public string PathOf(string file) => drive[file];

    public string Read(string file) => File.ReadAllText(drive[file]);

    public void Set(string name, string value) => environment[name] = value;

    public BoardRun PowerOn()
    {
        string configuration = Path.GetFileName(Path.GetDirectoryName(AppContext.BaseDirectory.TrimEnd('/', '\\')))!;
        string program = Path.Combine(
            FirmwareSources.Root, "tests/nanoframework/board/bin", configuration, "net10.0", "nano-board.dll");
        ProcessStartInfo start = new("dotnet", [program])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["NANO_DRIVE"] = drive.Path;
        foreach ((string name, string value) in environment)
        {
            start.Environment[name] = value;
        }

        process = Process.Start(start)!;
        process.OutputDataReceived += (_, line) => Take(line.Data);
        process.ErrorDataReceived += (_, line) =>
        {
            if (line.Data is not null)
            {
                errors.Enqueue(line.Data);
            }
        };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return this;
    }

    /// <summary>The next line that holds a text, without its time; lines before it are passed over.</summary>
    public string Line(string part)
    {
        Stopwatch waited = Stopwatch.StartNew();
        while (waited.Elapsed < Patience && lines.TryTake(out string? line, Patience - waited.Elapsed))
        {
            if (line.Contains(part, StringComparison.Ordinal))
            {
                return line[(line.IndexOf(' ', StringComparison.Ordinal) + 1)..];
            }
        }

        throw new TimeoutException($"no line with '{part}'; printed:\n{string.Join('\n', all)}\n{string.Join('\n', errors)}");
    }

    /// <summary>What a person does to a board: see ReadFaults in machine/Machine.cs.</summary>
    public void Do(string fault)
    {
        process!.StandardInput.WriteLine(fault);
        process.StandardInput.Flush();
    }

    /// <summary>Waits for a reboot that the firmware asked for.</summary>
    public void WaitForReboot()
    {
        Assert.True(process!.WaitForExit(Patience), "the board did not reboot");
        process.WaitForExit();
        Assert.Equal(RebootExitCode, process.ExitCode);
    }

    /// <summary>Power off: nothing is said and nothing is finished.</summary>
    public void CutPower()
    {
        process!.Kill();
        process.WaitForExit();
    }

    public ValueTask DisposeAsync()
    {
        if (process is { HasExited: false })
        {
            CutPower();
        }

        process?.Dispose();
        drive.Dispose();
        lines.Dispose();
        return ValueTask.CompletedTask;
    }

    private void Take(string? line)
    {
        if (line is not null)
        {
            all.Enqueue(line);
            lines.Add(line);
        }
    }
}
