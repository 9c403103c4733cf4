using System.Text;
using System.Text.Json;
using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>Twins, messages, methods and identities of a running hub, seen from a device's socket and from the service's side.</summary>
[Collection(RealTime.Name)]
public sealed class HubServiceTests
{
    private const string TwinAnswers = "$iothub/twin/res/#";
    private const string Desired = "$iothub/twin/PATCH/properties/desired/#";
    private const string Methods = "$iothub/methods/POST/#";
    private const string Messages = "devices/device-0001/messages/devicebound/#";

    [Fact]
    public async Task A_device_reports_reads_its_twin_and_hears_of_desired_properties_in_order()
    {
        await using var rig = new HubRig();
        Device identity = rig.Server.Registry.Devices[0];
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        await device.SubscribeAsync(0, TwinAnswers, Desired);

        await device.PublishOnceAsync("$iothub/twin/PATCH/properties/reported/?$rid=1", """{"a":{"b":1,"c":2}}""");
        Assert.Equal(("$iothub/twin/res/204/?$rid=1&$version=2", ""), await device.ReadMessageAsync());
        await device.PublishOnceAsync("$iothub/twin/PATCH/properties/reported/?$rid=2", """{"a":{"b":null}}""");
        Assert.Equal(("$iothub/twin/res/204/?$rid=2&$version=3", ""), await device.ReadMessageAsync());
        await device.PublishOnceAsync("$iothub/twin/PATCH/properties/reported/?$rid=3", """{"a":""");
        Assert.Equal(("$iothub/twin/res/400/?$rid=3", ""), await device.ReadMessageAsync());
        await device.PublishOnceAsync("$iothub/twin/GET/?$rid=4", "");
        (string topic, string twin) = await device.ReadMessageAsync();

        Assert.Equal("$iothub/twin/res/200/?$rid=4", topic);
        Assert.Equal("""{"desired":{"$version":1},"reported":{"a":{"c":2},"$version":3}}""", twin);

        for (int i = 0; i < 20; i++)
        {
            byte[] patch = Encoding.UTF8.GetBytes($"{{\"properties\":{{\"desired\":{{\"n\":{i}}}}}}}");
            Assert.Null((await rig.Server.ChangeTwinAsync(identity, patch, null, replace: false)).Error);
        }

        for (int i = 0; i < 20; i++)
        {
            Assert.Equal(
                ($"$iothub/twin/PATCH/properties/desired/?$version={i + 2}", $"{{\"n\":{i},\"$version\":{i + 2}}}"),
                await device.ReadMessageAsync());
        }
    }

    [Fact]
    public async Task A_desired_property_set_while_the_device_is_away_is_never_notified()
    {
        await using var rig = new HubRig();
        Device identity = rig.Server.Registry.Devices[0];
        await using (TestDevice first = await TestDevice.ConnectAsync(rig.Server, 0, clean: false))
        {
            await first.SubscribeAsync(0, TwinAnswers, Desired);
            await first.SayGoodbyeAsync();
            await first.WaitForEndAsync();
        }

        await rig.Server.ChangeTwinAsync(identity, """{"properties":{"desired":{"n":1}}}"""u8.ToArray(), null, replace: false);
        await using TestDevice second = await TestDevice.ConnectAsync(rig.Server, 0, clean: false);
        await rig.Server.ChangeTwinAsync(identity, """{"properties":{"desired":{"n":2}}}"""u8.ToArray(), null, replace: false);

        Assert.Equal("""{"n":2,"$version":3}""", (await second.ReadMessageAsync()).Body);
    }

    [Fact]
    public async Task A_message_waits_for_its_device_survives_a_lost_acknowledgement_and_is_completed_by_PUBACK()
    {
        var time = new ShiftedTime();
        await using var rig = new HubRig(time: time);
        Device identity = rig.Server.Registry.Devices[0];
        var message = new CommandMessage { MessageId = "m1", Ack = CommandAck.Full, Payload = "hello"u8.ToArray() };
        Assert.Null(await rig.Server.SendAsync(identity, message));
        Assert.Equal(1, rig.Server.ViewOf(identity).CommandCount);

        await using (TestDevice first = await TestDevice.ConnectAsync(rig.Server, 0, clean: false))
        {
            await first.SubscribeAsync(1, Messages);
            (byte[] packet, byte flags) = await first.ReadPublishAsync();
            Assert.Equal(0x32, flags);
            Assert.EndsWith("hello", Encoding.UTF8.GetString(packet), StringComparison.Ordinal);
            first.Reset();
        }

        await HubRig.WaitAsync(() => rig.Server.ConnectedCount == 0, seconds: 10);
        await using TestDevice second = await TestDevice.ConnectAsync(rig.Server, 0, clean: false);
        (byte[] again, byte repeated) = await second.ReadPublishAsync();
        Assert.Equal(0x3A, repeated);
        await second.SendPubackAsync(again);
        await HubRig.WaitAsync(() => rig.Server.ViewOf(identity).CommandCount == 0, seconds: 10);
        time.Advance(TimeSpan.FromSeconds(16));

        Assert.True(rig.Server.TryReceiveFeedback(out FeedbackBatch batch));
        JsonElement record = JsonDocument.Parse(batch.Body).RootElement[0];
        Assert.Equal(
            ("m1", "Success", "device-0001"),
            (record.GetProperty("originalMessageId").GetString(), record.GetProperty("statusCode").GetString(),
                record.GetProperty("deviceId").GetString()));
        Assert.True(rig.Server.CompleteFeedback(batch.LockToken));
        Assert.False(rig.Server.TryReceiveFeedback(out _));
    }

    [Fact]
    public async Task Fifty_large_messages_reach_a_slow_reader_one_backlog_at_a_time()
    {
        await using var rig = new HubRig();
        Device identity = rig.Server.Registry.Devices[0];
        for (int i = 0; i < CommandQueue.CountMax; i++)
        {
            Assert.Null(await rig.Server.SendAsync(identity, new CommandMessage { Payload = new byte[60_000] }));
        }

        Assert.Equal(403004, (await rig.Server.SendAsync(identity, new CommandMessage()))!.Code);
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        await device.SubscribeAsync(1, Messages);
        await Task.Delay(300);
        for (int i = 0; i < CommandQueue.CountMax; i++)
        {
            (byte[] packet, _) = await device.ReadPublishAsync();
            await device.SendPubackAsync(packet);
        }

        await HubRig.WaitAsync(() => rig.Server.ViewOf(identity).CommandCount == 0, seconds: 10);
        Assert.Equal(0, rig.Server.ViewOf(identity).CommandCount);
        Assert.Equal(1, rig.Server.ConnectedCount);
    }

    [Fact]
    public async Task A_method_is_answered_by_its_device_and_refused_without_one()
    {
        await using var rig = new HubRig();
        Device identity = rig.Server.Registry.Devices[0];
        var request = new MethodRequest("reboot", "{\"in\":1}"u8.ToArray(), 30, 0);
        Assert.Equal(404103, (await rig.Server.CallAsync(identity, request, default)).Error!.Code);
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        Assert.Equal(404103, (await rig.Server.CallAsync(identity, request, default)).Error!.Code);
        await device.SubscribeAsync(0, Methods);

        Task<MethodOutcome> call = rig.Server.CallAsync(identity, request, default);
        (string topic, string body) = await device.ReadMessageAsync();
        Assert.StartsWith("$iothub/methods/POST/reboot/?$rid=", topic, StringComparison.Ordinal);
        Assert.Equal("{\"in\":1}", body);
        await device.PublishOnceAsync($"$iothub/methods/res/207/?$rid={topic.Split('=')[1]}", "{\"out\":2}");

        Assert.Equal("""{"status":207,"payload":{"out":2}}""", Encoding.UTF8.GetString((await call).Body()));

        Task<MethodOutcome> lost = rig.Server.CallAsync(identity, request, default);
        await device.ReadMessageAsync();
        await using TestDevice rival = await TestDevice.ConnectAsync(rig.Server, 0);
        Assert.Equal(400027, (await lost).Error!.Code);
    }

    [Fact]
    public async Task A_method_waits_for_a_device_as_long_as_it_was_told_to()
    {
        await using var rig = new HubRig();
        Task<MethodOutcome> call = rig.Server.CallAsync(
            rig.Server.Registry.Devices[0], new MethodRequest("late", default, 30, 20), default);
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        await device.SubscribeAsync(0, Methods);
        (string topic, _) = await device.ReadMessageAsync();
        await device.PublishOnceAsync($"$iothub/methods/res/200/?$rid={topic.Split('=')[1]}", "");

        Assert.Equal(200, (await call).Status);
    }

    [Fact]
    public async Task Identities_come_change_and_go_while_the_hub_runs()
    {
        await using var rig = new HubRig();
        HubServer hub = rig.Server;
        Device made = (await hub.CreateAsync(new IdentityDraft("new one".Replace(' ', '-')))).Value!;
        Assert.Equal(409001, (await hub.CreateAsync(new IdentityDraft(made.Id))).Error!.Code);
        Assert.Equal(404001, (await hub.CreateAsync(new IdentityDraft("nobody", "module"))).Error!.Code);
        await using (TestDevice device = await TestDevice.ConnectAsync(hub, made.Index))
        {
            string etag = made.ETag;
            Assert.Null((await hub.UpdateAsync(new IdentityDraft(made.Id) { IsEnabled = false }, $"\"{etag}\"")).Error);
            Assert.Equal(412001, (await hub.UpdateAsync(new IdentityDraft(made.Id), etag)).Error!.Code);
            await device.WaitForEndAsync();
        }

        Assert.Null((await hub.UpdateAsync(new IdentityDraft(made.Id), "*")).Error);
        await using TestDevice back = await TestDevice.ConnectAsync(hub, made.Index);
        Assert.Null(await hub.DeleteAsync(made, null));
        await back.WaitForEndAsync();
        Assert.Equal(404001, (await hub.DeleteAsync(made, null))!.Code);
        Assert.Equal(404001, (await hub.ChangeTwinAsync(made, "{}"u8.ToArray(), null, replace: false)).Error!.Code);
        await using TestDevice refused = await TestDevice.DialAsync(hub);
        Assert.Equal(5, (await refused.SendConnectAsync(made.Id, TestDevice.Token(hub, made.Index, 60)))[1]);

        await rig.AssertRecordsAsync(
            "new-one deviceConnect", "new-one deviceDisconnect/403012", "new-one deviceConnect", "new-one deviceDisconnect/401003",
            "new-one deviceConnect/401003: IotHub 'localhost' does not contain the specified device");
    }

    [Fact]
    public async Task A_module_has_its_own_connection_twin_and_methods_and_falls_with_its_device()
    {
        await using var rig = new HubRig();
        HubServer hub = rig.Server;
        Device module = (await hub.CreateAsync(new IdentityDraft("device-0001", "camera"))).Value!;
        await using TestDevice parent = await TestDevice.ConnectAsync(hub, 0);
        await using TestDevice device = await TestDevice.DialAsync(hub);
        string token = SasTokenWriter.Write(
            "localhost/devices/device-0001/modules/camera", module.PrimaryKey, DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 600);
        byte[] answer = await device.SendConnectAsync(
            "device-0001/camera", token, userName: "localhost/device-0001/camera/?api-version=2021-04-12");
        Assert.Equal([0, 0], answer);
        Assert.Equal([0, 0, 0], await device.SubscribeAsync(0, TwinAnswers, Methods, "devices/device-0001/modules/camera/#"));
        Assert.True(await device.PublishAsync("devices/device-0001/modules/camera/messages/events/", "x"));
        await device.PublishOnceAsync("$iothub/twin/PATCH/properties/reported/?$rid=1", """{"m":1}""");
        Assert.Equal("$iothub/twin/res/204/?$rid=1&$version=2", (await device.ReadMessageAsync()).Topic);
        Task<MethodOutcome> call = hub.CallAsync(module, new MethodRequest("snap", default, 30, 0), default);
        (string topic, _) = await device.ReadMessageAsync();
        await device.PublishOnceAsync($"$iothub/methods/res/200/?$rid={topic.Split('=')[1]}", "");
        Assert.Equal(200, (await call).Status);
        Assert.Equal(1, hub.TwinOf(hub.Registry.Devices[0]).ReportedVersion);

        Assert.Null(await hub.DeleteAsync(hub.Registry.Devices[0], null));
        await device.WaitForEndAsync();
        await parent.WaitForEndAsync();
        Assert.False(hub.Registry.TryFind("device-0001", "camera", out _));
    }

    [Fact]
    public async Task Everything_kept_is_there_after_a_restart()
    {
        using var folder = new HubFolder();
        await using (HubServer hub = Start(folder))
        {
            Device first = hub.Registry.Devices[0];
            Device made = (await hub.CreateAsync(new IdentityDraft("third") { StatusReason = "test" })).Value!;
            await hub.CreateAsync(new IdentityDraft("third", "part"));
            Assert.Null(await hub.DeleteAsync(hub.Registry.Devices[1], null));
            await hub.ChangeTwinAsync(made, """{"tags":{"site":"a"},"properties":{"desired":{"n":1}}}"""u8.ToArray(), null, false);
            Assert.Null(await hub.SendAsync(first, new CommandMessage { MessageId = "kept", Payload = "x"u8.ToArray() }));
            await using TestDevice device = await TestDevice.ConnectAsync(hub, first.Index, clean: false);
            await device.SubscribeAsync(1, Methods, TwinAnswers);
        }

        await using HubServer again = Start(folder);
        Assert.Equal(["device-0001", "third"], again.Registry.Devices.Where(d => d.ModuleId is null).Select(d => d.Id));
        Assert.True(again.Registry.TryFind("third", "part", out _));
        Assert.True(again.Registry.TryFind("third", out Device? third));
        Assert.Equal("test", third.StatusReason);
        Assert.Equal(2, again.TwinOf(third).DesiredVersion);
        await using TestDevice back = await TestDevice.DialAsync(again);
        Device owner = again.Registry.Devices[0];
        Assert.Equal([1, 0], await back.SendConnectAsync(owner.Id, TestDevice.Token(again, 0, 600), clean: false));
        Task<MethodOutcome> call = again.CallAsync(owner, new MethodRequest("still", default, 30, 5), default);
        Assert.StartsWith("$iothub/methods/POST/still/", (await back.ReadMessageAsync()).Topic, StringComparison.Ordinal);
        Assert.Equal([1], await back.SubscribeAsync(1, Messages));
        Assert.EndsWith("x", Encoding.UTF8.GetString((await back.ReadPublishAsync()).Packet), StringComparison.Ordinal);
        back.Reset();
        Assert.Equal(404104, (await call).Error!.Code);
    }

    private static HubServer Start(HubFolder folder)
    {
        int devices = Directory.Exists(folder["journal"]) ? 1 : 2;
        return HubServer.Start(new HubServerOptions { DataDirectory = folder.Path, Devices = devices, Port = 0 });
    }
}
