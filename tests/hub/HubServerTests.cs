using System.Text;
using System.Text.Json;
using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>The hub over real TLS sockets: who gets in, who is thrown out, and what the Connections log says of it.</summary>
public sealed class HubServerTests
{
    [Fact]
    public async Task A_token_of_the_token_verb_is_accepted_and_goodbye_is_logged_as_information()
    {
        await using var rig = new HubRig();
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        Assert.Equal(1, rig.Server.ConnectedCount);
        Assert.True(await device.PublishAsync("devices/device-0001/messages/events/type=heartbeat", "x"));
        await device.SayGoodbyeAsync();

        await rig.AssertRecordsAsync("device-0001 deviceConnect", "device-0001 deviceDisconnect");
        Assert.Equal((0, 1), (rig.Server.ConnectedCount, rig.Server.TelemetryCount));
    }

    public static TheoryData<string, string> Refusals() => new()
    {
        { "no-token", "device-0001 deviceConnect/401003: no SAS token was sent" },
        { "no-such-thing", "device-0001 deviceConnect/401003: the password is not a well-formed SAS token" },
        { "wrong-key", "device-0001 deviceConnect/401003: signature does not match" },
        { "other-device", "device-0001 deviceConnect/401003: the token is for another device" },
        { "other-hub", "device-0001 deviceConnect/401003: the token is for another hub" },
        { "hub-in-user-name", "device-0001 deviceConnect/401003: the user name names another hub" },
        { "no-version", "device-0001 deviceConnect/401003: the user name lacks api-version" },
        { "other-client-id", "device-0001 deviceConnect/401003: the client id is not the device id of the user name" },
        { "unknown-device", "stranger deviceConnect/401003: IotHub 'localhost' does not contain the specified device" },
        { "module", "device-0001 deviceConnect/401003: the device has no such module" },
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public async Task A_refusal_is_CONNACK_5_and_a_record_that_says_which(string what, string expected)
    {
        await using var rig = new HubRig();
        await using TestDevice device = await TestDevice.DialAsync(rig.Server);
        string good = TestDevice.Token(rig.Server, 0, 600);
        const string Props = "?api-version=2021-04-12";
        byte[] answer = await (what switch
        {
            "no-token" => device.SendConnectAsync("device-0001", null),
            "no-such-thing" => device.SendConnectAsync("device-0001", "let me in"),
            "wrong-key" => device.SendConnectAsync(
                "device-0001", SasTokenWriter.Write("localhost/devices/device-0001", new byte[32], 1_900_000_000)),
            "other-device" => device.SendConnectAsync("device-0001", TestDevice.Token(rig.Server, 1, 600)),
            "other-hub" => device.SendConnectAsync(
                "device-0001", SasTokenWriter.Write("other.example/devices/device-0001", new byte[32], 1_900_000_000)),
            "hub-in-user-name" => device.SendConnectAsync("device-0001", good, userName: "other.example/device-0001/" + Props),
            "no-version" => device.SendConnectAsync("device-0001", good, userName: "localhost/device-0001/?x=1"),
            "other-client-id" => device.SendConnectAsync("device-0002", good, userName: "localhost/device-0001/" + Props),
            "unknown-device" => device.SendConnectAsync("stranger", good),
            _ => device.SendConnectAsync("device-0001/m", good, userName: "localhost/device-0001/m/" + Props),
        });

        Assert.Equal([0, 5], answer);
        await device.WaitForEndAsync();
        await rig.AssertRecordsAsync(expected);
    }

    [Fact]
    public async Task A_token_that_expired_within_the_skew_is_accepted_and_one_beyond_it_is_not()
    {
        await using var rig = new HubRig();
        await using TestDevice late = await TestDevice.DialAsync(rig.Server);
        await using TestDevice later = await TestDevice.DialAsync(rig.Server);

        Assert.Equal([0, 0], await late.SendConnectAsync("device-0001", TestDevice.Token(rig.Server, 0, -280)));
        Assert.Equal([0, 5], await later.SendConnectAsync("device-0001", TestDevice.Token(rig.Server, 0, -301)));
        Assert.Contains(rig.Records(), record => record.Contains("the token expired 30", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_disabled_device_gets_CONNACK_3_and_403012()
    {
        await using var rig = new HubRig();
        rig.Server.SetEnabled(rig.Server.Registry.Devices[0], false);
        await using TestDevice device = await TestDevice.DialAsync(rig.Server);

        Assert.Equal([0, 3], await device.SendConnectAsync("device-0001", TestDevice.Token(rig.Server, 0, 600)));
        await rig.AssertRecordsAsync("device-0001 deviceConnect/403012: the device is disabled");
    }

    [Fact]
    public async Task The_younger_of_two_connections_wins_and_the_older_is_logged_400027()
    {
        await using var rig = new HubRig();
        await using TestDevice older = await TestDevice.ConnectAsync(rig.Server, 0);
        await using TestDevice younger = await TestDevice.ConnectAsync(rig.Server, 0);

        await older.WaitForEndAsync();
        Assert.True(await younger.PublishAsync("devices/device-0001/messages/events/"));
        await rig.AssertRecordsAsync(
            "device-0001 deviceConnect", "device-0001 deviceDisconnect/400027", "device-0001 deviceConnect");
    }

    [Fact]
    public async Task A_device_that_comes_back_after_it_went_silent_is_logged_409002()
    {
        var time = new ShiftedTime();
        await using var rig = new HubRig(time: time);
        await using TestDevice older = await TestDevice.ConnectAsync(rig.Server, 0, keepAlive: 100);
        time.Advance(TimeSpan.FromSeconds(101));
        await using TestDevice younger = await TestDevice.ConnectAsync(rig.Server, 0);

        await rig.AssertRecordsAsync(
            "device-0001 deviceConnect", "device-0001 deviceDisconnect/409002", "device-0001 deviceConnect");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_client_that_dies_is_logged_404104(bool reset)
    {
        await using var rig = new HubRig();
        TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        if (reset)
        {
            device.Reset();
        }

        await device.DisposeAsync();
        await rig.AssertRecordsAsync("device-0001 deviceConnect", "device-0001 deviceDisconnect/404104");
    }

    [Fact]
    public async Task Silence_beyond_one_and_a_half_keep_alives_is_cut_and_pings_prevent_it()
    {
        await using var rig = new HubRig();
        await using TestDevice silent = await TestDevice.ConnectAsync(rig.Server, 0, keepAlive: 1);
        await using TestDevice pinging = await TestDevice.ConnectAsync(rig.Server, 1, keepAlive: 1);
        Task end = silent.WaitForEndAsync();
        while (!end.IsCompleted)
        {
            await pinging.SendAsync(0xC0, []);
            Assert.Equal(0xD0, (await pinging.ReadAsync()).Type);
            await Task.WhenAny(end, Task.Delay(300));
        }

        await end;
        await rig.AssertRecordsAsync(
            "device-0001 deviceConnect", "device-0002 deviceConnect", "device-0001 deviceDisconnect/404104");
    }

    [Fact]
    public async Task An_expired_token_is_cut_after_the_grace_with_401003_and_then_404104()
    {
        await using var rig = new HubRig(graceMs: 500);
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0, lifetimeSeconds: 2);

        await device.WaitForEndAsync();

        await rig.AssertRecordsAsync(
            "device-0001 deviceConnect", "device-0001 deviceDisconnect/401003", "device-0001 deviceDisconnect/404104");
        await HubRig.WaitAsync(() => rig.Lines.Contains("grace", StringComparison.Ordinal), 5);
        Assert.Contains("device-0001 closed: the token has been expired for longer", rig.Lines, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Subscriptions_of_a_kept_session_are_still_there_and_session_present_says_so()
    {
        await using var rig = new HubRig();
        await using (TestDevice first = await TestDevice.ConnectAsync(rig.Server, 0, clean: false))
        {
            Assert.Equal([0], await first.SubscribeAsync(0, "$iothub/twin/res/#"));
            await first.SayGoodbyeAsync();
            await first.WaitForEndAsync();
        }

        await using TestDevice second = await TestDevice.DialAsync(rig.Server);
        Assert.Equal([1, 0], await second.SendConnectAsync("device-0001", TestDevice.Token(rig.Server, 0, 600), clean: false));
        await second.SendAsync(0x30, [0, 26, .. "$iothub/twin/GET/?$rid=abc"u8]);
        (byte type, byte[] body) = await second.ReadAsync();
        Assert.Equal(0x30, type);
        Assert.Equal("$iothub/twin/res/200/?$rid=abc", Encoding.UTF8.GetString(body, 2, body[1]));
    }

    [Fact]
    public async Task Five_subscriptions_are_granted_and_QoS_2_becomes_1()
    {
        await using var rig = new HubRig();
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        Assert.Equal(
            [1, 1, 1, 1, 1],
            await device.SubscribeAsync(
                2,
                "devices/device-0001/messages/devicebound/#",
                "$iothub/twin/res/#",
                "$iothub/twin/PATCH/properties/desired/#",
                "$iothub/methods/POST/#",
                "$iothub/twin/#"));
        await rig.AssertRecordsAsync("device-0001 deviceConnect");
    }

    public static TheoryData<string, string> Violations() => new()
    {
        { "publish devices/device-0002/messages/events/", "which is no topic of this device" },
        { "publish some/topic", "which is no topic of this device" },
        { "subscribe #", "which is no topic of this device" },
        { "subscribe devices/device-0002/messages/devicebound/#", "which is no topic of this device" },
        { "qos2", "quality of service 2" },
        { "connect again", "a second CONNECT" },
        { "long", "a message longer than 262144 bytes" },
    };

    [Theory]
    [MemberData(nameof(Violations))]
    public async Task A_violation_closes_that_connection_with_a_named_reason_and_no_other(string what, string reason)
    {
        await using var rig = new HubRig();
        await using TestDevice honest = await TestDevice.ConnectAsync(rig.Server, 1);
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        await (what.Split(' ')[0] switch
        {
            "publish" => device.PublishAsync(what[8..]),
            "subscribe" => device.SubscribeAsync(1, what[10..]),
            "qos2" => device.SendAsync(0x34, [0, 1, (byte)'a', 0, 1]),
            "connect" => device.SendAsync(0x10, [0, 4, .. "MQTT"u8, 4, 2, 0, 60, 0, 1, (byte)'x']),
            _ => device.PublishAsync("devices/device-0001/messages/events/", new string('x', 262_145)),
        });

        await device.WaitForEndAsync();
        await HubRig.WaitAsync(() => rig.Lines.Contains("device-0001 closed", StringComparison.Ordinal), 5);
        Assert.Contains(reason, rig.Lines, StringComparison.Ordinal);
        Assert.True(await honest.PublishAsync("devices/device-0002/messages/events/"));
        await rig.AssertRecordsAsync(
            "device-0002 deviceConnect", "device-0001 deviceConnect", "device-0001 deviceDisconnect/404104");
    }

    [Theory]
    [InlineData(new byte[] { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF })]
    [InlineData(new byte[] { 0x10, 0xFF, 0xFF, 0xFF, 0x7F })]
    [InlineData(new byte[] { 0xC0, 0x00 })]
    [InlineData(new byte[] { 0x10, 0x0C, 0x00, 0x04 })]
    public async Task Garbage_huge_lengths_and_half_packets_are_closed_and_named(byte[] bytes)
    {
        await using var rig = new HubRig(connectWithinMs: 500);
        await using TestDevice device = await TestDevice.DialAsync(rig.Server);
        await device.SendRawAsync(bytes);

        await device.WaitForEndAsync();
        await HubRig.WaitAsync(() => rig.Lines.Contains("127.0.0.1 closed: ", StringComparison.Ordinal), 5);
        Assert.Contains("127.0.0.1 closed: ", rig.Lines, StringComparison.Ordinal);
        Assert.Empty(rig.Records());
    }

    [Fact]
    public async Task A_will_is_telemetry_when_the_client_dies()
    {
        await using var rig = new HubRig();
        TestDevice device = await TestDevice.DialAsync(rig.Server);
        await device.SendConnectAsync(
            "device-0001", TestDevice.Token(rig.Server, 0, 600), will: ("devices/device-0001/messages/events/a=1", "gone"));
        device.Reset();
        await device.DisposeAsync();

        await HubRig.WaitAsync(() => rig.Server.TelemetryCount == 1, 10);
        using var output = new MemoryStream();
        rig.Server.Telemetry.WriteJson(output, "device-0001");
        JsonElement message = JsonDocument.Parse(output.ToArray()).RootElement[0];
        Assert.Equal("""{"a":"1","iothub-MessageType":"Will"}""", message.GetProperty("properties").GetRawText());
        Assert.Equal("gone"u8.ToArray(), message.GetProperty("body").GetBytesFromBase64());
    }

    [Fact]
    public async Task Hostile_ids_cannot_forge_records_or_lines()
    {
        await using var rig = new HubRig();
        await using TestDevice device = await TestDevice.DialAsync(rig.Server);
        string id = "x\",\"level\":\"Information\"}\u001b[2J" + new string('y', 500);

        Assert.Equal([0, 5], await device.SendConnectAsync(id, "p", userName: $"localhost/{id}/?api-version=1"));

        string record = Assert.Single(rig.Records());
        Assert.StartsWith("x\",\"level\":\"Information\"}\u001b[2J", record, StringComparison.Ordinal);
        Assert.InRange(record.Length, 100, 300);
        Assert.DoesNotContain('\u001b', rig.Lines);
    }

    [Fact]
    public async Task Neither_keys_nor_tokens_reach_records_or_lines()
    {
        await using var rig = new HubRig();
        await using TestDevice device = await TestDevice.DialAsync(rig.Server);
        await device.SendConnectAsync("device-0001", TestDevice.Token(rig.Server, 1, 600));
        await using TestDevice good = await TestDevice.ConnectAsync(rig.Server, 0);
        await rig.AssertRecordsAsync(
            "device-0001 deviceConnect/401003: the token is for another device", "device-0001 deviceConnect");
        await HubRig.WaitAsync(() => rig.Lines.Contains("token until", StringComparison.Ordinal), 5);

        string all = rig.Lines + string.Concat(rig.Records());
        Assert.DoesNotContain("SharedAccessSignature", all, StringComparison.Ordinal);
        Assert.DoesNotContain("sig=", all, StringComparison.Ordinal);
    }
}
