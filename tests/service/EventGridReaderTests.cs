using System.Buffers;
using System.Text;
using Agent.Core;
using Agent.Events;
using Agent.Service;

namespace Agent.Tests.Service;

public sealed class EventGridReaderTests
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

        ReadOutcome outcome = Read(HubMessages.Batch(body));
        Fact fact = outcome.Facts.Facts[0];

        Assert.Equal((1, "a"), (outcome.Facts.Count, Encoding.ASCII.GetString(outcome.Facts.Id(fact))));
        Assert.Equal(
            (FactKind.Heartbeat, HubMessages.StartMs + 12_500, 41u, 90, 777),
            (fact.Kind, fact.AtMs, fact.Number, fact.IntervalSeconds, fact.RenewalSeconds));
    }

    [Fact]
    public void The_newer_properties_of_a_heartbeat_are_read_and_may_be_missing()
    {
        string body = HubMessages.Telemetry(
            "a",
            0,
            """
            { "type":"heartbeat","interval":"60","seq":"7","gap":"44001","reason":"78","down":"70000","site":"K\u00f6ln \"1\"","boot":"3" }
            """);
        ReadOutcome outcome = Read(HubMessages.Batch(body, HubMessages.Heartbeat("b", 0, renewal: null)));

        Fact full = outcome.Facts.Facts[0];
        Assert.Equal((45, 0x4E, 65_535), (full.GapSeconds, full.DeviceReason, full.LastGapSeconds));
        Assert.Equal("Köln \"1\"", outcome.Facts.Sites[full.Extra]);
        Fact bare = outcome.Facts.Facts[1];
        Assert.Equal((0, 0, -1, Hot.NoRenewal), (bare.GapSeconds, bare.DeviceReason, bare.Extra, bare.RenewalSeconds));
        Assert.Empty(outcome.Problems);
    }

    [Theory]
    [InlineData(-1, 0)]
    [InlineData(12, 12)]
    public void What_the_agent_writes_is_what_the_checker_reads(int downSeconds, int expected)
    {
        string topic = Heartbeat.Topic("a", 7, 60, 2900, 1258, DisconnectReason.ClosedByPeer, downSeconds, boots: 3, settingsVersion: 5);
        using var writer = new EventGridWriter(EventSchema.EventGrid, "hub1");
        var output = new ArrayBufferWriter<byte>();
        output.Write("["u8);
        writer.Write(output, new TelemetryEvent
        {
            Id = Guid.Empty,
            DeviceId = "a"u8,
            GenerationId = "1"u8,
            EnqueuedUtcMs = 1_000,
            Bag = Encoding.ASCII.GetBytes(topic["devices/a/messages/events/".Length..]),
        });
        output.Write("]"u8);
        var outcome = new ReadOutcome();
        Assert.True(EventGridReader.TryRead(output.WrittenSpan, outcome), outcome.Error);

        Fact fact = outcome.Facts.Facts[0];
        Assert.Equal(
            (FactKind.Heartbeat, 7u, 60, 2900, 2),
            (fact.Kind, fact.Number, fact.IntervalSeconds, fact.RenewalSeconds, fact.GapSeconds));
        Assert.Equal(((int)DisconnectReason.ClosedByPeer, expected), (fact.DeviceReason, fact.LastGapSeconds));
        Assert.Empty(outcome.Problems);
    }

    [Fact]
    public void Other_telemetry_is_a_sign_of_life()
    {
        ReadOutcome outcome = Read(HubMessages.Batch(HubMessages.Telemetry("a", 0, """{ "type": "alarm", "interval": "x" }""")));

        Assert.Equal(FactKind.SignOfLife, outcome.Facts.Facts[0].Kind);
        Assert.Empty(outcome.Problems);
    }

    [Theory]
    [InlineData("-60")]
    [InlineData("604801")]
    [InlineData("1e3")]
    [InlineData(" 60")]
    [InlineData("99999999999999999999")]
    [InlineData("")]
    public void Nonsense_from_one_device_leaves_a_sign_of_life_and_the_rest_of_the_batch(string interval)
    {
        ReadOutcome outcome = Read(HubMessages.Batch(HubMessages.Heartbeat("a", 0, interval: interval), HubMessages.Heartbeat("b", 0)));

        Assert.Equal([FactKind.SignOfLife, FactKind.Heartbeat], outcome.Facts.Facts.ToArray().Select(fact => fact.Kind));
        Assert.Equal("event [0] data.properties.interval is not a whole number from 0 to 604800", Assert.Single(outcome.Problems));
    }

    [Theory]
    [InlineData("telemetry", FactKind.Heartbeat)]
    [InlineData("connected", FactKind.Connected)]
    [InlineData("disconnected", FactKind.Disconnected)]
    [InlineData("created", FactKind.Created)]
    [InlineData("deleted", FactKind.Deleted)]
    [InlineData("binary", FactKind.SignOfLife)]
    public void Both_schemas_say_the_same(string file, FactKind kind)
    {
        // Written by the hub facsimile after the vendor's schema pages.
        ReadOutcome grid = Read(Golden($"{file}.json", wrap: true));
        ReadOutcome cloud = Read(Golden($"cloud-{file}.json", wrap: false));
        ReadOutcome batch = Read(Golden($"cloud-{file}.json", wrap: true));

        foreach (ReadOutcome outcome in new[] { grid, cloud, batch })
        {
            Fact fact = outcome.Facts.Facts[0];
            Assert.Equal((kind, 1_527_967_064_438L, 1), (fact.Kind, fact.AtMs, outcome.Facts.Count));
            Assert.Equal("boiler-1", Encoding.ASCII.GetString(outcome.Facts.Id(fact)));
            Assert.Equal(grid.Facts.Orders, outcome.Facts.Orders);
        }
    }

    [Fact]
    public void Keys_may_come_in_any_order_and_ids_may_be_escaped()
    {
        string body = HubMessages.Connection("a", connected: true, 1, order: 9);
        string turned = """
            [{"data":{"deviceId":"\u0061","deviceConnectionStateEventInfo":{"x":[{}],"sequenceNumber":"SEQ"}},"eventTime":"AT",
              "more":[[[1]]],"eventType":"Microsoft.Devices.DeviceConnected"}]
            """.Replace("SEQ", new string('0', 63) + "9", StringComparison.Ordinal)
            .Replace("AT", HubMessages.Moment(1), StringComparison.Ordinal);
        ReadOutcome first = Read(HubMessages.Batch(body));
        ReadOutcome second = Read(Encoding.UTF8.GetBytes(turned));

        Assert.Equal(first.Facts.Facts[0].AtMs, second.Facts.Facts[0].AtMs);
        Assert.Equal("a"u8, second.Facts.Id(second.Facts.Facts[0]));
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
                Assert.True(SequenceNumber.TryParse(Encoding.ASCII.GetBytes(left), out SequenceNumber a));
                Assert.True(SequenceNumber.TryParse(Encoding.ASCII.GetBytes(right), out SequenceNumber b));
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
        Assert.False(SequenceNumber.TryParse(Encoding.ASCII.GetBytes(text), out _));

    [Fact]
    public void The_handshake_code_is_found() =>
        Assert.Equal("512d38b6-c7b8-40c8-89fe-f46f9e9622b6", Read(Encoding.UTF8.GetBytes(Validation)).ValidationCode);

    [Fact]
    public void Modules_and_other_event_types_are_counted_and_left_alone()
    {
        string other = """{ "eventType": "Microsoft.Devices.SomethingNew", "data": {} }""";
        string module = HubMessages.Connection("a", connected: true, 0, 1)
            .Replace("\"hubName\"", "\"moduleId\": \"m\", \"hubName\"", StringComparison.Ordinal);

        ReadOutcome outcome = Read(HubMessages.Batch(other, module));

        Assert.Equal((2, 0), (outcome.Ignored, outcome.Facts.Count));
    }

    [Theory]
    [InlineData("", "not JSON: line 1, byte 1")]
    [InlineData("7", "expected an array of events, or one CloudEvent")]
    [InlineData("{}", "event [0] eventType (in a CloudEvent: type) is missing or not a text")]
    [InlineData("[7]", "event [0] is not an object")]
    [InlineData("[{}]", "event [0] eventType (in a CloudEvent: type) is missing or not a text")]
    [InlineData("""[{"eventType":"x"}]""", "event [0] data is missing or not an object")]
    [InlineData("""[{"eventType":"Microsoft.Devices.DeviceTelemetry","data":{}}]""", "event [0] data.systemProperties is missing or not an object")]
    [InlineData("""[{"eventType":"Microsoft.Devices.DeviceConnected","data":{"deviceId":"a b"}}]""", "event [0] data.deviceId is missing or not a device id")]
    [InlineData("[{\"eventType\":\"\\ud800\"}]", "event [0] data is missing or not an object")]
    public void A_wrong_envelope_is_refused_naming_the_place(string body, string expected)
    {
        var outcome = new ReadOutcome();
        Assert.False(EventGridReader.TryRead(Encoding.UTF8.GetBytes(body), outcome));
        Assert.Equal(expected, outcome.Error);
    }

    [Fact]
    public void Bytes_that_are_not_UTF_8_are_refused()
    {
        byte[] body = HubMessages.Batch(HubMessages.Telemetry("a", 0));
        body[Array.IndexOf(body, (byte)'S')] = 0xFF;
        var outcome = new ReadOutcome();

        Assert.False(EventGridReader.TryRead(body, outcome));
        Assert.Equal("not JSON: it is not UTF-8", outcome.Error);
    }

    [Theory]
    [InlineData("2018-06-02T19:17:44.4383997Z", 1_527_967_064_438)]
    [InlineData("2018-06-02T19:17:44Z", 1_527_967_064_000)]
    [InlineData("2018-06-02T21:17:44.4+02:00", 1_527_967_064_400)]
    [InlineData("2018-06-02T19:17:44", 1_527_967_064_000)]
    [InlineData("2000-02-29T00:00:00Z", 951_782_400_000)]
    [InlineData("1970-01-01T00:00:01Z", 1_000)]
    [InlineData("9999-12-31T23:59:59.999Z", 253_402_300_799_999)]
    public void A_moment_is_read_as_the_platform_reads_it(string text, long expected)
    {
        Assert.True(Iso8601.TryRead(Encoding.ASCII.GetBytes(text), out long utcMs));
        Assert.Equal(expected, utcMs);
    }

    [Theory]
    [InlineData("12:00")]
    [InlineData("3/1/2026 12:00:00")]
    [InlineData("2026-13-01T00:00:00Z")]
    [InlineData("2026-02-29T00:00:00Z")]
    [InlineData("2026-02-28T24:00:00Z")]
    [InlineData("2026-02-28T00:00:00.Z")]
    [InlineData("2026-02-28T00:00:00z")]
    [InlineData("2026-02-28T00:00:00Z ")]
    [InlineData("0001-01-01T00:00:00+23:00")]
    [InlineData("1970-01-01T00:00:00+01:00")]
    public void Anything_else_is_no_moment(string text)
    {
        Assert.False(Iso8601.TryRead(Encoding.ASCII.GetBytes(text), out _));
        string body = HubMessages.Telemetry("a", 0).Replace(HubMessages.Moment(0), text, StringComparison.Ordinal);
        var outcome = new ReadOutcome();
        Assert.False(EventGridReader.TryRead(HubMessages.Batch(body), outcome));
        Assert.Equal("event [0] data.systemProperties.iothub-enqueuedtime is missing or not an ISO 8601 moment", outcome.Error);
    }

    [Fact]
    public void Every_prefix_of_a_good_body_is_refused()
    {
        byte[] body = HubMessages.Batch(HubMessages.Heartbeat("a", 0), HubMessages.Connection("b", connected: true, 1, 1));
        for (int length = 0; length < body.Length; length++)
        {
            var outcome = new ReadOutcome();
            Assert.False(EventGridReader.TryRead(body.AsSpan(0, length), outcome));
            Assert.NotEmpty(outcome.Error!);
        }
    }

    [Fact]
    public void Mutated_bodies_are_read_or_refused_but_never_throw()
    {
        var draw = new Random(20260301);
        byte[] good = HubMessages.Batch(HubMessages.Heartbeat("a", 0), HubMessages.Connection("b", connected: true, 1, 1));
        var outcome = new ReadOutcome();
        int refused = 0;
        for (int round = 0; round < 20_000; round++)
        {
            byte[] bad = [.. good];
            for (int flips = 1 + draw.Next(4); flips > 0; flips--)
            {
                bad[draw.Next(bad.Length)] = (byte)draw.Next(32, 127);
            }

            outcome.Clear();
            refused += EventGridReader.TryRead(bad, outcome) ? 0 : 1;
        }

        Assert.InRange(refused, 1, 19_999);
    }

    [Fact]
    public void Deep_nesting_is_refused_in_the_envelope_and_passed_over_in_a_devices_own_message()
    {
        Assert.False(EventGridReader.TryRead(Encoding.UTF8.GetBytes(new string('[', 1_000_000)), new ReadOutcome()));
        string deep = new string('[', 130_000) + new string(']', 130_000);
        string body = HubMessages.Telemetry("a", 0).Replace("\"body\": \"\"", $"\"body\": {deep}", StringComparison.Ordinal);

        FactBatch facts = Read(HubMessages.Batch(body, HubMessages.Heartbeat("b", 0))).Facts;
        Assert.Equal([FactKind.SignOfLife, FactKind.Heartbeat], facts.Facts.ToArray().Select(fact => fact.Kind));
    }

    [Fact]
    public void Nothing_is_allocated_per_event()
    {
        byte[] body = HubMessages.Batch([.. Enumerable.Range(0, 200).Select(i => HubMessages.Heartbeat("device-" + i, i))]);
        var outcome = new ReadOutcome();
        Read(20);
        Assert.InRange(Allocations.Of(() => Read(30)), 0, 30 * 50);

        void Read(int rounds)
        {
            for (int round = 0; round < rounds; round++)
            {
                outcome.Clear();
                Assert.True(EventGridReader.TryRead(body, outcome));
            }
        }
    }

    private static byte[] Golden(string file, bool wrap)
    {
        string text = File.ReadAllText(Path.Combine(Repo.Repository.Root, "tests", "golden", "events", file)).Trim();
        return Encoding.UTF8.GetBytes(wrap ? $"[{text}]" : text);
    }

    private static ReadOutcome Read(byte[] body)
    {
        var outcome = new ReadOutcome();
        Assert.True(EventGridReader.TryRead(body, outcome), outcome.Error);
        return outcome;
    }
}
