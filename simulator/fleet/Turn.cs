using Agent.Hub;
using Agent.World;

namespace Agent.Fleet;

/// <summary>What a client wants done. The driver carries it out over packets in virtual time or over a socket.</summary>
public enum OrderKind : byte
{
    /// <summary>Open TCP and TLS. <see cref="Order.Value"/> = how long the client waits for the CONNACK, ms.</summary>
    Dial,
    /// <summary>Send CONNECT with the token whose expiry is in the device.</summary>
    Connect,
    /// <summary>One SUBSCRIBE packet; <see cref="Order.Topics"/> = its filters.</summary>
    Subscribe,
    TwinGet,
    /// <summary>Send MQTT DISCONNECT.</summary>
    Disconnect,
    /// <summary>Close TCP (FIN).</summary>
    Close,
    /// <summary>Close TCP (RST).</summary>
    Reset,
    Ping,
    /// <summary>Call OnTimer at <see cref="Order.Value"/> ms.</summary>
    Arm,
    /// <summary>No further attempt until the application acts.</summary>
    Stop,
}

/// <summary>One order.</summary>
public readonly record struct Order(OrderKind Kind, byte Timer, Topics Topics, Reason Reason, long Value);

/// <summary>
/// One call of a model: what time it is for this device, where its random numbers come from, and the orders it gives. One
/// object per driver, used again for every call, so that nothing is allocated per event.
/// </summary>
public sealed class Turn(ulong seed)
{
    private readonly Order[] orders = new Order[32];

    /// <summary>Monotonic moment, ms since the start of the run.</summary>
    public long NowMs { get; private set; }

    /// <summary>The device's own idea of the date, ms since 1970 (its clock may be wrong).</summary>
    public long UtcMs { get; private set; }

    /// <summary>Index of the device in the whole run.</summary>
    public int DeviceIndex { get; private set; }

    /// <summary>Index of the device among those of its fleet that this driver runs.</summary>
    public int FleetSlot { get; private set; }

    /// <summary>Orders given in this call.</summary>
    public ReadOnlySpan<Order> Orders => orders.AsSpan(0, count);

    private int count;

    /// <summary>Begins a call.</summary>
    public void Begin(long nowMs, long utcMs, int deviceIndex, int fleetSlot)
    {
        FleetSlot = fleetSlot;
        NowMs = nowMs;
        UtcMs = utcMs;
        DeviceIndex = deviceIndex;
        count = 0;
    }

    /// <summary>Uniform in [0, 1), from the device's own sequence.</summary>
    public double Unit(ref ClientState device) => Randomness.ToUnit(Randomness.Draw(seed, DeviceIndex, device.Draws++));

    public void Dial(ref ClientState device, long connackWaitMs)
    {
        device.Phase = Phase.Dialing;
        Add(new Order(OrderKind.Dial, 0, 0, 0, connackWaitMs));
    }

    public void Connect(ref ClientState device, long expirySeconds)
    {
        device.Phase = Phase.AwaitingConnack;
        device.TokenExpiry = (uint)Math.Clamp(expirySeconds, 1, uint.MaxValue);
        Add(new Order(OrderKind.Connect, 0, 0, 0, expirySeconds));
    }

    public void Subscribe(ref ClientState device, Topics topics)
    {
        if (topics != Topics.None)
        {
            device.Topics |= topics;
            Add(new Order(OrderKind.Subscribe, 0, topics, 0, 0));
        }
    }

    public void TwinGet() => Add(new Order(OrderKind.TwinGet, 0, 0, 0, 0));

    public void Ping() => Add(new Order(OrderKind.Ping, 0, 0, 0, 0));

    public void Disconnect(Reason reason) => Add(new Order(OrderKind.Disconnect, 0, 0, reason, 0));

    public void Close(Reason reason) => Add(new Order(OrderKind.Close, 0, 0, reason, 0));

    public void Reset(Reason reason) => Add(new Order(OrderKind.Reset, 0, 0, reason, 0));

    /// <summary>Arms a timer; arming again moves it.</summary>
    public void Arm(ref ClientState device, int timer, long delayMs)
    {
        long dueMs = NowMs + Math.Max(0, delayMs);
        device.SetTimer(timer, dueMs);
        Add(new Order(OrderKind.Arm, (byte)timer, 0, 0, dueMs));
    }

    public void Stop(ref ClientState device, Reason reason)
    {
        device.Phase = Phase.Stopped;
        Add(new Order(OrderKind.Stop, 0, 0, reason, 0));
    }

    private void Add(Order order) => orders[count++] = order;
}
