using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>What the hub's README says about faults, against the code.</summary>
public sealed class HubReadmeTests
{
    [Fact]
    public void The_table_of_faults_has_a_row_for_each_kind_and_no_other()
    {
        string[] lines = File.ReadAllLines(Path.Combine(Repo.Repository.Root, "simulator", "hub", "README.md"));
        int head = Array.FindIndex(lines, line => line.StartsWith("| kind |", StringComparison.Ordinal));
        IEnumerable<string> rows = lines.Skip(head + 2).TakeWhile(line => line.StartsWith('|')).Select(line => line.Split('`')[1]);
        Assert.Equal(HubFaultKinds.All, rows);
    }
}
