using Agent.Hub;

namespace Agent.Fleet;

// Azure IoT device SDK for C 1.15.0 over MQTT (facts: sdk-renewal §9).
//
// It watches the seconds since CONNECT: at more than 80 % of the lifetime, counted in whole seconds, it disconnects politely
// and the next round of its work loop connects again: every 48 minutes by default, for a token of the user's own, too.
// Everything is subscribed in one packet after every CONNACK. It never gives up, not even on CONNACK 5.

/// <summary>C.</summary>
public sealed class CClient(ClientSettings settings) : SdkModel(settings)
{
    private const int RenewTimer = 0;
    private const int StepTimer = 1;
    private const int AttemptStarted = 2;
    private const long ConnackWaitMs = 31_000;
    private const long PumpMs = 50;

    /// <inheritdoc/>
    public override long LifetimeSeconds => Settings.LifetimeSeconds ?? 3600;

    /// <inheritdoc/>
    public override double? RenewalSeconds => Math.Floor(LifetimeSeconds * 0.8) + 1;

    /// <inheritdoc/>
    public override ConnectFields Connect => new(
        Settings.KeepAliveSeconds ?? 240, false, "2020-09-30", "iothubclient/1.15.0 (native; Linux; x86_64)");

    /// <summary>A period after the last packet sent; the answer may take 80 s or half the period.</summary>
    public override PingPolicy Ping => new(
        PingRule.SinceSent, Connect.KeepAliveSeconds * 1000L, Math.Min(80_000, Connect.KeepAliveSeconds * 500L));

    /// <inheritdoc/>
    public override void OnStart(ref ClientState device, Turn turn) => Dial(ref device, turn);

    /// <inheritdoc/>
    public override void OnTransportUp(ref ClientState device, Turn turn)
    {
        turn.Connect(ref device, (turn.UtcMs / 1000) + LifetimeSeconds);
        turn.Arm(ref device, RenewTimer, (long)(RenewalSeconds!.Value * 1000));
    }

    /// <inheritdoc/>
    public override void OnConnack(ref ClientState device, Turn turn, byte code, bool sessionPresent)
    {
        if (code == 0)
        {
            device.Phase = Phase.Connected;
            device.Attempt = 0;
            turn.Subscribe(ref device, Wanted(Settings.Features));
            if ((Settings.Features & Features.Twin) != 0)
            {
                turn.TwinGet();
            }
        }
        else if (code is 3 or 5)
        {
            Retry(ref device, turn);
        }
        else
        {
            device.ClearTimer(RenewTimer);
            turn.Stop(ref device, Reason.GaveUp);
        }
    }

    /// <inheritdoc/>
    public override void OnAttemptFailed(ref ClientState device, Turn turn, DialFault fault) => Retry(ref device, turn);

    /// <inheritdoc/>
    public override void OnClosed(ref ClientState device, Turn turn, bool reset)
    {
        device.ClearTimer(RenewTimer);
        if (device.Phase == Phase.Renewing)
        {
            return; // The hub closed first; the work loop goes on in its own time.
        }

        device.Attempt = 0;
        Retry(ref device, turn);
    }

    /// <inheritdoc/>
    public override void OnTimer(ref ClientState device, Turn turn, int timer)
    {
        if (timer == RenewTimer)
        {
            if (device.Phase == Phase.Connected)
            {
                turn.Disconnect(Reason.Renewal);
                device.Phase = Phase.Renewing;
                turn.Arm(ref device, StepTimer, PumpMs);
            }
        }
        else if (device.Phase == Phase.Renewing)
        {
            turn.Close(Reason.Renewal);
            device.Attempt = 1; // To the retry control this is the first retry, the immediate one.
            Dial(ref device, turn);
        }
        else if (device.Phase == Phase.Waiting)
        {
            Dial(ref device, turn);
        }
    }

    private static void Dial(ref ClientState device, Turn turn)
    {
        device.SetTimer(AttemptStarted, turn.NowMs);
        turn.Dial(ref device, ConnackWaitMs);
    }

    // The first retry at once, then int(min(2^(n-1), 30)·(1 + U(0, 0.05))) s: the truncation leaves jitter only at the cap. Waits
    // count from the beginning of the failed attempt and in whole seconds of the tick (iothub_client_retry_control.c).
    private static void Retry(ref ClientState device, Turn turn)
    {
        device.ClearTimer(RenewTimer);
        device.Phase = Phase.Waiting;
        int n = device.Attempt;
        device.Attempt = (byte)Math.Min(device.Attempt + 1, 250);
        if (n == 0)
        {
            turn.Arm(ref device, StepTimer, 0);
            return;
        }

        double seconds = Math.Min(Math.Pow(2, n - 1), 30) * (1 + (turn.Unit(ref device) * 0.05));
        long startedMs = device.TimerDueMs(AttemptStarted, turn.NowMs);
        turn.Arm(ref device, StepTimer, (((startedMs / 1000) + (long)seconds) * 1000) - turn.NowMs);
    }
}
