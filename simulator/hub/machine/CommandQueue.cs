namespace Agent.Hub;

/// <summary>The hub's cloud-to-device settings (facts/iothub.md §5).</summary>
public sealed record CommandOptions
{
    public const long DefaultTtlMsMin = 60_000;

    public const long DefaultTtlMsMax = 2 * 86_400_000L;

    /// <summary>Time to live of messages that state none: 1 min to 2 days, 1 h unless set.</summary>
    public long DefaultTtlMs { get; init; } = 3_600_000;

    /// <summary>How often a message may be abandoned: 1 to 100.</summary>
    public int MaxDeliveryCount { get; init; } = 10;

    /// <summary>What is wrong with the settings; null = nothing.</summary>
    public string? Problem => DefaultTtlMs is < DefaultTtlMsMin or > DefaultTtlMsMax ? "the default time to live must be 1 min to 2 days"
        : MaxDeliveryCount is < 1 or > 100 ? "the maximal delivery count must be 1 to 100"
        : null;
}

/// <summary>How a message ended.</summary>
public enum CommandEnd : byte
{
    Success,
    Expired,
    DeliveryCountExceeded,
    Rejected,
    Purged,
}

/// <summary>A message to hand to the device now.</summary>
/// <param name="Sequence">The queue's number for it.</param>
/// <param name="PacketId">For the PUBLISH; 0 when it goes out with QoS 0 and counts as completed.</param>
/// <param name="IsDuplicate">Whether it went out before (DUP).</param>
/// <param name="Command">What is sent.</param>
public readonly record struct CommandDelivery(long Sequence, ushort PacketId, bool IsDuplicate, CommandMessage Command);

/// <summary>A message that has left the queue: the driver deletes it from the journal and counts it.</summary>
/// <param name="Sequence">The queue's number for it.</param>
/// <param name="End">How it ended.</param>
/// <param name="Feedback">What the sender asked to hear; null = nothing.</param>
/// <param name="Command">The message.</param>
/// <param name="DeliveryCount">How often it was handed to the device.</param>
public readonly record struct CommandOutcome(
    long Sequence, CommandEnd End, FeedbackRecord? Feedback, CommandMessage Command, int DeliveryCount);

/// <summary>One device's cloud-to-device messages: the life cycle of facts/iothub.md §5, told the time.</summary>
/// <remarks>
/// Enqueued, then Invisible for the minute of its lock while the device has it, then completed by PUBACK or enqueued again; when
/// its time is up it is dead lettered, whatever its state, so a sender hears of a silent device no later than the time to live
/// says. On MQTT a lock ends with the connection, since only that connection can answer for it. The queue numbers the packets
/// itself: cloud-to-device messages are the only QoS 1 the hub sends.
/// After any call: <see cref="TryTakeDelivery"/> and <see cref="TryTakeOutcome"/> until false, then <see cref="NextWakeUtcMs"/>.
/// </remarks>
public sealed class CommandQueue
{
    /// <summary>Messages a device may have waiting (facts/iothub.md §5).</summary>
    public const int CountMax = 50;

    /// <summary>How long a message stays locked; it cannot be set.</summary>
    public const long LockMs = 60_000;

    private readonly string deviceId;
    private readonly string generationId;
    private readonly CommandOptions options;
    private readonly List<Entry> entries = [];
    private readonly Queue<CommandOutcome> outcomes = [];
    private long lastSequence;
    private ushort lastPacketId;
    private Listener listener;

    /// <param name="deviceId">Goes into the topic and the feedback.</param>
    /// <param name="generationId">Goes into the feedback.</param>
    /// <param name="options">The hub's settings.</param>
    public CommandQueue(string deviceId, string generationId, CommandOptions options)
    {
        this.deviceId = deviceId;
        this.generationId = generationId;
        this.options = options;
    }

    /// <summary>Messages waiting or in the device's hands: <c>cloudToDeviceMessageCount</c>.</summary>
    public int Count => entries.Count;

    /// <summary>When <see cref="OnWake"/> has something to do; long.MaxValue = never.</summary>
    public long NextWakeUtcMs => entries.Count == 0
        ? long.MaxValue
        : entries.Min(entry => entry.IsLocked ? Math.Min(entry.LockedUntilUtcMs, entry.Ticket.ExpiryUtcMs) : entry.Ticket.ExpiryUtcMs);

    /// <summary>
    /// Takes a message in. Null = done, and <paramref name="sequence"/> with <paramref name="state"/> go to the journal before
    /// the sender is told; otherwise what the sender is answered.
    /// </summary>
    public HubError? Enqueue(long utcMs, CommandMessage command, out long sequence, out byte[] state)
    {
        OnWake(utcMs);
        sequence = 0;
        state = [];
        if (command.Length > CommandMessage.LengthMax)
        {
            return HubError.MessageTooLarge($"The message is {command.Length} bytes long, at most {CommandMessage.LengthMax} are allowed.");
        }

        long expiry = command.ExpiryUtcMs ?? utcMs + options.DefaultTtlMs;
        if (expiry <= utcMs || expiry > utcMs + CommandOptions.DefaultTtlMsMax)
        {
            return HubError.InvalidExpiry("The message's expiry must lie in the next two days.");
        }

        if (entries.Count >= CountMax)
        {
            return HubError.QueueFull($"The device has {CountMax} messages waiting, more are not taken.");
        }

        var ticket = new CommandTicket(++lastSequence, utcMs, expiry);
        entries.Add(new Entry(command, ticket));
        sequence = ticket.Sequence;
        state = command.State(ticket);
        return null;
    }

    /// <summary>Puts back what the journal kept; false when it is no message. In any order, before anything else.</summary>
    public bool TryRestore(ReadOnlySpan<byte> state)
    {
        if (!CommandMessage.TryRead(state, out CommandMessage? command, out CommandTicket ticket)
            || entries.Exists(entry => entry.Ticket.Sequence == ticket.Sequence))
        {
            return false;
        }

        entries.Add(new Entry(command!, ticket));
        entries.Sort((a, b) => a.Ticket.Sequence.CompareTo(b.Ticket.Sequence));
        lastSequence = Math.Max(lastSequence, ticket.Sequence);
        return true;
    }

    /// <summary>
    /// The device is connected and its session holds the devicebound subscription, with the QoS granted. Called at SUBSCRIBE, and
    /// at CONNECT when the session held it already. Calling it for a new connection releases what the old one had.
    /// </summary>
    public void OnReady(long utcMs, byte qos)
    {
        Release();
        listener = qos == 0 ? Listener.AtMostOnce : Listener.AtLeastOnce;
        OnWake(utcMs);
    }

    /// <summary>The connection ended, or the subscription did: what the device had not acknowledged is enqueued again.</summary>
    public void OnGone(long utcMs)
    {
        listener = Listener.None;
        Release();
        OnWake(utcMs);
    }

    /// <summary>The next message to hand to the device; it is locked from now on.</summary>
    public bool TryTakeDelivery(long utcMs, out CommandDelivery delivery)
    {
        OnWake(utcMs);
        delivery = default;
        Entry? entry = listener == Listener.None ? null : entries.Find(candidate => !candidate.IsLocked);
        if (entry is null)
        {
            return false;
        }

        bool isDuplicate = entry.DeliveryCount++ > 0;
        if (listener == Listener.AtMostOnce)
        {
            // No acknowledgement will come, so sending is all there is.
            delivery = new CommandDelivery(entry.Ticket.Sequence, 0, false, entry.Command);
            End(utcMs, entry, CommandEnd.Success);
            return true;
        }

        entry.PacketId = NextPacketId();
        entry.LockedUntilUtcMs = utcMs + LockMs;
        delivery = new CommandDelivery(entry.Ticket.Sequence, entry.PacketId, isDuplicate, entry.Command);
        return true;
    }

    /// <summary>
    /// PUBACK. False when no locked message has this packet id: the lock was lost (412002) or the device made it up; on MQTT
    /// nobody can be told.
    /// </summary>
    public bool OnAcknowledged(long utcMs, ushort packetId)
    {
        OnWake(utcMs);
        return packetId != 0 && entries.Find(entry => entry.IsLocked && entry.PacketId == packetId) is { } entry
            && End(utcMs, entry, CommandEnd.Success);
    }

    /// <summary>A device on HTTP rejects a message it has locked. False = the lock was lost.</summary>
    public bool Reject(long utcMs, long sequence)
    {
        OnWake(utcMs);
        return Locked(sequence) is { } entry && End(utcMs, entry, CommandEnd.Rejected);
    }

    /// <summary>
    /// A device on HTTP abandons a message it has locked: the only thing that counts towards the maximal delivery count
    /// (facts/iothub.md §10.6). False = the lock was lost.
    /// </summary>
    public bool Abandon(long utcMs, long sequence)
    {
        OnWake(utcMs);
        if (Locked(sequence) is not { } entry)
        {
            return false;
        }

        entry.LockedUntilUtcMs = 0;
        return ++entry.AbandonCount < options.MaxDeliveryCount || End(utcMs, entry, CommandEnd.DeliveryCountExceeded);
    }

    /// <summary>Empties the queue, the locked ones too; how many there were is <c>totalMessagesPurged</c>.</summary>
    public int Purge(long utcMs)
    {
        OnWake(utcMs);
        int count = entries.Count;
        foreach (Entry entry in entries.ToArray())
        {
            End(utcMs, entry, CommandEnd.Purged);
        }

        return count;
    }

    /// <summary>Ends what is due: locks and lives. Harmless when nothing is.</summary>
    public void OnWake(long utcMs)
    {
        for (int i = 0; i < entries.Count; i++)
        {
            Entry entry = entries[i];
            if (entry.Ticket.ExpiryUtcMs <= utcMs)
            {
                End(entry.Ticket.ExpiryUtcMs, entry, CommandEnd.Expired);
                i--;
            }
            else if (entry.IsLocked && entry.LockedUntilUtcMs <= utcMs)
            {
                entry.LockedUntilUtcMs = 0;
            }
        }
    }

    /// <summary>The next message that has left the queue.</summary>
    public bool TryTakeOutcome(out CommandOutcome outcome) => outcomes.TryDequeue(out outcome);

    private Entry? Locked(long sequence) => entries.Find(entry => entry.IsLocked && entry.Ticket.Sequence == sequence);

    private void Release()
    {
        foreach (Entry entry in entries)
        {
            entry.LockedUntilUtcMs = 0;
        }
    }

    private bool End(long utcMs, Entry entry, CommandEnd end)
    {
        entries.Remove(entry);
        CommandAck wanted = end == CommandEnd.Success ? CommandAck.Positive : CommandAck.Negative;
        FeedbackRecord? feedback = (entry.Command.Ack & wanted) == 0
            ? null
            : new FeedbackRecord(entry.Command.MessageId ?? "", utcMs, end, deviceId, generationId);
        outcomes.Enqueue(new CommandOutcome(entry.Ticket.Sequence, end, feedback, entry.Command, entry.DeliveryCount));
        return true;
    }

    // Ids of earlier deliveries are left alone as long as possible: a late PUBACK must not meet another message.
    private ushort NextPacketId()
    {
        do
        {
            lastPacketId = lastPacketId == ushort.MaxValue ? (ushort)1 : (ushort)(lastPacketId + 1);
        }
        while (entries.Exists(entry => entry.IsLocked && entry.PacketId == lastPacketId));

        return lastPacketId;
    }

    private enum Listener : byte
    {
        /// <summary>Nobody takes messages.</summary>
        None,

        AtMostOnce,
        AtLeastOnce,
    }

    private sealed class Entry(CommandMessage command, CommandTicket ticket)
    {
        public CommandMessage Command { get; } = command;

        public CommandTicket Ticket { get; } = ticket;

        /// <summary>0 = Enqueued, otherwise Invisible until then.</summary>
        public long LockedUntilUtcMs { get; set; }

        public bool IsLocked => LockedUntilUtcMs != 0;

        public ushort PacketId { get; set; }

        public int DeliveryCount { get; set; }

        public int AbandonCount { get; set; }
    }
}
