using System.Collections.Concurrent;
using System.Text;
using Agent.Hub;
using Agent.Wire;

namespace Agent.Verify;

/// <summary>Stands before the hub's own handler and writes down what every device does, packet by packet.</summary>
public sealed class HubWatch(TimeProvider time)
{
    private readonly ConcurrentDictionary<string, DeviceWatch> devices = new(StringComparer.Ordinal);

    /// <summary>The record of a device, also before its first packet.</summary>
    public DeviceWatch this[string deviceId] => devices.GetOrAdd(deviceId, id => new DeviceWatch(id, time));

    /// <summary>For <see cref="HubServerOptions.Watch"/>.</summary>
    public IServerHandler Wrap(IServerHandler inner) => new Handler(inner, this);

    /// <summary>For <see cref="HubServerOptions.OnVerdict"/>: the hub ends a connection, just before the client can see it.</summary>
    public void OnVerdict(string deviceId, int port) => this[deviceId].OnHubCloses(port);

    private sealed class Handler(IServerHandler inner, HubWatch watch) : IServerHandler
    {
        private readonly ConcurrentDictionary<ServerSession, DeviceWatch> known = [];

        public void OnConnect(ServerSession session, in ConnectPacket packet)
        {
            // The user name says who it is even where the client id does not.
            string user = Encoding.UTF8.GetString(packet.UserName);
            string[] parts = user.Split('/', 3);
            string id = parts.Length > 1 ? parts[1] : Encoding.UTF8.GetString(packet.ClientId);
            DeviceWatch device = known[session] = watch[id];
            device.OnConnect(session, packet);
            inner.OnConnect(session, packet);
            device.OnAnswered(session);
        }

        public void OnPublish(ServerSession session, in PublishPacket packet)
        {
            if (packet.Topic.StartsWith("$iothub/twin/GET/"u8))
            {
                Of(session)?.Add(session, StepKind.TwinGet, "");
            }

            inner.OnPublish(session, packet);
        }

        public void OnPuback(ServerSession session, ushort packetId) => inner.OnPuback(session, packetId);

        public void OnSubscribe(ServerSession session, in SubscribePacket packet)
        {
            if (Of(session) is { } device)
            {
                var filters = new List<string>();
                foreach (SubscribePacket.Item item in packet)
                {
                    filters.Add(FilterText(Encoding.UTF8.GetString(item.Filter), device.Id, item.Qos));
                }

                device.Add(session, StepKind.Subscribe, JoinFilters(filters));
            }

            inner.OnSubscribe(session, packet);
        }

        public void OnUnsubscribe(ServerSession session, in UnsubscribePacket packet) => inner.OnUnsubscribe(session, packet);

        public void OnPing(ServerSession session)
        {
            Of(session)?.Add(session, StepKind.Pingreq, "");
            inner.OnPing(session);
        }

        public void OnDisconnect(ServerSession session)
        {
            Of(session)?.Add(session, StepKind.Disconnect, "");
            Of(session)?.AddClose(session, byHub: false);
            inner.OnDisconnect(session);
        }

        public void OnClosed(ServerSession session, SessionEnd end)
        {
            if (known.TryRemove(session, out DeviceWatch? device))
            {
                bool byHub = end is SessionEnd.HandlerClosed or SessionEnd.Refused or SessionEnd.ServerStopped
                    || (int)end >= (int)SessionEnd.ConnectTimeout;
                device.AddClose(session, byHub);
            }

            inner.OnClosed(session, end);
        }

        private DeviceWatch? Of(ServerSession session) => known.GetValueOrDefault(session);
    }

    /// <summary>A filter as both sides spell it.</summary>
    public static string FilterText(string filter, string deviceId, int qos) =>
        $"{filter.Replace($"devices/{deviceId}/", "devices/{id}/", StringComparison.Ordinal)} QoS {qos}";

    /// <summary>The filters of one SUBSCRIBE as both sides spell them; their order within a packet means nothing.</summary>
    public static string JoinFilters(IEnumerable<string> filters) => string.Join(", ", filters.Order(StringComparer.Ordinal));
}

/// <summary>What one device did, as its hub saw it.</summary>
public sealed class DeviceWatch(string id, TimeProvider time)
{
    private readonly Lock gate = new();
    private readonly List<Step> steps = [];
    private readonly HashSet<ServerSession> closed = [];
    private readonly TaskCompletionSource accepted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Dictionary<int, ServerSession> standing = [];
    private long? firstMs;

    public string Id { get; } = id;

    /// <summary>Completes with the first CONNACK 0.</summary>
    public Task Accepted => accepted.Task;

    /// <summary>Milliseconds since the first CONNECT.</summary>
    public double SinceFirstMs => firstMs is { } first ? time.NowMs() - first : 0;

    /// <summary>What was seen up to a moment.</summary>
    public List<Step> Timeline(double untilMs)
    {
        lock (gate)
        {
            return [.. steps.Where(step => step.AtMs <= untilMs)];
        }
    }

    internal void OnConnect(ServerSession session, in ConnectPacket packet)
    {
        long nowMs = time.NowMs();
        ConnectFacts facts = ConnectReading.Read(packet, Id, time.GetUtcNow().ToUnixTimeMilliseconds());
        lock (gate)
        {
            firstMs ??= nowMs;
            steps.Add(new Step(nowMs - firstMs.Value, StepKind.Connect) { DialMs = session.OpenedMs - firstMs.Value, Connect = facts });
        }
    }

    // The hub's own handler answers before it returns; which answer it was shows in whether the session still stands.
    internal void OnAnswered(ServerSession session)
    {
        switch (session.End)
        {
            case SessionEnd.Refused:
                Add(session, StepKind.Connack, "5");
                AddClose(session, byHub: true);
                break;
            case SessionEnd.HandlerClosed:
                AddClose(session, byHub: true);
                break;
            default:
                Add(session, StepKind.Connack, "0");
                lock (gate)
                {
                    standing[session.RemoteEndPoint?.Port ?? 0] = session;
                }

                accepted.TrySetResult();
                break;
        }
    }

    // The session's own end comes later, after the client has answered; the client may be back before that.
    internal void OnHubCloses(int port)
    {
        ServerSession? session;
        lock (gate)
        {
            standing.Remove(port, out session);
        }

        if (session is not null)
        {
            AddClose(session, byHub: true);
        }
    }

    internal void Add(ServerSession session, StepKind kind, string text)
    {
        lock (gate)
        {
            if (firstMs is { } first && !closed.Contains(session))
            {
                steps.Add(new Step(time.NowMs() - first, kind, text));
            }
        }
    }

    internal void AddClose(ServerSession session, bool byHub)
    {
        lock (gate)
        {
            if (firstMs is { } first && closed.Add(session))
            {
                steps.Add(new Step(time.NowMs() - first, StepKind.Close, byHub ? "hub" : "device"));
            }
        }
    }
}
