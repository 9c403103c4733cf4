using Agent.Cli;
using Agent.World;

namespace Agent.Tests.Simulator;

public class ScenarioFileTests
{
    public static TheoryData<string> Files()
    {
        var files = new TheoryData<string>();
        foreach (string path in Directory.GetFiles(Path.Combine(Root.Path, "simulator", "scenarios"), "*.json"))
        {
            files.Add(Path.GetFileName(path));
        }

        return files;
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void A_scenario_holds_its_expectations_and_runs_the_same_twice(string file)
    {
        Scenario scenario = ScenarioReader.ReadFile(Path.Combine(Root.Path, "simulator", "scenarios", file));
        RunResult first = Runner.Run(scenario);
        RunResult second = Runner.Run(scenario, shards: 1);
        Assert.NotEmpty(first.Expectations);
        Assert.All(first.Expectations, expectation =>
            Assert.True(expectation.Held, $"{expectation.Text}, seen {expectation.Seen}"));
        Assert.Equal(first.EventHash, second.EventHash);
        Assert.Equal(first.Events, second.Events);
    }

    [Fact]
    public void The_result_does_not_depend_on_the_number_of_shards_but_on_the_seed()
    {
        Scenario scenario = ScenarioReader.ReadFile(Path.Combine(Root.Path, "simulator", "scenarios", "agent-spread.json"));
        scenario = scenario with { RunForMs = 14_400_000 };
        var hashes = new HashSet<string>();
        foreach (int shards in (int[])[1, 2, 3, 7])
        {
            hashes.Add(Runner.Run(scenario, shards).EventHash);
        }

        Assert.Single(hashes);
        Assert.NotEqual(hashes.Single(), Runner.Run(scenario with { Seed = scenario.Seed + 1 }, 1).EventHash);
    }

    [Fact]
    public void A_run_without_any_randomness_still_has_a_hash_of_its_own_for_each_seed()
    {
        Scenario scenario = ScenarioReader.ReadFile(Path.Combine(Root.Path, "simulator", "scenarios", "table-python.json"));
        scenario = scenario with { Fleets = [scenario.Fleets[1] with { StartSpreadMs = 0, Count = 1 }] };
        Assert.NotEqual(Runner.Run(scenario).EventHash, Runner.Run(scenario with { Seed = 99 }).EventHash);
    }
}
