namespace Agent.Wire;

/// <summary>
/// CONNECT (§3.1), read or to be written. Spans point into the caller's memory and live as long as it does.
/// Setting <see cref="WillTopic"/>, <see cref="UserName"/> or <see cref="Password"/>, even to empty, sets the flag
/// that says the field is present.
/// </summary>
public readonly ref struct ConnectPacket
{
    private readonly ReadOnlySpan<byte> willTopic;
    private readonly ReadOnlySpan<byte> userName;
    private readonly ReadOnlySpan<byte> password;

    /// <summary>"MQTT" for every version since 3.1.1. Ignored when writing.</summary>
    public ReadOnlySpan<byte> ProtocolName { get; init; }

    /// <summary>4 = MQTT 3.1.1. Of any other level nothing but name and level is read. Ignored when writing.</summary>
    public byte ProtocolLevel { get; init; }

    /// <summary>Whether this is MQTT 3.1.1, the one version spoken here; otherwise the answer is CONNACK 1.</summary>
    public bool IsSupported => ProtocolLevel == 4;

    /// <summary>True: the server forgets earlier state and keeps none. False: it resumes and keeps.</summary>
    public bool CleanSession { get; init; }

    /// <summary>Seconds, 0 to 65535; 0 switches the keep-alive off.</summary>
    public ushort KeepAliveSeconds { get; init; }

    /// <summary>Client identifier, UTF-8, 0 to 65535 bytes.</summary>
    public ReadOnlySpan<byte> ClientId { get; init; }

    /// <summary>Whether a last will is carried.</summary>
    public bool HasWill { get; private init; }

    /// <summary>Will topic, UTF-8, 1 to 65535 bytes, no wildcards.</summary>
    public ReadOnlySpan<byte> WillTopic
    {
        get => willTopic;
        init
        {
            willTopic = value;
            HasWill = true;
        }
    }

    /// <summary>Will message, any 0 to 65535 bytes.</summary>
    public ReadOnlySpan<byte> WillMessage { get; init; }

    /// <summary>Will quality of service, 0 to 2; 0 without a will.</summary>
    public byte WillQos { get; init; }

    /// <summary>Will retain flag; false without a will.</summary>
    public bool WillRetain { get; init; }

    /// <summary>Whether a user name is carried.</summary>
    public bool HasUserName { get; private init; }

    /// <summary>User name, UTF-8, 0 to 65535 bytes.</summary>
    public ReadOnlySpan<byte> UserName
    {
        get => userName;
        init
        {
            userName = value;
            HasUserName = true;
        }
    }

    /// <summary>Whether a password is carried; only together with a user name.</summary>
    public bool HasPassword { get; private init; }

    /// <summary>Password, any 0 to 65535 bytes. A secret: never log it.</summary>
    public ReadOnlySpan<byte> Password
    {
        get => password;
        init
        {
            password = value;
            HasPassword = true;
        }
    }
}
