using System.Text;

namespace Agent.Service;

/// <summary>What is known of one device and what follows from it. Moments are UTC milliseconds.</summary>
public readonly record struct DeviceView(string Id, Status Status, Cause Cause)
{
    public long? SinceMs { get; init; }
    public long? LastSignMs { get; init; }
    public long? LastHeartbeatMs { get; init; }
    public uint? HeartbeatNumber { get; init; }
    public int? IntervalSeconds { get; init; }
    public long? RenewalAtMs { get; init; }
    public bool IsRenewalAllowedFor { get; init; }
    public long? LateAtMs { get; init; }
    public long? SilentAtMs { get; init; }
    public bool? IsConnected { get; init; }
    public long? ConnectionAtMs { get; init; }
    public byte HubCode { get; init; }
    public long? HubCodeAtMs { get; init; }
    public byte DeviceReason { get; init; }
    public int LastGapSeconds { get; init; }
    public string? Site { get; init; }
    public Rhythm Rhythm { get; init; }
    public long? LastConnectMs { get; init; }
    public bool HasAlarm { get; init; }
}

// What the outside may see. Views are made when asked for.
public sealed partial class Checker
{
    /// <summary>The row of a device, or -1.</summary>
    public int Find(string id)
    {
        Span<byte> bytes = stackalloc byte[DeviceIds.LengthMax];
        return id.Length <= DeviceIds.LengthMax && Encoding.UTF8.TryGetBytes(id, bytes, out int length) ? table.Find(bytes[..length]) : -1;
    }

    /// <summary>The status a device was last declared to have.</summary>
    public Status StatusOf(int row) => table.Hot(row).Status;

    /// <summary>The view of the device in a row from 0 to <see cref="Count"/> - 1; rows never move.</summary>
    public DeviceView At(int row, long nowMs)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)Count, nameof(row));
        ref readonly Hot hot = ref table.Hot(row);
        ref readonly Cold cold = ref table.Cold(row);
        Verdict verdict = Judgement.Of(hot, cold, settings, nowMs - doubt.DelayMs);
        var view = new DeviceView(table.Id(row), hot.Status, verdict.Cause)
        {
            SinceMs = hot.SinceSeconds == 0 ? null : hot.SinceSeconds * 1000L,
            LastSignMs = hot.SignMs == 0 ? null : hot.SignMs,
            IsConnected = cold.IsLinkKnown ? cold.IsConnected : null,
            ConnectionAtMs = cold.IsLinkKnown ? cold.LinkAt * 1000L : null,
            HubCode = cold.HubCode,
            HubCodeAtMs = cold.CodeAt == 0 ? null : cold.CodeAt * 1000L,
            Site = hot.Group == 0 ? null : Sites[hot.Group].Name,
            Rhythm = Rhythm.Of(cold.Connects),
            LastConnectMs = cold.Connects.Newest == 0 ? null : cold.Connects.Newest * 1000L,
            HasAlarm = hot.Has(RowFlags.Alarmed),
        };
        if (!hot.HasBeat)
        {
            return view;
        }

        view = view with
        {
            LastHeartbeatMs = hot.BeatMs,
            HeartbeatNumber = hot.BeatNumber,
            IntervalSeconds = hot.HasBeatAhead ? hot.IntervalSeconds : null,
            RenewalAtMs = hot.PlannedMs == 0 ? null : hot.PlannedMs,
            DeviceReason = hot.DeviceReason,
            LastGapSeconds = hot.LastGapSeconds,
        };
        if (!hot.HasBeatAhead)
        {
            return view;
        }

        (long lateMs, bool isLateAllowance) = Judgement.Deadline(hot, cold, settings, 1);
        (long silentMs, bool isSilentAllowance) = Judgement.Deadline(hot, cold, settings, settings.MissedBeforeSilent);
        return view with
        {
            IsRenewalAllowedFor = IsOverdue(hot.Status) ? isSilentAllowance : isLateAllowance,
            LateAtMs = lateMs,
            SilentAtMs = silentMs,
        };
    }
}
