namespace Agent.Wire;

/// <summary>
/// What a client does with what its server sends. Calls for one session never overlap and come in packet order.
/// Spans are valid only during the call. A handler must not block; one that throws ends its session.
/// </summary>
public interface IClientHandler
{
    /// <summary>The server's answer to CONNECT: 0 accepted, 1 to 5 refused (the server then closes).</summary>
    void OnConnack(ClientSession session, byte code, bool sessionPresent);

    /// <summary>The answer to SUBSCRIBE, one code per filter: QoS granted, or 0x80 refused.</summary>
    void OnSuback(ClientSession session, in SubackPacket packet);

    /// <summary>The answer to UNSUBSCRIBE.</summary>
    void OnUnsuback(ClientSession session, ushort packetId);

    /// <summary>A message of QoS 0 or 1; answer QoS 1 with <see cref="Session.SendPuback"/>.</summary>
    void OnPublish(ClientSession session, in PublishPacket packet);

    /// <summary>The server has a QoS 1 message.</summary>
    void OnPuback(ClientSession session, ushort packetId);

    /// <summary>The answer to PINGREQ.</summary>
    void OnPingresp(ClientSession session);

    /// <summary>The last call, once. It may come before the dial has returned the session.</summary>
    void OnClosed(ClientSession session, SessionEnd end);
}
