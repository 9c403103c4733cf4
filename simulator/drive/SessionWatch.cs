using Agent.Hub;
using Agent.Wire;

namespace Agent.Drive;

/// <summary>Sees the packets that make a connection visible to Event Grid, and hands every one on.</summary>
/// <param name="inner">What serves the sessions.</param>
/// <param name="onMessaging">Told the device's index, from any thread.</param>
public sealed class SessionWatch(IServerHandler inner, Action<int> onMessaging) : IServerHandler
{
    /// <inheritdoc/>
    public void OnConnect(ServerSession session, in ConnectPacket packet) => inner.OnConnect(session, packet);

    /// <inheritdoc/>
    public void OnPublish(ServerSession session, in PublishPacket packet)
    {
        inner.OnPublish(session, packet);

        // A message the hub does not take costs the connection.
        if (session.IsOpen && DeviceOf(session) is { } device &&
            Telemetry.Parse(packet.Topic, device.Utf8Id, device.Utf8ModuleId, out _) == PublishKind.Telemetry)
        {
            onMessaging(device.Index);
        }
    }

    /// <inheritdoc/>
    public void OnPuback(ServerSession session, ushort packetId) => inner.OnPuback(session, packetId);

    /// <inheritdoc/>
    public void OnSubscribe(ServerSession session, in SubscribePacket packet)
    {
        inner.OnSubscribe(session, packet);
        if (session.IsOpen && DeviceOf(session) is { } device)
        {
            foreach (SubscribePacket.Item item in packet)
            {
                if (Subscriptions.Parse(item.Filter, device.Utf8Id, device.Utf8ModuleId) == TopicFlags.DeviceBound)
                {
                    onMessaging(device.Index);
                }
            }
        }
    }

    /// <inheritdoc/>
    public void OnUnsubscribe(ServerSession session, in UnsubscribePacket packet) => inner.OnUnsubscribe(session, packet);

    /// <inheritdoc/>
    public void OnPing(ServerSession session) => inner.OnPing(session);

    /// <inheritdoc/>
    public void OnDisconnect(ServerSession session) => inner.OnDisconnect(session);

    /// <inheritdoc/>
    public void OnClosed(ServerSession session, SessionEnd end) => inner.OnClosed(session, end);

    private static Device? DeviceOf(ServerSession session) => (session.Tag as HubConnection)?.Device;
}
