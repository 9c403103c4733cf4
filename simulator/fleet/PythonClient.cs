using Agent.Hub;

namespace Agent.Fleet;

// Azure IoT device SDK for Python 2.14.0 over MQTT (facts: sdk-renewal §7; files under azure/iot/device/common/pipeline).
//
// The token and its alarm belong to the client object, not to a connection: both start when the object is made, and drops do
// not move the alarm. 120 s before expiry the alarm, which looks at the clock once a second, makes a new token and, if
// connected, disconnects politely and connects again. After a drop: 10 ms, then every 10 s for ever, without jitter.
//
// Three kinds of attempt fail in three ways. The application's own (connect, or a send while there is no connection) raises
// and is over; the reconnect loop ends with a refusal that is not code 3; a reauthorization retries everything, but by a timer
// that the next alarm cancels and nobody starts again: whoever is refused from one renewal to the next stays away.

/// <summary>Python, version 2.</summary>
public sealed class PythonClient(ClientSettings settings) : SdkModel(settings)
{
    private const int AlarmTimer = 0;
    private const int RetryTimer = 1;
    private const int PollGrid = 2;
    private const long MarginSeconds = 120; // pipeline_stages_base.py:356
    private const long ConnectWatchdogMs = 60_000; // pipeline_stages_mqtt.py WATCHDOG_INTERVAL
    private const long RetryMs = 10_000; // connection_retry_interval
    private const long FirstRetryMs = 10; // pipeline_stages_base.py:1117
    private const DeviceFlags Reauthorizing = DeviceFlags.ModelA;

    // The SDK itself wants the connection back: a drop, not a failed first connect.
    private const DeviceFlags Reconnecting = DeviceFlags.ModelB;

    /// <inheritdoc/>
    public override long LifetimeSeconds => Settings.LifetimeSeconds ?? 3600;

    /// <inheritdoc/>
    public override double? RenewalSeconds => LifetimeSeconds - MarginSeconds;

    /// <inheritdoc/>
    public override ConnectFields Connect => new(
        Settings.KeepAliveSeconds ?? 60, false, "2019-10-01",
        "azure-iot-device-iothub-py/2.14.0(3.11.7;Linux;x86_64)");

    /// <summary>paho's socket connect gives up after 5 s.</summary>
    public override long TcpWaitMs => 5_000;

    /// <summary>paho's TLS handshake has the keep-alive as its time-out (paho client.py:1072).</summary>
    public override long TlsWaitMs => Connect.KeepAliveSeconds * 1000L;

    /// <summary>paho pings when either direction was quiet for a period, and waits another one for the answer.</summary>
    public override PingPolicy Ping => new(
        PingRule.SinceEither, Connect.KeepAliveSeconds * 1000L, Connect.KeepAliveSeconds * 1000L);

    private bool UsesTwin => (Settings.Features & Features.Twin) != 0;

    /// <inheritdoc/>
    public override void OnStart(ref ClientState device, Turn turn)
    {
        device.SetTimer(PollGrid, turn.NowMs);
        MakeToken(ref device, turn);
        Dial(ref device, turn);
    }

    /// <inheritdoc/>
    public override void OnTransportUp(ref ClientState device, Turn turn) => turn.Connect(ref device, device.TokenExpiry);

    /// <inheritdoc/>
    public override void OnConnack(ref ClientState device, Turn turn, byte code, bool sessionPresent)
    {
        if (code == 0)
        {
            device.Phase = Phase.Connected;
            device.Flags &= ~(Reauthorizing | Reconnecting);
            device.ClearTimer(RetryTimer);
            Subscribe(ref device, turn);
        }
        else
        {
            Failed(ref device, turn, transient: code == 3); // mqtt_transport.py:21-27
        }
    }

    /// <inheritdoc/>
    public override void OnAttemptFailed(ref ClientState device, Turn turn, DialFault fault) =>
        Failed(ref device, turn, transient: true);

    /// <inheritdoc/>
    public override void OnClosed(ref ClientState device, Turn turn, bool reset)
    {
        device.Flags = (device.Flags | Reconnecting) & ~Reauthorizing;
        Wait(ref device, turn, FirstRetryMs);
    }

    /// <inheritdoc/>
    public override void OnTimer(ref ClientState device, Turn turn, int timer)
    {
        if (timer == AlarmTimer)
        {
            OnAlarm(ref device, turn);
        }
        else if (device.Phase == Phase.Waiting)
        {
            Dial(ref device, turn);
        }
        else if (device.Phase is Phase.Dialing or Phase.AwaitingConnack)
        {
            turn.Arm(ref device, RetryTimer, RetryMs); // The application is connecting: later (pipeline_stages_base.py:1245).
        }
    }

    /// <inheritdoc/>
    public override void OnSendWhileDown(ref ClientState device, Turn turn)
    {
        if (device.Phase is Phase.Waiting or Phase.Stopped)
        {
            Dial(ref device, turn); // AutoConnectStage; the retry timer stays as it is.
        }
    }

    private void OnAlarm(ref ClientState device, Turn turn)
    {
        MakeToken(ref device, turn);
        if (device.Phase == Phase.Connected)
        {
            turn.Disconnect(Reason.Renewal);
            turn.Close(Reason.Renewal);
            device.Flags |= Reauthorizing;
            Dial(ref device, turn);
        }
        else if (device.Phase == Phase.Waiting && device.Has(Reauthorizing))
        {
            device.ClearTimer(RetryTimer); // pipeline_stages_base.py:458; not connected, so nothing takes its place.
            Stop(ref device, turn);
        }
    }

    private static void Dial(ref ClientState device, Turn turn) => turn.Dial(ref device, ConnectWatchdogMs);

    private static void Failed(ref ClientState device, Turn turn, bool transient)
    {
        if (device.IsArmed(RetryTimer))
        {
            WaitForTurn(ref device); // An attempt of the application's in between.
        }
        else if (device.Has(Reauthorizing) || (device.Has(Reconnecting) && transient))
        {
            Wait(ref device, turn, RetryMs); // While reauthorizing even a refusal is retried.
        }
        else
        {
            Stop(ref device, turn);
        }
    }

    private static void Wait(ref ClientState device, Turn turn, long waitMs)
    {
        WaitForTurn(ref device);
        turn.Arm(ref device, RetryTimer, waitMs);
    }

    private static void WaitForTurn(ref ClientState device)
    {
        device.Phase = Phase.Waiting;
        device.Flags |= DeviceFlags.WakeOnSend;
    }

    private static void Stop(ref ClientState device, Turn turn)
    {
        device.Flags = (device.Flags | DeviceFlags.WakeOnSend) & ~(Reauthorizing | Reconnecting);
        turn.Stop(ref device, Reason.GaveUp);
    }

    // se = int(now + TTL); the alarm fires at the first look (one a second, counted from the making of the client) at which
    // the clock has reached se - 120.
    private void MakeToken(ref ClientState device, Turn turn)
    {
        long expiry = (turn.UtcMs / 1000) + LifetimeSeconds;
        device.TokenExpiry = (uint)expiry;
        long dueMs = turn.NowMs + Math.Max(0, ((expiry - MarginSeconds) * 1000) - turn.UtcMs);
        long phaseMs = device.TimerDueMs(PollGrid, turn.NowMs);
        long looks = ((dueMs - phaseMs) + 999) / 1000;
        long lookMs = phaseMs + (looks * 1000);
        if (lookMs <= turn.NowMs)
        {
            lookMs += 1000; // A lifetime of 120 s or less: the SDK renews without a pause, here at every look.
        }

        device.SetTimer(PollGrid, lookMs);
        turn.Arm(ref device, AlarmTimer, lookMs - turn.NowMs);
    }

    // The application gets its twin, then sets its handlers: each is a SUBSCRIBE of its own, once. Afterwards the session is
    // relied on, and a twin GET follows every connect while desired patches are on (EnsureDesiredPropertiesStage).
    private void Subscribe(ref ClientState device, Turn turn)
    {
        Topics wanted = Wanted(Settings.Features);
        bool first = !device.Has(DeviceFlags.EverConnected);
        device.Flags |= DeviceFlags.EverConnected;
        if (first)
        {
            turn.Subscribe(ref device, wanted & Topics.TwinResponses);
        }

        if (UsesTwin)
        {
            turn.TwinGet();
        }

        if (first)
        {
            turn.Subscribe(ref device, wanted & Topics.DesiredPatches);
            turn.Subscribe(ref device, wanted & Topics.Methods);
            turn.Subscribe(ref device, wanted & Topics.CloudToDevice);
        }
    }
}
