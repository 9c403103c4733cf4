using Agent.Hub;

namespace Agent.Fleet;

// Azure IoT device SDK for .NET 2.0.0-preview008 over MQTT (facts: sdk-renewal §4).
//
// The token is handled as in version 1: never renewed on MQTT, used again at a reconnect while more than the buffer remains.
// New are the retries (doubling from 128 ms to 12 h, ±5 %) and MQTTnet below, told to wait for ever: neither a CONNACK nor a
// PINGRESP that does not come is ever noticed (MqttTransportHandler.cs: WithTimeout(-1)), only what TCP reports. And once the
// loop has ended with a refusal a send does not open the client again, it throws: the application must call OpenAsync.

/// <summary>.NET, version 2 preview.</summary>
public sealed class DotnetV2Client(ClientSettings settings) : SdkModel(settings)
{
    private const int RetryTimer = 0;
    private const long ConnackWaitMs = PingPolicy.NoDeadline;
    private const double WaitMaxMs = 12 * 3_600_000.0;

    /// <inheritdoc/>
    public override long LifetimeSeconds => Settings.LifetimeSeconds ?? 3600;

    /// <inheritdoc/>
    public override double? RenewalSeconds => null;

    /// <inheritdoc/>
    public override ConnectFields Connect => new(
        Settings.KeepAliveSeconds ?? 120, false, "2020-09-30", ".NET/2.0.0-preview008 (.NET 8.0; Linux; X64)");

    /// <summary>Nothing but Linux ends a connect: six repetitions of the SYN (tcp_syn_retries).</summary>
    public override long TcpWaitMs => 127_000;

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
            // 2, 4 and 5 become Unauthorized, 1 is unknown: not transient.
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

    // After the wait that follows a drop the count starts again at 1 (seen on the genuine one with the port closed).
    private static void Retry(ref ClientState device, Turn turn)
    {
        device.Attempt = (byte)Math.Min(device.Attempt + 1, 60);
        device.Phase = Phase.Waiting;
        turn.Arm(ref device, RetryTimer, Wait(ref device, turn, device.Attempt));
    }

    // 2^(k+6) ms, at most 12 h, times a whole percentage from 95 to 105 (IotHubClientRetryPolicyBase.cs UpdateWithJitter).
    private static long Wait(ref ClientState device, Turn turn, int k)
    {
        long percent = 95 + (long)(turn.Unit(ref device) * 11);
        return (long)(Math.Min(Math.Pow(2, Math.Min(k + 6, 32)), WaitMaxMs) * percent / 100);
    }

    // First the application: GetTwin, which subscribes the responses once and for all, then its callbacks. After a reconnect
    // what was enabled is enabled again, each topic in a SUBSCRIBE of its own (RetryDelegatingHandler.cs:67-96).
    private void Subscribe(ref ClientState device, Turn turn)
    {
        Topics wanted = Wanted(Settings.Features);
        if (device.Has(DeviceFlags.EverConnected))
        {
            turn.Subscribe(ref device, wanted & Topics.Methods);
            turn.Subscribe(ref device, wanted & Topics.DesiredPatches);
            turn.Subscribe(ref device, wanted & Topics.CloudToDevice);
            return;
        }

        device.Flags |= DeviceFlags.EverConnected;
        turn.Subscribe(ref device, wanted & Topics.TwinResponses);
        if ((Settings.Features & Features.Twin) != 0)
        {
            turn.TwinGet();
        }

        turn.Subscribe(ref device, wanted & Topics.DesiredPatches);
        turn.Subscribe(ref device, wanted & Topics.Methods);
        turn.Subscribe(ref device, wanted & Topics.CloudToDevice);
    }
}
