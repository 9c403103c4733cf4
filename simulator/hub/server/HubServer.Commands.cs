using System.Text;
using Agent.Wire;

namespace Agent.Hub;

// Cloud-to-device messages on the wire. The life of a message is CommandQueue's; here are the connection it goes to, the journal
// it is kept in, and the moment to look again. The listener of a queue changes only under the hub's gate, so that the end of an
// older connection cannot take the messages away from its successor.
public sealed partial class HubServer
{
    /// <summary>Longest topic MQTT can carry; a bag of properties that becomes longer than this when escaped cannot be sent.</summary>
    private const int TopicLengthMax = ushort.MaxValue;

    /// <summary>No more messages are handed to a connection while this many bytes wait to be written.</summary>
    private const int BacklogBytesMax = 256 * 1024;

    /// <summary>How soon to look again when a connection's backlog was too long.</summary>
    private const int BacklogWaitMs = 200;

    private readonly Lock wakeGate = new();
    private readonly HubDeadlines commandWakes;
    private readonly Lock feedbackGate = new();
    private readonly FeedbackQueue feedback;

    /// <summary>Queues a cloud-to-device message. Null = it is on the disk; 403004, 403009, 404001, 413001.</summary>
    public async Task<HubError?> SendAsync(Device device, CommandMessage message)
    {
        if (await AdmitAsync(ThrottleKind.Commands).ConfigureAwait(false) is { } refusal)
        {
            return refusal;
        }

        DeviceState state = device.State;
        Task kept;
        lock (state.CommandGate)
        {
            if (device.IsDeleted || !device.IsEnabled || device.ModuleId is not null)
            {
                return NotFound(device.Id, device.ModuleId);
            }

            if (message.Length <= CommandMessage.LengthMax && Encoding.UTF8.GetByteCount(message.Topic(device.Id)) > TopicLengthMax)
            {
                return HubError.MessageTooLarge("The message's properties are too long for an MQTT topic.");
            }

            state.Commands ??= NewQueue(device);
            HubError? error = state.Commands.Enqueue(UtcMs(), message, out long sequence, out byte[] value);
            SettleCommands(device, state.Commands);
            if (error is not null)
            {
                return error;
            }

            quota.Charge(UtcMs(), quota.MessagesOf(message.Length));
            kept = Keep(new JournalBatch().Put(JournalKeys.Command(device.Id, sequence), value));
        }

        if (!await IsKeptAsync(kept).ConfigureAwait(false))
        {
            return CannotKeep;
        }

        Pump(device);
        return null;
    }

    /// <summary>Empties a device's queue; the answer is <c>totalMessagesPurged</c>.</summary>
    public async Task<int> PurgeAsync(Device device)
    {
        int count = 0;
        Task kept = Task.CompletedTask;
        DeviceState state = device.State;
        lock (state.CommandGate)
        {
            if (state.Commands is { } queue)
            {
                count = queue.Purge(UtcMs());
                kept = SettleCommands(device, queue);
            }
        }

        await IsKeptAsync(kept).ConfigureAwait(false);
        return count;
    }

    /// <summary>The oldest free batch of feedback, locked for a minute; false = none.</summary>
    public bool TryReceiveFeedback(out FeedbackBatch batch)
    {
        string lockToken = Guid.NewGuid().ToString();
        lock (feedbackGate)
        {
            return feedback.TryReceive(UtcMs(), lockToken, out batch);
        }
    }

    /// <summary>False: the lock was lost (412002).</summary>
    public bool CompleteFeedback(string lockToken)
    {
        lock (feedbackGate)
        {
            return feedback.Complete(UtcMs(), lockToken);
        }
    }

    /// <summary>False: the lock was lost (412002).</summary>
    public bool AbandonFeedback(string lockToken)
    {
        lock (feedbackGate)
        {
            return feedback.Abandon(UtcMs(), lockToken);
        }
    }

    /// <inheritdoc/>
    void IServerHandler.OnPuback(ServerSession session, ushort packetId)
    {
        if (((HubConnection)session.Tag!).Device is not { StateIfAny: { } state } device)
        {
            return;
        }

        lock (state.CommandGate)
        {
            if (state.Listener?.Session == session)
            {
                state.Commands?.OnAcknowledged(UtcMs(), packetId);
            }
        }

        Pump(device);
    }

    private CommandQueue NewQueue(Device device) => new(device.Id, device.GenerationId, options.Commands);

    /// <summary>Under the hub's gate: the device takes messages on this connection from now on, or no longer (null).</summary>
    private void SetListener(Device device, HubConnection? listener, byte qos)
    {
        if (device.ModuleId is not null || (listener is null && device.StateIfAny is null))
        {
            return;
        }

        DeviceState state = device.State;
        lock (state.CommandGate)
        {
            state.Listener = listener;
            if (listener is not null)
            {
                state.Commands ??= NewQueue(device);
                state.Commands.OnReady(UtcMs(), qos);
            }
            else
            {
                state.Commands?.OnGone(UtcMs());
            }
        }
    }

    /// <summary>Hands over what can be handed over, and says when to look again.</summary>
    private void Pump(Device device)
    {
        if (device.StateIfAny is not { } state)
        {
            return;
        }

        lock (state.CommandGate)
        {
            if (state.Commands is not { } queue)
            {
                return;
            }

            queue.OnWake(UtcMs());
            while (state.Listener is { } listener && listener.Session.OutboundBytes <= BacklogBytesMax
                && queue.TryTakeDelivery(UtcMs(), out CommandDelivery delivery))
            {
                listener.Session.SendPublish(
                    Encoding.UTF8.GetBytes(delivery.Command.Topic(device.Id)), delivery.Command.Payload.Span,
                    (byte)(delivery.PacketId == 0 ? 0 : 1), delivery.PacketId, dup: delivery.IsDuplicate);
                Metrics.Measure(HubMetric.DeviceDataUsage, delivery.Command.Length);
                states.OnActivity(device.Index, UtcMs());
            }

            SettleCommands(device, queue);
        }
    }

    /// <summary>Under the device's command gate: takes what has left the queue out of the journal, and sets the next wake.</summary>
    private Task SettleCommands(Device device, CommandQueue queue)
    {
        var gone = new JournalBatch();
        SettleCommands(device, queue, gone);
        return Keep(gone);
    }

    private void SettleCommands(Device device, CommandQueue queue, JournalBatch gone)
    {
        while (queue.TryTakeOutcome(out CommandOutcome outcome))
        {
            gone.Delete(JournalKeys.Command(device.Id, outcome.Sequence));
            CountCommand(outcome.End);
            if (outcome.Feedback is { } record)
            {
                lock (feedbackGate)
                {
                    feedback.Add(UtcMs(), record);
                }
            }
        }

        long nextUtcMs = queue.NextWakeUtcMs;
        bool isHeldUp = device.State.Listener is { } listener && listener.Session.OutboundBytes > BacklogBytesMax;
        if (nextUtcMs != long.MaxValue || isHeldUp)
        {
            long waitMs = Math.Min(isHeldUp ? BacklogWaitMs : long.MaxValue, Math.Max(0, nextUtcMs - UtcMs()));
            lock (wakeGate)
            {
                commandWakes.Arm(device.Index, time.NowMs() + waitMs);
            }
        }
    }

    private void OnCommandWake()
    {
        while (!stopping)
        {
            int index;
            lock (wakeGate)
            {
                if (!commandWakes.TryTakeDue(time.NowMs(), out index))
                {
                    return;
                }
            }

            Pump(DeviceAt(index));
        }
    }
}
