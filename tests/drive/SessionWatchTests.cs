using Agent.Drive;
using Agent.Events;
using Agent.Hub;
using Agent.Tests.Hub;

namespace Agent.Tests.Drive;

/// <summary>What a run on the wire tells Event Grid: packets of real sessions, the hub's records, and the minute.</summary>
public sealed class SessionWatchTests
{
    [Fact]
    public async Task Only_a_device_that_uses_messages_is_seen_and_at_the_minute()
    {
        using var folder = new HubFolder();
        var monitor = new HubMonitor(0, 3);
        var gate = new Lock();
        long nowMs = 1_000;
        await using (HubServer hub = HubServer.Start(new HubServerOptions
        {
            DataDirectory = folder.Path,
            Devices = 3,
            Port = 0,
            OnRecord = (device, kind) => Tell(() => monitor.OnRecord(nowMs, device, kind)),
            Watch = server => new SessionWatch(server, device => Tell(() => monitor.OnMessaging(nowMs, device))),
        }))
        {
            await using TestDevice publishes = await TestDevice.ConnectAsync(hub, 0);
            await using TestDevice subscribes = await TestDevice.ConnectAsync(hub, 1);
            await using TestDevice neither = await TestDevice.ConnectAsync(hub, 2);
            await publishes.PublishAsync("devices/device-0001/messages/events/");
            await subscribes.SubscribeAsync(1, "devices/device-0002/messages/devicebound/#");
            await neither.SubscribeAsync(0, "$iothub/methods/POST/#");
            foreach (TestDevice device in (TestDevice[])[publishes, subscribes, neither])
            {
                await device.SendAsync(0xC0, []); // Its answer says that what came before has been dealt with.
                Assert.Equal(0xD0, (await device.ReadAsync()).Type);
            }

            Assert.Equal([], Seen(59_999));
            Assert.Equal([(0, MonitoredKind.Connected), (1, MonitoredKind.Connected)], Seen(60_000));

            nowMs = 61_000;
            await publishes.SayGoodbyeAsync();
            await publishes.WaitForEndAsync();
            await HubRig.WaitAsync(() => hub.ConnectedCount == 2, 10);
            Assert.Equal([(0, MonitoredKind.Disconnected)], Seen(120_000)[2..]);
        }

        void Tell(Action action)
        {
            lock (gate)
            {
                action();
            }
        }

        List<(int, MonitoredKind)> Seen(long untilMs)
        {
            Tell(() => monitor.AdvanceTo(untilMs));
            return [.. monitor.Events.OrderBy(one => one.SeenMs).ThenBy(one => one.Device).Select(one => (one.Device, one.Kind))];
        }
    }
}
