using Agent.Hub;

namespace Agent.Soak;

/// <summary>One TCP connection with a session on it, both ends of it.</summary>
internal sealed class SoakLink(int number, SoakDevice device)
{
    /// <summary>Counts up over the whole world; the hub's number for it too.</summary>
    public int Number { get; } = number;

    public SoakDevice Device { get; } = device;

    /// <summary>The device's end is open, or being opened.</summary>
    public bool IsOpenAtDevice { get; set; } = true;

    /// <summary>TCP and TLS are up.</summary>
    public bool IsUp { get; set; }

    /// <summary>The hub's end is open.</summary>
    public bool IsOpenAtHub { get; set; }

    /// <summary>The hub has accepted its CONNECT and not ended it since.</summary>
    public bool IsHeld { get; set; }

    /// <summary>CONNACK 0 has reached the device.</summary>
    public bool IsAccepted { get; set; }

    /// <summary>Opened without CONNECT, to wait for a renewal.</summary>
    public bool IsPrewarm { get; init; }

    /// <summary>Expiry of its token, seconds since 1970.</summary>
    public long ExpirySeconds { get; set; }

    /// <summary>Lifetime of its token, seconds, as the device gave it.</summary>
    public long LifetimeSeconds { get; set; }

    /// <summary>When the token was made, world ms.</summary>
    public long TokenMadeMs { get; set; }

    public int KeepAliveSeconds { get; set; }

    /// <summary>When the hub got its last packet, world ms.</summary>
    public long HeardMs { get; set; }

    /// <summary>Why the hub ended it.</summary>
    public Reason HubReason { get; set; }

    /// <summary>Topics the device has subscribed to on this link.</summary>
    public bool IsSubscribed { get; set; }

    /// <summary>When the device last sent, world ms.</summary>
    public long SentMs { get; set; }

    /// <summary>When the device last received, world ms.</summary>
    public long ReceivedMs { get; set; }

    /// <summary>When a ping went out whose answer has not come; -1 = none.</summary>
    public long PingSentMs { get; set; } = -1;

    /// <summary>The moment before which nothing more arrives at the hub: TCP keeps the order.</summary>
    public long UpFreeMs { get; set; }

    /// <summary>... at the device.</summary>
    public long DownFreeMs { get; set; }

    /// <summary>What waits for the network to come back, as TCP repeats it.</summary>
    public List<Action> HeldUp { get; } = [];

    /// <summary>... in the other direction.</summary>
    public List<Action> HeldDown { get; } = [];

    /// <summary>Whether the hub has ended it and word of that is still on its way to the device.</summary>
    public bool IsEndUnderWay(long nowMs) => !IsOpenAtHub && DownFreeMs >= nowMs;
}
