using Agent.Hub;

namespace Agent.Fleet;

// Clients that leave everything after a lost connection to the application: the Python 3 beta (a Session does not reconnect),
// the embedded C library (it has no timer and no socket) and the FreeRTOS middleware (its sample ends with an assertion).
// Facts: sdk-renewal §8 and §10. They differ in what they say in CONNECT and in how often the application's own connect
// helper tries; none renews, so the hub cuts each at expiry + grace.

/// <summary>One of the clients whose application must act.</summary>
public sealed class ApplicationLedClient : SdkModel
{
    private const int AppTimer = 0;
    private const int RetryTimer = 1;

    private readonly long defaultLifetimeSeconds;
    private readonly long connackWaitMs;
    private readonly int tries;
    private readonly ConnectFields fields;

    private ApplicationLedClient(
        ClientSettings settings, long defaultLifetimeSeconds, long connackWaitMs, int tries, ConnectFields fields)
        : base(settings)
    {
        this.defaultLifetimeSeconds = defaultLifetimeSeconds;
        this.connackWaitMs = connackWaitMs;
        this.tries = tries;
        this.fields = fields with { KeepAliveSeconds = settings.KeepAliveSeconds ?? fields.KeepAliveSeconds };
    }

    /// <inheritdoc/>
    public override long LifetimeSeconds => Settings.LifetimeSeconds ?? defaultLifetimeSeconds;

    /// <inheritdoc/>
    public override double? RenewalSeconds => null;

    /// <inheritdoc/>
    public override ConnectFields Connect => fields;

    /// <summary>Python 3.0.0b2: one session, one connection.</summary>
    public static ApplicationLedClient PythonV3(ClientSettings settings) => new(
        settings, 3600, 60_000, 1, new(60, false, "2020-09-30", "azure-iot-device-iothub-py/3.0.0b2(3.11.7;Linux;x86_64)"));

    /// <summary>azure-sdk-for-c with its samples' 120 min token.</summary>
    public static ApplicationLedClient EmbeddedC(ClientSettings settings) => new(
        settings, 7200, 30_000, 1, new(240, false, "2020-09-30", "azsdk-c/1.6.0"));

    /// <summary>Azure IoT middleware for FreeRTOS; its sample tries five times.</summary>
    public static ApplicationLedClient FreeRtos(ClientSettings settings) => new(
        settings, 3600, 10_000, 5, new(60, false, "2020-09-30", "azure-iot-middleware-freertos/1.3.0"));

    /// <inheritdoc/>
    public override void OnStart(ref ClientState device, Turn turn)
    {
        device.Attempt = 0;
        turn.Dial(ref device, connackWaitMs);
    }

    /// <inheritdoc/>
    public override void OnTransportUp(ref ClientState device, Turn turn) =>
        turn.Connect(ref device, (turn.UtcMs / 1000) + LifetimeSeconds);

    /// <inheritdoc/>
    public override void OnConnack(ref ClientState device, Turn turn, byte code, bool sessionPresent)
    {
        if (code == 0)
        {
            device.Phase = Phase.Connected;
            device.Attempt = 0;
            foreach (Topics topic in (ReadOnlySpan<Topics>)
                [Topics.Methods, Topics.CloudToDevice, Topics.TwinResponses, Topics.DesiredPatches])
            {
                turn.Subscribe(ref device, Wanted(Settings.Features) & topic);
            }
        }
        else
        {
            Failed(ref device, turn);
        }
    }

    /// <inheritdoc/>
    public override void OnAttemptFailed(ref ClientState device, Turn turn, DialFault fault) => Failed(ref device, turn);

    /// <inheritdoc/>
    public override void OnClosed(ref ClientState device, Turn turn, bool reset) => LeaveToApplication(ref device, turn);

    /// <inheritdoc/>
    public override void OnTimer(ref ClientState device, Turn turn, int timer)
    {
        if (device.Phase is Phase.Stopped or Phase.Waiting)
        {
            turn.Dial(ref device, connackWaitMs);
        }
    }

    // FreeRTOS sample: full jitter, 0.5 s doubling to 5 s, five attempts.
    private void Failed(ref ClientState device, Turn turn)
    {
        device.Attempt++;
        if (device.Attempt >= tries)
        {
            LeaveToApplication(ref device, turn);
            return;
        }

        double capMs = Math.Min(500 * Math.Pow(2, device.Attempt - 1), 5000);
        device.Phase = Phase.Waiting;
        turn.Arm(ref device, RetryTimer, (long)(turn.Unit(ref device) * capMs));
    }

    private void LeaveToApplication(ref ClientState device, Turn turn)
    {
        device.Attempt = 0;
        turn.Stop(ref device, Reason.GaveUp);
        turn.Arm(ref device, AppTimer, Settings.AppRetryAfterMs);
    }
}
