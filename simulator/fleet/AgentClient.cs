using Agent.Core;
using Agent.Hub;

namespace Agent.Fleet;

// Our own agent: not a model of it but the very code that runs on the board (device/core), one Session object per device.
// This file only translates: orders of the world's kind out of the session's outputs, session events out of the world's.

/// <summary>The agent of this repository.</summary>
public sealed class AgentClient : SdkModel
{
    private const int WakeTimer = 0;
    private const long ConnackWaitMs = Session.ConnectTimeoutMs;

    private readonly TokenSettings settings;
    private readonly Session?[] sessions;
    private readonly ulong seed;

    /// <param name="client">What the scenario asks for.</param>
    /// <param name="count">Devices this driver runs.</param>
    /// <param name="seed">For the sessions' own generators.</param>
    public AgentClient(ClientSettings client, int count, ulong seed)
        : base(client)
    {
        settings = BuildSettings(client);
        sessions = new Session?[count];
        this.seed = seed;
    }

    /// <inheritdoc/>
    public override long LifetimeSeconds => settings.LifetimeSeconds;

    /// <inheritdoc/>
    public override double? RenewalSeconds => settings.RenewBeforeSeconds > 0
        ? settings.LifetimeSeconds - settings.RenewBeforeSeconds
        : settings.LifetimeSeconds * settings.RenewAtPercent / 100.0;

    /// <inheritdoc/>
    public override ConnectFields Connect => new(settings.KeepAliveSeconds, false, "2021-04-12", "agent/1.0");

    /// <inheritdoc/>
    public override long PlannedRenewalMs(int fleetSlot) =>
        sessions[fleetSlot]?.DueAtMs(TimerId.Renew) is { } dueMs and not long.MaxValue ? dueMs : -1;

    /// <inheritdoc/>
    public override long AcknowledgeWithinMs => Session.AcknowledgeTimeoutMs;

    /// <summary>Problems the agent itself finds in a scenario's settings; empty = none.</summary>
    public static string[] Problems(ClientSettings client) =>
        Draft(client).TryBuild(out _, out string[] problems) ? [] : problems;

    /// <inheritdoc/>
    public override void OnStart(ref ClientState device, Turn turn)
    {
        ulong draw = Agent.World.Randomness.Draw(seed, turn.DeviceIndex, device.Draws++);
        var session = new Session(settings, new SeededRandom((uint)draw), 1);
        sessions[turn.FleetSlot] = session;
        session.OnNetworkUp(Time(turn));
        Carry(session, ref device, turn);
    }

    /// <inheritdoc/>
    public override void OnTransportUp(ref ClientState device, Turn turn) => turn.Connect(ref device, Of(turn).ExpirySeconds);

    /// <inheritdoc/>
    public override void OnConnack(ref ClientState device, Turn turn, byte code, bool sessionPresent)
    {
        Session session = Of(turn);
        if (code == 0)
        {
            device.Phase = Phase.Connected;
            session.OnConnected(Time(turn), sessionPresent);
        }
        else
        {
            device.Phase = Phase.Waiting;
            session.OnRefused(Time(turn), code);
        }

        Carry(session, ref device, turn);
    }

    /// <inheritdoc/>
    public override void OnAttemptFailed(ref ClientState device, Turn turn, DialFault fault)
    {
        device.Phase = Phase.Waiting;
        Session session = Of(turn);
        session.OnConnectFailed(Time(turn), fault switch
        {
            DialFault.Dns => DisconnectReason.NameNotResolved,
            DialFault.Refused => DisconnectReason.TcpRefused,
            DialFault.Tls => DisconnectReason.TlsFailed,
            _ => DisconnectReason.TcpTimedOut,
        });
        Carry(session, ref device, turn);
    }

    /// <inheritdoc/>
    public override void OnClosed(ref ClientState device, Turn turn, bool reset)
    {
        device.Phase = Phase.Waiting;
        Session session = Of(turn);
        session.OnLinkLost(Time(turn), reset ? DisconnectReason.ConnectionReset : DisconnectReason.ClosedByPeer);
        Carry(session, ref device, turn);
    }

    /// <inheritdoc/>
    public override void OnTimer(ref ClientState device, Turn turn, int timer)
    {
        Session session = Of(turn);
        session.OnWake(Time(turn));
        Carry(session, ref device, turn);
    }

    private static Now Time(Turn turn) => new(turn.NowMs, turn.UtcMs / 1000, true);

    private static TokenSettingsDraft Draft(ClientSettings client)
    {
        var draft = new TokenSettingsDraft
        {
            HeartbeatIntervalSeconds = 0, // The world counts heartbeats in closed form.
            ReconnectSpreadSeconds = client.ReconnectSpreadSeconds,
        };
        if (client.LifetimeSeconds is { } lifetime)
        {
            draft.LifetimeSeconds = (int)Math.Min(lifetime, int.MaxValue);
        }

        if (client.RenewAt is { } renewAt)
        {
            draft.RenewAtPercent = (int)Math.Round(renewAt * 100);
        }

        if (client.RenewBeforeSeconds is { } before)
        {
            draft.RenewBeforeSeconds = (int)Math.Round(before);
        }

        if (client.KeepAliveSeconds is { } keepAlive)
        {
            draft.KeepAliveSeconds = keepAlive;
        }

        return draft;
    }

    private static TokenSettings BuildSettings(ClientSettings client) =>
        Draft(client).TryBuild(out TokenSettings settings, out string[] problems)
            ? settings
            : throw new ArgumentException(string.Join("; ", problems), nameof(client));

    private Session Of(Turn turn) => sessions[turn.FleetSlot]!;

    private void Carry(Session session, ref ClientState device, Turn turn)
    {
        while (session.TryTakeOutput(out SessionOutput output))
        {
            switch (output.Kind)
            {
                case OutputKind.Connect:
                    turn.Dial(ref device, ConnackWaitMs);
                    break;
                case OutputKind.Disconnect:
                    // DISCONNECT is written and the socket closed in one go; the session need not wait for the hub's FIN.
                    Reason reason = session.State == SessionState.Renewing ? Reason.Renewal : Reason.ClientDisconnect;
                    turn.Disconnect(reason);
                    turn.Close(reason);
                    session.OnClosed(Time(turn));
                    break;
                case OutputKind.SendHeartbeat:
                    break;
            }
        }

        if (session.NextWakeMs != long.MaxValue)
        {
            if (!device.IsTimer(WakeTimer, session.NextWakeMs))
            {
                turn.Arm(ref device, WakeTimer, session.NextWakeMs - turn.NowMs);
            }
        }
        else
        {
            device.ClearTimer(WakeTimer);
        }
    }
}
