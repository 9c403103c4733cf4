using System.Globalization;
using System.Text;
using Agent.Core;

namespace Agent.Tests.Core;

/// <summary>
/// Every situation a session can be in, every event that can meet it, and what comes of each pair, as text.
/// </summary>
internal static class SessionTable
{
    public static readonly IReadOnlyList<(string Name, Action<Session, Now> Happens)> Events =
    [
        ("OnNetworkUp", (session, now) => session.OnNetworkUp(now)),
        ("OnNetworkLost", (session, now) => session.OnNetworkLost(now)),
        ("OnTimeKnown", (session, now) => session.OnTimeKnown(now)),
        ("OnConnected", (session, now) => session.OnConnected(now, sessionPresent: true)),
        ("OnRefused 3", (session, now) => session.OnRefused(now, 3)),
        ("OnRefused 5", (session, now) => session.OnRefused(now, 5)),
        ("OnConnectFailed", (session, now) => session.OnConnectFailed(now, DisconnectReason.TcpRefused)),
        ("OnLinkLost", (session, now) => session.OnLinkLost(now, DisconnectReason.ConnectionReset)),
        ("OnClosed", (session, now) => session.OnClosed(now)),
        ("OnTelemetrySent", (session, now) => session.OnTelemetrySent(now)),
        ("OnHeartbeatAcknowledged 1", (session, now) => session.OnHeartbeatAcknowledged(now, 1)),
        ("OnMessageWaiting", (session, now) => session.OnMessageWaiting(now)),
        ("OnMessageAcknowledged", (session, now) => session.OnMessageAcknowledged(now, moreWait: false)),
        ("OnPrewarmed", (session, now) => session.OnPrewarmed(now)),
        ("OnPrewarmFailed", (session, now) => session.OnPrewarmFailed(now)),
        ("OnRenewNow", (session, now) => session.OnRenewNow(now, DisconnectReason.PlannedRenewal, 500)),
        ("OnSettings reconnecting", (session, now) => session.OnSettings(now, session.Settings, true)),
        ("OnWake early", (session, now) => session.OnWake(now)),
        ("OnWake when due", WakeWhenDue),
        ("OnStop", (session, now) => session.OnStop(now)),
    ];

    public static readonly IReadOnlyList<(string Name, Func<SessionRig> Make)> Situations =
    [
        ("stopped", () => New().Do((session, now) => session.OnStop(now))),
        ("no network", New),
        ("no time", NoTime),
        ("connecting", () => Mute().Do((session, now) => session.OnNetworkUp(now))),
        ("connected", () => Acknowledging().Connect().RunTo(1_000)),
        ("connected, heartbeat 1 in flight", () => New().Connect().RunTo(1_000)),
        ("renewing, draining heartbeat 1", () => New().Connect().RunTo(25_500)),
        ("renewing, closing", () => Acknowledging().Connect().RunTo(25_500)),
        ("renewing, closing, heartbeat 1 in flight", () => New().Connect().RunTo(27_500)),
        ("connected, message in flight", () => Acknowledging().Connect().RunTo(1_000)
            .Do((session, now) => session.OnMessageWaiting(now))),
        ("connected, prewarming", () => Acknowledging(RenewMode.Prewarm).Connect().RunTo(25_500)),
        ("renewing, prewarmed, closing", () => Acknowledging(RenewMode.Prewarm).Connect().RunTo(25_500)
            .Do((session, now) => session.OnPrewarmed(now))),
        ("connecting, prewarmed", () => Acknowledging(RenewMode.Prewarm).Connect().RunTo(25_500)
            .Do((session, now) => session.OnPrewarmed(now)).Do((session, now) => session.OnClosed(now))),
        ("taking over", () => Acknowledging(RenewMode.Takeover).Connect().RunTo(25_500)),
        ("backing off", () => Mute().Do((session, now) => session.OnNetworkUp(now)).RunTo(45_000)),
        ("backing off, heartbeat 1 in flight", () => New().Connect().Do(
            (session, now) => session.OnLinkLost(now, DisconnectReason.ClosedByPeer))),
    ];

    public static string Write()
    {
        StringBuilder text = new();
        text.Append("# Every situation x event: next state (timers in ms); orders; reason when it changed\n");
        text.Append("# [counters when they changed]. - = nothing.\n");
        text.Append("# Lifetime 30 s, 85 %, no spread, heartbeat every 20 s, 50 ms to the hub, seed 1. Written by SessionTable.cs.\n");
        foreach ((string situation, Func<SessionRig> make) in Situations)
        {
            text.Append(CultureInfo.InvariantCulture, $"\n{situation}\n");
            foreach ((string name, Action<Session, Now> happens) in Events)
            {
                text.Append(CultureInfo.InvariantCulture, $"  {name,-27}{Outcome(make(), happens)}\n");
            }
        }

        return text.ToString();
    }

    private static string Outcome(SessionRig rig, Action<Session, Now> happens)
    {
        Session session = rig.Session;
        string before = Describe(rig);
        string counted = Counters(session);
        DisconnectReason reason = session.LastReason;
        int orders = rig.Orders.Count;
        rig.Do(happens);
        string given = string.Join(", ", rig.Orders.Skip(orders).Select(order => order[(order.IndexOf(' ') + 1)..]));
        string after = Describe(rig);
        if (given.Length == 0 && after == before && counted == Counters(session))
        {
            return "-";
        }

        string changed = reason == session.LastReason ? "" : $"; {DisconnectReasonText.Of(session.LastReason)}";
        string count = counted == Counters(session) ? "" : $" [{Counters(session)}]";
        return $"{after}; {(given.Length == 0 ? "no order" : given)}{changed}{count}";
    }

    private static string Counters(Session session) =>
        $"drops {session.Drops}, refusals {session.Refusals}, renewals {session.Renewals}, "
        + $"acknowledged {session.HeartbeatsAcknowledged} of {session.HeartbeatsSent}+{session.HeartbeatsRepeated}";

    private static string Describe(SessionRig rig)
    {
        TimerId[] armed = [.. Enum.GetValues<TimerId>()
            .Where(timer => timer != TimerId.Count && rig.Session.DueAtMs(timer) != Timers.Never)];
        string waits = string.Join(", ", armed.Select(timer => $"{timer} at {rig.Session.DueAtMs(timer)}"));
        return $"{SessionStateText.Of(rig.Session.State)}{(waits.Length == 0 ? "" : $" ({waits})")}";
    }

    private static SessionRig New() => New(RenewMode.Clean);

    private static SessionRig New(RenewMode mode)
    {
        SessionRig rig = new(Build.Settings(lifetime: 30, spread: 0, heartbeat: 20, mode: mode));
        rig.Session.CanPrewarm = true;
        rig.OnHeartbeat = _ => { };
        rig.OnMessage = () => { };
        rig.OnPrewarm = () => { };
        rig.OnDisconnect = () => { };
        return rig;
    }

    private static SessionRig Acknowledging(RenewMode mode = RenewMode.Clean)
    {
        SessionRig rig = New(mode);
        Action<SessionOutput> connect = rig.OnConnect;
        rig.OnConnect = output =>
        {
            if (rig.Session.Attempts == 1)
            {
                connect(output); // only the first link comes up; what is tested is what a second one meets
            }
        };
        rig.OnHeartbeat = output => rig.Session.OnHeartbeatAcknowledged(rig.Now, output.Sequence);
        return rig;
    }

    private static SessionRig Mute()
    {
        SessionRig rig = New();
        rig.OnConnect = _ => { };
        return rig;
    }

    private static SessionRig NoTime()
    {
        SessionRig rig = New();
        rig.UtcKnown = false;
        rig.Connect();
        rig.UtcKnown = true;
        return rig;
    }

    private static void WakeWhenDue(Session session, Now now)
    {
        if (session.NextWakeMs != long.MaxValue)
        {
            long later = session.NextWakeMs - now.Ms;
            session.OnWake(new Now(now.Ms + later, now.UtcSeconds + (later / 1000), now.UtcKnown));
        }
    }
}
