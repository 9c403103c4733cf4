using Agent.Hub;

namespace Agent.Fleet;

// Fourteen clients that agree on nothing but MQTT. Each model is one file that reads like the SDK's own story: when it makes
// a token, what it does when the token is about to end, how it comes back. What they share is here: the events a client can
// see and the settings a scenario can give.
//
// The rule chosen: a model keeps its state in the 40 bytes of a ClientState and answers every event with orders; it never sees a
// packet, a socket or a clock. So the same file runs for a million devices in virtual time and for one on a TLS socket.
// Async code per client, the natural way to write such a thing, was not taken: it cannot be replayed and weighs kilobytes.

/// <summary>What a scenario may set about a fleet's clients; null or None = the SDK's own default.</summary>
public sealed record ClientSettings
{
    /// <summary>Token lifetime, whole seconds.</summary>
    public long? LifetimeSeconds { get; init; }

    /// <summary>Renewal point as a fraction of the lifetime, 0..1 exclusive.</summary>
    public double? RenewAt { get; init; }

    /// <summary>Renewal point as seconds before expiry.</summary>
    public double? RenewBeforeSeconds { get; init; }

    /// <summary>Keep-alive announced in CONNECT, seconds.</summary>
    public int? KeepAliveSeconds { get; init; }

    /// <summary>How often the application sends, ms; 0 = never.</summary>
    public long HeartbeatEveryMs { get; init; }

    /// <summary>How long an application waits before it opens a client that gave up, ms.</summary>
    public long AppRetryAfterMs { get; init; } = 10_000;

    /// <summary>Agent only: over how long a fleet that comes back at once spreads its attempts, seconds; 0 = not.</summary>
    public int ReconnectSpreadSeconds { get; init; }

    /// <summary>
    /// Features the application uses besides telemetry. After its first connect it switches them on in this order: it gets its twin
    /// and listens for desired properties, then for methods, then for messages.
    /// </summary>
    public Features Features { get; init; }
}

[Flags]
public enum Features : byte
{
    None = 0,
    Twin = 1,
    Methods = 2,
    CloudToDevice = 4,
}

/// <summary>Why TCP or TLS did not come up.</summary>
public enum DialFault : byte
{
    Dns,
    Refused,
    TimedOut,
    Tls,
}

/// <summary>What the client's CONNECT packet says besides id and token.</summary>
/// <param name="KeepAliveSeconds">Keep-alive field.</param>
/// <param name="CleanSession">Clean-session flag.</param>
/// <param name="ApiVersion">api-version in the user name.</param>
/// <param name="UserAgent">DeviceClientType in the user name, unescaped; empty = none.</param>
public readonly record struct ConnectFields(int KeepAliveSeconds, bool CleanSession, string ApiVersion, string UserAgent);

/// <summary>One client, as a pure machine over a <see cref="ClientState"/>.</summary>
public abstract class SdkModel(ClientSettings settings)
{
    /// <summary>What the scenario asked for.</summary>
    protected ClientSettings Settings { get; } = settings;

    /// <summary>Token lifetime in force, seconds.</summary>
    public abstract long LifetimeSeconds { get; }

    /// <summary>Seconds from making a token to the client's own renewal; null when it never renews by itself.</summary>
    public abstract double? RenewalSeconds { get; }

    /// <summary>Fields of the CONNECT packet.</summary>
    public abstract ConnectFields Connect { get; }

    /// <summary>The application opens the client (again, after a power cut).</summary>
    public abstract void OnStart(ref ClientState device, Turn turn);

    /// <summary>TCP and TLS are up.</summary>
    public abstract void OnTransportUp(ref ClientState device, Turn turn);

    /// <summary>CONNACK arrived.</summary>
    public abstract void OnConnack(ref ClientState device, Turn turn, byte code, bool sessionPresent);

    /// <summary>
    /// An attempt failed before its CONNACK: no TCP, no TLS, closed without an answer, or no answer in the time the client waits.
    /// </summary>
    public abstract void OnAttemptFailed(ref ClientState device, Turn turn, DialFault fault);

    /// <summary>The other end closed an established connection; <paramref name="reset"/> = by RST.</summary>
    public abstract void OnClosed(ref ClientState device, Turn turn, bool reset);

    /// <summary>The TCP connection this client has closed itself is gone at both ends.</summary>
    public virtual void OnOwnCloseDone(ref ClientState device, Turn turn)
    {
    }

    /// <summary>A timer of the model is due.</summary>
    public abstract void OnTimer(ref ClientState device, Turn turn, int timer);

    /// <summary>The application sends while there is no connection (asked for by WakeOnSend, waiting or stopped).</summary>
    public virtual void OnSendWhileDown(ref ClientState device, Turn turn)
    {
    }

    /// <summary>How long this client waits for TCP alone, ms; by default as long as for everything.</summary>
    public virtual long TcpWaitMs => long.MaxValue;

    /// <summary>How long this client waits for an answer in the TLS handshake, ms; by default as long as for everything.</summary>
    public virtual long TlsWaitMs => long.MaxValue;

    /// <summary>The connection is given up when a QoS 1 send stays unacknowledged for this long, ms.</summary>
    public virtual long AcknowledgeWithinMs => PingPolicy.NoDeadline;

    /// <summary>
    /// When the device will next renew, as it would announce it in its heartbeats; ms of the run, -1 = it says nothing of it, as every
    /// client but our own.
    /// </summary>
    public virtual long PlannedRenewalMs(int fleetSlot) => -1;

    /// <summary>When pings go out and how long their answer may take.</summary>
    public virtual PingPolicy Ping => new(PingRule.SinceSent, Connect.KeepAliveSeconds * 1000L, Connect.KeepAliveSeconds * 1000L);

    /// <summary>The topics the application's features need.</summary>
    protected static Topics Wanted(Features features) =>
        ((features & Features.CloudToDevice) != 0 ? Topics.CloudToDevice : Topics.None) |
        ((features & Features.Twin) != 0 ? Topics.TwinResponses | Topics.DesiredPatches : Topics.None) |
        ((features & Features.Methods) != 0 ? Topics.Methods : Topics.None);

    /// <summary>A ping stayed unanswered for as long as the client waits.</summary>
    public virtual void OnPingLost(ref ClientState device, Turn turn)
    {
        turn.Reset(Reason.TimedOut);
        OnClosed(ref device, turn, reset: true);
    }
}

/// <summary>When a client sends PINGREQ.</summary>
public enum PingRule : byte
{
    /// <summary>A period after the last packet sent.</summary>
    SinceSent,
    /// <summary>A period after the last packet sent or the last one received, whichever is longer ago.</summary>
    SinceEither,
    /// <summary>On a fixed tick from the CONNACK.</summary>
    FixedTick,
    /// <summary>
    /// Looked at once a period: sent when nothing was received for as long. The next look is a period after this one, or after the
    /// answer.
    /// </summary>
    TickIfQuiet,
}

/// <summary>When pings go out and how long their answer may take.</summary>
/// <param name="Rule">What starts the period.</param>
/// <param name="EveryMs">The period, ms.</param>
/// <param name="AnswerWithinMs">The client gives the connection up when no PINGRESP came for this long, ms.</param>
public readonly record struct PingPolicy(PingRule Rule, long EveryMs, long AnswerWithinMs)
{
    /// <summary>"As long as it takes" in <see cref="AnswerWithinMs"/>.</summary>
    public const long NoDeadline = long.MaxValue / 4;
}
