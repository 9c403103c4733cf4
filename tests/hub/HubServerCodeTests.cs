using Agent.Hub;
using Agent.Tests.Events;

namespace Agent.Tests.Hub;

/// <summary>Error codes on the wire that need a hub in trouble: what the client sees of them and what the log says.</summary>
public sealed class HubServerCodeTests
{
    [Fact]
    public async Task A_message_beyond_the_quota_is_not_acknowledged_and_the_next_connect_is_accepted()
    {
        await using var rig = new HubRig();
        Device identity = rig.Server.Registry.Devices[0];
        rig.Server.SetQuotaGone(identity, true);
        for (int i = 0; i < 2; i++)
        {
            await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
            Assert.False(await device.PublishAsync("devices/device-0001/messages/events/"));
        }

        rig.Server.SetQuotaGone(identity, false);
        await using TestDevice after = await TestDevice.ConnectAsync(rig.Server, 0);
        Assert.True(await after.PublishAsync("devices/device-0001/messages/events/"));
        await rig.AssertRecordsAsync(
            "device-0001 deviceConnect", "device-0001 deviceDisconnect/403002",
            "device-0001 deviceConnect", "device-0001 deviceDisconnect/403002", "device-0001 deviceConnect");
    }

    public static TheoryData<Reason, byte, LogKind, string> Troubles() => new()
    {
        { Reason.Throttled, ConnectReply.HangUp, LogKind.ConnectThrottled, "429002" },
        { Reason.HubDown, 3, LogKind.ConnectServerError, "500001" },
    };

    [Theory]
    [MemberData(nameof(Troubles))]
    public async Task A_hub_in_trouble_cuts_and_refuses_with_the_same_code(Reason cut, byte answer, LogKind kind, string code)
    {
        await using var rig = new HubRig();
        Device identity = rig.Server.Registry.Devices[0];
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        await using TestDevice other = await TestDevice.ConnectAsync(rig.Server, 1);
        rig.Server.SetRefusal(identity, new HubRefusal(answer, Reason.RefusedUnavailable, kind));
        rig.Server.Cut(identity, cut);
        await device.WaitForEndAsync();

        await using TestDevice again = await TestDevice.DialAsync(rig.Server);
        await again.SendConnectUnheardAsync("device-0001", TestDevice.Token(rig.Server, 0, 600));
        (byte type, byte[] body) = await again.ReadAsync();
        Assert.Equal(answer == ConnectReply.HangUp ? 0 : 0x20, type);
        Assert.Equal(answer == ConnectReply.HangUp ? [] : [0, answer], body);

        rig.Server.SetRefusal(identity, null);
        await using TestDevice after = await TestDevice.ConnectAsync(rig.Server, 0);
        Assert.True(await other.PublishAsync("devices/device-0002/messages/events/"));
        await rig.AssertRecordsAsync(
            "device-0001 deviceConnect", "device-0002 deviceConnect", $"device-0001 deviceDisconnect/{code}",
            $"device-0001 deviceConnect/{code}", "device-0001 deviceConnect");
    }

    [Fact]
    public async Task A_request_the_hub_never_completes_is_given_up_after_a_minute_with_500008()
    {
        var time = new ManualTime();
        await using var rig = new HubRig(time: time);
        Device identity = rig.Server.Registry.Devices[0];
        rig.Server.SetRefusal(identity, new HubRefusal(ConnectReply.HangUp, Reason.RefusedTimedOut, LogKind.ConnectTimeout));
        await using TestDevice waits = await TestDevice.DialAsync(rig.Server);
        await waits.SendConnectUnheardAsync("device-0001", Token(identity));
        await using (TestDevice leaves = await TestDevice.DialAsync(rig.Server))
        {
            await leaves.SendConnectUnheardAsync("device-0001", Token(identity));
        }

        // Nobody says when the hub has read them; so its clock goes on until it answers, and must not have done so too early.
        while (rig.Records().Count < 2 && time.Elapsed < TimeSpan.FromMinutes(20))
        {
            Assert.True(rig.Records().Count == 0 || time.Elapsed.TotalMilliseconds >= IotHub.ConnectPatienceMs);
            await Task.Delay(20, TestContext.Current.CancellationToken);
            time.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.Equal(["device-0001 deviceConnect/500008", "device-0001 deviceConnect/500008"], rig.Records());
        await waits.WaitForEndAsync();
        Assert.Equal(0, rig.Server.ConnectedCount);
    }

    [Fact]
    public async Task A_disabled_device_is_thrown_out_with_403012_and_a_rotated_key_leaves_its_connection_alone()
    {
        await using var rig = new HubRig();
        Device identity = rig.Server.Registry.Devices[0];
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        string old = TestDevice.Token(rig.Server, 0, 600);
        identity.PrimaryKey = Registry.NewKey();
        Assert.True(await device.PublishAsync("devices/device-0001/messages/events/"));

        rig.Server.SetEnabled(identity, false);
        await device.WaitForEndAsync();
        rig.Server.SetEnabled(identity, true);
        await using TestDevice again = await TestDevice.DialAsync(rig.Server);
        Assert.Equal([0, 5], await again.SendConnectAsync("device-0001", old));
        await rig.AssertRecordsAsync(
            "device-0001 deviceConnect", "device-0001 deviceDisconnect/403012",
            "device-0001 deviceConnect/401003: signature does not match");
    }

    // The clock of this hub is not the system's.
    private static string Token(Device identity) => SasTokenWriter.Write(
        "localhost/devices/" + identity.Id, identity.PrimaryKey, ManualTime.Start.ToUnixTimeSeconds() + 7200);
}
