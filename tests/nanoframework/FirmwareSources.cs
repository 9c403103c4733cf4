using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Emit;

namespace Agent.Tests.NanoFramework;

/// <summary>The firmware's own source files, compiled as the board's project does it: C# 9, no nullable, the board's libraries.</summary>
internal static class FirmwareSources
{
    // DEBUG is not defined: what a release build does not contain is not what the board runs.
    private static readonly string[] Symbols = ["TRACE", "NANOFRAMEWORK_1_0"];

    public static string Root => Simulator.Root.Path;

    /// <summary>Every file of the firmware.</summary>
    public static IReadOnlyList<string> Files { get; } =
        [.. FilesOf("device/core"), .. FilesOf("device/board"), .. new[] { Path.Combine(Root, "device/Program.cs") }.Where(File.Exists)];

    /// <summary>Compiles files and texts against the board's libraries; the image is null when there are errors.</summary>
    public static (byte[]? Image, IReadOnlyList<string> Errors) Compile(
        IEnumerable<(string Path, string Text)> sources, IEnumerable<string>? libraries = null, bool allowUnsafe = false,
        params string[] symbols)
    {
        CSharpParseOptions language = new CSharpParseOptions(LanguageVersion.CSharp9).WithPreprocessorSymbols(Symbols.Concat(symbols));
        CSharpCompilation compilation = CSharpCompilation.Create(
            "Agent",
            sources.Select(source => CSharpSyntaxTree.ParseText(source.Text, language, source.Path)),
            NanoApi.References(libraries ?? NanoApi.Assemblies),
            new CSharpCompilationOptions(
                OutputKind.DynamicallyLinkedLibrary,
                optimizationLevel: OptimizationLevel.Release,
                allowUnsafe: allowUnsafe,
                deterministic: true));
        using MemoryStream image = new();
        EmitResult result = compilation.Emit(image, options: new EmitOptions(runtimeMetadataVersion: "v4.0.30319"));
        string[] errors =
        [
            .. result.Diagnostics.Where(found => found.Severity >= DiagnosticSeverity.Warning && !found.IsSuppressed)
                .Select(found => found.ToString()),
        ];
        return (result.Success ? image.ToArray() : null, errors);
    }

    public static IEnumerable<(string Path, string Text)> Read(IEnumerable<string> files) =>
        files.Select(file => (Path.GetRelativePath(Root, file), File.ReadAllText(file)));

    private static IEnumerable<string> FilesOf(string folder)
    {
        string path = Path.Combine(Root, folder);
        return Directory.Exists(path) ? Directory.GetFiles(path, "*.cs").Order(StringComparer.Ordinal) : [];
    }
}
