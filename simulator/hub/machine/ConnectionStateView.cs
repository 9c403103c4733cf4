namespace Agent.Hub;

/// <summary>What the cloud shows of an identity's connection, with the cloud's delays (facts/iothub.md §5).</summary>
/// <param name="IsConnected">Up to five minutes late.</param>
/// <param name="UpdatedUtcMs">When <paramref name="IsConnected"/> last changed; null = never.</param>
/// <param name="LastActivityUtcMs">Last connect, receive or send; null = never.</param>
/// <param name="CommandCount">Cloud-to-device messages waiting.</param>
public readonly record struct ConnectionView(bool IsConnected, long? UpdatedUtcMs, long? LastActivityUtcMs, int CommandCount);

/// <summary>The lagging <c>connectionState</c> of every identity, and when it was last heard of (facts/iothub.md §5).</summary>
/// <remarks>
/// The vendor says that the property follows protocol pings and may be up to five minutes late, and that it is not for use at run
/// time. The rule chosen: each device has its own moment in every five minutes, drawn from its index, and what is true at that
/// moment is shown until the next. So a device that came or went is shown as before for 0 to 5 minutes, a blip between two
/// moments is never shown, and a link that died silently stays "Connected" for as long as the hub itself believes in it, and up to
/// five minutes more. The change is dated with the moment it was shown, because that is when the property was updated.
/// lastActivityTime does not lag: it is what the hub saw.
/// Nothing runs: the shown state is worked out when somebody asks or the true one changes again. A timer per device, or a sweep
/// over a million of them, was the other road. 24 bytes a device, in blocks that never move, so that <see cref="OnActivity"/> needs
/// no lock; the other calls for one device must not overlap.
/// </remarks>
public sealed class ConnectionStateView
{
    /// <summary>The vendor's five minutes, ms.</summary>
    public const long LagMsDefault = 300_000;

    private const int BlockLength = 4096;

    private readonly Lock growing = new();
    private readonly long lagMs;
    private State[][] blocks = [];

    /// <param name="lagMs">How late the state may be shown; 0 = at once.</param>
    public ConnectionStateView(long lagMs = LagMsDefault)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(lagMs);
        this.lagMs = lagMs;
    }

    /// <summary>The device has connected (<paramref name="isConnected"/>) or its connection has ended.</summary>
    public void OnChange(int device, long utcMs, bool isConnected)
    {
        ref State state = ref At(device);
        Show(ref state, device, utcMs);
        state.Changed = Pack(utcMs, isConnected);
        if (isConnected)
        {
            OnActivity(device, utcMs);
        }
    }

    /// <summary>The device sent or received a message. Cheap, safe from any thread.</summary>
    public void OnActivity(int device, long utcMs) => Volatile.Write(ref At(device).ActivityMs, utcMs);

    /// <summary>What the cloud shows at this moment.</summary>
    public ConnectionView Read(int device, long utcMs, int commandCount)
    {
        ref State state = ref At(device);
        Show(ref state, device, utcMs);
        long activity = Volatile.Read(ref state.ActivityMs);
        return new ConnectionView(
            IsConnected(state.Shown), state.Shown == 0 ? null : MsOf(state.Shown), activity == 0 ? null : activity, commandCount);
    }

    /// <summary>The first of the device's moments at or after <paramref name="utcMs"/>.</summary>
    public long NextShownUtcMs(int device, long utcMs)
    {
        if (lagMs == 0)
        {
            return utcMs;
        }

        // Neighbouring devices are spread over the whole time by the golden ratio.
        long phase = (long)((uint)device * 0x9E3779B9u * (ulong)lagMs >> 32);
        long since = (utcMs - phase) % lagMs;
        return since <= 0 ? utcMs - since : utcMs + lagMs - since;
    }

    // The last change is shown if one of the device's moments has come since. Earlier ones have been overtaken.
    private void Show(ref State state, int device, long utcMs)
    {
        if (state.Changed == 0 || IsConnected(state.Changed) == IsConnected(state.Shown))
        {
            return;
        }

        long shownMs = NextShownUtcMs(device, MsOf(state.Changed));
        if (shownMs <= utcMs)
        {
            state.Shown = Pack(shownMs, IsConnected(state.Changed));
        }
    }

    private ref State At(int device)
    {
        State[][] seen = Volatile.Read(ref blocks);
        return ref (device / BlockLength < seen.Length ? seen : Grow(device))[device / BlockLength][device % BlockLength];
    }

    private State[][] Grow(int device)
    {
        lock (growing)
        {
            var larger = new State[Math.Max((device / BlockLength) + 1, blocks.Length)][];
            for (int i = 0; i < larger.Length; i++)
            {
                larger[i] = i < blocks.Length ? blocks[i] : new State[BlockLength];
            }

            Volatile.Write(ref blocks, larger);
            return larger;
        }
    }

    private static long Pack(long utcMs, bool isConnected) => (utcMs << 1) | (isConnected ? 1L : 0);

    private static bool IsConnected(long packed) => (packed & 1) != 0;

    private static long MsOf(long packed) => packed >> 1;

    private struct State
    {
        public long ActivityMs;
        public long Changed;
        public long Shown;
    }
}
