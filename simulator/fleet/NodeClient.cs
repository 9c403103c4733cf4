using Agent.Hub;

namespace Agent.Fleet;

// Azure IoT device SDK for Node.js 1.18.4 over MQTT (facts: sdk-renewal §6; compared with the genuine one on loopback).
//
// The only one with a renewal margin to set: a timer from the making of the token (lifetime minus 900 s) ends the connection
// politely and opens a new one, without a single SUBSCRIBE. After a FIN it comes back only if somebody listens for methods,
// desired properties or messages; after a RST, and for a client that only sends, it waits for the application's next send.
//
// What comes back after a FIN is not the client but its features: methods, desired properties and messages are three
// operations, each with retries of its own (internal_client.ts:88-123, device_client.ts:79-109). The first one dials, the
// others wait behind it; when it fails the next one dials at once, so with the port closed each round is a burst of as many
// attempts as there are features, and every operation subscribes when its own turn has come.

/// <summary>Node.js.</summary>
public sealed class NodeClient(ClientSettings settings) : SdkModel(settings)
{
    // While there is a connection: renewal, step of a renewal, beginning of the application's own operation. While features
    // are being restored each slot belongs to the operation of a feature: armed = it waits, in the past = it is next in line,
    // idle = it is the one that dials, or is done.
    private const int RenewTimer = 0;
    private const int StepTimer = 1;
    private const int SendStarted = 2;
    private const int TwinOperation = 0;
    private const int MethodsOperation = 1;
    private const int MessagesOperation = 2;

    private const long ConnackWaitMs = 60_000; // mqtt_base.ts:398 connectTimeout, counted from the dial
    private const long CloseWaitMs = 30_000; // mqtt_base.ts:263
    private const long EndDelayMs = 10; // mqtt.js client.js: end() waits for what is in flight, then 10 ms
    private const long OperationTimeoutMs = 240_000; // internal_client.ts:24-26

    private const DeviceFlags Restoring = DeviceFlags.ModelA;

    // While renewing: DISCONNECT is out. While dialling: a renewal fell due and comes right after the CONNACK.
    private const DeviceFlags Step = DeviceFlags.ModelB;

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

    private long RenewalMs => (long)Math.Round(RenewalSeconds!.Value * 1000);

    private bool Listens => Settings.Features != Features.None;

    /// <inheritdoc/>
    public override void OnStart(ref ClientState device, Turn turn) => DialForApplication(ref device, turn);

    /// <inheritdoc/>
    public override void OnTransportUp(ref ClientState device, Turn turn) => turn.Connect(ref device, device.TokenExpiry);

    /// <inheritdoc/>
    public override void OnConnack(ref ClientState device, Turn turn, byte code, bool sessionPresent)
    {
        if (code != 0)
        {
            // An operation that connects by itself translates the error twice, which leaves only "Server unavailable" to be
            // retried (mqtt.ts:146-158, mqtt_translate_error.ts:30-65); restoring translates once, and retries every code.
            Failed(ref device, turn, retried: code == 3);
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

        if (!device.Has(Restoring))
        {
            device.ClearTimer(SendStarted);
        }

        if (!device.IsArmed(RenewTimer))
        {
            turn.Arm(ref device, RenewTimer, RenewalMs);
        }

        if (device.Has(Step))
        {
            device.Flags &= ~Step;
            Renew(ref device, turn);
        }
    }

    /// <inheritdoc/>
    public override void OnAttemptFailed(ref ClientState device, Turn turn, DialFault fault) =>
        Failed(ref device, turn, retried: device.Has(DeviceFlags.EverConnected));

    /// <inheritdoc/>
    public override void OnClosed(ref ClientState device, Turn turn, bool reset)
    {
        if (device.Phase == Phase.Renewing)
        {
            Dial(ref device, turn);
        }
        else if (!reset)
        {
            Restore(ref device, turn);
        }
        else
        {
            GiveUp(ref device, turn);
        }
    }

    /// <inheritdoc/>
    public override void OnOwnCloseDone(ref ClientState device, Turn turn)
    {
        if (device.Phase == Phase.Renewing)
        {
            Dial(ref device, turn);
        }
    }

    /// <inheritdoc/>
    public override void OnTimer(ref ClientState device, Turn turn, int timer)
    {
        bool renewal = timer == RenewTimer && !(device.Has(Restoring) && RestoresTwin && device.Phase != Phase.Connected);
        switch (device.Phase)
        {
            case Phase.Connected when renewal:
                Renew(ref device, turn);
                break;
            case Phase.Dialing or Phase.AwaitingConnack when renewal:
                device.Flags |= Step;
                turn.Arm(ref device, RenewTimer, RenewalMs);
                break;
            case Phase.Renewing when renewal:
                turn.Arm(ref device, RenewTimer, RenewalMs);
                break;
            case Phase.Renewing when !device.Has(Step):
                device.Flags |= Step;
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
            case Phase.Dialing or Phase.AwaitingConnack when device.Has(Restoring):
                device.SetTimer(timer, turn.NowMs); // Another operation is dialling: next in line.
                break;
            case Phase.Connected when device.Has(Restoring):
                SubscribeOperation(ref device, turn, timer);
                NoteRestored(ref device);
                break;
        }
    }

    /// <inheritdoc/>
    public override void OnSendWhileDown(ref ClientState device, Turn turn)
    {
        if (device.Phase is not (Phase.Waiting or Phase.Stopped))
        {
            return;
        }

        if (device.Has(Restoring))
        {
            Dial(ref device, turn);
        }
        else
        {
            DialForApplication(ref device, turn);
        }
    }

    /// <summary>mqtt.js destroys the socket without an error: to the SDK that looks like a FIN.</summary>
    public override void OnPingLost(ref ClientState device, Turn turn)
    {
        turn.Reset(Reason.TimedOut);
        OnClosed(ref device, turn, reset: false);
    }

    private bool RestoresTwin => (Settings.Features & Features.Twin) != 0;

    // open and sendEvent: an operation of the application, with 240 s of its own. Every send starts another one; the newest
    // is followed here.
    private void DialForApplication(ref ClientState device, Turn turn)
    {
        device.Attempt = 0;
        device.ClearTimer(StepTimer);
        device.SetTimer(SendStarted, turn.NowMs);
        Dial(ref device, turn);
    }

    // Every connect makes a token, and the renewal timer starts with it; at a renewal both were there before.
    private void Dial(ref ClientState device, Turn turn)
    {
        bool renews = device.Phase == Phase.Renewing;
        device.Flags &= ~Step;
        if (!renews)
        {
            device.TokenExpiry = (uint)((turn.UtcMs / 1000) + LifetimeSeconds);
            if (!(device.Has(Restoring) && RestoresTwin))
            {
                turn.Arm(ref device, RenewTimer, RenewalMs);
            }
        }
        else
        {
            device.ClearTimer(StepTimer);
        }

        turn.Dial(ref device, ConnackWaitMs);
    }

    private void Renew(ref ClientState device, Turn turn)
    {
        if (device.Has(Restoring))
        {
            foreach (int operation in (ReadOnlySpan<int>)[MethodsOperation, MessagesOperation])
            {
                if (device.IsArmed(operation))
                {
                    SubscribeOperation(ref device, turn, operation);
                }
            }

            device.Flags &= ~Restoring;
        }

        device.ClearTimer(SendStarted);
        device.TokenExpiry = (uint)((turn.UtcMs / 1000) + LifetimeSeconds);
        turn.Arm(ref device, RenewTimer, RenewalMs);
        device.Phase = Phase.Renewing;
        device.Flags &= ~Step;
        turn.Arm(ref device, StepTimer, EndDelayMs);
    }

    private void Failed(ref ClientState device, Turn turn, bool retried)
    {
        if (device.Has(Restoring))
        {
            OperationFailed(ref device, turn);
        }
        else if (!device.IsArmed(SendStarted))
        {
            // The reconnect of a renewal: the SDK tells itself "disconnect", as after a FIN.
            Restore(ref device, turn);
        }
        else if (!retried || turn.NowMs - device.TimerDueMs(SendStarted, turn.NowMs) >= OperationTimeoutMs)
        {
            // Before the first success every network error is made "Not authorized" (mqtt.ts:231-246), too.
            GiveUp(ref device, turn);
        }
        else
        {
            device.ClearTimer(RenewTimer);
            device.Attempt = (byte)Math.Min(device.Attempt + 1, 250);
            long waitMs = WaitMs(ref device, turn, device.Attempt);
            WaitForTurn(ref device);
            turn.Arm(ref device, StepTimer, waitMs);
        }
    }

    private void Restore(ref ClientState device, Turn turn)
    {
        if (!Listens)
        {
            GiveUp(ref device, turn);
            return;
        }

        device.Attempt = 0;
        device.Flags |= Restoring;
        int first = -1;
        foreach (int operation in (ReadOnlySpan<int>)[MethodsOperation, TwinOperation, MessagesOperation])
        {
            device.ClearTimer(operation);
            if ((Settings.Features & FeatureOf(operation)) != 0)
            {
                if (first < 0)
                {
                    first = operation;
                }
                else
                {
                    device.SetTimer(operation, turn.NowMs);
                }
            }
        }

        Dial(ref device, turn);
    }

    private void OperationFailed(ref ClientState device, Turn turn)
    {
        if (!RestoresTwin)
        {
            device.ClearTimer(RenewTimer);
        }

        bool inTime = turn.NowMs - device.EndedAtMs < OperationTimeoutMs;
        int failed = -1;
        int next = -1;
        int count = 0;
        bool waits = false;
        foreach (int operation in (ReadOnlySpan<int>)[MethodsOperation, TwinOperation, MessagesOperation])
        {
            if ((Settings.Features & FeatureOf(operation)) == 0)
            {
                continue;
            }

            count++;
            if (!device.IsArmed(operation))
            {
                failed = failed < 0 ? operation : failed;
            }
            else if (device.TimerDueMs(operation, turn.NowMs) > turn.NowMs)
            {
                waits = true;
            }
            else if (next < 0 || device.TimerDueMs(operation, turn.NowMs) < device.TimerDueMs(next, turn.NowMs))
            {
                next = operation;
            }
        }

        if (failed >= 0 && inTime)
        {
            device.Attempt = (byte)Math.Min(device.Attempt + 1, 250);
            turn.Arm(ref device, failed, WaitMs(ref device, turn, ((device.Attempt - 1) / count) + 1));
            waits = true;
        }

        if (next >= 0)
        {
            device.ClearTimer(next);
            Dial(ref device, turn);
        }
        else if (waits)
        {
            WaitForTurn(ref device);
        }
        else
        {
            GiveUp(ref device, turn);
        }
    }

    // min(100 + (2^(k-1) - 1)·U(0,25), 10000) ms, k from 1 (retry_policy.ts:126-141).
    private static long WaitMs(ref ClientState device, Turn turn, int k)
    {
        double steps = (1L << Math.Min(k - 1, 20)) - 1;
        return (long)Math.Min(100 + (steps * turn.Unit(ref device) * 25), 10_000);
    }

    private static void WaitForTurn(ref ClientState device)
    {
        device.Phase = Phase.Waiting;
        device.Flags |= DeviceFlags.WakeOnSend; // sendEvent connects at once (mqtt.ts:146)
    }

    private static void GiveUp(ref ClientState device, Turn turn)
    {
        device.ClearTimer(RenewTimer);
        device.ClearTimer(StepTimer);
        device.ClearTimer(SendStarted);
        device.Flags = (device.Flags | DeviceFlags.WakeOnSend) & ~Restoring;
        turn.Stop(ref device, Reason.GaveUp);
    }

    // In the order in which the application asks: getTwin, its desired properties, onDeviceMethod, on('message').
    private void SubscribeFirst(ref ClientState device, Turn turn)
    {
        Topics wanted = Wanted(Settings.Features);
        turn.Subscribe(ref device, wanted & Topics.TwinResponses);
        if (RestoresTwin)
        {
            turn.TwinGet();
        }

        turn.Subscribe(ref device, wanted & Topics.DesiredPatches);
        turn.Subscribe(ref device, wanted & Topics.Methods);
        turn.Subscribe(ref device, wanted & Topics.CloudToDevice);
    }

    // First the operation that dialled, then those in line behind it; one that still waits subscribes in its own time. The
    // twin's topics are subscribed for good (mqtt_twin_client.ts:66-118).
    private void SubscribeAgain(ref ClientState device, Turn turn)
    {
        if (RestoresTwin)
        {
            device.ClearTimer(TwinOperation);
        }

        foreach (bool inLine in (ReadOnlySpan<bool>)[false, true])
        {
            foreach (int operation in (ReadOnlySpan<int>)[MethodsOperation, MessagesOperation])
            {
                bool due = device.IsArmed(operation) && device.TimerDueMs(operation, turn.NowMs) <= turn.NowMs;
                if ((Settings.Features & FeatureOf(operation)) != 0 && (inLine ? due : !device.IsArmed(operation)))
                {
                    turn.Subscribe(ref device, TopicOf(operation)); // Marked done below, so that none is asked for twice.
                }
            }
        }

        foreach (int operation in (ReadOnlySpan<int>)[MethodsOperation, MessagesOperation])
        {
            if (device.IsArmed(operation) && device.TimerDueMs(operation, turn.NowMs) <= turn.NowMs)
            {
                device.ClearTimer(operation);
            }
        }

        NoteRestored(ref device);
    }

    private static void SubscribeOperation(ref ClientState device, Turn turn, int operation)
    {
        device.ClearTimer(operation);
        turn.Subscribe(ref device, TopicOf(operation));
    }

    private static void NoteRestored(ref ClientState device)
    {
        if (!device.IsArmed(MethodsOperation) && !device.IsArmed(MessagesOperation))
        {
            device.Flags &= ~Restoring;
        }
    }

    private static Features FeatureOf(int operation) => operation switch
    {
        TwinOperation => Features.Twin,
        MethodsOperation => Features.Methods,
        _ => Features.CloudToDevice,
    };

    private static Topics TopicOf(int operation) => operation == MethodsOperation ? Topics.Methods : Topics.CloudToDevice;
}
