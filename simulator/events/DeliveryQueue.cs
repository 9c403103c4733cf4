namespace Agent.Events;

// Everything a subscription has not got rid of yet: events never sent, events waiting for another attempt, events on the wire,
// and dead letters waiting to be written. One count and one sum of bytes over all four, so that no receiver, however slow, and
// no dead-letter folder, however full, can make the hub grow: what does not fit is turned away at the door.
//
// A pure machine like the schedule it uses: told the time, it hands out batches and says when to ask again. The driver that
// owns it calls it under its lock.

/// <summary>One event on its way.</summary>
public sealed class DeliveryItem
{
    /// <summary>The event as JSON, an object on one line.</summary>
    public required byte[] Json { get; init; }

    public required Guid Id { get; init; }

    /// <summary>What goes into the header of that name; empty for telemetry.</summary>
    public required string DataVersion { get; init; }

    public required long PublishedMs { get; init; }

    public int Attempts { get; set; }

    public long LastAttemptMs { get; set; }

    public DeliveryOutcome LastOutcome { get; set; }

    /// <summary>HTTP status of the last attempt; 0 = none.</summary>
    public int LastStatus { get; set; }

    /// <summary>Why it was given up.</summary>
    public string? Reason { get; set; }

    /// <summary>When it was to be written as a dead letter first.</summary>
    public long DeadSinceMs { get; set; }
}

/// <summary>How much may wait.</summary>
/// <param name="CountMax">Events.</param>
/// <param name="BytesMax">Bytes of JSON.</param>
public readonly record struct QueueLimits(int CountMax, long BytesMax)
{
    /// <summary>A hundred thousand events or 64 MB.</summary>
    public static QueueLimits Default => new(100_000, 64 << 20);
}

/// <summary>The events of one subscription that are not done with.</summary>
public sealed class DeliveryQueue
{
    /// <summary>Why an event that found the queue full becomes a dead letter. Ours: the cloud's queue has no end that shows.</summary>
    public const string QueueFull = "QueueFull";

    /// <summary>Why an event that was still waiting when the hub ended becomes a dead letter. Ours.</summary>
    public const string HubStopped = "HubStopped";

    /// <summary>What an item costs beside its JSON, about.</summary>
    private const int ItemBytes = 160;

    private readonly DeliverySchedule schedule;
    private readonly DeliveryPolicy policy;
    private readonly bool keepsDeadLetters;
    private readonly QueueLimits limits;
    private readonly long holdBackMs;
    private readonly Queue<DeliveryItem> fresh = new();
    private readonly PriorityQueue<DeliveryItem, (long AtMs, long Number)> later = new();
    private readonly PriorityQueue<DeliveryItem, (long AtMs, long Number)> dead = new();
    private readonly EndpointProbation probation;
    private long number;

    /// <param name="policy">Checked settings.</param>
    /// <param name="keepsDeadLetters">Whether there is a place for dead letters.</param>
    /// <param name="limits">How much may wait.</param>
    /// <param name="holdBackMs">How long every event waits before its first attempt.</param>
    public DeliveryQueue(DeliveryPolicy policy, bool keepsDeadLetters, QueueLimits limits, long holdBackMs = 0)
    {
        this.policy = policy;
        this.keepsDeadLetters = keepsDeadLetters;
        this.limits = limits;
        this.holdBackMs = holdBackMs;
        schedule = new DeliverySchedule(policy, keepsDeadLetters);
        probation = new EndpointProbation(schedule);
    }

    /// <summary>Events held in any state.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes held.</summary>
    public long Bytes { get; private set; }

    /// <summary>Events that found the queue full.</summary>
    public long OverflowCount { get; private set; }

    public long DeliveredCount { get; private set; }

    /// <summary>Events lost: given up with nowhere to keep dead letters, or not even room for those.</summary>
    public long DroppedCount { get; private set; }

    public long DeadLetteredCount { get; private set; }

    /// <summary>Whether no event waits for its first attempt.</summary>
    public bool HasNoFresh => fresh.Count == 0;

    /// <summary>
    /// Adds an event. False when the queue is full: then the event is on its way to the dead letters, for which an eighth
    /// more room is kept, or lost.
    /// </summary>
    public bool Add(long nowMs, DeliveryItem item)
    {
        if (Fits(item, spare: 0))
        {
            Hold(item);
            fresh.Enqueue(item);
            return true;
        }

        OverflowCount++;
        if (keepsDeadLetters && Fits(item, spare: 1))
        {
            // At once and not in five minutes: this room is small.
            Hold(item);
            Bury(item, nowMs, QueueFull);
        }
        else
        {
            DroppedCount++;
        }

        return false;
    }

    /// <summary>Takes what goes into one request now; false when nothing is due.</summary>
    /// <remarks>
    /// All of a batch have been tried equally often, because the request says in a header how often. What failed together
    /// comes due together. Nothing is ever kept waiting to make a batch larger.
    /// </remarks>
    public bool TryTakeBatch(long nowMs, List<DeliveryItem> batch)
    {
        batch.Clear();
        if (nowMs < probation.UntilMs)
        {
            return false;
        }

        int bytes = 0;
        while (TryPeekDue(nowMs, out DeliveryItem? item, out bool isFresh))
        {
            if (schedule.IsTooOld(nowMs, item.PublishedMs))
            {
                Remove(isFresh);
                Settle(item, schedule.GiveUp(nowMs, DeliverySchedule.TooOld));
                continue;
            }

            bool fits = batch.Count == 0
                || (batch.Count < policy.EventsPerBatchMax
                    && bytes + 1 + item.Json.Length <= policy.BatchKilobytesPreferred * 1024
                    && item.Attempts == batch[0].Attempts);
            if (!fits)
            {
                break;
            }

            Remove(isFresh);
            batch.Add(item);
            bytes += 1 + item.Json.Length;
        }

        return batch.Count > 0;
    }

    /// <summary>A request ended; all of its events share its fate. Returns what becomes of the first.</summary>
    public DeliveryStep Complete(long nowMs, List<DeliveryItem> batch, DeliveryOutcome outcome, int status, uint draw)
    {
        probation.OnOutcome(nowMs, outcome);
        DeliveryStep first = default;
        for (int i = 0; i < batch.Count; i++)
        {
            DeliveryItem item = batch[i];
            item.Attempts++;
            item.LastAttemptMs = nowMs;
            item.LastOutcome = outcome;
            item.LastStatus = status;
            DeliveryStep step = schedule.After(nowMs, item.PublishedMs, item.Attempts, outcome, status, draw);
            Settle(item, step);
            first = i == 0 ? step : first;
        }

        return first;
    }

    /// <summary>Takes the dead letters that are to be written now.</summary>
    public bool TryTakeDead(long nowMs, List<DeliveryItem> items)
    {
        items.Clear();
        while (dead.TryPeek(out _, out (long AtMs, long Number) due) && due.AtMs <= nowMs)
        {
            items.Add(dead.Dequeue());
        }

        return items.Count > 0;
    }

    /// <summary>Dead letters were written, or could not be: then they wait again, for four hours in all.</summary>
    public void CompleteDead(long nowMs, List<DeliveryItem> items, bool isWritten)
    {
        foreach (DeliveryItem item in items)
        {
            if (isWritten)
            {
                DeadLetteredCount++;
                Release(item);
            }
            else if (nowMs - item.DeadSinceMs >= schedule.DeadLetterPatienceMs)
            {
                DroppedCount++;
                Release(item);
            }
            else
            {
                dead.Enqueue(item, (nowMs + schedule.DeadLetterRetryMs, number++));
            }
        }
    }

    /// <summary>Gives up all that is not on the wire: dead letters, due now.</summary>
    public void GiveUpAll(long nowMs)
    {
        while (fresh.TryDequeue(out DeliveryItem? item) || later.TryDequeue(out item, out _))
        {
            Abandon(nowMs, item);
        }

        var waiting = new List<DeliveryItem>(dead.Count);
        while (dead.TryDequeue(out DeliveryItem? item, out _))
        {
            waiting.Add(item);
        }

        foreach (DeliveryItem item in waiting)
        {
            dead.Enqueue(item, (nowMs, number++));
        }
    }

    /// <summary>A subscription that never came about has no dead letters either: everything not on the wire is lost.</summary>
    public void DropAll()
    {
        while (fresh.TryDequeue(out DeliveryItem? item) || later.TryDequeue(out item, out _))
        {
            DroppedCount++;
            Release(item);
        }
    }

    /// <summary>When to ask again; long.MaxValue = when something happens.</summary>
    /// <param name="canSend">Whether the driver would send if it got a batch.</param>
    /// <param name="canBury">Whether the driver would write dead letters if it got some.</param>
    public long WakeAtMs(bool canSend, bool canBury)
    {
        long wakeMs = canBury && dead.TryPeek(out _, out (long AtMs, long Number) buried) ? buried.AtMs : long.MaxValue;
        if (!canSend)
        {
            return wakeMs;
        }

        if (fresh.TryPeek(out DeliveryItem? item))
        {
            wakeMs = Math.Min(wakeMs, Math.Max(item.PublishedMs + holdBackMs, probation.UntilMs));
        }

        if (later.TryPeek(out _, out (long AtMs, long Number) due))
        {
            wakeMs = Math.Min(wakeMs, Math.Max(due.AtMs, probation.UntilMs));
        }

        return wakeMs;
    }

    // What waited longest for another attempt goes before what is new; it is rare, so the new does not starve.
    private bool TryPeekDue(
        long nowMs, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out DeliveryItem? item, out bool isFresh)
    {
        isFresh = false;
        if (later.TryPeek(out item, out (long AtMs, long Number) due) && due.AtMs <= nowMs)
        {
            return true;
        }

        isFresh = true;
        return fresh.TryPeek(out item) && item.PublishedMs + holdBackMs <= nowMs;
    }

    private void Remove(bool isFresh)
    {
        if (isFresh)
        {
            fresh.Dequeue();
        }
        else
        {
            later.Dequeue();
        }
    }

    private void Settle(DeliveryItem item, in DeliveryStep step)
    {
        switch (step.Verdict)
        {
            case DeliveryVerdict.Delivered:
                DeliveredCount++;
                Release(item);
                break;
            case DeliveryVerdict.Retry:
                later.Enqueue(item, (step.AtMs, number++));
                break;
            case DeliveryVerdict.DeadLetter:
                Bury(item, step.AtMs, step.Reason!);
                break;
            default:
                DroppedCount++;
                Release(item);
                break;
        }
    }

    private void Abandon(long nowMs, DeliveryItem item)
    {
        if (keepsDeadLetters)
        {
            Bury(item, nowMs, HubStopped);
        }
        else
        {
            DroppedCount++;
            Release(item);
        }
    }

    private void Bury(DeliveryItem item, long atMs, string reason)
    {
        item.Reason = reason;
        item.DeadSinceMs = atMs;
        dead.Enqueue(item, (atMs, number++));
    }

    private bool Fits(DeliveryItem item, int spare) =>
        Count < limits.CountMax + (spare * Math.Max(1, limits.CountMax / 8))
        && Bytes + Cost(item) <= limits.BytesMax + (spare * (limits.BytesMax / 8));

    private void Hold(DeliveryItem item)
    {
        Count++;
        Bytes += Cost(item);
    }

    private void Release(DeliveryItem item)
    {
        Count--;
        Bytes -= Cost(item);
    }

    private static long Cost(DeliveryItem item) => item.Json.Length + ItemBytes;
}
