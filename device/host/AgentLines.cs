using System.Globalization;
using Agent.Core;

namespace Agent.Host;

/// <summary>What the program says; the wording is what people and scripts look for.</summary>
internal sealed class AgentLines(DeviceAgent agent, HostClock clock, TextWriter output)
{
    private readonly Session _session = agent.Session;
    private SessionState _shown = agent.Session.State;
    private int _renewalsShown;
    private int _heartbeatsShown;
    private int _heartbeat;
    private int _fallbacksShown;
    private int _entryShown;
    private (int Code, long Version) _settingsShown = (agent.Settings.Code, agent.Settings.Version);

    /// <summary>What the link said about its end, for the next line.</summary>
    public string Detail { get; set; } = "";

    public void SayStart(AgentOptions options) => Say(
        options.Identity + ", port " + options.Port.ToString(CultureInfo.InvariantCulture)
        + $", token {_session.Settings.LifetimeSeconds} s, start {agent.Boots}");

    /// <summary>Remembers which heartbeat went out, to name it when it is acknowledged.</summary>
    public void NotePublished(string topic)
    {
        const string Mark = "type=heartbeat&seq=";
        int at = topic.IndexOf(Mark, StringComparison.Ordinal);
        if (at >= 0)
        {
            string rest = topic[(at + Mark.Length)..];
            _heartbeat = int.Parse(rest[..rest.IndexOf('&', StringComparison.Ordinal)], CultureInfo.InvariantCulture);
        }
    }

    public void SayAcknowledged()
    {
        if (_session.HeartbeatsAcknowledged != _heartbeatsShown)
        {
            _heartbeatsShown = _session.HeartbeatsAcknowledged;
            Say($"heartbeat {_heartbeat} acknowledged");
        }
    }

    /// <summary>One line for what changed.</summary>
    public void SayChanges(Now now)
    {
        SaySettings();
        if (_session.State == _shown)
        {
            return;
        }

        SessionState before = _shown;
        _shown = _session.State;
        Say(Line(before, now));
        Detail = "";
        if (_shown == SessionState.Connected && agent.BlackBox.Current.Number > _entryShown && agent.BlackBox.Current.IsKnown
            && agent.BlackBox.Current.Reason != DisconnectReason.PlannedRenewal)
        {
            _entryShown = agent.BlackBox.Current.Number;
            Say("black box: " + DiagnosticsText.Line(agent.BlackBox.Current));
        }
    }

    public void SaySummary() => Say(
        $"summary: {_session.Renewals} renewals, {_session.Drops} drops, {_session.HeartbeatsSent} heartbeats sent, "
        + $"{_session.HeartbeatsRepeated} repeated, {_session.HeartbeatsAcknowledged} acknowledged");

    public void Say(string text) => output.WriteLine($"{clock.Stamp()} {text}");

    private void SaySettings()
    {
        if (_session.Fallbacks != _fallbacksShown)
        {
            _fallbacksShown = _session.Fallbacks;
            Say("renewal made clean: the second connection could not be had");
        }

        (int Code, long Version) settings = (agent.Settings.Code, agent.Settings.Version);
        if (settings != _settingsShown)
        {
            _settingsShown = settings;
            string problems = settings.Code == 400 ? $": {agent.Settings.Problems}" : "";
            Say($"settings version {settings.Version}: {settings.Code}{problems}, "
                + $"token {agent.Settings.InForce.LifetimeSeconds} s");
        }
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
                string more = Detail.Length == 0 ? "" : $" ({Detail})";
                return string.Create(
                    CultureInfo.InvariantCulture,
                    $"{what}: {why}{more}; next attempt in {(_session.NextWakeMs - now.Ms) / 1000.0:0.0} s");
            default:
                return SessionStateText.Of(_shown);
        }
    }
}
