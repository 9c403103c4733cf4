using Agent.Hub;

namespace Agent.Fleet;

// The vendor's published table, taken at its word (design: "the table everyone starts from"). It says when a token is renewed
// and what the log shows, and nothing about retries, so a client of this kind simply comes back at once.

/// <summary>One of the four SDKs as the vendor's documentation describes it.</summary>
public sealed class DocumentedClient : SdkModel
{
    private const int RenewTimer = 0;
    private const int RetryTimer = 1;
    private const long ConnackWaitMs = 60_000;

    private readonly double renewalSeconds;
    private readonly double? disconnectSeconds;
    private readonly ConnectFields fields;

    private DocumentedClient(
        ClientSettings settings, double renewalSeconds, double? disconnectSeconds, ConnectFields fields)
        : base(settings)
    {
        this.renewalSeconds = Math.Round(renewalSeconds, 3);
        this.disconnectSeconds = disconnectSeconds;
        this.fields = fields;
    }

    /// <inheritdoc/>
    public override long LifetimeSeconds => Settings.LifetimeSeconds ?? 3600;

    /// <inheritdoc/>
    public override double? RenewalSeconds => renewalSeconds;

    /// <inheritdoc/>
    public override ConnectFields Connect => fields;

    /// <summary>.NET, Java: the token object is renewed at 85 %, the hub disconnects at lifetime plus grace.</summary>
    public static DocumentedClient Passive(ClientSettings settings, SdkModel source, bool configurable) => new(
        settings, configurable ? Renewal(settings, source, 0.85) : source.LifetimeSeconds * 0.85, null, source.Connect);

    /// <summary>Node.js: disconnects and reconnects at renewal, 85 %.</summary>
    public static DocumentedClient Active(ClientSettings settings, SdkModel source)
    {
        double renewal = Renewal(settings, source, 0.85);
        return new(settings, renewal, renewal, source.Connect);
    }

    /// <summary>Python: renews 120 s before expiry; the page's log shows the disconnect at the lifetime.</summary>
    public static DocumentedClient AtLifetime(ClientSettings settings, SdkModel source) => new(
        settings, Math.Max(1, source.LifetimeSeconds - 120), source.LifetimeSeconds, source.Connect);

    /// <inheritdoc/>
    public override void OnStart(ref ClientState device, Turn turn) => turn.Dial(ref device, ConnackWaitMs);

    /// <inheritdoc/>
    public override void OnTransportUp(ref ClientState device, Turn turn)
    {
        turn.Connect(ref device, (turn.UtcMs / 1000) + LifetimeSeconds);
        if (disconnectSeconds is { } after)
        {
            turn.Arm(ref device, RenewTimer, (long)Math.Round(after * 1000));
        }
    }

    /// <inheritdoc/>
    public override void OnConnack(ref ClientState device, Turn turn, byte code, bool sessionPresent)
    {
        if (code == 0)
        {
            device.Phase = Phase.Connected;
        }
        else
        {
            Wait(ref device, turn);
        }
    }

    /// <inheritdoc/>
    public override void OnAttemptFailed(ref ClientState device, Turn turn, DialFault fault) => Wait(ref device, turn);

    /// <inheritdoc/>
    public override void OnClosed(ref ClientState device, Turn turn, bool reset) => turn.Dial(ref device, ConnackWaitMs);

    /// <inheritdoc/>
    public override void OnTimer(ref ClientState device, Turn turn, int timer)
    {
        if (timer == RenewTimer && device.Phase == Phase.Connected)
        {
            turn.Disconnect(Reason.Renewal);
            turn.Close(Reason.Renewal);
            turn.Dial(ref device, ConnackWaitMs);
        }
        else if (timer == RetryTimer && device.Phase == Phase.Waiting)
        {
            turn.Dial(ref device, ConnackWaitMs);
        }
    }

    private static void Wait(ref ClientState device, Turn turn)
    {
        device.Phase = Phase.Waiting;
        turn.Arm(ref device, RetryTimer, 1000);
    }

    private static double Renewal(ClientSettings settings, SdkModel source, double share) =>
        settings.RenewBeforeSeconds is { } before
            ? source.LifetimeSeconds - before
            : source.LifetimeSeconds * (settings.RenewAt ?? share);
}
