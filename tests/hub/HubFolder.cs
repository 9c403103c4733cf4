using System.Runtime.CompilerServices;

namespace Agent.Tests.Hub;

/// <summary>A folder of its own for one test, gone afterwards; and the way to the golden files.</summary>
internal sealed class HubFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("agent-hub-test-").FullName;

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public static string Repository([CallerFilePath] string thisFile = "")
    {
        foreach (string start in new[] { AppContext.BaseDirectory, thisFile })
        {
            for (DirectoryInfo? at = new FileInfo(start).Directory; at is not null; at = at.Parent)
            {
                if (File.Exists(System.IO.Path.Combine(at.FullName, "Agent.sln")))
                {
                    return at.FullName;
                }
            }
        }

        throw new DirectoryNotFoundException("no folder above the tests holds Agent.sln");
    }

    public static string Golden(string name) => System.IO.Path.Combine(Repository(), "tests", "golden", name);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
