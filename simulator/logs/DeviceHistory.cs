namespace Agent.Logs;

// One device's connections as its records tell them: which ends were renewals, which were not, and how far apart they lie.
//
// The hub writes two records when it cuts an expired token (401003, 404104), sometimes one is lost, and records come late or
// shuffled (facts/iothub.md §3). So events wait in a small window ordered by time, records of the same end become one end,
// and an end is judged only when it is known what followed and what the device's rhythm is. An Information end followed by a
// connect within seconds is a renewal whatever its rhythm, because clients draw that moment on purpose. A cut is a renewal
// only with the right codes, a quick return and a rhythm: the same pair at random is an outage that looks like one.
//
// Memory per device is bounded: of a very long history the older half is judged and only counted.

/// <summary>What became of a device's connections.</summary>
public struct EndCounts
{
    /// <summary>Ends that a fresh token explains.</summary>
    public long HealthyRenewals;

    /// <summary>Ends nothing in the log explains as planned.</summary>
    public long UnexplainedDrops;

    /// <summary>The device said goodbye and did not come back within seconds.</summary>
    public long CleanStops;

    /// <summary>The log ends before it could be seen whether the device came back.</summary>
    public long Undecided;

    /// <summary>Connects the hub refused.</summary>
    public long RefusedConnects;

    /// <summary>Records with 401002 that belong to healthy renewals.</summary>
    public long Harmless401002;

    /// <summary>Records with 401003 that belong to healthy renewals.</summary>
    public long Harmless401003;

    /// <summary>Records with 404104 that belong to healthy renewals.</summary>
    public long Harmless404104;

    public void Add(in EndCounts other)
    {
        HealthyRenewals += other.HealthyRenewals;
        UnexplainedDrops += other.UnexplainedDrops;
        CleanStops += other.CleanStops;
        Undecided += other.Undecided;
        RefusedConnects += other.RefusedConnects;
        Harmless401002 += other.Harmless401002;
        Harmless401003 += other.Harmless401003;
        Harmless404104 += other.Harmless404104;
    }
}

/// <summary>Follows one device.</summary>
public sealed class DeviceHistory(string deviceId)
{
    /// <summary>"Within seconds": a planned reconnect takes a handshake, nanoFramework sleeps 1 s before it.</summary>
    public const double CleanReturnSecondsMax = 30;

    /// <summary>"Within about a minute" (facts/iothub.md §1.4): an Arduino sample notices a cut at its next tick of 60 s.</summary>
    public const double CutReturnSecondsMax = 75;

    private const long SameEndMsMax = 60_000;
    private const long StragglerMsMax = 2_000;
    private const long WindowMs = 600_000;
    private const int WindowMax = 64;
    private const int EndsMax = 32;

    private readonly List<Event> window = new(2);
    private readonly List<DeviceEnd> ends = new(2);
    private EndCounts counts;
    private DeviceEnd open;
    private long openMs; // Of the newest end, also after it was closed.
    private bool isOpen;
    private long? lastMs;
    private long? connectedMs;
    private long? previousConnectedMs;
    private long? lastEndMs;
    private long? lastPairMs;

    public string DeviceId { get; } = deviceId;

    /// <summary>The newest one seen.</summary>
    public string? SdkVersion { get; private set; }

    /// <summary>Ends of connections; records of the same end count once.</summary>
    public long Disconnects { get; private set; }

    /// <summary>Of these, the ones the device announced.</summary>
    public long CleanDisconnects { get; private set; }

    /// <summary>Ends with 400027.</summary>
    public long Takeovers { get; private set; }

    /// <summary>Ends with 403002.</summary>
    public long QuotaCuts { get; private set; }

    /// <summary>The ends kept, oldest first; complete after <see cref="Finish"/>.</summary>
    internal IReadOnlyList<DeviceEnd> Ends => ends;

    /// <summary>What became of all ends; complete after <see cref="Finish"/>.</summary>
    public EndCounts Counts { get; private set; }

    /// <summary>The periods between its newest ends (at least 16, where there are so many); complete after <see cref="Finish"/>.</summary>
    public Rhythm Periods => Rhythm.OfPeriods(ends);

    /// <summary>One record of this device.</summary>
    public void Add(ConnectionsEntry entry)
    {
        if (!entry.IsConnect && !entry.IsDisconnect)
        {
            return;
        }

        SdkVersion = entry.SdkVersion ?? SdkVersion;
        var happened = new Event(
            entry.TimeGenerated.Ticks / TimeSpan.TicksPerMillisecond,
            entry.IsConnect ? entry.IsError ? Kind.Refused : Kind.Connect : Kind.End,
            entry.IsError ? Math.Max(entry.Code, 1) : 0);
        int at = window.Count;
        while (at > 0 && window[at - 1].Ms > happened.Ms)
        {
            at--;
        }

        window.Insert(at, happened);
        while (window.Count > WindowMax || window[^1].Ms - window[0].Ms > WindowMs)
        {
            Take();
        }
    }

    /// <summary>No more records.</summary>
    /// <param name="logEnd">The last moment the whole log speaks of.</param>
    public void Finish(DateTime logEnd)
    {
        while (window.Count > 0)
        {
            Take();
        }

        if (isOpen)
        {
            double silence = (logEnd.Ticks / TimeSpan.TicksPerMillisecond - openMs) / 1000.0;
            open.IsUndecided = silence <= (open.IsClean ? CleanReturnSecondsMax : CutReturnSecondsMax);
            Close(double.NaN);
        }

        Judge(ends.Count);
        Counts = counts;
    }

    private void Take()
    {
        Event happened = window[0];
        window.RemoveAt(0);
        // Later than its window: too late to change what was judged.
        long ms = Math.Max(happened.Ms, lastMs ?? happened.Ms);
        lastMs = ms;
        switch (happened.Kind)
        {
            case Kind.Connect:
                if (isOpen)
                {
                    Close((ms - openMs) / 1000.0);
                }

                previousConnectedMs = connectedMs;
                connectedMs = ms;
                break;
            case Kind.Refused:
                counts.RefusedConnects++;
                open.WasRefused = true; // Reset with the next end.
                break;
            default:
                End(ms, happened.Code);
                break;
        }
    }

    private void End(long ms, int code)
    {
        if (isOpen && ms - openMs <= SameEndMsMax)
        {
            Note(ref open, code);
            return;
        }

        if (isOpen)
        {
            Close(double.NaN);
        }

        bool justConnected = connectedMs is { } since && ms - since <= StragglerMsMax;
        if (justConnected && code != 0 && ends.Count > 0 && !ends[^1].IsClean && ms - openMs <= SameEndMsMax
            && !ends[^1].Has(code))
        {
            // The second record of a pair, overtaken by the connect.
            DeviceEnd last = ends[^1];
            Note(ref last, code);
            ends[^1] = last;
            return;
        }

        // The older of two connections ends when the newer one is there: some logs say so in that order.
        bool isReplaced = justConnected && code is 400027 or 409002;
        long? began = isReplaced ? previousConnectedMs : connectedMs;
        openMs = ms;
        open = new DeviceEnd
        {
            PeriodSeconds = Since(lastEndMs, ms),
            PairPeriodSeconds = Since(lastPairMs, ms),
            EarlierSeconds = Since(isReplaced ? null : previousConnectedMs, ms),
            SessionSeconds = began >= lastEndMs || lastEndMs is null ? Since(began, ms) : float.NaN,
            IsClean = true,
            OnlyTokenCodes = true,
        };
        isOpen = true;
        lastEndMs = ms;
        Note(ref open, code);
        if (isReplaced)
        {
            Close(0);
        }
    }

    private static void Note(ref DeviceEnd end, int code)
    {
        switch (code)
        {
            case 0:
                return;
            case 401002:
                end.Count401002 += (byte)(end.Count401002 < byte.MaxValue ? 1 : 0);
                break;
            case 401003:
                end.Count401003 += (byte)(end.Count401003 < byte.MaxValue ? 1 : 0);
                break;
            case 404104:
                end.Count404104 += (byte)(end.Count404104 < byte.MaxValue ? 1 : 0);
                break;
            case 400027:
                end.IsTakeover = true;
                end.OnlyTokenCodes = false;
                break;
            case 403002:
                end.IsQuota = true;
                end.OnlyTokenCodes = false;
                break;
            default:
                end.OnlyTokenCodes = false;
                break;
        }

        end.IsClean = false;
    }

    private void Close(double returnSeconds)
    {
        isOpen = false;
        open.ReturnSeconds = (float)returnSeconds;
        Disconnects++;
        CleanDisconnects += open.IsClean ? 1 : 0;
        Takeovers += open.IsTakeover ? 1 : 0;
        QuotaCuts += open.IsQuota ? 1 : 0;
        if (open.IsPair)
        {
            lastPairMs = openMs;
        }

        ends.Add(open);
        if (ends.Count == EndsMax)
        {
            Judge(EndsMax / 2);
            ends.RemoveRange(0, EndsMax / 2);
        }
    }

    // Judges the oldest ends by the rhythm of all that are kept.
    private void Judge(int count)
    {
        Rhythm cuts = Rhythm.OfCuts(ends);
        foreach (DeviceEnd end in ends.Take(count))
        {
            if (end.IsUndecided)
            {
                counts.Undecided++;
            }
            else if (end.IsClean)
            {
                bool cameBack = end.ReturnSeconds <= CleanReturnSecondsMax;
                counts.HealthyRenewals += cameBack ? 1 : 0;
                // It wanted back and was not let in: a renewal that failed, not a stop.
                counts.UnexplainedDrops += !cameBack && end.WasRefused ? 1 : 0;
                counts.CleanStops += cameBack || end.WasRefused ? 0 : 1;
            }
            else if (end.OnlyTokenCodes && end.ReturnSeconds <= CutReturnSecondsMax && IsInRhythm(end, cuts))
            {
                counts.HealthyRenewals++;
                counts.Harmless401002 += end.Count401002;
                counts.Harmless401003 += end.Count401003;
                counts.Harmless404104 += end.Count404104;
            }
            else
            {
                counts.UnexplainedDrops++;
            }
        }
    }

    private static bool IsInRhythm(in DeviceEnd end, Rhythm cuts)
    {
        ReadOnlySpan<float> candidates = [end.PeriodSeconds, end.PairPeriodSeconds, end.SessionSeconds, end.EarlierSeconds];
        foreach (float seconds in candidates)
        {
            // Logs lose records, so one record of the pair will do where the moment is right.
            if (RhythmGuide.IsKnownCut(seconds) || (cuts.IsRegular && cuts.Fits(seconds)))
            {
                return true;
            }
        }

        // The pair is the mark of an expired token. Where the device has a rhythm, a drop in between may have hidden this one's.
        return end.IsPair && cuts.IsRegular;
    }

    private static float Since(long? beganMs, long ms) => beganMs is { } began ? (ms - began) / 1000f : float.NaN;

    private enum Kind : byte
    {
        Connect,
        Refused,
        End,
    }

    private readonly record struct Event(long Ms, Kind Kind, int Code);
}

/// <summary>One end of a connection.</summary>
internal struct DeviceEnd
{
    /// <summary>Since the end before it; NaN = there is none.</summary>
    public float PeriodSeconds;

    /// <summary>Since the last end that had both records of an expired token.</summary>
    public float PairPeriodSeconds;

    /// <summary>Since the connect it ends.</summary>
    public float SessionSeconds;

    /// <summary>Since the connect before that one: .NET goes on with the older token after a short drop.</summary>
    public float EarlierSeconds;

    /// <summary>Until the next connect; NaN = none came.</summary>
    public float ReturnSeconds;

    public byte Count401002;
    public byte Count401003;
    public byte Count404104;

    /// <summary>Information only.</summary>
    public bool IsClean;

    /// <summary>No code but 401002, 401003 and 404104.</summary>
    public bool OnlyTokenCodes;

    public bool IsTakeover;
    public bool IsQuota;
    public bool IsUndecided;

    /// <summary>A connect was refused after it.</summary>
    public bool WasRefused;

    public readonly bool SpeaksOfToken => Count401002 + Count401003 > 0;

    public readonly bool IsPair => SpeaksOfToken && Count404104 > 0;

    public readonly bool Has(int code) => code switch
    {
        401002 or 401003 => SpeaksOfToken,
        404104 => Count404104 > 0,
        400027 => IsTakeover,
        403002 => IsQuota,
        _ => false,
    };
}
