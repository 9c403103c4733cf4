using Agent.Wire;

namespace Agent.Hub;

/// <summary>Stands between the sessions and the hub, and keeps from the hub what it is not to hear while it is silent to a device.</summary>
/// <remarks>
/// A fault on demand can tell one device from another only by its CONNECT, so TCP and TLS still work for new connections; from
/// then on nothing is answered. The end of a TCP connection is noticed even then: a socket that is gone cannot be held.
/// While no fault is active this costs one read per packet.
/// </remarks>
internal sealed class FaultGate(HubServer hub) : IServerHandler
{
    private readonly IServerHandler inner = hub;

    /// <inheritdoc/>
    public void OnConnect(ServerSession session, in ConnectPacket packet) => inner.OnConnect(session, packet);

    /// <inheritdoc/>
    public void OnPublish(ServerSession session, in PublishPacket packet)
    {
        if (!hub.IsDeafTo(session))
        {
            inner.OnPublish(session, packet);
        }
    }

    /// <inheritdoc/>
    public void OnPuback(ServerSession session, ushort packetId)
    {
        if (!hub.IsDeafTo(session))
        {
            inner.OnPuback(session, packetId);
        }
    }

    /// <inheritdoc/>
    public void OnSubscribe(ServerSession session, in SubscribePacket packet)
    {
        if (!hub.IsDeafTo(session))
        {
            inner.OnSubscribe(session, packet);
        }
    }

    /// <inheritdoc/>
    public void OnUnsubscribe(ServerSession session, in UnsubscribePacket packet)
    {
        if (!hub.IsDeafTo(session))
        {
            inner.OnUnsubscribe(session, packet);
        }
    }

    /// <inheritdoc/>
    public void OnPing(ServerSession session)
    {
        if (!hub.IsDeafTo(session))
        {
            inner.OnPing(session);
        }
    }

    /// <inheritdoc/>
    public void OnDisconnect(ServerSession session)
    {
        if (!hub.IsDeafTo(session))
        {
            inner.OnDisconnect(session);
        }
    }

    /// <inheritdoc/>
    public void OnClosed(ServerSession session, SessionEnd end) => inner.OnClosed(session, end);
}
