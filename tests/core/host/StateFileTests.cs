using Agent.Host;

namespace Agent.Tests.Host;

public sealed class StateFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("agent-state-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Starts_are_counted_and_heartbeat_numbers_go_on_across_restarts()
    {
        StateFile first = StateFile.Open(_folder);
        Assert.Equal(new SavedState(1, 1), first.State);
        first.UseSequence(1);
        first.UseSequence(2);
        Assert.Equal(new SavedState(2, 3), StateFile.Open(_folder).State);
    }

    [Fact]
    public void A_file_torn_at_any_byte_costs_the_counters_but_not_the_start()
    {
        StateFile.Open(_folder).UseSequence(41);
        string path = Path.Combine(_folder, "agent-state.json");
        byte[] whole = File.ReadAllBytes(path);
        for (int length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(path, whole[..length]);
            StateFile torn = StateFile.Open(_folder);
            Assert.Equal(new SavedState(1, 1), torn.State);
            Assert.EndsWith("counting starts again", torn.Problem);
        }
    }

    [Fact]
    public void What_a_power_cut_left_half_written_beside_the_file_is_not_read()
    {
        StateFile.Open(_folder).UseSequence(7);
        File.WriteAllText(Path.Combine(_folder, "agent-state.json.new"), "{\"Boots\":9");
        Assert.Equal(8, StateFile.Open(_folder).State.NextSequence);
    }

    [Theory]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("{\"Boots\":-1,\"NextSequence\":5}")]
    [InlineData("{\"Boots\":1,\"NextSequence\":0}")]
    [InlineData("{\"Boots\":1e99,\"NextSequence\":1}")]
    public void Impossible_numbers_are_not_believed(string text)
    {
        File.WriteAllText(Path.Combine(_folder, "agent-state.json"), text);
        Assert.Equal(new SavedState(1, 1), StateFile.Open(_folder).State);
    }

    [Fact]
    public void Without_a_folder_nothing_is_written()
    {
        StateFile none = StateFile.Open(null);
        none.UseSequence(5);
        Assert.Equal(new SavedState(1, 6), none.State);
    }
}
