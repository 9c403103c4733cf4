using System.Reflection;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace Agent.Tests.NanoFramework;

/// <summary>The tests of core that also run on the board's CLR (device/tests): they build for it, and they pass here.</summary>
public sealed class CoreChecksTests
{
    private static readonly string[] Libraries =
        ["mscorlib", "nanoFramework.System.Collections", "nanoFramework.System.Text", "nanoFramework.TestFramework"];

    private static IEnumerable<string> Sources =>
    [
        .. FirmwareSources.Files.Where(file => file.Contains("/core/", StringComparison.Ordinal)),
        Path.Combine(FirmwareSources.Root, "device/board/HmacSha256.cs"),
        Path.Combine(FirmwareSources.Root, "device/tests/CoreChecks.cs"),
    ];

    public static TheoryData<string> Methods() =>
        new(Fixture.Value.GetMethods().Where(method => method.CustomAttributes.Any(Marks)).Select(method => method.Name));

    [Fact]
    public void They_build_as_an_assembly_of_nanoFramework_TestFramework()
    {
        (byte[]? image, IReadOnlyList<string> errors) = FirmwareSources.Compile(FirmwareSources.Read(Sources), Libraries);
        Assert.Empty(errors);
        Assert.Empty(IlRules.Check(image!));
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public void They_pass_on_the_host(string method) =>
        Fixture.Value.GetMethod(method)!.Invoke(Activator.CreateInstance(Fixture.Value), null);

    private static bool Marks(CustomAttributeData attribute) => attribute.AttributeType.Name == "TestMethodAttribute";

    private static readonly Lazy<Type> Fixture = new(() =>
    {
        const string Framework = """
            namespace nanoFramework.TestFramework
            {
                public class TestClassAttribute : System.Attribute { }
                public class TestMethodAttribute : System.Attribute { }
                public static class Assert
                {
                    public static void AreEqual(object expected, object actual, string message = "")
                    {
                        if (!Equals(expected, actual))
                            throw new System.Exception("expected " + expected + ", is " + actual + " " + message);
                    }
                    public static void IsTrue(bool condition, string message = "") => AreEqual(true, condition, message);
                    public static void IsFalse(bool condition, string message = "") => AreEqual(false, condition, message);
                    public static void IsNull(object value, string message = "") => AreEqual(null, value, message);
                }
            }
            """;
        string[] host = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator);
        CSharpParseOptions language = new(LanguageVersion.CSharp9);
        CSharpCompilation compilation = CSharpCompilation.Create(
            "CoreChecksOnHost",
            Sources.Select(file => CSharpSyntaxTree.ParseText(File.ReadAllText(file), language, file))
                .Append(CSharpSyntaxTree.ParseText(Framework, language)),
            host.Where(path => Path.GetFileName(path).StartsWith("System.", StringComparison.Ordinal))
                .Select(path => MetadataReference.CreateFromFile(path)),
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary));
        using MemoryStream image = new();
        Assert.Empty(compilation.Emit(image).Diagnostics.Where(found => found.Severity == DiagnosticSeverity.Error));
        return Assembly.Load(image.ToArray()).GetType("Agent.CoreTests.CoreChecks", throwOnError: true)!;
    });
}
