using System.Globalization;
using Agent.Hub;
using Agent.Service;

namespace Agent.Soak;

// The hub's side: packets go to the machine, its answers go back, and beside it the books keep their own count of who is connected.
internal sealed partial class SoakWorld : IHubLog
{
    private const long SlackMs = 2;

    private readonly List<SoakLink> links = [];
    private bool isAsking;

    private long HubMs => plan.HubUptimeMs + NowMs;

    public void SendConnect(SoakLink link, long expirySeconds, long lifetimeSeconds, int keepAliveSeconds, bool cleanSession)
    {
        link.ExpirySeconds = expirySeconds;
        link.LifetimeSeconds = lifetimeSeconds;
        link.KeepAliveSeconds = keepAliveSeconds;
        uint draw = (uint)network.Bits();
        SendUp(link, () => ConnectAtHub(link, cleanSession, draw));
    }

    public void SendPing(SoakLink link)
    {
        link.PingSentMs = NowMs;
        SendUp(link, () => SendDown(link, () =>
        {
            if (link.IsOpenAtDevice)
            {
                link.Device.OnPingresp(link);
            }
        }));
    }

    /// <summary>Any other packet of a client: an answer comes back, unless the link has been replaced meanwhile.</summary>
    public void SendPacket(SoakLink link, Action<SoakLink> atHub) => SendUp(link, () =>
    {
        if (hub.CurrentLink(link.Device.Index) == link.Number)
        {
            atHub(link);
        }
    });

    /// <summary>PUBLISH of QoS 1 arrives at the hub: it is kept, told to the checker, and acknowledged.</summary>
    public void SendPublish(SoakLink link, int packetId, string topic, string payload) => SendPacket(link, _ =>
    {
        SoakDevice device = link.Device;
        if (device.Suffers(SoakFault.Quota))
        {
            Cut(device, Reason.QuotaExceeded);
            return;
        }

        Keep(device, topic, payload);
        long lateMs = !device.Suffers(SoakFault.LateAck) ? 0 : network.Chance(50) ? network.Between(1_000, 29_000) : -1;
        if (lateMs >= 0)
        {
            After(lateMs, () => SendDown(link, () =>
            {
                if (link.IsOpenAtDevice)
                {
                    device.OnPuback(link, packetId);
                }
            }));
        }
    });

    void IHubLog.Record(long nowMs, int device, LogKind kind)
    {
        SoakDevice about = devices[device];
        Mix(((ulong)device << 8) | (ulong)kind);
        if (IsTelling)
        {
            Tell(about, $"hub logs {kind.Shape().Key}");
        }

        // At a cut for expiry the machine writes two records of one end, the first of which does not count.
        bool isFirstOfTwo = isAsking && kind == LogKind.DisconnectUnauthorized;
        about.Books.Balance += kind == LogKind.Connect ? 1 : kind <= LogKind.DisconnectServerError && !isFirstOfTwo ? -1 : 0;
        if (about.Books.Balance is not (0 or 1))
        {
            Broken(Invariants.CountersAddUp, about, $"{about.Books.Balance} connections after {kind}");
        }

        TellCode(about, kind);
    }

    private void ConnectAtHub(SoakLink link, bool cleanSession, uint draw)
    {
        SoakDevice device = link.Device;
        if (device.Suffers(SoakFault.Throttled))
        {
            hub.Refuse(HubMs, device.Index, Reason.RefusedThrottled, ConnectReply.HangUp, LogKind.ConnectThrottled);
            CloseByHub(link, Reason.RefusedThrottled);
            return;
        }

        bool isTrap = link.LifetimeSeconds == TrapLifetimeSeconds;
        hub.Outage = device.Suffers(SoakFault.HubDown) ? Reason.HubDown : Reason.None;
        ConnectReply reply = hub.OnConnect(HubMs, UtcMs, new ConnectRequest(
            device.Index, link.Number, !isTrap && !device.Suffers(SoakFault.RefusedByKey), link.ExpirySeconds * 1000,
            link.KeepAliveSeconds, cleanSession, draw));
        hub.Outage = Reason.None;
        if (reply.Accepted)
        {
            Hold(link, reply);
        }

        SendDown(link, () => Connack(link, reply.Code, reply.SessionPresent));
        if (!reply.Accepted)
        {
            CloseByHub(link, reply.Refusal);
        }
    }

    private void Connack(SoakLink link, int code, bool sessionPresent)
    {
        if (link.IsOpenAtDevice)
        {
            link.IsAccepted = code == 0;
            link.IsOpenAtDevice = code == 0;
            link.Device.OnConnack(link, code, sessionPresent);
        }
    }

    private void Hold(SoakLink link, in ConnectReply reply)
    {
        SoakDevice device = link.Device;
        SoakLink? older = device.Books.HeldLink;
        if (older is not null && reply.OlderLink == older.Number)
        {
            CloseByHub(older, reply.OlderReason);
        }

        if (device.Books.HeldLink is { } kept)
        {
            Broken(Invariants.OneLink, device, $"link {link.Number} is accepted while link {kept.Number} stays open");
        }

        if (hub.CurrentLink(device.Index) != link.Number)
        {
            Broken(Invariants.OneLink, device, $"link {link.Number} is accepted but link {hub.CurrentLink(device.Index)} is held");
        }

        device.Books.HeldLink = link;
        link.IsHeld = true;
        links.Add(link);
        link.HeardMs = NowMs;
        snapshot.OnConnect(UtcMs, device.Index);
        AskHubLater(device);
        if (device.Suffers(SoakFault.Rival) && link.LifetimeSeconds > 0)
        {
            After(network.Between(500, 3_000), () => RivalConnects(device));
        }
    }

    // The hub's end of a link is over, whoever ended it.
    private void Release(SoakLink link)
    {
        if (!link.IsHeld)
        {
            return;
        }

        link.IsHeld = false;
        links.Remove(link);
        if (link.Device.Books.HeldLink == link)
        {
            link.Device.Books.HeldLink = null;
            snapshot.OnDisconnect(UtcMs, link.Device.Index);
        }
    }

    private void Heard(SoakLink link)
    {
        hub.OnPacket(HubMs, link.Device.Index, link.Number);
        link.HeardMs = NowMs;
    }

    private void Cut(SoakDevice device, Reason reason)
    {
        int number = hub.Cut(HubMs, device.Index, reason);
        if (device.Books.HeldLink is { } link && link.Number == number)
        {
            CloseByHub(link, reason);
        }
    }

    private void AskHubLater(SoakDevice device)
    {
        long dueMs = hub.DeadlineMs(HubMs, device.Index);
        dueMs = dueMs == long.MaxValue ? dueMs : Math.Max(NowMs, dueMs - plan.HubUptimeMs);
        if (dueMs < device.HubDueMs)
        {
            device.HubDueMs = dueMs;
            After(dueMs - NowMs, () =>
            {
                if (device.HubDueMs == dueMs)
                {
                    device.HubDueMs = long.MaxValue;
                    AskHub(device);
                }
            });
        }
    }

    private void AskHub(SoakDevice device)
    {
        isAsking = true;
        Reason reason = hub.OnDeadline(HubMs, device.Index, out int number);
        isAsking = false;
        if (reason != Reason.None && device.Books.HeldLink is { } link && link.Number == number)
        {
            long expiryMs = (link.ExpirySeconds * 1000) - EpochUtcMs;
            long silentMs = NowMs - link.HeardMs;
            if (reason == Reason.TokenExpired && NowMs < expiryMs + plan.Hub.GraceMinMs - SlackMs)
            {
                Broken(Invariants.GraceFromExpiry, device, $"cut {(NowMs - expiryMs) / 1000} s after expiry");
            }

            if (reason == Reason.KeepAliveLost && silentMs < PatienceMs(link) - SlackMs)
            {
                Broken(Invariants.SilenceMeasured, device, $"cut after {silentMs} ms without a packet");
            }

            CloseByHub(link, reason);
        }

        AskHubLater(device);
    }

    private static long PatienceMs(SoakLink link) =>
        link.KeepAliveSeconds == 0 ? IotHub.KeepAliveCapMs : Math.Min(link.KeepAliveSeconds * 1500L, IotHub.KeepAliveCapMs);

    private void CheckHub()
    {
        foreach (SoakLink link in links)
        {
            SoakDevice device = link.Device;
            long expiryMs = (link.ExpirySeconds * 1000) - EpochUtcMs;
            if (NowMs > expiryMs + plan.Hub.GraceMaxMs + 1000)
            {
                Broken(Invariants.GraceFromExpiry, device, $"link {link.Number} lives {(NowMs - expiryMs) / 1000} s after expiry");
            }

            if (NowMs - link.HeardMs > PatienceMs(link) + 1000)
            {
                Broken(Invariants.SilenceMeasured, device, $"link {link.Number} lives {NowMs - link.HeardMs} ms without a packet");
            }
        }
    }

    // What arrived, by its meaning: a heartbeat, a message of the application, or another message of the agent's.
    private void Keep(SoakDevice device, string topic, string payload)
    {
        DeviceBooks books = device.Books;
        snapshot.OnMessaging(UtcMs, device.Index);
        if (topic.Contains("type=heartbeat", StringComparison.Ordinal))
        {
            var beat = new Beat(topic);
            if (beat.Number < books.HighestBeat)
            {
                Broken(Invariants.HeartbeatsCountUp, device, $"number {beat.Number} after {books.HighestBeat}");
            }

            books.HighestBeat = beat.Number;
            TellBeat(device, beat);
            return;
        }

        if (payload.StartsWith('m'))
        {
            int number = int.Parse(payload.AsSpan(1), CultureInfo.InvariantCulture);
            if (IsTelling)
            {
                Tell(device, $"message {number}");
            }

            if (books.AtHub.Add(number) && number < books.HighestAtHub)
            {
                Broken(Invariants.MessagesInOrder, device, $"message {number} comes after {books.HighestAtHub}");
            }

            books.HighestAtHub = Math.Max(books.HighestAtHub, number);
        }

        TellSign(device);
    }

    private void RivalConnects(SoakDevice device)
    {
        if (!device.Suffers(SoakFault.Rival) || device.Books.HeldLink is null)
        {
            return;
        }

        var link = new SoakLink(++lastLink, device) { IsUp = true, IsOpenAtHub = true, IsOpenAtDevice = false };
        link.ExpirySeconds = (UtcMs / 1000) + 3600;
        link.KeepAliveSeconds = 0;
        ConnectReply reply = hub.OnConnect(HubMs, UtcMs, new ConnectRequest(
            device.Index, link.Number, true, link.ExpirySeconds * 1000, 0, true, 0));
        if (reply.Accepted)
        {
            Hold(link, reply);
        }
    }

    private void RivalLeaves(SoakDevice device)
    {
        if (device.Books.HeldLink is { IsOpenAtDevice: false, LifetimeSeconds: 0 } rival)
        {
            rival.IsOpenAtHub = false;
            hub.OnDisconnect(HubMs, device.Index, rival.Number);
            Release(rival);
        }
    }

    /// <summary>What a heartbeat's topic says.</summary>
    private readonly record struct Beat
    {
        public Beat(string topic)
        {
            Number = Value(topic, "&seq=") ?? 0;
            IntervalSeconds = (int)(Value(topic, "&interval=") ?? 0);
            RenewalSeconds = (int)(Value(topic, "&renewal=") ?? Hot.NoRenewal);
            GapSeconds = (int)(((Value(topic, "&gap=") ?? 0) + 999) / 1000);
            Reason = (byte)(Value(topic, "&reason=") ?? 0);
        }

        public long Number { get; }

        public int IntervalSeconds { get; }

        public int RenewalSeconds { get; }

        public int GapSeconds { get; }

        public byte Reason { get; }

        private static long? Value(string topic, string name)
        {
            int at = topic.IndexOf(name, StringComparison.Ordinal);
            if (at < 0)
            {
                return null;
            }

            ReadOnlySpan<char> rest = topic.AsSpan(at + name.Length);
            int end = rest.IndexOf('&');
            return long.TryParse(end < 0 ? rest : rest[..end], CultureInfo.InvariantCulture, out long value) && value >= 0 ? value : null;
        }
    }
}
