using System.Reflection;
using Agent.Core;

namespace Agent.Tests.Core;

public sealed class SessionTableTests
{
    [Fact]
    public void Every_state_meets_every_event_as_written_down()
    {
        Golden.Check("session.txt", SessionTable.Write());
    }

    [Fact]
    public void The_table_leaves_out_no_state_and_no_event()
    {
        SessionState[] seen = [.. SessionTable.Situations.Select(situation => situation.Make().Session.State).Distinct()];
        Assert.Equal(Enum.GetValues<SessionState>(), seen.Order());

        string[] events = [.. typeof(Session).GetMethods(BindingFlags.Public | BindingFlags.Instance)
            .Select(method => method.Name).Where(name => name.StartsWith("On")).Order()];
        Assert.Equal(events, SessionTable.Events.Select(entry => entry.Name.Split(' ')[0]).Distinct().Order());
    }

    [Fact]
    public void Every_situation_is_what_its_name_says()
    {
        Assert.All(SessionTable.Situations, situation => Assert.StartsWith(
            SessionStateText.Of(situation.Make().Session.State), situation.Name));
    }
}
