using System.Collections.Concurrent;
using System.Diagnostics;

namespace Agent.Load;

/// <summary>The devices of one process: opens them at a pace, keeps them, has them send and renew.</summary>
public sealed class LoadFleet
{
    // Renewals are to be even, also after a pause of the collector: what has gathered in it does not come as a herd.
    private const int RenewingAtOnceMax = 8;

    private readonly LoadDevice[] devices;
    private readonly int[] moments;
    private readonly long startStamp = Stopwatch.GetTimestamp();
    private readonly ConcurrentDictionary<string, int> faults = new();
    private int lostCount;
    private int packetCount;
    private volatile bool isPumping;

    /// <param name="target">Whom they connect to.</param>
    public LoadFleet(LoadTarget target)
    {
        Target = target;
        devices = [.. Enumerable.Range(0, target.Count).Select(index => new LoadDevice(this, index))];
        moments = new int[target.Count * LoadDevice.UnderWayMax];
    }

    /// <summary>Whom they connect to.</summary>
    public LoadTarget Target { get; }

    /// <summary>From a message's handing over to its acknowledgement.</summary>
    public LatencyCounts Acknowledgements { get; private set; } = new();

    /// <summary>How late the generator was for what was due.</summary>
    public LatencyCounts Lag { get; private set; } = new();

    /// <summary>What went wrong, and how often.</summary>
    public IReadOnlyDictionary<string, int> Faults => faults;

    /// <summary>Connections that ended though nobody here wanted it.</summary>
    public int LostCount => Volatile.Read(ref lostCount);

    /// <summary>Devices connected now.</summary>
    public int OpenCount => devices.Count(device => device.IsOpen);

    /// <summary>Messages a device sends at once in <see cref="PumpAsync"/>.</summary>
    internal int Batch { get; private set; }

    internal bool IsPumping => isPumping;

    /// <summary>µs since the fleet was made; goes round after 35 minutes, so only differences mean something.</summary>
    internal int NowMicros => unchecked((int)ElapsedMicros);

    private long ElapsedMicros => (Stopwatch.GetTimestamp() - startStamp) / (Stopwatch.Frequency / 1_000_000);

    /// <summary>Forgets latencies and lags measured so far.</summary>
    public void Restart()
    {
        Acknowledgements = new LatencyCounts();
        Lag = new LatencyCounts();
    }

    /// <summary>Connects the first devices and lets them go again: the first thousands of a process cost half as much again.</summary>
    public async Task WarmUpAsync(int count, int atOnce, CancellationToken cancellation)
    {
        await EachAsync(0, Math.Min(count, devices.Length), atOnce, null, cancellation, async device =>
        {
            await device.ConnectAsync(cancellation).ConfigureAwait(false);
            await device.LeaveAsync().ConfigureAwait(false);
        }).ConfigureAwait(false);
        faults.Clear();
    }

    /// <summary>Connects devices, so many dials under way at once.</summary>
    /// <param name="first">The first.</param>
    /// <param name="count">How many.</param>
    /// <param name="atOnce">Dials under way at most.</param>
    /// <param name="onProgress">Told how many are done, now and then.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <returns>How many failed.</returns>
    public Task<int> ConnectAsync(int first, int count, int atOnce, Action<int>? onProgress, CancellationToken cancellation) =>
        EachAsync(first, count, atOnce, onProgress, cancellation, device => device.ConnectAsync(cancellation));

    /// <summary>Sends messages in an open loop, evenly over the devices and over time, while some of them renew.</summary>
    /// <param name="perSecond">Messages a second.</param>
    /// <param name="seconds">How long.</param>
    /// <param name="renewals">Devices that renew in that time, evenly.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <returns>Messages sent, those nobody could send, and renewals that failed.</returns>
    public async Task<(long Sent, long Unsent, int Failed)> SendAsync(
        double perSecond, double seconds, int renewals, CancellationToken cancellation)
    {
        Task<int> renewing = RenewAsync(renewals, seconds, cancellation);
        (long sent, long unsent) = await Task.Factory.StartNew(
            () => Pace(perSecond, (long)(perSecond * seconds), cancellation), CancellationToken.None,
            TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false);
        return (sent, unsent, await renewing.ConfigureAwait(false));
    }

    /// <summary>Has some devices send as fast as acknowledgements come back.</summary>
    /// <param name="count">How many devices.</param>
    /// <param name="batch">Messages in one write; the next ones when all are acknowledged.</param>
    /// <param name="seconds">How long.</param>
    /// <returns>Messages acknowledged.</returns>
    public async Task<long> PumpAsync(int count, int batch, double seconds)
    {
        count = Math.Min(count, devices.Length);
        long before = devices.Take(count).Sum(device => (long)device.Acknowledged);
        Batch = batch;
        isPumping = true;
        foreach (LoadDevice device in devices.Take(count))
        {
            device.Pump(batch);
        }

        await Task.Delay(TimeSpan.FromSeconds(seconds)).ConfigureAwait(false);
        isPumping = false;
        await Task.Delay(TimeSpan.FromMilliseconds(200)).ConfigureAwait(false);
        return devices.Take(count).Sum(device => (long)device.Acknowledged) - before;
    }

    /// <summary>Goes away.</summary>
    public Task LeaveAsync() => EachAsync(0, devices.Length, 64, null, CancellationToken.None, device => device.LeaveAsync());

    internal ref int MomentOf(int device, int message) =>
        ref moments[(device * LoadDevice.UnderWayMax) + (message % LoadDevice.UnderWayMax)];

    internal int NextPacket() => Interlocked.Increment(ref packetCount) & int.MaxValue;

    internal void NoteLoss(string why)
    {
        Interlocked.Increment(ref lostCount);
        faults.AddOrUpdate(why, 1, (_, count) => count + 1);
    }

    private (long Sent, long Unsent) Pace(double perSecond, long total, CancellationToken cancellation)
    {
        long beginMicros = ElapsedMicros;
        long unsent = 0;
        int next = 0;
        for (long number = 0; number < total && !cancellation.IsCancellationRequested;)
        {
            long nowMicros = ElapsedMicros;
            long dueMicros = beginMicros + (long)(number * 1_000_000 / perSecond);
            if (dueMicros > nowMicros)
            {
                Thread.Sleep(1);
                continue;
            }

            Lag.Add(nowMicros - dueMicros);
            unsent += TrySendNext(ref next, unchecked((int)nowMicros)) ? 0 : 1;
            number++;
        }

        // The last ones' acknowledgements are on their way.
        Thread.Sleep(200);
        return (total - unsent, unsent);
    }

    // Whoever is renewing, or still waits for answers, is passed over.
    private bool TrySendNext(ref int next, int nowMicros)
    {
        for (int looked = 0; looked < Math.Min(devices.Length, 1000); looked++)
        {
            LoadDevice device = devices[next];
            next = next + 1 == devices.Length ? 0 : next + 1;
            if (device.TrySend(nowMicros))
            {
                return true;
            }
        }

        return false;
    }

    private async Task<int> RenewAsync(int count, double seconds, CancellationToken cancellation)
    {
        int failed = 0;
        var under = new List<Task>();
        using var slots = new SemaphoreSlim(RenewingAtOnceMax);
        long begin = Stopwatch.GetTimestamp();
        for (int number = 0; number < count && !cancellation.IsCancellationRequested; number++)
        {
            TimeSpan due = TimeSpan.FromSeconds(seconds * number / count);
            while (Stopwatch.GetElapsedTime(begin) < due)
            {
                await Task.Delay(1, cancellation).ConfigureAwait(false);
            }

            LoadDevice device = devices[(int)((long)number * devices.Length / count)];
            await slots.WaitAsync(cancellation).ConfigureAwait(false);
            under.Add(RenewOneAsync());
            async Task RenewOneAsync()
            {
                await TryAsync(() => device.RenewAsync(cancellation), () => Interlocked.Increment(ref failed)).ConfigureAwait(false);
                slots.Release();
            }
        }

        await Task.WhenAll(under).ConfigureAwait(false);
        return failed;
    }

    private async Task<int> EachAsync(
        int first, int count, int atOnce, Action<int>? onProgress, CancellationToken cancellation, Func<LoadDevice, Task> act)
    {
        int next = first - 1;
        int done = 0;
        int failed = 0;
        async Task WorkAsync()
        {
            int index;
            while ((index = Interlocked.Increment(ref next)) < first + count && !cancellation.IsCancellationRequested)
            {
                await TryAsync(() => act(devices[index]), () => Interlocked.Increment(ref failed)).ConfigureAwait(false);
                int now = Interlocked.Increment(ref done);
                if (now % 200 == 0)
                {
                    onProgress?.Invoke(now);
                }
            }
        }

        await Task.WhenAll(Enumerable.Range(0, Math.Min(atOnce, count)).Select(_ => Task.Run(WorkAsync))).ConfigureAwait(false);
        return failed;
    }

    private async Task TryAsync(Func<Task> act, Action onFailed)
    {
        try
        {
            await act().ConfigureAwait(false);
        }
        catch (Exception fault) when (fault is not OutOfMemoryException)
        {
            onFailed();
            faults.AddOrUpdate(fault.Message, 1, (_, count) => count + 1);
        }
    }
}
