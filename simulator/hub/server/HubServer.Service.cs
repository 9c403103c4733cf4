namespace Agent.Hub;

// What a service may ask of the hub, whatever the protocol: the HTTPS routes are a thin layer over this. Rights are checked by
// the caller. A task ends when the change is on the disk; until then nobody has been told of it.
public sealed partial class HubServer
{
    /// <summary>Creates an identity: 409001 when there is one, 404001 for a module of no device, 403 beyond the hub's limit.</summary>
    public Task<HubAnswer<Device>> CreateAsync(IdentityDraft draft) => throw new NotSupportedException();

    /// <summary>
    /// Changes an identity; <paramref name="ifMatch"/>: an etag, quoted or not, or <c>*</c>; null = unconditionally. 404001, 412001.
    /// A living connection ends when the identity was disabled.
    /// </summary>
    public Task<HubAnswer<Device>> UpdateAsync(IdentityDraft draft, string? ifMatch) => throw new NotSupportedException();

    /// <summary>Deletes an identity with its modules, twin, messages and connection. Null = done; 404001, 412001.</summary>
    public Task<HubError?> DeleteAsync(Device device, string? ifMatch) => throw new NotSupportedException();

    /// <summary>The connection as the cloud shows it.</summary>
    public ConnectionView ViewOf(Device device) => throw new NotSupportedException();

    /// <summary>The twin as it is now.</summary>
    public Twin TwinOf(Device device) => throw new NotSupportedException();

    /// <summary>What a twin document shows of the identity.</summary>
    public TwinIdentity IdentityOf(Device device) => throw new NotSupportedException();

    /// <summary>PATCH or (<paramref name="replace"/>) PUT of a twin; a connected device is notified of desired properties.</summary>
    public Task<HubAnswer<Twin>> ChangeTwinAsync(Device device, ReadOnlyMemory<byte> body, string? ifMatch, bool replace) =>
        throw new NotSupportedException();

    /// <summary>Calls a direct method and waits for its outcome.</summary>
    public Task<MethodOutcome> CallAsync(Device device, MethodRequest request, CancellationToken cancellation) =>
        throw new NotSupportedException();

    /// <summary>Queues a cloud-to-device message. Null = it is on the disk; 403004, 403009, 404001, 413001.</summary>
    public Task<HubError?> SendAsync(Device device, CommandMessage message) => throw new NotSupportedException();

    /// <summary>Empties a device's queue; the answer is <c>totalMessagesPurged</c>.</summary>
    public Task<int> PurgeAsync(Device device) => throw new NotSupportedException();

    /// <summary>The oldest free batch of feedback, locked for a minute; false = none.</summary>
    public bool TryReceiveFeedback(out FeedbackBatch batch) => throw new NotSupportedException();

    /// <summary>False: the lock was lost (412002).</summary>
    public bool CompleteFeedback(string lockToken) => throw new NotSupportedException();

    /// <summary>False: the lock was lost (412002).</summary>
    public bool AbandonFeedback(string lockToken) => throw new NotSupportedException();
}
