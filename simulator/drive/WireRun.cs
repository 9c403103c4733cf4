using System.Net;
using Agent.Events;
using Agent.Hub;
using Agent.Input;
using Agent.Report;
using Agent.Wire;
using Agent.World;

namespace Agent.Drive;

/// <summary>A hub to drive devices against, reached by name.</summary>
/// <param name="Host">Name or address; the server's certificate must carry it.</param>
/// <param name="Remote">Where that is.</param>
/// <param name="Tls">How its certificate is checked.</param>
/// <param name="Keys">Who the devices are there.</param>
public sealed record WireTarget(string Host, IPEndPoint Remote, TlsClient Tls, DeviceKeys Keys);

// A whole run on the wire: the hub (if it is ours), what stands in between (if a fault needs it), the loops, the result.

/// <summary>Runs scenarios in real time over TLS.</summary>
public static class WireRun
{
    // Below this many devices a second loop costs more than it saves.
    private const int DevicesPerLoopMin = 2000;

    // Descriptors per device: its own, the hub's end when it is ours, and two more in the relay.
    private const int FilesSpare = 200;

    /// <summary>Runs a scenario from beginning to end, or until cancelled.</summary>
    /// <param name="scenario">What to run.</param>
    /// <param name="target">The hub; null = one of the run's own in this process.</param>
    /// <param name="shard">Which part of the devices, 0-based.</param>
    /// <param name="shardCount">Of how many.</param>
    /// <param name="isPart">Whether the result is to be merged with others.</param>
    /// <param name="onProgress">Told the share of the time that has passed, 0..1, now and then, from any thread.</param>
    /// <param name="outDirectory">Where the own hub's Connections records and Event Grid events go; null = nowhere.</param>
    /// <param name="engine">Who does the work of TLS at a hub of the run's own and its devices; the target says it for itself.</param>
    /// <param name="cancellation">Ends the run early; what was seen until then is the result.</param>
    /// <exception cref="BadInputException">The scenario asks for what the wire cannot do.</exception>
    /// <exception cref="IOException">The hub cannot be reached, or this machine's limits do not suffice.</exception>
    public static async Task<RunResult> RunAsync(
        Scenario scenario,
        WireTarget? target = null,
        int shard = 0,
        int shardCount = 1,
        bool isPart = false,
        Action<double>? onProgress = null,
        string? outDirectory = null,
        TlsEngine engine = TlsEngine.Portable,
        CancellationToken cancellation = default)
    {
        WireFaults.Check(scenario, ownHub: target is null);
        CheckIds(scenario);
        CheckFiles(scenario, target is null, shard, shardCount);
        if (target is not null)
        {
            await TryAsync(target, cancellation).ConfigureAwait(false);
        }

        OwnHub? hub = target is null ? OwnHub.Start(scenario, outDirectory is not null, engine) : null;
        Relay? relay = null;
        DeadPorts? ports = null;
        try
        {
            target ??= TargetOf(hub!.Server, engine);
            relay = WireFaults.NeedRelay(scenario) ? new Relay(target.Remote) : null;
            ports = WireFaults.NeedDeadPorts(scenario) ? new DeadPorts() : null;
            if (hub is not null && relay is not null)
            {
                hub.ClientPort = relay.ClientPort;
            }

            var plan = new WirePlan
            {
                Scenario = scenario,
                Remote = relay?.EndPoint ?? target.Remote,
                Tls = target.Tls,
                Keys = target.Keys,
                Shard = shard,
                ShardCount = shardCount,
                IsPart = isPart,
                Hub = hub,
                Relay = relay,
                Ports = ports,
            };
            return await DriveAsync(plan, onProgress, outDirectory, cancellation).ConfigureAwait(false);
        }
        finally
        {
            ports?.Dispose();
            if (relay is not null)
            {
                await relay.DisposeAsync().ConfigureAwait(false);
            }

            if (hub is not null)
            {
                await hub.DisposeAsync().ConfigureAwait(false);
            }
        }
    }

    private static async Task<RunResult> DriveAsync(
        WirePlan plan, Action<double>? onProgress, string? outDirectory, CancellationToken cancellation)
    {
        long runForMs = plan.Scenario.RunForMs;
        var clock = new DriveClock(TimeProvider.System);
        int count = Math.Clamp(plan.DeviceCount / DevicesPerLoopMin, 1, Environment.ProcessorCount);
        DriveLoop[] loops = [.. Enumerable.Range(0, count).Select(loop => new DriveLoop(plan, clock, loop, count))];
        try
        {
            await Task.WhenAll(loops.Select((loop, index) => Task.Factory.StartNew(
                () => loop.Run(
                    runForMs, cancellation,
                    index == 0 ? nowMs => onProgress?.Invoke(Math.Clamp((double)nowMs / runForMs, 0, 1)) : null),
                CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default))).ConfigureAwait(false);

            // What the run itself ends is no part of what happened in it.
            double wallSeconds = Math.Min(clock.NowMs, runForMs) / 1000.0;
            RunResult result = Collect(plan, loops, wallSeconds);
            if (outDirectory is not null && plan.Hub is { } hub)
            {
                hub.CopyRecords(Path.Combine(outDirectory, "connections.jsonl"));
                WriteEvents(hub, plan.Scenario, outDirectory);
            }

            foreach (DriveLoop loop in loops)
            {
                loop.Leave();
            }

            return result;
        }
        finally
        {
            foreach (DriveLoop loop in loops)
            {
                loop.Dispose();
            }
        }
    }

    private static void WriteEvents(OwnHub hub, Scenario scenario, string outDirectory)
    {
        using var files = new RunFiles(outDirectory, scenario, hub.StartUtcMs, withRecords: false);
        hub.HandOnEvents(new RunMonitor { KeptMax = long.MaxValue, OnRecord = _ => { }, OnEvent = files.Write });
    }

    private static RunResult Collect(WirePlan plan, DriveLoop[] loops, double wallSeconds)
    {
        if (loops.Sum(loop => loop.OwnFailures) is > 0 and long failures)
        {
            throw new IOException(
                $"{failures} dials failed because of this machine's own limits (open files {FileLimit.OpenFilesMax}, "
                + "ports of the source address): use fewer devices per process");
        }

        List<FleetResult> fleets = FleetResult.Merge([.. loops.Select(loop => loop.Fleets)]);
        for (int i = 0; i < fleets.Count; i++)
        {
            plan.Hub?.RecordsOf(i).CopyTo(fleets[i].Statistics.LogRecords, 0);
        }

        ulong sum = 0;
        foreach (DriveLoop loop in loops)
        {
            sum += loop.Log.Sum;
        }

        return new RunResult
        {
            Scenario = plan.Scenario,
            WallSeconds = wallSeconds,
            Events = loops.Sum(loop => loop.Events),
            EventHash = EventLog.Finish(plan.Scenario.Seed, sum),
            Shards = loops.Length,
            Bytes = loops.Sum(loop => loop.Bytes),
            Fleets = fleets,
            Expectations = RunResult.Check(plan.Scenario, fleets),
            LoopLagMaxMs = loops.Max(loop => loop.LagMsMax),
            Shard = plan.IsPart ? (plan.Shard + 1, plan.ShardCount) : null,
        };
    }

    // A hub that cannot be reached at all, or whose certificate is not trusted, is better said once than by every device.
    private static async Task TryAsync(WireTarget target, CancellationToken cancellation)
    {
        try
        {
            var options = new ClientOptions { Tls = target.Tls, DialTimeout = TimeSpan.FromSeconds(10) };
            ClientSession session = await ClientSession.DialAsync(target.Remote, options, new Visitor(), cancellation: cancellation)
                .ConfigureAwait(false);
            session.Close();
        }
        catch (LinkException failed)
        {
            throw new IOException($"--hub {target.Host}: {failed.Message}");
        }
    }

    private static WireTarget TargetOf(HubServer hub, TlsEngine engine) => new(
        hub.Registry.HostName, hub.EndPoint,
        new TlsClient(hub.Registry.HostName, WireTargets.Roots(hub.Data.AuthorityPath), engine: engine),
        DeviceKeys.Of(hub.Registry));

    // Fleet names are free text, ids are not: two names may become one.
    private static void CheckIds(Scenario scenario)
    {
        string? twice = scenario.Fleets.GroupBy(fleet => DeviceId.Text(fleet.Name, 0))
            .FirstOrDefault(group => group.Count() > 1)?.Last().Name;
        if (twice is not null)
        {
            throw new BadInputException($"$.fleet: the devices of \"{twice}\" would have the ids of another fleet's");
        }
    }

    private static void CheckFiles(Scenario scenario, bool ownHub, int shard, int shardCount)
    {
        long devices = scenario.Fleets.Sum(fleet => (long)Math.Max(0, (fleet.Count - shard + shardCount - 1) / shardCount));
        int each = 1 + (ownHub ? 1 : 0) + (WireFaults.NeedRelay(scenario) ? 2 : 0);
        if (devices * each + FilesSpare > FileLimit.OpenFilesMax)
        {
            long fit = (FileLimit.OpenFilesMax - FilesSpare) / each;
            throw new IOException(
                $"{devices} devices need {devices * each} open files, this process may have {FileLimit.OpenFilesMax}: "
                + $"at most {fit} devices here; use `fleet --shard I/N` in several processes, or raise `ulimit -n`");
        }
    }
}
