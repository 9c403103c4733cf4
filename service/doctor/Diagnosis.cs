namespace Agent.Service.Doctor;

/// <summary>What a step found.</summary>
public enum StepVerdict : byte
{
    /// <summary>Nothing wrong here.</summary>
    Good,

    /// <summary>Not wrong, but worth knowing.</summary>
    Note,

    /// <summary>Here is something that keeps the device away or will.</summary>
    Trouble,

    /// <summary>Could not be looked at.</summary>
    Unknown,
}

/// <summary>One step of the checklist.</summary>
/// <param name="Id">For programs; does not change.</param>
/// <param name="Title">The question.</param>
/// <param name="Verdict">The answer in a word.</param>
/// <param name="Finding">What was seen, a sentence or two.</param>
/// <param name="Advice">What to do about it; empty = nothing.</param>
public sealed record Step(string Id, string Title, StepVerdict Verdict, string Finding, string Advice = "");

/// <summary>All steps and what to try next.</summary>
/// <param name="DeviceId">Whom it is about.</param>
/// <param name="AtMs">When, UTC milliseconds.</param>
/// <param name="Steps">In the order of the checklist.</param>
/// <param name="Next">What to try, best first; never empty.</param>
public sealed record Diagnosis(string DeviceId, long AtMs, IReadOnlyList<Step> Steps, IReadOnlyList<string> Next)
{
    /// <summary>0 = nothing is wrong, 1 = something is, 3 = nothing could be looked at (design.md §4).</summary>
    public int ExitCode =>
        Steps.Any(step => step.Verdict == StepVerdict.Trouble) ? 1
        : Steps.All(step => step.Verdict == StepVerdict.Unknown) ? 3
        : 0;
}
