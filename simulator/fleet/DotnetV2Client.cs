using Agent.Hub;

namespace Agent.Fleet;

// Azure IoT device SDK for .NET 2.0.0-preview008 over MQTT (facts: sdk-renewal §4).
//
// The token is handled as in version 1: never renewed on MQTT, used again at a reconnect while more than the buffer remains.
// New are the retries (doubling from 128 ms to 12 h, ±5 %) and MQTTnet below, whose pings have in effect no deadline.

/// <summary>.NET, version 2 preview.</summary>
public sealed class DotnetV2Client(ClientSettings settings) : SdkModel(settings)
{
    private const int RetryTimer = 0;
    private const long ConnackWaitMs = 60_000;
    private const double WaitMaxMs = 12 * 3_600_000.0;

    /// <inheritdoc/>
    public override long LifetimeSeconds => Settings.LifetimeSeconds ?? 3600;

    /// <inheritdoc/>
    public override double? RenewalSeconds => null;

    /// <inheritdoc/>
    public override ConnectFields Connect => new(
        Settings.KeepAliveSeconds ?? 120, false, "2020-09-30", ".NET/2.0.0-preview008 (.NET 8.0; Linux; X64)");

    /// <inheritdoc/>
    public override PingPolicy Ping => new(
        PingRule.SinceSent, Connect.KeepAliveSeconds * 1000L, PingPolicy.NoDeadline);

    private double BufferShare => Settings.RenewAt is { } renewAt ? 1 - renewAt
        : Settings.RenewBeforeSeconds is { } before ? before / LifetimeSeconds
        : 0.15;

    /// <inheritdoc/>
    public override void OnStart(ref ClientState device, Turn turn)
    {
        device.TokenExpiry = 0;
        turn.Dial(ref device, ConnackWaitMs);
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
            Subscribe(ref device, turn);
        }
        else if (code == 3)
        {
            Retry(ref device, turn);
        }
        else
        {
            // 2, 4 and 5 become Unauthorized, 1 is unknown; the application's next call tries again.
            device.Flags |= DeviceFlags.WakeOnSend;
            turn.Stop(ref device, Reason.GaveUp);
        }
    }

    /// <inheritdoc/>
    public override void OnAttemptFailed(ref ClientState device, Turn turn, DialFault fault) => Retry(ref device, turn);

    /// <inheritdoc/>
    public override void OnClosed(ref ClientState device, Turn turn, bool reset)
    {
        device.Attempt = 0;
        device.Phase = Phase.Waiting;
        turn.Arm(ref device, RetryTimer, Wait(ref device, turn, 1));
    }

    /// <inheritdoc/>
    public override void OnTimer(ref ClientState device, Turn turn, int timer)
    {
        if (device.Phase == Phase.Waiting)
        {
            turn.Dial(ref device, ConnackWaitMs);
        }
    }

    /// <inheritdoc/>
    public override void OnSendWhileDown(ref ClientState device, Turn turn)
    {
        if (device.Phase == Phase.Stopped)
        {
            device.Attempt = 0;
            turn.Dial(ref device, ConnackWaitMs);
        }
    }

    // After the wait that follows a drop the count starts again at 1 (seen on the genuine one with the port closed).
    private static void Retry(ref ClientState device, Turn turn)
    {
        device.Attempt = (byte)Math.Min(device.Attempt + 1, 60);
        device.Phase = Phase.Waiting;
        turn.Arm(ref device, RetryTimer, Wait(ref device, turn, device.Attempt));
    }

    // 2^(k+6) ms times U(0.95, 1.05), at most 12 h.
    private static long Wait(ref ClientState device, Turn turn, int k)
    {
        double factor = 0.95 + (turn.Unit(ref device) * 0.1);
        return (long)Math.Min(Math.Pow(2, k + 6) * factor, WaitMaxMs);
    }

    // Methods, twin and C2D are switched on again after each connect; twin responses are subscribed once and for all.
    private void Subscribe(ref ClientState device, Turn turn)
    {
        Topics wanted = Wanted(Settings.Features);
        if ((wanted & Topics.TwinResponses) != 0 && (device.Topics & Topics.TwinResponses) == 0)
        {
            turn.Subscribe(ref device, Topics.TwinResponses);
        }

        turn.Subscribe(ref device, wanted & Topics.Methods);
        turn.Subscribe(ref device, wanted & Topics.DesiredPatches);
        turn.Subscribe(ref device, wanted & Topics.CloudToDevice);
    }
}
