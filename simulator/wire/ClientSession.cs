using System.Net;

namespace Agent.Wire;

// The client's side of the protocol: CONNACK first and once, nothing a server may not send, no QoS 2. Dialling is in
// Dialer; this class is fed and drained by whichever engine carries it.

/// <summary>One connection to a server, seen from the client.</summary>
public sealed class ClientSession : Session
{
    private readonly IClientHandler handler;
    private bool connackSeen;
    private volatile bool saidGoodbye;

    /// <summary>
    /// For engines and tests; use
    /// <see cref="DialAsync(string, int, ClientOptions, IClientHandler, object?, CancellationToken)"/>.
    /// </summary>
    public ClientSession(IClientHandler handler, SessionLimits limits, TimeProvider time, object? tag = null)
        : base(limits, time, tag)
    {
        this.handler = handler;
    }

    /// <summary>The address and port this client speaks from; null when there is no network under the session.</summary>
    public IPEndPoint? LocalEndPoint { get; internal set; }

    /// <summary>
    /// Whether an earlier TLS session was resumed instead of a full handshake. Known of the native engine only: SslStream does not
    /// tell, so false there.
    /// </summary>
    public bool IsResumed { get; internal set; }

    private protected override bool IsServer => false;

    private protected override SessionEnd PeerClosedEnd =>
        saidGoodbye ? SessionEnd.Disconnected : SessionEnd.PeerClosed;

    /// <summary>Connects to a host by name or address: DNS, TCP, TLS. The caller sends CONNECT next.</summary>
    /// <param name="host">Name or address. The name that TLS checks is <see cref="TlsClient.TargetHost"/>.</param>
    /// <param name="port">1 to 65535.</param>
    /// <param name="options">TLS, source address, limits, time allowed.</param>
    /// <param name="handler">Gets the answers; its OnClosed may be called before this returns.</param>
    /// <param name="tag">Becomes <see cref="Session.Tag"/>.</param>
    /// <param name="cancellation">Gives up; the result is then OperationCanceledException.</param>
    /// <exception cref="LinkException">What failed, named.</exception>
    public static Task<ClientSession> DialAsync(
        string host, int port, ClientOptions options, IClientHandler handler, object? tag = null,
        CancellationToken cancellation = default) =>
        Dialer.DialAsync(
            IPAddress.TryParse(host, out IPAddress? address) ? new IPEndPoint(address, port) : new DnsEndPoint(host, port),
            options,
            new ClientSession(handler, options.Limits, options.Time, tag),
            cancellation);

    /// <inheritdoc cref="DialAsync(string, int, ClientOptions, IClientHandler, object?, CancellationToken)"/>
    public static Task<ClientSession> DialAsync(
        IPEndPoint remote, ClientOptions options, IClientHandler handler, object? tag = null,
        CancellationToken cancellation = default) =>
        Dialer.DialAsync(
            remote, options, new ClientSession(handler, options.Limits, options.Time, tag), cancellation);

    /// <summary>Sends CONNECT, always as MQTT 3.1.1.</summary>
    /// <returns>False when the session has ended.</returns>
    /// <exception cref="ArgumentException">A field cannot be sent.</exception>
    public bool SendConnect(in ConnectPacket packet)
    {
        int size = MqttWriter.ConnectSize(packet);
        bool sent, overflow, write = false;
        lock (Gate)
        {
            sent = TryReserve(size, out Span<byte> room, out overflow);
            write = sent && Commit(MqttWriter.WriteConnect(room, packet));
        }

        return AfterSend(sent, overflow, write);
    }

    /// <summary>Asks for topics.</summary>
    /// <returns>False when the session has ended.</returns>
    public bool SendSubscribe(ushort packetId, params ReadOnlySpan<TopicFilter> filters)
    {
        int size = MqttWriter.SubscribeSize(filters);
        bool sent, overflow, write = false;
        lock (Gate)
        {
            sent = TryReserve(size, out Span<byte> room, out overflow);
            write = sent && Commit(MqttWriter.WriteSubscribe(room, packetId, filters));
        }

        return AfterSend(sent, overflow, write);
    }

    /// <summary>Gives topics back.</summary>
    /// <returns>False when the session has ended.</returns>
    public bool SendUnsubscribe(ushort packetId, params ReadOnlySpan<TopicFilter> filters)
    {
        int size = MqttWriter.UnsubscribeSize(filters);
        bool sent, overflow, write = false;
        lock (Gate)
        {
            sent = TryReserve(size, out Span<byte> room, out overflow);
            write = sent && Commit(MqttWriter.WriteUnsubscribe(room, packetId, filters));
        }

        return AfterSend(sent, overflow, write);
    }

    /// <summary>Shows the server that this client is alive; it answers with PINGRESP.</summary>
    /// <returns>False when the session has ended.</returns>
    public bool SendPingreq() => SendEmpty(PacketType.Pingreq);

    /// <summary>Says goodbye. Call <see cref="Close"/> next, or wait for the server's FIN.</summary>
    /// <returns>False when the session has ended.</returns>
    public bool SendDisconnect()
    {
        saidGoodbye = true;
        return SendEmpty(PacketType.Disconnect);
    }

    /// <summary>Ends the session, from any thread: as Disconnected after a goodbye, else as ClosedLocally.</summary>
    /// <param name="reset">True: RST at once, as when power fails. False: deliver what is unsent, then FIN.</param>
    public void Close(bool reset = false) =>
        TryEnd(saidGoodbye ? SessionEnd.Disconnected : SessionEnd.ClosedLocally, reset);

    private protected override void OnFrame(in Frame frame)
    {
        if (connackSeen)
        {
            OnLaterFrame(frame);
        }
        else if (frame.Type == PacketType.Connack)
        {
            OnConnackFrame(frame);
        }
        else
        {
            TryEnd(SessionEnd.FirstPacketNotConnack, reset: false);
        }
    }

    private protected override void OnPublish(in PublishPacket packet) => handler.OnPublish(this, packet);

    private protected override void NotifyClosed(SessionEnd end) => handler.OnClosed(this, end);

    private void OnConnackFrame(in Frame frame)
    {
        if (!MqttReader.TryReadConnack(frame, out byte code, out bool sessionPresent))
        {
            TryEnd(SessionEnd.Malformed, reset: false);
            return;
        }

        connackSeen = true;
        handler.OnConnack(this, code, sessionPresent);
    }

    private void OnLaterFrame(in Frame frame)
    {
        bool wellFormed = true;
        ushort packetId;
        switch (frame.Type)
        {
            case PacketType.Publish:
                wellFormed = OnPublishFrame(frame);
                break;
            case PacketType.Puback:
                wellFormed = MqttReader.TryReadPacketId(frame, out packetId);
                if (wellFormed)
                {
                    handler.OnPuback(this, packetId);
                }

                break;
            case PacketType.Suback:
                wellFormed = MqttReader.TryReadSuback(frame, out SubackPacket suback);
                if (wellFormed)
                {
                    handler.OnSuback(this, suback);
                }

                break;
            case PacketType.Unsuback:
                wellFormed = MqttReader.TryReadPacketId(frame, out packetId);
                if (wellFormed)
                {
                    handler.OnUnsuback(this, packetId);
                }

                break;
            case PacketType.Pingresp:
                handler.OnPingresp(this);
                break;
            case PacketType.Connack:
                TryEnd(SessionEnd.SecondConnack, reset: false);
                break;
            case PacketType.Pubrec or PacketType.Pubrel or PacketType.Pubcomp:
                TryEnd(SessionEnd.Qos2, reset: false);
                break;
            default:
                TryEnd(SessionEnd.NotAllowed, reset: false);
                break;
        }

        if (!wellFormed)
        {
            TryEnd(SessionEnd.Malformed, reset: false);
        }
    }
}
