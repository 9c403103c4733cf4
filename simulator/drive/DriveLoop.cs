using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Agent.Fleet;
using Agent.Wire;
using Agent.World;

namespace Agent.Drive;

// The third driver of the same models: real sockets in real time. A loop is one thread that owns a share of the devices, one
// timing wheel for everything that will be due, and an inbox into which socket callbacks put what they saw. Models are only
// ever called from their loop, so they need no locks, and one Turn serves all calls.
//
// What differs from virtual time is where events come from, not what they mean: orders become packets (Orders), signals
// become the models' events (Signals), pings and heartbeats run as events always (Live), the books are the same (Books).
// A task per device would read more easily, and would weigh kilobytes and take its turns in any order.

/// <summary>What is due for a device at a moment.</summary>
internal enum Due : byte
{
    Start,
    Timer0,
    Timer1,
    Timer2,
    AttemptLate,
    SlotFree,
    PartingLate,
    Send,
    PingDue,
    PingLost,
    SendLost,
    RivalReturns,
    FaultStart,
    FaultEnd,
}

/// <summary>One thread's share of a run on the wire.</summary>
internal sealed partial class DriveLoop : IDisposable
{
    // Sleeping longer than this would make the end of a cancelled run late.
    private const long SleepMsMax = 1000;

    private readonly WirePlan plan;
    private readonly Scenario scenario;
    private readonly DriveClock clock;
    private readonly FleetShard part;
    private readonly FaultBoard faults;
    private readonly RunBooks books;
    private readonly PacketStyle[] styles;
    private readonly ClientState[] devices;
    private readonly Line[] lines;
    private readonly Turn turn;
    private readonly VirtualTime time = new();
    private readonly ConcurrentQueue<Signal> inbox = new();
    private readonly AutoResetEvent wake = new(false);
    private int sleeping;
    private volatile bool over;

    public DriveLoop(WirePlan plan, DriveClock clock, int loop, int loopCount)
    {
        this.plan = plan;
        this.clock = clock;
        scenario = plan.Scenario;
        dialsMax = Math.Max(1, plan.DialsAtOnce / loopCount);
        turn = new Turn(scenario.Seed);
        part = new FleetShard(scenario, plan.Shard + (plan.ShardCount * loop), plan.ShardCount * loopCount);
        faults = new FaultBoard(scenario, part);
        books = new RunBooks(scenario.Seed, part, clock.StartUtcMs);
        startFault = StartFault;
        endFault = EndFault;
        styles = [.. part.Fleets.Select(fleet => PacketStyle.Of(fleet.Plan.Sdk))];
        dialOptions = [.. part.Fleets.Select(_ => default((ClientOptions, long)?))];
        devices = new ClientState[part.DeviceCount];
        lines = new Line[part.DeviceCount];
        Array.Fill(lines, Line.Idle);
        faults.Plan(time, (byte)Due.FaultStart, (byte)Due.FaultEnd);
        foreach (FleetRun fleet in part.Fleets)
        {
            for (int local = fleet.FirstLocal; local < fleet.FirstLocal + fleet.LocalCount; local++)
            {
                long startMs = part.StartOf(fleet, local);
                devices[local].EndedAtMs = startMs;
                time.At(startMs, local, (byte)Due.Start, 0);
            }
        }
    }

    /// <summary>The fleets with what was counted about them.</summary>
    public IReadOnlyList<FleetRun> Fleets => part.Fleets;

    /// <summary>The hash of everything that happened.</summary>
    public EventLog Log => books.Log;

    /// <summary>Timers, faults and signals dealt with.</summary>
    public long Events { get; private set; }

    /// <summary>Bytes of device state and pending events, without the connections themselves.</summary>
    public long Bytes =>
        time.Bytes + (devices.Length * (long)(Unsafe.SizeOf<ClientState>()
            + Unsafe.SizeOf<Line>()));

    /// <summary>How late the loop was for a timer at worst, ms: the generator's own honesty.</summary>
    public long LagMsMax { get; private set; }

    /// <summary>Dials that failed because of this machine's own limits.</summary>
    public long OwnFailures { get; private set; }

    /// <summary>Takes a report, from any thread.</summary>
    public void Post(in Signal signal)
    {
        if (over)
        {
            return;
        }

        inbox.Enqueue(signal);
        if (Volatile.Read(ref sleeping) == 1 && Interlocked.Exchange(ref sleeping, 0) == 1)
        {
            wake.Set();
        }
    }

    /// <summary>Runs until the end of the scenario or until cancelled; on the calling thread.</summary>
    public void Run(long untilMs, CancellationToken cancellation, Action<long>? onProgress)
    {
        long nowMs;
        while ((nowMs = clock.NowMs) < untilMs && !cancellation.IsCancellationRequested)
        {
            while (inbox.TryDequeue(out Signal signal))
            {
                Events++;
                OnSignal(signal);
            }

            nowMs = clock.NowMs;
            while (nowMs >= 0 && time.TryNext(Math.Min(nowMs, untilMs - 1), out Pending next))
            {
                Events++;
                LagMsMax = Math.Max(LagMsMax, nowMs - next.AtMs);
                Dispatch(next);
                if (!inbox.IsEmpty)
                {
                    break; // What has happened comes before what is due.
                }
            }

            onProgress?.Invoke(clock.NowMs);
            Sleep(nowMs < 0 ? 0 : time.WakeMs, untilMs);
        }

        over = true;
        Finish(Math.Min(clock.NowMs, untilMs));
    }

    public void Dispose() => wake.Dispose();

    private void Sleep(long wakeMs, long untilMs)
    {
        Interlocked.Exchange(ref sleeping, 1);
        long sleepMs = Math.Min(Math.Min(wakeMs, untilMs) - clock.NowMs, SleepMsMax);
        if (sleepMs > 0 && inbox.IsEmpty)
        {
            wake.WaitOne((int)sleepMs);
        }

        Interlocked.Exchange(ref sleeping, 0);
    }

    private void Dispatch(Pending next)
    {
        var due = (Due)next.Kind;
        if (due >= Due.FaultStart)
        {
            faults.OnFault(next.Device, due == Due.FaultStart, startFault, endFault);
            return;
        }

        int local = next.Device;
        ref ClientState device = ref devices[local];
        FleetRun fleet = FleetOf(local);
        switch (due)
        {
            case Due.Start:
                if (!faults.IsOff(local))
                {
                    Begin(fleet, local);
                    fleet.Model.OnStart(ref device, turn);
                    Carry(fleet, local, ref device);
                }

                break;
            case Due.Timer0:
            case Due.Timer1:
            case Due.Timer2:
                OnTimer(fleet, local, ref device, due - Due.Timer0, next.AtMs);
                break;
            case Due.SlotFree:
                FreeSlot(local, next.Link);
                break;
            case Due.PartingLate:
                OnPartingLate(fleet, local, ref device, next.Link);
                break;
            case Due.RivalReturns:
                OnRivalReturns(fleet, local);
                break;
            case Due.AttemptLate:
                if (lines[local].Has(LineFlags.Hung))
                {
                    In(LookAgainMs, local, Due.AttemptLate, next.Link);
                }
                else if (device.Link == next.Link)
                {
                    OnAttemptLate(fleet, local, ref device);
                }

                break;
            default:
                if (device.Link == next.Link && !lines[local].Has(LineFlags.Hung))
                {
                    DispatchLive(due, fleet, local, ref device, next.AtMs);
                }

                break;
        }
    }

    private void OnTimer(FleetRun fleet, int local, ref ClientState device, int timer, long atMs)
    {
        if (!device.IsTimer(timer, atMs))
        {
            return;
        }

        if (lines[local].Has(LineFlags.Hung))
        {
            Thaw(local, ref device, timer);
            return;
        }

        device.ClearTimer(timer);
        Begin(fleet, local);
        fleet.Model.OnTimer(ref device, turn, timer);
        Carry(fleet, local, ref device);
    }

    private FleetRun FleetOf(int local) => part.FleetOf(local);

    private int GlobalOf(FleetRun fleet, int local) => part.GlobalOf(fleet, local);

    private void Begin(FleetRun fleet, int local)
    {
        long nowMs = clock.NowMs;
        turn.Begin(nowMs, clock.StartUtcMs + nowMs + faults.SkewOf(fleet, local), GlobalOf(fleet, local), local - fleet.FirstLocal);
    }

    private void In(long delayMs, int local, Due due, ushort link) =>
        time.At(clock.NowMs + delayMs, local, (byte)due, link);
}
