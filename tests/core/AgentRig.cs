using System.Text;
using Agent.Core;

namespace Agent.Tests.Core;

/// <summary>
/// A whole agent with a driver and a hub in virtual time. By default the hub accepts, acknowledges and answers everything
/// after <see cref="DelayMs"/>; tests replace the reactions they are about.
/// </summary>
internal sealed class AgentRig
{
    private readonly PriorityQueue<Action, (long At, int Order)> _queue = new();
    private int _order;
    private int _turns;
    private int _link;

    public AgentRig(TokenSettings? defaults = null, AgentRig? before = null, uint seed = 1, Action<DeviceAgentOptions>? with = null)
    {
        State = before?.State.PowerUp() ?? new CuttableFlash(2, 2048);
        Box = before?.Box.PowerUp() ?? new CuttableFlash(4, 1024);
        Queue = before?.Queue.PowerUp() ?? new CuttableFlash(4, 1024);
        Ms = before?.Ms + 5_000 ?? 0;
        UtcOffsetSeconds = before?.UtcOffsetSeconds ?? 1_800_000_000;
        Twin = before?.Twin ?? Twin;
        DeviceAgentOptions options = new()
        {
            DeviceId = "d-1",
            Defaults = defaults ?? Build.Settings(heartbeat: 0),
            Random = new SeededRandom(seed),
            StateStorage = State,
            BlackBoxStorage = Box,
            QueueStorage = Queue,
            CanPrewarm = true,
            CanReboot = true,
        };
        with?.Invoke(options);
        Agent = new DeviceAgent(options);
        OnConnect = _ => Agent.OnConnected(Now, sessionPresent: false);
        OnPublish = message => AcknowledgeAndAnswer(message);
    }

    public DeviceAgent Agent { get; }

    public CuttableFlash State { get; }

    public CuttableFlash Box { get; }

    public CuttableFlash Queue { get; }

    public long Ms { get; private set; }

    public long UtcOffsetSeconds { get; set; }

    public bool UtcKnown { get; set; } = true;

    public int DelayMs { get; set; } = 50;

    public string Twin { get; set; } = "{\"desired\":{\"$version\":1},\"reported\":{\"agent\":{\"ac\":203,\"av\":0}}}";

    public Action<AgentOutput> OnConnect { get; set; }

    public Action<Message> OnPublish { get; set; }

    public Action? OnProbe { get; set; }

    public bool GrantsSubscription { get; set; } = true;

    /// <summary>Every order with its moment; publishes with topic and payload.</summary>
    public List<string> Orders { get; } = [];

    /// <summary>Telemetry the hub has got, acknowledged or not.</summary>
    public List<Message> Telemetry { get; } = [];

    /// <summary>Reported patches.</summary>
    public List<string> Reports { get; } = [];

    public List<Message> MethodAnswers { get; } = [];

    public bool HasRebooted { get; private set; }

    public Now Now => new(Ms, UtcOffsetSeconds + (Ms / 1000), UtcKnown);

    public void After(long delayMs, Action action) => _queue.Enqueue(action, (Ms + delayMs, _order++));

    public AgentRig Start() => Do(agent =>
    {
        agent.OnStart(Now);
        agent.OnNetworkUp(Now);
    }).RunFor(4 * DelayMs);

    public AgentRig Do(Action<DeviceAgent> happening)
    {
        happening(Agent);
        CarryOut();
        return this;
    }

    public AgentRig Lose(LinkEnd end) => Do(agent =>
    {
        agent.Seen.Saw(LinkPhase.Connected, end, 0);
        agent.OnLinkLost(Now);
    });

    /// <summary>The service sets desired properties where there were none: the twin and the notification of it.</summary>
    public AgentRig Change(long version, string agentMembers)
    {
        Twin = $"{{\"desired\":{{\"agent\":{agentMembers},\"$version\":{version}}},\"reported\":{{}}}}";
        return Patch(version, agentMembers);
    }

    /// <summary>Only the notification.</summary>
    public AgentRig Patch(long version, string agentMembers) => Do(agent =>
        Tell($"$iothub/twin/PATCH/properties/desired/?$version={version}", $"{{\"agent\":{agentMembers},\"$version\":{version}}}"));

    public AgentRig Call(string method, string payload = "")
    {
        Do(agent => Tell($"$iothub/methods/POST/{method}/?$rid=r1", payload));
        return this;
    }

    public void Tell(string topic, string payload)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(payload);
        Agent.OnMessage(Now, topic, bytes, 0, bytes.Length);
    }

    public void FailConnect(LinkPhase phase, LinkEnd end, int error = 0)
    {
        Agent.Seen.Saw(phase, end, error);
        Agent.OnConnectFailed(Now);
    }

    public AgentRig RunFor(long lengthMs) => RunTo(Ms + lengthMs);

    public AgentRig RunTo(long endMs)
    {
        while (true)
        {
            long next = _queue.TryPeek(out _, out (long At, int Order) first) ? first.At : long.MaxValue;
            next = Math.Min(next, Agent.NextWakeMs);
            if (next > endMs)
            {
                break;
            }

            Ms = Math.Max(Ms, next);
            while (_queue.TryPeek(out _, out first) && first.At <= Ms)
            {
                _queue.Dequeue()();
                CarryOut();
            }

            Agent.OnWake(Now);
            CarryOut();
            Assert.True(++_turns < 5_000_000, "the agent never comes to rest");
        }

        Ms = Math.Max(Ms, endMs);
        return this;
    }

    public void AcknowledgeAndAnswer(Message message)
    {
        if (message.Qos == 1)
        {
            Agent.OnPublished(Now);
        }
        else if (message.Topic.Contains("/twin/GET/"))
        {
            Tell($"$iothub/twin/res/200/?{message.Topic[message.Topic.IndexOf("$rid=")..]}", Twin);
        }
        else if (message.Topic.Contains("/twin/PATCH/"))
        {
            Tell($"$iothub/twin/res/204/?{message.Topic[message.Topic.IndexOf("$rid=")..]}&$version=9", "");
        }
    }

    /// <summary>Entries of the black box, newest first.</summary>
    public List<BlackBoxEntry> Entries()
    {
        List<BlackBoxEntry> entries = [];
        int below = int.MaxValue;
        for (BlackBoxEntry entry = new(); Agent.BlackBox.TryReadBelow(below, entry); entry = new())
        {
            below = entry.Number;
            entries.Add(entry);
        }

        return entries;
    }

    private void OnLink(int link, Action action)
    {
        if (link == _link)
        {
            action();
        }
    }

    private void CarryOut()
    {
        while (Agent.TryTakeOutput(Now, out AgentOutput output))
        {
            string text = Encoding.ASCII.GetString(output.Buffer, 0, output.Count);
            Orders.Add(output.Kind == AgentOutputKind.Publish ? $"{Ms} {output.Topic} {text}" : $"{Ms} {output.Kind}");
            switch (output.Kind)
            {
                case AgentOutputKind.Connect:
                    int link = ++_link;
                    AgentOutput order = output;
                    After(DelayMs, () => OnLink(link, () => OnConnect(order)));
                    break;
                case AgentOutputKind.Disconnect:
                    int gone = ++_link;
                    After(DelayMs, () => OnLink(gone, () => Agent.OnClosed(Now)));
                    break;
                case AgentOutputKind.Prewarm:
                    After(DelayMs, () => Agent.OnPrewarmed(Now));
                    break;
                case AgentOutputKind.Subscribe:
                    int subscribed = _link;
                    After(DelayMs, () => OnLink(subscribed, () => Agent.OnSubscribed(Now, GrantsSubscription)));
                    break;
                case AgentOutputKind.Probe:
                    OnProbe?.Invoke();
                    break;
                case AgentOutputKind.Reboot:
                    HasRebooted = true;
                    break;
                case AgentOutputKind.Publish:
                    Receive(new Message(output.Topic, text, output.Qos));
                    break;
            }
        }
    }

    private void Receive(Message message)
    {
        List<string>? reports = message.Topic.Contains("/twin/PATCH/") ? Reports : null;
        reports?.Add(message.Payload);
        List<Message>? kept = message.Topic.StartsWith("devices/") ? Telemetry
            : message.Topic.StartsWith("$iothub/methods/res/") ? MethodAnswers : null;
        kept?.Add(message);
        int link = _link;
        After(DelayMs, () => OnLink(link, () => OnPublish(message)));
    }

    internal readonly record struct Message(string Topic, string Payload, int Qos);
}
