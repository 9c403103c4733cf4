using System.Globalization;
using Agent.Wire;

namespace Agent.Hub;

// The packets of a connection, turned into facts for the machine. What is not documented closes the connection, because on
// MQTT 3.1.1 the hub has no other way to say no (facts/iothub.md section 1.7).
public sealed partial class HubServer : IServerHandler
{
    private const int RequestIdLengthMax = 256;

    /// <inheritdoc/>
    void IServerHandler.OnConnect(ServerSession session, in ConnectPacket packet)
    {
        var connection = new HubConnection(session, ConnectionsWriter.Mask(session.RemoteEndPoint?.Address))
        {
            Link = Interlocked.Increment(ref lastLink),
            KeepAliveSeconds = packet.KeepAliveSeconds,
        };
        session.Tag = connection;

        UserFault fault = ConnectUser.Parse(packet.UserName, packet.ClientId, Registry, out ConnectUser user);
        connection.SdkVersion = DecodeSdk(user.DeviceClientType);
        ReadOnlySpan<byte> id = user.DeviceId.IsEmpty ? packet.ClientId : user.DeviceId;
        if (fault != UserFault.None)
        {
            Refuse(connection, id, ConnectUser.Describe(fault));
        }
        else if (!Registry.TryFind(id, user.ModuleId, out Device? device))
        {
            Refuse(connection, id, user.ModuleId.IsEmpty || !Registry.TryFind(id, out _)
                ? $"IotHub '{Registry.HostName}' does not contain the specified device"
                : "the device has no such module");
        }
        else if (!TryTakeWill(connection, device, packet))
        {
            CloseFor(connection, "the will's topic is not the device's own messages/events/ topic");
        }
        else
        {
            Admit(connection, device, packet);
            if (connection.Device is not null)
            {
                NoteModel(device, user.ModelId);
            }
        }
    }

    /// <inheritdoc/>
    void IServerHandler.OnPublish(ServerSession session, in PublishPacket packet)
    {
        var connection = (HubConnection)session.Tag!;
        if (connection.Device is not { } device)
        {
            CloseFor(connection, "a message without an accepted CONNECT");
            return;
        }

        switch (Hub.Telemetry.Parse(packet.Topic, device.Utf8Id, device.Utf8ModuleId, out ReadOnlySpan<byte> rest))
        {
            case PublishKind.Telemetry when !Hub.Telemetry.IsWithinLimit(rest, packet.Payload.Length):
                CloseFor(connection, $"a message longer than {Hub.Telemetry.MessageLengthMax} bytes");
                return;
            case PublishKind.Telemetry:
                OnTelemetry(connection, device, rest, packet);
                return;
            case PublishKind.TwinGet or PublishKind.TwinPatch when rest.Length > RequestIdLengthMax:
                CloseFor(connection, "a twin request with an overlong request id");
                return;
            case PublishKind.TwinGet:
                ReadTwin(connection, device, rest);
                break;
            case PublishKind.TwinPatch:
                ReportTwin(connection, device, rest, packet.Payload);
                break;
            case PublishKind.MethodResponse:
                OnMethodAnswer(connection, device, rest, packet.Payload);
                break;
            default:
                CloseFor(connection, $"a message to {EventLines.Clean(packet.Topic)}, which is no topic of this device");
                return;
        }

        if (packet.Qos == 1)
        {
            session.SendPuback(packet.PacketId);
        }
    }

    /// <inheritdoc/>
    void IServerHandler.OnSubscribe(ServerSession session, in SubscribePacket packet)
    {
        var connection = (HubConnection)session.Tag!;
        if (connection.Device is not { } device)
        {
            CloseFor(connection, "SUBSCRIBE without an accepted CONNECT");
            return;
        }

        Span<byte> codes = packet.Count <= 64 ? stackalloc byte[packet.Count] : new byte[packet.Count];
        TopicFlags added = TopicFlags.None;
        byte commandQos = 0;
        int position = 0;
        foreach (SubscribePacket.Item item in packet)
        {
            TopicFlags topic = Subscriptions.Parse(item.Filter, device.Utf8Id, device.Utf8ModuleId);
            if (topic == TopicFlags.None)
            {
                CloseFor(connection, $"a subscription to {EventLines.Clean(item.Filter)}, which is no topic of this device");
                return;
            }

            added |= topic;
            codes[position++] = Math.Min(item.Qos, (byte)1);
            commandQos = topic == TopicFlags.DeviceBound ? codes[position - 1] : commandQos;
        }

        if (WhyNotInTier(added) is { } why)
        {
            CloseFor(connection, why);
            return;
        }

        Task? kept = null;
        lock (gate)
        {
            if (Subscriptions.Fits(added | (TopicFlags)hub.Subscriptions(device.Index)))
            {
                hub.OnSubscribe(device.Index, connection.Link, (byte)added);
                if ((added & TopicFlags.DeviceBound) != 0 && hub.CurrentLink(device.Index) == connection.Link)
                {
                    device.State.CommandQos = commandQos;
                    NoteMessaging(connection, device);
                }

                kept = KeepSession(device);
            }
        }

        if (kept is null)
        {
            CloseFor(connection, $"more than {Subscriptions.CountMax} subscriptions");
        }
        else if (kept.IsCompletedSuccessfully)
        {
            session.SendSuback(packet.PacketId, codes);
            Open(connection, device, added);
        }
        else
        {
            _ = AcknowledgeAsync(kept, connection, device, packet.PacketId, codes.ToArray(), added);
        }
    }

    /// <inheritdoc/>
    void IServerHandler.OnUnsubscribe(ServerSession session, in UnsubscribePacket packet)
    {
        var connection = (HubConnection)session.Tag!;
        if (connection.Device is not { } device)
        {
            CloseFor(connection, "UNSUBSCRIBE without an accepted CONNECT");
            return;
        }

        TopicFlags removed = TopicFlags.None;
        foreach (ReadOnlySpan<byte> filter in packet)
        {
            removed |= Subscriptions.Parse(filter, device.Utf8Id, device.Utf8ModuleId);
        }

        Task kept;
        lock (gate)
        {
            hub.OnSubscribe(device.Index, connection.Link, (byte)removed, remove: true);
            if ((removed & TopicFlags.DeviceBound) != 0 && holders[device.Index] == connection)
            {
                SetListener(device, null, 0);
            }

            kept = KeepSession(device);
        }

        if (kept.IsCompletedSuccessfully)
        {
            session.SendUnsuback(packet.PacketId);
        }
        else
        {
            ushort packetId = packet.PacketId;
            _ = kept.ContinueWith(
                done => done.IsCompletedSuccessfully && session.SendUnsuback(packetId), TaskScheduler.Default);
        }
    }

    /// <inheritdoc/>
    void IServerHandler.OnPing(ServerSession session) => session.SendPingresp();

    /// <inheritdoc/>
    void IServerHandler.OnDisconnect(ServerSession session)
    {
        var connection = (HubConnection)session.Tag!;
        connection.WillBag = null;
        Leave(connection, clean: true);
    }

    /// <inheritdoc/>
    void IServerHandler.OnClosed(ServerSession session, SessionEnd end)
    {
        var connection = session.Tag as HubConnection;
        if (connection is not null)
        {
            Leave(connection, clean: false);
        }

        if (!lines.IsOn || end is SessionEnd.Refused or SessionEnd.ServerStopped)
        {
            return;
        }

        string who = connection?.Device?.Id ?? session.RemoteEndPoint?.Address.ToString() ?? "somebody";
        lines.Write(end == SessionEnd.Disconnected
            ? $"{who} disconnected"
            : $"{who} closed: {connection?.Cause ?? end.Text()}");
    }

    private void Admit(HubConnection connection, Device device, in ConnectPacket packet)
    {
        SasVerdict verdict = SasVerifier.VerifyDevice(packet.Password, Registry, device);
        connection.ByPolicy = verdict.ByPolicy;
        if (faults.EffectOn(device.Index).IsSilent)
        {
            connection.IsIgnored = true;
            return;
        }

        if (TryFindRefusal(device.Index, out HubRefusal timeout) && timeout.Kind == LogKind.ConnectTimeout)
        {
            GiveUpLater(connection, device, timeout);
            return;
        }

        long utcMs = UtcMs();
        string cause = device.IsDeleted ? $"IotHub '{Registry.HostName}' does not contain the specified device"
            : verdict.IsAccepted
            ? string.Create(CultureInfo.InvariantCulture, $"the token expired {(utcMs / 1000) - verdict.ExpirySeconds} s ago")
                + $", {options.Hub.ClockSkewAllowedMs / 1000} s are tolerated"
            : SasVerifier.Describe(verdict.Fault);
        var request = new ConnectRequest(
            device.Index, connection.Link, verdict.IsAccepted, verdict.ExpirySeconds * 1000, packet.KeepAliveSeconds,
            packet.CleanSession, (uint)Random.Shared.NextInt64(1L << 32));

        HubConnection? older;
        ConnectReply reply;
        lock (gate)
        {
            long nowMs = time.NowMs();
            older = holders[device.Index];
            NoteSilence(nowMs, device, older);
            candidate = connection;
            candidateCause = cause;
            reply = TryFindRefusal(device.Index, out HubRefusal refusal)
                ? hub.Refuse(nowMs, device.Index, refusal.Reason, refusal.Code, refusal.Kind)
                : request.CredentialValid && device.IsDeleted
                ? hub.Refuse(nowMs, device.Index, Reason.TokenRefused, 5, LogKind.ConnectUnauthorized)
                : request.CredentialValid && !MayConnect(device)
                ? hub.Refuse(nowMs, device.Index, Reason.RefusedDisabled, 3, LogKind.ConnectDisabled)
                : hub.OnConnect(nowMs, utcMs, request);
            candidate = null;
            if (reply.Accepted)
            {
                if (older is not null)
                {
                    Release(older, takenOver: true);
                }

                _ = KeepSession(device);
                connection.Device = device;
                holders[device.Index] = connection;
                deadlines.Arm(device.Index, hub.DeadlineMs(nowMs, device.Index));
            }
        }

        if (reply.OlderLink >= 0 && older is not null)
        {
            Tell(older, device.Index, reply.OlderReason);
            CloseFor(older, reply.OlderReason == Reason.TakenOver
                ? "another client connected as this device (400027)"
                : "the device came back after this connection had gone silent (409002)");
        }

        Answer(connection, device, reply, verdict, cause);
    }

    private void Answer(
        HubConnection connection, Device device, in ConnectReply reply, in SasVerdict verdict, string cause)
    {
        if (reply.Accepted)
        {
            lines.Write($"{device.Id} connected{ShortSdk(connection)} token until {Moment(verdict.ExpirySeconds)}");
            connection.Session.SendConnack(0, reply.SessionPresent);
            Resume(connection, device);
            return;
        }

        Tell(connection, device.Index, reply.Refusal);
        string why = reply.Refusal switch
        {
            Reason.TokenRefused => cause,
            Reason.RefusedDisabled => "the device is disabled",
            Reason.RefusedThrottled => "more new connections a second than the tier allows",
            Reason.RefusedUnavailable => "the hub is out of service",
            Reason.RefusedByScenario => "the scenario asks for it",
            _ => reply.Refusal.Name(),
        };
        if (reply.Code == ConnectReply.HangUp)
        {
            CloseFor(connection, why);
        }
        else
        {
            lines.Write($"{device.Id} refused: {why} (CONNACK {reply.Code})");
            connection.Session.SendConnack(reply.Code, false);
        }
    }

    /// <summary>The time of day, with the date when that is not enough.</summary>
    private string Moment(long utcSeconds)
    {
        DateTime moment = DateTime.UnixEpoch.AddSeconds(utcSeconds);
        bool isFar = (moment - time.GetUtcNow().UtcDateTime).Duration() > TimeSpan.FromHours(20);
        return moment.ToString(isFar ? "yyyy-MM-dd HH:mm:ss" : "HH:mm:ss", CultureInfo.InvariantCulture);
    }

    /// <summary>
    /// A client that let its own keep-alive pass without a packet is gone, though the hub waits half as long again before
    /// it says so; whoever comes back then is the same device (409002), not a rival (400027).
    /// </summary>
    private void NoteSilence(long nowMs, Device device, HubConnection? older)
    {
        if (older is { KeepAliveSeconds: > 0 }
            && nowMs - older.Session.LastInboundMs > older.KeepAliveSeconds * 1000L)
        {
            hub.SetSilent(device.Index, older.Link);
        }
    }

    private void Refuse(HubConnection connection, ReadOnlySpan<byte> idAsSent, string cause)
    {
        RecordUnknown(connection, idAsSent, cause);
        lines.Write($"{EventLines.Clean(idAsSent)} refused: {cause} (CONNACK 5)");
        connection.Session.SendConnack(5, false);
    }

    private static void CloseFor(HubConnection connection, string cause)
    {
        connection.Cause ??= cause;
        connection.Session.Close(SessionEnd.HandlerClosed);
    }

    /// <summary>Tells the machine that the connection is over; only the first call, and only the holder's, counts.</summary>
    private void Leave(HubConnection connection, bool clean)
    {
        if (connection.Device is not { } device || stopping)
        {
            return;
        }

        lock (gate)
        {
            long nowMs = time.NowMs();
            _ = clean
                ? hub.OnDisconnect(nowMs, device.Index, connection.Link)
                : hub.OnLinkClosed(nowMs, device.Index, connection.Link);
            if (holders[device.Index] == connection)
            {
                Release(connection, takenOver: false);
            }
        }

        if (!clean && connection.WillBag is { } bag)
        {
            connection.WillBag = null;
            TakeWill(connection, device, bag);
        }
    }

    private void TakeTelemetry(
        HubConnection connection, Device device, long utcMs, ReadOnlySpan<byte> bag, bool retain, ReadOnlySpan<byte> body)
    {
        Interlocked.Increment(ref telemetryCount);
        Telemetry.Add(device, utcMs, bag, retain, body);
        CountTelemetry(device, utcMs, bag.Length + body.Length);
        events?.OnTelemetry(device, utcMs, bag, retain, connection.ByPolicy, body);
    }

    /// <summary>The first PUBLISH or devicebound SUBSCRIBE of a connection makes it visible to Event Grid (facts/iothub.md §4).</summary>
    private void NoteMessaging(HubConnection connection, Device device)
    {
        if (events is null || connection.IsMessaging)
        {
            return;
        }

        lock (gate)
        {
            if (holders[device.Index] == connection)
            {
                connection.IsMessaging = true;
                events.OnMessaging(device.Index);
            }
        }
    }

    /// <summary>A will must be telemetry of the device itself; it is sent with <c>iothub-MessageType=Will</c>.</summary>
    private static bool TryTakeWill(HubConnection connection, Device device, in ConnectPacket packet)
    {
        if (!packet.HasWill)
        {
            return true;
        }

        if (Hub.Telemetry.Parse(packet.WillTopic, device.Utf8Id, device.Utf8ModuleId, out ReadOnlySpan<byte> bag)
            != PublishKind.Telemetry)
        {
            return false;
        }

        ReadOnlySpan<byte> mark = "iothub-MessageType=Will"u8;
        connection.WillBag = bag.IsEmpty ? mark.ToArray() : [.. bag, (byte)'&', .. mark];
        connection.WillBody = packet.WillMessage.ToArray();
        connection.WillRetain = packet.WillRetain;
        return true;
    }
}
