using Agent.Hub;

namespace Agent.Fleet;

// Azure IoT device SDK for .NET 1.42.3 over MQTT (facts: sdk-renewal §3).
//
// It never renews. The token is looked at only while a CONNECT is being built: if more than the buffer remains it is used
// again, otherwise a new one is made. So the hub cuts the connection at expiry + grace, the client notices the closed socket
// and comes back 100 ms later; and after a blip in the middle of a token's life the connection still dies with the old token.

/// <summary>.NET, version 1.</summary>
public sealed class DotnetClient(ClientSettings settings) : SdkModel(settings)
{
    private const int RetryTimer = 0;
    private const int AttemptStarted = 1;
    private const long ConnackWaitMs = 60_000;

    /// <inheritdoc/>
    public override long LifetimeSeconds => Settings.LifetimeSeconds ?? 3600;

    /// <inheritdoc/>
    public override double? RenewalSeconds => null;

    /// <inheritdoc/>
    public override ConnectFields Connect => new(
        Settings.KeepAliveSeconds ?? 300, false, "2020-09-30", ".NET/1.42.3 (.NET 8.0; Linux; X64)");

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
        Dial(ref device, turn);
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
        }
        else if (code == 3)
        {
            Retry(ref device, turn);
        }
        else
        {
            // 4 and 5 become Unauthorized, 1 and 2 are unknown: the loop ends with Disconnected / Bad_Credential, and the
            // application's next call tries to open again.
            device.Flags |= DeviceFlags.WakeOnSend;
            turn.Stop(ref device, Reason.GaveUp);
        }
    }

    /// <inheritdoc/>
    public override void OnAttemptFailed(ref ClientState device, Turn turn, DialFault fault) => Retry(ref device, turn);

    /// <inheritdoc/>
    public override void OnClosed(ref ClientState device, Turn turn, bool reset)
    {
        device.Phase = Phase.Waiting;
        device.Attempt = 0;
        turn.Arm(ref device, RetryTimer, 100);
    }

    /// <inheritdoc/>
    public override void OnTimer(ref ClientState device, Turn turn, int timer)
    {
        if (device.Phase == Phase.Waiting)
        {
            Dial(ref device, turn);
        }
    }

    /// <inheritdoc/>
    public override void OnSendWhileDown(ref ClientState device, Turn turn)
    {
        if (device.Phase == Phase.Stopped)
        {
            device.Attempt = 0;
            Dial(ref device, turn);
        }
    }

    private static void Dial(ref ClientState device, Turn turn)
    {
        device.SetTimer(AttemptStarted, turn.NowMs);
        turn.Dial(ref device, ConnackWaitMs);
    }

    // min(100 + (2^n - 1)·R, 10000) ms with R in [80, 120), and at least one second from the start of the failed attempt.
    private static void Retry(ref ClientState device, Turn turn)
    {
        long spentMs = turn.NowMs - device.TimerDueMs(AttemptStarted, turn.NowMs);
        long random = 80 + (long)(turn.Unit(ref device) * 40);
        long raw = Math.Min(100 + (((1L << Math.Min(device.Attempt, (byte)20)) - 1) * random), 10_000);
        device.Attempt = (byte)Math.Min(device.Attempt + 1, 250);
        device.Phase = Phase.Waiting;
        turn.Arm(ref device, RetryTimer, Math.Max(raw, 1000 - spentMs));
    }

    // Each topic in a SUBSCRIBE of its own: twin responses always, C2D when the session was there, then what is enabled.
    private void Subscribe(ref ClientState device, Turn turn, bool sessionPresent)
    {
        turn.Subscribe(ref device, Topics.TwinResponses);
        if (sessionPresent)
        {
            turn.Subscribe(ref device, Topics.CloudToDevice);
        }

        if ((Settings.Features & Features.Methods) != 0)
        {
            turn.Subscribe(ref device, Topics.Methods);
        }

        if ((Settings.Features & Features.Twin) != 0)
        {
            turn.Subscribe(ref device, Topics.DesiredPatches);
        }

        if ((Settings.Features & Features.CloudToDevice) != 0 && !sessionPresent)
        {
            turn.Subscribe(ref device, Topics.CloudToDevice);
        }
    }
}
