using Agent.Core;

namespace Agent.Tests.Core;

/// <summary>
/// A session with a driver and a hub in virtual time. By default the hub accepts and acknowledges everything after
/// <see cref="DelayMs"/>; tests replace the reactions they are about.
/// </summary>
internal sealed class SessionRig
{
    private readonly PriorityQueue<Action, (long At, int Order)> queue = new();
    private int order;

    public SessionRig(TokenSettings settings, uint seed = 1, long startMs = 0)
    {
        Session = new Session(settings, new SeededRandom(seed), firstSequence: 1);
        Ms = startMs;
        OnConnect = output => After(DelayMs, () => Session.OnConnected(Now, sessionPresent: false));
        OnDisconnect = () => After(DelayMs, () => Session.OnClosed(Now));
        OnHeartbeat = output => After(DelayMs, () => Session.OnHeartbeatAcknowledged(Now, output.Sequence));
        OnPrewarm = () => After(DelayMs, () => Session.OnPrewarmed(Now));
        OnMessage = () => After(DelayMs, () => Session.OnMessageAcknowledged(Now, moreWait: false));
    }

    public Session Session { get; }

    public long Ms { get; private set; }

    public long UtcOffsetSeconds { get; set; } = 1_800_000_000;

    public bool UtcKnown { get; set; } = true;

    public int DelayMs { get; set; } = 50;

    public int Turns { get; private set; }

    public Action<SessionOutput> OnConnect { get; set; }

    public Action OnDisconnect { get; set; }

    public Action<SessionOutput> OnHeartbeat { get; set; }

    public Action OnPrewarm { get; set; }

    public Action OnMessage { get; set; }

    /// <summary>Every order with its moment: "1000 Connect", "3060000 Disconnect", "0 SendHeartbeat 1".</summary>
    public List<string> Orders { get; } = [];

    /// <summary>Expiry of each token ordered.</summary>
    public List<long> Expiries { get; } = [];

    public Now Now => new(Ms, UtcOffsetSeconds + (Ms / 1000), UtcKnown);

    public void After(long delayMs, Action action) => queue.Enqueue(action, (Ms + delayMs, order++));

    /// <summary>One event now, and what follows from it at this moment.</summary>
    public SessionRig Do(Action<Session, Now> happening)
    {
        happening(Session, Now);
        CarryOut();
        return this;
    }

    public SessionRig Connect() => Do((session, now) => session.OnNetworkUp(now)).RunFor(DelayMs);

    public SessionRig RunFor(long lengthMs) => RunTo(Ms + lengthMs);

    public SessionRig RunTo(long endMs)
    {
        while (true)
        {
            long next = queue.TryPeek(out _, out (long At, int Order) first) ? first.At : long.MaxValue;
            next = Math.Min(next, Session.NextWakeMs);
            if (next > endMs)
            {
                break;
            }

            Ms = Math.Max(Ms, next);
            while (queue.TryPeek(out _, out first) && first.At <= Ms)
            {
                queue.Dequeue()();
                CarryOut();
            }

            Session.OnWake(Now);
            CarryOut();
            Assert.True(++Turns < 50_000_000, "the session never comes to rest");
        }

        Ms = Math.Max(Ms, endMs);
        return this;
    }

    private void CarryOut()
    {
        while (Session.TryTakeOutput(out SessionOutput output))
        {
            Orders.Add(output.Kind switch
            {
                OutputKind.SendHeartbeat => $"{Ms} {output.Kind} {output.Sequence}",
                OutputKind.Connect when output.Mode != RenewMode.Clean => $"{Ms} {output.Kind} {output.Mode}",
                _ => $"{Ms} {output.Kind}",
            });
            switch (output.Kind)
            {
                case OutputKind.Connect:
                    Expiries.Add(output.ExpirySeconds);
                    OnConnect(output);
                    break;
                case OutputKind.Disconnect:
                    OnDisconnect();
                    break;
                case OutputKind.Prewarm:
                    OnPrewarm();
                    break;
                case OutputKind.SendMessage:
                    OnMessage();
                    break;
                default:
                    OnHeartbeat(output);
                    break;
            }
        }
    }
}
