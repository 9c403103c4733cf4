using Agent.Wire;

namespace Agent.Hub;

// What a tier allows, and what the hub does with more: on MQTT it can only close the connection, except for twins, whose answers
// carry a status; a service is answered with an error (facts/iothub.md §1.7, §1.9, §6). Everything is metered always; limits are
// applied when HubOptions.Throttle is set, except for what the Basic tiers do not have at all. A telemetry message is stored when
// it comes; when the throttle queues it, it is its acknowledgement that waits, so no payload has to be kept for later.
public sealed partial class HubServer
{
    private readonly Throttles throttles;
    private readonly DailyQuota quota;
    private readonly DelayedAnswers delayed;

    /// <summary>
    /// Asks for an operation of a service, and waits while the throttle queues it. Null = go on; 403010 in a tier that does not
    /// have it, 403002 when the day's messages are used up, 429001 beyond the throttle.
    /// </summary>
    /// <param name="kind">What is to be done.</param>
    /// <param name="count">How much of it: for methods their payload's <see cref="Throttles.MethodBlocks"/>.</param>
    /// <param name="cancellation">The caller gives up.</param>
    public async Task<HubError?> AdmitAsync(ThrottleKind kind, long count = 1, CancellationToken cancellation = default)
    {
        if (options.Hub.IsBasic && kind is not (ThrottleKind.Registry or ThrottleKind.Queries))
        {
            return HubError.NotInThisTier(options.Hub.Tier);
        }

        if (throttles.IsOn && kind != ThrottleKind.Registry && quota.Used(UtcMs()) >= quota.Limit)
        {
            return HubError.QuotaExceeded(quota.Limit);
        }

        ThrottleVerdict verdict = throttles.Take(kind, time.NowMs(), count);
        if (!verdict.IsAccepted)
        {
            return HubError.Throttled("Too many requests of this kind. Please slow down.") with
            {
                RetryAfterSeconds = (int)Math.Max(1, (verdict.WaitMs + 999) / 1000),
            };
        }

        if (verdict.WaitMs > 0)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(verdict.WaitMs), time, cancellation).ConfigureAwait(false);
        }

        return null;
    }

    /// <summary>A service has read a twin of this many bytes (null = it failed).</summary>
    public void OnTwinRead(int? bytes) => Note(
        HubMetric.ServiceTwinReadSuccess, HubMetric.ServiceTwinReadFailure, HubMetric.ServiceTwinReadSize, bytes);

    /// <summary>A service has queried twins, with a result of this many bytes (null = it failed).</summary>
    public void OnQuery(int? bytes) => Note(HubMetric.QuerySuccess, HubMetric.QueryFailure, HubMetric.QueryResultSize, bytes);

    /// <summary>Counts an operation with a size, and charges it to the day when it succeeded.</summary>
    private void Note(HubMetric success, HubMetric failure, HubMetric size, int? bytes)
    {
        Metrics.Count(bytes is null ? failure : success);
        if (bytes is { } known)
        {
            Metrics.Measure(size, known);
            quota.Charge(UtcMs(), quota.MessagesOf(known));
        }
    }

    /// <summary>A telemetry PUBLISH: taken and acknowledged, or the end of the connection.</summary>
    private void OnTelemetry(HubConnection connection, Device device, ReadOnlySpan<byte> bag, in PublishPacket packet)
    {
        Metrics.Count(HubMetric.TelemetryAttempts);
        if (IsQuotaGone(device.Index))
        {
            Cut(device, Reason.QuotaExceeded);
            return;
        }

        if (FaultRequest.IsLikely(bag) && FaultRequest.TryRead(bag, out FaultRequest request))
        {
            // Never acknowledged: the vendor's tests see the connection end first (facts/iothub.md §1.7).
            OnFaultRequest(device, request);
            return;
        }

        ThrottleVerdict verdict = throttles.IsOn
            ? throttles.Take(ThrottleKind.Telemetry, time.NowMs())
            : new ThrottleVerdict(true, 0);
        if (!verdict.IsAccepted)
        {
            Metrics.Count(HubMetric.TelemetryThrottled);
            Cut(device, Reason.Throttled);
            return;
        }

        long messages = quota.MessagesOf(Hub.Telemetry.MeteredLength(bag, packet.Payload.Length, quota.BlockBytes));
        long utcMs = UtcMs();
        if (throttles.IsOn && !quota.TryTake(utcMs, messages))
        {
            Cut(device, Reason.QuotaExceeded);
            return;
        }

        if (!throttles.IsOn)
        {
            quota.Charge(utcMs, messages);
        }

        NoteMessaging(connection, device);
        TakeTelemetry(connection, device, utcMs, bag, packet.Retain, packet.Payload);
        if (packet.Qos == 1)
        {
            Acknowledge(connection, device, packet.PacketId, verdict.WaitMs);
        }
    }

    /// <summary>A will is a message like any other, but nobody is left to refuse it to.</summary>
    private void TakeWill(HubConnection connection, Device device, ReadOnlySpan<byte> bag)
    {
        Metrics.Count(HubMetric.TelemetryAttempts);
        long utcMs = UtcMs();
        quota.Charge(utcMs, quota.MessagesOf(Hub.Telemetry.MeteredLength(bag, connection.WillBody.Length, quota.BlockBytes)));
        TakeTelemetry(connection, device, utcMs, bag, connection.WillRetain, connection.WillBody);
    }

    /// <summary>PUBACK, now or later, but never before an earlier one of the same connection (MQTT-4.6.0-2).</summary>
    private void Acknowledge(HubConnection connection, Device device, ushort packetId, long waitMs)
    {
        waitMs += faults.EffectOn(device.Index).AckDelayMs;
        if (waitMs == 0 && connection.WaitingAcks == 0)
        {
            connection.Session.SendPuback(packetId);
        }
        else if (!delayed.TryAdd(connection, packetId, time.NowMs() + waitMs))
        {
            CloseFor(connection, $"more than {DelayedAnswers.WaitingMax} messages without an acknowledgement");
        }
    }

    /// <summary>
    /// Asks for a twin operation of a device. False = it has been answered with 429, or its connection closed. Answers that must
    /// wait are the throttle's: <paramref name="waitMs"/>.
    /// </summary>
    private bool AdmitTwin(HubConnection connection, Device device, ReadOnlySpan<byte> requestId, ThrottleKind kind, out long waitMs)
    {
        waitMs = 0;
        if (options.Hub.IsBasic)
        {
            CloseFor(connection, $"a twin request, which tier {options.Hub.Tier} does not have (403010)");
            return false;
        }

        if (!throttles.IsOn)
        {
            return true;
        }

        if (quota.Used(UtcMs()) >= quota.Limit)
        {
            Cut(device, Reason.QuotaExceeded);
            return false;
        }

        ThrottleVerdict verdict = throttles.Take(kind, time.NowMs());
        waitMs = verdict.WaitMs;
        if (!verdict.IsAccepted)
        {
            Metrics.Count(kind == ThrottleKind.TwinReads ? HubMetric.DeviceTwinReadFailure : HubMetric.DeviceTwinUpdateFailure);
            AnswerTwin(connection, device, requestId, 429, default, 0);
        }

        return verdict.IsAccepted;
    }

    private void ReadTwin(HubConnection connection, Device device, ReadOnlySpan<byte> requestId)
    {
        if (!AdmitTwin(connection, device, requestId, ThrottleKind.TwinReads, out long waitMs))
        {
            return;
        }

        byte[] body = TwinOf(device).DeviceJson();
        Note(HubMetric.DeviceTwinReadSuccess, HubMetric.DeviceTwinReadFailure, HubMetric.DeviceTwinReadSize, body.Length);
        if (waitMs == 0)
        {
            AnswerTwin(connection, device, requestId, 200, body, 0);
        }
        else
        {
            byte[] id = requestId.ToArray();
            delayed.Add(time.NowMs() + waitMs, () => AnswerTwin(connection, device, id, 200, body, 0));
        }
    }

    /// <summary>What a tier without twins, methods and messages to devices makes of a subscription to them; null = nothing.</summary>
    private string? WhyNotInTier(TopicFlags topics)
    {
        const TopicFlags Standard = TopicFlags.DeviceBound | TopicFlags.TwinResponse | TopicFlags.DesiredPatch | TopicFlags.TwinAll
            | TopicFlags.Methods;
        return options.Hub.IsBasic && (topics & Standard) != 0
            ? $"a subscription to twin, methods or messages, which tier {options.Hub.Tier} does not have (403010)"
            : null;
    }
}
