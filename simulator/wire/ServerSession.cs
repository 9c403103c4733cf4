using System.Net;

namespace Agent.Wire;

// The server's side of the protocol: CONNECT first and once, nothing a client may not send, no QoS 2. What a packet
// means is the handler's business; that it is legal, and comes when it may, is settled here.

/// <summary>One client's connection, seen from the server.</summary>
public sealed class ServerSession : Session
{
    private readonly IServerHandler handler;
    private volatile bool connectSeen;

    /// <summary>For engines and tests; <see cref="MqttServer"/> makes its own.</summary>
    public ServerSession(IServerHandler handler, SessionLimits limits, TimeProvider time, object? tag = null)
        : base(limits, time, tag)
    {
        this.handler = handler;
    }

    /// <summary>The client's address; null when there is no network under the session.</summary>
    public IPEndPoint? RemoteEndPoint { get; internal set; }

    /// <summary>Whether CONNECT has come in, accepted or not.</summary>
    public bool ConnectSeen => connectSeen;

    /// <summary>Its place among those whose CONNECT is awaited.</summary>
    internal LinkedListNode<ServerSession>? Wait { get; set; }

    /// <summary>Its entry among those who have not shown who they are; null when nobody keeps such a list.</summary>
    internal Stranger? Stranger { get; set; }

    /// <summary>Answers CONNECT. A code other than 0 (1 to 5) also ends the session as Refused once it is sent.</summary>
    /// <returns>False when the session has ended; nothing was sent then.</returns>
    public bool SendConnack(byte code, bool sessionPresent)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(code, (byte)5);
        bool sent = SendConnackBytes(code, sessionPresent);
        if (code == 0)
        {
            Stranger?.Leave();
        }
        else if (sent)
        {
            TryEnd(SessionEnd.Refused, reset: false);
        }

        return sent;
    }

    /// <summary>Answers UNSUBSCRIBE.</summary>
    /// <returns>False when the session has ended.</returns>
    public bool SendUnsuback(ushort packetId) => SendPacketId(PacketType.Unsuback, packetId);

    /// <summary>Answers PINGREQ.</summary>
    /// <returns>False when the session has ended.</returns>
    public bool SendPingresp() => SendEmpty(PacketType.Pingresp);

    /// <summary>Answers SUBSCRIBE: one code per filter, 0 or 1 or 2 = QoS granted, 0x80 = refused.</summary>
    /// <returns>False when the session has ended.</returns>
    public bool SendSuback(ushort packetId, ReadOnlySpan<byte> codes)
    {
        int size = MqttWriter.SubackSize(codes.Length);
        bool sent, overflow, write = false;
        lock (Gate)
        {
            sent = TryReserve(size, out Span<byte> room, out overflow);
            write = sent && Commit(MqttWriter.WriteSuback(room, packetId, codes));
        }

        return AfterSend(sent, overflow, write);
    }

    /// <summary>Ends the session, from any thread; the first reason wins.</summary>
    /// <param name="end">Why; HandlerClosed unless a more telling one fits.</param>
    /// <param name="reset">True: RST at once. False: deliver what is unsent, then FIN.</param>
    public void Close(SessionEnd end = SessionEnd.HandlerClosed, bool reset = false)
    {
        ArgumentOutOfRangeException.ThrowIfEqual((int)end, (int)SessionEnd.None);
        TryEnd(end, reset);
    }

    private protected override bool IsServer => true;

    private protected override int BodyBytesMax(SessionLimits limits) =>
        connectSeen ? limits.BodyBytesMax : Math.Min(limits.BodyBytesMax, limits.ConnectBodyBytesMax);

    private protected override void OnFrame(in Frame frame)
    {
        if (connectSeen)
        {
            OnLaterFrame(frame);
        }
        else if (frame.Type == PacketType.Connect)
        {
            OnConnectFrame(frame);
        }
        else
        {
            TryEnd(SessionEnd.FirstPacketNotConnect, reset: false);
        }
    }

    private protected override void OnPublish(in PublishPacket packet) => handler.OnPublish(this, packet);

    private protected override void NotifyClosed(SessionEnd end) => handler.OnClosed(this, end);

    private void OnConnectFrame(in Frame frame)
    {
        if (!MqttReader.TryReadConnect(frame, out ConnectPacket packet))
        {
            TryEnd(SessionEnd.Malformed, reset: false);
            return;
        }

        connectSeen = true;
        if (packet.IsSupported)
        {
            handler.OnConnect(this, packet);
            return;
        }

        // MQTT-3.1.2-2: unacceptable protocol level.
        SendConnackBytes(1, sessionPresent: false);
        TryEnd(SessionEnd.UnsupportedVersion, reset: false);
    }

    private void OnLaterFrame(in Frame frame)
    {
        bool wellFormed = true;
        switch (frame.Type)
        {
            case PacketType.Publish:
                wellFormed = OnPublishFrame(frame);
                break;
            case PacketType.Puback:
                wellFormed = MqttReader.TryReadPacketId(frame, out ushort packetId);
                if (wellFormed)
                {
                    handler.OnPuback(this, packetId);
                }

                break;
            case PacketType.Subscribe:
                wellFormed = MqttReader.TryReadSubscribe(frame, out SubscribePacket subscribe);
                if (wellFormed)
                {
                    handler.OnSubscribe(this, subscribe);
                }

                break;
            case PacketType.Unsubscribe:
                wellFormed = MqttReader.TryReadUnsubscribe(frame, out UnsubscribePacket unsubscribe);
                if (wellFormed)
                {
                    handler.OnUnsubscribe(this, unsubscribe);
                }

                break;
            case PacketType.Pingreq:
                handler.OnPing(this);
                break;
            case PacketType.Disconnect:
                handler.OnDisconnect(this);
                TryEnd(SessionEnd.Disconnected, reset: false);
                break;
            case PacketType.Connect:
                TryEnd(SessionEnd.SecondConnect, reset: false);
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

    private bool SendConnackBytes(byte code, bool sessionPresent)
    {
        bool sent, overflow, write = false;
        lock (Gate)
        {
            sent = TryReserve(MqttWriter.ConnackSize, out Span<byte> room, out overflow);
            write = sent && Commit(MqttWriter.WriteConnack(room, code, sessionPresent));
        }

        return AfterSend(sent, overflow, write);
    }
}
