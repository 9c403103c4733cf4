namespace Agent.Tests.Soak;

/// <summary>A mistake that could have been made: one place of the sources, and how it would read.</summary>
/// <param name="Name">What goes wrong, in a few words.</param>
/// <param name="File">From the repository's root.</param>
/// <param name="Right">The text as it is; stands there exactly once, line ends and indents aside.</param>
/// <param name="Wrong">The text with the mistake behind a switch: PLANTED is true while this bug is on.</param>
internal sealed record PlantedBug(string Name, string File, string Right, string Wrong)
{
    public override string ToString() => Name;

    /// <summary>All that the soak must find.</summary>
    public static IReadOnlyList<PlantedBug> All { get; } =
    [
        new("the back-off never resets", "device/core/Session.cs",
            "if (now.Ms - connectedSinceMs >= settings.BackoffMaxSeconds * 1000L)",
            "if (!PLANTED && now.Ms - connectedSinceMs >= settings.BackoffMaxSeconds * 1000L)"),
        new("the back-off has no ceiling", "device/core/Backoff.cs",
            "int backoff = ceiling < max ? (int)ceiling : max;",
            "int backoff = ceiling < max || PLANTED ? (int)ceiling : max;"),
        new("the queue drops its oldest without counting", "device/core/Outbox.cs",
            "private void Drop(bool isOldest) { Dropped++;",
            "private void Drop(bool isOldest) { Dropped += PLANTED ? 0 : 1;"),
        new("what the last run left in the queue waits for the next message", "device/core/DeviceAgent.cs",
            "if (!outbox.IsEmpty) { session.OnMessageWaiting(now);",
            "if (!PLANTED && !outbox.IsEmpty) { session.OnMessageWaiting(now);"),
        new("the acknowledgement of a heartbeat takes a message out", "device/core/DeviceAgent.Twin.cs",
            "heartbeatInFlight = 0; session.OnHeartbeatAcknowledged(now, sequence);",
            "heartbeatInFlight = 0; if (PLANTED) { outbox.TakeOut(); } session.OnHeartbeatAcknowledged(now, sequence);"),
        new("a message is taken out when it is sent", "device/core/DeviceAgent.Twin.cs",
            "messageInFlight = false; outbox.TakeOut(); session.OnMessageAcknowledged(now, !outbox.IsEmpty);",
            "messageInFlight = false; outbox.TakeOut(); if (PLANTED) { outbox.TakeOut(); } "
            + "session.OnMessageAcknowledged(now, !outbox.IsEmpty);"),
        new("the black box writes the reason of the end before", "device/core/BlackBox.cs",
            "Start(now, reason, seen); IsOpen = true; LastReason = reason;",
            "Start(now, PLANTED && LastReason != 0 ? LastReason : reason, seen); IsOpen = true; LastReason = reason;"),
        new("a reset is taken for a close", "device/core/ReasonClassifier.cs",
            "case LinkEnd.Malformed: return DisconnectReason.ProtocolViolation; "
            + "case LinkEnd.Reset: return DisconnectReason.ConnectionReset; case LinkEnd.TimedOut: return DisconnectReason.SilentPeer; "
            + "default: break;",
            "case LinkEnd.Malformed: return DisconnectReason.ProtocolViolation; "
            + "case LinkEnd.Reset: return PLANTED ? DisconnectReason.ClosedByPeer : DisconnectReason.ConnectionReset; "
            + "case LinkEnd.TimedOut: return DisconnectReason.SilentPeer; default: break;"),
        new("a record cut off by the power is written over", "device/core/RingLog.cs",
            "while (SlotOf(next) % slotsPerBlock != 0 && !IsBlank(",
            "while (!PLANTED && SlotOf(next) % slotsPerBlock != 0 && !IsBlank("),
        new("the gap is counted from the attempt", "device/core/Session.cs",
            "LastGapMs = linkEndedMs == Never ? Never : now.Ms - linkEndedMs;",
            "LastGapMs = linkEndedMs == Never ? Never : now.Ms - (PLANTED ? tokenMadeMs : linkEndedMs);"),
        new("the renewal timer is not armed again after a drop", "device/core/Session.cs",
            "ArmRenewal(now); if (IsLinkOutdated)",
            "if (!PLANTED || Drops == 0) { ArmRenewal(now); } if (IsLinkOutdated)"),
        new("a renewal under the settings before proves the new ones", "device/core/DeviceAgent.Link.cs",
            "if (!session.IsLinkOutdated)",
            "if (PLANTED || !session.IsLinkOutdated)"),
        new("a token is used again while it is good", "device/core/Session.cs",
            "ExpirySeconds = now.UtcSeconds + settings.LifetimeSeconds;",
            "ExpirySeconds = PLANTED && ExpirySeconds > now.UtcSeconds ? ExpirySeconds : now.UtcSeconds + settings.LifetimeSeconds;"),
        new("a heartbeat announces the renewal too late", "device/core/Session.cs",
            "long sentMs = timers.DueAtMs(TimerId.Acknowledge) - AcknowledgeTimeoutMs;",
            "long sentMs = timers.DueAtMs(TimerId.Acknowledge) - (PLANTED ? 3 * AcknowledgeTimeoutMs : AcknowledgeTimeoutMs);"),
        new("a longer interval is told late", "device/core/Session.Renewal.cs",
            "intervalIsNews = true;",
            "intervalIsNews = !PLANTED;"),
        new("numbers of heartbeats are used again after a power cut", "device/core/DeviceAgent.Twin.cs",
            "if (order.Sequence >= record.NextSequence)",
            "if (!PLANTED && order.Sequence >= record.NextSequence)"),
        new("the twin's version is compared the wrong way", "device/core/SettingsKeeper.cs",
            "if (version >= 0 && version <= record.TwinVersion)",
            "if (version >= 0 && (PLANTED ? version >= record.TwinVersion : version <= record.TwinVersion))"),
        new("a patch is applied over a gap of versions", "device/core/SettingsKeeper.cs",
            "bool isNext = version == record.TwinVersion + 1;",
            "bool isNext = PLANTED || version == record.TwinVersion + 1;"),
        new("any connection ends probation", "device/core/DeviceAgent.Link.cs",
            "FinishOutage(now); } connectedAtMs = now.Ms;",
            "FinishOutage(now); if (PLANTED) { keeper.OnRenewed(); } } connectedAtMs = now.Ms;"),
        new("settings are rolled back in name only", "device/core/SettingsKeeper.cs",
            "change = lastGood; changeReconnects = true; InForce = lastGood;",
            "change = PLANTED ? null : lastGood; changeReconnects = true; InForce = PLANTED ? InForce : lastGood;"),
        new("the hub keeps the connection that was taken over", "simulator/hub/machine/IotHub.cs",
            "olderLink = device.Link; olderReason",
            "olderLink = PLANTED ? -1 : device.Link; olderReason"),
        new("the grace counts from the connect", "simulator/hub/machine/IotHub.cs",
            "device.CutMs = nowMs + (request.ExpiryUtcMs - utcMs) + Grace(request.Draw);",
            "device.CutMs = nowMs + (PLANTED ? 0 : request.ExpiryUtcMs - utcMs) + Grace(request.Draw);"),
        new("the hub's 32 bits of milliseconds wrap", "simulator/hub/machine/IotHub.cs",
            "long lastMs = nowMs + (int)(state.LastPacket - (uint)nowMs);",
            "long lastMs = PLANTED ? state.LastPacket : nowMs + (int)(state.LastPacket - (uint)nowMs);"),
        new("the checker forgets its alarms at a restart", "service/alarms/Alarm.cs",
            "if (alarm.ClearedAtMs is null) { open[key] = alarm; }",
            "if (alarm.ClearedAtMs is null) { if (!PLANTED) { open[key] = alarm; } }"),
        new("a repetition of an old message counts as life", "service/liveness/DeviceState.cs",
            "long later = atMs - SignMs; if (later <= 0)",
            "atMs = PLANTED && atMs <= SignMs && SignMs > 0 ? SignMs + 60_000 : atMs; long later = atMs - SignMs; if (later <= 0)"),
        new("a late device is never looked at again", "service/liveness/Checker.Look.cs",
            "if (nextMs != long.MaxValue && !hot.Has(RowFlags.InWheel))",
            "if (nextMs != long.MaxValue && !hot.Has(RowFlags.InWheel) && !(PLANTED && hot.Status == Status.Late))"),
        new("a late delivery takes an alarm back", "service/liveness/Checker.Look.cs",
            "delayMs > 0 && Worse(verdict.Status) < Worse(hot.Status)",
            "!PLANTED && delayMs > 0 && Worse(verdict.Status) < Worse(hot.Status)"),
        new("a backlog puts alarms off beyond its end", "service/liveness/Checker.Look.cs",
            "Math.Min(dueMs + delayMs, Math.Max(dueMs, nowMs + Doubt.WindowMs));",
            "PLANTED ? dueMs + (20 * delayMs) : Math.Min(dueMs + delayMs, Math.Max(dueMs, nowMs + Doubt.WindowMs));"),
        new("deadlines count heartbeats from one too few", "service/liveness/Judgement.cs",
            "long due = hot.SignMs + (missed * 1000L * hot.IntervalSeconds) + settings.DeliverySlackMs;",
            "long due = hot.SignMs + ((PLANTED ? missed - 1 : missed) * 1000L * hot.IntervalSeconds) + settings.DeliverySlackMs;"),
    ];
}
