using System.Globalization;
using System.Text;
using Agent.Core;

namespace Agent.Soak;

/// <summary>A device that runs the agent, whole and on flash: what a board's supervisor does, in virtual time.</summary>
/// <remarks>
/// The driver's part is as small as that of board and PC: tell what happened, carry out orders, wake when asked. Everything else in
/// these files is looking: before and after each call the agent is compared with what the world knows.
/// </remarks>
internal sealed partial class AgentDevice : SoakDevice
{
    private const int OnTheWayMs = 250;

    private readonly TokenSettings defaults;
    private readonly Dice dice;
    private readonly FlashArea state = new(2, 2048);
    private readonly FlashArea box = new(4, 1024);
    private readonly FlashArea queue = new(4, 1024);
    private readonly SoakTwin twin;
    private DeviceAgent? agent;
    private SoakLink? link;
    private SoakLink? next;
    private long poweredMs;
    private long armedMs = long.MaxValue;
    private int boot;
    private int lastPacketId;
    private int packetInFlight;
    private string inFlight = "";
    private bool isTimeKnown;
    private bool isNetworkTold;

    public AgentDevice(SoakWorld world, int index, string id, TokenSettings settings)
        : base(world, index, id)
    {
        defaults = settings;
        dice = new Dice(world.Plan.Seed, 100 + index);
        twin = new SoakTwin(settings);
    }

    public override SoakLink? Connection => link;

    private Session Session => agent!.Session;

    private Now Now => new(
        World.Plan.DeviceUptimeMs + World.NowMs - poweredMs, (World.UtcMs / 1000) + SkewSeconds, isTimeKnown);

    /// <inheritdoc/>
    public override void PowerOn()
    {
        if (HasPower)
        {
            return;
        }

        HasPower = true;
        poweredMs = World.NowMs;
        int run = ++boot;
        state.PowerUp();
        box.PowerUp();
        queue.PowerUp();
        isTimeKnown = World.Plan.KnowsTime;
        isNetworkTold = false;
        World.Tell(this, "power on");
        agent = new DeviceAgent(new DeviceAgentOptions
        {
            DeviceId = Id,
            Defaults = defaults,
            Random = new SeededRandom((uint)dice.Bits()),
            StateStorage = state,
            BlackBoxStorage = box,
            QueueStorage = queue,
            QueueMemoryBytes = World.Plan.QueueMemoryBytes,
            CanPrewarm = true,
            CanReboot = true,
        });
        ForgetOutage();
        Do(a => a.OnStart(Now));
        CheckAfterStart();
        World.After(dice.Between(500, 8_000), () => OfThisRun(run, BringUpNetwork));
        World.After(dice.Between(1_000, 15_000), () => OfThisRun(run, LearnTime));
        SendLater(run);
    }

    /// <inheritdoc/>
    public override void PowerOff()
    {
        if (!HasPower)
        {
            return;
        }

        World.Tell(this, "power off");
        bool isTorn = state.IsDead || box.IsDead || queue.IsDead;
        Books.LostAtPowerCut += agent!.Outbox.InMemory + (isTorn ? 2 : 0);
        Books.DroppedBefore += agent.Outbox.Dropped;
        HasPower = false;
        boot++;
        RememberBox(isTorn);
        foreach (SoakLink open in Links)
        {
            SoakWorld.Vanish(open);
        }

        (link, next, agent) = (null, null, null);
        armedMs = long.MaxValue;
        ForgetCalls();
    }

    /// <summary>The power goes after so many more bytes of flash.</summary>
    public void CutAtWrite(int bytes, byte tornMask)
    {
        foreach (FlashArea area in new[] { state, box, queue })
        {
            area.BytesLeft = bytes + 1;
            area.TornMask = tornMask;
        }
    }

    /// <inheritdoc/>
    public override void Change(SoakFault fault, bool begins)
    {
        base.Change(fault, begins);
        if (fault == SoakFault.WifiLost && HasPower)
        {
            int run = boot;
            World.After(dice.Between(100, 5_000), () => OfThisRun(run, TellNetwork));
        }
        else if (fault == SoakFault.Hang && !begins)
        {
            goneOnMs = World.NowMs;
            Arm();
        }
    }

    /// <inheritdoc/>
    public override void OnClock()
    {
        wasClockCorrected = true;
        if (HasPower && isTimeKnown)
        {
            Run(() => Do(a => a.OnTimeKnown(Now)));
        }
    }

    private void Receive(SoakLink on, string topic, string payload)
    {
        if (on.IsOpenAtDevice && on == link)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(payload);
            Run(() => Do(a => a.OnMessage(Now, topic, bytes, 0, bytes.Length)));
        }
    }

    private void BringUpNetwork()
    {
        if (!Suffers(SoakFault.WifiLost))
        {
            isNetworkTold = true;
            Run(() => Do(a => a.OnNetworkUp(Now)));
        }
    }

    private void TellNetwork()
    {
        bool isThere = !Suffers(SoakFault.WifiLost);
        if (isThere == isNetworkTold)
        {
            return;
        }

        isNetworkTold = isThere;
        if (isThere)
        {
            Run(() => Do(a => a.OnNetworkUp(Now)));
        }
        else
        {
            Run(() => Do(a => a.OnNetworkLost(Now, hasAddress: Index % 2 == 0), DisconnectReason.NetworkLost, DisconnectReason.NoAddress));
        }
    }

    private void LearnTime()
    {
        if (!isTimeKnown)
        {
            isTimeKnown = true;
            Run(() => Do(a => a.OnTimeKnown(Now)));
        }
    }

    private void SendLater(int run)
    {
        int everySeconds = World.Plan.MessageEverySeconds;
        if (everySeconds > 0 && World.NowMs < World.Plan.SendsUntilMs)
        {
            World.After(dice.Between(1, 2 * everySeconds * 1000), () => OfThisRun(run, () =>
            {
                Run(SendMessage);
                SendLater(run);
            }));
        }
    }

    private void SendMessage() => Do(a =>
    {
        string number = (++Books.LastSent).ToString(CultureInfo.InvariantCulture).PadLeft(dice.Between(1, 60), '0');
        byte[] payload = Encoding.ASCII.GetBytes("m" + number);
        a.Send(Now, "type=app", payload, payload.Length);
    });

    private void OfThisRun(int run, Action action)
    {
        if (run == boot && HasPower)
        {
            action();
        }
    }

    /// <summary>One event of the agent's, with the reasons that would be true if it ends something.</summary>
    private void Do(Action<DeviceAgent> happening, params ReadOnlySpan<DisconnectReason> truth)
    {
        if (agent is null)
        {
            return;
        }

        LookBefore();
        happening(agent);
        LookAfter(truth);
        CarryOut();
        if (state.IsDead || box.IsDead || queue.IsDead)
        {
            World.Tell(this, "power went in the middle of a flash write");
            World.CutPower(this, dice.Of(1_000, 120_000));
            return;
        }

        CheckState();
        Arm();
    }

    private void Arm()
    {
        if (agent is null || IsHung || agent.NextWakeMs == long.MaxValue)
        {
            return;
        }

        long dueMs = Math.Max(World.NowMs, agent.NextWakeMs - World.Plan.DeviceUptimeMs + poweredMs);
        if (dueMs == armedMs)
        {
            return;
        }

        armedMs = dueMs;
        World.After(dueMs - World.NowMs, () => Wake(dueMs));
    }

    private void Wake(long dueMs)
    {
        if (armedMs != dueMs || agent is null)
        {
            return;
        }

        armedMs = long.MaxValue;
        if (!IsHung)
        {
            WakeAgent();
        }
    }
}
