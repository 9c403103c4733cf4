using System.Runtime.CompilerServices;

namespace Agent.Fleet;

/// <summary>Where a client is on its way to a connection. What happens next is the model's business.</summary>
public enum Phase : byte
{
    /// <summary>Not started, or without power.</summary>
    Off,
    /// <summary>TCP and TLS are being set up.</summary>
    Dialing,
    /// <summary>CONNECT is out, CONNACK is not in.</summary>
    AwaitingConnack,
    Connected,
    /// <summary>Ending a connection on purpose in order to come back.</summary>
    Renewing,
    /// <summary>Waiting for the next attempt.</summary>
    Waiting,
    /// <summary>No further attempt until the application acts.</summary>
    Stopped,
}

[Flags]
public enum DeviceFlags : byte
{
    None = 0,
    /// <summary>The world counts this device as connected.</summary>
    Up = 1,
    /// <summary>A connection of this device has ended before: periods and gaps can be measured.</summary>
    HasEnded = 2,
    /// <summary>The client has been connected at least once since its application started it.</summary>
    EverConnected = 4,
    /// <summary>Pings and sends run as events instead of being counted in closed form.</summary>
    Live = 8,
    /// <summary>Model's own.</summary>
    ModelA = 16,
    /// <summary>Model's own.</summary>
    ModelB = 32,
    /// <summary>The client wants to be told when the application's next heartbeat is due, stopped or waiting.</summary>
    WakeOnSend = 64,
    /// <summary>TCP is up as far as this client knows; its end has not been logged yet.</summary>
    Open = 128,
}

/// <summary>
/// All a model remembers of one device: 40 bytes, one of millions in an array. Moments are low 32 bits of ms where a
/// difference of less than 24 days is meant.
/// </summary>
public struct ClientState
{
    /// <summary>End of the last connection, ms; the start of the device before the first.</summary>
    public long EndedAtMs;

    /// <summary>From <see cref="EndedAtMs"/> to the CONNACK that followed, ms.</summary>
    public uint UpAfterMs;

    private TimerSlots timers;

    /// <summary>Expiry of the token in hand, seconds since 1970; 0 = none.</summary>
    public uint TokenExpiry;

    /// <summary>Number of the current connection attempt, low 16 bits.</summary>
    public ushort Link;

    /// <summary>Random draws made so far.</summary>
    public ushort Draws;

    public Phase Phase;
    public byte Attempt;
    public DeviceFlags Flags;

    /// <summary>Topics this client believes the hub's session holds.</summary>
    public Topics Topics;

    /// <summary>Timers a device has: three of the model, one of the hub's deadline.</summary>
    public const int TimerCount = 4;

    private const int ModelTimerCount = TimerCount - 1;

    public readonly bool Has(DeviceFlags flag) => (Flags & flag) != 0;

    /// <summary>Notes that a timer is due at a moment; the queue's event is valid only while this note stands.</summary>
    public void SetTimer(int timer, long dueMs) => timers[timer] = Mark(dueMs);

    public void ClearTimer(int timer) => timers[timer] = 0;

    public readonly bool IsTimer(int timer, long dueMs) => timers[timer] == Mark(dueMs);

    public readonly bool IsArmed(int timer) => timers[timer] != 0;

    /// <summary>The moment noted in a timer, taken as the one nearest to now.</summary>
    public readonly long TimerDueMs(int timer, long nowMs) => nowMs + (int)(timers[timer] - 1 - (uint)nowMs);

    /// <summary>Forgets everything a client holds in memory; the books stay. The connection it had is none of it any more.</summary>
    public void LosePower()
    {
        for (int timer = 0; timer < ModelTimerCount; timer++)
        {
            ClearTimer(timer);
        }

        Link++;
        Phase = Phase.Off;
        Attempt = 0;
        TokenExpiry = 0;
        Topics = Topics.None;
        Flags &= DeviceFlags.HasEnded;
    }

    // 0 means idle, so moments are stored plus one.
    private static uint Mark(long dueMs) => (uint)dueMs + 1 is 0 ? 1 : (uint)dueMs + 1;

    [InlineArray(TimerCount)]
    private struct TimerSlots
    {
        private uint first;
    }
}

/// <summary>
/// Topic filters an SDK subscribes to (vendor's MQTT page); one bit each, so that a session is a byte. The order of the bits is that
/// of the filters in one SUBSCRIBE (facts: sdk-renewal §9, item 7 and §11, item 7).
/// </summary>
[Flags]
public enum Topics : byte
{
    None = 0,
    /// <summary><c>devices/{id}/messages/devicebound/#</c></summary>
    CloudToDevice = 1,
    /// <summary><c>$iothub/twin/res/#</c></summary>
    TwinResponses = 2,
    /// <summary><c>$iothub/twin/PATCH/properties/desired/#</c></summary>
    DesiredPatches = 4,
    /// <summary><c>$iothub/twin/#</c>, as nanoFramework asks for it.</summary>
    AllTwin = 8,
    /// <summary><c>$iothub/methods/POST/#</c></summary>
    Methods = 16,
}

/// <summary>The text of <see cref="Topics"/>.</summary>
public static class TopicNames
{
    private static readonly Topics[] All =
        [Topics.CloudToDevice, Topics.TwinResponses, Topics.DesiredPatches, Topics.AllTwin, Topics.Methods];

    /// <summary>Filters of a set, in the order of their bits.</summary>
    public static IEnumerable<string> Filters(Topics topics, string deviceId)
    {
        foreach (Topics topic in All)
        {
            if ((topics & topic) != 0)
            {
                yield return topic switch
                {
                    Topics.CloudToDevice => $"devices/{deviceId}/messages/devicebound/#",
                    Topics.TwinResponses => "$iothub/twin/res/#",
                    Topics.DesiredPatches => "$iothub/twin/PATCH/properties/desired/#",
                    Topics.Methods => "$iothub/methods/POST/#",
                    _ => "$iothub/twin/#",
                };
            }
        }
    }
}
