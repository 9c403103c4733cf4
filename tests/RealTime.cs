namespace Agent.Tests;

/// <summary>
/// Tests that watch real clocks and other people's programs. They run after everything else and one at a time, so that the
/// rest of the suite cannot make them late.
/// </summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class RealTime
{
    public const string Name = "real time";
}
