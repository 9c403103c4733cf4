using System.Text;
using System.Threading.Channels;
using Agent.Core;
using Agent.Wire;

namespace Agent.Host;

// One link from dial to close; a new object for every attempt, as on the board. Whatever happens on the network
// threads becomes an event in the driver's channel; nothing is decided here but keep-alive, which is part of
// carrying a link.

/// <summary>One MQTT connection over TLS, reporting to a channel.</summary>
internal sealed class MqttLink : IClientHandler
{
    /// <summary>
    /// Milliseconds the hub may take to close after our DISCONNECT before we close. Waiting for it makes sure that
    /// the hub has seen the goodbye before the next CONNECT arrives, which it would otherwise log as a take-over
    /// (400027, facts/iothub.md section 1.9).
    /// </summary>
    private const int GoodbyeMs = 1000;

    private const long NotPinged = long.MinValue;

    private readonly ChannelWriter<LinkEvent> _events;
    private readonly int _keepAliveMs;
    private readonly CancellationTokenSource _giveUp = new();
    private readonly Lock _gate = new();
    private ClientSession? _session;
    private bool _accepted;
    private bool _closing;
    private DisconnectReason _ownReason;
    private long _lastSentMs;
    private long _closeAtMs = long.MaxValue;
    private long _pingedAtMs = NotPinged;

    public MqttLink(ChannelWriter<LinkEvent> events, int keepAliveSeconds)
    {
        _events = events;
        _keepAliveMs = keepAliveSeconds * 1000;
    }

    /// <summary>Whether <see cref="Close"/> has been called: the end, when it comes, is ours.</summary>
    public bool IsClosing => _closing;

    /// <summary>Dials in the background and sends CONNECT; the outcome is an event.</summary>
    public void Open(string host, int port, ClientOptions options, string clientId, string userName, string password) =>
        _ = OpenAsync(host, port, options, clientId, userName, password);

    /// <summary>Publishes with QoS 1 and no payload.</summary>
    public void Publish(string topic, ushort packetId, long nowMs)
    {
        _lastSentMs = nowMs;
        _session?.SendPublish(Encoding.UTF8.GetBytes(topic), [], qos: 1, packetId);
    }

    /// <summary>Notes CONNACK 0: from now on pings are due and closing says DISCONNECT.</summary>
    public void Accept(long nowMs)
    {
        _accepted = true;
        _lastSentMs = nowMs;
    }

    /// <summary>Says DISCONNECT when connected, gives up the attempt when not. Ends in one Closed event.</summary>
    public void Close(long nowMs)
    {
        lock (_gate)
        {
            _closing = true;
            if (_session is null)
            {
                _giveUp.Cancel();
                return;
            }
        }

        if (_accepted && _session.SendDisconnect())
        {
            _closeAtMs = nowMs + GoodbyeMs;
        }
        else
        {
            _session.Close();
        }
    }

    /// <summary>When <see cref="OnWake"/> wants to be called.</summary>
    public long NextWakeMs(long nowMs)
    {
        if (_closeAtMs != long.MaxValue)
        {
            return _closeAtMs;
        }

        bool tended = _accepted && !_closing && _ownReason == DisconnectReason.None;
        return tended ? nowMs + (_pingedAtMs == NotPinged ? PingInMs(nowMs) : LostInMs(nowMs)) : long.MaxValue;
    }

    /// <summary>Pings after half a keep-alive without traffic, and gives the link up after the other half.</summary>
    public void OnWake(long nowMs)
    {
        if (_session is null || !_accepted || _ownReason != DisconnectReason.None)
        {
            return;
        }

        if (_closing)
        {
            if (nowMs >= _closeAtMs)
            {
                _closeAtMs = long.MaxValue;
                _session.Close();
            }

            return;
        }

        if (SilenceMs(nowMs) < _keepAliveMs / 2)
        {
            _pingedAtMs = NotPinged; // answered, or something else came in
        }

        if (_pingedAtMs == NotPinged && PingInMs(nowMs) <= 0)
        {
            _pingedAtMs = nowMs;
            _lastSentMs = nowMs;
            _session.SendPingreq();
        }
        else if (_pingedAtMs != NotPinged && LostInMs(nowMs) <= 0)
        {
            _ownReason = DisconnectReason.KeepAliveLost;
            _session.Close(reset: true);
        }
    }

    public void OnConnack(ClientSession session, byte code, bool sessionPresent) =>
        _events.TryWrite(new LinkEvent(LinkEventKind.Connack, this, code, sessionPresent));

    public void OnPuback(ClientSession session, ushort packetId) =>
        _events.TryWrite(new LinkEvent(LinkEventKind.Acknowledged, this, packetId));

    public void OnPublish(ClientSession session, in PublishPacket packet)
    {
        if (packet.Qos == 1)
        {
            session.SendPuback(packet.PacketId); // nothing is subscribed yet; a hub that sends anyway is not blocked
        }
    }

    public void OnSuback(ClientSession session, in SubackPacket packet)
    {
        // Nothing is subscribed.
    }

    public void OnUnsuback(ClientSession session, ushort packetId)
    {
        // Nothing is subscribed.
    }

    public void OnPingresp(ClientSession session)
    {
        // The session has noted the arrival in LastInboundMs, which is what keep-alive looks at.
    }

    public void OnClosed(ClientSession session, SessionEnd end)
    {
        DisconnectReason reason = _ownReason != DisconnectReason.None ? _ownReason : ReasonOf(end);
        _events.TryWrite(new LinkEvent(LinkEventKind.Closed, this, Reason: reason, Detail: end.Text()));
    }

    private async Task OpenAsync(
        string host, int port, ClientOptions options, string clientId, string userName, string password)
    {
        try
        {
            ClientSession session = await ClientSession.DialAsync(host, port, options, this, null, _giveUp.Token);
            lock (_gate)
            {
                _session = session;
                if (_closing)
                {
                    session.Close(reset: true);
                    return;
                }
            }

            session.SendConnect(new ConnectPacket
            {
                ClientId = Encoding.UTF8.GetBytes(clientId),
                UserName = Encoding.UTF8.GetBytes(userName),
                Password = Encoding.UTF8.GetBytes(password),
                KeepAliveSeconds = (ushort)(_keepAliveMs / 1000),
                CleanSession = false,
            });
        }
        catch (LinkException fault)
        {
            _events.TryWrite(
                new LinkEvent(LinkEventKind.Failed, this, Reason: ReasonOf(fault.Fault), Detail: fault.Message));
        }
        catch (OperationCanceledException)
        {
            _events.TryWrite(new LinkEvent(LinkEventKind.Closed, this)); // given up by Close
        }
        catch (Exception fault)
        {
            // The edge of a background task: what nobody foresaw must still reach the driver, which retries.
            _events.TryWrite(new LinkEvent(
                LinkEventKind.Failed, this, Reason: DisconnectReason.Unknown, Detail: fault.GetType().Name));
        }
    }

    private long SilenceMs(long nowMs) => nowMs - (_session?.LastInboundMs ?? nowMs);

    private long PingInMs(long nowMs) =>
        (_keepAliveMs / 2) - Math.Max(SilenceMs(nowMs), nowMs - _lastSentMs);

    private long LostInMs(long nowMs) => _pingedAtMs + (_keepAliveMs / 2) - nowMs;

    private static DisconnectReason ReasonOf(LinkFault fault) => fault switch
    {
        LinkFault.DnsFailed => DisconnectReason.NameNotResolved,
        LinkFault.TcpRefused => DisconnectReason.TcpRefused,
        LinkFault.TcpTimedOut => DisconnectReason.TcpTimedOut,
        LinkFault.TcpUnreachable => DisconnectReason.NetworkLost,
        LinkFault.TlsUntrustedRoot => DisconnectReason.TlsWrongRoot,
        LinkFault.TlsNameMismatch => DisconnectReason.TlsWrongName,
        LinkFault.TlsExpired => DisconnectReason.TlsWrongClock,
        LinkFault.TlsFailed or LinkFault.TlsTimedOut or LinkFault.TlsBadCertificate => DisconnectReason.TlsFailed,
        _ => DisconnectReason.Unknown,
    };

    private static DisconnectReason ReasonOf(SessionEnd end) => end switch
    {
        SessionEnd.PeerClosed or SessionEnd.PeerClosedInPacket => DisconnectReason.ClosedByPeer,
        SessionEnd.PeerReset => DisconnectReason.ConnectionReset,
        SessionEnd.NetworkFailed => DisconnectReason.NetworkLost,
        SessionEnd.TlsFailed or SessionEnd.TlsHandshakeFailed => DisconnectReason.TlsFailed,
        SessionEnd.Malformed or SessionEnd.TooLarge or SessionEnd.NotAllowed or SessionEnd.Qos2
            or SessionEnd.FirstPacketNotConnack or SessionEnd.SecondConnack => DisconnectReason.ProtocolViolation,
        SessionEnd.SlowReader => DisconnectReason.SilentPeer,
        _ => DisconnectReason.Unknown,
    };
}
