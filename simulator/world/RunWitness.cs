using Agent.Hub;

namespace Agent.World;

// Which device can deliver, and since when not? Every detector answers that question from what leaves the hub; only the simulator
// knows. So a run that is to be scored has a witness: the world tells it, where it happens, that a device lost the way to the hub or
// found it again, and which heartbeats arrived. Nothing asks back, so a run with a witness is the same run.
//
// A device can deliver while its connection stands at both ends, packets flow, and a message would be accepted. The witness keeps a
// byte and a moment a device and lists what changed; the reader of the lists clears them now and then. Heartbeats of a healthy
// connection are told as runs, first to last, for the same reason for which the world counts them in closed form.

/// <summary>What changed for a device.</summary>
public enum DeliveryKind : byte
{
    /// <summary>From now on nothing it sends is accepted.</summary>
    Lost,

    /// <summary>It can deliver again.</summary>
    Back,

    /// <summary>… and messages to it reach it: it is subscribed to them.</summary>
    Listens,
}

/// <summary>One change.</summary>
/// <param name="AtMs">Moment, ms since the start.</param>
/// <param name="Device">Index in the shard.</param>
/// <param name="Kind">Which.</param>
/// <param name="Reason">Of a loss: why.</param>
public readonly record struct DeliveryChange(long AtMs, int Device, DeliveryKind Kind, Reason Reason);

/// <summary>Heartbeats that arrived one interval after the other.</summary>
/// <param name="Device">Index in the shard.</param>
/// <param name="FirstMs">The hub's stamp of the first, ms since the start.</param>
/// <param name="LastMs">… and of the last; the same moment when there is one.</param>
/// <param name="PlanMs">The renewal that the last one announced, ms since the start; -1 = none.</param>
public readonly record struct BeatRun(int Device, long FirstMs, long LastMs, long PlanMs);

/// <summary>The ground truth of one shard.</summary>
/// <param name="deviceCount">Devices of the shard; none can deliver before it has connected.</param>
public sealed class RunWitness(int deviceCount)
{
    private readonly State[] states = new State[deviceCount];
    private readonly long[] plans = new long[deviceCount];

    /// <summary>Who lost and found the way, in order, since the last <see cref="Clear"/>.</summary>
    public List<DeliveryChange> Changes { get; } = [];

    /// <summary>Heartbeats since the last <see cref="Clear"/>; those of one device in order, and some perhaps twice.</summary>
    public List<BeatRun> Beats { get; } = [];

    /// <summary>Forgets what has been read.</summary>
    public void Clear()
    {
        Changes.Clear();
        Beats.Clear();
    }

    /// <summary>The device cannot deliver any more. Told again, it is the same loss.</summary>
    public void OnLost(long nowMs, int device, Reason reason)
    {
        ref State state = ref states[device];
        if (reason == Reason.QuotaExceeded)
        {
            state |= State.Blocked; // Connecting works and proves nothing: only a message does.
        }

        if ((state & State.Delivers) != 0)
        {
            state &= ~(State.Delivers | State.Listens);
            Changes.Add(new DeliveryChange(nowMs, device, DeliveryKind.Lost, reason));
        }
    }

    /// <summary>The device can deliver, unless it is known that its messages are not accepted.</summary>
    public void OnBack(long nowMs, int device)
    {
        ref State state = ref states[device];
        if ((state & (State.Delivers | State.Blocked)) == 0)
        {
            state |= State.Delivers;
            Changes.Add(new DeliveryChange(nowMs, device, DeliveryKind.Back, Reason.None));
        }
    }

    /// <summary>Messages to the device reach it.</summary>
    public void OnListens(long nowMs, int device)
    {
        ref State state = ref states[device];
        if ((state & (State.Delivers | State.Listens)) == State.Delivers)
        {
            state |= State.Listens;
            Changes.Add(new DeliveryChange(nowMs, device, DeliveryKind.Listens, Reason.None));
        }
    }

    /// <summary>Nothing stands against the device's messages any more; whether it can send them is another question.</summary>
    public void OnAccepting(int device) => states[device] &= ~State.Blocked;

    /// <summary>The device made its plan for the next renewal; -1 = it announces none.</summary>
    public void OnPlan(int device, long planMs) => plans[device] = planMs;

    /// <summary>Heartbeats arrived, on the device's grid.</summary>
    public void OnBeats(int device, long firstMs, long lastMs) => Beats.Add(new BeatRun(device, firstMs, lastMs, plans[device]));

    [Flags]
    private enum State : byte
    {
        Delivers = 1,
        Listens = 2,
        Blocked = 4,
    }
}
