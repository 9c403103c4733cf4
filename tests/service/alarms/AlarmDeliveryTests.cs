using System.Text.Json;
using System.Threading.Channels;
using Agent.Service.Alarms;
using Agent.Tests.Events;

namespace Agent.Tests.Service.Alarms;

/// <summary>Delivery to a receiver on a real socket, in virtual time.</summary>
[Collection(RealTime.Name)]
public sealed class AlarmDeliveryTests : IAsyncDisposable
{
    private readonly string path = Path.Combine(Path.GetTempPath(), $"outbox-{Guid.NewGuid():N}");
    private readonly ManualTime time = new();
    private readonly Channel<PostNote> notes = Channel.CreateUnbounded<PostNote>();
    private FileOutbox outbox;
    private AlarmDelivery? delivery;
    private Destination[] destinations = [];

    public AlarmDeliveryTests()
    {
        outbox = FileOutbox.Open(path);
    }

    [Fact]
    public async Task A_raise_and_a_clear_arrive_once_each_in_order_signed_and_with_their_ids()
    {
        await using Receiver receiver = await Receiver.StartAsync(time);
        Start(Notices.To(receiver.Url));

        Tell(NoticeEdge.Raised, NoticeEdge.Cleared);
        Received raised = await receiver.NextAsync();
        Received cleared = await receiver.NextAsync();

        Assert.Equal("plant-7-1-raised", raised.Headers["webhook-id"]);
        Assert.Equal("plant-7-1-cleared", cleared.Headers["webhook-id"]);
        Assert.Equal("application/json; charset=utf-8", raised.Headers["Content-Type"]);
        Assert.Equal("alarm.raised", JsonDocument.Parse(raised.Body).RootElement.GetProperty("type").GetString());
        Assert.True(Notices.Secret().Verify(
            raised.Headers["webhook-id"], raised.Headers["webhook-timestamp"], raised.Headers["webhook-signature"], raised.Body,
            time.GetUtcNow()));
        await NoteAsync();
        await NoteAsync();
        Assert.Equal((2, 0, 0), (delivery!.Counts("ops").Delivered, delivery.Counts("ops").Failed, outbox.Waiting("ops")));
        Assert.False(receiver.HasMore);
    }

    [Theory]
    [InlineData(500)]
    [InlineData(404)]
    [InlineData(429)]
    [InlineData(302)]
    public async Task What_fails_is_tried_again_with_the_same_id_and_body_and_a_fresh_timestamp(int status)
    {
        await using Receiver receiver = await Receiver.StartAsync(time);
        int failures = 3;
        receiver.Answer = _ => failures-- > 0 ? status : 204;
        Start(Notices.To(receiver.Url));
        Tell(NoticeEdge.Raised);

        var posts = new List<Received>();
        for (int i = 0; i < 4; i++)
        {
            posts.Add(await receiver.NextAsync());
            Pass(await NoteAsync());
        }

        Assert.Single(posts.Select(post => post.Headers["webhook-id"]).Distinct());
        Assert.Single(posts.Select(post => post.Text).Distinct());
        Assert.Equal(4, posts.Select(post => post.Headers["webhook-timestamp"]).Distinct().Count());
        Assert.Equal([1, 2, 4], posts.Zip(posts.Skip(1), (a, b) => (int)(b.At - a.At).TotalSeconds));
        Assert.False(receiver.HasMore);
    }

    [Theory]
    [InlineData("120")]
    [InlineData("Sun, 01 Mar 2026 12:02:00 GMT")]
    public async Task A_busy_receiver_gets_the_time_it_asks_for(string retryAfter)
    {
        await using Receiver receiver = await Receiver.StartAsync(time);
        bool isBusy = true;
        receiver.Answer = _ => isBusy ? new ReceiverAnswer(503, retryAfter) : 200;
        Start(Notices.To(receiver.Url));
        Tell(NoticeEdge.Raised);
        await receiver.NextAsync();
        PostNote note = await NoteAsync();

        isBusy = false;
        Assert.Equal((PostOutcome.Busy, 503, 120_000), (note.Outcome, note.Status, note.WaitMs));
        Pass(note);
        Assert.Equal(120, (await receiver.NextAsync()).At.TotalSeconds);
    }

    [Fact]
    public async Task A_receiver_that_never_answers_is_given_ten_seconds()
    {
        await using Receiver receiver = await Receiver.StartAsync(time);
        receiver.Answer = _ => Receiver.Hangs;
        Start(Notices.To(receiver.Url));
        Tell(NoticeEdge.Raised);
        await receiver.NextAsync();

        time.Advance(TimeSpan.FromSeconds(10));
        PostNote note = await NoteAsync();

        Assert.Equal((PostOutcome.TimedOut, 0, 1), (note.Outcome, note.Status, note.Attempt));
        Assert.Equal(TimeSpan.FromSeconds(10), time.Elapsed);
    }

    [Fact]
    public async Task A_receiver_that_resets_dies_and_comes_back_hears_everything_in_the_end()
    {
        Receiver receiver = await Receiver.StartAsync(time);
        receiver.Answer = _ => Receiver.Resets;
        int port = receiver.Url.Port;
        Start(Notices.To(receiver.Url));
        Tell(NoticeEdge.Raised);
        await receiver.NextAsync();
        PostNote reset = await NoteAsync();
        await receiver.DisposeAsync();
        Pass(reset);
        PostNote dead = await NoteAsync();

        await using Receiver again = await Receiver.StartAsync(time, port);
        Tell(NoticeEdge.Cleared);
        Pass(dead);

        Assert.Equal((PostOutcome.NoConnection, PostOutcome.NoConnection), (reset.Outcome, dead.Outcome));
        Assert.Equal("plant-7-1-raised", (await again.NextAsync()).Headers["webhook-id"]);
        Assert.Equal("plant-7-1-cleared", (await again.NextAsync()).Headers["webhook-id"]);
    }

    [Fact]
    public async Task What_the_receiver_refuses_three_times_is_given_up_and_the_others_go_through()
    {
        await using Receiver receiver = await Receiver.StartAsync(time);
        receiver.Answer = post => post.Headers["webhook-id"] == "plant-7-1-raised" ? 400 : 204;
        Start(Notices.To(receiver.Url));
        outbox.Append([Notices.Of(NoticeEdge.Raised, 1), Notices.Of(NoticeEdge.Raised, 2)], destinations);
        delivery!.Wake();

        var seen = new List<PostNote>();
        while (seen.Count < 4)
        {
            seen.Add(await NoteAsync());
            Pass(seen[^1], atLeastMs: 5000);
        }

        Assert.Equal(1, seen.Count(note => note.Outcome == PostOutcome.Delivered));
        Assert.Equal([false, false, true], seen.Where(note => note.Outcome == PostOutcome.Refused).Select(note => note.IsGivenUp));
        Assert.Equal(1, delivery.Counts("ops").GivenUp);
    }

    [Fact]
    public async Task A_dead_destination_does_not_hold_up_another()
    {
        await using Receiver dead = await Receiver.StartAsync(time);
        await using Receiver living = await Receiver.StartAsync(time);
        dead.Answer = _ => Receiver.Hangs;
        Start(Notices.To(dead.Url, "dead"), Notices.To(living.Url, "living"));

        outbox.Append([.. Enumerable.Range(1, 12).Select(episode => Notices.Of(NoticeEdge.Raised, episode))], destinations);
        delivery!.Wake();
        for (int i = 0; i < 12; i++)
        {
            await living.NextAsync();
        }

        Assert.Equal(12, outbox.Waiting("dead"));
    }

    [Fact]
    public async Task A_raise_in_quiet_hours_waits_for_their_end_a_critical_one_does_not()
    {
        await using Receiver receiver = await Receiver.StartAsync(time);
        Start(Notices.To(receiver.Url, quiet: "11:00-14:00"));
        outbox.Append(
            [
                Notices.Of(NoticeEdge.Raised, 1),
                Notices.Of(NoticeEdge.Raised, 2),
                Notices.Of(NoticeEdge.Cleared, 2),
                Notices.Of(NoticeEdge.Raised, 3, severity: Severity.Critical),
            ],
            destinations);
        delivery!.Wake();

        Assert.Equal("plant-7-3-raised", (await receiver.NextAsync()).Headers["webhook-id"]);
        await NoteAsync();
        await UntilAsync(() => outbox.ClaimAsync("ops", Notices.StartMs, Notices.StartMs, 8, default).Result.Count == 0);
        time.Advance(TimeSpan.FromHours(2));
        Received held = await receiver.NextAsync();

        Assert.Equal(("plant-7-1-raised", 7200.0), (held.Headers["webhook-id"], held.At.TotalSeconds));
        await NoteAsync();
        await UntilAsync(() => delivery.Counts("ops").Withheld == 1);
        Assert.False(receiver.HasMore);
    }

    [Fact]
    public async Task After_a_crash_what_was_not_confirmed_is_told_again_with_the_same_id_and_the_rest_is_not()
    {
        await using Receiver receiver = await Receiver.StartAsync(time);
        receiver.Answer = post => post.Headers["webhook-id"] == "plant-7-2-raised" ? Receiver.Hangs : 204;
        Start(Notices.To(receiver.Url));
        outbox.Append([Notices.Of(NoticeEdge.Raised, 1), Notices.Of(NoticeEdge.Raised, 2)], destinations);
        delivery!.Wake();
        await receiver.NextAsync();
        await receiver.NextAsync();
        await NoteAsync();

        await delivery.DisposeAsync();
        outbox.Dispose();
        outbox = FileOutbox.Open(path);
        receiver.Answer = _ => 204;
        Start(Notices.To(receiver.Url));
        Assert.False(outbox.Append([Notices.Of(NoticeEdge.Raised, 1), Notices.Of(NoticeEdge.Raised, 2)], destinations));

        Assert.Equal("plant-7-2-raised", (await receiver.NextAsync()).Headers["webhook-id"]);
        await NoteAsync();
        Assert.False(receiver.HasMore);
    }

    [Fact]
    public async Task The_test_button_answers_at_once_past_quiet_hours_and_says_what_came_of_it()
    {
        await using Receiver receiver = await Receiver.StartAsync(time);
        Start(Notices.To(receiver.Url, quiet: "11:00-14:00"));

        PostNote good = await delivery!.TestAsync("ops", "plant-7");
        receiver.Answer = _ => 401;
        PostNote bad = await delivery.TestAsync("ops", "plant-7");

        Assert.Equal((PostOutcome.Delivered, 200), (good.Outcome, good.Status));
        Assert.Equal((PostOutcome.Failed, 401), (bad.Outcome, bad.Status));
        Assert.Equal("test", JsonDocument.Parse((await receiver.NextAsync()).Body).RootElement.GetProperty("type").GetString());
        await Assert.ThrowsAsync<KeyNotFoundException>(() => delivery.TestAsync("nobody", "plant-7"));
    }

    [Fact]
    public async Task While_a_secret_is_changed_both_sign()
    {
        await using Receiver receiver = await Receiver.StartAsync(time);
        WebhookSecret fresh = Notices.Secret(WebhookSecret.Generate());
        Start(new Destination { Name = "ops", Url = receiver.Url, Secret = fresh, FormerSecret = Notices.Secret() });
        Tell(NoticeEdge.Raised);
        Received post = await receiver.NextAsync();

        foreach (WebhookSecret secret in new[] { fresh, Notices.Secret() })
        {
            Assert.True(secret.Verify(
                post.Headers["webhook-id"], post.Headers["webhook-timestamp"], post.Headers["webhook-signature"], post.Body,
                time.GetUtcNow()));
        }
    }

    [Theory]
    [InlineData("ftp://x.example/", "ops", false)]
    [InlineData("http://x.example/", "ops", false)]
    [InlineData("https://user:pass@x.example/", "ops", false)]
    [InlineData("https://x.example/", "o p s", false)]
    [InlineData("https://x.example/", "", false)]
    [InlineData("https://x.example/", "ops", true)]
    [InlineData("http://127.0.0.1:9/", "ops", true)]
    public void A_destination_is_checked_and_its_address_not_repeated(string url, string name, bool isGood)
    {
        string? problem = new Destination { Name = name, Url = new Uri(url) }.FindProblem();

        Assert.Equal(isGood, problem is null);
        Assert.DoesNotContain("x.example", problem ?? "", StringComparison.Ordinal);
    }

    public async ValueTask DisposeAsync()
    {
        if (delivery is not null)
        {
            await delivery.DisposeAsync();
        }

        outbox.Dispose();
        File.Delete(path);
    }

    private void Start(params Destination[] to)
    {
        destinations = to;
        delivery = new AlarmDelivery(outbox, to, new AlarmDeliveryOptions
        {
            Time = time,
            Draw = () => 1,
            OnNote = note => notes.Writer.TryWrite(note),
        });
        delivery.Start();
    }

    private void Tell(params NoticeEdge[] edges)
    {
        outbox.Append([.. edges.Select(edge => Notices.Of(edge))], destinations);
        delivery!.Wake();
    }

    private Task<PostNote> NoteAsync() => notes.Reader.ReadAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(30));

    // The loop notices the moment by itself; nothing here waits for real time to pass.
    private void Pass(PostNote note, long atLeastMs = 0) =>
        time.Advance(TimeSpan.FromMilliseconds(Math.Max(atLeastMs, note.WaitMs)));

    private static Task UntilAsync(Func<bool> isSo) => Agent.Tests.Hub.HubRig.WaitAsync(isSo, seconds: 20);
}
