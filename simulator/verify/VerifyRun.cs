using System.Net.Sockets;
using Agent.Hub;

namespace Agent.Verify;

/// <summary>Everything that came of a verification.</summary>
public sealed record VerifyResult(VerifyPlan Plan, string SdkVersion, int Port, IReadOnlyList<CaseResult> Cases)
{
    public bool Agrees => Cases.All(one => one.Agrees);
}

/// <summary>Plays all cases at once: a hub in this process, a device and a process of the genuine SDK for each case.</summary>
public sealed class VerifyRun(VerifyPlan plan, TimeProvider time)
{
    // A runtime that has never been started before, several at once, on a small machine.
    private static readonly TimeSpan ConnectWithin = TimeSpan.FromSeconds(60);

    private readonly HubWatch watch = new(time);

    // One runtime starts at a time: a token is made before its CONNECT, and a crowded start would put seconds between them.
    private readonly SemaphoreSlim starting = new(1);

    /// <summary>Runs to the end.</summary>
    /// <param name="onProgress">Told the share done, 0..1.</param>
    /// <param name="cancellation">Ends it early; nothing is left running.</param>
    /// <exception cref="MissingSdkException">The genuine SDK is not here, or it never got a connection.</exception>
    public async Task<VerifyResult> RunAsync(Action<double> onProgress, CancellationToken cancellation)
    {
        DriverCommand command = plan.Sdk.Require();
        string folder = Directory.CreateTempSubdirectory("agent-verify-").FullName;
        try
        {
            await using HubServer server = StartHub(folder);
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            Task<CaseResult>[] cases = [.. plan.Cases.Select(one => RunCaseAsync(server, command, one, stop.Token))];
            Task progress = ShowAsync(onProgress, stop.Token);
            try
            {
                foreach (Task<CaseResult> one in cases)
                {
                    await one.ConfigureAwait(false);
                }
            }
            finally
            {
                await stop.CancelAsync().ConfigureAwait(false);
                await Task.WhenAll([progress, .. cases]).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }

            return new VerifyResult(plan, command.Version, server.EndPoint.Port, [.. cases.Select(one => one.Result)]);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private HubServer StartHub(string folder)
    {
        string[] ids = [.. plan.Cases.Select(IdOf)];
        try
        {
            return HubServer.Start(new HubServerOptions
            {
                DataDirectory = folder,
                Devices = 0,
                DeviceIds = ids,
                Port = plan.Sdk.NeedsPort8883 ? 8883 : 0,
                Hub = new HubOptions { GraceMinMs = plan.GraceSeconds * 1000, GraceMaxMs = plan.GraceSeconds * 1000 },
                Time = time,
                Watch = watch.Wrap,
                OnVerdict = (device, port, _) => watch.OnVerdict(ids[device], port),
            });
        }
        catch (SocketException problem)
        {
            throw new MissingSdkException($"{plan.Sdk.Id} can dial no other port than 8883, which cannot be had here: {problem.Message}");
        }
    }

    private async Task<CaseResult> RunCaseAsync(
        HubServer server, DriverCommand command, VerifyCase verifyCase, CancellationToken cancellation)
    {
        await Task.Yield();
        server.Registry.TryFind(IdOf(verifyCase), out Device? device);
        string gateway = plan.Sdk.NeedsPort8883 ? "" : $";GatewayHostName={plan.Sdk.HostName}:{server.EndPoint.Port}";
        string key = Convert.ToBase64String(device!.PrimaryKey);
        string connectionString = $"HostName={plan.Sdk.HostName};DeviceId={device.Id};SharedAccessKey={key}{gateway}";
        DeviceWatch seen = watch[device.Id];
        await starting.WaitAsync(cancellation).ConfigureAwait(false);
        using DriverProcess driver = DriverProcess.Start(
            command, connectionString, key, server.Data.AuthorityPath, plan.Settings, verifyCase);
        try
        {
            await WaitForConnectionAsync(seen, driver, verifyCase, cancellation).ConfigureAwait(false);
        }
        finally
        {
            starting.Release();
        }

        if (verifyCase.DropAtMs is { } dropMs)
        {
            await UntilAsync(seen, dropMs, cancellation).ConfigureAwait(false);
            if (verifyCase.RefuseForMs > 0)
            {
                server.SetRefusal(device, new HubRefusal(5, Reason.RefusedByScenario, LogKind.ConnectUnauthorized));
            }

            server.Drop(device, verifyCase.ByReset);
            await UntilAsync(seen, dropMs + verifyCase.RefuseForMs, cancellation).ConfigureAwait(false);
            server.SetRefusal(device, null);
        }

        await UntilAsync(seen, verifyCase.RunForMs, cancellation).ConfigureAwait(false);
        List<Step> genuine = seen.Timeline(verifyCase.RunForMs);
        string? early = driver.HasExited
            ? $"the driver ended early with code {driver.ExitCode}: {driver.Complaint()}"
            : null;
        CaseResult result = Comparison.Of(
            verifyCase, plan.Tolerance, genuine, ModelSide.Run(plan, verifyCase), ModelSide.RunRefused(plan, verifyCase));
        return early is null ? result : result with { Agrees = false, Notes = [.. result.Notes, early] };
    }

    private async Task WaitForConnectionAsync(
        DeviceWatch seen, DriverProcess driver, VerifyCase verifyCase, CancellationToken cancellation)
    {
        Task ended = driver.WaitAsync(cancellation);
        Task first = await Task.WhenAny(seen.Accepted, ended, Task.Delay(ConnectWithin, time, cancellation)).ConfigureAwait(false);
        cancellation.ThrowIfCancellationRequested();
        if (first != seen.Accepted)
        {
            string what = driver.HasExited ? $"its driver ended with code {driver.ExitCode}" : "it did not connect within 60 s";
            string complaint = driver.Complaint();
            throw new MissingSdkException(
                $"{plan.Sdk.Id}, case {verifyCase.Name}: {what}{(complaint.Length > 0 ? ": " : "")}{complaint}");
        }
    }

    private async Task UntilAsync(DeviceWatch seen, double moment, CancellationToken cancellation)
    {
        while (seen.SinceFirstMs < moment)
        {
            double restMs = Math.Ceiling(moment - seen.SinceFirstMs);
            await Task.Delay(TimeSpan.FromMilliseconds(Math.Max(1, restMs)), time, cancellation).ConfigureAwait(false);
        }
    }

    private async Task ShowAsync(Action<double> onProgress, CancellationToken cancellation)
    {
        VerifyCase longest = plan.Cases.MaxBy(one => one.RunForMs)!;
        while (!cancellation.IsCancellationRequested)
        {
            onProgress(Math.Min(1, watch[IdOf(longest)].SinceFirstMs / longest.RunForMs));
            await Task.Delay(TimeSpan.FromMilliseconds(200), time, cancellation).ConfigureAwait(false);
        }
    }

    private static string IdOf(VerifyCase verifyCase) => "verify-" + verifyCase.Name;
}
