using System.Text;
using Agent.Drive;
using Agent.Input;
using Agent.World;

namespace Agent.Tests.Drive;

/// <summary>What a run on the wire refuses to do, and where it says what it does.</summary>
[Collection(RealTime.Name)]
public sealed class WireFaultTests
{
    [Theory]
    [InlineData("dnsFail", "$.faults[0].kind: dnsFail cannot be done on the wire; allowed: networkDown, tcpDrop, ")]
    [InlineData("tlsMemory", "$.faults[0].kind: tlsMemory cannot be done on the wire; allowed: networkDown, tcpDrop, ")]
    public async Task A_fault_sockets_cannot_do_is_refused_by_name(string kind, string expected)
    {
        BadInputException problem = await Assert.ThrowsAsync<BadInputException>(() => RunAsync($$"""
            { "runFor": "00:00:01", "fleet": [ { "sdk": "c", "count": 1 } ],
              "faults": [ { "at": "00:00:00", "kind": "{{kind}}" } ] }
            """));
        Assert.StartsWith(expected, problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_readme_says_of_every_fault_how_it_is_done()
    {
        string table = File.ReadAllText(Path.Combine(Repo.Repository.Root, "simulator", "drive", "README.md"));
        Assert.All(ScenarioReader.FaultKindNames, kind => Assert.Contains($"`{kind}`", table, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Two_fleets_whose_devices_would_share_ids_are_refused()
    {
        BadInputException problem = await Assert.ThrowsAsync<BadInputException>(() => RunAsync(
            """
            { "runFor": "00:00:01", "fleet": [ { "name": "a b", "sdk": "c", "count": 1 }, { "name": "a-b", "sdk": "c", "count": 1 } ] }
            """));
        Assert.Equal("$.fleet: the devices of \"a-b\" would have the ids of another fleet's", problem.Message);
    }

    private static Task<RunResult> RunAsync(string text) => WireRun.RunAsync(
        ScenarioReader.Read(Encoding.UTF8.GetBytes(text)), cancellation: TestContext.Current.CancellationToken);
}
