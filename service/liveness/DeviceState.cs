using System.Runtime.InteropServices;

namespace Agent.Service;

/// <summary>What every heartbeat touches: 40 bytes of a device. Moments are UTC milliseconds unless named otherwise.</summary>
/// <remarks>
/// Two million cache misses a second are the price of a random access to ten million devices, so what a heartbeat needs lies
/// together and is packed: 48 bits of milliseconds reach beyond the year 10000, 20 bits of seconds a week, 25 bits a year.
/// </remarks>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct Hot
{
    /// <summary>Longest interval a heartbeat may announce, seconds: one week.</summary>
    public const int IntervalSecondsMax = 7 * 24 * 3600;

    /// <summary>Furthest renewal a heartbeat may announce, seconds: 366 days.</summary>
    public const int RenewalSecondsMax = 366 * 24 * 3600;

    /// <summary>Longest gap a heartbeat may announce for its renewal, seconds.</summary>
    public const int GapSecondsMax = (1 << 12) - 1;

    /// <summary>The value of <see cref="RenewalSeconds"/> when no renewal was announced.</summary>
    public const int NoRenewal = -1;

    private const uint NoBeat = uint.MaxValue;
    private const uint RenewalMask = (1u << 25) - 1;
    private const byte StatusMask = 7;

    private ulong signAndGroup;
    private uint beatLagMs;
    private uint intervalAndGap;
    private uint renewalAndIdLength;

    /// <summary>Number of the latest heartbeat.</summary>
    public uint BeatNumber;

    /// <summary>Where the id lies.</summary>
    public uint IdOffset;

    /// <summary>The next device in the same bucket of the timing wheel, or -1.</summary>
    public int WheelNext;

    /// <summary>Since when it has its status, seconds since 1970.</summary>
    public uint SinceSeconds;

    /// <summary>Why its last connection ended, as the device told it: a number of <c>DisconnectReason</c>.</summary>
    public byte DeviceReason;

    private byte statusAndFlags;

    /// <summary>How long it was away then, seconds, 65535 and more as 65535.</summary>
    public ushort LastGapSeconds;

    /// <summary>A device nothing is known of.</summary>
    public static Hot New(uint idOffset, int idLength) => new()
    {
        beatLagMs = NoBeat,
        renewalAndIdLength = RenewalMask | ((uint)(idLength - 1) << 25),
        IdOffset = idOffset,
        WheelNext = -1,
    };

    /// <summary>Length of the id in bytes, 1 to 128.</summary>
    public readonly int IdLength => (int)(renewalAndIdLength >> 25) + 1;

    /// <summary>Its site, 0 = none told.</summary>
    public ushort Group
    {
        readonly get => (ushort)signAndGroup;
        set => signAndGroup = (signAndGroup & ~0xFFFFUL) | value;
    }

    /// <summary>Latest sign of life, 0 = none.</summary>
    public readonly long SignMs => (long)(signAndGroup >> 16);

    /// <summary>Whether a heartbeat was ever seen.</summary>
    public readonly bool HasBeat => beatLagMs != NoBeat;

    /// <summary>Whether another heartbeat is promised: there was one, and it did not say that it was the last.</summary>
    public readonly bool HasBeatAhead => HasBeat && IntervalSeconds > 0;

    /// <summary>Latest heartbeat; only where there is one.</summary>
    public readonly long BeatMs => SignMs - beatLagMs;

    /// <summary>Seconds to the next heartbeat, as announced; 0 = no more are coming.</summary>
    public int IntervalSeconds
    {
        readonly get => (int)(intervalAndGap >> 12);
        set => intervalAndGap = ((uint)value << 12) | (intervalAndGap & GapSecondsMax);
    }

    /// <summary>How long the announced renewal will take, seconds; 0 = not told.</summary>
    public int GapSeconds
    {
        readonly get => (int)(intervalAndGap & GapSecondsMax);
        set => intervalAndGap = (intervalAndGap & ~(uint)GapSecondsMax) | (uint)value;
    }

    /// <summary>Seconds from the latest heartbeat to the announced renewal, or <see cref="NoRenewal"/>.</summary>
    public int RenewalSeconds
    {
        readonly get => (renewalAndIdLength & RenewalMask) == RenewalMask ? NoRenewal : (int)(renewalAndIdLength & RenewalMask);
        set => renewalAndIdLength = (renewalAndIdLength & ~RenewalMask) | ((uint)value & RenewalMask);
    }

    /// <summary>The announced renewal; 0 = none.</summary>
    public readonly long PlannedMs =>
        !HasBeat || (renewalAndIdLength & RenewalMask) == RenewalMask ? 0 : BeatMs + (1000L * (renewalAndIdLength & RenewalMask));

    /// <summary>The status last declared.</summary>
    public Status Status
    {
        readonly get => (Status)(statusAndFlags & StatusMask);
        set => statusAndFlags = (byte)((statusAndFlags & ~StatusMask) | (byte)value);
    }

    /// <summary>Flags beside the status.</summary>
    public readonly bool Has(RowFlags flag) => (statusAndFlags & (byte)flag) != 0;

    /// <summary>Sets or takes back a flag.</summary>
    public void Set(RowFlags flag, bool isOn) =>
        statusAndFlags = (byte)(isOn ? statusAndFlags | (byte)flag : statusAndFlags & ~(byte)flag);

    /// <summary>A sign of life at this moment; an older one changes nothing.</summary>
    public void Sign(long atMs)
    {
        long later = atMs - SignMs;
        if (later <= 0)
        {
            return;
        }

        signAndGroup = ((ulong)atMs << 16) | Group;
        if (beatLagMs != NoBeat)
        {
            // 49 days of other messages without a heartbeat: it no longer sends any, so it is not owed one. A heartbeat older than
            // that is not taken either, which makes the order of the two the same.
            long lag = beatLagMs + later;
            if (lag < NoBeat)
            {
                beatLagMs = (uint)lag;
            }
            else
            {
                ForgetBeat();
            }
        }
    }

    /// <summary>Whether a heartbeat of that moment would be too old to be kept beside the latest sign of life.</summary>
    public readonly bool IsTooOld(long beatMs) => SignMs - beatMs >= NoBeat;

    /// <summary>Makes this moment, which has been signed already, that of the latest heartbeat.</summary>
    public void Beat(long atMs) => beatLagMs = (uint)(SignMs - atMs);

    private void ForgetBeat()
    {
        beatLagMs = NoBeat;
        BeatNumber = 0;
        intervalAndGap = 0;
        renewalAndIdLength |= RenewalMask;
        DeviceReason = 0;
        LastGapSeconds = 0;
        Group = 0;
    }
}

/// <summary>One bit each, beside the status.</summary>
[Flags]
public enum RowFlags : byte
{
    /// <summary>It waits in a bucket of the timing wheel.</summary>
    InWheel = 8,

    /// <summary>Its deadline moved forward, so it waits in the list of early examinations as well.</summary>
    Early = 16,

    /// <summary>An alarm of its own is open.</summary>
    Alarmed = 32,

    /// <summary>Silent while a wider alarm was open: it has no alarm of its own yet.</summary>
    Covered = 64,

    /// <summary>Heard since this program started.</summary>
    HeardSinceStart = 128,
}

/// <summary>What connection records and registry events touch: 32 bytes of a device. Moments are seconds since 1970.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct Cold
{
    private const byte KnownFlag = 1;
    private const byte ConnectedFlag = 2;
    private const byte FromLogFlag = 4;
    private const byte DeletedFlag = 8;

    /// <summary>Which of the kept sequence number prefixes is its own; see <see cref="LinkOrders"/>.</summary>
    public ushort OrderPrefix;

    /// <summary>The hub's latest code for it, see <see cref="HubCodes"/>.</summary>
    public byte HubCode;

    private byte flags;

    /// <summary>The end of its sequence number; for a connection known from the log: milliseconds within the second.</summary>
    public uint OrderCount;

    /// <summary>When the hub last reported a connection or its end.</summary>
    public uint LinkAt;

    /// <summary>When it was last created or deleted, 0 = never told.</summary>
    public uint LifeAt;

    /// <summary>When <see cref="HubCode"/> was logged.</summary>
    public uint CodeAt;

    /// <summary>Its latest connects.</summary>
    public Moments Connects;

    /// <summary>Whether the hub ever said if it is connected.</summary>
    public readonly bool IsLinkKnown => (flags & KnownFlag) != 0;

    /// <summary>What it said.</summary>
    public readonly bool IsConnected => (flags & ConnectedFlag) != 0;

    /// <summary>Whether it said so in its log, which has no order marks, and never in an event.</summary>
    public readonly bool IsLinkFromLog => (flags & FromLogFlag) != 0;

    /// <summary>Whether the latest registry event deleted it.</summary>
    public bool IsDeleted
    {
        readonly get => (flags & DeletedFlag) != 0;
        set => flags = (byte)(value ? flags | DeletedFlag : flags & ~DeletedFlag);
    }

    /// <summary>Notes what the hub said.</summary>
    public void SetLink(uint atSeconds, bool isConnected, bool isFromLog)
    {
        LinkAt = atSeconds;
        flags = (byte)((flags & DeletedFlag) | KnownFlag | (isConnected ? ConnectedFlag : 0) | (isFromLog ? FromLogFlag : 0));
    }
}
