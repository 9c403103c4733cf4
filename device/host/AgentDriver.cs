using System.Globalization;
using System.Threading.Channels;
using Agent.Core;
using Agent.Wire;
using Session = Agent.Core.Session;

namespace Agent.Host;

// The whole driver: read both clocks once, tell the session what the link reported, let it fire what is due,
// carry out its orders, wait for the next report or the next moment. All decisions are the session's; the board
// runs the same one. A PC's network is taken to be up always: a container may have nothing but loopback and still
// reach its hub, and a real outage shows as attempts that fail.

/// <summary>Runs one agent until it is told to stop.</summary>
internal sealed class AgentDriver
{
    private const int StopMs = 2000;
    private const long ClockStepMs = 2000;

    private readonly AgentOptions _options;
    private readonly HostClock _clock;
    private readonly TextWriter _output;
    private readonly StateFile _state;
    private readonly Session _session;
    private readonly SasToken _tokens;
    private readonly string _userName;
    private readonly ClientOptions _linkOptions;
    private readonly Channel<LinkEvent> _events = Channel.CreateUnbounded<LinkEvent>();
    private MqttLink? _link;
    private SessionState _shown;
    private string _detail = "";
    private ushort _packetId;
    private int _sequenceInFlight;
    private int _renewalsShown;
    private int _acknowledgedShown;
    private string? _problemShown;
    private long _utcOffsetMs = long.MinValue;

    public AgentDriver(AgentOptions options, StateFile state, HostClock clock, uint seed, TextWriter output)
    {
        _options = options;
        _state = state;
        _clock = clock;
        _output = output;
        _session = new Session(options.Settings, new SeededRandom(seed), state.State.NextSequence);
        _shown = _session.State;
        ConnectionString identity = options.Identity;
        _tokens = SasToken.ForDevice(new HostHmac(), identity.Key, identity.HostName, identity.DeviceId);
        _userName = HubTopics.UserName(identity.HostName, identity.DeviceId, "agent-host/1.0 (dotnet)");
        _linkOptions = new ClientOptions { Tls = new TlsClient(identity.DialHost, options.Roots) };
    }

    /// <summary>
    /// Keeps the connection up until <paramref name="stop"/>, then says goodbye and prints the summary.
    /// </summary>
    public async Task RunAsync(CancellationToken stop)
    {
        Now now = _clock.Read();
        Say(_options.Identity + ", port " + _options.Port.ToString(CultureInfo.InvariantCulture)
            + $", token {_options.Settings.LifetimeSeconds} s, start {_state.State.Boots}");
        _session.OnNetworkUp(now);
        long stopAtMs = long.MaxValue;
        while (true)
        {
            Turn(now);
            if (stop.IsCancellationRequested && stopAtMs == long.MaxValue)
            {
                stopAtMs = now.Ms + StopMs;
                _session.OnStop(now);
                CarryOut(now);
            }

            if (_session.State == SessionState.Stopped && (_link is null || now.Ms >= stopAtMs))
            {
                break;
            }

            await WaitAsync(now, stopAtMs, stopAtMs == long.MaxValue ? stop : CancellationToken.None);
            now = _clock.Read();
        }

        SaySummary();
    }

    private void Turn(Now now)
    {
        NoticeClockStep(now);
        while (_events.Reader.TryRead(out LinkEvent report))
        {
            if (report.Link == _link)
            {
                Tell(report, now);
                CarryOut(now);
            }
        }

        _link?.OnWake(now.Ms);
        _session.OnWake(now);
        CarryOut(now);
        SayProblem();
    }

    private async Task WaitAsync(Now now, long stopAtMs, CancellationToken stop)
    {
        long wakeMs = Math.Min(Math.Min(_session.NextWakeMs, stopAtMs), _link?.NextWakeMs(now.Ms) ?? long.MaxValue);
        long waitMs = Math.Clamp(wakeMs - now.Ms, 0, 60_000); // look at the clock once a minute in any case
        using CancellationTokenSource timer = CancellationTokenSource.CreateLinkedTokenSource(stop);
        timer.CancelAfter(TimeSpan.FromMilliseconds(waitMs));
        try
        {
            await _events.Reader.WaitToReadAsync(timer.Token);
        }
        catch (OperationCanceledException)
        {
            // The moment has come, or the program is to stop; the next turn sees which.
        }
    }

    /// <summary>The date was corrected, or the PC slept: the session plans by elapsed time and has to know.</summary>
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
            Say("clock changed");
            _session.OnTimeKnown(now);
            CarryOut(now);
        }
    }

    private void Tell(LinkEvent report, Now now)
    {
        switch (report.Kind)
        {
            case LinkEventKind.Connack when report.Code == 0:
                _link!.Accept(now.Ms);
                _session.OnConnected(now, report.SessionPresent);
                break;
            case LinkEventKind.Connack:
                _link!.Close(now.Ms);
                _link = null;
                _session.OnRefused(now, report.Code);
                break;
            case LinkEventKind.Failed:
                _link = null;
                _detail = report.Detail;
                _session.OnConnectFailed(now, report.Reason);
                break;
            case LinkEventKind.Acknowledged:
                if (report.Code == _packetId)
                {
                    _session.OnHeartbeatAcknowledged(now, _sequenceInFlight);
                }

                break;
            case LinkEventKind.Closed:
                TellClosed(report, now);
                break;
        }
    }

    private void TellClosed(LinkEvent report, Now now)
    {
        bool ordered = _link!.IsClosing;
        _link = null;
        if (ordered)
        {
            _session.OnClosed(now);
        }
        else
        {
            _detail = report.Detail;
            _session.OnLinkLost(now, report.Reason);
        }
    }

    private void CarryOut(Now now)
    {
        SayChanges(now);
        while (_session.TryTakeOutput(out SessionOutput output))
        {
            switch (output.Kind)
            {
                case OutputKind.Connect:
                    Connect(output.ExpirySeconds);
                    break;
                case OutputKind.Disconnect:
                    Disconnect(now);
                    break;
                case OutputKind.SendHeartbeat:
                    SendHeartbeat(output, now);
                    break;
            }
        }
    }

    private void Connect(long expirySeconds)
    {
        _link = new MqttLink(_events.Writer, _options.Settings.KeepAliveSeconds);
        _link.Open(
            _options.Identity.DialHost, _options.Port, _linkOptions,
            _options.Identity.DeviceId, _userName, _tokens.Build(expirySeconds));
    }

    /// <summary>A link that is given up (no renewal, no stop) is not waited for.</summary>
    private void Disconnect(Now now)
    {
        _link?.Close(now.Ms);
        if (_session.State is not (SessionState.Renewing or SessionState.Stopped))
        {
            _link = null;
        }
    }

    private void SendHeartbeat(SessionOutput output, Now now)
    {
        _sequenceInFlight = output.Sequence;
        _packetId = (ushort)(_packetId % ushort.MaxValue + 1);
        _state.UseSequence(output.Sequence);
        string topic = Heartbeat.Topic(
            _options.Identity.DeviceId, output.Sequence, _options.Settings.HeartbeatIntervalSeconds,
            output.RenewalSeconds);
        _link?.Publish(topic, _packetId, now.Ms);
    }

    /// <summary>One line for what changed; the wording is what people and scripts look for.</summary>
    private void SayChanges(Now now)
    {
        if (_session.HeartbeatsAcknowledged != _acknowledgedShown)
        {
            _acknowledgedShown = _session.HeartbeatsAcknowledged;
            Say($"heartbeat {_sequenceInFlight} acknowledged");
        }

        if (_session.State == _shown)
        {
            return;
        }

        SessionState before = _shown;
        _shown = _session.State;
        Say(Line(before, now));
        _detail = "";
    }

    private string Line(SessionState before, Now now)
    {
        switch (_shown)
        {
            case SessionState.Connected when _session.Renewals != _renewalsShown:
                _renewalsShown = _session.Renewals;
                return $"renewed ({_renewalsShown}) gap {_session.LastGapMs} ms";
            case SessionState.Connected:
                return _session.LastGapMs < 0 ? "connected" : $"connected after {_session.LastGapMs} ms";
            case SessionState.BackingOff:
                string what = before == SessionState.Connecting ? "failed" : "lost";
                string why = DisconnectReasonText.Of(_session.LastReason);
                string more = _detail.Length == 0 ? "" : $" ({_detail})";
                return string.Create(
                    CultureInfo.InvariantCulture,
                    $"{what}: {why}{more}; next attempt in {(_session.NextWakeMs - now.Ms) / 1000.0:0.0} s");
            default:
                return SessionStateText.Of(_shown);
        }
    }

    private void SayProblem()
    {
        if (_state.Problem != _problemShown)
        {
            _problemShown = _state.Problem;
            Say(_problemShown is null ? "state saved again" : $"state: {_problemShown}");
        }
    }

    private void SaySummary() => Say(
        $"summary: {_session.Renewals} renewals, {_session.Drops} drops, {_session.HeartbeatsSent} heartbeats sent, "
        + $"{_session.HeartbeatsRepeated} repeated, {_session.HeartbeatsAcknowledged} acknowledged");

    private void Say(string text) => _output.WriteLine($"{_clock.Stamp()} {text}");
}
