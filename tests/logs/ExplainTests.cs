using System.Text;
using System.Text.RegularExpressions;
using Agent.Hub;
using Agent.Logs;

namespace Agent.Tests.Logs;

/// <summary>Renewals told from outages, and every error explained.</summary>
public sealed partial class ExplainTests
{
    [Fact]
    public void Every_kind_of_record_a_connection_can_earn_is_in_the_guide()
    {
        foreach (LogShape shape in Enum.GetValues<LogKind>().Select(kind => kind.Shape()))
        {
            ErrorAdvice? advice = ErrorGuide.Find(shape.Operation, shape.Code);

            Assert.NotNull(advice);
            Assert.Equal(shape.Description, advice.Name);
            Assert.All([advice.Means, advice.HarmlessWhen, advice.TryFirst], text => Assert.EndsWith(".", text, StringComparison.Ordinal));
        }
    }

    [Theory]
    [InlineData(400027)]
    [InlineData(401002)]
    [InlineData(401003)]
    [InlineData(403002)]
    [InlineData(403012)]
    [InlineData(404104)]
    [InlineData(409002)]
    [InlineData(429001)]
    [InlineData(429002)]
    [InlineData(500001)]
    [InlineData(500008)]
    [InlineData(503001)]
    public void Every_documented_code_has_advice_for_both_operations(int code)
    {
        Assert.NotNull(ErrorGuide.Find("deviceConnect", code));
        Assert.NotNull(ErrorGuide.Find("deviceDisconnect", code));
    }

    [Fact]
    public void No_record_has_two_entries() =>
        Assert.Equal(ErrorGuide.All.Count, ErrorGuide.All.Select(entry => (entry.Operation, entry.Code)).Distinct().Count());

    [Fact]
    public void A_code_nobody_knows_is_said_to_be_unknown() =>
        Assert.Equal("Not in this guide.", ErrorGuide.Of("deviceConnect", 999999).Means);

    [Fact]
    public void Announced_and_back_within_seconds_is_a_renewal_and_staying_away_is_a_stop()
    {
        using var log = new LogLines();
        log.Renewals(2700, 3).Add(9000, LogKind.Disconnect).Add(9100, LogKind.Connect).Add(20_000, LogKind.Connect, "other");

        Assert.Equal((3, 0, 1), Short(log.Counts()));
    }

    [Fact]
    public void A_renewal_that_is_refused_is_a_drop()
    {
        using var log = new LogLines();
        log.Renewals(2700, 3).Add(10_800, LogKind.Disconnect).Add(10_801, LogKind.ConnectUnauthorized)
            .Add(20_000, LogKind.Connect, "other");

        Assert.Equal((3, 1, 0), Short(log.Counts()));
        Assert.Equal(1, log.Counts().RefusedConnects);
    }

    [Fact]
    public void Cuts_in_rhythm_are_renewals_and_a_drop_between_them_is_not()
    {
        using var log = new LogLines();
        log.Cuts(1800, 6).Add(11_200, LogKind.DisconnectClosedRemotely).Add(11_203, LogKind.Connect);

        Assert.Equal((6, 1, 0), Short(log.Counts()));
    }

    [Fact]
    public void A_cut_from_which_the_device_does_not_return_is_a_drop()
    {
        using var log = new LogLines();
        log.Cuts(1800, 6).Cut(12_600).Add(20_000, LogKind.Connect);

        Assert.Equal((6, 1, 0), Short(log.Counts()));
    }

    [Fact]
    public void One_cut_at_an_odd_moment_is_no_renewal_and_one_at_a_default_is()
    {
        using var odd = new LogLines();
        using var known = new LogLines();

        Assert.Equal((0, 1, 0), Short(odd.Cuts(2222, 1).Add(9000, LogKind.Connect, "other").Counts()));
        Assert.Equal((1, 0, 0), Short(known.Cuts(4200.1, 1).Add(9000, LogKind.Connect, "other").Counts()));
    }

    [Fact]
    public void A_cut_with_one_record_lost_still_counts_where_the_moment_is_right()
    {
        using var log = new LogLines();
        log.Cuts(1800, 6).Add(12_600, LogKind.DisconnectClosedRemotely).Add(12_600.1, LogKind.Connect);

        Assert.Equal((7, 0, 0), Short(log.Counts()));
    }

    [Fact]
    public void Late_and_shuffled_records_give_the_same_answer()
    {
        using var log = new LogLines();
        log.Cuts(1800, 12).Renewals(2700, 8, "other");
        string[] lines = Encoding.UTF8.GetString(log.Bytes).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        var random = new Random(3);
        string[] shuffled = [.. lines.OrderBy(line => TimeOf(line).AddSeconds(random.NextDouble() * 300))];
        Assert.NotEqual(lines, shuffled);
        File.WriteAllLines(log.Path, shuffled);
        var run = new LogsRun(new LogsOptions { Sources = [log.Path], Explain = true });
        run.Read(_ => { });

        Assert.Equal((20, 0, 0), Short(run.Analysis.Totals));
    }

    [Fact]
    public void An_end_at_the_end_of_the_log_is_left_undecided()
    {
        using var log = new LogLines();
        log.Renewals(2700, 3).Add(10_800, LogKind.Disconnect);

        Assert.Equal((3, 0, 0), Short(log.Counts()));
        Assert.Equal(1, log.Counts().Undecided);
    }

    [Fact]
    public void A_year_of_renewals_is_counted_whole()
    {
        using var log = new LogLines();
        Assert.Equal((11_000, 0, 0), Short(log.Renewals(2881.2, 11_000).Counts()));
    }

    [Fact]
    public void The_text_says_cause_fix_and_counts()
    {
        using var log = new LogLines();
        log.Cuts(4200.1, 3, "healthy").Add(0, LogKind.Connect, "sick").Add(777, LogKind.DisconnectClosedRemotely, "sick")
            .Add(20_000, LogKind.ConnectUnauthorized, "sick", cause: "signature does not match");
        (LogsRun run, List<ConnectionsEntry> rows) = log.Ask(LogQuery.Errors, explain: true);
        var output = new StringWriter();
        LogsText.Print(output, run, rows, rows.Count);
        string text = output.ToString();

        Assert.Contains("404104 DeviceConnectionClosedRemotely (deviceDisconnect): 4 record(s) of 2 device(s), 3 in healthy renewals",
            text, StringComparison.Ordinal);
        Assert.Contains(
            "401003 IoTHubUnauthorized (deviceConnect): 1 record(s) of 1 device(s), 0 in healthy", text, StringComparison.Ordinal);
        Assert.Contains("try first      " + ErrorGuide.Find("deviceConnect", 401003)!.TryFirst, text, StringComparison.Ordinal);
        Assert.Contains("means          " + ErrorGuide.Find("deviceDisconnect", 404104)!.Means, text, StringComparison.Ordinal);
        Assert.Contains("healthy: healthy renewals: 3; unexplained drops: 0\n", text, StringComparison.Ordinal);
        Assert.Contains("sick: healthy renewals: 0; unexplained drops: 1; refused connects: 1\n", text, StringComparison.Ordinal);
        Assert.Contains("all devices: healthy renewals: 3; unexplained drops: 1", text, StringComparison.Ordinal);
    }

    private static (long Renewals, long Drops, long Stops) Short(EndCounts counts) =>
        (counts.HealthyRenewals, counts.UnexplainedDrops, counts.CleanStops);

    private static DateTime TimeOf(string line) => DateTime.Parse(
        Time().Match(line).Groups[1].Value, null, System.Globalization.DateTimeStyles.AdjustToUniversal);

    [GeneratedRegex("\"time\":\"([^\"]+)\"")]
    private static partial Regex Time();
}
