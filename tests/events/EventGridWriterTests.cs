using System.Buffers;
using System.Text;
using System.Text.Json;
using Agent.Events;
using Agent.Service;
using Agent.Tests.Core;
using Azure.Messaging;
using Azure.Messaging.EventGrid;
using Azure.Messaging.EventGrid.SystemEvents;

namespace Agent.Tests.Events;

public sealed class EventGridWriterTests
{
    // 2018-06-02T19:17:44.438Z, as in the vendor's samples.
    private const long Moment = 1_527_967_064_438;

    private static readonly Guid Id = new("f6bbf8f4-d365-520d-a878-17bf7238abd8");

    public static TheoryData<string, EventSchema> All()
    {
        var data = new TheoryData<string, EventSchema>();
        string[] names = ["connected", "disconnected", "module", "created", "deleted", "telemetry", "binary", "validation"];
        foreach (string name in names)
        {
            data.Add(name, EventSchema.EventGrid);
            data.Add(name, EventSchema.CloudEvents);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Events_have_the_documented_shape(string name, EventSchema schema)
    {
        string prefix = schema == EventSchema.CloudEvents ? "cloud-" : "";

        Golden.Check($"events/{prefix}{name}.json", Write(name, schema) + "\n");
    }

    /// <summary>Names in the order of the vendor's schema page (azure-docs, event-schema-iot-hub.md).</summary>
    [Theory]
    [InlineData("connected", "deviceConnectionStateEventInfo sequenceNumber hubName deviceId")]
    [InlineData("module", "deviceConnectionStateEventInfo sequenceNumber hubName deviceId moduleId")]
    [InlineData(
        "created",
        "twin deviceId etag deviceEtag status statusUpdateTime connectionState lastActivityTime cloudToDeviceMessageCount"
        + " authenticationType x509Thumbprint primaryThumbprint secondaryThumbprint version properties desired $metadata"
        + " $lastUpdated $version reported $metadata $lastUpdated $version hubName deviceId")]
    [InlineData(
        "binary",
        "body properties a mqtt-retain systemProperties iothub-connection-device-id iothub-connection-auth-method"
        + " iothub-connection-auth-generation-id iothub-enqueuedtime iothub-message-source")]
    public void Names_come_in_the_order_of_the_vendors_page(string name, string data)
    {
        Assert.Equal(
            $"id topic subject eventType eventTime data {data} dataVersion metadataVersion", Names(Write(name, EventSchema.EventGrid)));
        Assert.Equal($"id source subject type time data {data} specversion", Names(Write(name, EventSchema.CloudEvents)));
    }

    [Theory]
    [InlineData("connected", "Microsoft.Devices.DeviceConnected")]
    [InlineData("disconnected", "Microsoft.Devices.DeviceDisconnected")]
    [InlineData("module", "Microsoft.Devices.DeviceDisconnected")]
    [InlineData("created", "Microsoft.Devices.DeviceCreated")]
    [InlineData("deleted", "Microsoft.Devices.DeviceDeleted")]
    [InlineData("telemetry", "Microsoft.Devices.DeviceTelemetry")]
    [InlineData("binary", "Microsoft.Devices.DeviceTelemetry")]
    public void The_vendors_client_reads_both_schemas(string name, string type)
    {
        EventGridEvent[] grid = EventGridEvent.ParseMany(BinaryData.FromString($"[{Write(name, EventSchema.EventGrid)}]"));
        CloudEvent[] cloud = CloudEvent.ParseMany(BinaryData.FromString($"[{Write(name, EventSchema.CloudEvents)}]"));

        EventGridEvent ours = Assert.Single(grid);
        CloudEvent same = Assert.Single(cloud);
        Assert.Equal((type, Id.ToString()), (ours.EventType, ours.Id));
        Assert.Equal((type, Id.ToString()), (same.Type, same.Id));
        Assert.Equal((ours.Topic, ours.Subject, ours.EventTime), (same.Source, same.Subject, same.Time));
        Assert.Equal(DateTimeOffset.FromUnixTimeMilliseconds(Moment), ours.EventTime);
        Assert.Equal(type == "Microsoft.Devices.DeviceTelemetry" ? "" : "1", ours.DataVersion);
        Assert.True(ours.TryGetSystemEventData(out object gridData));
        Assert.True(same.TryGetSystemEventData(out object cloudData));
        Assert.Equal(gridData.GetType(), cloudData.GetType());
    }

    [Fact]
    public void The_vendors_client_finds_the_order_of_a_connection_state()
    {
        EventGridEvent parsed = EventGridEvent.Parse(BinaryData.FromString(Write("module", EventSchema.EventGrid)));
        parsed.TryGetSystemEventData(out object data);
        var disconnected = Assert.IsType<IotHubDeviceDisconnectedEventData>(data);

        Assert.Equal("devices/boiler-1/modules/sensor", parsed.Subject);
        Assert.Equal(("hub1", "boiler-1", "sensor"), (disconnected.HubName, disconnected.DeviceId, disconnected.ModuleId));
        Assert.Equal(
            "000000000000000001D4132452F67CE2000000020000000000000000000000FF",
            disconnected.DeviceConnectionStateEventInfo.SequenceNumber);
    }

    [Fact]
    public void The_vendors_client_finds_the_twin_of_a_new_device()
    {
        EventGridEvent.Parse(BinaryData.FromString(Write("created", EventSchema.EventGrid))).TryGetSystemEventData(out object data);
        var created = Assert.IsType<IotHubDeviceCreatedEventData>(data);

        Assert.Equal(("hub1", "boiler-1", "boiler-1"), (created.HubName, created.DeviceId, created.Twin.DeviceId));
        Assert.Equal(("enabled", "Disconnected", 2f), (created.Twin.Status, created.Twin.ConnectionState, created.Twin.Version));
        Assert.NotNull(created.Twin.Properties.Desired);
    }

    [Fact]
    public void The_vendors_client_finds_body_and_properties_of_a_message()
    {
        EventGridEvent.Parse(BinaryData.FromString(Write("telemetry", EventSchema.EventGrid))).TryGetSystemEventData(out object data);
        var telemetry = Assert.IsType<IotHubDeviceTelemetryEventData>(data);

        var body = JsonSerializer.Deserialize<JsonElement>(JsonSerializer.Serialize(telemetry.Body));
        Assert.Equal(21.5, body.GetProperty("temperature").GetDouble());
        Assert.Equal("heartbeat", telemetry.Properties["type"]);
        Assert.Equal("boiler-1", telemetry.SystemProperties["iothub-connection-device-id"]);
        Assert.Equal("2018-06-02T19:17:44.438Z", telemetry.SystemProperties["iothub-enqueuedtime"]);
    }

    [Fact]
    public void The_checker_reads_what_the_hub_writes()
    {
        string[] names = ["connected", "telemetry", "disconnected", "created", "module", "validation"];
        string batch = $"[{string.Join(',', names.Select(name => Write(name, EventSchema.EventGrid)))}]";

        var read = new ReadOutcome();
        Assert.True(EventGridReader.TryRead(Encoding.UTF8.GetBytes(batch), read), read.Error);
        Assert.Equal(
            [FactKind.Connected, FactKind.Heartbeat, FactKind.Disconnected, FactKind.Created],
            read.Facts.Facts.ToArray().Select(fact => fact.Kind));
        Assert.Equal(1, read.Ignored);
        Assert.Equal("the-code", read.ValidationCode);
        Assert.Equal("boiler-1"u8, read.Facts.Id(read.Facts.Facts[1]));
    }

    [Theory]
    [InlineData("$.ct=application%2Fjson&$.ce=utf-8", true)]
    [InlineData("%24.ct=Application%2FJSON&%24.ce=UTF-8", true)]
    [InlineData("$.ct=application%2Fjson%3Bcharset%3Dutf-8", true)]
    [InlineData("$.ct=application%2Fjson%3B%20charset%3Dutf-8&$.ce=utf-8", true)]
    [InlineData("$.ct=application%2Fjson", false)]
    [InlineData("$.ct=application%2Fjson&$.ce=utf-16", false)]
    [InlineData("$.ct=text%2Fplain&$.ce=utf-8", false)]
    [InlineData("$.ce=utf-8", false)]
    [InlineData("ct=application%2Fjson&ce=utf-8", false)]
    [InlineData("", false)]
    public void A_body_is_JSON_when_type_and_encoding_say_so_and_base64_otherwise(string bag, bool isJson)
    {
        JsonElement body = Data(Telemetry(bag, "{ \"a\" : [ 1 , \" x \\\" y \" ] }"u8)).GetProperty("body");

        Assert.Equal(isJson ? JsonValueKind.Object : JsonValueKind.String, body.ValueKind);
        Assert.Equal(isJson ? "{\"a\":[1,\" x \\\" y \"]}" : "\"eyAiYSIgOiBbIDEgLCAiIHggXCIgeSAiIF0gfQ==\"", body.GetRawText());
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("{}{}")]
    [InlineData("{\"a\":1,}")]
    [InlineData("// {}")]
    [InlineData("\"\\ud800\"")]
    [InlineData("\"\\udc00\\ud800\"")]
    [InlineData("{\"\\ud800\\u0041\":1}")]
    [InlineData("NaN")]
    public void What_is_no_JSON_goes_as_base64_whatever_the_type_says(string body)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(body);
        JsonElement seen = Data(Telemetry(JsonBag, bytes)).GetProperty("body");

        Assert.Equal(bytes, seen.GetBytesFromBase64());
    }

    [Theory]
    [InlineData("\"\\ud83d\\ude80\"")]
    [InlineData("[\"\\\\ud800\",\"\\\"\",\"\\n\"]")]
    [InlineData("-1.5e+300")]
    [InlineData("null")]
    public void Unusual_JSON_stays_as_it_is(string body) =>
        Assert.Equal(body, Data(Telemetry(JsonBag, Encoding.UTF8.GetBytes(body))).GetProperty("body").GetRawText());

    [Theory]
    [InlineData(60, JsonValueKind.Array)]
    [InlineData(61, JsonValueKind.String)]
    [InlineData(100_000, JsonValueKind.String)]
    public void A_body_nests_no_deeper_than_readers_of_the_batch_take(int depth, JsonValueKind expected)
    {
        string body = new string('[', depth) + new string(']', depth);
        string batch = $"[{Telemetry(JsonBag, Encoding.ASCII.GetBytes(body))}]";

        JsonElement parsed = JsonDocument.Parse(batch).RootElement[0];
        Assert.Equal(expected, parsed.GetProperty("data").GetProperty("body").ValueKind);
        Assert.Single(EventGridEvent.ParseMany(BinaryData.FromString(batch)));
    }

    [Fact]
    public void Properties_are_decoded_the_first_of_a_name_counts_and_the_hubs_own_cannot_be_forged()
    {
        JsonElement data = Data(Telemetry(
            "a=1&b&c=&a=2&%61=3&x%20y=%C3%A9&bad=%zz&raw=%ff&$.cdid=other&$.mid=m1&$.unknown=1&iothub-connection-device-id=other"
            + "&$.ct=text%2Fplain", default));

        Assert.Equal(
            """{"a":"1","b":null,"c":"","x y":"é","bad":"%zz","raw":"�","iothub-connection-device-id":"other"}""",
            data.GetProperty("properties").GetRawText());
        JsonElement system = data.GetProperty("systemProperties");
        Assert.Equal("boiler-1", system.GetProperty("iothub-connection-device-id").GetString());
        Assert.Equal("m1", system.GetProperty("iothub-message-id").GetString());
        Assert.Equal(
            ["iothub-message-id", "iothub-content-type", "iothub-connection-device-id", "iothub-connection-auth-method",
                "iothub-connection-auth-generation-id", "iothub-enqueuedtime", "iothub-message-source"],
            system.EnumerateObject().Select(property => property.Name));
    }

    [Fact]
    public void Many_properties_cost_no_more_than_their_number()
    {
        string bag = string.Join('&', Enumerable.Range(0, 20_000).Select(i => (i % 10_000).ToString("x")));
        JsonElement properties = Data(Telemetry(bag, default)).GetProperty("properties");

        Assert.Equal(10_000, properties.EnumerateObject().Count());
    }

    [Fact]
    public void Random_bags_and_bodies_always_give_an_event_on_one_line()
    {
        var random = new Random(3);
        byte[] noise = new byte[300];
        byte[] good = Encoding.UTF8.GetBytes("{\"a\":[1,2.5e3,\"x\\u0041\\ud83d\\ude80\",true,null,{\"b\":\"\\\\\"}]}");
        for (int round = 0; round < 5000; round++)
        {
            random.NextBytes(noise);
            byte[] body = [.. good];
            for (int flips = random.Next(3); flips > 0; flips--)
            {
                body[random.Next(body.Length)] = (byte)random.Next(256);
            }

            byte[] bag = [.. Encoding.ASCII.GetBytes(JsonBag + "&"), .. noise.AsSpan(0, random.Next(noise.Length))];
            string text = Telemetry(bag, body);
            Assert.DoesNotContain('\n', text);
            string batch = $"[{text}]";
            var read = new ReadOutcome();
            Assert.True(EventGridReader.TryRead(Encoding.UTF8.GetBytes(batch), read), read.Error);
            Assert.Single(EventGridEvent.ParseMany(BinaryData.FromString(batch)));
            JsonSerializer.Serialize(JsonDocument.Parse(batch).RootElement);
        }
    }

    [Theory]
    [InlineData(EventSchema.EventGrid)]
    [InlineData(EventSchema.CloudEvents)]
    public void A_warm_writer_allocates_nothing(EventSchema schema)
    {
        using var writer = new EventGridWriter(schema, "hub1");
        var output = new ArrayBufferWriter<byte>(1 << 20);
        WriteEach(writer, output);
        Assert.Equal(0, Allocations.Of(() =>
        {
            output.ResetWrittenCount();
            for (int i = 0; i < 100; i++)
            {
                WriteEach(writer, output);
            }
        }));
    }

    [Fact]
    public void Ids_are_version_4_differ_and_come_back_with_the_seed()
    {
        var seen = new HashSet<Guid>();
        var ids = new EventIds(7);
        var again = new EventIds(7);
        for (int i = 0; i < 10_000; i++)
        {
            Guid id = ids.Next();
            Assert.Equal(id, again.Next());
            Assert.True(seen.Add(id));
            string text = id.ToString();
            Assert.True(text[14] == '4' && "89ab".Contains(text[19], StringComparison.Ordinal));
        }
    }

    private const string JsonBag = "$.ct=application%2Fjson&$.ce=utf-8";

    private static void WriteEach(EventGridWriter writer, ArrayBufferWriter<byte> output)
    {
        writer.Write(output, new ConnectionStateEvent
        {
            Id = Id,
            DeviceId = "boiler-1"u8,
            IsConnected = true,
            UtcMs = Moment,
            Sequence = new EventSequence(1, 1),
        });
        writer.Write(output, new LifecycleEvent { Id = Id, DeviceId = "boiler-1"u8, IsCreated = true, UtcMs = Moment });
        writer.Write(output, new TelemetryEvent
        {
            Id = Id,
            DeviceId = "boiler-1"u8,
            GenerationId = "1"u8,
            EnqueuedUtcMs = Moment,
            Bag = "$.ct=application%2Fjson&$.ce=utf-8&type=heartbeat&seq=41"u8,
            Body = "{ \"a\": 1 }"u8,
        });
    }

    private static string Write(string name, EventSchema schema)
    {
        using var writer = new EventGridWriter(schema, "hub1");
        var output = new ArrayBufferWriter<byte>();
        switch (name)
        {
            case "connected" or "disconnected" or "module":
                writer.Write(output, new ConnectionStateEvent
                {
                    Id = Id,
                    DeviceId = "boiler-1"u8,
                    ModuleId = name == "module" ? "sensor"u8 : default,
                    IsConnected = name == "connected",
                    UtcMs = Moment,
                    Sequence = new EventSequence(0x01D4132452F67CE2, name == "connected" ? 1 : 255),
                });
                break;
            case "created" or "deleted":
                writer.Write(output, new LifecycleEvent
                {
                    Id = Id,
                    DeviceId = "boiler-1"u8,
                    IsCreated = name == "created",
                    UtcMs = Moment,
                    DeviceETag = "MTIzNDU2Nzg="u8,
                });
                break;
            case "validation":
                writer.WriteValidation(output, Id, Moment, "the-code", null);
                break;
            default:
                writer.Write(output, new TelemetryEvent
                {
                    Id = Id,
                    DeviceId = "boiler-1"u8,
                    GenerationId = "637388034455888246"u8,
                    ByPolicy = name == "binary",
                    EnqueuedUtcMs = Moment,
                    Bag = name == "binary"
                        ? "a=b"u8
                        : "type=heartbeat&seq=41&interval=60&renewal=300&$.ct=application%2Fjson&$.ce=utf-8&$.mid=m-1"u8,
                    Retain = name == "binary",
                    Body = name == "binary" ? [0, 1, 2, 255] : "{\n  \"temperature\": 21.5\n}"u8,
                });
                break;
        }

        return Encoding.UTF8.GetString(output.WrittenSpan);
    }

    private static string Telemetry(string bag, ReadOnlySpan<byte> body) => Telemetry(Encoding.UTF8.GetBytes(bag), body);

    private static string Telemetry(ReadOnlySpan<byte> bag, ReadOnlySpan<byte> body)
    {
        using var writer = new EventGridWriter(EventSchema.EventGrid, "hub1");
        var output = new ArrayBufferWriter<byte>();
        writer.Write(output, new TelemetryEvent
        {
            Id = Id,
            DeviceId = "boiler-1"u8,
            GenerationId = "1"u8,
            EnqueuedUtcMs = Moment,
            Bag = bag,
            Body = body,
        });
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }

    private static string Names(string text)
    {
        var names = new List<string>();
        var reader = new Utf8JsonReader(Encoding.UTF8.GetBytes(text));
        while (reader.Read())
        {
            if (reader.TokenType == JsonTokenType.PropertyName)
            {
                names.Add(reader.GetString()!);
            }
        }

        return string.Join(' ', names);
    }

    private static JsonElement Data(string text) => JsonDocument.Parse(text).RootElement.GetProperty("data");
}
