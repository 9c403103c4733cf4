using System.Text.Json;
using Agent.Events;

namespace Agent.Tests.Events;

/// <summary>A receiver on a real socket that fails in every way, on a clock that the test moves.</summary>
public sealed class WebhookRetryTests
{
    private const long Minute = 60_000;

    [Fact]
    public async Task A_receiver_that_always_answers_500_gets_the_documented_day_of_retries_and_then_the_dead_letter()
    {
        await using DeliveryRig rig = await DeliveryRig.OpenAsync(500);
        TimeSpan start = rig.Time.Elapsed;
        rig.Publish();

        var moments = new List<TimeSpan>();
        DeliveryNote note;
        while (true)
        {
            Received request = await rig.Receiver.NextAsync();
            Assert.Equal(moments.Count.ToString(), request.Headers["aeg-delivery-count"]);
            moments.Add(request.At - start);
            note = await rig.NoteAsync();
            Assert.Equal((moments.Count, DeliveryOutcome.GenericError, 500), (note.Attempt, note.Outcome, note.Status));
            if (note.Verdict != DeliveryVerdict.Retry)
            {
                break;
            }

            rig.Wait(note.WaitMs);
        }

        string[] documented =
        [
            "00:00:00", "00:00:10", "00:00:40", "00:01:40", "00:06:40", "00:16:40", "00:46:40", "01:46:40", "04:46:40", "10:46:40",
            "22:46:40",
        ];
        Assert.Equal(documented.Select(TimeSpan.Parse), moments);
        Assert.Equal("TimeToLiveExceeded", note.Reason);

        rig.Wait(note.WaitMs);
        Assert.Equal(DeliveryNoteKind.DeadLetters, (await rig.NoteAsync()).Kind);
        Assert.Equal(TimeSpan.FromMinutes((24 * 60) + 5), rig.Time.Elapsed - start);
        JsonElement dead = Assert.Single(rig.DeadLetters());
        Assert.Equal("TimeToLiveExceeded", dead.GetProperty("deadLetterReason").GetString());
        Assert.Equal(11, dead.GetProperty("deliveryAttempts").GetInt32());
        Assert.Equal("GenericError", dead.GetProperty("lastDeliveryOutcome").GetString());
        Assert.Equal(500, dead.GetProperty("lastHttpStatusCode").GetInt32());
        Assert.Equal(ManualTime.Start + start, dead.GetProperty("publishTime").GetDateTimeOffset());
        Assert.Equal(
            ManualTime.Start + start + TimeSpan.Parse("22:46:40"), dead.GetProperty("lastDeliveryAttemptTime").GetDateTimeOffset());
        Assert.Equal("Microsoft.Devices.DeviceConnected", dead.GetProperty("eventType").GetString());
        Assert.Equal(["LOCAL/2026/3/2/12"], rig.DeadLetterFolders());
        Assert.Equal(new DeliveryCounts(0, 1, 0, 0, 0), rig.Delivery.Counts);
    }

    [Theory]
    [InlineData(429, DeliveryOutcome.Busy, 10)]
    [InlineData(503, DeliveryOutcome.Busy, 30)]
    [InlineData(408, DeliveryOutcome.TimedOut, 120)]
    [InlineData(404, DeliveryOutcome.NotFound, 10)]
    [InlineData(302, DeliveryOutcome.GenericError, 10)]
    [InlineData(Receiver.Resets, DeliveryOutcome.SocketError, 10)]
    public async Task A_failure_is_followed_by_the_shortest_wait_it_has_and_then_by_success(
        int answer, DeliveryOutcome outcome, int seconds)
    {
        await using DeliveryRig rig = await DeliveryRig.OpenAsync(answer);
        rig.Publish();
        Received first = await rig.Receiver.NextAsync();
        DeliveryNote note = await rig.NoteAsync();
        Assert.Equal((outcome, DeliveryVerdict.Retry, seconds * 1000L), (note.Outcome, note.Verdict, note.WaitMs));

        rig.Receiver.Answer = _ => 204;
        rig.Wait(note.WaitMs);
        Received second = await rig.Receiver.NextAsync();
        note = await rig.NoteAsync();

        Assert.Equal((DeliveryOutcome.Delivered, 2), (note.Outcome, note.Attempt));
        Assert.Equal(TimeSpan.FromSeconds(seconds), second.At - first.At);
        Assert.Equal(first.Body, second.Body);
        Assert.Equal(first.Headers["aeg-output-event-id"], second.Headers["aeg-output-event-id"]);
        Assert.False(rig.Receiver.HasMore);
        Assert.Equal(new DeliveryCounts(1, 0, 0, 0, 0), rig.Delivery.Counts);
    }

    [Fact]
    public async Task A_receiver_that_hangs_has_thirty_seconds()
    {
        await using DeliveryRig rig = await DeliveryRig.OpenAsync(Receiver.Hangs);
        rig.Publish();
        Received request = await rig.Receiver.NextAsync();
        rig.Wait(30_000);
        DeliveryNote note = await rig.NoteAsync();

        Assert.Equal((DeliveryOutcome.TimedOut, 0, DeliveryVerdict.Retry), (note.Outcome, note.Status, note.Verdict));
        Assert.Equal(10_000, note.WaitMs);
        Assert.Equal(TimeSpan.FromSeconds(30), rig.Time.Elapsed - request.At);
    }

    [Fact]
    public async Task A_receiver_that_died_is_a_socket_error_until_the_attempts_are_used_up()
    {
        await using DeliveryRig rig = await DeliveryRig.OpenAsync(
            200, options => options with { Policy = new DeliveryPolicy { AttemptsMax = 3 } });
        await rig.Receiver.DieAsync();
        rig.Publish();
        DeliveryNote note = default;
        foreach (long wait in (long[])[10_000, 30_000])
        {
            note = await rig.NoteAsync();
            Assert.Equal((DeliveryOutcome.SocketError, wait), (note.Outcome, note.WaitMs));
            rig.Wait(wait);
        }

        note = await rig.NoteAsync();
        Assert.Equal((DeliveryVerdict.DeadLetter, "MaxDeliveryAttemptsExceeded"), (note.Verdict, note.Reason));
        rig.Wait(5 * Minute);
        await rig.NoteAsync();

        JsonElement dead = Assert.Single(rig.DeadLetters());
        Assert.Equal("SocketError", dead.GetProperty("lastDeliveryOutcome").GetString());
        Assert.False(dead.TryGetProperty("lastHttpStatusCode", out _));
    }

    [Theory]
    [InlineData(400, "BadRequest")]
    [InlineData(401, "Unauthorized")]
    [InlineData(403, "Forbidden")]
    [InlineData(413, "PayloadTooLarge")]
    public async Task An_answer_that_cannot_get_better_is_not_asked_for_twice(int status, string outcome)
    {
        await using DeliveryRig rig = await DeliveryRig.OpenAsync(status);
        rig.Publish();
        DeliveryNote note = await rig.NoteAsync();
        Assert.Equal((DeliveryVerdict.DeadLetter, 5 * Minute), (note.Verdict, note.WaitMs));
        rig.Wait(5 * Minute);
        await rig.NoteAsync();

        await rig.Receiver.NextAsync();
        Assert.False(rig.Receiver.HasMore);
        JsonElement dead = Assert.Single(rig.DeadLetters());
        Assert.Equal((outcome, 1), (dead.GetProperty("lastDeliveryOutcome").GetString(), dead.GetProperty("deliveryAttempts").GetInt32()));
    }

    [Fact]
    public async Task Without_a_folder_an_event_given_up_is_lost_and_counted()
    {
        await using DeliveryRig rig = await DeliveryRig.OpenAsync(400, options => options with { DeadLetterFolder = null });
        rig.Publish();

        Assert.Equal(DeliveryVerdict.Drop, (await rig.NoteAsync()).Verdict);
        Assert.Equal(new DeliveryCounts(0, 0, 1, 0, 0), rig.Delivery.Counts);
    }

    [Fact]
    public async Task A_scale_of_time_makes_the_day_pass_sooner()
    {
        await using DeliveryRig rig = await DeliveryRig.OpenAsync(
            500, options => options with { Policy = new DeliveryPolicy { TimeScale = 1000 } });
        rig.Publish();

        Assert.Equal(10, (await rig.NoteAsync()).WaitMs);
    }

    [Fact]
    public async Task CloudEvents_that_die_say_so_in_lower_case()
    {
        await using DeliveryRig rig = await DeliveryRig.OpenAsync(400, options => options with { Schema = EventSchema.CloudEvents });
        rig.Publish();
        await rig.NoteAsync();
        rig.Wait(5 * Minute);
        await rig.NoteAsync();

        JsonElement dead = Assert.Single(rig.DeadLetters());
        string[] added = [.. dead.EnumerateObject().Select(property => property.Name).SkipWhile(name => name != "specversion").Skip(1)];
        Assert.Equal(
            ["deadletterreason", "deliveryattempts", "lastdeliveryoutcome", "lasthttpstatuscode", "publishtime", "lastdeliveryattempttime"],
            added);
    }

    [Fact]
    public async Task Ten_failures_in_a_row_delay_new_events_too()
    {
        await using DeliveryRig rig = await DeliveryRig.OpenAsync(404, options => options with { ParallelMax = 1 });
        rig.Publish(11);
        for (int failure = 0; failure < 10; failure++)
        {
            await rig.Receiver.NextAsync();
            await rig.NoteAsync();
        }

        Assert.False(rig.Receiver.HasMore);
        Assert.Equal(11, rig.Delivery.Counts.Waiting);
        rig.Receiver.Answer = _ => 200;
        rig.Wait(5 * Minute);
        Received late = await rig.Receiver.NextAsync();
        Assert.Equal(TimeSpan.FromMinutes(5), late.At);
    }

    [Fact]
    public async Task A_queue_that_is_full_turns_events_away_into_the_dead_letters_at_once()
    {
        await using DeliveryRig rig = await DeliveryRig.OpenAsync(
            Receiver.Hangs, options => options with { Limits = new QueueLimits(8, 1 << 20), ParallelMax = 1 });
        rig.Publish(9);
        DeliveryNote note = await rig.NoteAsync();

        Assert.Equal((DeliveryNoteKind.DeadLetters, 1), (note.Kind, note.EventCount));
        Assert.Equal("QueueFull", Assert.Single(rig.DeadLetters()).GetProperty("deadLetterReason").GetString());
        rig.Publish(1000);
        Assert.InRange(rig.Delivery.Counts.Waiting, 8, 9);
        Assert.Equal(1001, rig.Delivery.Counts.Overflowed);
    }

    [Fact]
    public async Task A_hub_that_ends_leaves_what_it_could_not_deliver_in_the_dead_letters()
    {
        await using DeliveryRig rig = await DeliveryRig.OpenAsync(Receiver.Hangs, options => options with { ParallelMax = 2 });
        rig.Publish(5);
        await rig.Receiver.NextAsync();
        await rig.Receiver.NextAsync();
        await rig.Delivery.DisposeAsync();

        List<JsonElement> dead = rig.DeadLetters();
        Assert.Equal(5, dead.Count);
        Assert.All(dead, letter => Assert.Equal("HubStopped", letter.GetProperty("deadLetterReason").GetString()));
        Assert.Equal(2, dead.Count(letter => letter.GetProperty("deliveryAttempts").GetInt32() == 1));
    }
}
