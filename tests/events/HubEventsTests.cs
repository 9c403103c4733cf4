using System.Text.Json;
using System.Threading.Channels;
using Agent.Events;
using Agent.Hub;
using Azure.Messaging.EventGrid;

namespace Agent.Tests.Events;

/// <summary>What a hub has to call, and what then arrives.</summary>
public sealed class HubEventsTests : IAsyncLifetime
{
    private readonly Channel<string> lines = Channel.CreateUnbounded<string>();
    private readonly Registry registry = new("localhost");
    private DeliveryRig rig = null!;
    private HubEvents events = null!;

    public async ValueTask InitializeAsync()
    {
        registry.AddNumbered(3);
        rig = await DeliveryRig.StartAsync();
        DeliveryOptions options = rig.Options;
        events = HubEvents.Start(
            new HubEventsOptions
            {
                HubName = "localhost",
                Time = rig.Time,
                Lines = line => lines.Writer.TryWrite(line),
                Events = new WebhookOptions { Url = options.Url, Time = rig.Time, StopWithin = TimeSpan.Zero, OnNote = options.OnNote },
            },
            registry.Devices.Count,
            index => registry.Devices[index]);
        await rig.NoteAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await events.DisposeAsync();
        await rig.DisposeAsync();
    }

    [Fact]
    public async Task A_device_that_connects_and_speaks_is_reported_at_the_minute_and_its_renewal_is_not()
    {
        events.OnRecord(1, LogKind.Connect);
        rig.Time.Advance(TimeSpan.FromSeconds(5));
        events.OnMessaging(1);
        rig.Time.Advance(TimeSpan.FromSeconds(54.999));
        rig.Time.Advance(TimeSpan.FromSeconds(0.001));
        EventGridEvent first = await NextAsync();

        Assert.Equal(("Microsoft.Devices.DeviceConnected", "devices/device-0002"), (first.EventType, first.Subject));
        Assert.Equal(ManualTime.Start.AddSeconds(5), first.EventTime);

        rig.Time.Advance(TimeSpan.FromSeconds(10));
        events.OnRecord(1, LogKind.Disconnect);
        events.OnRecord(1, LogKind.Connect);
        events.OnMessaging(1);
        rig.Time.Advance(TimeSpan.FromSeconds(50));
        EventGridEvent renewal = await NextAsync();

        Assert.Equal("Microsoft.Devices.DeviceConnected", renewal.EventType);
        Assert.True(string.CompareOrdinal(Sequence(first), Sequence(renewal)) < 0);
    }

    [Fact]
    public async Task An_expired_token_that_logs_twice_disconnects_once()
    {
        events.OnRecord(0, LogKind.Connect);
        events.OnMessaging(0);
        rig.Time.Advance(TimeSpan.FromMinutes(1));
        await NextAsync();
        events.OnRecord(0, LogKind.DisconnectUnauthorized);
        events.OnRecord(0, LogKind.DisconnectClosedRemotely);
        events.OnRecord(0, LogKind.ConnectUnauthorized);
        rig.Time.Advance(TimeSpan.FromMinutes(1));
        EventGridEvent ended = await NextAsync();

        Assert.Equal("Microsoft.Devices.DeviceDisconnected", ended.EventType);
        Assert.EndsWith("0002", Sequence(ended), StringComparison.Ordinal);
        Assert.False(rig.Receiver.HasMore);
    }

    [Fact]
    public async Task Messages_and_identities_are_reported_as_they_come()
    {
        Device device = registry.Devices[0];
        events.OnTelemetry(device, 1_000, "a=1"u8, retain: false, byPolicy: false, "x"u8);
        Received message = await rig.Receiver.NextAsync();
        Assert.Equal("", message.Headers["aeg-data-version"]);
        Assert.Equal("Microsoft.Devices.DeviceTelemetry", Parse(message).EventType);

        events.OnLifecycle(device, isCreated: true);
        Assert.Equal("Microsoft.Devices.DeviceCreated", (await NextAsync()).EventType);
        events.OnLifecycle(device, isCreated: false);
        Assert.Equal("Microsoft.Devices.DeviceDeleted", (await NextAsync()).EventType);
    }

    [Fact]
    public async Task The_person_watching_sees_trouble_and_no_secret()
    {
        Assert.Equal($"events to {Shown}: the receiver wants the events", await lines.Reader.ReadAsync());
        rig.Receiver.Answer = _ => 503;
        events.OnLifecycle(registry.Devices[0], isCreated: true);
        string line = await lines.Reader.ReadAsync();

        Assert.StartsWith($"events to {Shown}: 1 not taken (503 Busy), attempt 1; next in 3", line, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", line, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_receivers_nothing_is_built_and_nothing_fails()
    {
        await using HubEvents none = HubEvents.Start(
            new HubEventsOptions { HubName = "localhost" }, 1, index => registry.Devices[index]);
        none.OnRecord(0, LogKind.Connect);
        none.OnMessaging(0);
        none.OnTelemetry(registry.Devices[0], 0, default, false, false, default);
        none.OnLifecycle(registry.Devices[0], true);
        none.OnLogLine("{}"u8);

        Assert.False(none.WantsEvents || none.WantsLogs);
    }

    [Fact]
    public async Task Log_records_arrive_in_order_wrapped_as_an_event_hub_wraps_them()
    {
        await using LogDelivery logs = LogDelivery.Start(rig.Options with { Policy = LogDelivery.DefaultPolicy });
        for (int i = 0; i < 2500; i++)
        {
            logs.Write(System.Text.Encoding.ASCII.GetBytes($"{{\"n\":{i}}}\n"));
        }

        var numbers = new List<int>();
        while (numbers.Count < 2500)
        {
            Received request = await LogRequestAsync();
            Assert.Equal("application/json; charset=utf-8", request.Headers["Content-Type"]);
            Assert.False(request.Headers.ContainsKey("aeg-event-type"));
            numbers.AddRange(Records(request));
        }

        Assert.Equal(Enumerable.Range(0, 2500), numbers);
    }

    [Fact]
    public async Task Log_records_are_retried_and_may_come_as_late_as_the_clouds()
    {
        await using LogDelivery logs = LogDelivery.Start(rig.Options with { HoldBack = TimeSpan.FromMinutes(3) });
        rig.Receiver.Answer = _ => 500;
        logs.Write("{\"n\":7}"u8);
        rig.Wait(180_000);
        Received first = await LogRequestAsync();
        Assert.Equal(TimeSpan.FromMinutes(3), first.At);

        DeliveryNote note = await rig.NoteAsync();
        rig.Receiver.Answer = _ => 200;
        rig.Wait(note.WaitMs);
        Assert.Equal([7], Records(await LogRequestAsync()));
    }

    private string Shown => rig.Receiver.Url.GetLeftPart(UriPartial.Path);

    private static EventGridEvent Parse(Received request) => Assert.Single(EventGridEvent.ParseMany(new BinaryData(request.Body)));

    private static string Sequence(EventGridEvent parsed) => JsonDocument.Parse(parsed.Data.ToString()).RootElement
        .GetProperty("deviceConnectionStateEventInfo").GetProperty("sequenceNumber").GetString()!;

    private static IEnumerable<int> Records(Received request) => JsonDocument.Parse(request.Body).RootElement
        .GetProperty("records").EnumerateArray().Select(record => record.GetProperty("n").GetInt32());

    private async Task<EventGridEvent> NextAsync() => Parse(await rig.Receiver.NextAsync());

    private async Task<Received> LogRequestAsync()
    {
        Received request;
        do
        {
            request = await rig.Receiver.NextOfAnyAsync();
        }
        while (request.Headers.ContainsKey("aeg-event-type"));

        return request;
    }
}
