using System.Text.Json;
using Agent.Events;
using Azure.Messaging;
using Azure.Messaging.EventGrid;
using Azure.Messaging.EventGrid.SystemEvents;
using Microsoft.AspNetCore.Http;

namespace Agent.Tests.Events;

public sealed class WebhookDeliveryTests
{
    [Fact]
    public async Task The_handshake_is_an_event_with_a_code_and_deliveries_wait_for_its_answer()
    {
        await using DeliveryRig rig = await DeliveryRig.StartAsync();
        rig.Deliver();
        rig.Publish();
        Received handshake = await rig.Receiver.NextOfAnyAsync();

        Assert.Equal("SubscriptionValidation", handshake.Headers["aeg-event-type"]);
        Assert.Equal("application/json; charset=utf-8", handshake.Headers["Content-Type"]);
        EventGridEvent parsed = Assert.Single(EventGridEvent.ParseMany(new BinaryData(handshake.Body)));
        Assert.True(parsed.TryGetSystemEventData(out object data));
        Assert.NotEmpty(Assert.IsType<SubscriptionValidationEventData>(data).ValidationCode);
        Assert.Equal("Notification", (await rig.Receiver.NextOfAnyAsync()).Headers["aeg-event-type"]);
        Assert.Equal(SubscriptionState.Succeeded, rig.Delivery.State);
    }

    [Fact]
    public async Task CloudEvents_ask_with_OPTIONS_for_the_origin()
    {
        await using DeliveryRig rig = await DeliveryRig.StartAsync();
        rig.Deliver(options => options with { Schema = EventSchema.CloudEvents });
        Received handshake = await rig.Receiver.NextOfAnyAsync();

        Assert.Equal(("OPTIONS", "eventgrid.azure.net"), (handshake.Method, handshake.Headers["WebHook-Request-Origin"]));
        Assert.Equal(DeliveryVerdict.Delivered, (await rig.NoteAsync()).Verdict);
    }

    [Theory]
    [InlineData(202, "{}")]
    [InlineData(200, "")]
    [InlineData(200, "{}")]
    [InlineData(200, "[\"validationResponse\"]")]
    [InlineData(200, "{\"validationResponse\":7}")]
    [InlineData(200, "{\"validationResponse\":\"wrong\"}")]
    [InlineData(500, "{}")]
    public async Task A_handshake_without_its_code_is_tried_again_after_five_seconds(int status, string body)
    {
        await using DeliveryRig rig = await DeliveryRig.StartAsync();
        rig.Receiver.Handshake = (context, _) =>
        {
            context.Response.StatusCode = status;
            return context.Response.WriteAsync(body);
        };
        rig.Deliver();
        rig.Publish();
        DeliveryNote note = await rig.NoteAsync();
        Assert.Equal((DeliveryVerdict.Retry, 5000L), (note.Verdict, note.WaitMs));

        rig.Receiver.Handshake = null;
        rig.Wait(5000);
        Assert.Equal(DeliveryVerdict.Delivered, (await rig.NoteAsync()).Verdict);
        Received first = await rig.Receiver.NextAsync();
        Assert.Equal(TimeSpan.FromSeconds(5), first.At);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("someone.else")]
    public async Task An_origin_that_is_not_allowed_is_no_handshake(string? origin)
    {
        await using DeliveryRig rig = await DeliveryRig.StartAsync();
        rig.Receiver.Handshake = (context, _) =>
        {
            context.Response.Headers["WebHook-Allowed-Origin"] = origin;
            return Task.CompletedTask;
        };
        rig.Deliver(options => options with { Schema = EventSchema.CloudEvents });

        Assert.Equal(DeliveryVerdict.Retry, (await rig.NoteAsync()).Verdict);
    }

    [Fact]
    public async Task A_handshake_that_hangs_is_ended_after_thirty_seconds()
    {
        await using DeliveryRig rig = await DeliveryRig.StartAsync();
        rig.Receiver.Handshake = (context, _) => Task.Delay(Timeout.InfiniteTimeSpan, context.RequestAborted);
        rig.Deliver();
        await rig.Receiver.NextOfAnyAsync();
        rig.Wait(30_000);

        Assert.Equal((DeliveryOutcome.TimedOut, DeliveryVerdict.Retry), Outcome(await rig.NoteAsync()));
    }

    [Fact]
    public async Task When_the_handshakes_are_used_up_there_is_no_subscription_and_events_are_lost()
    {
        await using DeliveryRig rig = await DeliveryRig.StartAsync();
        rig.Receiver.Handshake = (context, _) => context.Response.WriteAsync("no");
        rig.Deliver(options => options with { HandshakesMax = 2 });
        rig.Publish(3);
        await rig.NoteAsync();
        rig.Wait(5000);

        Assert.Equal(DeliveryVerdict.Drop, (await rig.NoteAsync()).Verdict);
        Assert.Equal(SubscriptionState.Failed, rig.Delivery.State);
        rig.Publish();
        Assert.Equal(new DeliveryCounts(0, 0, 3, 0, 0), rig.Delivery.Counts);
    }

    [Fact]
    public async Task A_person_may_confirm_within_ten_minutes()
    {
        await using DeliveryRig rig = await DeliveryRig.StartAsync();
        Task confirmed = ConfirmAsync(rig);
        rig.Receiver.Handshake = (_, _) => Task.CompletedTask;
        rig.Deliver(options => options with { ValidationUrl = new Uri("https://localhost:553/validate") });
        await confirmed;

        Assert.Equal(DeliveryVerdict.Delivered, (await rig.NoteAsync()).Verdict);
        Assert.Equal(SubscriptionState.Succeeded, rig.Delivery.State);
        Assert.False(rig.Delivery.Confirm("again"));
    }

    [Fact]
    public async Task Deliveries_carry_the_documented_headers_and_by_default_one_event_each()
    {
        await using DeliveryRig rig = await DeliveryRig.OpenAsync(200, options => options with { Name = "my-subscription" });
        rig.Publish(2);
        Received request = await rig.Receiver.NextAsync();

        Assert.Equal("POST", request.Method);
        Assert.Equal("Notification", request.Headers["aeg-event-type"]);
        Assert.Equal("MY-SUBSCRIPTION", request.Headers["aeg-subscription-name"]);
        Assert.Equal("0", request.Headers["aeg-delivery-count"]);
        Assert.Equal("1", request.Headers["aeg-data-version"]);
        Assert.Equal("1", request.Headers["aeg-metadata-version"]);
        Assert.Equal("application/json; charset=utf-8", request.Headers["Content-Type"]);
        EventGridEvent parsed = Assert.Single(EventGridEvent.ParseMany(new BinaryData(request.Body)));
        Assert.Equal(parsed.Id, request.Headers["aeg-output-event-id"]);
        Assert.Single(EventGridEvent.ParseMany(new BinaryData((await rig.Receiver.NextAsync()).Body)));
    }

    [Fact]
    public async Task A_lone_CloudEvent_is_an_object_and_a_batch_is_an_array()
    {
        await using DeliveryRig lone = await DeliveryRig.OpenAsync(200, options => options with { Schema = EventSchema.CloudEvents });
        lone.Publish();
        Received one = await lone.Receiver.NextAsync();
        Assert.Equal("application/cloudevents+json; charset=utf-8", one.Headers["Content-Type"]);
        Assert.Equal("1.0", one.Headers["aeg-metadata-version"]);
        Assert.NotNull(CloudEvent.Parse(new BinaryData(one.Body)));
        Assert.Equal('{', one.Text[0]);

        await using DeliveryRig batched = await DeliveryRig.OpenAsync(
            200, options => options with { Schema = EventSchema.CloudEvents, Policy = new DeliveryPolicy { EventsPerBatchMax = 10 } });
        batched.Publish();
        Received many = await batched.Receiver.NextAsync();
        Assert.Equal("application/cloudevents-batch+json; charset=utf-8", many.Headers["Content-Type"]);
        Assert.Single(CloudEvent.ParseMany(new BinaryData(many.Body)));
    }

    [Fact]
    public async Task Events_gather_while_the_receiver_is_busy_and_a_batch_is_taken_or_refused_whole()
    {
        await using DeliveryRig rig = await DeliveryRig.StartAsync();
        rig.Receiver.Answer = _ => 429;
        rig.Deliver(options => options with { ParallelMax = 1, Policy = new DeliveryPolicy { EventsPerBatchMax = 4 } });
        rig.Publish(10);

        int[] sizes = [.. await Sizes(rig, 3)];
        Assert.Equal([4, 4, 2], sizes);
        Assert.Equal(10, rig.Delivery.Counts.Waiting);

        await rig.NoteAsync();
        for (int batch = 0; batch < 3; batch++)
        {
            Assert.Equal(sizes[batch], (await rig.NoteAsync()).EventCount);
        }

        rig.Receiver.Answer = _ => 200;
        rig.Wait(10_000);
        Assert.Equal(sizes, await Sizes(rig, 3));
        for (int batch = 0; batch < 3; batch++)
        {
            Assert.Equal(DeliveryVerdict.Delivered, (await rig.NoteAsync()).Verdict);
        }

        Assert.Equal(new DeliveryCounts(10, 0, 0, 0, 0), rig.Delivery.Counts);
    }

    [Fact]
    public async Task Requests_run_in_parallel_so_that_one_that_hangs_does_not_hold_the_others()
    {
        await using DeliveryRig rig = await DeliveryRig.StartAsync();
        int taken = 0;
        rig.Receiver.Answer = _ => Interlocked.Increment(ref taken) == 1 ? Receiver.Hangs : 200;
        rig.Deliver(options => options with { ParallelMax = 2 });
        await rig.NoteAsync();
        rig.Publish(50);
        for (int i = 0; i < 49; i++)
        {
            Assert.Equal(DeliveryVerdict.Delivered, (await rig.NoteAsync()).Verdict);
        }

        Assert.Equal(1, rig.Delivery.Counts.Waiting);
    }

    [Fact]
    public async Task Many_publishers_lose_nothing()
    {
        await using DeliveryRig rig = await DeliveryRig.OpenAsync(
            200, options => options with { Policy = new DeliveryPolicy { EventsPerBatchMax = 100 } });
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() =>
        {
            for (int i = 0; i < 500; i++)
            {
                rig.Publish();
            }
        })));

        int delivered = 0;
        while (delivered < 4000)
        {
            delivered += (await rig.NoteAsync()).EventCount;
        }

        Assert.Equal(new DeliveryCounts(4000, 0, 0, 0, 0), rig.Delivery.Counts);
    }

    [Theory]
    [InlineData("http://127.0.0.1:5080/events", true)]
    [InlineData("https://localhost/hook?code=secret", true)]
    [InlineData("ftp://localhost/", false)]
    [InlineData("localhost:5080", false)]
    [InlineData("/events", false)]
    [InlineData("http://user:secret@localhost/", false)]
    [InlineData("http://localhost/#x", false)]
    [InlineData("", false)]
    public void An_address_is_http_or_https_and_the_complaint_does_not_repeat_it(string text, bool expected)
    {
        Assert.Equal(expected, DeliveryOptions.TryReadUrl(text, out _, out string problem));
        Assert.Equal(expected, problem.Length == 0);
        Assert.DoesNotContain("secret", problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("../x")]
    [InlineData("ab")]
    [InlineData("a\r\nb")]
    public async Task A_name_that_would_leave_the_folder_or_the_header_is_refused(string name)
    {
        await using DeliveryRig rig = await DeliveryRig.StartAsync();

        Assert.Throws<ArgumentException>(() => rig.Deliver(options => options with { Name = name }));
    }

    private static async Task ConfirmAsync(DeliveryRig rig)
    {
        Received handshake = await rig.Receiver.NextOfAnyAsync();
        JsonElement data = JsonDocument.Parse(handshake.Body).RootElement[0].GetProperty("data");
        string code = data.GetProperty("validationCode").GetString()!;
        Assert.Equal($"https://localhost:553/validate?id={code}", data.GetProperty("validationUrl").GetString());
        Assert.False(rig.Delivery.Confirm("wrong"));

        // The state changes when the answer has been read, which nothing outside can wait for.
        while (!rig.Delivery.Confirm(code))
        {
            await Task.Yield();
        }
    }

    private static async Task<List<int>> Sizes(DeliveryRig rig, int requests)
    {
        var sizes = new List<int>();
        for (int i = 0; i < requests; i++)
        {
            sizes.Add(EventGridEvent.ParseMany(new BinaryData((await rig.Receiver.NextAsync()).Body)).Length);
        }

        return sizes;
    }

    private static (DeliveryOutcome Outcome, DeliveryVerdict Verdict) Outcome(DeliveryNote note) => (note.Outcome, note.Verdict);
}
