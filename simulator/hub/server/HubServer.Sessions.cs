namespace Agent.Hub;

// What outlives a connection: the subscriptions of a session with CleanSession 0, in the journal. SUBACK waits for it when there
// is something new to keep, which is once in the life of a device; a fleet that reconnects writes nothing.
public sealed partial class HubServer
{
    private static readonly HubError CannotKeep = HubError.ServerError("The hub cannot write to its data folder.");

    /// <summary>Ends when the batch is on the disk; never throws where it is called.</summary>
    private Task Keep(JournalBatch batch) => Data.Journal.Append(batch);

    /// <summary>Waits; false when it cannot be kept, which the journal itself has reported.</summary>
    private static async Task<bool> IsKeptAsync(Task kept)
    {
        try
        {
            await kept.ConfigureAwait(false);
            return true;
        }
        catch (Exception exception) when (exception is IOException or ObjectDisposedException)
        {
            return false;
        }
    }

    /// <summary>Puts back what the journal kept of an identity; before anybody can connect.</summary>
    private void Restore(Device device, KeptState kept)
    {
        DeviceState state = device.State;
        if (kept.Twin is { } twinState)
        {
            state.Twin = Twin.TryRead(twinState, out Twin? twin)
                ? twin
                : throw new HubDataException($"{Data.Directory}: the twin kept for {device.FullId} cannot be read");
        }

        foreach (byte[] value in kept.Commands?.Values.ToArray() ?? [])
        {
            state.Commands ??= NewQueue(device);
            if (!state.Commands.TryRestore(value))
            {
                throw new HubDataException($"{Data.Directory}: a message kept for {device.FullId} cannot be read");
            }
        }

        if (kept.Session is [byte subscriptions, byte qos])
        {
            state.KeptSession = DeviceState.SessionValue(subscriptions, qos);
            state.CommandQos = qos;
            hub.RestoreSession(device.Index, subscriptions);
        }
    }

    /// <summary>Under the hub's gate: brings the journal up to the session. Completed when there was nothing to write.</summary>
    private Task KeepSession(Device device)
    {
        bool isKept = hub.HasSession(device.Index) && !device.IsDeleted;
        if (!isKept && device.StateIfAny?.KeptSession is null)
        {
            return Task.CompletedTask;
        }

        DeviceState state = device.State;
        byte subscriptions = hub.Subscriptions(device.Index);
        int? value = isKept ? DeviceState.SessionValue(subscriptions, state.CommandQos) : null;
        if (value == state.KeptSession || (state.KeptSession is null && subscriptions == 0))
        {
            return Task.CompletedTask;
        }

        state.KeptSession = value;
        string key = JournalKeys.Session(device.FullId);
        return Keep(isKept
            ? new JournalBatch().Put(key, [subscriptions, state.CommandQos])
            : new JournalBatch().Delete(key));
    }

    /// <summary>CONNACK is out: what the session subscribed to before flows again.</summary>
    private void Resume(HubConnection connection, Device device) =>
        Open(connection, device, TopicFlags.DeviceBound | TopicFlags.Methods);

    /// <summary>The connection may be sent what the subscriptions among <paramref name="topics"/> bring.</summary>
    private void Open(HubConnection connection, Device device, TopicFlags topics)
    {
        List<MethodPublish> calls = [];
        lock (gate)
        {
            if (holders[device.Index] != connection)
            {
                return;
            }

            topics &= (TopicFlags)hub.Subscriptions(device.Index);
            connection.IsAnswered = true;
            if ((topics & TopicFlags.DeviceBound) != 0)
            {
                SetListener(device, connection, device.State.CommandQos);
            }

            if ((topics & TopicFlags.Methods) != 0)
            {
                calls = OnMethodsReady(device);
            }
        }

        SendMethods(connection, calls);
        Pump(device);
    }

    /// <summary>
    /// Under the hub's gate: the connection no longer holds its identity. The machine has been told already.
    /// </summary>
    private void Release(HubConnection connection, bool takenOver)
    {
        Device device = connection.Device!;
        if (holders[device.Index] == connection)
        {
            holders[device.Index] = null;
        }

        OnMethodsGone(device, takenOver);
        SetListener(device, null, 0);
    }

    private async Task AcknowledgeAsync(Task kept, HubConnection connection, Device device, ushort packetId, byte[] codes, TopicFlags added)
    {
        if (!await IsKeptAsync(kept).ConfigureAwait(false))
        {
            CloseFor(connection, "the subscription cannot be kept");
            return;
        }

        connection.Session.SendSuback(packetId, codes);
        Open(connection, device, added);
    }
}
