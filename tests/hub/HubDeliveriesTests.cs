using System.Net;
using System.Text.Json;
using Agent.Events;
using Agent.Hub;
using Agent.Tests.Events;

namespace Agent.Tests.Hub;

/// <summary>What a hub on the wire tells its webhooks about real connections.</summary>
[Collection(RealTime.Name)]
public sealed class HubDeliveriesTests
{
    [Fact]
    public async Task Connections_messages_identities_and_records_arrive_at_the_webhooks()
    {
        var time = new ManualTime();
        await using Receiver events = await Receiver.StartAsync(time);
        await using Receiver logs = await Receiver.StartAsync(time);
        using var folder = new HubFolder();
        await using HubServer hub = HubServer.Start(new HubServerOptions
        {
            DataDirectory = folder.Path,
            Port = 0,
            Time = time,
            Events = new HubEventsOptions
            {
                HubName = "localhost",
                Events = new WebhookOptions { Url = events.Url },
                Logs = new DeliveryOptions { Url = logs.Url, Policy = LogDelivery.DefaultPolicy },
            },
        });
        await using (TestDevice device = await TestDevice.ConnectAsync(hub, 0))
        {
            Assert.True(await device.PublishAsync("devices/device-0001/messages/events/kind=heartbeat", "{}"));
            Assert.Equal("Microsoft.Devices.DeviceTelemetry devices/device-0001", await NextAsync(events));
            await SettleAsync(hub, events: 1, records: 1);
            time.Advance(TimeSpan.FromSeconds(60));
            Assert.Equal("Microsoft.Devices.DeviceConnected devices/device-0001", await NextAsync(events));
            device.Reset();
        }

        await HubRig.WaitAsync(() => hub.ConnectedCount == 0, seconds: 10);
        Device made = (await hub.CreateAsync(new IdentityDraft("new"))).Value!;
        Assert.Equal("Microsoft.Devices.DeviceCreated devices/new", await NextAsync(events));
        await SettleAsync(hub, events: 3, records: 2);
        time.Advance(TimeSpan.FromSeconds(60));
        Assert.Equal("Microsoft.Devices.DeviceDisconnected devices/device-0001", await NextAsync(events));
        await hub.DeleteAsync(made, null);
        Assert.Equal("Microsoft.Devices.DeviceDeleted devices/new", await NextAsync(events));

        var written = new List<string>();
        while (written.Count < 2)
        {
            JsonElement body = JsonDocument.Parse((await logs.NextAsync()).Body).RootElement;
            written.AddRange(body.GetProperty("records").EnumerateArray().Select(record => record.GetRawText()));
        }

        Assert.Equal(File.ReadAllLines(hub.Data.ConnectionsPath), written);
    }

    [Fact]
    public async Task A_person_can_confirm_the_subscription_at_the_address_the_receiver_was_given()
    {
        var time = new ManualTime();
        await using Receiver events = await Receiver.StartAsync(time);
        events.Handshake = (context, _) =>
        {
            context.Response.StatusCode = 200;
            return Task.CompletedTask;
        };
        using var folder = new HubFolder();
        await using HubServer hub = HubServer.Start(new HubServerOptions
        {
            DataDirectory = folder.Path,
            Port = 0,
            Time = time,
            Events = new HubEventsOptions
            {
                HubName = "localhost",
                Events = new WebhookOptions
                {
                    Url = events.Url,
                    ValidationUrl = new Uri("https://localhost:8443/local/eventgrid/validate"),
                },
            },
        });
        await using HubHttp http = await HubHttp.StartAsync(hub, IPAddress.Loopback, 0);
        using HttpClient client = HubRig.ClientOf(hub, http);
        JsonElement asked = JsonDocument.Parse((await events.NextOfAnyAsync()).Body).RootElement[0].GetProperty("data");
        var address = new Uri(asked.GetProperty("validationUrl").GetString()!);
        WebhookDelivery delivery = hub.Events!.Events!;
        await HubRig.WaitAsync(() => delivery.State == SubscriptionState.AwaitingManualAction, seconds: 10);

        Assert.Equal(HttpStatusCode.BadRequest, (await client.GetAsync("/local/eventgrid/validate?id=x")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync(address.PathAndQuery)).StatusCode);
        await HubRig.WaitAsync(() => delivery.State == SubscriptionState.Succeeded, seconds: 10);
        Assert.Equal(SubscriptionState.Succeeded, delivery.State);
    }

    /// <summary>A clock that jumps while an answer is on its way makes it late, and the delivery a second one.</summary>
    private static Task SettleAsync(HubServer hub, long events, long records) =>
        HubRig.WaitAsync(
            () => hub.Events!.Events!.Counts.Delivered == events && hub.Events.Logs!.Counts.Delivered == records, seconds: 10);

    private static async Task<string> NextAsync(Receiver receiver)
    {
        JsonElement body = JsonDocument.Parse((await receiver.NextAsync()).Body).RootElement;
        JsonElement one = Assert.Single(body.EnumerateArray());
        return $"{one.GetProperty("eventType").GetString()} {one.GetProperty("subject").GetString()}";
    }
}
