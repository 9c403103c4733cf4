using Agent.Service.Alarms;

namespace Agent.Tests.Service.Alarms;

public sealed class DeliveryRulesTests
{
    private const long Day = 86_400_000;
    private static readonly DeliveryPatience Patience = new();
    private static readonly Uri Url = new("http://127.0.0.1/");
    private static readonly long Night = Notices.StartMs; // Noon, which these quiet hours call night.

    [Fact]
    public void A_notice_is_told_and_then_the_next()
    {
        Delivery row = Row(NoticeEdge.Raised, NoticeEdge.Acknowledged, NoticeEdge.Cleared);
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(DeliveryOrder.Post, DeliveryRules.Look(row, Notices.To(Url), Patience, Night).Order);
            Assert.False(row.IsIdle);
            row = DeliveryRules.After(row, PostOutcome.Delivered, Patience, Night, 0.5);
        }

        Assert.True(row.IsOver);
    }

    [Fact]
    public void An_episode_that_is_told_but_open_is_idle_and_not_over()
    {
        Delivery row = DeliveryRules.After(Row(NoticeEdge.Raised), PostOutcome.Delivered, Patience, Night, 0);

        Assert.True(row.IsIdle);
        Assert.False(row.IsOver);
        Assert.False(Delivery.Append(row, "ops", Notices.Of(NoticeEdge.Cleared))!.IsIdle);
    }

    [Fact]
    public void Waits_double_from_a_second_to_ten_minutes_and_at_least_half_of_each_is_certain()
    {
        long[] longest = [.. Enumerable.Range(1, 12).Select(n => DeliveryRules.WaitMs(n, 1000, 600_000, 1))];
        long[] shortest = [.. Enumerable.Range(1, 12).Select(n => DeliveryRules.WaitMs(n, 1000, 600_000, 0))];

        Assert.Equal([1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000, 256_000, 512_000, 600_000, 600_000], longest);
        Assert.Equal(longest.Select(wait => wait / 2), shortest);
        Assert.Equal(600_000, DeliveryRules.WaitMs(int.MaxValue, 1000, 600_000, 1));
    }

    [Theory]
    [InlineData(200, PostOutcome.Delivered)]
    [InlineData(299, PostOutcome.Delivered)]
    [InlineData(302, PostOutcome.Failed)]
    [InlineData(400, PostOutcome.Refused)]
    [InlineData(401, PostOutcome.Failed)]
    [InlineData(404, PostOutcome.Failed)]
    [InlineData(410, PostOutcome.Refused)]
    [InlineData(413, PostOutcome.Refused)]
    [InlineData(429, PostOutcome.Busy)]
    [InlineData(500, PostOutcome.Failed)]
    [InlineData(503, PostOutcome.Busy)]
    public void A_status_means(int status, PostOutcome outcome) => Assert.Equal(outcome, DeliveryRules.OutcomeOf(status));

    [Fact]
    public void What_is_refused_three_times_is_given_up_and_takes_its_clear_along()
    {
        Delivery row = Row(NoticeEdge.Raised, NoticeEdge.Cleared);
        for (int i = 0; i < 2; i++)
        {
            row = DeliveryRules.After(row, PostOutcome.Refused, Patience, Night, 1);
            Assert.False(row.IsWithheld);
        }

        row = DeliveryRules.After(row, PostOutcome.Refused, Patience, Night, 1);

        Assert.True(row.IsWithheld);
        Assert.True(row.IsOver);
    }

    [Fact]
    public void A_clear_that_is_given_up_leaves_the_raise_told()
    {
        Delivery row = Row(NoticeEdge.Raised, NoticeEdge.Cleared) with { Settled = 1, Attempts = 2 };

        row = DeliveryRules.After(row, PostOutcome.Refused, Patience, Night, 1);

        Assert.True(row.IsOver);
        Assert.False(row.IsWithheld);
    }

    [Fact]
    public void After_a_day_of_failures_a_notice_is_given_up_and_not_a_moment_before()
    {
        Delivery row = Row(NoticeEdge.Raised);

        Assert.Equal(DeliveryOrder.Post, DeliveryRules.Look(row, Notices.To(Url), Patience, Night + Day).Order);
        (DeliveryOrder order, Delivery after) = DeliveryRules.Look(row, Notices.To(Url), Patience, Night + Day + 1);
        Assert.Equal(DeliveryOrder.Record, order);
        Assert.True(after.IsWithheld);
    }

    [Fact]
    public void In_quiet_hours_a_raise_is_held_until_they_end_and_then_posted()
    {
        Destination destination = Notices.To(Url, quiet: "11:00-14:00");

        (DeliveryOrder order, Delivery held) = DeliveryRules.Look(Row(NoticeEdge.Raised), destination, Patience, Night);

        Assert.Equal(DeliveryOrder.Record, order);
        Assert.Equal(Night + (2 * 3_600_000), held.NextMs);
        Assert.Equal(DeliveryOrder.Post, DeliveryRules.Look(held, destination, Patience, held.NextMs).Order);
    }

    [Fact]
    public void What_began_and_ended_within_quiet_hours_is_never_told()
    {
        Destination destination = Notices.To(Url, quiet: "11:00-14:00");
        Delivery held = DeliveryRules.Look(Row(NoticeEdge.Raised), destination, Patience, Night).Row;
        Delivery both = Delivery.Append(held, "ops", Notices.Of(NoticeEdge.Cleared))!;

        (DeliveryOrder order, Delivery after) = DeliveryRules.Look(both, destination, Patience, held.NextMs);

        Assert.Equal(held.NextMs, both.NextMs);
        Assert.Equal(DeliveryOrder.Record, order);
        Assert.True(after.IsOver);
        Assert.True(after.IsWithheld);
    }

    [Fact]
    public void Quiet_hours_never_hold_what_is_critical_nor_a_clear_nor_a_repetition()
    {
        Destination destination = Notices.To(Url, quiet: "11:00-14:00");
        var critical = new Delivery
        {
            Destination = "ops",
            Episode = 1,
            Notices = [Notices.Of(NoticeEdge.Raised, severity: Severity.Critical)],
        };

        Assert.Equal(DeliveryOrder.Post, DeliveryRules.Look(critical, destination, Patience, Night).Order);
        Delivery told = Row(NoticeEdge.Raised, NoticeEdge.Cleared) with { Settled = 1 };
        Assert.Equal(DeliveryOrder.Post, DeliveryRules.Look(told, destination, Patience, Night).Order);
        Delivery perhapsTold = Row(NoticeEdge.Raised) with { Attempts = 1 };
        Assert.Equal(DeliveryOrder.Post, DeliveryRules.Look(perhapsTold, destination, Patience, Night).Order);
    }

    [Fact]
    public void A_short_trouble_outside_quiet_hours_is_told_in_full_even_when_it_was_over_before_we_came_to_it()
    {
        Delivery row = Row(NoticeEdge.Raised, NoticeEdge.Cleared);

        Assert.Equal(DeliveryOrder.Post, DeliveryRules.Look(row, Notices.To(Url, quiet: "20:00-22:00"), Patience, Night).Order);
    }

    [Fact]
    public void A_raise_held_for_a_long_weekend_is_not_too_old_when_it_ends()
    {
        Destination destination = Notices.To(Url, quiet: "sat-mon 00:00-24:00; sun 00:00-24:00");
        Delivery held = DeliveryRules.Look(Row(NoticeEdge.Raised), destination, Patience, Night).Row;

        Assert.True(held.NextMs > Night + Day);
        Assert.Equal(DeliveryOrder.Post, DeliveryRules.Look(held, destination, Patience, held.NextMs).Order);
    }

    [Fact]
    public void A_destination_that_fails_is_tried_by_one_post_at_a_time_and_ever_later()
    {
        var pace = new DestinationPace(Patience);
        Assert.Equal(8, pace.Room);

        for (int failures = 1; failures <= 8; failures++)
        {
            pace.OnAnswer(PostOutcome.NoConnection, null, Night, 1);
            Assert.Equal(1, pace.Room);
            Assert.Equal(Night + Math.Min(60_000, 1000L << (failures - 1)), pace.NotBeforeMs);
        }

        pace.OnAnswer(PostOutcome.Delivered, null, Night, 1);
        Assert.Equal((8, 0L), (pace.Room, pace.NotBeforeMs));
    }

    [Theory]
    [InlineData(PostOutcome.Busy, 120_000, 120_000)]
    [InlineData(PostOutcome.Busy, 10, 1000)] // Never below our own wait.
    [InlineData(PostOutcome.Busy, -5000, 1000)]
    [InlineData(PostOutcome.Busy, long.MaxValue, 3_600_000)]
    [InlineData(PostOutcome.Failed, 120_000, 1000)] // Only 429 and 503 may ask.
    public void Retry_After_is_honoured_within_reason(PostOutcome outcome, long askedMs, long waitMs)
    {
        var pace = new DestinationPace(Patience);

        pace.OnAnswer(outcome, askedMs, Night, 1);

        Assert.Equal(Night + waitMs, pace.NotBeforeMs);
    }

    [Fact]
    public void An_answer_that_comes_late_does_not_shorten_what_another_asked_for()
    {
        var pace = new DestinationPace(Patience);
        pace.OnAnswer(PostOutcome.Busy, 100_000, Night, 1);

        pace.OnAnswer(PostOutcome.TimedOut, null, Night + 10, 1);

        Assert.Equal(Night + 100_000, pace.NotBeforeMs);
    }

    [Fact]
    public void Edges_are_kept_in_order_and_once()
    {
        Assert.Null(Delivery.Append(null, "ops", Notices.Of(NoticeEdge.Cleared)));
        Delivery row = Delivery.Append(null, "ops", Notices.Of(NoticeEdge.Raised))!;
        Assert.Null(Delivery.Append(row, "ops", Notices.Of(NoticeEdge.Raised)));
        row = Delivery.Append(row, "ops", Notices.Of(NoticeEdge.Cleared))!;
        Assert.Null(Delivery.Append(row, "ops", Notices.Of(NoticeEdge.Cleared)));
        Assert.Null(Delivery.Append(row, "ops", Notices.Of(NoticeEdge.Acknowledged)));
    }

    private static Delivery Row(params NoticeEdge[] edges) => new()
    {
        Destination = "ops",
        Episode = 1,
        Notices = [.. edges.Select(edge => Notices.Of(edge))],
    };
}
