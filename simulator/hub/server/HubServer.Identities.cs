using System.Globalization;

namespace Agent.Hub;

// The registry while the hub runs. One change at a time, under a lock of its own; CONNECT reads the registry without any. The
// machine learns of a new identity before the registry shows it, and of a deleted one after it no longer does, so that whoever
// finds an identity finds its place in the machine too.
public sealed partial class HubServer
{
    private readonly Lock registryGate = new();

    /// <summary>Creates an identity: 409001 when there is one, 404001 for a module of no device, 403003 beyond the hub's limit.</summary>
    public async Task<HubAnswer<Device>> CreateAsync(IdentityDraft draft)
    {
        if (await AdmitAsync(ThrottleKind.Registry).ConfigureAwait(false) is { } refusal)
        {
            return refusal;
        }

        Device device;
        Task kept;
        lock (registryGate)
        {
            if (WhyNot(draft) is { } error)
            {
                return error;
            }

            AddPlace(draft.IsEnabled);
            device = Registry.Add(
                draft.DeviceId, draft.PrimaryKey ?? NewKey(draft), draft.SecondaryKey ?? NewKey(draft), moduleId: draft.ModuleId);
            device.CreatedUtcMs = UtcMs();
            Apply(draft, device);
            kept = Keep(new JournalBatch().Put(JournalKeys.Device(device.FullId), HubData.StateOf(device)));
        }

        if (!await IsKeptAsync(kept).ConfigureAwait(false))
        {
            return CannotKeep;
        }

        events?.OnLifecycle(device, isCreated: true);
        return device;
    }

    /// <summary>
    /// Changes an identity; <paramref name="ifMatch"/>: an etag, quoted or not, or <c>*</c>; null = unconditionally. 404001, 412001.
    /// A living connection ends when the identity was disabled; a new key counts at the next CONNECT.
    /// </summary>
    public async Task<HubAnswer<Device>> UpdateAsync(IdentityDraft draft, string? ifMatch)
    {
        if (await AdmitAsync(ThrottleKind.Registry).ConfigureAwait(false) is { } refusal)
        {
            return refusal;
        }

        Device? device;
        Task kept;
        lock (registryGate)
        {
            if (!Registry.TryFind(draft.DeviceId, draft.ModuleId, out device))
            {
                return NotFound(draft.DeviceId, draft.ModuleId);
            }

            if (!IsMatch(device, ifMatch))
            {
                return Stale(device);
            }

            device.PrimaryKey = draft.PrimaryKey ?? device.PrimaryKey;
            device.SecondaryKey = draft.SecondaryKey ?? device.SecondaryKey;
            device.ETag = Registry.NewETag();
            Apply(draft, device);
            kept = Keep(new JournalBatch().Put(JournalKeys.Device(device.FullId), HubData.StateOf(device)));
        }

        bool isKept = await IsKeptAsync(kept).ConfigureAwait(false);
        if (!device.IsEnabled)
        {
            CutAll(device, Reason.DeviceDisabled);
        }

        return isKept ? device : CannotKeep;
    }

    /// <summary>Deletes an identity with its modules, twin, messages and connection. Null = done; 404001, 412001.</summary>
    public async Task<HubError?> DeleteAsync(Device device, string? ifMatch)
    {
        if (await AdmitAsync(ThrottleKind.Registry).ConfigureAwait(false) is { } refusal)
        {
            return refusal;
        }

        Device[] gone;
        Task kept;
        lock (registryGate)
        {
            if (device.IsDeleted)
            {
                return NotFound(device.Id, device.ModuleId);
            }

            if (!IsMatch(device, ifMatch))
            {
                return Stale(device);
            }

            gone = [.. device.ModuleId is null ? Registry.ModulesOf(device.Id) : [], device];
            var batch = new JournalBatch();
            foreach (Device identity in gone)
            {
                Registry.Remove(identity);
                Forget(identity, batch);
            }

            kept = Keep(batch);
        }

        bool isKept = await IsKeptAsync(kept).ConfigureAwait(false);
        foreach (Device identity in gone)
        {
            Cut(identity, Reason.DeviceDeleted);
        }

        events?.OnLifecycle(device, isCreated: false);
        return isKept ? null : CannotKeep;
    }

    /// <summary>The connection as the cloud shows it: the state up to five minutes late (<see cref="ConnectionStateView"/>).</summary>
    public ConnectionView ViewOf(Device device)
    {
        int commands = 0;
        if (device.StateIfAny is { } state)
        {
            lock (state.CommandGate)
            {
                commands = state.Commands?.Count ?? 0;
            }
        }

        lock (gate)
        {
            return states.Read(device.Index, UtcMs(), commands);
        }
    }

    /// <summary>What a twin document shows of the identity.</summary>
    public TwinIdentity IdentityOf(Device device)
    {
        ConnectionView view = ViewOf(device);
        return new TwinIdentity(device.Id)
        {
            ModuleId = device.ModuleId,
            DeviceETag = device.ETag,
            IsEnabled = device.IsEnabled,
            StatusReason = device.StatusReason,
            StatusUpdateUtcMs = device.StatusUpdatedUtcMs,
            IsConnected = view.IsConnected,
            LastActivityUtcMs = view.LastActivityUtcMs,
            CommandCount = view.CommandCount,
            AuthenticationType = device.Authentication.Name(),
            PrimaryThumbprint = device.PrimaryThumbprint,
            SecondaryThumbprint = device.SecondaryThumbprint,
            ModelId = device.ModelId,
            IsEdge = device.IsEdge,
        };
    }

    private static HubError NotFound(string id, string? moduleId) =>
        moduleId is null ? HubError.DeviceNotFound(id) : HubError.ModuleNotFound($"{id}/{moduleId}");

    private static HubError Stale(Device device) =>
        HubError.PreconditionFailed("Precondition failed: Device version did not match, existing ETag: " + device.ETag);

    private static bool IsMatch(Device device, string? ifMatch) =>
        ifMatch is null || ifMatch.Trim('"') is var bare && (bare == "*" || bare == device.ETag);

    private static byte[] NewKey(IdentityDraft draft) =>
        draft.Authentication == AuthenticationType.Sas ? Registry.NewKey() : [];

    private HubError? WhyNot(IdentityDraft draft)
    {
        if (!Registry.IsId(draft.DeviceId) || (draft.ModuleId is { } module && !Registry.IsId(module)))
        {
            return HubError.ArgumentInvalid(string.Create(
                CultureInfo.InvariantCulture,
                $"An id has 1 to {Registry.IdLengthMax} letters, digits or - : . + % _ # * ? ! ( ) , = @ ; $ '"));
        }

        if (draft.ModuleId is not null && !Registry.TryFind(draft.DeviceId, out _))
        {
            return HubError.DeviceNotFound(draft.DeviceId);
        }

        return Registry.TryFind(draft.DeviceId, draft.ModuleId, out _)
            ? draft.ModuleId is null
                ? HubError.DeviceAlreadyExists(draft.DeviceId)
                : HubError.ModuleAlreadyExists($"{draft.DeviceId}/{draft.ModuleId}")
            : draft.ModuleId is not null && Registry.ModulesOf(draft.DeviceId).Count >= Registry.ModulesMax
                ? HubError.TooManyModules(Registry.ModulesMax)
            : Registry.IdentityCount >= Registry.DevicesMax ? HubError.TooManyDevices(Registry.DevicesMax)
            : null;
    }

    /// <summary>Under the registry's gate: the machine gets the next index before an identity has it.</summary>
    private void AddPlace(bool enabled)
    {
        lock (gate)
        {
            int index = Registry.Devices.Count;
            while (hub.DeviceCount <= index)
            {
                hub.AddDevice();
            }

            hub.SetEnabled(index, enabled);
            if (holders.Length <= index)
            {
                Array.Resize(ref holders, Math.Max(index + 1, holders.Length * 2));
            }
        }
    }

    /// <summary>Under the registry's gate.</summary>
    private void Apply(IdentityDraft draft, Device device)
    {
        device.StatusReason = draft.StatusReason;
        device.Authentication = draft.Authentication;
        device.PrimaryThumbprint = draft.PrimaryThumbprint;
        device.SecondaryThumbprint = draft.SecondaryThumbprint;
        device.IsEdge = draft.IsEdge;
        device.ManagedBy = draft.ManagedBy;
        Enable(device, draft.IsEnabled);
    }

    /// <summary>Under the registry's gate.</summary>
    private void Enable(Device device, bool enabled)
    {
        if (device.IsEnabled != enabled)
        {
            device.StatusUpdatedUtcMs = UtcMs();
        }

        Registry.SetEnabled(device, enabled);
        lock (gate)
        {
            hub.SetEnabled(device.Index, enabled);
        }
    }

    /// <summary>
    /// Takes out of the journal what was kept for a deleted identity, all in one batch; nothing is added for it any more, because
    /// whoever would looks at <see cref="Device.IsDeleted"/> under the lock that is taken here.
    /// </summary>
    private void Forget(Device device, JournalBatch batch)
    {
        batch.Delete(JournalKeys.Device(device.FullId));
        if (device.StateIfAny is { } state)
        {
            lock (state.TwinGate)
            {
                if (state.Twin is not null)
                {
                    batch.Delete(JournalKeys.Twin(device.FullId));
                }
            }

            lock (state.CommandGate)
            {
                if (state.Commands is { } queue)
                {
                    queue.Purge(UtcMs());
                    SettleCommands(device, queue, batch);
                    state.Commands = null;
                }
            }

            lock (gate)
            {
                if (state.KeptSession is not null)
                {
                    state.KeptSession = null;
                    batch.Delete(JournalKeys.Session(device.FullId));
                }
            }
        }

        if (device.ModuleId is null)
        {
            lock (feedbackGate)
            {
                feedback.Forget(device.Id);
            }
        }
    }

    private void CutAll(Device device, Reason reason)
    {
        foreach (Device module in device.ModuleId is null ? Registry.ModulesOf(device.Id) : [])
        {
            Cut(module, reason);
        }

        Cut(device, reason);
    }

    /// <summary>Whether the identity may connect: a module may when its device may.</summary>
    private bool MayConnect(Device device) => device is { IsDeleted: false, IsEnabled: true }
        && (device.ModuleId is null || (Registry.TryFind(device.Id, out Device? parent) && parent.IsEnabled));

    /// <summary>Remembers the model a device names, for its twin document.</summary>
    private void NoteModel(Device device, ReadOnlySpan<byte> encoded)
    {
        const int LengthMax = 256;
        if (encoded.IsEmpty || encoded.Length > LengthMax)
        {
            return;
        }

        string model = PercentText.DecodeLenient(encoded);
        if (model == device.ModelId)
        {
            return;
        }

        lock (registryGate)
        {
            if (!device.IsDeleted)
            {
                device.ModelId = model;
                Keep(new JournalBatch().Put(JournalKeys.Device(device.FullId), HubData.StateOf(device)));
            }
        }
    }
}
