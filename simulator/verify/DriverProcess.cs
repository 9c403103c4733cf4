using System.Diagnostics;
using System.Globalization;
using System.Text;
using Agent.Fleet;

namespace Agent.Verify;

/// <summary>A running driver of a genuine SDK: its standard error kept for when it fails, its tree killed at the end.</summary>
internal sealed class DriverProcess : IDisposable
{
    private const int LinesKept = 20;

    private readonly Process process;
    private readonly string secret;
    private readonly Queue<string> errors = new();

    private DriverProcess(Process process, string secret)
    {
        this.process = process;
        this.secret = secret;
    }

    public bool HasExited => process.HasExited;

    public int ExitCode => process.ExitCode;

    /// <summary>Completes when the driver ends by itself.</summary>
    public Task WaitAsync(CancellationToken cancellation) => process.WaitForExitAsync(cancellation);

    /// <summary>Starts a driver for a case.</summary>
    /// <param name="command">Which driver.</param>
    /// <param name="connectionString">Whose device; its key never shows in <see cref="Complaint"/>.</param>
    /// <param name="key">The key within it.</param>
    /// <param name="authorityPath">The hub's CA.</param>
    /// <param name="settings">Token.</param>
    /// <param name="verifyCase">Features and sends.</param>
    public static DriverProcess Start(
        DriverCommand command, string connectionString, string key, string authorityPath, ClientSettings settings,
        VerifyCase verifyCase)
    {
        var start = new ProcessStartInfo(command.Program, command.Arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        void Add(string name, string value)
        {
            start.ArgumentList.Add(name);
            start.ArgumentList.Add(value);
        }

        Add("--connection-string", connectionString);
        Add("--ca", authorityPath);
        Add("--lifetime", settings.LifetimeSeconds!.Value.ToString(CultureInfo.InvariantCulture));
        if (settings.RenewBeforeSeconds is { } margin)
        {
            Add("--margin", margin.ToString(CultureInfo.InvariantCulture));
        }

        // Longer than it is watched: how it says goodbye is no part of the comparison.
        Add("--seconds", ((verifyCase.RunForMs / 1000) + 60).ToString(CultureInfo.InvariantCulture));
        Add("--heartbeat", (verifyCase.HeartbeatEveryMs / 1000.0).ToString(CultureInfo.InvariantCulture));
        Add("--features", FeatureList(verifyCase.Features));
        var driver = new DriverProcess(Process.Start(start)!, key);
        driver.process.OutputDataReceived += (_, _) => { };
        driver.process.ErrorDataReceived += (_, line) => driver.Keep(line.Data);
        driver.process.BeginOutputReadLine();
        driver.process.BeginErrorReadLine();
        return driver;
    }

    /// <summary>The contract's spelling: <c>twin,methods,c2d</c>.</summary>
    public static string FeatureList(Features features)
    {
        var names = new StringBuilder();
        foreach ((Features feature, string name) in (ReadOnlySpan<(Features, string)>)
            [(Features.Twin, "twin"), (Features.Methods, "methods"), (Features.CloudToDevice, "c2d")])
        {
            if ((features & feature) != 0)
            {
                names.Append(names.Length > 0 ? "," : "").Append(name);
            }
        }

        return names.ToString();
    }

    /// <summary>What it last said on standard error, on one line, without the device's key.</summary>
    public string Complaint()
    {
        lock (errors)
        {
            return string.Join(" / ", errors.Where(line => line.Trim().Length > 0).TakeLast(3));
        }
    }

    public void Dispose()
    {
        try
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit(5000);
        }
        catch (InvalidOperationException)
        {
            // It had ended already.
        }

        process.Dispose();
    }

    private void Keep(string? line)
    {
        if (line is null)
        {
            return;
        }

        lock (errors)
        {
            errors.Enqueue(line.Replace(secret, "***", StringComparison.Ordinal)
                .Replace(Uri.EscapeDataString(secret), "***", StringComparison.Ordinal));
            if (errors.Count > LinesKept)
            {
                errors.Dequeue();
            }
        }
    }
}
