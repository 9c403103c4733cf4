using System.Text;
using Agent.Hub;
using Agent.Logs;
using Agent.Tests.Hub;

namespace Agent.Tests.Logs;

public sealed class ConnectionsReaderTests
{
    [Fact]
    public void The_documented_row_is_read_column_by_column()
    {
        (List<ConnectionsEntry> entries, ConnectionsReader reader) = LogLines.Read(GoldenLogs.Documented);

        ConnectionsEntry entry = Assert.Single(entries);
        Assert.Equal(new DateTime(2026, 11, 20, 10, 11, 12, DateTimeKind.Utc).AddTicks(1234567), entry.TimeGenerated);
        Assert.Equal(("sensor-1", "deviceDisconnect", "Error"), (entry.DeviceId, entry.OperationName, entry.Level));
        Assert.Equal(("404104", "DeviceConnectionClosedRemotely", 404104), (entry.ResultType, entry.ResultDescription, entry.Code));
        Assert.Equal(".NET/1.21.2 (.NET Core 3.1; Linux; X64)", entry.SdkVersion);
        Assert.Equal(("Mqtt", "192.0.2.XXX"), (entry.Protocol, entry.MaskedIpAddress));
        Assert.StartsWith("{\"scope\":\"device\"", entry.AuthType, StringComparison.Ordinal);
        Assert.Equal((1, 0), (reader.Records, reader.BadLines));
    }

    [Fact]
    public void Records_of_2019_lack_what_was_not_written_then()
    {
        (List<ConnectionsEntry> entries, _) = LogLines.Read(GoldenLogs.Of2019);

        Assert.Equal(["deviceConnect", "deviceDisconnect"], entries.Select(entry => entry.OperationName));
        Assert.All(entries, entry => Assert.Equal((null, null, null), (entry.ResultType, entry.ResultDescription, entry.SdkVersion)));
        Assert.Contains("x509Certificate", entries[0].AuthType, StringComparison.Ordinal);
        Assert.Null(entries[1].AuthType);
        Assert.Equal(DateTimeKind.Utc, entries[0].TimeGenerated.Kind);
    }

    [Fact]
    public void An_Event_Hub_message_is_taken_apart_and_other_categories_are_passed_over()
    {
        (List<ConnectionsEntry> entries, ConnectionsReader reader) = LogLines.Read(GoldenLogs.EventHub);

        Assert.Equal(["a", "b"], entries.Select(entry => entry.DeviceId));
        Assert.Equal(("401003", null, true), (entries[1].ResultType, entries[1].SdkVersion, entries[1].IsError));
        Assert.Equal((2, 1, 0), (reader.Records, reader.OtherRecords, reader.BadLines));
    }

    [Fact]
    public void What_our_hub_writes_is_read_back()
    {
        byte[] golden = File.ReadAllBytes(HubFolder.Golden("connections.jsonl"));
        (List<ConnectionsEntry> entries, ConnectionsReader reader) = LogLines.Read(golden);

        Assert.Equal(0, reader.BadLines);
        Assert.Equal(
            Enum.GetValues<LogKind>().Select(kind => kind.Shape()).Select(shape => (shape.Operation, shape.IsError, shape.Code)),
            entries.Select(entry => (entry.OperationName, entry.IsError, entry.Code)));
        Assert.Equal("signature does not match", entries.Single(entry => entry.ErrorMessage is not null).ErrorMessage);
    }

    [Theory]
    [InlineData("[{0},{1}]")]
    [InlineData("{0}\n{1}")]
    [InlineData("{0}\r\n\r\n{1}\r\n")]
    [InlineData("{0}{1}")]
    [InlineData("\uFEFF{0}\n{1}\n")]
    [InlineData("{{\"records\":[{0}]}}\n{{\"records\":[{1}]}}\n")]
    [InlineData("{{\n  \"records\" : [\n{0},\n{1}\n]\n}}\n")]
    [InlineData("[{{\"records\":[{0}]}},{{\"records\":[{1},]}}]")]
    [InlineData("{{\"records\":[]}}\n{0}\n{{\"records\":[{1}]}}")]
    public void Records_are_found_in_any_wrapping_and_any_cutting_of_the_stream(string wrapping)
    {
        string[] records = GoldenLogs.Of2019.Split('\n');
        byte[] bytes = Encoding.UTF8.GetBytes(string.Format(null, wrapping, records[0].Trim(), records[1].Trim()));
        foreach (int chunk in new[] { int.MaxValue, 1, 7, 100 })
        {
            (List<ConnectionsEntry> entries, ConnectionsReader reader) = LogLines.Read(bytes, chunk);

            Assert.Equal(["deviceConnect", "deviceDisconnect"], entries.Select(entry => entry.OperationName));
            Assert.Equal(0, reader.BadLines);
        }
    }

    [Fact]
    public void A_record_over_several_lines_is_one_record()
    {
        string pretty = GoldenLogs.Documented.Replace(",\"", ",\n  \"", StringComparison.Ordinal)
            .Replace("{\"time", "{\n  \"time", StringComparison.Ordinal);

        ConnectionsReader reader = LogLines.Read(pretty + "\n" + pretty).Reader;

        Assert.Equal((2, 0), (reader.Records, reader.BadLines));
    }

    [Fact]
    public void Bad_lines_are_counted_the_first_are_named_and_the_good_ones_between_are_kept()
    {
        string good = GoldenLogs.Documented + "\n";
        string text = good + "hello\n" + good[..120] + "\n" + good + "{\"category\":\"Connections\"}\n" + good + "\n]\n}{ \n"
            + good + good[..^30];
        (List<ConnectionsEntry> entries, ConnectionsReader reader) = LogLines.Read(text);

        Assert.Equal(4, entries.Count);
        Assert.Equal(
            [(2L, "not a JSON object"), (3, "cut off: the line ends inside a text"), (5, "time is missing or not a date"),
                (8, "not a JSON object"), (9, "not a JSON object")],
            reader.FirstBadLines.Select(bad => (bad.Line, bad.Problem)));
        Assert.Equal(7, reader.BadLines);
    }

    [Fact]
    public void A_line_torn_between_two_keys_does_not_swallow_the_next()
    {
        string torn = GoldenLogs.Documented[..(GoldenLogs.Documented.IndexOf("\"level\":", StringComparison.Ordinal) + 8)];
        (List<ConnectionsEntry> entries, ConnectionsReader reader) = LogLines.Read(torn + "\n" + GoldenLogs.Documented + "\n");

        Assert.Single(entries);
        Assert.Equal(new BadLine("log", 1, "cut off: the next record begins inside it"), Assert.Single(reader.FirstBadLines));
    }

    [Theory]
    [InlineData("\"time\":\"2026-11-20T10:11:12.1234567Z\"", "\"time\":\"2026-11-20T12:11:12.1234567+02:00\"", null)]
    [InlineData("\"time\":\"2026-11-20T10:11:12.1234567Z\"", "\"time\":\"2026-11-20T10:11:12.1234567\"", null)]
    [InlineData("\"time\":\"2026-11-20T10:11:12.1234567Z\"", "\"time\":\"11/20/2026 10:11:12.1234567\"", null)]
    [InlineData("\"time\":\"2026-11-20T10:11:12.1234567Z\"", "\"time\":1763633472", "time is missing or not a date")]
    [InlineData("\"time\":\"2026-11-20T10:11:12.1234567Z\"", "\"time\":\"soon\"", "time is missing or not a date")]
    [InlineData("\"level\":\"Error\"", "\"level\":2", null)]
    [InlineData("\\\"deviceId\\\"", "\\\"id\\\"", "properties name no deviceId")]
    [InlineData("\"category\":\"Connections\",", "", null)]
    [InlineData("\"category\":\"Connections\"", "\"category\":[]", null)]
    [InlineData("\"operationName\":\"deviceDisconnect\"", "\"operationName\":null", "operationName is missing")]
    [InlineData("\"location\":\"westus\"", "\"location\":\"\\ud800\"", null)]
    [InlineData("\"resultDescription\":\"D", "\"resultDescription\":\"\\ud800", "a text in it is not valid")]
    [InlineData("\"location\":\"westus\"", "\"location\":nul", "not valid JSON, or nested too deeply")]
    public void Odd_values_are_taken_or_named(string from, string to, string? problem)
    {
        string line = GoldenLogs.Documented.Replace(from, to, StringComparison.Ordinal);
        Assert.NotEqual(GoldenLogs.Documented, line);
        (List<ConnectionsEntry> entries, ConnectionsReader reader) = LogLines.Read(line);

        Assert.Equal(problem, reader.FirstBadLines.Count == 0 ? null : reader.FirstBadLines[0].Problem);
        Assert.Equal(problem is null ? 1 : 0, entries.Count);
        Assert.All(entries, entry => Assert.Equal((12, "Error"), (entry.TimeGenerated.Second, entry.Level)));
        Assert.All(entries, entry => Assert.Equal(10, entry.TimeGenerated.Hour));
    }
}
