using System.Globalization;
using System.Runtime.CompilerServices;

namespace Agent.Events;

// Event Grid never shows a connection, it shows a photograph of all connections, taken once a minute. What happened between two
// photographs is visible in one way only: the sequence number moved further than the state explains (facts/iothub.md section 4).
//
// The rule chosen. A device is *visible* as connected from its first PUBLISH or SUBSCRIBE on a messaging topic after CONNECT until
// the connection ends. Every change of that visibility counts one. A photograph reports a device when its count moved since the last
// one, with the state of now, the moment of the latest change and the count. So: connect, say nothing, leave = no event at all;
// drop and come back within the minute = one event, Connected again, with a higher number; come and go within the minute = one
// event, Disconnected. The moment of the event is the change's and not the photograph's: the vendor's sample of the same fact
// carries an operationTimestamp 33.5 s older than its enqueued time.
//
// Not chosen: a queue of changes merged at the minute's end. A fleet that flaps during an outage would fill it; here a device costs
// 8 bytes and one place in the list of changed devices, however often it flaps.
//
// Sequence numbers are 64 hexadecimal digits. The vendor's samples read as four 64-bit words: zero, a moment as FILETIME that is the
// same for neighbouring events, 00000002 00000000, and a counter (the layout is inferred, facts/iothub.md section 4). So: the start
// of this hub, which outranks every number of an earlier start, and the device's count. A hub whose clock was set back between two
// starts would break the order, and so would two starts within 100 ns.

/// <summary>One device whose connection state is to be published.</summary>
/// <param name="Device">Index of the identity.</param>
/// <param name="IsConnected">The state at the snapshot.</param>
/// <param name="AtUtcMs">When it last changed, ms since 1970.</param>
/// <param name="Sequence">The order mark of the event.</param>
public readonly record struct ConnectionStateChange(int Device, bool IsConnected, long AtUtcMs, EventSequence Sequence);

/// <summary>An order mark: text that grows, compared as text, for the events of one device.</summary>
/// <param name="Epoch">The hub's start as Windows FILETIME.</param>
/// <param name="Count">Changes of the device since then.</param>
public readonly record struct EventSequence(long Epoch, long Count)
{
    /// <summary>Length of the text.</summary>
    public const int Length = 64;

    private const long Configuration = 0x2_0000_0000;

    /// <summary>Writes the 64 hexadecimal digits.</summary>
    public void Format(Span<byte> target)
    {
        target[..16].Fill((byte)'0');
        Epoch.TryFormat(target[16..], out _, "X16", CultureInfo.InvariantCulture);
        Configuration.TryFormat(target[32..], out _, "X16", CultureInfo.InvariantCulture);
        Count.TryFormat(target[48..], out _, "X16", CultureInfo.InvariantCulture);
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        Span<byte> text = stackalloc byte[Length];
        Format(text);
        return System.Text.Encoding.ASCII.GetString(text);
    }
}

/// <summary>Which connection states a hub publishes, and when. Told the time; the same for eight boards and a million models.</summary>
/// <remarks>Moments are ms since 1970 and never step back. One thread at a time.</remarks>
public sealed class ConnectionStateSnapshot
{
    /// <summary>The hub's period, facts/iothub.md section 4.</summary>
    public const long PeriodMs = 60_000;

    private const long FileTimeOf1970 = 116_444_736_000_000_000;

    private readonly long epoch;
    private readonly List<int> changed = [];
    private State[] states;
    private int taken;
    private int toTake;

    /// <param name="startUtcMs">When this hub started; the first snapshot is one period later.</param>
    /// <param name="deviceCount">Identities known at the start, none of them connected. More are added by their first use.</param>
    public ConnectionStateSnapshot(long startUtcMs, int deviceCount)
    {
        epoch = FileTimeOf1970 + (startUtcMs * TimeSpan.TicksPerMillisecond);
        NextMs = startUtcMs + PeriodMs;
        states = new State[Math.Max(deviceCount, 4)];
    }

    /// <summary>When the next snapshot is due.</summary>
    public long NextMs { get; private set; }

    /// <summary>Bytes of state held per device, besides 4 more for each one that changed since the last snapshot.</summary>
    public static int BytesPerDevice => Unsafe.SizeOf<State>();

    /// <summary>CONNECT was accepted. A connection the device had before is thereby over.</summary>
    public void OnConnect(long utcMs, int device)
    {
        ref State state = ref Of(device);
        Hide(utcMs, device, ref state);
        state.Flags |= Flag.Linked;
    }

    /// <summary>
    /// A PUBLISH or SUBSCRIBE on a messaging topic. Only the first after CONNECT matters; calling it for each is allowed.
    /// </summary>
    public void OnMessaging(long utcMs, int device)
    {
        ref State state = ref Of(device);
        if ((state.Flags & (Flag.Linked | Flag.Visible)) == Flag.Linked)
        {
            state.Flags |= Flag.Visible;
            Note(utcMs, device, ref state);
        }
    }

    /// <summary>The connection that holds the identity ended, for whatever reason. Calling it twice is allowed.</summary>
    public void OnDisconnect(long utcMs, int device)
    {
        ref State state = ref Of(device);
        Hide(utcMs, device, ref state);
        state.Flags &= ~Flag.Linked;
    }

    /// <summary>Whether the device is visible as connected, which no subscriber may know yet.</summary>
    public bool IsVisible(int device) => device < states.Length && states[device].Has(Flag.Visible);

    /// <summary>
    /// Takes one change of the snapshot that is due; false when there is none or no more. Devices come in the order of their
    /// first change. What happens while a snapshot is being taken belongs to the next one.
    /// </summary>
    public bool TryTake(long utcMs, out ConnectionStateChange change)
    {
        change = default;
        if (utcMs < NextMs)
        {
            return false;
        }

        if (toTake == 0)
        {
            toTake = changed.Count;
        }

        if (taken < toTake)
        {
            int device = changed[taken++];
            ref State state = ref states[device];
            state.Flags &= ~Flag.Changed;
            change = new ConnectionStateChange(
                device, state.Has(Flag.Visible), state.ChangedAtMs(utcMs), new EventSequence(epoch, state.Count));
            return true;
        }

        changed.RemoveRange(0, toTake);
        taken = 0;
        toTake = 0;

        // A driver that comes late takes one snapshot and not all that it missed; the grid stays where it was.
        NextMs += ((utcMs - NextMs) / PeriodMs * PeriodMs) + PeriodMs;
        return false;
    }

    private void Hide(long utcMs, int device, ref State state)
    {
        if (state.Has(Flag.Visible))
        {
            state.Flags &= ~Flag.Visible;
            Note(utcMs, device, ref state);
        }
    }

    private void Note(long utcMs, int device, ref State state)
    {
        state.Count++;
        state.SetChangedAt(utcMs);
        if (!state.Has(Flag.Changed))
        {
            state.Flags |= Flag.Changed;
            changed.Add(device);
        }
    }

    private ref State Of(int device)
    {
        if (device >= states.Length)
        {
            Array.Resize(ref states, Math.Max(device + 1, states.Length * 2));
        }

        return ref states[device];
    }

    [Flags]
    private enum Flag : uint
    {
        /// <summary>A connection holds the identity.</summary>
        Linked = 1,

        /// <summary>…and has used a messaging topic.</summary>
        Visible = 2,

        /// <summary>Changed since the last snapshot: it is in the list.</summary>
        Changed = 4,

        All = 7,
    }

    // The upper 29 bits of the second word are the low bits of the moment of the latest change: enough for six days, and a
    // change is reported within a minute.
    private struct State
    {
        private const int FlagBits = 3;
        private const uint MomentMask = uint.MaxValue >> FlagBits;

        public uint Count;
        private uint momentAndFlags;

        public Flag Flags
        {
            readonly get => (Flag)momentAndFlags & Flag.All;
            set => momentAndFlags = (momentAndFlags & ~(uint)Flag.All) | (uint)value;
        }

        public readonly bool Has(Flag flag) => (Flags & flag) != 0;

        public void SetChangedAt(long utcMs) => momentAndFlags = ((uint)utcMs << FlagBits) | (momentAndFlags & (uint)Flag.All);

        public readonly long ChangedAtMs(long utcMs) => utcMs - (((uint)utcMs - (momentAndFlags >> FlagBits)) & MomentMask);
    }
}
