using Agent.Wire;

namespace Agent.Hub;

/// <summary>What the hub remembers about one connection, beside the machine's state of the device.</summary>
internal sealed class HubConnection(ServerSession session, string maskedAddress)
{
    private int waitingAcks;

    public ServerSession Session { get; } = session;

    public string MaskedAddress { get; } = maskedAddress;

    /// <summary>The machine's number for this connection.</summary>
    public int Link { get; init; }

    /// <summary>The identity; null until CONNECT was accepted.</summary>
    public Device? Device { get; set; }

    /// <summary>Decoded <c>DeviceClientType</c>.</summary>
    public byte[] SdkVersion { get; set; } = [];

    /// <summary>Whether a policy's key signed the token.</summary>
    public bool ByPolicy { get; set; }

    /// <summary>As in CONNECT; 0 = none.</summary>
    public int KeepAliveSeconds { get; set; }

    /// <summary>Whether CONNACK is on its way: nothing may be sent before it.</summary>
    public bool IsAnswered { get; set; }

    /// <summary>Whether the outside has been told that it takes part in messaging.</summary>
    public bool IsMessaging { get; set; }

    /// <summary>Its CONNECT came while the hub was silent to the device: nothing it sends will ever be answered.</summary>
    public bool IsIgnored { get; set; }

    /// <summary>Acknowledgements that wait for their moment.</summary>
    public int WaitingAcks => Volatile.Read(ref waitingAcks);

    /// <summary>When the last of them is due.</summary>
    public long LastAckDueMs { get; set; }

    /// <summary>Why the hub ends this connection, for the line about it; null when it does not.</summary>
    public string? Cause { get; set; }

    /// <summary>The will's property bag, when there is a will.</summary>
    public byte[]? WillBag { get; set; }

    public byte[] WillBody { get; set; } = [];

    public bool WillRetain { get; set; }

    public void AddWaitingAcks(int count) => Interlocked.Add(ref waitingAcks, count);
}
