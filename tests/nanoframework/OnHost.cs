using System.Reflection;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace Agent.Tests.NanoFramework;

/// <summary>Board files that need nothing of the board, compiled for the host and called by name.</summary>
internal static class OnHost
{
    private static readonly Lazy<Assembly> Made = new(Make);

    public static Type Type(string name) => Made.Value.GetType(name, throwOnError: true)!;

    private static Assembly Make()
    {
        string[] files =
        [
            .. FirmwareSources.Files.Where(file => file.Contains("/core/", StringComparison.Ordinal)),
            .. new[] { "HmacSha256.cs", "NamedValues.cs", "Identity.cs", "BoardConfiguration.cs", "FlashCode.cs", "LargeMessage.cs" }
                .Select(name => Path.Combine(FirmwareSources.Root, "device/board", name)),
        ];
        string[] host = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator);
        CSharpCompilation compilation = CSharpCompilation.Create(
            "BoardOnHost",
            files.Select(file => CSharpSyntaxTree.ParseText(
                File.ReadAllText(file), new CSharpParseOptions(LanguageVersion.CSharp9), file)),
            host.Where(path => Path.GetFileName(path).StartsWith("System.", StringComparison.Ordinal)
                || Path.GetFileName(path) is "mscorlib.dll" or "netstandard.dll")
                .Select(path => MetadataReference.CreateFromFile(path)),
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary));
        using MemoryStream image = new();
        Assert.Empty(compilation.Emit(image).Diagnostics.Where(found => found.Severity == DiagnosticSeverity.Error));
        return Assembly.Load(image.ToArray());
    }
}
