using System.Buffers;
using System.Net;
using System.Text;
using System.Text.Json;
using Agent.Hub;

namespace Agent.Tests.Hub;

public sealed class ConnectionsWriterTests
{
    private const long Moment = 1_735_689_600_123;

    [Fact]
    public void Records_have_the_documented_shape()
    {
        var seen = new StringBuilder();
        foreach (LogKind kind in Enum.GetValues<LogKind>())
        {
            seen.Append(Write("device-0001"u8, kind, kind == LogKind.ConnectUnauthorized ? "signature does not match" : null));
        }

        string path = HubFolder.Golden("connections.jsonl");
        if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") == "1")
        {
            File.WriteAllText(path, seen.ToString());
        }

        Assert.Equal(File.ReadAllText(path), seen.ToString(), ignoreLineEndingDifferences: true);
    }

    [Theory]
    [InlineData(LogKind.Connect, "Information", null, true)]
    [InlineData(LogKind.Disconnect, "Information", null, false)]
    [InlineData(LogKind.DisconnectClosedRemotely, "Error", "404104", false)]
    [InlineData(LogKind.ConnectUnauthorized, "Error", "401003", true)]
    public void Properties_is_a_string_of_JSON_and_authType_a_string_of_JSON_in_it(
        LogKind kind, string level, string? code, bool hasAuthType)
    {
        JsonElement record = JsonDocument.Parse(Write("d"u8, kind, null)).RootElement;
        JsonElement properties = JsonDocument.Parse(record.GetProperty("properties").GetString()!).RootElement;

        Assert.Equal(level, record.GetProperty("level").GetString());
        Assert.Equal(code is not null, record.TryGetProperty("resultType", out JsonElement type));
        Assert.Equal(code, code is null ? null : type.GetString());
        Assert.Equal(code?[..3], properties.GetProperty("statusCode").GetString());
        string? authType = properties.GetProperty("authType").GetString();
        Assert.Equal(hasAuthType, authType is not null);
        Assert.True(authType is null || JsonDocument.Parse(authType).RootElement.GetProperty("type").GetString() == "sas");
    }

    [Theory]
    [InlineData("a\"b\\c")]
    [InlineData("\",\"level\":\"Information")]
    [InlineData("a\nb\r\t\0\u001b[31m")]
    [InlineData("Größe \ud83d\ude80 \u2028")]
    [InlineData("</script>")]
    public void Hostile_ids_come_back_as_they_were_sent_and_stay_on_one_line(string id)
    {
        string line = Write(Encoding.UTF8.GetBytes(id), LogKind.ConnectUnauthorized, "x");

        Assert.Equal(line.Length - 1, line.IndexOf('\n', StringComparison.Ordinal));
        Assert.Equal(id, DeviceIdOf(line));
    }

    [Fact]
    public void Random_bytes_as_an_id_never_throw_and_parse_back()
    {
        var random = new Random(5);
        byte[] id = new byte[128];
        for (int i = 0; i < 2000; i++)
        {
            random.NextBytes(id);
            int length = random.Next(id.Length);
            Assert.Equal(Encoding.UTF8.GetString(id, 0, length), DeviceIdOf(Write(id.AsSpan(0, length), LogKind.Connect, null)));
        }
    }

    [Theory]
    [InlineData("127.0.0.1", "127.0.0.XXX")]
    [InlineData("::ffff:10.1.2.3", "10.1.2.XXX")]
    [InlineData("::1", "::XXX")]
    [InlineData("2001:db8::8a2e:370:7334", "2001:db8::8a2e:370:XXX")]
    public void The_last_part_of_an_address_is_hidden(string address, string expected) =>
        Assert.Equal(expected, ConnectionsWriter.Mask(IPAddress.Parse(address)));

    [Fact]
    public void A_warm_writer_allocates_nothing()
    {
        using var writer = new ConnectionsWriter("hub");
        var output = new ArrayBufferWriter<byte>(1 << 20);
        writer.Write(output, new ConnectionsRecord { UtcMs = Moment, Kind = LogKind.Connect, DeviceId = "d"u8, MaskedAddress = "1.XXX" });
        Assert.Equal(0, Allocations.Of(() =>
        {
            output.ResetWrittenCount();
            var record = new ConnectionsRecord { UtcMs = Moment, Kind = LogKind.Connect, DeviceId = "d"u8, MaskedAddress = "1.XXX" };
            for (int i = 0; i < 1000; i++)
            {
                writer.Write(output, record);
            }
        }));
    }

    [Fact]
    public void A_torn_last_line_is_dropped_when_the_log_is_opened_again()
    {
        using var folder = new HubFolder();
        string whole = Write("d"u8, LogKind.Connect, null);
        File.WriteAllText(folder["log"], whole + whole[..^20]);

        using (var log = new ConnectionsLog(folder["log"], "hub"))
        {
            Assert.Equal(whole.Length - 20, log.DroppedBytes);
            log.Write(new ConnectionsRecord { UtcMs = Moment, Kind = LogKind.Disconnect, DeviceId = "d"u8 });
        }

        Assert.Equal(["deviceConnect", "deviceDisconnect"], File.ReadLines(folder["log"]).Select(line =>
            JsonDocument.Parse(line).RootElement.GetProperty("operationName").GetString()));
    }

    private static string? DeviceIdOf(string line) =>
        JsonDocument.Parse(JsonDocument.Parse(line).RootElement.GetProperty("properties").GetString()!)
            .RootElement.GetProperty("deviceId").GetString();

    private static string Write(ReadOnlySpan<byte> deviceId, LogKind kind, string? cause)
    {
        using var writer = new ConnectionsWriter("localhost");
        var output = new ArrayBufferWriter<byte>();
        writer.Write(output, new ConnectionsRecord
        {
            UtcMs = Moment,
            Kind = kind,
            DeviceId = deviceId,
            SdkVersion = "azure-iot-device/1.18.4 (node v20; linux)"u8,
            MaskedAddress = "192.0.2.XXX",
            Cause = cause,
        });
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }
}
