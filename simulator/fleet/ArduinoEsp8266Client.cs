namespace Agent.Fleet;

// The ESP8266 sample of azure-sdk-for-c-arduino, on PubSubClient (facts: sdk-renewal §10).
//
// It never looks at the token's expiry. At a telemetry tick it notices that it is offline and builds everything anew with a
// new token; while that fails it repeats every 5 s with the same one.

/// <summary>ESP8266, Arduino.</summary>
public sealed class ArduinoEsp8266Client(ClientSettings settings) : SdkModel(settings)
{
    private const int TickTimer = 0;
    private const int RetryTimer = 1;
    private const long ConnackWaitMs = 15_000;
    private const long RetryMs = 5000;

    /// <inheritdoc/>
    public override long LifetimeSeconds => Settings.LifetimeSeconds ?? 3600;

    /// <inheritdoc/>
    public override double? RenewalSeconds => null;

    /// <inheritdoc/>
    public override ConnectFields Connect => new(
        Settings.KeepAliveSeconds ?? 15, true, "2020-09-30", "c/1.1.8(ard;esp8266)");

    // The sample sends every 5 s; a scenario may set another rhythm.
    private long TickMs => Settings.HeartbeatEveryMs > 0 ? Settings.HeartbeatEveryMs : 5000;

    /// <inheritdoc/>
    public override void OnStart(ref ClientState device, Turn turn) => Build(ref device, turn);

    /// <inheritdoc/>
    public override void OnTransportUp(ref ClientState device, Turn turn) => turn.Connect(ref device, device.TokenExpiry);

    /// <inheritdoc/>
    public override void OnConnack(ref ClientState device, Turn turn, byte code, bool sessionPresent)
    {
        if (code == 0)
        {
            device.Phase = Phase.Connected;
            turn.Subscribe(ref device, Topics.CloudToDevice);
        }
        else
        {
            Wait(ref device, turn);
        }
    }

    /// <inheritdoc/>
    public override void OnAttemptFailed(ref ClientState device, Turn turn, DialFault fault) => Wait(ref device, turn);

    /// <inheritdoc/>
    public override void OnClosed(ref ClientState device, Turn turn, bool reset)
    {
        device.Phase = Phase.Waiting;
        turn.Arm(ref device, TickTimer, TickMs - (turn.NowMs % TickMs));
    }

    /// <inheritdoc/>
    public override void OnTimer(ref ClientState device, Turn turn, int timer)
    {
        if (device.Phase != Phase.Waiting)
        {
            return;
        }

        if (timer == TickTimer)
        {
            Build(ref device, turn);
        }
        else
        {
            turn.Dial(ref device, ConnackWaitMs);
        }
    }

    private static void Wait(ref ClientState device, Turn turn)
    {
        device.Phase = Phase.Waiting;
        turn.Arm(ref device, RetryTimer, RetryMs);
    }

    private void Build(ref ClientState device, Turn turn)
    {
        device.TokenExpiry = (uint)((turn.UtcMs / 1000) + LifetimeSeconds);
        turn.Dial(ref device, ConnackWaitMs);
    }
}
