using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Agent.Tests.Repo;

/// <summary>The files of this repository as the laws see them: what git has or would take, and what is still on the disk.</summary>
internal static class Repository
{
    private static readonly string[] FoldersOfNobody = ["bin", "obj", "out", "node_modules", "packages", "TestResults", ".git", ".vs"];
    private static readonly Lazy<string> LazyRoot = new(() => FindRoot());
    private static readonly Lazy<IReadOnlyList<string>> LazyFiles = new(ListFiles);

    public static string Root => LazyRoot.Value;

    /// <summary>Paths below the root with '/' between the parts, in ordinal order.</summary>
    public static IReadOnlyList<string> Files => LazyFiles.Value;

    public static IEnumerable<string> FilesEndingWith(params string[] endings) =>
        Files.Where(file => endings.Any(ending => file.EndsWith(ending, StringComparison.Ordinal)));

    public static string Read(string file) => File.ReadAllText(Path.Combine(Root, file));

    public static string[] ReadLines(string file) => File.ReadAllLines(Path.Combine(Root, file));

    /// <summary>Fails with the whole list, where a collection assertion would show only its beginning.</summary>
    public static void AssertNone(IEnumerable<string> offences)
    {
        string[] all = [.. offences];
        Assert.True(all.Length == 0, $"{all.Length} found:\n{string.Join('\n', all)}");
    }

    private static string FindRoot([CallerFilePath] string source = "")
    {
        // A build may put its output outside the tree; then this file still knows where it was compiled.
        foreach (string start in new[] { AppContext.BaseDirectory, Path.GetDirectoryName(source)! })
        {
            for (DirectoryInfo? folder = new(start); folder is not null; folder = folder.Parent)
            {
                if (File.Exists(Path.Combine(folder.FullName, "Agent.sln")))
                {
                    return folder.FullName;
                }
            }
        }

        throw new InvalidOperationException("no Agent.sln above the tests or the current folder");
    }

    private static List<string> ListFiles()
    {
        IEnumerable<string> files = TryAskGit(out string listed)
            ? listed.Split('\0', StringSplitOptions.RemoveEmptyEntries)
            : WalkFolders();
        return [.. files.Where(file => File.Exists(Path.Combine(Root, file))).Distinct().Order(StringComparer.Ordinal)];
    }

    // Files not yet added count too, so that a law speaks before a commit and not after it.
    private static bool TryAskGit(out string listed)
    {
        listed = "";
        if (!Path.Exists(Path.Combine(Root, ".git")))
        {
            return false;
        }

        try
        {
            var start = new ProcessStartInfo("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            {
                WorkingDirectory = Root,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            using Process git = Process.Start(start)!;
            git.ErrorDataReceived += (_, _) => { };
            git.BeginErrorReadLine();
            listed = git.StandardOutput.ReadToEnd();
            git.WaitForExit();
            return git.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            // No git on this machine: the folders say nearly the same.
            return false;
        }
    }

    private static IEnumerable<string> WalkFolders() =>
        Directory.EnumerateFiles(Root, "*", SearchOption.AllDirectories)
            .Select(path => Path.GetRelativePath(Root, path).Replace('\\', '/'))
            .Where(file => !file.Split('/')[..^1].Any(folder => FoldersOfNobody.Contains(folder)));
}
