using System.Text;
using Agent.Service;

namespace Agent.Tests.Service.Page;

/// <summary>What the page remembers, and that it is bounded.</summary>
public sealed class PageMemoryTests
{
    [Fact]
    public void A_step_of_the_chart_shows_its_worst_moment()
    {
        var history = new FleetHistory();
        history.Add(600_000, Counts(online: 10, silent: 0));
        history.Add(604_000, Counts(online: 3, silent: 7));
        history.Add(608_000, Counts(online: 10, silent: 0));
        history.Add(612_000, Counts(online: 9, silent: 1));

        (long stepMs, FleetSample[] samples) = history.Of(isDay: false, 612_000);

        Assert.Equal(10_000, stepMs);
        Assert.Equal([(604_000L, 7), (612_000L, 1)], samples.Select(sample => (sample.AtMs, sample.Troubled)));
        Assert.Equal([7], history.Of(isDay: true, 612_000).Samples.Select(sample => sample.Troubled));
    }

    [Fact]
    public void The_chart_keeps_an_hour_and_a_day_whatever_happens()
    {
        var history = new FleetHistory();
        const long twoDaysMs = 2 * 86_400_000;
        for (long now = 0; now <= twoDaysMs; now += 5_000)
        {
            history.Add(now, Counts(1, 0));
        }

        Assert.Equal(360, history.Of(isDay: false, twoDaysMs).Samples.Length);
        Assert.Equal(288, history.Of(isDay: true, twoDaysMs).Samples.Length);
        Assert.Equal(twoDaysMs, history.Of(isDay: true, twoDaysMs).Samples[^1].AtMs);
        // A program that stood still for ten minutes has a hole there, and what is older than the span is not shown.
        Assert.Equal(300, history.Of(isDay: false, twoDaysMs + 600_000).Samples.Length);
    }

    [Fact]
    public void The_latest_changes_of_a_device_are_found_among_those_of_others()
    {
        var recent = new RecentChanges(kept: 4);
        for (int i = 0; i < 4; i++)
        {
            recent.Add(new Transition(i % 2, Status.Online, Status.Late, Cause.NoWord, 1000 + i));
        }

        Assert.Null(recent.SinceMs);
        Assert.Equal([1000, 1002], recent.Of(0, 10).Select(change => change.SinceMs));
        Assert.Equal([1003], recent.Of(1, 1).Select(change => change.SinceMs));

        recent.Add(new Transition(5, Status.Online, Status.Late, Cause.NoWord, 2000));
        Assert.Equal([1002], recent.Of(0, 10).Select(change => change.SinceMs));
        Assert.Equal(1001, recent.SinceMs);
    }

    [Fact]
    public void What_a_watched_device_does_becomes_marks()
    {
        Told told = new Told().Heartbeat("a", Told.T0, renewal: 90).Connection("a", Told.T0, 1, connected: true);
        var watch = new DeviceWatch();
        Look(told, watch, Told.T0 + 1);
        told.Connection("a", Told.T0 + 90_000, 2, connected: false).Connection("a", Told.T0 + 92_000, 3, connected: true);
        told.Log(FactKind.LoggedDisconnect, "a", Told.T0 + 91_000, 404104);
        told.Heartbeat("a", Told.T0 + 93_000, number: 2, renewal: 3000);
        Look(told, watch, Told.T0 + 93_001);
        Look(told, watch, Told.T0 + 93_002);

        Assert.Equal(
            [
                (MarkKind.Connect, 0L), (MarkKind.Heartbeat, 0L), (MarkKind.Renewal, 90_000L), (MarkKind.HubCode, 91_000L),
                (MarkKind.Connect, 92_000L), (MarkKind.Heartbeat, 93_000L),
            ],
            watch.Of(told.Checker.Find("a")).Select(mark => (mark.Kind, mark.AtMs - Told.T0)));
    }

    [Fact]
    public void At_most_so_many_devices_are_watched_and_so_many_marks_kept()
    {
        var watch = new DeviceWatch();
        for (int row = 0; row < 1000; row++)
        {
            watch.Begin(row, default, default);
        }

        Assert.Equal(Enumerable.Range(1000 - DeviceWatch.DevicesMax, DeviceWatch.DevicesMax).Reverse(), watch.Rows);
        for (int beat = 1; beat <= 2000; beat++)
        {
            watch.Look(999, default(DeviceView) with { LastHeartbeatMs = beat });
        }

        Assert.Equal(DeviceWatch.MarksMax, watch.Of(999).Length);
        Assert.Equal(2000, watch.Of(999)[^1].AtMs);
    }

    [Fact]
    public void A_listener_goes_on_after_the_last_event_it_saw()
    {
        var feed = new LiveFeed(0xAB);
        feed.Publish("x", "1");
        feed.Publish("x", "2");

        (long next, byte[] greeting) = feed.Start("ab-1");

        Assert.Equal(": resumed\n\n", Encoding.UTF8.GetString(greeting));
        Assert.Equal("id: ab-2\nevent: x\ndata: 2\n\n", Encoding.UTF8.GetString(feed.Read(ref next)!));
        Assert.Empty(feed.Read(ref next)!);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("ab-3")]
    [InlineData("ab--1")]
    [InlineData("ac-1")]
    [InlineData("ab-1-1")]
    [InlineData("ab-99999999999999999999")]
    [InlineData("-")]
    public void Who_cannot_be_resumed_is_told_to_load_everything(string? lastEventId)
    {
        var feed = new LiveFeed(0xAB);
        feed.Publish("x", "1");
        feed.Publish("x", "2");

        (long next, byte[] greeting) = feed.Start(lastEventId);

        Assert.Equal("id: ab-2\nevent: reset\ndata: {}\n\n", Encoding.UTF8.GetString(greeting));
        Assert.Empty(feed.Read(ref next)!);
    }

    [Theory]
    [InlineData(10, LiveFeed.EventsMax)]
    [InlineData(100_000, 10)]
    public void The_feed_is_bounded_and_a_listener_that_falls_behind_it_is_known(int length, int keptAtMost)
    {
        var feed = new LiveFeed(1);
        (long slow, _) = feed.Start(null);
        string json = new('1', length);
        for (int i = 0; i < 3000; i++)
        {
            feed.Publish("x", json);
        }

        Assert.Null(feed.Read(ref slow));
        Assert.StartsWith("id: 1-3000\nevent: reset", Encoding.UTF8.GetString(feed.Start($"1-{3000 - keptAtMost - 1}").Greeting));
        long kept = feed.Start($"1-{3000 - keptAtMost}").Next;
        Assert.Equal(3000 - keptAtMost + 1, kept);
        Assert.InRange(feed.Read(ref kept)!.Length, 1, LiveFeed.BytesMax);
    }

    [Fact]
    public async Task A_listener_that_does_not_read_is_dropped_after_ten_seconds_and_a_quiet_one_gets_comments()
    {
        var time = new Events.ManualTime();
        var feed = new LiveFeed(1);
        using var ended = new CancellationTokenSource();
        var route = new LiveRoute(feed, time, ended.Token);

        Task<bool> stuck = route.PumpAsync(new StuckStream(), null, ended.Token);
        time.Advance(TimeSpan.FromSeconds(11));
        Assert.False(await stuck.WaitAsync(TimeSpan.FromSeconds(30)));

        using var body = new MemoryStream();
        Task<bool> quiet = route.PumpAsync(body, null, ended.Token);
        time.Advance(LiveRoute.CommentEvery);
        for (int i = 0; i < 3000 && !Encoding.UTF8.GetString(body.ToArray()).EndsWith("\n\n:\n\n", StringComparison.Ordinal); i++)
        {
            await Task.Delay(10);
        }

        Assert.Equal("retry: 2000\n\nid: 1-0\nevent: reset\ndata: {}\n\n:\n\n", Encoding.UTF8.GetString(body.ToArray()));
        await ended.CancelAsync();
        Assert.True(await quiet);
    }

    private static void Look(Told told, DeviceWatch watch, long nowMs)
    {
        int row = told.Checker.Find("a");
        DeviceView view = told.View("a", nowMs);
        watch.Begin(row, view, told.Checker.Table.Cold(row).Connects);
        watch.Look(row, view);
    }

    private static int[] Counts(int online, int silent) => [0, online, 0, silent, 0, 0, 0];

    /// <summary>A peer whose window is full.</summary>
    private sealed class StuckStream : MemoryStream
    {
        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
            await Task.Delay(Timeout.Infinite, cancellationToken);
    }
}
