using Agent.Cli;
using Agent.Soak;

namespace Agent.Tests.Soak;

/// <summary>The whole system under random faults. A seed that fails here is repeated by the command in the message.</summary>
public sealed class SoakTests
{
    private const int FixedSeeds = 2000;
    private const int FreshSeconds = 15;

    [Fact]
    public void Every_invariant_holds_in_the_first_seeds()
    {
        SoakReport report = SoakBatch.Run(1, FixedSeeds, TimeSpan.MaxValue);

        Assert.Equal(FixedSeeds, report.Seeds);
        AssertWell(report);
    }

    [Fact]
    public void Every_invariant_holds_in_seeds_nobody_has_tried_before()
    {
        // Other ones every day, the same all day.
        ulong from = (ulong)DateTime.UtcNow.Subtract(DateTime.UnixEpoch).TotalDays * 1_000_000;
        AssertWell(SoakBatch.Run(from, int.MaxValue, TimeSpan.FromSeconds(FreshSeconds)));
    }

    [Theory]
    [InlineData(4890)]
    [InlineData(8732)]
    public void A_link_the_hub_ends_as_the_world_ends_is_no_disagreement_while_word_of_it_is_under_way(int seed) =>
        AssertWell(SoakBatch.Run((ulong)seed, 1, TimeSpan.MaxValue));

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(42)]
    public void A_seed_lives_the_same_life_again_told_or_not(int seed)
    {
        SoakResult once = SoakRun.One((ulong)seed);
        SoakResult again = SoakRun.One((ulong)seed, SoakRun.StoryLines);

        Assert.Equal((once.Hash, once.Events), (again.Hash, again.Events));
        Assert.NotEmpty(again.Story);
    }

    [Fact]
    public void The_number_of_threads_changes_nothing_but_the_time()
    {
        SoakReport one = SoakBatch.Run(1, 60, TimeSpan.MaxValue, threads: 1);
        SoakReport five = SoakBatch.Run(1, 60, TimeSpan.MaxValue, threads: 5);

        Assert.Equal((one.Hash, one.Events, one.DeviceDays), (five.Hash, five.Events, five.DeviceDays));
        Assert.NotEqual(one.Hash, SoakBatch.Run(2, 60, TimeSpan.MaxValue).Hash);
    }

    [Fact]
    public void Seeds_differ_in_everything_and_some_are_calm()
    {
        SoakPlan[] plans = [.. Enumerable.Range(1, 300).Select(seed => SoakPlan.Draw((ulong)seed))];

        Assert.Equal(Enum.GetValues<SoakFault>(), plans.SelectMany(plan => plan.Faults).Distinct().Order());
        Assert.Contains(plans, plan => plan.Faults.Count == 0);
        Assert.Contains(plans, plan => plan.HubUptimeMs > int.MaxValue);
        Assert.Equal(
            Agent.Fleet.SdkCatalog.All.Select(sdk => sdk.Id).Except(["agent"]).Order(),
            plans.SelectMany(plan => plan.Fleets).Select(fleet => fleet.Sdk).Distinct().Order());
    }

    [Fact]
    public void Every_invariant_has_a_name_of_its_own_and_a_sentence()
    {
        Assert.Equal(Invariants.All.Count, Invariants.All.Select(one => one.Name).Distinct().Count());
        Assert.All(Invariants.All, one => Assert.EndsWith(".", one.Statement));
        Assert.Equal(
            typeof(Invariants).GetFields().Select(field => ((Invariant)field.GetValue(null)!).Name).Order(),
            Invariants.All.Select(one => one.Name).Order());
    }

    private static void AssertWell(SoakReport report) => Assert.True(
        report.Failures.Count == 0,
        string.Join("\n", report.Failures.Take(5).Select(one => $"{one.Broken!.Name}: {one.Detail}; repeat: {SoakVerb.Repeat(one.Seed)}")));
}
