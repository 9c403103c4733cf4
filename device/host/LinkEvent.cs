using Agent.Core;

namespace Agent.Host;

/// <summary>What a link can report.</summary>
internal enum LinkEventKind
{
    /// <summary>CONNACK, with its code.</summary>
    Connack,

    /// <summary>The attempt ended before a session existed; Reason and Detail say why.</summary>
    Failed,

    /// <summary>PUBACK of the packet in Code.</summary>
    Acknowledged,

    /// <summary>The link is over; Reason says why if it was not our doing.</summary>
    Closed,
}

/// <summary>One report; <see cref="Link"/> tells the new link's from a late one of the old.</summary>
internal readonly record struct LinkEvent(
    LinkEventKind Kind,
    MqttLink Link,
    int Code = 0,
    bool SessionPresent = false,
    DisconnectReason Reason = DisconnectReason.None,
    string Detail = "");
