using System.Diagnostics;
using Agent.Events;
using Agent.Hub;
using Agent.Wire;
using Agent.World;

namespace Agent.Drive;

/// <summary>
/// A hub of the run's own in this process: identities for every device, a folder that disappears with it, and what only a
/// hub knows: why it ended a connection, and its records.
/// </summary>
internal sealed class OwnHub : IAsyncDisposable
{
    private readonly string directory;
    private readonly long[] verdicts;
    private readonly int[] fleetEnds;
    private readonly long[][] records;
    private readonly Lock monitoring = new();
    private readonly HubMonitor? monitor;
    private readonly long startStamp = Stopwatch.GetTimestamp();

    private OwnHub(Scenario scenario, string directory, bool monitored, TlsEngine engine)
    {
        this.directory = directory;
        fleetEnds = new int[scenario.Fleets.Count];
        records = new long[scenario.Fleets.Count][];
        int end = 0;
        for (int i = 0; i < fleetEnds.Length; i++)
        {
            fleetEnds[i] = end += scenario.Fleets[i].Count;
            records[i] = new long[LogKinds.Count];
        }

        verdicts = new long[end];
        StartUtcMs = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
        monitor = monitored ? new HubMonitor(StartUtcMs, end) { KeepsRecords = false } : null;
        Server = HubServer.Start(new HubServerOptions
        {
            DataDirectory = directory,
            Devices = 0,
            DeviceIds = DeviceKeys.Ids(scenario),
            Port = 0,
            Synchronise = false,
            TlsEngine = engine,
            Hub = scenario.Hub,
            OnRecord = OnRecord,
            Watch = monitored ? server => new SessionWatch(server, OnMessaging) : null,
            OnVerdict = (device, port, reason) =>
                Volatile.Write(ref verdicts[device], ((long)(ClientPort?.Invoke(port) ?? port) << 8) | (byte)reason),
        });
    }

    public HubServer Server { get; }

    /// <summary>When this hub started, ms since 1970: moment 0 of its events.</summary>
    public long StartUtcMs { get; }

    /// <summary>Finds a client's port from the one the hub sees, when something stands between them.</summary>
    public Func<int, int>? ClientPort { get; set; }

    /// <summary>Starts a hub with the scenario's options on a free port.</summary>
    /// <param name="scenario">The run.</param>
    /// <param name="monitored">Whether its Event Grid events are wanted.</param>
    /// <param name="engine">Who does the work of TLS.</param>
    public static OwnHub Start(Scenario scenario, bool monitored = false, TlsEngine engine = TlsEngine.Portable)
    {
        string directory = Directory.CreateTempSubdirectory("agent-wire-").FullName;
        try
        {
            return new OwnHub(scenario, directory, monitored, engine);
        }
        catch
        {
            Directory.Delete(directory, recursive: true);
            throw;
        }
    }

    /// <summary>Why the hub ended or refused the device's connection from this port; None = it did not.</summary>
    public Reason TakeVerdict(int globalIndex, int port)
    {
        long verdict = Volatile.Read(ref verdicts[globalIndex]);
        if (verdict == 0 || (int)(verdict >> 8) != port)
        {
            return Reason.None;
        }

        Interlocked.CompareExchange(ref verdicts[globalIndex], 0, verdict);
        return (Reason)(byte)verdict;
    }

    /// <summary>Records earned by a fleet so far, by kind.</summary>
    public long[] RecordsOf(int fleet) => [.. records[fleet].Select((_, kind) => Volatile.Read(ref records[fleet][kind]))];

    /// <summary>Copies the records written so far.</summary>
    public void CopyRecords(string path) => File.Copy(Server.Data.ConnectionsPath, path, overwrite: true);

    /// <summary>Hands on the events so far, the ones of snapshots that are due included.</summary>
    public void HandOnEvents(RunMonitor receiver)
    {
        if (monitor is null)
        {
            return;
        }

        lock (monitoring)
        {
            monitor.AdvanceTo(NowMs());
            receiver.Add(monitor);
            receiver.HandOn();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync().ConfigureAwait(false);
        Directory.Delete(directory, recursive: true);
    }

    private void OnRecord(int device, LogKind kind)
    {
        Count(device, kind);
        if (monitor is not null)
        {
            lock (monitoring)
            {
                monitor.OnRecord(NowMs(), device, kind);
            }
        }
    }

    private void OnMessaging(int device)
    {
        lock (monitoring)
        {
            monitor!.OnMessaging(NowMs(), device);
        }
    }

    private long NowMs() => (long)Stopwatch.GetElapsedTime(startStamp).TotalMilliseconds;

    private void Count(int device, LogKind kind)
    {
        int fleet = 0;
        while (device >= fleetEnds[fleet])
        {
            fleet++;
        }

        Interlocked.Increment(ref records[fleet][(int)kind]);
    }
}
