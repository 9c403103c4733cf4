using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Agent.Events;
using Agent.Fleet;
using Agent.Hub;

namespace Agent.World;

// The hub machine and the clients' machines, joined by a network that exists only as delays in one queue.
//
// What is an event and what is not: everything that changes a connection is (a packet of the handshake, a timer, a fault);
// heartbeats and pings of a healthy connection are not, because nothing follows from them but a count, and the count of a
// regular grid between two moments is a division. A device for which they matter (its network is broken, or somebody wants
// its timeline) is "live": then they run as events like everything else (VirtualWorld.Live.cs).
//
// A world is one shard: every n-th device of each fleet with a queue and a hub of its own. Devices meet only at the
// connection throttle, so a scenario that applies it runs in one shard.

/// <summary>What will happen to a device.</summary>
internal enum EventKind : byte
{
    Start,
    Timer0,
    Timer1,
    Timer2,
    HubDeadline,
    TransportUp,
    ConnectAtHub,
    DisconnectAtHub,
    FinAtHub,
    ResetAtHub,
    FinAtDevice,
    ResetAtDevice,
    OwnCloseDone,
    HungUpAtDevice,
    TimedOutAtHub,
    GivenUpAtDevice,
    DialFailedDns,
    DialFailedRefused,
    DialFailedTimedOut,
    DialFailedTls,
    Connack0,
    Connack1,
    Connack2,
    Connack3,
    Connack4,
    Connack5,
    Connack0SessionPresent,
    Send,
    PingDue,
    PingLost,
    SendLost,
    TcpGivesUp,
    RetransmitAtHub,
    RivalConnects,
    FaultStart,
    FaultEnd,
}

/// <summary>One shard of a virtual run.</summary>
public sealed partial class VirtualWorld : IHubLog
{
    private const int HubTimer = 3;

    private readonly Scenario scenario;
    private readonly FleetShard part;
    private readonly FaultBoard faults;
    private readonly RunBooks books;
    private readonly VirtualTime time;
    private readonly IotHub hub;
    private readonly ClientState[] devices;
    private readonly Turn turn;
    private readonly int upMs;
    private readonly int downMs;
    private readonly int dialMs;
    private readonly HubMonitor? monitor;
    private readonly RunWitness? witness;

    /// <param name="scenario">What to run.</param>
    /// <param name="shard">Which part, 0-based.</param>
    /// <param name="shardCount">Of how many.</param>
    /// <param name="monitored">Whether somebody wants the hub's records and events.</param>
    /// <param name="telemetry">… and an event for each message too.</param>
    /// <param name="witnessed">Whether somebody wants to know who can deliver.</param>
    public VirtualWorld(
        Scenario scenario, int shard = 0, int shardCount = 1, bool monitored = false, bool telemetry = false, bool witnessed = false)
    {
        this.scenario = scenario;
        upMs = scenario.Network.UpMs;
        downMs = scenario.Network.DownMs;
        dialMs = scenario.Network.DialMs;
        turn = new Turn(scenario.Seed);
        part = new FleetShard(scenario, shard, shardCount);
        faults = new FaultBoard(scenario, part);
        books = new RunBooks(scenario.Seed, part, Scenario.EpochUtcMs);
        startFault = StartFault;
        endFault = EndFault;
        devices = GC.AllocateArray<ClientState>(part.DeviceCount, pinned: true);
        time = new VirtualTime(Fetch);
        hub = new IotHub(scenario.Hub, devices.Length, this);
        throttles = new Throttles(scenario.Hub);
        quota = new DailyQuota(scenario.Hub);
        monitor = monitored ? new HubMonitor(Scenario.EpochUtcMs, devices.Length, telemetry, GlobalOf) : null;
        witness = witnessed ? new RunWitness(devices.Length) : null;
        faults.Plan(time, (byte)EventKind.FaultStart, (byte)EventKind.FaultEnd);
        PlanStarts();
    }

    /// <summary>The fleets with what was counted about them.</summary>
    public IReadOnlyList<FleetRun> Fleets => part.Fleets;

    /// <summary>The hash of everything that happened.</summary>
    public EventLog Log => books.Log;

    /// <summary>Events taken from the queue so far.</summary>
    public long Events { get; private set; }

    /// <summary>The present moment, ms.</summary>
    public long NowMs => time.NowMs;

    /// <summary>Bytes of device state and pending events.</summary>
    public long Bytes => time.Bytes + ((long)devices.Length * (Unsafe.SizeOf<ClientState>() + IotHub.BytesPerDevice));

    /// <summary>Most events pending at any moment, and the bytes held for them.</summary>
    public (long CountMax, long Bytes) Pending => (time.CountMax, time.Bytes);

    /// <summary>What leaves the hub, when somebody wants it.</summary>
    public HubMonitor? Monitor => monitor;

    /// <summary>The ground truth, when somebody wants it.</summary>
    public RunWitness? Witness => witness;

    /// <summary>The devices of this shard.</summary>
    public FleetShard Part => part;

    /// <summary>Runs up to a moment (exclusive); call again to go on.</summary>
    public void RunUntil(long untilMs)
    {
        while (time.TryNext(untilMs - 1, out Pending next))
        {
            Events += next.Kind < (byte)EventKind.FaultStart || part.Shard == 0 ? 1 : 0; // A fault is one event, not one a shard.
            Dispatch(next);
        }
    }

    /// <summary>Counts what the last connections did up to the end of the run.</summary>
    public void Finish(long endMs)
    {
        for (int local = 0; local < devices.Length; local++)
        {
            ref ClientState device = ref devices[local];
            FleetRun fleet = FleetOf(local);
            if (device.Has(DeviceFlags.Up))
            {
                CountHeartbeats(fleet, local, ref device, endMs);
                books.NoteLane(fleet, local, ref device, endMs, Reason.None);
            }
            else if (part.StartOf(fleet, local) < endMs)
            {
                fleet.Statistics.DownMs += endMs - device.EndedAtMs;
            }
        }
    }

    void IHubLog.Record(long nowMs, int device, LogKind kind)
    {
        FleetOf(device).Statistics.LogRecords[(int)kind]++;
        monitor?.OnRecord(nowMs, device, kind);
    }

    // A device is touched a few times in a second and then not for most of an hour: without this, every event begins with two
    // waits for memory.
    private unsafe void Fetch(int local)
    {
        if ((uint)local < (uint)devices.Length && Sse.IsSupported)
        {
            byte* state = (byte*)Unsafe.AsPointer(ref devices[local]);
            Sse.Prefetch0(state);
            Sse.Prefetch0(state + Unsafe.SizeOf<ClientState>() - 1);
            hub.Fetch(local);
        }
    }

    private void PlanStarts()
    {
        foreach (FleetRun fleet in Fleets)
        {
            for (int i = 0; i < fleet.LocalCount; i++)
            {
                int local = fleet.FirstLocal + i;
                long startMs = part.StartOf(fleet, local);
                devices[local].EndedAtMs = startMs;
                time.At(startMs, local, (byte)EventKind.Start, 0);
            }
        }
    }

    private FleetRun FleetOf(int local) => part.FleetOf(local);

    private int GlobalOf(int local) => part.GlobalOf(FleetOf(local), local);

    private void Dispatch(Pending next)
    {
        var kind = (EventKind)next.Kind;
        if (kind >= EventKind.FaultStart)
        {
            faults.OnFault(next.Device, kind == EventKind.FaultStart, startFault, endFault);
            return;
        }

        int local = next.Device;
        ref ClientState device = ref devices[local];
        FleetRun fleet = FleetOf(local);
        switch (kind)
        {
            case EventKind.Start:
                if (!faults.IsOff(local))
                {
                    Begin(fleet, local);
                    fleet.Model.OnStart(ref device, turn);
                    Carry(fleet, local, ref device);
                }

                break;
            case EventKind.Timer0:
            case EventKind.Timer1:
            case EventKind.Timer2:
                OnTimer(fleet, local, ref device, kind - EventKind.Timer0, next.AtMs);
                break;
            case EventKind.HubDeadline:
                OnHubDeadline(fleet, local, ref device, next.AtMs);
                break;
            case EventKind.DisconnectAtHub:
                OnGoodbye(local, ref device, next);
                break;
            case EventKind.FinAtHub:
            case EventKind.ResetAtHub:
                OnTcpEndAtHub(local, next);
                break;
            case EventKind.TimedOutAtHub:
                OnTimedOutAtHub(fleet, local, ref device, next.Link);
                break;
            case EventKind.RivalConnects when faults.Has(local, FaultKind.DuplicateId):
                OnRival(fleet, local, ref device);
                break;
            case EventKind.RivalConnects:
                break; // The second client is gone.
            default:
                if (device.Link == next.Link)
                {
                    DispatchLink(kind, fleet, local, ref device, next.AtMs);
                }

                break;
        }
    }

    // Events that belong to the device's newest connection; those of earlier ones have been dropped already.
    private void DispatchLink(EventKind kind, FleetRun fleet, int local, ref ClientState device, long atMs)
    {
        switch (kind)
        {
            case EventKind.TransportUp:
                if (!Delivers(local))
                {
                    GiveUpLater(fleet, local, ref device, dialMs, inTls: true);
                    break;
                }

                device.Flags |= DeviceFlags.Open;
                Begin(fleet, local);
                fleet.Model.OnTransportUp(ref device, turn);
                Carry(fleet, local, ref device);
                break;
            case EventKind.ConnectAtHub:
                OnConnectAtHub(fleet, local, ref device);
                break;
            case >= EventKind.Connack0 and <= EventKind.Connack0SessionPresent:
                OnConnack(kind, fleet, local, ref device);
                break;
            case EventKind.FinAtDevice:
            case EventKind.ResetAtDevice:
                OnPeerClosed(fleet, local, ref device, kind == EventKind.ResetAtDevice);
                break;
            case EventKind.OwnCloseDone:
                Begin(fleet, local);
                fleet.Model.OnOwnCloseDone(ref device, turn);
                Carry(fleet, local, ref device);
                break;
            case EventKind.HungUpAtDevice:
                Note(fleet, local, ref device, Seen.Close, byHub: true, reason: Reason.RefusedThrottled);
                AttemptFailed(fleet, local, ref device, DialFault.Refused);
                break;
            case EventKind.GivenUpAtDevice:
                if (device.Phase == Phase.AwaitingConnack && Delivers(local))
                {
                    Note(fleet, local, ref device, Seen.Close, byHub: true, reason: Reason.RefusedTimedOut);
                    AttemptFailed(fleet, local, ref device, DialFault.Refused);
                }

                break;
            case >= EventKind.DialFailedDns and <= EventKind.DialFailedTls:
                if (device.Phase is Phase.Dialing or Phase.AwaitingConnack)
                {
                    Note(fleet, local, ref device, Seen.Close, byHub: false, reason: Reason.TimedOut);
                    AttemptFailed(fleet, local, ref device, (DialFault)(kind - EventKind.DialFailedDns));
                }

                break;
            default:
                DispatchLive(kind, fleet, local, ref device, atMs);
                break;
        }
    }

    private void OnTimer(FleetRun fleet, int local, ref ClientState device, int timer, long atMs)
    {
        if (!device.IsTimer(timer, atMs) || IsFrozen(local, ref device, timer, atMs))
        {
            return;
        }

        device.ClearTimer(timer);
        Begin(fleet, local);
        fleet.Model.OnTimer(ref device, turn, timer);
        Carry(fleet, local, ref device);
    }

    private void ArmHub(int local, ref ClientState device, long dueMs)
    {
        // One pending question per device is enough: asked too early, the hub names the next moment itself.
        if (dueMs == long.MaxValue ||
            (device.IsArmed(HubTimer) && device.TimerDueMs(HubTimer, time.NowMs) <= dueMs))
        {
            return;
        }

        device.SetTimer(HubTimer, dueMs);
        time.At(dueMs, local, (byte)EventKind.HubDeadline, 0);
    }

    private void Push(long delayMs, int local, EventKind kind, ushort link) =>
        time.At(time.NowMs + delayMs, local, (byte)kind, link);

    private void Begin(FleetRun fleet, int local) => turn.Begin(
        time.NowMs, Scenario.EpochUtcMs + time.NowMs + faults.SkewOf(fleet, local),
        part.GlobalOf(fleet, local), local - fleet.FirstLocal);
}
