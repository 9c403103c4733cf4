using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Agent.Hub;

// What does an IoT Hub do to a connection? It lets one client per identity in, looks at the token once, and then waits:
// for a DISCONNECT, for the silence that exceeds 1.5 x keep-alive, or for the moment the token has been expired for longer
// than its grace. Everything an operator sees in the Connections log follows from these few rules, so they stand alone here,
// without sockets, packets or a clock. The driver says what arrived and when; the machine answers what to send, whom to drop
// and when it wants to be asked again.
//
// The rule chosen for timers: the machine owns none. It states a deadline per device (DeadlineMs) and acts in OnDeadline.
// A driver may ask too early (nothing happens) and must not forget to ask. A timer object per connection was the other road;
// a million of them cost more than everything else in this file.
//
// State is a flat array of 24-byte structs indexed by device: the same machine serves eight boards and a million models.

/// <summary>What the hub answers to CONNECT.</summary>
/// <param name="Code">CONNACK return code; 255 = hang up without an answer.</param>
/// <param name="SessionPresent">CONNACK session-present flag.</param>
/// <param name="OlderLink">Link to close because this one took its place; -1 = none.</param>
/// <param name="OlderReason">Why the older link ends.</param>
/// <param name="Refusal">Why the attempt was refused; <see cref="Reason.None"/> when it was accepted.</param>
public readonly record struct ConnectReply(
    byte Code, bool SessionPresent, int OlderLink, Reason OlderReason, Reason Refusal)
{
    /// <summary>"Say nothing and close" in <see cref="Code"/>.</summary>
    public const byte HangUp = 255;

    /// <summary>True when the device is now connected.</summary>
    public bool Accepted => Code == 0;
}

/// <summary>One CONNECT, after the driver has read the packet and checked the signature.</summary>
/// <param name="Device">Index of the identity.</param>
/// <param name="Link">The driver's number for this connection; must differ from the device's previous one.</param>
/// <param name="CredentialValid">False: signature, name or policy was wrong.</param>
/// <param name="ExpiryUtcMs">The token's expiry, ms since 1970.</param>
/// <param name="KeepAliveSeconds">As in the packet; 0 = the hub's maximum.</param>
/// <param name="CleanSession">As in the packet.</param>
/// <param name="Draw">A uniform random number, used for the grace when it is a range.</param>
public readonly record struct ConnectRequest(
    int Device, int Link, bool CredentialValid, long ExpiryUtcMs, int KeepAliveSeconds, bool CleanSession, uint Draw);

/// <summary>The pure hub: connections, tokens, takeovers, keep-alive, sessions, log records.</summary>
public sealed class IotHub
{
    /// <summary>The hub never waits longer than this for a packet, in ms (29.45 min, vendor's MQTT page).</summary>
    public const long KeepAliveCapMs = 1_767_000;

    /// <summary>
    /// A CONNECT the hub cannot complete is given up after this long, in ms: .NET's SDK waits 60 s for CONNACK "in alignment with the
    /// service implemented timeout for processing connection requests" (facts/iothub.md §1.2).
    /// </summary>
    public const long ConnectPatienceMs = 60_000;

    private readonly HubOptions options;
    private readonly IHubLog log;
    private HubDevice[] devices;

    private readonly Throttle connects;

    /// <param name="options">Grace, skew, tier.</param>
    /// <param name="deviceCount">Identities that exist from the start, all enabled.</param>
    /// <param name="log">Where Connections records go.</param>
    public IotHub(HubOptions options, int deviceCount, IHubLog log)
    {
        this.options = options;
        this.log = log;
        devices = GC.AllocateArray<HubDevice>(Math.Max(deviceCount, 4), pinned: true);
        DeviceCount = deviceCount;
        connects = Throttles.Make(options, ThrottleKind.Connections);
    }

    /// <summary>Identities known.</summary>
    public int DeviceCount { get; private set; }

    /// <summary>Bytes of state held per device.</summary>
    public static int BytesPerDevice => Unsafe.SizeOf<HubDevice>();

    /// <summary>While set, every attempt is refused or hung up on with this reason (a fault); None = normal service.</summary>
    public Reason Outage { get; set; }

    /// <summary>Adds an identity and returns its index.</summary>
    public int AddDevice()
    {
        if (DeviceCount == devices.Length)
        {
            HubDevice[] larger = GC.AllocateArray<HubDevice>(devices.Length * 2, pinned: true);
            devices.AsSpan(0, DeviceCount).CopyTo(larger);
            devices = larger;
        }

        devices[DeviceCount] = default;
        return DeviceCount++;
    }

    /// <summary>Brings a device's state into the processor's cache ahead of its next event.</summary>
    public unsafe void Fetch(int device)
    {
        byte* state = (byte*)Unsafe.AsPointer(ref devices[device]);
        Sse.Prefetch0(state);
        Sse.Prefetch0(state + Unsafe.SizeOf<HubDevice>() - 1);
    }

    /// <summary>The link that holds the identity, or -1.</summary>
    public int CurrentLink(int device) =>
        devices[device].Has(Flag.Connected) ? devices[device].Link : -1;

    /// <summary>Subscription flags the device's session holds.</summary>
    public byte Subscriptions(int device) => devices[device].Subscriptions;

    /// <summary>Whether the hub keeps a session for the device: its last CONNECT said CleanSession 0.</summary>
    public bool HasSession(int device) => devices[device].Has(Flag.Session);

    /// <summary>Gives a device the session it had before the hub was started; before its first CONNECT.</summary>
    public void RestoreSession(int device, byte subscriptions)
    {
        devices[device].Flags |= Flag.Session;
        devices[device].Subscriptions = subscriptions;
    }

    /// <summary>Whether the identity may connect.</summary>
    public bool IsEnabled(int device) => !devices[device].Has(Flag.Disabled);

    /// <summary>A CONNECT arrived. Order of checks: outage, throttle, signature, disabled, expiry, takeover.</summary>
    public ConnectReply OnConnect(long nowMs, long utcMs, in ConnectRequest request)
    {
        ref HubDevice device = ref devices[request.Device];
        if (Outage != Reason.None)
        {
            return Refuse(nowMs, request.Device, Reason.RefusedUnavailable, 3, LogKind.ConnectServerError);
        }

        if (options.Throttle && !connects.Take(nowMs).IsAccepted)
        {
            // On MQTT the hub simply closes (vendor's issue threads); 429 text exists on HTTP only.
            return Refuse(nowMs, request.Device, Reason.RefusedThrottled, ConnectReply.HangUp, LogKind.ConnectThrottled);
        }

        if (!request.CredentialValid)
        {
            return Refuse(nowMs, request.Device, Reason.TokenRefused, 5, LogKind.ConnectUnauthorized);
        }

        if (device.Has(Flag.Disabled))
        {
            return Refuse(nowMs, request.Device, Reason.RefusedDisabled, 3, LogKind.ConnectDisabled);
        }

        if (utcMs - request.ExpiryUtcMs >= options.ClockSkewAllowedMs)
        {
            return Refuse(nowMs, request.Device, Reason.TokenRefused, 5, LogKind.ConnectUnauthorized);
        }

        int olderLink = -1;
        Reason olderReason = Reason.None;
        if (device.Has(Flag.Connected))
        {
            olderLink = device.Link;
            olderReason = device.Has(Flag.Silent) ? Reason.ReplacedSilent : Reason.TakenOver;
            log.Record(nowMs, request.Device, olderReason == Reason.TakenOver
                ? LogKind.DisconnectTakenOver
                : LogKind.DisconnectLinkConflict);
        }

        bool sessionPresent = device.Has(Flag.Session) && !request.CleanSession;
        if (!sessionPresent)
        {
            device.Subscriptions = 0;
        }

        device.Link = request.Link;
        device.KeepAliveSeconds = (ushort)Math.Clamp(request.KeepAliveSeconds, 0, ushort.MaxValue);
        device.LastPacket = (uint)nowMs;
        device.CutMs = nowMs + (request.ExpiryUtcMs - utcMs) + Grace(request.Draw);
        device.Flags = (device.Flags & Flag.Disabled) | Flag.Connected | (request.CleanSession ? 0 : Flag.Session);
        log.Record(nowMs, request.Device, LogKind.Connect);
        return new ConnectReply(0, sessionPresent, olderLink, olderReason, Reason.None);
    }

    /// <summary>Writes the record for an attempt the driver itself turns away, and says how to answer it.</summary>
    public ConnectReply Refuse(long nowMs, int device, Reason refusal, byte code, LogKind kind)
    {
        log.Record(nowMs, device, kind);
        return new ConnectReply(code, false, -1, Reason.None, refusal);
    }

    /// <summary>Any packet of the link counts against silence (vendor's MQTT page). Stale links are ignored.</summary>
    public void OnPacket(long nowMs, int device, int link)
    {
        ref HubDevice state = ref devices[device];
        if (state.Holds(link))
        {
            state.LastPacket = (uint)nowMs;
            state.Flags &= ~Flag.Silent;
        }
    }

    /// <summary>
    /// For drivers that do not carry pings: <paramref name="speaks"/> = the device is known to keep its keep-alive promise,
    /// so the deadline rests. False restarts it from <paramref name="lastPacketMs"/>.
    /// </summary>
    public void SetSpeaks(int device, bool speaks, long lastPacketMs)
    {
        ref HubDevice state = ref devices[device];
        state.Flags = speaks ? (state.Flags | Flag.Speaks) & ~Flag.Silent : state.Flags & ~Flag.Speaks;
        state.LastPacket = (uint)lastPacketMs;
    }

    /// <summary>The driver knows that nothing more will come over the device's link: a successor will find it gone.</summary>
    public void SetSilent(int device, int link)
    {
        ref HubDevice state = ref devices[device];
        if (state.Holds(link))
        {
            state.Flags |= Flag.Silent;
        }
    }

    /// <summary>Adds (or with <paramref name="remove"/> takes away) subscription flags of the device's session.</summary>
    public void OnSubscribe(int device, int link, byte flags, bool remove = false)
    {
        ref HubDevice state = ref devices[device];
        if (state.Holds(link))
        {
            state.Subscriptions = remove
                ? (byte)(state.Subscriptions & ~flags)
                : (byte)(state.Subscriptions | flags);
        }
    }

    /// <summary>MQTT DISCONNECT. True when the link held the identity; false when it had already been replaced.</summary>
    public bool OnDisconnect(long nowMs, int device, int link) => End(nowMs, device, link, LogKind.Disconnect);

    /// <summary>TCP ended without DISCONNECT, from either side and for whatever reason the driver knows.</summary>
    public bool OnLinkClosed(long nowMs, int device, int link) =>
        End(nowMs, device, link, LogKind.DisconnectClosedRemotely);

    /// <summary>The hub ends the connection for a reason outside this machine. Returns the link to close, -1 = none.</summary>
    public int Cut(long nowMs, int device, Reason reason)
    {
        int link = CurrentLink(device);
        if (link >= 0)
        {
            End(nowMs, device, link, KindOf(reason));
        }

        return link;
    }

    /// <summary>The device's token counts as expired for longer than the grace from now on: <see cref="OnDeadline"/> is due.</summary>
    public void EndGrace(long nowMs, int device)
    {
        ref HubDevice state = ref devices[device];
        state.CutMs = Math.Min(state.CutMs, nowMs);
    }

    /// <summary>Enables or disables an identity. Its connection, if any, is not touched: see <see cref="Cut"/>.</summary>
    public void SetEnabled(int device, bool enabled)
    {
        ref HubDevice state = ref devices[device];
        state.Flags = enabled ? state.Flags & ~Flag.Disabled : state.Flags | Flag.Disabled;
    }

    /// <summary>The next moment this machine wants <see cref="OnDeadline"/> for the device; long.MaxValue = never.</summary>
    public long DeadlineMs(long nowMs, int device)
    {
        ref HubDevice state = ref devices[device];
        if (!state.Has(Flag.Connected))
        {
            return long.MaxValue;
        }

        return state.Has(Flag.Speaks) ? state.CutMs : Math.Min(state.CutMs, KeepAliveDeadlineMs(nowMs, ref state));
    }

    /// <summary>
    /// Cuts the connection if its token or its silence is due; <see cref="Reason.None"/> when nothing was. The link to
    /// close is in <paramref name="link"/>.
    /// </summary>
    public Reason OnDeadline(long nowMs, int device, out int link)
    {
        ref HubDevice state = ref devices[device];
        link = state.Link;
        if (!state.Has(Flag.Connected))
        {
            return Reason.None;
        }

        if (state.CutMs <= nowMs)
        {
            log.Record(nowMs, device, LogKind.DisconnectUnauthorized);
            End(nowMs, device, state.Link, LogKind.DisconnectClosedRemotely);
            return Reason.TokenExpired;
        }

        if (!state.Has(Flag.Speaks) && KeepAliveDeadlineMs(nowMs, ref state) <= nowMs)
        {
            End(nowMs, device, state.Link, LogKind.DisconnectClosedRemotely);
            return Reason.KeepAliveLost;
        }

        return Reason.None;
    }

    private static LogKind KindOf(Reason reason) => reason switch
    {
        Reason.DeviceDisabled => LogKind.DisconnectDisabled,
        Reason.KeyRotated or Reason.TokenExpired or Reason.DeviceDeleted => LogKind.DisconnectUnauthorized,
        Reason.Throttled => LogKind.DisconnectThrottled,
        Reason.QuotaExceeded => LogKind.DisconnectQuota,
        Reason.HubDown => LogKind.DisconnectServerError,
        Reason.TakenOver => LogKind.DisconnectTakenOver,
        Reason.ReplacedSilent => LogKind.DisconnectLinkConflict,
        _ => LogKind.DisconnectClosedRemotely,
    };

    private bool End(long nowMs, int device, int link, LogKind kind)
    {
        ref HubDevice state = ref devices[device];
        if (!state.Holds(link))
        {
            return false;
        }

        state.Flags &= Flag.Disabled | Flag.Session;
        log.Record(nowMs, device, kind);
        return true;
    }

    private long Grace(uint draw)
    {
        long range = options.GraceMaxMs - options.GraceMinMs;
        return range <= 0 ? options.GraceMinMs : options.GraceMinMs + (long)(draw * (ulong)(range + 1) >> 32);
    }

    // LastPacket holds the low 32 bits of a moment that is never 24 days from now (the cap is half an hour).
    private static long KeepAliveDeadlineMs(long nowMs, ref HubDevice state)
    {
        long lastMs = nowMs + (int)(state.LastPacket - (uint)nowMs);
        long patienceMs = state.KeepAliveSeconds == 0 ? KeepAliveCapMs : state.KeepAliveSeconds * 1500L;
        return lastMs + Math.Min(patienceMs, KeepAliveCapMs);
    }

    [Flags]
    private enum Flag : byte
    {
        Connected = 1,
        Session = 2,
        Disabled = 4,
        Speaks = 8,
        Silent = 16,
    }

    private struct HubDevice
    {
        public long CutMs;
        public uint LastPacket;
        public int Link;
        public ushort KeepAliveSeconds;
        public Flag Flags;
        public byte Subscriptions;

        public readonly bool Has(Flag flag) => (Flags & flag) != 0;

        public readonly bool Holds(int link) => Has(Flag.Connected) && Link == link;
    }
}
