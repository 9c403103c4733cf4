using Agent.Events;
using Agent.Hub;
using Agent.Service;

namespace Agent.Soak;

// The whole system in one queue: agents on flash with power cuts, SDK models, the hub machine, the checker on its journal, and between
// them a network and an event delivery that do their worst. A world is one seed and one thread; it ends well or with the invariant
// that did not hold.
//
// Two phases. Safety: faults come and go, and what must never happen is watched for. Liveness: faults stop, everything heals, and what
// must happen has a bound in time. The phases are FoundationDB's and TigerBeetle's; without the second a system that does nothing
// at all would pass.
//
// Closures in a priority queue, and not the structs of VirtualWorld: here a few devices live through thousands of seeds, and what counts
// is that a fault is three lines to write.

/// <summary>One seed's world.</summary>
internal sealed partial class SoakWorld
{
    /// <summary>The world's moment 0, UTC ms.</summary>
    public const long EpochUtcMs = 1_800_000_000_000;

    /// <summary>Tokens of this lifetime are refused: the setting that is valid and loses the connection.</summary>
    public const int TrapLifetimeSeconds = 777;

    private const long TickMs = 5_000;
    private const long EventsMax = 5_000_000;
    private const long TroubleTailMs = 20 * 60_000;

    private readonly SoakPlan plan;
    private readonly PriorityQueue<Action, (long AtMs, long Order)> queue = new();
    private readonly Dice network;
    private readonly Dice events;
    private readonly Dice chance;
    private readonly IotHub hub;
    private readonly SoakDevice[] devices;
    private readonly Queue<string>? story;
    private readonly bool hasLogs;
    private long order;
    private long wideUntilMs;
    private ulong hash = 14695981039346656037;

    /// <param name="plan">What the seed decided.</param>
    /// <param name="storyLines">How many of the last events are kept in words; 0 = none, which is faster.</param>
    public SoakWorld(SoakPlan plan, int storyLines = 0)
    {
        this.plan = plan;
        story = storyLines > 0 ? new Queue<string>(storyLines) : null;
        StoryLines = storyLines;
        network = new Dice(plan.Seed, 2);
        events = new Dice(plan.Seed, 3);
        chance = new Dice(plan.Seed, 4);
        hasLogs = chance.Chance(50);
        int count = plan.Agents.Count + plan.Fleets.Sum(fleet => fleet.Count);
        hub = new IotHub(plan.Hub, count, this);
        snapshot = new ConnectionStateSnapshot(EpochUtcMs, count);
        checker = new Checker(plan.Liveness, plan.Seed);
        checker.Start(EpochUtcMs);
        devices = [.. MakeDevices()];
    }

    public SoakPlan Plan => plan;

    public long NowMs { get; private set; }

    public long UtcMs => EpochUtcMs + NowMs;

    /// <summary>Events so far.</summary>
    public long Events { get; private set; }

    /// <summary>A hash over the moments and devices of all of them.</summary>
    public ulong Hash => hash;

    /// <summary>The last events in words, oldest first.</summary>
    public IReadOnlyCollection<string> Story => story ?? (IReadOnlyCollection<string>)[];

    /// <summary>Whether anybody reads what is told.</summary>
    public bool IsTelling => story is not null;

    /// <summary>Whether faults have stopped for good.</summary>
    public bool IsHealing { get; private set; }

    private int StoryLines { get; }

    /// <summary>Runs both phases.</summary>
    /// <exception cref="BrokenInvariantException">Something that must hold does not.</exception>
    public void Run()
    {
        foreach (SoakDevice device in devices)
        {
            After(chance.Below(30_000), device.PowerOn);
        }

        After(SweepEveryMs, Sweep);
        After(snapshot.NextMs - UtcMs, TakeSnapshot);
        After(TickMs, Tick);
        PlanFaults();
        RunUntil(plan.SafetyMs);
        Heal();
        RunUntil(plan.SafetyMs + plan.LivenessMs);
        CheckEnd();
    }

    public void After(long delayMs, Action action) => queue.Enqueue(action, (NowMs + Math.Max(0, delayMs), order++));

    /// <summary>A line of the story.</summary>
    public void Tell(SoakDevice device, string what)
    {
        if (story is not null)
        {
            TellWorld($"{device.Id} {what}");
        }
    }

    public void TellWorld(string what)
    {
        if (story is null)
        {
            return;
        }

        if (story.Count == StoryLines)
        {
            story.Dequeue();
        }

        story.Enqueue($"{TimeSpan.FromMilliseconds(NowMs):hh\\:mm\\:ss\\.fff}  {what}");
    }

    /// <summary>Ends the world.</summary>
    public static void Broken(Invariant invariant, SoakDevice device, string detail) =>
        throw new BrokenInvariantException(invariant, $"{device.Id}: {detail}");

    private IEnumerable<SoakDevice> MakeDevices()
    {
        int index = 0;
        foreach (Agent.Core.TokenSettings settings in plan.Agents)
        {
            yield return new AgentDevice(this, index, $"agent-{index + 1}", settings);
            index++;
        }

        foreach (SoakFleet fleet in plan.Fleets)
        {
            for (int i = 0; i < fleet.Count; i++)
            {
                yield return new ModelDevice(this, index, $"{fleet.Sdk}-{index + 1}", fleet);
                index++;
            }
        }
    }

    private void RunUntil(long endMs)
    {
        while (queue.TryPeek(out _, out (long AtMs, long Order) next) && next.AtMs <= endMs)
        {
            Action action = queue.Dequeue();
            if (next.AtMs < NowMs || ++Events > EventsMax)
            {
                throw new BrokenInvariantException(Invariants.ComesToRest, $"{Events} events by {NowMs} ms, next at {next.AtMs} ms");
            }

            NowMs = next.AtMs;
            Mix((ulong)NowMs ^ ((ulong)next.Order << 40));
            action();
        }

        NowMs = endMs;
    }

    private void Mix(ulong value) => hash = (hash ^ value) * 1099511628211;

    private void Tick()
    {
        foreach (SoakDevice device in devices)
        {
            bool isHealthy = device.Connection is { IsAccepted: true } link && device.Books.HeldLink == link;
            if (device.IsInTrouble || (!isHealthy && device.TroubleMs >= 0 && device.TroubleMs > NowMs - TroubleTailMs))
            {
                device.TroubleMs = NowMs;
            }

            device.Check();
            device.HealthyMs = isHealthy ? NowMs : device.HealthyMs;
            long sinceMs = Math.Max(plan.SafetyMs, device.HealthyMs);
            if (IsHealing && NowMs > device.BackByMs(sinceMs))
            {
                Broken(Invariants.BackInTime, device, $"not connected for {(NowMs - sinceMs) / 1000} s, and nothing is wrong");
            }
        }

        CheckHub();
        CheckAlarms();
        After(TickMs, Tick);
    }

    private void CheckEnd()
    {
        CheckAlarmsAtEnd();
        foreach (SoakDevice device in devices)
        {
            device.CheckEnd();
        }
    }
}
