namespace Agent.Verify;

/// <summary>What a hub can see of a client, one word per packet or end.</summary>
public enum StepKind : byte
{
    Connect,
    Connack,
    Subscribe,
    TwinGet,
    /// <summary>Told, but not compared: virtual time counts the pings of an undisturbed client instead of making them.</summary>
    Pingreq,
    Disconnect,
    Close,
}

/// <summary>What a CONNECT packet says, without its secrets.</summary>
public sealed record ConnectFacts
{
    public required int KeepAliveSeconds { get; init; }

    public required bool CleanSession { get; init; }

    /// <summary>Whether a last will is carried.</summary>
    public bool HasWill { get; init; }

    /// <summary>Whether the client id is the bare device id.</summary>
    public bool IdIsDevice { get; init; } = true;

    /// <summary>User name less host, id and the value of DeviceClientType, which holds machine and version.</summary>
    public required string UserName { get; init; }

    /// <summary>The client's name for itself without its version: what stands before the slash.</summary>
    public required string Client { get; init; }

    /// <summary>Its version: what stands behind the slash.</summary>
    public string ClientVersion { get; init; } = "";

    /// <summary>Names of the password's fields in order: <c>sr,sig,se</c>.</summary>
    public required string TokenFields { get; init; }

    /// <summary>From CONNECT to the expiry of its token, ms.</summary>
    public required long TokenMsLeft { get; init; }

    /// <summary>The same against the whole second in which CONNECT came, as a client counts that stamps whole seconds.</summary>
    public long TokenSecondsLeft => (long)Math.Ceiling(TokenMsLeft / 1000.0);
}

/// <summary>One line of a timeline.</summary>
/// <param name="AtMs">Moment, ms since the device's first CONNECT.</param>
/// <param name="Kind">What was seen.</param>
/// <param name="Text">What of it must be the same: CONNACK code, filters with QoS, who closed.</param>
public sealed record Step(double AtMs, StepKind Kind, string Text = "")
{
    /// <summary>On connect: when TCP was opened, which is when the client decided to come.</summary>
    public double DialMs { get; init; } = AtMs;

    /// <summary>On connect: the packet.</summary>
    public ConnectFacts? Connect { get; init; }

    /// <summary>How the line reads, without its moment.</summary>
    public string Title => Kind switch
    {
        StepKind.Connect => "CONNECT",
        StepKind.Connack => "CONNACK " + Text,
        StepKind.Subscribe => "SUBSCRIBE " + Text,
        StepKind.TwinGet => "twin GET",
        StepKind.Pingreq => "PINGREQ",
        StepKind.Disconnect => "DISCONNECT",
        _ => "close by " + Text,
    };
}
