using Agent.Hub;

namespace Agent.Fleet;

// Azure IoT device SDK for Node.js 1.18.4 over MQTT (facts: sdk-renewal §6).
//
// The only one with a renewal margin to set: a timer from the making of the token (lifetime minus 900 s) ends the connection
// politely and opens a new one, without a single SUBSCRIBE. After a FIN it comes back only if somebody listens for methods,
// desired properties or messages; after a RST, and for a client that only sends, it waits for the application's next send.

/// <summary>Node.js.</summary>
public sealed class NodeClient(ClientSettings settings) : SdkModel(settings)
{
    private const int RenewTimer = 0;
    private const int StepTimer = 1;
    private const int ReconnectStarted = 2;
    private const long ConnackWaitMs = 60_000;
    private const long CloseWaitMs = 30_000;
    private const long EndDelayMs = 10;
    private const long OperationTimeoutMs = 240_000;

    // Until this is set the client has never had to restore its subscriptions.
    private const DeviceFlags Restoring = DeviceFlags.ModelA;

    /// <inheritdoc/>
    public override long LifetimeSeconds => Settings.LifetimeSeconds ?? 3600;

    /// <inheritdoc/>
    public override double? RenewalSeconds => Math.Round(LifetimeSeconds - MarginSeconds, 3);

    /// <inheritdoc/>
    public override ConnectFields Connect => new(
        Settings.KeepAliveSeconds ?? 180, false, "2021-04-12", "azure-iot-device/1.18.4 (node v20.20.2; Linux; x64)");

    /// <summary>A fixed tick; no answer by the next tick ends the connection.</summary>
    public override PingPolicy Ping => new(
        PingRule.FixedTick, Connect.KeepAliveSeconds * 1000L, Connect.KeepAliveSeconds * 1000L);

    private double MarginSeconds => Settings.RenewAt is { } renewAt ? LifetimeSeconds * (1 - renewAt)
        : Settings.RenewBeforeSeconds ?? 900;

    private bool Listens => Settings.Features != Features.None;

    /// <inheritdoc/>
    public override void OnStart(ref ClientState device, Turn turn)
    {
        device.Attempt = 0;
        device.SetTimer(ReconnectStarted, turn.NowMs);
        Dial(ref device, turn);
    }

    /// <inheritdoc/>
    public override void OnTransportUp(ref ClientState device, Turn turn) => turn.Connect(ref device, device.TokenExpiry);

    /// <inheritdoc/>
    public override void OnConnack(ref ClientState device, Turn turn, byte code, bool sessionPresent)
    {
        if (code != 0)
        {
            if (device.Has(DeviceFlags.EverConnected))
            {
                Retry(ref device, turn);
            }
            else
            {
                GiveUp(ref device, turn); // Before the first success: "Not authorized", not retried.
            }

            return;
        }

        device.Phase = Phase.Connected;
        device.Attempt = 0;
        if (!device.Has(DeviceFlags.EverConnected))
        {
            device.Flags |= DeviceFlags.EverConnected;
            SubscribeFirst(ref device, turn);
        }
        else if (device.Has(Restoring))
        {
            SubscribeAgain(ref device, turn);
        }

        device.Flags &= ~Restoring;
    }

    /// <inheritdoc/>
    public override void OnAttemptFailed(ref ClientState device, Turn turn, DialFault fault) => Retry(ref device, turn);

    /// <inheritdoc/>
    public override void OnClosed(ref ClientState device, Turn turn, bool reset)
    {
        device.ClearTimer(RenewTimer);
        device.ClearTimer(StepTimer);
        if (device.Phase == Phase.Renewing)
        {
            Dial(ref device, turn);
        }
        else if (Listens && !reset)
        {
            device.Attempt = 0;
            device.Flags |= Restoring;
            device.SetTimer(ReconnectStarted, turn.NowMs);
            Dial(ref device, turn);
        }
        else
        {
            WaitForSend(ref device, turn);
        }
    }

    /// <inheritdoc/>
    public override void OnOwnCloseDone(ref ClientState device, Turn turn)
    {
        if (device.Phase == Phase.Renewing)
        {
            device.ClearTimer(StepTimer);
            Dial(ref device, turn);
        }
    }

    /// <inheritdoc/>
    public override void OnTimer(ref ClientState device, Turn turn, int timer)
    {
        if (timer == RenewTimer)
        {
            if (device.Phase == Phase.Connected)
            {
                device.Phase = Phase.Renewing;
                turn.Arm(ref device, StepTimer, EndDelayMs);
            }

            return;
        }

        switch (device.Phase)
        {
            case Phase.Renewing when !device.Has(DeviceFlags.ModelB):
                device.Flags |= DeviceFlags.ModelB;
                turn.Disconnect(Reason.Renewal);
                turn.Close(Reason.Renewal);
                turn.Arm(ref device, StepTimer, CloseWaitMs);
                break;
            case Phase.Renewing:
                turn.Reset(Reason.Renewal); // Not closed in 30 s: destroyed.
                Dial(ref device, turn);
                break;
            case Phase.Waiting:
                Dial(ref device, turn);
                break;
        }
    }

    /// <inheritdoc/>
    public override void OnSendWhileDown(ref ClientState device, Turn turn)
    {
        if (device.Phase is Phase.Waiting or Phase.Stopped)
        {
            device.Attempt = 0;
            device.SetTimer(ReconnectStarted, turn.NowMs);
            Dial(ref device, turn);
        }
    }

    /// <summary>mqtt.js destroys the socket without an error: to the SDK that looks like a FIN.</summary>
    public override void OnPingLost(ref ClientState device, Turn turn)
    {
        turn.Reset(Reason.TimedOut);
        OnClosed(ref device, turn, reset: false);
    }

    // Every connect makes a token, and the renewal timer starts with it.
    private void Dial(ref ClientState device, Turn turn)
    {
        device.Flags &= ~DeviceFlags.ModelB;
        device.TokenExpiry = (uint)((turn.UtcMs / 1000) + LifetimeSeconds);
        turn.Arm(ref device, RenewTimer, (long)Math.Round(RenewalSeconds!.Value * 1000));
        turn.Dial(ref device, ConnackWaitMs);
    }

    // min(100 + (2^(k-1) - 1)·U(0,25), 10000) ms, k from 1; an operation has 240 s.
    private void Retry(ref ClientState device, Turn turn)
    {
        device.ClearTimer(RenewTimer);
        device.Attempt = (byte)Math.Min(device.Attempt + 1, 250);
        double steps = (1L << Math.Min(device.Attempt - 1, 20)) - 1;
        long waitMs = (long)Math.Min(100 + (steps * turn.Unit(ref device) * 25), 10_000);
        long spentMs = turn.NowMs - device.TimerDueMs(ReconnectStarted, turn.NowMs);
        if (spentMs + waitMs >= OperationTimeoutMs)
        {
            GiveUp(ref device, turn);
            return;
        }

        device.Phase = Phase.Waiting;
        turn.Arm(ref device, StepTimer, waitMs);
    }

    private void GiveUp(ref ClientState device, Turn turn)
    {
        device.ClearTimer(RenewTimer);
        WaitForSend(ref device, turn);
    }

    private static void WaitForSend(ref ClientState device, Turn turn)
    {
        device.Flags |= DeviceFlags.WakeOnSend;
        turn.Stop(ref device, Reason.GaveUp);
    }

    private void SubscribeFirst(ref ClientState device, Turn turn)
    {
        SubscribeAgain(ref device, turn);
        if ((Settings.Features & Features.Twin) != 0)
        {
            turn.Subscribe(ref device, Topics.TwinResponses);
            turn.TwinGet();
            turn.Subscribe(ref device, Topics.DesiredPatches);
        }
    }

    private void SubscribeAgain(ref ClientState device, Turn turn)
    {
        if ((Settings.Features & Features.Methods) != 0)
        {
            turn.Subscribe(ref device, Topics.Methods);
        }

        if ((Settings.Features & Features.CloudToDevice) != 0)
        {
            turn.Subscribe(ref device, Topics.CloudToDevice);
        }
    }
}
