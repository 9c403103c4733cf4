using System.Text.Json;
using Agent.Cli;
using Agent.Hub;
using Agent.Input;
using Agent.Logs;
using Agent.Tests.Hub;

namespace Agent.Tests.Logs;

/// <summary>The queries on a small log made by hand, as rows, as text and as JSON; and what the verb refuses.</summary>
public sealed class LogsQueryTests
{
    private static readonly DateTime Now = new(2026, 11, 20, 12, 0, 0, DateTimeKind.Utc);

    private static LogLines Sample() => new LogLines()
        .Add(0, LogKind.Connect, "a", "node/1").Add(1, LogKind.Connect, "b", "node/1").Add(2, LogKind.Connect, "c", "py/2")
        .Add(10, LogKind.Disconnect, "a", "node/1").Add(11, LogKind.Connect, "a", "node/1")
        .Add(20, LogKind.DisconnectClosedRemotely, "b", "node/1")
        .Add(30, LogKind.ConnectUnauthorized, "evil\u001b[2J", "", "the device is unknown");

    [Fact]
    public void Errors_lists_errors_only_device_one_device_and_all_everything()
    {
        using LogLines log = Sample();

        Assert.Equal(["404104", "401003"], log.Ask(LogQuery.Errors).Rows.Select(row => row.ResultType));
        Assert.Equal(3, log.Ask(LogQuery.Device, "a").Rows.Count);
        Assert.Empty(log.Ask(LogQuery.Device, "A").Rows);
        Assert.Equal(7, log.Ask(LogQuery.All).Rows.Count);
    }

    [Fact]
    public void Sdk_counts_devices_connects_and_disconnects_of_each_version()
    {
        using LogLines log = Sample();

        Assert.Equal(
            [("", 1, 0, 0, 1), ("node/1", 2, 3, 2, 1), ("py/2", 1, 1, 0, 0)],
            log.Ask(LogQuery.Sdk).Run.Analysis.Sdks.Select(row =>
                (row.SdkVersion, (int)row.Devices, (int)row.Connects, (int)row.Disconnects, (int)row.Errors)));
    }

    [Theory]
    [InlineData("2026-11-20T00:00:10Z", null, 4)]
    [InlineData("2026-11-20T00:00:10Z", "2026-11-20T00:00:20Z", 2)]
    [InlineData(null, "2026-11-20 00:00:02", 2)]
    [InlineData("12h", null, 7)]
    [InlineData("11.999h", null, 4)]
    [InlineData("1d", "2026-11-20", 0)]
    public void Since_and_until_bound_the_records(string? since, string? until, int expected)
    {
        using LogLines log = Sample();
        File.WriteAllBytes(log.Path, log.Bytes);
        var run = new LogsRun(LogsVerb.Read([log.Path], "all", null, since, until, Now));
        int rows = 0;
        run.Read(_ => rows++);

        Assert.Equal((expected, 7), (rows, run.Records));
    }

    [Fact]
    public void The_JSON_document_has_the_columns_of_Log_Analytics()
    {
        using LogLines log = Sample();
        JsonElement document = Json(log, new LogsOptions { Sources = [log.Path], Explain = true });

        JsonElement row = document.GetProperty("rows")[0];
        Assert.Equal(
            ["TimeGenerated", "DeviceId", "OperationName", "Level", "ResultType", "ResultDescription", "SdkVersion",
                "protocol", "authType", "maskedIpAddress"],
            row.EnumerateObject().Select(member => member.Name));
        Assert.Equal("2026-11-20T00:00:20Z", row.GetProperty("TimeGenerated").GetString());
        Assert.Equal("192.0.2.XXX", row.GetProperty("maskedIpAddress").GetString());
        Assert.Equal("the device is unknown", document.GetProperty("rows")[1].GetProperty("errorMessage").GetString());
        JsonElement explain = document.GetProperty("explain");
        Assert.Equal(2, explain.GetProperty("errors").GetArrayLength());
        Assert.Equal(1, explain.GetProperty("totals").GetProperty("healthyRenewals").GetInt32());
        Assert.Equal(
            ("errors", 7, 0), (document.GetProperty("query").GetString(), document.GetProperty("records").GetInt32(),
                document.GetProperty("badLines").GetInt32()));
    }

    [Fact]
    public void Disconnects_as_JSON_gives_period_and_suggestion()
    {
        using LogLines log = new LogLines().Renewals(3480, 4);
        JsonElement row = Json(log, new LogsOptions { Sources = [log.Path], Query = LogQuery.Disconnects }).GetProperty("rows")[0];

        Assert.Equal(3480, row.GetProperty("MedianPeriodSeconds").GetDouble());
        Assert.Equal("python", row.GetProperty("SuggestedSdk").GetString());
        Assert.Equal(3600, row.GetProperty("SuggestedLifetimeSeconds").GetInt32());
        Assert.StartsWith("suggests Python", row.GetProperty("Suggests").GetString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(LogQuery.Errors)]
    [InlineData(LogQuery.All)]
    [InlineData(LogQuery.Sdk)]
    [InlineData(LogQuery.Disconnects)]
    public void No_text_for_people_carries_what_moves_a_cursor(LogQuery query)
    {
        using LogLines log = Sample().Add(40, LogKind.Connect, "[red]x\u202e\u2028", "\u009b31m");
        (LogsRun run, List<ConnectionsEntry> rows) = log.Ask(query, explain: true);
        var output = new StringWriter();
        LogsText.Print(output, run, rows, rows.Count);

        Assert.DoesNotContain(output.ToString().ReplaceLineEndings(""), letter => char.IsControl(letter) || letter is '\u202e' or '\u2028');
        Assert.Contains(query == LogQuery.Sdk ? "?31m" : "evil?", output.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Files_are_read_in_the_order_of_their_records()
    {
        using LogLines late = new LogLines().Add(100, LogKind.Connect, "late");
        using LogLines early = new LogLines().Add(1, LogKind.Connect, "early");
        late.Ask(LogQuery.All);
        early.Ask(LogQuery.All);
        var seen = new List<string>();
        new LogsRun(new LogsOptions { Sources = [late.Path, early.Path], Query = LogQuery.All }).Read(entry => seen.Add(entry.DeviceId));

        Assert.Equal(["early", "late"], seen);
    }

    [Theory]
    [InlineData("warnings", null, null, null, "--query: unknown query \"warnings\"; allowed: errors, device, sdk, all, disconnects")]
    [InlineData("device", null, null, null, "--query device: which one? add --device ID")]
    [InlineData(null, null, "yesterday", null, "--since: \"yesterday\" is no moment; allowed: ")]
    [InlineData(null, null, null, "99999999999d", "--until: \"99999999999d\" is no moment")]
    [InlineData(null, null, "1h", "2h", "--until: 2026-11-20T10:00:00Z is not after --since 2026-11-20T11:00:00Z")]
    public void Bad_options_are_named(string? query, string? device, string? since, string? until, string expected)
    {
        BadInputException problem = Assert.Throws<BadInputException>(() => LogsVerb.Read(["x"], query, device, since, until, Now));

        Assert.StartsWith(expected, problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_no_log_is_refused_before_anything_is_printed()
    {
        using var folder = new HubFolder();
        File.WriteAllText(folder["picture"], "\u0089PNG\r\n\u001a\n\0\0\0\rIHDR");
        File.WriteAllText(folder["empty"], "");

        Assert.StartsWith(
            folder["picture"] + ":1: not a JSON object; no Connections record", Refusal(folder["picture"]), StringComparison.Ordinal);
        Assert.Equal(folder["absent"] + ": no such file", Refusal(folder["absent"]));
        Assert.StartsWith(folder.Path + ": is a folder", Refusal(folder.Path), StringComparison.Ordinal);
        Assert.StartsWith("logs: no file given", Refusal(), StringComparison.Ordinal);
        new LogsRun(new LogsOptions { Sources = [folder["empty"]] }).Read(_ => Assert.Fail("a row of nothing"));
    }

    [Theory]
    [InlineData("https://hub.example.com:8443", "only a hub on this machine is asked")]
    [InlineData("https://10.0.0.1", "only a hub on this machine is asked")]
    [InlineData("http://localhost:8443", "not the address of a hub")]
    [InlineData("https://localhost:8443/other", "not the address of a hub")]
    [InlineData("https://user:secret@localhost:8443", "not the address of a hub")]
    public void Only_a_hub_on_this_machine_is_asked(string address, string expected) =>
        Assert.Contains(expected, Refusal(address), StringComparison.Ordinal);

    private static string Refusal(params string[] sources) =>
        Assert.Throws<BadInputException>(() => new LogsRun(new LogsOptions { Sources = sources })).Message;

    private static JsonElement Json(LogLines log, LogsOptions options)
    {
        File.WriteAllBytes(log.Path, log.Bytes);
        return JsonDocument.Parse(JsonOutput.ToText(json => LogsJson.Write(json, new LogsRun(options)))).RootElement;
    }
}
