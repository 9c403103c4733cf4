using Agent.Hub;

namespace Agent.Fleet;

// The two ESP32 samples of azure-sdk-for-c-arduino 1.1.8, on esp-mqtt (facts: sdk-renewal §10).
//
// The Hub sample's loop looks whether the token has expired and then destroys the client and makes a new one: a polite cycle
// at exactly the lifetime, inside the hub's grace. The Central sample does the same 30 s before expiry, which with a strict
// comparison of whole seconds is 29 s. In between esp-mqtt reconnects every 10 s with the password it was given.

/// <summary>ESP32, Arduino.</summary>
public sealed class ArduinoEsp32Client : SdkModel
{
    private const int RenewTimer = 0;
    private const int RetryTimer = 1;
    private const long ConnackWaitMs = 10_000;
    private const long ReconnectMs = 10_000;

    private readonly bool central;

    /// <param name="settings">What the scenario asks for.</param>
    /// <param name="central">The Central sample instead of the Hub one.</param>
    public ArduinoEsp32Client(ClientSettings settings, bool central)
        : base(settings) => this.central = central;

    /// <inheritdoc/>
    public override long LifetimeSeconds => Settings.LifetimeSeconds ?? 3600;

    /// <inheritdoc/>
    public override double? RenewalSeconds => central ? Math.Max(1, LifetimeSeconds - 29) : LifetimeSeconds;

    /// <inheritdoc/>
    public override ConnectFields Connect => new(
        Settings.KeepAliveSeconds ?? 30, true, "2020-09-30", "c/1.1.8(ard;esp32)");

    /// <summary>esp-mqtt pings at half the keep-alive and gives up when no answer came by the next ping.</summary>
    public override PingPolicy Ping => new(
        PingRule.SinceSent, Connect.KeepAliveSeconds * 500L, Connect.KeepAliveSeconds * 500L);

    /// <inheritdoc/>
    public override void OnStart(ref ClientState device, Turn turn) => MakeClient(ref device, turn);

    /// <inheritdoc/>
    public override void OnTransportUp(ref ClientState device, Turn turn) => turn.Connect(ref device, device.TokenExpiry);

    /// <inheritdoc/>
    public override void OnConnack(ref ClientState device, Turn turn, byte code, bool sessionPresent)
    {
        if (code != 0)
        {
            Wait(ref device, turn);
            return;
        }

        device.Phase = Phase.Connected;
        if (!central)
        {
            turn.Subscribe(ref device, Topics.CloudToDevice);
            return;
        }

        foreach (Topics topic in (ReadOnlySpan<Topics>)[Topics.Methods, Topics.TwinResponses, Topics.DesiredPatches])
        {
            turn.Subscribe(ref device, topic);
        }
    }

    /// <inheritdoc/>
    public override void OnAttemptFailed(ref ClientState device, Turn turn, DialFault fault) => Wait(ref device, turn);

    /// <inheritdoc/>
    public override void OnClosed(ref ClientState device, Turn turn, bool reset)
    {
        if (central)
        {
            MakeClient(ref device, turn); // The state machine falls back to "provisioned" and connects with a new client.
        }
        else
        {
            Wait(ref device, turn);
        }
    }

    /// <inheritdoc/>
    public override void OnTimer(ref ClientState device, Turn turn, int timer)
    {
        if (timer == RenewTimer)
        {
            if (device.Phase == Phase.Connected)
            {
                turn.Disconnect(Reason.Renewal);
            }

            turn.Close(Reason.Renewal);
            MakeClient(ref device, turn);
        }
        else if (device.Phase == Phase.Waiting)
        {
            turn.Dial(ref device, ConnackWaitMs);
        }
    }

    private static void Wait(ref ClientState device, Turn turn)
    {
        device.Phase = Phase.Waiting;
        turn.Arm(ref device, RetryTimer, ReconnectMs);
    }

    private void MakeClient(ref ClientState device, Turn turn)
    {
        device.ClearTimer(RetryTimer);
        device.TokenExpiry = (uint)((turn.UtcMs / 1000) + LifetimeSeconds);
        long renewAtUtcMs = (device.TokenExpiry - LifetimeSeconds + (long)RenewalSeconds!.Value) * 1000;
        turn.Arm(ref device, RenewTimer, renewAtUtcMs - turn.UtcMs);
        turn.Dial(ref device, ConnackWaitMs);
    }
}
