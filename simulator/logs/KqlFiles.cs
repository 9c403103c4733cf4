using System.Runtime.CompilerServices;

namespace Agent.Logs;

/// <summary>The same queries for the real Log Analytics, one file each.</summary>
public static class KqlFiles
{
    /// <summary>Name without ending, path and text of each, by name; empty when the files are not to be found.</summary>
    public static IReadOnlyList<(string Name, string Path, string Text)> All()
    {
        string? folder = Folder();
        return folder is null
            ? []
            : [.. Directory.GetFiles(folder, "*.kql").Order(StringComparer.Ordinal)
                .Select(path => (Path.GetFileNameWithoutExtension(path), path, File.ReadAllText(path)))];
    }

    // Beside the program where they were copied along, else where this file was compiled.
    private static string? Folder([CallerFilePath] string source = "") => Array.Find(
        [Path.Combine(AppContext.BaseDirectory, "logs", "kql"), Path.Combine(Path.GetDirectoryName(source) ?? "", "kql")],
        Directory.Exists);
}
