using Agent.Cli;
using Agent.Detectors;
using Agent.Input;
using Agent.Tests.Hub;

namespace Agent.Tests.Simulator;

/// <summary><c>score</c> and <c>advise</c> at the command line, and what a search may answer.</summary>
public sealed class AdviceTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("agent-advice-test-").FullName;

    [Fact]
    public void The_cheapest_is_the_cheapest_of_those_that_keep_the_limits()
    {
        AdviceLimits limits = AdviseVerb.ReadLimits("5m", 2, 0.02, 20_000, "node", "04:00:00", 3);
        List<AdviceCandidate> found = Search(limits);
        AdviceCandidate best = found[0];

        Assert.True(best.Meets(limits));
        Assert.All(found.Where(one => one.Meets(limits)), one => Assert.True(one.UsdPerMonth >= best.UsdPerMonth, one.ToString()));
        Assert.All(found, one => Assert.False((one.LifetimeMs ?? 0) > 4 * 3_600_000, one.ToString()));
        int firstWorse = found.FindIndex(one => !one.Meets(limits));
        Assert.True(firstWorse > 0 && found.Skip(firstWorse).All(one => !one.Meets(limits)));
    }

    [Fact]
    public void The_same_question_and_seed_get_the_same_answer()
    {
        AdviceLimits limits = AdviseVerb.ReadLimits("90s", 2, 0.02, 1000, "agent,python", "1h", 8);

        Assert.Equal(Search(limits).Select(Shown), Search(limits).Select(Shown));
    }

    [Fact]
    public void A_fleet_pays_for_whole_units_of_the_tier_that_is_cheapest()
    {
        // 144 million messages a day: 24 units of B2 at $50, or one of B3 at $500, and more units of B1 than one can buy.
        AdviceLimits limits = AdviseVerb.ReadLimits("1m", 2, 0.02, 100_000, "c", "1m", 1);
        AdviceCandidate one = Search(limits)
            .First(candidate => candidate.Detector.Kind == "heartbeat" && candidate.HeartbeatEveryMs == 60_000);

        Assert.Equal(("B3", 1), (one.Tier, one.Units));
        Assert.InRange(one.UsdPerMonth, 500 + 5000, 500 + 5400);
    }

    [Theory]
    [InlineData("soon", 0.1, 0.01, 10, "node", "1d", "--late: \"soon\" is not a length between 00:00:01 and 1.00:00:00")]
    [InlineData("0s", 0.1, 0.01, 10, "node", "1d", "--late: \"0s\" is not a length")]
    [InlineData("5m", -1, 0.01, 10, "node", "1d", "--false-alarms-per-device-year: -1 is out of range; allowed: 0 to 1000000")]
    [InlineData("5m", 0.1, 2, 10, "node", "1d", "--missed-share: 2 is out of range; allowed: 0 to 1")]
    [InlineData("5m", 0.1, 0.01, 1_000_001, "node", "1d", "--devices: 1000001 is out of range; allowed: 1 to 1000000, what one hub takes")]
    [InlineData("5m", 0.1, 0.01, 10, "cobol", "1d", "--sdk: unknown SDK \"cobol\"; allowed: dotnet")]
    [InlineData("5m", 0.1, 0.01, 10, "c,c", "1d", "--sdk: c is there twice")]
    [InlineData("5m", 0.1, 0.01, 10, "node", "5s", "--lifetime-max: \"5s\" is not a length")]
    public void What_cannot_be_asked_is_refused_by_its_option(
        string late, double falseAlarms, double missed, int devices, string sdk, string lifetimeMax, string expected)
    {
        var problem = Assert.Throws<BadInputException>(
            () => AdviseVerb.ReadLimits(late, falseAlarms, missed, devices, sdk, lifetimeMax, 1));
        Assert.StartsWith(expected, problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Limits_that_nothing_keeps_are_refused_with_one_line()
    {
        (int code, string output, string error) = await RunAsync("advise", "--late", "2s", "--false-alarms-per-device-year", "5");

        Assert.Equal((ExitCode.BadInput, ""), (code, output));
        Assert.Matches(@"\Ano settings keep these limits; the nearest of \d+: .+\n?\z", error);
    }

    [Fact]
    public async Task Score_without_a_scenario_takes_the_one_that_comes_along_and_writes_table_and_chart()
    {
        (int code, string output, string error) = await RunAsync("score", "--out", folder);

        Assert.True(code == ExitCode.Done, error);
        Assert.Contains("heartbeat missed 2", output, StringComparison.Ordinal);
        Assert.Contains("false alarms per device-year", output, StringComparison.Ordinal);
        string page = await File.ReadAllTextAsync(Path.Combine(folder, "report.html"), TestContext.Current.CancellationToken);
        Assert.Contains("<h2>Detectors</h2>", page, StringComparison.Ordinal);
        Assert.Contains("lateness against false alarms against cost", page, StringComparison.Ordinal);
        Assert.True(File.Exists(Path.Combine(folder, "result.json")));
    }

    [Fact]
    public async Task A_scenario_without_detectors_is_scored_with_all_that_its_hub_can_do()
    {
        string path = Path.Combine(folder, "scenario.json");
        await File.WriteAllTextAsync(path, """
            { "runFor": "02:00:00", "hub": { "tier": "B1" }, "fleet": [ { "sdk": "c", "count": 3, "heartbeatEvery": "00:01:00" } ] }
            """, TestContext.Current.CancellationToken);
        (int code, string output, string error) = await RunAsync("score", path, "--json", "--scale", "2", "--out", folder);

        Assert.True(code == ExitCode.Done, error);
        using var json = System.Text.Json.JsonDocument.Parse(output);
        Assert.Equal(4, json.RootElement.GetProperty("detectors").GetArrayLength());
        Assert.Equal(6, json.RootElement.GetProperty("fleets")[0].GetProperty("devices").GetInt32());
    }

    [Theory]
    [InlineData("--scale", "0")]
    [InlineData("--scale", "9999999")]
    [InlineData("--seed", "-1")]
    [InlineData("--speed", "1")]
    public async Task A_score_that_cannot_be_is_refused_and_nothing_is_written(string option, string value)
    {
        string place = Path.Combine(folder, "out");
        (int code, string output, string error) = await RunAsync("score", option, value, "--out", place);

        Assert.Equal((ExitCode.BadInput, ""), (code, output));
        Assert.Single(error.Trim().Split('\n'));
        Assert.False(Directory.Exists(place));
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);

    private static List<AdviceCandidate> Search(AdviceLimits limits) =>
        new Advice(limits, (scenario, _) => Runner.Run(scenario, shards: 1).Detectors).Search(_ => { });

    private static string Shown(AdviceCandidate one) =>
        $"{one.Detector} {one.LifetimeMs} {one.HeartbeatEveryMs} {one.Tier} {one.Units} {one.UsdPerMonth} {one.MissedShare} " +
        $"{one.Result.LatenessSeconds(0.99)} {one.Result.FalseAlarms}";

    private static Task<(int ExitCode, string Output, string Error)> RunAsync(params string[] arguments) =>
        Tool.RunAsync("dotnet", [typeof(RunVerb).Assembly.Location, .. arguments]);
}
