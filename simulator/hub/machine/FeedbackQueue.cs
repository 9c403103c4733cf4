using System.Text.Json;
using System.Text.Json.Serialization;

namespace Agent.Hub;

/// <summary>What a sender hears about one cloud-to-device message (facts/iothub.md §5).</summary>
/// <param name="OriginalMessageId">The message's id.</param>
/// <param name="UtcMs">When it ended.</param>
/// <param name="End">How it ended.</param>
/// <param name="DeviceId">Whom it was for.</param>
/// <param name="DeviceGenerationId">Which identity of that name.</param>
public sealed record FeedbackRecord(string OriginalMessageId, long UtcMs, CommandEnd End, string DeviceId, string DeviceGenerationId);

/// <summary>A batch in a reader's hands.</summary>
/// <param name="LockToken">For completing or abandoning it.</param>
/// <param name="EnqueuedUtcMs">When the batch was made.</param>
/// <param name="Body">A JSON array of records, <see cref="FeedbackQueue.ContentType"/>.</param>
public readonly record struct FeedbackBatch(string LockToken, long EnqueuedUtcMs, byte[] Body);

/// <summary>The feedback of all devices: gathered into batches, handed to the service one at a time, told the time.</summary>
/// <remarks>
/// A batch is made at 64 records or 15 s after the last one was made, whichever comes first (the vendor's page); feedback after
/// a longer silence therefore goes out at once. A batch lives an hour, may be handed out ten times, and is locked for a minute.
/// </remarks>
public sealed class FeedbackQueue
{
    public const string ContentType = "application/vnd.microsoft.iothub.feedback.json";

    /// <summary>Records that make a batch without waiting.</summary>
    public const int BatchMax = 64;

    /// <summary>The longest a record waits for its batch.</summary>
    public const long FlushMs = 15_000;

    private const long TtlMs = 3_600_000;
    private const long LockMs = 60_000;
    private const int MaxDeliveryCount = 10;

    /// <summary>Batches kept for a reader who does not come; the oldest goes first.</summary>
    private const int BatchesMax = 10_000;

    private readonly List<FeedbackRecord> gathering = [];
    private readonly LinkedList<Batch> batches = [];
    private long lastFlushUtcMs;

    /// <param name="utcMs">Now: the 15 s run from here.</param>
    public FeedbackQueue(long utcMs) => lastFlushUtcMs = utcMs;

    /// <summary>Records not yet in a batch.</summary>
    public int GatheringCount => gathering.Count;

    /// <summary>Batches waiting or in a reader's hands.</summary>
    public int BatchCount => batches.Count;

    /// <summary>When <see cref="OnWake"/> makes a batch; long.MaxValue = nothing to make one of.</summary>
    public long NextWakeUtcMs => gathering.Count == 0 ? long.MaxValue : lastFlushUtcMs + FlushMs;

    /// <summary>Takes a record.</summary>
    public void Add(long utcMs, FeedbackRecord record)
    {
        gathering.Add(record);
        OnWake(utcMs);
    }

    /// <summary>A deleted device takes its pending feedback with it (facts/iothub.md §5).</summary>
    public void Forget(string deviceId) => gathering.RemoveAll(record => record.DeviceId == deviceId);

    /// <summary>Makes the batches that are due, and drops those whose time is up.</summary>
    public void OnWake(long utcMs)
    {
        while (gathering.Count >= BatchMax || (gathering.Count > 0 && utcMs >= NextWakeUtcMs))
        {
            List<FeedbackRecord> records = gathering[..Math.Min(BatchMax, gathering.Count)];
            gathering.RemoveRange(0, records.Count);
            batches.AddLast(new Batch(utcMs, records));
            lastFlushUtcMs = utcMs;
        }

        while (batches.First?.Value is { } oldest && (oldest.EnqueuedUtcMs + TtlMs <= utcMs || batches.Count > BatchesMax))
        {
            batches.RemoveFirst();
        }
    }

    /// <summary><c>GET /messages/serviceBound/feedback</c>: 200 with the oldest free batch, or false: 204.</summary>
    /// <param name="lockToken">A fresh random name for this delivery; the queue has no randomness of its own.</param>
    public bool TryReceive(long utcMs, string lockToken, out FeedbackBatch received)
    {
        OnWake(utcMs);
        received = default;
        for (LinkedListNode<Batch>? node = batches.First; node is not null;)
        {
            LinkedListNode<Batch>? next = node.Next;
            Batch batch = node.Value;
            if (batch.LockedUntilUtcMs <= utcMs && batch.DeliveryCount >= MaxDeliveryCount)
            {
                batches.Remove(node);
            }
            else if (batch.LockedUntilUtcMs <= utcMs)
            {
                batch.DeliveryCount++;
                batch.LockToken = lockToken;
                batch.LockedUntilUtcMs = utcMs + LockMs;
                received = new FeedbackBatch(lockToken, batch.EnqueuedUtcMs, Body(batch.Records));
                return true;
            }

            node = next;
        }

        return false;
    }

    /// <summary><c>DELETE …/{lockToken}</c>: 204, or false: the lock was lost (412002).</summary>
    public bool Complete(long utcMs, string lockToken) => Find(utcMs, lockToken) is { } batch && batches.Remove(batch);

    /// <summary><c>POST …/{lockToken}/abandon</c>: 204, or false: the lock was lost (412002).</summary>
    public bool Abandon(long utcMs, string lockToken)
    {
        if (Find(utcMs, lockToken) is not { } batch)
        {
            return false;
        }

        batch.LockedUntilUtcMs = 0;
        return true;
    }

    private Batch? Find(long utcMs, string lockToken)
    {
        OnWake(utcMs);
        return batches.FirstOrDefault(batch => batch.LockedUntilUtcMs > utcMs && batch.LockToken == lockToken);
    }

    private static byte[] Body(List<FeedbackRecord> records) => JsonSerializer.SerializeToUtf8Bytes(records.Select(record =>
    {
        string code = record.End.ToString();
        return new Row(record.OriginalMessageId, UtcText.Of(record.UtcMs), code, code, record.DeviceId, record.DeviceGenerationId);
    }));

    private sealed record Row(
        [property: JsonPropertyName("originalMessageId")] string OriginalMessageId,
        [property: JsonPropertyName("enqueuedTimeUtc")] string EnqueuedTimeUtc,
        [property: JsonPropertyName("statusCode")] string StatusCode,
        [property: JsonPropertyName("description")] string Description,
        [property: JsonPropertyName("deviceId")] string DeviceId,
        [property: JsonPropertyName("deviceGenerationId")] string DeviceGenerationId);

    private sealed class Batch(long enqueuedUtcMs, List<FeedbackRecord> records)
    {
        public long EnqueuedUtcMs { get; } = enqueuedUtcMs;

        public List<FeedbackRecord> Records { get; } = records;

        public string LockToken { get; set; } = "";

        public long LockedUntilUtcMs { get; set; }

        public int DeliveryCount { get; set; }
    }
}
