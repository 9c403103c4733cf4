using System.Net.Sockets;
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
    private ConnectIdentity? _identity;
    private bool _accepted;
    private bool _closing;
    private bool _pingLost;
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

    /// <summary>Whether TCP and TLS are open.</summary>
    public bool IsOpen => _session is { IsOpen: true };

    /// <summary>When the last packet came, monotonic milliseconds; 0 before the first.</summary>
    public long LastInboundMs => _session?.LastInboundMs ?? 0;

    /// <summary>Dials in the background; with an identity CONNECT follows at once, without one it waits for Connect.</summary>
    public void Open(string host, int port, ClientOptions options, ConnectIdentity? identity)
    {
        _identity = identity;
        _ = OpenAsync(host, port, options);
    }

    /// <summary>Sends CONNECT on a link that is open.</summary>
    public void Connect(ConnectIdentity identity) => SendConnect(_session!, identity);

    /// <summary>Publishes with QoS 0 or 1.</summary>
    public void Publish(string topic, ReadOnlySpan<byte> payload, int qos, ushort packetId, long nowMs)
    {
        _lastSentMs = nowMs;
        _session?.SendPublish(Encoding.UTF8.GetBytes(topic), payload, (byte)qos, qos == 0 ? (ushort)0 : packetId);
    }

    /// <summary>Asks for topics, QoS 0.</summary>
    public void Subscribe(ushort packetId, long nowMs, params string[] filters)
    {
        _lastSentMs = nowMs;
        _session?.SendSubscribe(packetId, [.. filters.Select(filter => new TopicFilter(filter))]);
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

    /// <summary>Ends the link at once, without a goodbye.</summary>
    public void Abort() => _session?.Close(reset: true);

    /// <summary>When <see cref="OnWake"/> wants to be called.</summary>
    public long NextWakeMs(long nowMs)
    {
        if (_closeAtMs != long.MaxValue)
        {
            return _closeAtMs;
        }

        bool tended = _accepted && !_closing && !_pingLost;
        return tended ? nowMs + (_pingedAtMs == NotPinged ? PingInMs(nowMs) : LostInMs(nowMs)) : long.MaxValue;
    }

    /// <summary>Pings after half a keep-alive without traffic, and gives the link up after the other half.</summary>
    public void OnWake(long nowMs)
    {
        if (_session is null || !_accepted || _pingLost)
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

        if (_session.LastInboundMs >= _pingedAtMs)
        {
            _pingedAtMs = NotPinged; // answered, or something else came in; however late this turn comes
        }

        if (_pingedAtMs == NotPinged && PingInMs(nowMs) <= 0)
        {
            _pingedAtMs = nowMs;
            _lastSentMs = nowMs;
            _session.SendPingreq();
        }
        else if (_pingedAtMs != NotPinged && LostInMs(nowMs) <= 0)
        {
            _pingLost = true;
            _session.Close(reset: true);
        }
    }

    public void OnConnack(ClientSession session, byte code, bool sessionPresent) => Report(
        new LinkEvent(LinkEventKind.Connack, this) { Code = code, SessionPresent = sessionPresent });

    public void OnPuback(ClientSession session, ushort packetId) => Report(
        new LinkEvent(LinkEventKind.Acknowledged, this) { Code = packetId });

    public void OnPublish(ClientSession session, in PublishPacket packet)
    {
        if (packet.Qos == 1)
        {
            session.SendPuback(packet.PacketId);
        }

        Report(new LinkEvent(LinkEventKind.Message, this)
        {
            Detail = Encoding.UTF8.GetString(packet.Topic),
            Payload = packet.Payload.ToArray(),
        });
    }

    public void OnSuback(ClientSession session, in SubackPacket packet) => Report(
        new LinkEvent(LinkEventKind.Subscribed, this) { Code = packet.Codes.Contains(SubackPacket.Failure) ? 1 : 0 });

    public void OnUnsuback(ClientSession session, ushort packetId)
    {
        // Nothing is ever unsubscribed.
    }

    public void OnPingresp(ClientSession session)
    {
        // The session has noted the arrival in LastInboundMs, which is what keep-alive looks at.
    }

    public void OnClosed(ClientSession session, SessionEnd end) => Report(new LinkEvent(LinkEventKind.Closed, this)
    {
        Phase = _accepted ? LinkPhase.Connected : LinkPhase.Connack,
        End = _pingLost ? LinkEnd.PingTimedOut : EndOf(end),
        Detail = end.Text(),
    });

    private async Task OpenAsync(string host, int port, ClientOptions options)
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

            Report(new LinkEvent(LinkEventKind.Dialled, this));
            if (_identity is { } identity)
            {
                SendConnect(session, identity);
            }
        }
        catch (LinkException fault)
        {
            (LinkPhase phase, LinkEnd end, TlsFault tls) = Facts(fault.Fault);
            Report(new LinkEvent(LinkEventKind.Failed, this)
            {
                Phase = phase,
                End = end,
                Tls = tls,
                Error = fault.InnerException is SocketException socket ? (int)socket.SocketErrorCode : 0,
                Detail = fault.Message,
            });
        }
        catch (OperationCanceledException)
        {
            Report(new LinkEvent(LinkEventKind.Closed, this)); // given up by Close
        }
        catch (Exception fault)
        {
            // The edge of a background task: what nobody foresaw must still reach the driver, which retries.
            Report(new LinkEvent(LinkEventKind.Failed, this)
            {
                End = fault is OutOfMemoryException ? LinkEnd.OutOfMemory : LinkEnd.Unknown,
                Detail = fault.GetType().Name,
            });
        }
    }

    private void SendConnect(ClientSession session, ConnectIdentity identity) => session.SendConnect(new ConnectPacket
    {
        ClientId = Encoding.UTF8.GetBytes(identity.ClientId),
        UserName = Encoding.UTF8.GetBytes(identity.UserName),
        Password = Encoding.UTF8.GetBytes(identity.Password),
        KeepAliveSeconds = (ushort)(_keepAliveMs / 1000),
        CleanSession = false,
    });

    private void Report(LinkEvent report) => _events.TryWrite(report);

    private long SilenceMs(long nowMs) => nowMs - (_session?.LastInboundMs ?? nowMs);

    private long PingInMs(long nowMs) =>
        (_keepAliveMs / 2) - Math.Max(SilenceMs(nowMs), nowMs - _lastSentMs);

    private long LostInMs(long nowMs) => _pingedAtMs + (_keepAliveMs / 2) - nowMs;

    private static (LinkPhase Phase, LinkEnd End, TlsFault Tls) Facts(LinkFault fault) => fault switch
    {
        LinkFault.DnsFailed => (LinkPhase.Name, LinkEnd.Unknown, TlsFault.Unknown),
        LinkFault.TcpRefused => (LinkPhase.Tcp, LinkEnd.Refused, TlsFault.Unknown),
        LinkFault.TcpTimedOut => (LinkPhase.Tcp, LinkEnd.TimedOut, TlsFault.Unknown),
        LinkFault.TcpUnreachable => (LinkPhase.Tcp, LinkEnd.Unreachable, TlsFault.Unknown),
        LinkFault.TcpFailed => (LinkPhase.Tcp, LinkEnd.Unknown, TlsFault.Unknown),
        LinkFault.TlsTimedOut => (LinkPhase.Tls, LinkEnd.TimedOut, TlsFault.Unknown),
        LinkFault.TlsUntrustedRoot => (LinkPhase.Tls, LinkEnd.Unknown, TlsFault.WrongRoot),
        LinkFault.TlsNameMismatch => (LinkPhase.Tls, LinkEnd.Unknown, TlsFault.WrongName),
        LinkFault.TlsExpired => (LinkPhase.Tls, LinkEnd.Unknown, TlsFault.WrongDates),
        LinkFault.TlsFailed or LinkFault.TlsBadCertificate => (LinkPhase.Tls, LinkEnd.Unknown, TlsFault.Unknown),
        _ => (LinkPhase.Tcp, LinkEnd.Unknown, TlsFault.Unknown),
    };

    private static LinkEnd EndOf(SessionEnd end) => end switch
    {
        SessionEnd.PeerClosed or SessionEnd.PeerClosedInPacket => LinkEnd.Closed,
        SessionEnd.PeerReset => LinkEnd.Reset,
        SessionEnd.NetworkFailed => LinkEnd.Unreachable,
        SessionEnd.Malformed or SessionEnd.TooLarge or SessionEnd.NotAllowed or SessionEnd.Qos2
            or SessionEnd.FirstPacketNotConnack or SessionEnd.SecondConnack => LinkEnd.Malformed,
        SessionEnd.SlowReader => LinkEnd.TimedOut,
        _ => LinkEnd.Unknown,
    };
}

/// <summary>What CONNECT says about who we are.</summary>
internal sealed record ConnectIdentity(string ClientId, string UserName, string Password)
{
    /// <summary>Without the password.</summary>
    public override string ToString() => ClientId;
}
