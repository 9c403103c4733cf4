using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>Messages of a day, and what an operation is charged.</summary>
public sealed class DailyQuotaTests
{
    private const long Midnight = 1_767_225_600_000; // 2026-01-01T00:00:00Z

    // The examples of the vendor's billing page.
    [Theory]
    [InlineData("S1", 0, 1)]
    [InlineData("S1", 100, 1)]
    [InlineData("S1", 4096, 1)]
    [InlineData("S1", 4097, 2)]
    [InlineData("B1", 6 * 1024, 2)]
    [InlineData("S2", 14 * 1024, 4)]
    [InlineData("S3", 100 * 1024, 25)]
    [InlineData("F1", 512, 1)]
    [InlineData("F1", 513, 2)]
    public void An_operation_is_charged_by_blocks(string tier, long bytes, long messages) =>
        Assert.Equal(messages, new DailyQuota(new HubOptions { Tier = tier }).MessagesOf(bytes));

    [Theory]
    [InlineData(4096, 0, 2)]
    [InlineData(6 * 1024, 1024, 3)]
    [InlineData(0, 0, 2)]
    public void A_method_is_charged_for_request_and_response(long request, long response, long messages) =>
        Assert.Equal(messages, new DailyQuota(new HubOptions()).MessagesOfMethod(request, response));

    [Theory]
    [InlineData("F1", 1, 8_000)]
    [InlineData("S1", 3, 1_200_000)]
    [InlineData("B2", 1, 6_000_000)]
    [InlineData("S3", 10, 3_000_000_000)]
    public void A_day_has_the_tier_s_messages_for_each_unit(string tier, int units, long messages) =>
        Assert.Equal(messages, new DailyQuota(new HubOptions { Tier = tier, Units = units }).Limit);

    [Fact]
    public void The_day_is_spent_to_the_last_message_and_begins_anew_at_midnight_UTC()
    {
        var quota = new DailyQuota(new HubOptions { Tier = "F1" });
        Assert.Equal(8000, Enumerable.Range(0, 9000).Count(i => quota.TryTake(Midnight + i, 1)));
        Assert.Equal(8000, quota.Used(Midnight + 86_399_999));
        Assert.False(quota.TryTake(Midnight + 86_399_999, 1));
        Assert.Equal(0, quota.Used(Midnight + 86_400_000));
        Assert.True(quota.TryTake(Midnight + 86_400_000, 1));
        Assert.Equal(1, quota.Used(Midnight + 86_400_000));
    }

    [Fact]
    public void A_message_that_does_not_fit_takes_nothing()
    {
        var quota = new DailyQuota(new HubOptions { Tier = "F1" });
        Assert.True(quota.TryTake(Midnight, 7999));
        Assert.False(quota.TryTake(Midnight, 2));
        Assert.Equal(7999, quota.Used(Midnight));
        Assert.True(quota.TryTake(Midnight, 1));
    }

    [Fact]
    public void A_hub_that_only_meters_counts_beyond_the_limit()
    {
        var quota = new DailyQuota(new HubOptions { Tier = "F1" });
        quota.Charge(Midnight, 10_000);
        Assert.Equal(10_000, quota.Used(Midnight));
        Assert.False(quota.TryTake(Midnight, 1));
    }

    [Fact]
    public void A_clock_set_back_over_midnight_does_not_give_the_spent_day_anew()
    {
        var quota = new DailyQuota(new HubOptions { Tier = "F1" });
        Assert.True(quota.TryTake(Midnight, 8000));
        Assert.False(quota.TryTake(Midnight - 1, 1));
        Assert.Equal(8000, quota.Used(Midnight - 1));
    }

    [Fact]
    public void Many_threads_together_take_no_more_than_the_day_has()
    {
        var quota = new DailyQuota(new HubOptions { Tier = "F1" });
        int taken = 0;
        Parallel.For(0, 8, _ =>
        {
            for (int i = 0; i < 3000; i++)
            {
                Interlocked.Add(ref taken, quota.TryTake(Midnight, 1) ? 1 : 0);
            }
        });
        Assert.Equal((8000, 8000L), (taken, quota.Used(Midnight)));
    }
}
