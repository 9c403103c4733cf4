using System.Text;
using System.Text.Json.Nodes;
using Agent.Hub;

namespace Agent.Tests.Hub;

public sealed class FeedbackQueueTests
{
    private const long Start = 1_438_100_688_789;

    private readonly FeedbackQueue queue = new(Start);

    [Fact]
    public void The_body_is_that_of_the_vendors_page()
    {
        queue.Add(Start + 20_000, new FeedbackRecord("0987654321", Start, CommandEnd.Success, "123", "abcdefghijklmnopqrstuvwxyz"));
        Assert.True(queue.TryReceive(Start + 20_000, "lock", out FeedbackBatch batch));
        Assert.Equal(
            """
            [{"originalMessageId":"0987654321","enqueuedTimeUtc":"2015-07-28T16:24:48.789Z","statusCode":"Success",
            "description":"Success","deviceId":"123","deviceGenerationId":"abcdefghijklmnopqrstuvwxyz"}]
            """.ReplaceLineEndings(""),
            Encoding.UTF8.GetString(batch.Body));
    }

    [Fact]
    public void A_batch_leaves_at_64_records_or_15_seconds_after_the_last_one()
    {
        Add(Start + 1, 1);
        Assert.Equal(Start + 15_000, queue.NextWakeUtcMs);
        Assert.False(queue.TryReceive(Start + 14_999, "a", out _));
        Assert.Equal(1, Receive(Start + 15_000, "a"));
        Add(Start + 16_000, 63);
        Assert.False(queue.TryReceive(Start + 16_000, "b", out _));
        Add(Start + 16_000, 1);
        Assert.Equal(64, Receive(Start + 16_000, "b"));
        Add(Start + 40_000, 1);
        Assert.Equal(1, Receive(Start + 40_000, "c"));
        Assert.Equal(long.MaxValue, queue.NextWakeUtcMs);
    }

    [Fact]
    public void A_batch_is_one_readers_until_it_is_completed_abandoned_or_a_minute_has_passed()
    {
        long now = Start + 15_000;
        Add(now, 1);
        Receive(now, "a");
        Assert.False(queue.TryReceive(now, "b", out _));
        Assert.True(queue.Abandon(now, "a"));
        Receive(now, "b");
        Assert.False(queue.Complete(now, "a"));
        Receive(now + 60_000, "c");
        Assert.False(queue.Complete(now + 60_000, "b"));
        Assert.True(queue.Complete(now + 60_000, "c"));
        Assert.False(queue.TryReceive(now + 200_000, "d", out _));
    }

    [Fact]
    public void Ten_deliveries_or_an_hour_end_a_batch_and_a_deleted_device_takes_its_feedback_along()
    {
        long now = Start + 15_000;
        Add(now, 1);
        for (int i = 0; i < 10; i++)
        {
            Receive(now, "t" + i);
            queue.Abandon(now, "t" + i);
        }

        Assert.False(queue.TryReceive(now, "x", out _));
        Assert.Equal(0, queue.BatchCount);
        Add(now + 15_000, 1);
        Assert.False(queue.TryReceive(now + 15_000 + 3_600_000, "y", out _));
        Add(now + 15_000 + 3_600_000, 1);
        now += 15_000 + 3_600_001;
        Assert.Equal(1, queue.BatchCount);
        Add(now, 1);
        queue.Forget("d");
        Assert.Equal((0, long.MaxValue), (queue.GatheringCount, queue.NextWakeUtcMs));
    }

    private void Add(long now, int count)
    {
        for (; count > 0; count--)
        {
            queue.Add(now, new FeedbackRecord("m", now, CommandEnd.Expired, "d", "g"));
        }
    }

    private int Receive(long now, string lockToken)
    {
        Assert.True(queue.TryReceive(now, lockToken, out FeedbackBatch batch));
        return JsonNode.Parse(batch.Body)!.AsArray().Count;
    }
}
