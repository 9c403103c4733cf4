using System.Text;
using Agent.Service;

namespace Agent.Tests.Service;

public sealed class EventGridEventsTests
{
    private const string Validation = """
        [{
          "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
          "topic": "/subscriptions/xxxxxxxx",
          "subject": "",
          "data": { "validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6", "validationUrl": "about:blank" },
          "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
          "eventTime": "2018-01-25T22:12:19.4556811Z",
          "metadataVersion": "1",
          "dataVersion": "1"
        }]
        """;

    [Fact]
    public void A_heartbeat_is_keyed_on_the_hubs_device_id_and_enqueued_time()
    {
        // The subject is not what counts: the hub stamps the system properties.
        string body = HubMessages.Heartbeat("a", 12.5, seq: "41", interval: "90", renewal: "777")
            .Replace("devices/a", "devices/b", StringComparison.Ordinal);

        Fact fact = Assert.Single(Parsed(HubMessages.Batch(body)).Facts);

        var expected = new Fact(FactKind.Heartbeat, "a", HubMessages.StartMs + 12_500)
        {
            HeartbeatNumber = 41,
            IntervalSeconds = 90,
            RenewalSeconds = 777,
        };
        Assert.Equal(expected, fact);
    }

    [Fact]
    public void Other_telemetry_is_a_sign_of_life()
    {
        EventBatch batch = Parsed(HubMessages.Batch(HubMessages.Telemetry("a", 0, """{ "type": "alarm", "interval": "x" }""")));

        Assert.Equal(new Fact(FactKind.SignOfLife, "a", HubMessages.StartMs), Assert.Single(batch.Facts));
        Assert.Empty(batch.Problems);
    }

    [Fact]
    public void A_heartbeat_without_renewal_announces_none()
    {
        EventBatch batch = Parsed(HubMessages.Batch(HubMessages.Heartbeat("a", 0, renewal: null)));

        Assert.Equal(Fact.NoRenewal, Assert.Single(batch.Facts).RenewalSeconds);
        Assert.Empty(batch.Problems);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("-60")]
    [InlineData("604801")]
    [InlineData("1e3")]
    [InlineData(" 60")]
    [InlineData("99999999999999999999")]
    [InlineData("")]
    public void Nonsense_from_one_device_leaves_a_sign_of_life_and_the_rest_of_the_batch(string interval)
    {
        EventBatch batch = Parsed(HubMessages.Batch(HubMessages.Heartbeat("a", 0, interval: interval), HubMessages.Heartbeat("b", 0)));

        Assert.Equal([FactKind.SignOfLife, FactKind.Heartbeat], batch.Facts.Select(fact => fact.Kind));
        Assert.Equal("event [0] data.properties.interval is not a whole number from 1 to 604800", Assert.Single(batch.Problems));
    }

    [Fact]
    public void Connection_events_carry_their_kind_time_and_order()
    {
        EventBatch batch = Parsed(HubMessages.Batch(
            HubMessages.Connection("a", connected: true, 1, order: 9),
            HubMessages.Connection("a", connected: false, 2, order: 10)));

        Assert.Equal([FactKind.Connected, FactKind.Disconnected], batch.Facts.Select(fact => fact.Kind));
        Assert.Equal(HubMessages.StartMs + 2000, batch.Facts[1].AtMs);
        Assert.True(batch.Facts[0].Order.CompareTo(batch.Facts[1].Order) < 0);
    }

    [Fact]
    public void Sequence_numbers_compare_like_the_strings_they_are()
    {
        string[] texts =
        [
            new('0', 64),
            new string('0', 63) + "1",
            new string('0', 48) + "1" + new string('0', 15),
            new string('0', 32) + "A" + new string('0', 31),
            new string('0', 16) + "F" + new string('0', 47),
            "1" + new string('0', 63),
            new('F', 64),
        ];
        foreach (string left in texts)
        {
            foreach (string right in texts)
            {
                Assert.True(SequenceNumber.TryParse(left, out SequenceNumber a) & SequenceNumber.TryParse(right, out SequenceNumber b));
                Assert.Equal(Math.Sign(string.CompareOrdinal(left, right)), Math.Sign(a.CompareTo(b)));
            }
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("0123")]
    [InlineData("-000000000000000000000000000000000000000000000000000000000000001")]
    [InlineData("00000000000000000000000000000000000000000000000000000000000000000")]
    [InlineData("0x00000000000000000000000000000000000000000000000000000000000001")]
    public void A_sequence_number_has_exactly_64_hexadecimal_digits(string text) =>
        Assert.False(SequenceNumber.TryParse(text, out _));

    [Fact]
    public void The_handshake_code_is_found() =>
        Assert.Equal("512d38b6-c7b8-40c8-89fe-f46f9e9622b6", Parsed(Encoding.UTF8.GetBytes(Validation)).ValidationCode);

    [Fact]
    public void Modules_and_other_event_types_are_counted_and_left_alone()
    {
        string created = """{ "eventType": "Microsoft.Devices.DeviceCreated", "data": {} }""";
        string module = HubMessages.Connection("a", connected: true, 0, 1)
            .Replace("\"hubName\"", "\"moduleId\": \"m\", \"hubName\"", StringComparison.Ordinal);

        EventBatch batch = Parsed(HubMessages.Batch(created, module));

        Assert.Equal(2, batch.Ignored);
        Assert.Empty(batch.Facts);
    }

    [Theory]
    [InlineData("", "not JSON: line 1, byte 1")]
    [InlineData("{}", "expected an array of events in the Event Grid schema (CloudEvents are not read yet)")]
    [InlineData("[7]", "event [0] is not an object")]
    [InlineData("[{}]", "event [0] eventType is missing or not a text")]
    [InlineData("""[{"eventType":"x"}]""", "event [0] data is missing or not an object")]
    [InlineData(
        """[{"eventType":"Microsoft.Devices.DeviceTelemetry","data":{}}]""",
        "event [0] data.systemProperties is missing or not an object")]
    [InlineData(
        """[{"eventType":"Microsoft.Devices.DeviceConnected","data":{"deviceId":"a b"}}]""",
        "event [0] data.deviceId is missing or not a device id")]
    [InlineData("[{\"eventType\":\"\\ud800\"}]", "not JSON: a text in it is not valid Unicode")]
    public void A_wrong_envelope_is_refused_naming_the_place(string body, string expected)
    {
        Assert.False(EventGridEvents.TryParse(Encoding.UTF8.GetBytes(body), out EventBatch batch, out string error));
        Assert.Equal(expected, error);
        Assert.Empty(batch.Facts);
    }

    [Theory]
    [InlineData("12:00")]
    [InlineData("3/1/2026 12:00:00")]
    [InlineData("2026-13-01T00:00:00Z")]
    [InlineData("0001-01-01T00:00:00+23:00")]
    public void A_moment_is_ISO_8601_or_refused(string moment)
    {
        string body = HubMessages.Telemetry("a", 0).Replace(HubMessages.Moment(0), moment, StringComparison.Ordinal);

        Assert.False(EventGridEvents.TryParse(HubMessages.Batch(body), out _, out string error));
        Assert.Equal("event [0] data.systemProperties.iothub-enqueuedtime is missing or not an ISO 8601 moment", error);
    }

    [Fact]
    public void Every_prefix_of_a_good_body_is_refused()
    {
        byte[] body = HubMessages.Batch(HubMessages.Heartbeat("a", 0), HubMessages.Connection("b", connected: true, 1, 1));
        for (int length = 0; length < body.Length; length++)
        {
            Assert.False(EventGridEvents.TryParse(body.AsMemory(0, length), out _, out string error));
            Assert.NotEmpty(error);
        }
    }

    [Fact]
    public void Mutated_bodies_are_read_or_refused_but_never_throw()
    {
        var draw = new Random(20260301);
        byte[] good = HubMessages.Batch(HubMessages.Heartbeat("a", 0), HubMessages.Connection("b", connected: true, 1, 1));
        int refused = 0;
        for (int round = 0; round < 20_000; round++)
        {
            byte[] bad = [.. good];
            for (int flips = 1 + draw.Next(4); flips > 0; flips--)
            {
                bad[draw.Next(bad.Length)] = (byte)draw.Next(256);
            }

            refused += EventGridEvents.TryParse(bad, out _, out _) ? 0 : 1;
        }

        Assert.InRange(refused, 1, 19_999);
    }

    [Fact]
    public void Deep_nesting_is_refused_quickly() =>
        Assert.False(EventGridEvents.TryParse(Encoding.UTF8.GetBytes(new string('[', 1_000_000)), out _, out _));

    private static EventBatch Parsed(byte[] body)
    {
        Assert.True(EventGridEvents.TryParse(body, out EventBatch batch, out string error), error);
        return batch;
    }
}
