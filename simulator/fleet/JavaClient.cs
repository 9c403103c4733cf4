using Agent.Hub;

namespace Agent.Fleet;

// Azure IoT device SDK for Java 2.5.1 over MQTT (facts: sdk-renewal §5).
//
// It never renews on MQTT either; the published 85 % belongs to AMQP. Every open makes a new token, one second longer than
// asked for. After a drop it tries at once, then with growing waits, and gives up for good when four minutes have passed.
// The first open is open(true), as in every sample: the same waits and four minutes, but whatever the reason of the failure
// (IotHubTransport.java:471-552); a reconnect ends at the first reason that is not retryable (:1490-1548).

/// <summary>Java, version 2.</summary>
public sealed class JavaClient(ClientSettings settings) : SdkModel(settings)
{
    private const int RetryTimer = 0;
    private const int RetriesStarted = 1;
    private const long ConnackWaitMs = 60_000;
    private const long OperationTimeoutMs = 240_000;
    private const long PahoTimeoutMs = 30_000; // MqttConnectOptions.CONNECTION_TIMEOUT_DEFAULT

    /// <inheritdoc/>
    public override long LifetimeSeconds => Settings.LifetimeSeconds ?? 3600;

    /// <inheritdoc/>
    public override double? RenewalSeconds => null;

    /// <inheritdoc/>
    public override ConnectFields Connect => new(
        Settings.KeepAliveSeconds ?? 230, false, "2020-09-30",
        "com.microsoft.azure.sdk.iot.iot-device-client/2.5.1 (17.0; Linux; amd64)");

    /// <inheritdoc/>
    public override long TcpWaitMs => PahoTimeoutMs;

    /// <inheritdoc/>
    public override long TlsWaitMs => PahoTimeoutMs;

    /// <summary>paho pings when either direction was quiet for a period, and waits another one for the answer.</summary>
    public override PingPolicy Ping => new(
        PingRule.SinceEither, Connect.KeepAliveSeconds * 1000L, Connect.KeepAliveSeconds * 1000L);

    /// <inheritdoc/>
    public override void OnStart(ref ClientState device, Turn turn)
    {
        device.Attempt = 0;
        device.SetTimer(RetriesStarted, turn.NowMs);
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
            Subscribe(ref device, turn);
        }
        else if (code is 3 or 5 || !device.Has(DeviceFlags.EverConnected))
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
    public override void OnAttemptFailed(ref ClientState device, Turn turn, DialFault fault)
    {
        if (fault == DialFault.Tls && device.Has(DeviceFlags.EverConnected))
        {
            turn.Stop(ref device, Reason.GaveUp); // An SSLException is none of the retryable ones (PahoExceptionTranslator).
        }
        else
        {
            Retry(ref device, turn);
        }
    }

    /// <inheritdoc/>
    public override void OnClosed(ref ClientState device, Turn turn, bool reset)
    {
        device.Attempt = 1; // The wait before the first attempt was none.
        device.SetTimer(RetriesStarted, turn.NowMs);
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

    // Wait n (n = 0, 1, ..): none, then min(100 + (2^n - 1)·R, 10000) ms with R a whole number in [80, 120). The four minutes are
    // looked at before a wait, not after it.
    private static void Retry(ref ClientState device, Turn turn)
    {
        if (turn.NowMs - device.TimerDueMs(RetriesStarted, turn.NowMs) > OperationTimeoutMs)
        {
            turn.Stop(ref device, Reason.GaveUp);
            return;
        }

        int n = device.Attempt;
        device.Attempt = (byte)Math.Min(n + 1, 250);
        long random = 80 + (long)(turn.Unit(ref device) * 40);
        device.Phase = Phase.Waiting;
        turn.Arm(ref device, RetryTimer, n == 0 ? 0 : Math.Min(100 + (((1L << Math.Min(n, 20)) - 1) * random), 10_000));
    }

    // Messages on every connect. The application's wishes once, then the persistent session is relied on: subscribing desired
    // properties starts the twin, which subscribes the responses before (MqttIotHubConnection.sendMessage, MqttTwin.start).
    private void Subscribe(ref ClientState device, Turn turn)
    {
        turn.Subscribe(ref device, Topics.CloudToDevice);
        if (device.Has(DeviceFlags.EverConnected))
        {
            return;
        }

        device.Flags |= DeviceFlags.EverConnected;
        Topics wanted = Wanted(Settings.Features);
        turn.Subscribe(ref device, wanted & Topics.TwinResponses);
        if ((Settings.Features & Features.Twin) != 0)
        {
            turn.TwinGet();
        }

        turn.Subscribe(ref device, wanted & Topics.DesiredPatches);
        turn.Subscribe(ref device, wanted & Topics.Methods);
    }
}
