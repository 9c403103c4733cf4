using Agent.Hub;

namespace Agent.Fleet;

// Azure IoT device SDK for .NET 1.42.3 over MQTT (facts: sdk-renewal §3; files under iothub/device/src).
//
// It never renews. The token is looked at only while a CONNECT is being built: if more than the buffer remains it is used
// again, otherwise a new one is made. So the hub cuts the connection at expiry + grace, the client notices the closed socket
// and comes back 100 ms later; and after a blip in the middle of a token's life the connection still dies with the old token.
//
// The loop after a drop has no end and restores every subscription. An operation of the application (the first open, or a
// send after the loop has ended with a refusal) has four minutes, and restores nothing.

/// <summary>.NET, version 1.</summary>
public sealed class DotnetClient(ClientSettings settings) : SdkModel(settings)
{
    private const int RetryTimer = 0;
    private const int AttemptStarted = 1;
    private const int OperationStarted = 2; // Armed while the application's operation, not the loop, is connecting.
    private const long ConnackWaitMs = 60_000; // MqttTransportSettings.ConnectArrivalTimeout, counted from TCP
    private const long OperationTimeoutMs = 240_000; // DeviceClient.DefaultOperationTimeoutInMilliseconds

    /// <inheritdoc/>
    public override long LifetimeSeconds => Settings.LifetimeSeconds ?? 3600;

    /// <inheritdoc/>
    public override double? RenewalSeconds => null;

    /// <inheritdoc/>
    public override ConnectFields Connect => new(
        Settings.KeepAliveSeconds ?? 300, false, "2020-09-30", ".NET/1.42.3 (.NET 8.0; Linux; X64)");

    /// <summary>DotNetty's own limit for TCP.</summary>
    public override long TcpWaitMs => 30_000;

    /// <summary>A task looks every quarter of the keep-alive and pings when nothing was received since; 30 s to answer.</summary>
    public override PingPolicy Ping => new(PingRule.TickIfQuiet, Connect.KeepAliveSeconds * 250L, 30_000);

    // SasTokenRenewalBuffer is a percentage of what remains of the life: 15 by default, 10 for "renew at 90 %".
    private double BufferShare => Settings.RenewAt is { } renewAt ? 1 - renewAt
        : Settings.RenewBeforeSeconds is { } before ? before / LifetimeSeconds
        : 0.15;

    /// <inheritdoc/>
    public override void OnStart(ref ClientState device, Turn turn)
    {
        device.TokenExpiry = 0;
        DialForApplication(ref device, turn);
    }

    /// <inheritdoc/>
    public override void OnTransportUp(ref ClientState device, Turn turn) =>
        turn.Connect(ref device, CachedToken.Expiry(ref device, turn, LifetimeSeconds, BufferShare));

    /// <inheritdoc/>
    public override void OnConnack(ref ClientState device, Turn turn, byte code, bool sessionPresent)
    {
        if (code == 0)
        {
            device.Phase = Phase.Connected;
            device.Attempt = 0;
            Subscribe(ref device, turn, sessionPresent);
            device.ClearTimer(OperationStarted);
            device.Flags |= DeviceFlags.EverConnected;
        }
        else if (code == 3)
        {
            Retry(ref device, turn);
        }
        else
        {
            // 4 and 5 become Unauthorized, 1 and 2 are unknown: the loop ends with Disconnected / Bad_Credential, and the
            // application's next call tries to open again (MqttIotHubAdapter.cs:526-561).
            GiveUp(ref device, turn);
        }
    }

    /// <inheritdoc/>
    public override void OnAttemptFailed(ref ClientState device, Turn turn, DialFault fault) => Retry(ref device, turn);

    /// <inheritdoc/>
    public override void OnClosed(ref ClientState device, Turn turn, bool reset)
    {
        device.Phase = Phase.Waiting;
        device.Attempt = 0;
        device.ClearTimer(OperationStarted);
        turn.Arm(ref device, RetryTimer, 100);
    }

    /// <inheritdoc/>
    public override void OnTimer(ref ClientState device, Turn turn, int timer)
    {
        if (device.Phase != Phase.Waiting)
        {
            return;
        }

        if (device.IsArmed(OperationStarted) &&
            turn.NowMs - device.TimerDueMs(OperationStarted, turn.NowMs) >= OperationTimeoutMs)
        {
            GiveUp(ref device, turn); // RetryPolicy.cs: looked at after the wait.
        }
        else
        {
            Dial(ref device, turn);
        }
    }

    /// <inheritdoc/>
    public override void OnSendWhileDown(ref ClientState device, Turn turn)
    {
        if (device.Phase == Phase.Stopped)
        {
            DialForApplication(ref device, turn);
        }
    }

    private static void DialForApplication(ref ClientState device, Turn turn)
    {
        device.Attempt = 0;
        device.SetTimer(OperationStarted, turn.NowMs);
        Dial(ref device, turn);
    }

    private static void Dial(ref ClientState device, Turn turn)
    {
        device.SetTimer(AttemptStarted, turn.NowMs);
        turn.Dial(ref device, ConnackWaitMs);
    }

    // min(100 + (2^n - 1)·R, 10000) ms with R a whole number in [80, 120), and at least one second from the start of the failed
    // attempt (ExponentialBackoffRetryStrategy.cs:99-120, RetryPolicy.cs:342-352).
    private static void Retry(ref ClientState device, Turn turn)
    {
        long spentMs = turn.NowMs - device.TimerDueMs(AttemptStarted, turn.NowMs);
        long random = 80 + (long)(turn.Unit(ref device) * 40);
        long raw = Math.Min(100 + (((1L << Math.Min(device.Attempt, (byte)20)) - 1) * random), 10_000);
        device.Attempt = (byte)Math.Min(device.Attempt + 1, 250);
        device.Phase = Phase.Waiting;
        turn.Arm(ref device, RetryTimer, Math.Max(raw, 1000 - spentMs));
    }

    private static void GiveUp(ref ClientState device, Turn turn)
    {
        device.ClearTimer(OperationStarted);
        device.Flags |= DeviceFlags.WakeOnSend;
        turn.Stop(ref device, Reason.GaveUp);
    }

    // Each topic in a SUBSCRIBE of its own. With a session the adapter asks for messages itself, on its event loop, before the
    // open goes on to twin responses (MqttIotHubAdapter.cs:581-584, MqttTransportHandler.cs:1043-1045); then what was enabled is
    // recovered, messages once more (RetryDelegatingHandler.cs:1115-1150).
    private void Subscribe(ref ClientState device, Turn turn, bool sessionPresent)
    {
        Topics wanted = Wanted(Settings.Features);
        if (sessionPresent)
        {
            turn.Subscribe(ref device, Topics.CloudToDevice);
        }

        turn.Subscribe(ref device, Topics.TwinResponses);
        if (!device.Has(DeviceFlags.EverConnected))
        {
            // The application: GetTwin, then its callbacks.
            if ((Settings.Features & Features.Twin) != 0)
            {
                turn.TwinGet();
            }

            turn.Subscribe(ref device, wanted & Topics.DesiredPatches);
            turn.Subscribe(ref device, wanted & Topics.Methods);
            turn.Subscribe(ref device, wanted & Topics.CloudToDevice);
        }
        else if (!device.IsArmed(OperationStarted))
        {
            turn.Subscribe(ref device, wanted & Topics.Methods);
            turn.Subscribe(ref device, wanted & Topics.DesiredPatches);
            turn.Subscribe(ref device, wanted & Topics.CloudToDevice);
        }
    }
}
