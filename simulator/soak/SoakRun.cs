namespace Agent.Soak;

/// <summary>How one seed ended.</summary>
/// <param name="Seed">Repeats it.</param>
/// <param name="Broken">The invariant that did not hold; null = all held.</param>
/// <param name="Detail">What was seen.</param>
/// <param name="Events">Events of its world.</param>
/// <param name="Hash">Over all of them: equal for every run of the seed.</param>
/// <param name="DeviceMs">Time lived, all devices together, ms.</param>
/// <param name="Story">Plan and last events, where somebody asked.</param>
public sealed record SoakResult(
    ulong Seed, Invariant? Broken, string Detail, long Events, ulong Hash, long DeviceMs, IReadOnlyList<string> Story);

/// <summary>Runs seeds, each in a world of its own; worlds share nothing, so threads change nothing but the time it takes.</summary>
public static class SoakRun
{
    /// <summary>Lines of a story that are kept.</summary>
    public const int StoryLines = 60;

    /// <summary>One seed, both phases. A machine that throws has broken an invariant like any other.</summary>
    public static SoakResult One(ulong seed, int storyLines = 0)
    {
        SoakPlan plan = SoakPlan.Draw(seed);
        SoakWorld? world = null;
        Invariant? broken = null;
        string detail = "";
        try
        {
            world = new SoakWorld(plan, storyLines);
            world.Run();
        }
        catch (BrokenInvariantException found)
        {
            (broken, detail) = (found.Invariant, found.Detail);
        }
        catch (Exception thrown)
        {
            (broken, detail) = (Invariants.ComesToRest, $"{thrown.GetType().Name}: {thrown.Message} {FirstFrame(thrown)}");
        }

        int devices = plan.Agents.Count + plan.Fleets.Sum(fleet => fleet.Count);
        string[] story = storyLines == 0 || world is null ? [] : [.. plan.Describe(), .. world.Story];
        return new SoakResult(
            seed, broken, detail, world?.Events ?? 0, world?.Hash ?? 0, devices * (world?.NowMs ?? 0), story);
    }

    /// <summary>The first of these seeds that breaks something, with its name; null = none does.</summary>
    /// <remarks>One thread, plain types: for builds that are loaded beside this one.</remarks>
    public static string? FirstBroken(ulong from, int count)
    {
        for (ulong seed = from; seed < from + (ulong)count; seed++)
        {
            if (One(seed) is { Broken: { } broken } result)
            {
                return $"{seed} {broken.Name}: {result.Detail}";
            }
        }

        return null;
    }

    private static string FirstFrame(Exception thrown) =>
        thrown.StackTrace?.Split('\n').FirstOrDefault(line => line.Contains("Agent.", StringComparison.Ordinal))?.Trim() ?? "";
}
