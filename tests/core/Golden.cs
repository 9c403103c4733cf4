// Expected texts that are reviewed as files under tests/golden. UPDATE_GOLDEN=1 writes what was seen instead of
// comparing; the difference is then read in the commit, which is the review.
using System.Runtime.CompilerServices;

namespace Agent.Tests.Core;

internal static class Golden
{
    public static void Check(string fileName, string seen)
    {
        string path = PathOf(fileName);
        if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") == "1")
        {
            File.WriteAllText(path, seen);
        }

        Assert.True(File.Exists(path), $"{path} is missing: run once with UPDATE_GOLDEN=1");
        Assert.Equal(File.ReadAllText(path), seen, ignoreLineEndingDifferences: true);
    }

    public static string PathOf(string fileName) => Path.Combine(RepositoryRoot(), "tests", "golden", fileName);

    /// <summary>Up from the program, or, when it was built elsewhere, up from this source file.</summary>
    public static string RepositoryRoot([CallerFilePath] string thisFile = "")
    {
        foreach (string start in new[] { AppContext.BaseDirectory, thisFile })
        {
            for (DirectoryInfo? at = new FileInfo(start).Directory; at != null; at = at.Parent)
            {
                if (File.Exists(Path.Combine(at.FullName, "Agent.sln")))
                {
                    return at.FullName;
                }
            }
        }

        throw new DirectoryNotFoundException("no folder above the tests holds Agent.sln");
    }
}
