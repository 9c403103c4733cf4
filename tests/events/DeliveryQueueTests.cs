using Agent.Events;

namespace Agent.Tests.Events;

public sealed class DeliveryQueueTests
{
    [Fact]
    public void A_batch_keeps_to_the_number_of_events()
    {
        DeliveryQueue queue = New(new DeliveryPolicy { EventsPerBatchMax = 3, BatchKilobytesPreferred = 1024 });
        Add(queue, 7, 10);

        Assert.Equal([3, 3, 1], BatchSizes(queue));
    }

    [Fact]
    public void A_batch_keeps_to_the_size_unless_one_event_exceeds_it()
    {
        DeliveryQueue queue = New(new DeliveryPolicy { EventsPerBatchMax = 100, BatchKilobytesPreferred = 1 });
        Add(queue, 5, 400);
        Add(queue, 1, 5000);
        Add(queue, 1, 10);

        Assert.Equal([2, 2, 1, 1, 1], BatchSizes(queue));
    }

    [Fact]
    public void A_batch_fails_and_returns_whole_and_new_events_do_not_join_it()
    {
        DeliveryQueue queue = New(new DeliveryPolicy { EventsPerBatchMax = 100 });
        Add(queue, 4, 10);
        List<DeliveryItem> batch = [];
        queue.TryTakeBatch(0, batch);
        queue.Complete(0, batch, DeliveryOutcome.Busy, 429, 0);
        Add(queue, 2, 10, nowMs: 9_000);

        Assert.Equal([2], BatchSizes(queue, 9_999));
        Add(queue, 1, 10, nowMs: 10_000);
        Assert.Equal([4, 1], BatchSizes(queue, 10_000));
    }

    [Fact]
    public void What_does_not_fit_is_a_dead_letter_and_then_lost_and_never_held()
    {
        var queue = new DeliveryQueue(new DeliveryPolicy(), keepsDeadLetters: true, new QueueLimits(16, 1 << 20));
        Add(queue, 16, 10);
        Assert.False(queue.Add(0, Item(10, 0)));
        Add(queue, 100, 10);

        Assert.Equal(18, queue.Count);
        Assert.Equal(101, queue.OverflowCount);
        Assert.Equal(99, queue.DroppedCount);
        List<DeliveryItem> dead = [];
        Assert.True(queue.TryTakeDead(0, dead));
        Assert.Equal(["QueueFull", "QueueFull"], dead.Select(item => item.Reason));
    }

    [Fact]
    public void Bytes_are_bounded_as_well_as_events()
    {
        var queue = new DeliveryQueue(new DeliveryPolicy(), keepsDeadLetters: false, new QueueLimits(1000, 10_000));
        Add(queue, 100, 1000);

        Assert.InRange(queue.Bytes, 1, 10_000);
        Assert.Equal(100 - queue.Count, queue.DroppedCount);
    }

    [Fact]
    public void An_event_that_waited_too_long_for_its_first_attempt_is_not_tried()
    {
        DeliveryQueue queue = New(new DeliveryPolicy { TimeToLiveMinutes = 1 });
        Add(queue, 1, 10);
        List<DeliveryItem> items = [];

        Assert.False(queue.TryTakeBatch(60_000, items));
        Assert.Equal(360_000, queue.WakeAtMs(canSend: true, canBury: true));
        Assert.True(queue.TryTakeDead(360_000, items));
        Assert.Equal("TimeToLiveExceeded", Assert.Single(items).Reason);
    }

    [Fact]
    public void Dead_letters_that_cannot_be_written_are_kept_for_four_hours()
    {
        DeliveryQueue queue = New(new DeliveryPolicy());
        Add(queue, 1, 10);
        List<DeliveryItem> items = [];
        queue.TryTakeBatch(0, items);
        queue.Complete(0, items, DeliveryOutcome.BadRequest, 400, 0);
        int tries = 0;
        long now = 0;
        while (queue.Count > 0)
        {
            now = queue.WakeAtMs(canSend: true, canBury: true);
            Assert.True(queue.TryTakeDead(now, items));
            queue.CompleteDead(now, items, isWritten: false);
            tries++;
        }

        Assert.Equal(241, tries);
        Assert.Equal(5 + 240, now / 60_000);
        Assert.Equal(1, queue.DroppedCount);
    }

    /// <summary>Whatever happens to events, each ends once, and the books say how.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Random_fates_are_accounted_for(int seed)
    {
        var random = new Random(seed);
        var policy = new DeliveryPolicy
        {
            EventsPerBatchMax = 1 + random.Next(5),
            AttemptsMax = 1 + random.Next(30),
            TimeToLiveMinutes = 60,
        };
        var queue = new DeliveryQueue(policy, keepsDeadLetters: seed % 2 == 0, new QueueLimits(50, 1 << 16));
        DeliveryOutcome[] outcomes = Enum.GetValues<DeliveryOutcome>()[1..];
        List<List<DeliveryItem>> wire = [];
        long now = 0;
        int added = 0;
        for (int step = 0; step < 20_000; step++)
        {
            now += random.Next(2_000);
            List<DeliveryItem> items = [];
            if (random.Next(3) == 0)
            {
                queue.Add(now, Item(random.Next(2, 3000), now));
                added++;
            }

            if (wire.Count < 4 && queue.TryTakeBatch(now, items))
            {
                Assert.InRange(items.Count, 1, policy.EventsPerBatchMax);
                wire.Add(items);
            }
            else if (wire.Count > 0)
            {
                DeliveryOutcome outcome = outcomes[random.Next(outcomes.Length)];
                queue.Complete(now, wire[0], outcome, outcome == DeliveryOutcome.Delivered ? 200 : 500, (uint)random.NextInt64(1L << 32));
                wire.RemoveAt(0);
            }

            List<DeliveryItem> dead = [];
            if (queue.TryTakeDead(now, dead))
            {
                queue.CompleteDead(now, dead, random.Next(2) == 0);
            }

            Assert.InRange(queue.Count, 0, 56);
            Assert.Equal(added, queue.Count + queue.DeliveredCount + queue.DroppedCount + queue.DeadLetteredCount);
            Assert.True(queue.WakeAtMs(canSend: true, canBury: true) == long.MaxValue || queue.Count > 0);
        }

        Assert.True(queue.DeliveredCount > 0);
        Assert.Equal(queue.Count == 0, queue.Bytes == 0);
    }

    private static DeliveryQueue New(DeliveryPolicy policy) => new(policy, keepsDeadLetters: true, QueueLimits.Default);

    private static void Add(DeliveryQueue queue, int count, int length, long nowMs = 0)
    {
        for (int i = 0; i < count; i++)
        {
            queue.Add(nowMs, Item(length, nowMs));
        }
    }

    private static DeliveryItem Item(int length, long nowMs) =>
        new() { Json = new byte[length], Id = Guid.Empty, DataVersion = "1", PublishedMs = nowMs };

    private static List<int> BatchSizes(DeliveryQueue queue, long nowMs = 0)
    {
        List<int> sizes = [];
        List<DeliveryItem> batch = [];
        while (queue.TryTakeBatch(nowMs, batch))
        {
            sizes.Add(batch.Count);
        }

        return sizes;
    }
}
