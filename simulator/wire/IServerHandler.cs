namespace Agent.Wire;

/// <summary>
/// What a server does with its sessions. Calls for one session never overlap and come in packet order; calls for
/// different sessions run in parallel. Spans in a packet are valid only during the call. A handler must not block:
/// it answers with the session's Send methods, now or later, from any thread. A handler that throws ends that one
/// session with HandlerFailed.
/// </summary>
public interface IServerHandler
{
    /// <summary>
    /// The first packet. Answer with <see cref="ServerSession.SendConnack"/>; a code other than 0 also closes.
    /// Without an answer the session stays open and later packets are delivered all the same.
    /// </summary>
    void OnConnect(ServerSession session, in ConnectPacket packet);

    /// <summary>A message of QoS 0 or 1; QoS 2 ends the session before it gets here.</summary>
    void OnPublish(ServerSession session, in PublishPacket packet);

    /// <summary>The client has a QoS 1 message.</summary>
    void OnPuback(ServerSession session, ushort packetId);

    /// <summary>Answer with <see cref="ServerSession.SendSuback"/>, one code per filter.</summary>
    void OnSubscribe(ServerSession session, in SubscribePacket packet);

    /// <summary>Answer with <see cref="ServerSession.SendUnsuback"/>.</summary>
    void OnUnsubscribe(ServerSession session, in UnsubscribePacket packet);

    /// <summary>Answer with <see cref="ServerSession.SendPingresp"/>.</summary>
    void OnPing(ServerSession session);

    /// <summary>The client said goodbye; the session ends as Disconnected right after.</summary>
    void OnDisconnect(ServerSession session);

    /// <summary>
    /// The last call for every accepted connection, once, also for those that never sent CONNECT. Unsent bytes may
    /// still be on their way out.
    /// </summary>
    void OnClosed(ServerSession session, SessionEnd end);
}
