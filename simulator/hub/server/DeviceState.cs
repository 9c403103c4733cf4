namespace Agent.Hub;

/// <summary>What the hub keeps for one identity: twin, waiting messages, and what of its session is on the disk.</summary>
/// <remarks>
/// Two locks, because a twin of 32 KB takes longer to merge than the hub's own lock may be held, and messages must not wait for
/// a twin. Order where both the hub's gate and one of these are needed: <see cref="TwinGate"/>, then the hub's gate, then
/// <see cref="CommandGate"/>. Nothing is awaited under any of them.
/// </remarks>
internal sealed class DeviceState
{
    public Lock TwinGate { get; } = new();

    /// <summary>Null = as it was made with the identity. Under <see cref="TwinGate"/>.</summary>
    public Twin? Twin { get; set; }

    /// <summary>
    /// The last desired notification under way; the next one waits for it, since a device ignores an older version that comes
    /// behind a newer one. Under <see cref="TwinGate"/>.
    /// </summary>
    public Task Notices { get; set; } = Task.CompletedTask;

    public Lock CommandGate { get; } = new();

    /// <summary>Null = there never was a message. Under <see cref="CommandGate"/>.</summary>
    public CommandQueue? Commands { get; set; }

    /// <summary>The connection messages go to; null = none. Under <see cref="CommandGate"/>.</summary>
    public HubConnection? Listener { get; set; }

    /// <summary>QoS of the devicebound subscription. Under the hub's gate.</summary>
    public byte CommandQos { get; set; }

    /// <summary>The session as the journal has it, <see cref="SessionValue"/>; null = none. Under the hub's gate.</summary>
    public int? KeptSession { get; set; }

    /// <summary>Subscriptions and the QoS of the devicebound one, in one number.</summary>
    public static int SessionValue(byte subscriptions, byte qos) => subscriptions | (qos << 8);
}
