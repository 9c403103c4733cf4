namespace Agent.Tests.Service.Page;

/// <summary>The system's browser: Debian's package, which tests/run installs, or another Chromium of the same name.</summary>
internal static class Chromium
{
    /// <summary>What a skipped test says.</summary>
    public const string WhyNot = "no chromium on the path; Debian's package has it, and tests/run installs that as root";

    /// <summary>Where it is; null = nowhere.</summary>
    public static string? Path { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(System.IO.Path.PathSeparator)
        .SelectMany(folder => new[] { "chromium", "chromium-browser", "google-chrome" }
            .Select(name => System.IO.Path.Combine(folder, name)))
        .FirstOrDefault(File.Exists);
}
