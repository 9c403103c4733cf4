using Agent.Hub;

namespace Agent.Fleet;

// nanoFramework.Azure.Devices 1.2 over MQTT (facts: sdk-renewal §11; the pauses were measured, nf-baseline §2).
//
// A token for 24 hours, a timer for 23 h 50 min, and at that moment Close, a second of sleep, Open. Nothing else: a lost
// connection is only reported, so the device stays away until the timer; if that Open fails it stays away for good.

/// <summary>The stock client of .NET nanoFramework.</summary>
public sealed class NanoFrameworkClient(ClientSettings settings) : SdkModel(settings)
{
    private const int RenewTimer = 0;
    private const int StepTimer = 1;
    private const long RenewAfterMs = 85_800_000;
    private const long ConnackWaitMs = 30_000;
    private const long CloseMs = 200;
    private const long SleepMs = 1000;

    /// <inheritdoc/>
    public override long LifetimeSeconds => 86_400;

    /// <inheritdoc/>
    public override double? RenewalSeconds => RenewAfterMs / 1000.0;

    /// <inheritdoc/>
    public override ConnectFields Connect => new(
        Settings.KeepAliveSeconds ?? 60, true, "2021-04-12", "nano;azrsdk1.2.120;ESP32_REV3");

    /// <inheritdoc/>
    public override void OnStart(ref ClientState device, Turn turn) => turn.Dial(ref device, ConnackWaitMs);

    /// <inheritdoc/>
    public override void OnTransportUp(ref ClientState device, Turn turn) =>
        turn.Connect(ref device, (turn.UtcMs / 1000) + LifetimeSeconds);

    /// <inheritdoc/>
    public override void OnConnack(ref ClientState device, Turn turn, byte code, bool sessionPresent)
    {
        if (code != 0)
        {
            turn.Stop(ref device, Reason.GaveUp); // Open returns false; no timer is armed.
            return;
        }

        device.Phase = Phase.Connected;
        turn.Arm(ref device, RenewTimer, RenewAfterMs);
        turn.Subscribe(ref device, Topics.CloudToDevice | Topics.AllTwin | Topics.Methods);
    }

    /// <inheritdoc/>
    public override void OnAttemptFailed(ref ClientState device, Turn turn, DialFault fault) =>
        turn.Stop(ref device, Reason.GaveUp);

    /// <inheritdoc/>
    public override void OnClosed(ref ClientState device, Turn turn, bool reset) => turn.Stop(ref device, Reason.GaveUp);

    /// <inheritdoc/>
    public override void OnTimer(ref ClientState device, Turn turn, int timer)
    {
        if (timer == StepTimer)
        {
            turn.Dial(ref device, ConnackWaitMs);
            return;
        }

        if (device.Phase == Phase.Connected)
        {
            turn.Disconnect(Reason.Renewal);
            turn.Close(Reason.Renewal);
        }

        device.Phase = Phase.Renewing;
        turn.Arm(ref device, StepTimer, CloseMs + SleepMs);
    }
}
