using Agent.Hub;

namespace Agent.Fleet;

// Azure IoT device SDK for Java 2.5.1 over MQTT (facts: sdk-renewal §5).
//
// It never renews on MQTT either; the published 85 % belongs to AMQP. Every open makes a new token, one second longer than
// asked for. After a drop it tries at once, then with growing waits, and gives up for good when four minutes have passed.

/// <summary>Java, version 2.</summary>
public sealed class JavaClient(ClientSettings settings) : SdkModel(settings)
{
    private const int RetryTimer = 0;
    private const int ReconnectStarted = 1;
    private const long ConnackWaitMs = 60_000;
    private const long OperationTimeoutMs = 240_000;

    /// <inheritdoc/>
    public override long LifetimeSeconds => Settings.LifetimeSeconds ?? 3600;

    /// <inheritdoc/>
    public override double? RenewalSeconds => null;

    /// <inheritdoc/>
    public override ConnectFields Connect => new(
        Settings.KeepAliveSeconds ?? 230, false, "2020-09-30",
        "com.microsoft.azure.sdk.iot.iot-device-client/2.5.1 (17.0; Linux; amd64)");

    /// <summary>paho pings when either direction was quiet for a period, and waits another one for the answer.</summary>
    public override PingPolicy Ping => new(
        PingRule.SinceEither, Connect.KeepAliveSeconds * 1000L, Connect.KeepAliveSeconds * 1000L);

    /// <inheritdoc/>
    public override void OnStart(ref ClientState device, Turn turn)
    {
        device.Attempt = 0;
        Dial(ref device, turn);
    }

    /// <inheritdoc/>
    public override void OnTransportUp(ref ClientState device, Turn turn) =>
        turn.Connect(ref device, (turn.UtcMs / 1000) + LifetimeSeconds + 1);

    /// <inheritdoc/>
    public override void OnConnack(ref ClientState device, Turn turn, byte code, bool sessionPresent)
    {
        if (code == 0)
        {
            device.Phase = Phase.Connected;
            device.Attempt = 0;
            device.Flags |= DeviceFlags.EverConnected;
            Subscribe(ref device, turn);
        }
        else if (code is 3 or 5)
        {
            // 5 counts as retryable for as long as the client holds a key, which it does here.
            Retry(ref device, turn);
        }
        else
        {
            turn.Stop(ref device, Reason.GaveUp);
        }
    }

    /// <inheritdoc/>
    public override void OnAttemptFailed(ref ClientState device, Turn turn, DialFault fault) => Retry(ref device, turn);

    /// <inheritdoc/>
    public override void OnClosed(ref ClientState device, Turn turn, bool reset)
    {
        device.Attempt = 0;
        device.SetTimer(ReconnectStarted, turn.NowMs);
        Dial(ref device, turn);
    }

    /// <inheritdoc/>
    public override void OnTimer(ref ClientState device, Turn turn, int timer)
    {
        if (device.Phase == Phase.Waiting)
        {
            Dial(ref device, turn);
        }
    }

    private static void Dial(ref ClientState device, Turn turn) => turn.Dial(ref device, ConnackWaitMs);

    // min(100 + (2^n - 1)·U[80,120), 10000) ms; the whole reconnect is bounded by the operation timeout. The first open is
    // the application's call: it fails with an exception and is not repeated.
    private static void Retry(ref ClientState device, Turn turn)
    {
        if (!device.Has(DeviceFlags.EverConnected))
        {
            turn.Stop(ref device, Reason.GaveUp);
            return;
        }

        device.Attempt = (byte)Math.Min(device.Attempt + 1, 250);
        double factor = 80 + (turn.Unit(ref device) * 40);
        long waitMs = (long)Math.Min(100 + (((1L << Math.Min(device.Attempt, (byte)20)) - 1) * factor), 10_000);
        long spentMs = turn.NowMs - device.TimerDueMs(ReconnectStarted, turn.NowMs);
        if (spentMs + waitMs >= OperationTimeoutMs)
        {
            turn.Stop(ref device, Reason.GaveUp);
            return;
        }

        device.Phase = Phase.Waiting;
        turn.Arm(ref device, RetryTimer, waitMs);
    }

    // C2D on every connect; methods and desired patches once, then the persistent session is relied on.
    private void Subscribe(ref ClientState device, Turn turn)
    {
        turn.Subscribe(ref device, Topics.CloudToDevice);
        if ((Settings.Features & Features.Methods) != 0 && (device.Topics & Topics.Methods) == 0)
        {
            turn.Subscribe(ref device, Topics.Methods);
        }

        if ((Settings.Features & Features.Twin) != 0 && (device.Topics & Topics.DesiredPatches) == 0)
        {
            turn.Subscribe(ref device, Topics.TwinResponses);
            turn.Subscribe(ref device, Topics.DesiredPatches);
        }
    }
}
