using Agent.Hub;

namespace Agent.Fleet;

// Azure IoT device SDK for Python 2.14.0 over MQTT (facts: sdk-renewal §7).
//
// The token and its alarm belong to the client object, not to a connection: both start when the object is made, and drops do
// not move the alarm. 120 s before expiry the alarm, which looks at the clock once a second, makes a new token and, if
// connected, disconnects politely and connects again. After a drop: 10 ms, then every 10 s for ever, without jitter.

/// <summary>Python, version 2.</summary>
public sealed class PythonClient(ClientSettings settings) : SdkModel(settings)
{
    private const int AlarmTimer = 0;
    private const int RetryTimer = 1;
    private const int PollGrid = 2;
    private const long MarginSeconds = 120;
    private const long ConnectWatchdogMs = 60_000;
    private const DeviceFlags Reauthorizing = DeviceFlags.ModelA;

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

    /// <summary>paho pings when either direction was quiet for a period, and waits another one for the answer.</summary>
    public override PingPolicy Ping => new(
        PingRule.SinceEither, Connect.KeepAliveSeconds * 1000L, Connect.KeepAliveSeconds * 1000L);

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
            device.Flags &= ~Reauthorizing;
            Subscribe(ref device, turn);
        }
        else if (code == 3 || device.Has(Reauthorizing))
        {
            Wait(ref device, turn, 10_000); // While reauthorizing even a refusal is retried.
        }
        else
        {
            turn.Stop(ref device, Reason.GaveUp);
        }
    }

    /// <inheritdoc/>
    public override void OnAttemptFailed(ref ClientState device, Turn turn, DialFault fault) =>
        Wait(ref device, turn, 10_000);

    /// <inheritdoc/>
    public override void OnClosed(ref ClientState device, Turn turn, bool reset) => Wait(ref device, turn, 10);

    /// <inheritdoc/>
    public override void OnTimer(ref ClientState device, Turn turn, int timer)
    {
        if (timer == AlarmTimer)
        {
            MakeToken(ref device, turn);
            if (device.Phase == Phase.Connected)
            {
                turn.Disconnect(Reason.Renewal);
                turn.Close(Reason.Renewal);
                device.Flags |= Reauthorizing;
                Dial(ref device, turn);
            }
        }
        else if (device.Phase == Phase.Waiting)
        {
            Dial(ref device, turn);
        }
    }

    private static void Dial(ref ClientState device, Turn turn) => turn.Dial(ref device, ConnectWatchdogMs);

    private static void Wait(ref ClientState device, Turn turn, long waitMs)
    {
        device.Phase = Phase.Waiting;
        turn.Arm(ref device, RetryTimer, waitMs);
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
            lookMs += 1000; // A lifetime of 120 s or less: renewed at every look.
        }

        device.SetTimer(PollGrid, lookMs);
        turn.Arm(ref device, AlarmTimer, lookMs - turn.NowMs);
    }

    // The SDK subscribes when a feature is switched on and then relies on the session; a twin GET follows every connect
    // while desired patches are on.
    private void Subscribe(ref ClientState device, Turn turn)
    {
        if (!device.Has(DeviceFlags.EverConnected))
        {
            device.Flags |= DeviceFlags.EverConnected;
            if ((Settings.Features & Features.Methods) != 0)
            {
                turn.Subscribe(ref device, Topics.Methods);
            }

            if ((Settings.Features & Features.CloudToDevice) != 0)
            {
                turn.Subscribe(ref device, Topics.CloudToDevice);
            }

            if ((Settings.Features & Features.Twin) != 0)
            {
                turn.Subscribe(ref device, Topics.TwinResponses);
                turn.Subscribe(ref device, Topics.DesiredPatches);
            }
        }

        if ((Settings.Features & Features.Twin) != 0)
        {
            turn.TwinGet();
        }
    }
}
