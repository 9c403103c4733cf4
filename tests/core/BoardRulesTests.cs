using Agent.Core;

namespace Agent.Tests.Core;

public sealed class BoardRulesTests
{
    private static readonly IReadOnlySet<string> BoardMembers = File
        .ReadAllLines(Golden.PathOf("nanoframework-members.txt")).Where(line => !line.StartsWith('#')).ToHashSet();

    [Fact]
    public void Core_contains_nothing_the_board_cannot_run()
    {
        Assert.Empty(BoardRules.Check(typeof(Session).Assembly.Location, BoardMembers));
    }

    [Fact]
    public void Core_has_no_interpolated_strings()
    {
        // With strings only they compile to Concat and pass the check above; one more hole and the board lacks the member.
        string[] files = Directory.GetFiles(Path.Combine(Golden.RepositoryRoot(), "device", "core"), "*.cs");
        Assert.NotEmpty(files);
        Assert.All(files, file => Assert.DoesNotContain("$\"", File.ReadAllText(file)));
    }

    [Theory]
    [InlineData("generic: a type or method of its own")]
    [InlineData("generic: a call of a generic method")]
    [InlineData("generic: System.Func`1<System.Int32> in PlantedOffences.AFunction")]
    [InlineData("array of several dimensions: System.Int32[,] in PlantedOffences.AGrid")]
    [InlineData("stackalloc: PlantedOffences.StackMemory")]
    [InlineData("checked arithmetic: PlantedOffences.CheckedSum")]
    [InlineData("default interface method: IPlantedDefault.Answer")]
    [InlineData("enum made into an object or text: PlantedOffences.EnumText")]
    [InlineData("enum made into an object or text: PlantedOffences.BoxedEnum")]
    [InlineData("enum made into an object or text: PlantedOffences.ForeignEnumText")]
    [InlineData("not on the board: M:System.String.Replace(System.Char,System.Char)")]
    [InlineData("not on the board: P:System.DateTime.Now")]
    public void A_planted_offence_is_found(string finding)
    {
        Assert.Contains(Planted.Value, seen => seen.StartsWith(finding, StringComparison.Ordinal));
    }

    [Fact]
    public void Members_the_board_has_are_not_reported()
    {
        Assert.DoesNotContain(Planted.Value, seen => seen.Contains("StringBuilder.Append(System.Char)"));
        Assert.DoesNotContain(Planted.Value, seen => seen.Contains("System.String.Length"));
    }

    private static readonly Lazy<IReadOnlyCollection<string>> Planted =
        new(() => BoardRules.Check(typeof(PlantedOffences).Assembly.Location, BoardMembers));
}
