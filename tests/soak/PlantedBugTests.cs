using Agent.Tests.Repo;

namespace Agent.Tests.Soak;

/// <summary>Whether the soak can fail: every planted bug must turn it red.</summary>
public sealed class PlantedBugTests
{
    private const int SeedsMax = 1000;

    private static readonly Lazy<PlantedBuild> Build = new(() => new PlantedBuild(Repository.Root));

    // One switch for all, so that one bug at a time is on.
    private static readonly Lock Turn = new();

    public static TheoryData<int, string> Bugs()
    {
        var bugs = new TheoryData<int, string>();
        for (int i = 0; i < PlantedBug.All.Count; i++)
        {
            bugs.Add(i, PlantedBug.All[i].Name);
        }

        return bugs;
    }

    [Theory]
    [MemberData(nameof(Bugs))]
    public void A_planted_bug_is_found_within_a_thousand_seeds(int bug, string name)
    {
        lock (Turn)
        {
            string? found = Build.Value.FirstBroken(bug, SeedsMax);

            Assert.True(found is not null, $"{name}: not found in {SeedsMax} seeds");
            TestContext.Current.TestOutputHelper?.WriteLine($"{name}: seed {found}");
        }
    }

    [Fact]
    public void Without_a_bug_the_same_build_finds_nothing()
    {
        lock (Turn)
        {
            Assert.Null(Build.Value.FirstBroken(-1, 150));
        }
    }

    [Fact]
    public void There_are_bugs_of_every_machine() => Assert.Equal(
        ["device/core", "service/alarms", "service/liveness", "simulator/hub/machine"],
        PlantedBug.All.Select(bug => bug.File[..bug.File.LastIndexOf('/')]).Distinct().Order(StringComparer.Ordinal));
}
