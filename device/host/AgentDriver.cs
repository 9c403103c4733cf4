using System.Net.Sockets;
using System.Threading.Channels;
using Agent.Core;
using Agent.Wire;
using Session = Agent.Core.Session;

namespace Agent.Host;

// The whole driver: read both clocks once, tell the agent what the link reported, let it fire what is due, carry out its
// orders, wait for the next report or the next moment. All decisions are the agent's; the board runs the same one. A PC's
// network is taken to be up always: a container may have nothing but loopback and still reach its hub, and a real outage
// shows as attempts that fail. There are at most two links: the one in use, and the next one while a renewal opens it.

/// <summary>Runs one agent until it is told to stop.</summary>
internal sealed class AgentDriver
{
    private const int StopMs = 2000;
    private const long ClockStepMs = 2000;
    private const int ProbeMs = 3000;

    private readonly AgentOptions _options;
    private readonly HostClock _clock;
    private readonly AgentLines _lines;
    private readonly DeviceAgent _agent;
    private readonly Session _session;
    private readonly SasToken _tokens;
    private readonly string _userName;
    private readonly ClientOptions _linkOptions;
    private readonly Channel<LinkEvent> _events = Channel.CreateUnbounded<LinkEvent>();
    private readonly Channel<Action<Now>> _calls = Channel.CreateUnbounded<Action<Now>>();
    private MqttLink? _link;
    private MqttLink? _next;
    private MqttLink? _leaving;
    private ushort _packetId;
    private ushort _packetInFlight;
    private long _utcOffsetMs = long.MinValue;

    public AgentDriver(AgentOptions options, StateFolder state, HostClock clock, uint seed, TextWriter output)
    {
        _options = options;
        _clock = clock;
        ConnectionString identity = options.Identity;
        _agent = new DeviceAgent(new DeviceAgentOptions
        {
            DeviceId = identity.DeviceId,
            Defaults = options.Settings,
            Random = new SeededRandom(seed),
            StateStorage = state.State,
            BlackBoxStorage = state.BlackBox,
            QueueStorage = state.Queue,
            QueueMemoryBytes = 16 * 1024,
            BufferBytes = 16 * 1024,
            CanPrewarm = true,
            CanReboot = true,
        });
        _session = _agent.Session;
        _lines = new AgentLines(_agent, clock, output);
        _tokens = SasToken.ForDevice(new HostHmac(), identity.Key, identity.HostName, identity.DeviceId);
        _userName = HubTopics.UserName(
            identity.HostName, identity.DeviceId, "agent-host/1.0 (dotnet)", DeviceModel.Id);
        _linkOptions = new ClientOptions
        {
            Tls = new TlsClient(identity.DialHost, options.Roots),
            DialTimeout = options.DialTimeout,
        };
    }

    /// <summary>The agent, to look at; only between turns.</summary>
    public DeviceAgent Agent => _agent;

    /// <summary>The agent asked for a restart, and everything is saved.</summary>
    public bool WantsRestart { get; private set; }

    /// <summary>Puts a message in the agent's queue, from any thread.</summary>
    public void Send(string properties, byte[] payload) =>
        _calls.Writer.TryWrite(now => _agent.Send(now, properties, payload, payload.Length));

    /// <summary>Has something done between two turns, from any thread.</summary>
    public void Do(Action<DeviceAgent, Now> action) => _calls.Writer.TryWrite(now => action(_agent, now));

    /// <summary>
    /// Keeps the connection up until <paramref name="stop"/>, then says goodbye and prints the summary.
    /// </summary>
    public async Task RunAsync(CancellationToken stop)
    {
        try
        {
            await LoopAsync(stop);
        }
        catch (Exception fault) when (NoteCrash(fault))
        {
            throw; // not reached: the filter only notes, the fault goes on its way
        }
    }

    /// <summary>The last thing a dying program does: the black box gets to know.</summary>
    private bool NoteCrash(Exception fault)
    {
        _agent.OnFatal(_clock.Read(), fault is OutOfMemoryException ? DisconnectReason.OutOfMemory : DisconnectReason.Crash);
        return false;
    }

    private async Task LoopAsync(CancellationToken stop)
    {
        Now now = _clock.Read();
        _lines.SayStart(_options);
        _agent.OnStart(now);
        _agent.OnNetworkUp(now);
        long stopAtMs = long.MaxValue;
        while (true)
        {
            Turn(now);
            if ((stop.IsCancellationRequested || WantsRestart) && stopAtMs == long.MaxValue)
            {
                stopAtMs = now.Ms + StopMs;
                _agent.OnStop(now);
                CarryOut(now);
            }

            if (_session.State == SessionState.Stopped && (_link is null || now.Ms >= stopAtMs))
            {
                break;
            }

            await WaitAsync(now, stopAtMs, stopAtMs == long.MaxValue ? stop : CancellationToken.None);
            now = _clock.Read();
        }

        _lines.SaySummary();
    }

    private void Turn(Now now)
    {
        NoticeClockStep(now);
        while (_calls.Reader.TryRead(out Action<Now>? call))
        {
            call(now);
            CarryOut(now);
        }

        NoteInbound(now);
        while (_events.Reader.TryRead(out LinkEvent report))
        {
            if (report.Link == _link || report.Link == _next)
            {
                Tell(report, now);
                CarryOut(now);
            }
            else if (report.Link == _leaving && report.Kind == LinkEventKind.Closed)
            {
                _leaving = null;
            }
        }

        _link?.OnWake(now.Ms);
        _leaving?.OnWake(now.Ms);
        _agent.OnWake(now);
        CarryOut(now);
    }

    private async Task WaitAsync(Now now, long stopAtMs, CancellationToken stop)
    {
        long wakeMs = Math.Min(Math.Min(_agent.NextWakeMs, stopAtMs), _link?.NextWakeMs(now.Ms) ?? long.MaxValue);
        wakeMs = Math.Min(wakeMs, _leaving?.NextWakeMs(now.Ms) ?? long.MaxValue);
        long waitMs = Math.Clamp(wakeMs - now.Ms, 0, 60_000); // look at the clock once a minute in any case
        using CancellationTokenSource timer = CancellationTokenSource.CreateLinkedTokenSource(stop);
        timer.CancelAfter(TimeSpan.FromMilliseconds(waitMs));
        try
        {
            Task<bool> report = _events.Reader.WaitToReadAsync(timer.Token).AsTask();
            Task<bool> call = _calls.Reader.WaitToReadAsync(timer.Token).AsTask();
            await await Task.WhenAny(report, call);
            await timer.CancelAsync(); // the other one must not wait on for ever
        }
        catch (OperationCanceledException)
        {
            // The moment has come, or the program is to stop; the next turn sees which.
        }
    }

    /// <summary>The date was corrected, or the PC slept: the agent plans by elapsed time and has to know.</summary>
    private void NoticeClockStep(Now now)
    {
        long offsetMs = (now.UtcSeconds * 1000) - now.Ms;
        if (_utcOffsetMs != long.MinValue && Math.Abs(offsetMs - _utcOffsetMs) <= ClockStepMs)
        {
            return;
        }

        bool first = _utcOffsetMs == long.MinValue;
        _utcOffsetMs = offsetMs;
        if (!first && now.UtcKnown)
        {
            _lines.Say("clock changed");
            _agent.OnTimeKnown(now);
            CarryOut(now);
        }
    }

    private void NoteInbound(Now now)
    {
        if (_link is { LastInboundMs: > 0 } link)
        {
            _agent.NoteInbound(new Now(link.LastInboundMs, now.UtcSeconds, now.UtcKnown));
        }
    }

    private void Tell(LinkEvent report, Now now)
    {
        switch (report.Kind)
        {
            case LinkEventKind.Dialled when report.Link == _next && _session.State != SessionState.TakingOver:
                _agent.OnPrewarmed(now);
                break;
            case LinkEventKind.Dialled:
                _agent.NotePhase(LinkPhase.Connack);
                break;
            case LinkEventKind.Connack:
                TellConnack(report, now);
                break;
            case LinkEventKind.Subscribed:
                _agent.OnSubscribed(now, report.Code == 0);
                break;
            case LinkEventKind.Message:
                _agent.OnMessage(now, report.Detail!, report.Payload!, 0, report.Payload!.Length);
                break;
            case LinkEventKind.Acknowledged when report.Code == _packetInFlight:
                _packetInFlight = 0;
                _agent.OnPublished(now);
                _lines.SayAcknowledged();
                break;
            case LinkEventKind.Failed or LinkEventKind.Closed:
                TellEnd(report, now);
                break;
        }
    }

    private void TellConnack(LinkEvent report, Now now)
    {
        if (report.Code != 0)
        {
            report.Link.Close(now.Ms);
            Forget(report.Link);
            _agent.OnRefused(now, report.Code);
            return;
        }

        if (report.Link == _next)
        {
            Leave(now); // the takeover has succeeded; the old link's end is nobody's news
            _link = _next;
            _next = null;
        }

        _link!.Accept(now.Ms);
        _agent.OnConnected(now, report.SessionPresent);
    }

    private void TellEnd(LinkEvent report, Now now)
    {
        bool wasNext = report.Link == _next;
        bool wasOrdered = report.Link.IsClosing;
        Forget(report.Link);
        if (wasOrdered)
        {
            _agent.OnClosed(now);
            return;
        }

        _lines.Detail = report.Detail ?? "";
        _agent.Seen.Saw(report.Phase, report.End, report.Error).Tls = report.Tls;
        if (wasNext && _session.State != SessionState.TakingOver)
        {
            _agent.OnPrewarmFailed(now);
        }
        else if (report.Kind == LinkEventKind.Failed || wasNext || report.Phase != LinkPhase.Connected)
        {
            _agent.OnConnectFailed(now);
        }
        else if (_session.State != SessionState.TakingOver)
        {
            _agent.OnLinkLost(now);
        }
    }

    private void Forget(MqttLink link)
    {
        _link = link == _link ? null : _link;
        _next = link == _next ? null : _next;
    }

    private void CarryOut(Now now)
    {
        _lines.SayChanges(now);
        while (_agent.TryTakeOutput(now, out AgentOutput output))
        {
            switch (output.Kind)
            {
                case AgentOutputKind.Connect:
                    Connect(output, now);
                    break;
                case AgentOutputKind.Disconnect:
                    Disconnect(now);
                    break;
                case AgentOutputKind.Prewarm:
                    _next?.Close(now.Ms);
                    _next = Dial(null);
                    break;
                case AgentOutputKind.Subscribe:
                    _link?.Subscribe(
                        NextPacketId(), now.Ms, HubTopics.TwinResponses, HubTopics.DesiredPatches, HubTopics.Methods);
                    break;
                case AgentOutputKind.Publish:
                    Publish(output, now);
                    break;
                case AgentOutputKind.Probe:
                    _ = ProbeAsync();
                    break;
                case AgentOutputKind.Reboot:
                    _lines.Say("restart asked for");
                    WantsRestart = true;
                    break;
            }

            _lines.SayChanges(now);
        }
    }

    private void Connect(AgentOutput output, Now now)
    {
        string password = _tokens.Build(output.ExpirySeconds);
        ConnectIdentity identity = new(_options.Identity.DeviceId, _userName, password);
        if (output.Mode == RenewMode.Takeover)
        {
            _next?.Close(now.Ms);
            _next = Dial(identity);
        }
        else if (output.Mode == RenewMode.Prewarm && _next is { IsOpen: true })
        {
            _link = _next;
            _next = null;
            _agent.NotePhase(LinkPhase.Connack);
            _link.Connect(identity);
        }
        else
        {
            _next?.Close(now.Ms);
            _next = null;
            _link = Dial(identity);
        }
    }

    private MqttLink Dial(ConnectIdentity? identity)
    {
        MqttLink link = new(_events.Writer, _session.Settings.KeepAliveSeconds);
        link.Open(_options.Identity.DialHost, _options.Port, _linkOptions, identity);
        return link;
    }

    /// <summary>A link that is given up is not waited for, nor one whose successor is open already.</summary>
    private void Disconnect(Now now)
    {
        _packetInFlight = 0;
        bool isRenewal = _session.State == SessionState.Renewing;
        if (isRenewal && (_next is { IsOpen: true } || _link is null))
        {
            Leave(now);
            _agent.OnClosed(now);
            return;
        }

        if (!isRenewal)
        {
            _next?.Close(now.Ms);
            _next = null;
        }

        if (isRenewal || _session.State == SessionState.Stopped)
        {
            _link?.Close(now.Ms);
        }
        else
        {
            Leave(now);
        }
    }

    /// <summary>Says goodbye on the link in use and looks after it no further than that.</summary>
    private void Leave(Now now)
    {
        if (_link is not null)
        {
            _leaving?.Abort();
            _leaving = _link;
            _link = null;
            _leaving.Close(now.Ms);
        }
    }

    private void Publish(AgentOutput output, Now now)
    {
        ushort packetId = output.Qos == 0 ? (ushort)0 : NextPacketId();
        _packetInFlight = output.Qos == 0 ? _packetInFlight : packetId;
        _link?.Publish(output.Topic, output.Buffer.AsSpan(0, output.Count), output.Qos, packetId, now.Ms);
        _lines.NotePublished(output.Topic);
    }

    private ushort NextPacketId() => _packetId = (ushort)(_packetId % ushort.MaxValue + 1);

    private async Task ProbeAsync()
    {
        bool isOpen;
        try
        {
            using CancellationTokenSource patience = new(ProbeMs);
            using TcpClient tcp = new();
            await tcp.ConnectAsync(_options.Identity.DialHost, _options.ProbePort, patience.Token);
            isOpen = true;
        }
        catch (Exception failed) when (failed is SocketException or OperationCanceledException)
        {
            isOpen = false;
        }

        Do((agent, now) => agent.OnProbed(now, isOpen));
    }
}
