using Agent.Wire;

namespace Agent.Hub;

/// <summary>Answers that are due later: acknowledgements held back, twin answers a throttle has queued.</summary>
/// <remarks>
/// One queue and one timer for all connections. Acknowledgements of a connection keep their order, also when the reason for the
/// delay has ended in between. A client may leave as many of them open as MQTT has packet ids; one more ends its connection, so
/// the memory a connection can hold here is bounded.
/// </remarks>
internal sealed class DelayedAnswers : IDisposable
{
    /// <summary>Most acknowledgements waiting for one connection: the number of packet ids.</summary>
    public const int WaitingMax = ushort.MaxValue;

    private readonly Lock gate = new();
    private readonly TimeProvider time;
    private readonly PriorityQueue<Answer, (long DueMs, long Sequence)> queue = new();
    private readonly ITimer timer;
    private long sequence;
    private long wakeMs = long.MaxValue;

    public DelayedAnswers(TimeProvider time)
    {
        this.time = time;
        timer = time.CreateTimer(_ => OnWake(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Acknowledges later; false = too many wait already. Calls for one connection must not overlap.</summary>
    public bool TryAdd(HubConnection connection, ushort packetId, long dueMs)
    {
        if (connection.WaitingAcks >= WaitingMax)
        {
            return false;
        }

        connection.LastAckDueMs = Math.Max(connection.LastAckDueMs, dueMs);
        connection.AddWaitingAcks(1);
        Add(connection.LastAckDueMs, new Answer(connection, packetId, null));
        return true;
    }

    /// <summary>Does something later, on a pool thread.</summary>
    public void Add(long dueMs, Action act) => Add(dueMs, new Answer(null, 0, act));

    /// <inheritdoc/>
    public void Dispose() => timer.Dispose();

    private void Add(long dueMs, Answer answer)
    {
        lock (gate)
        {
            queue.Enqueue(answer, (dueMs, ++sequence));
            Wake();
        }
    }

    private void OnWake()
    {
        // One at a time under the lock: two wake-ups must not overtake each other. What is done in here takes no lock that is ever
        // held while something is added.
        lock (gate)
        {
            while (queue.TryPeek(out Answer answer, out (long DueMs, long Sequence) key) && key.DueMs <= time.NowMs())
            {
                queue.Dequeue();
                if (answer.Connection is { } connection)
                {
                    connection.Session.SendPuback(answer.PacketId);
                    connection.AddWaitingAcks(-1);
                }

                answer.Act?.Invoke();
            }

            wakeMs = long.MaxValue;
            Wake();
        }
    }

    private void Wake()
    {
        if (queue.TryPeek(out _, out (long DueMs, long Sequence) key) && key.DueMs < wakeMs)
        {
            wakeMs = key.DueMs;
            timer.Change(TimeSpan.FromMilliseconds(Math.Max(0, key.DueMs - time.NowMs()) + 1), Timeout.InfiniteTimeSpan);
        }
    }

    private readonly record struct Answer(HubConnection? Connection, ushort PacketId, Action? Act);
}
