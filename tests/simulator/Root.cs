namespace Agent.Tests.Simulator;

/// <summary>The repository's root, found upwards from the tests.</summary>
internal static class Root
{
    public static string Path { get; } = Find();

    private static string Find()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(System.IO.Path.Combine(folder, "Agent.sln")))
        {
            folder = System.IO.Path.GetDirectoryName(folder);
        }

        return folder ?? throw new InvalidOperationException("Agent.sln is not above the tests");
    }
}
