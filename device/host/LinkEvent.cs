using Agent.Core;

namespace Agent.Host;

/// <summary>What a link can report.</summary>
internal enum LinkEventKind
{
    /// <summary>TCP and TLS are open.</summary>
    Dialled,

    /// <summary>CONNACK, with its code.</summary>
    Connack,

    /// <summary>The attempt ended before TLS was open; Phase, End, Tls, Error and Detail say why.</summary>
    Failed,

    /// <summary>PUBACK of the packet in Code.</summary>
    Acknowledged,

    /// <summary>SUBACK; Code is 0 when everything was granted.</summary>
    Subscribed,

    /// <summary>A message: Detail is the topic.</summary>
    Message,

    /// <summary>The link is over; Phase and End say how if it was not our doing.</summary>
    Closed,
}

/// <summary>One report; <see cref="Link"/> tells the new link's from a late one of the old.</summary>
internal readonly record struct LinkEvent(LinkEventKind Kind, MqttLink Link)
{
    public int Code { get; init; }

    public bool SessionPresent { get; init; }

    public LinkPhase Phase { get; init; }

    public LinkEnd End { get; init; }

    public TlsFault Tls { get; init; }

    /// <summary>The socket error's number, the same one nanoFramework gives; 0 = none.</summary>
    public int Error { get; init; }

    public string? Detail { get; init; }

    public byte[]? Payload { get; init; }
}
