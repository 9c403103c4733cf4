using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace Agent.Tests.NanoFramework;

// The board's libraries cannot be restored everywhere, but what they offer is known to the letter: golden/nf-api lists every
// public member with its types. So the lists are made into C# declarations without bodies, the declarations into reference
// assemblies, and the firmware is compiled against those alone. What the compiler then accepts is what the board's own
// compiler would accept: overloads are chosen from the board's, not from the host's.
//
// Not chosen: looking up each member the firmware names in the lists. That would need the host's library to find out what is
// named, and the host's has more overloads: `text.Append(number)` would bind to one the board lacks.

/// <summary>Reference assemblies made from the API lists; they can be compiled against, not run.</summary>
internal static class NanoApi
{
    /// <summary>The assemblies in an order in which each needs only earlier ones.</summary>
    private static readonly string[] Order =
    [
        "mscorlib", "nanoFramework.Runtime.Native", "nanoFramework.System.Collections", "nanoFramework.System.Text", "System.Math",
        "nanoFramework.Runtime.Events", "System.Threading", "System.IO.Streams", "System.IO.FileSystem", "System.Net",
        "System.Device.Wifi", "System.Device.Gpio", "nanoFramework.System.Security.Cryptography", "nanoFramework.Networking.Sntp",
        "nanoFramework.Hardware.Esp32", "nanoFramework.Json", "nanoFramework.Logging", "nanoFramework.M2Mqtt.Core",
        "nanoFramework.M2Mqtt", "nanoFramework.Azure.Devices.Client", "nanoFramework.TestFramework",
    ];

    private static readonly Lazy<IReadOnlyDictionary<string, CSharpCompilation>> Made = new(Make);

    /// <summary>Names of the assemblies that lists exist for.</summary>
    public static IReadOnlyList<string> Assemblies => Order;

    /// <summary>References to the named assemblies and to everything before them that they need.</summary>
    public static MetadataReference[] References(IEnumerable<string> assemblies) =>
        [.. assemblies.Select(name => Made.Value[name].ToMetadataReference())];

    /// <summary>
    /// What the compiler says about the declarations themselves. An interface that a class implements out of sight, or a base
    /// class without a plain constructor, is not in the lists and therefore an error here; nothing else may be.
    /// </summary>
    public static IEnumerable<string> Faults() => Made.Value.Values
        .SelectMany(assembly => assembly.GetDeclarationDiagnostics())
        .Where(fault => fault.Severity == DiagnosticSeverity.Error && !HarmlessFaults.Contains(fault.Id))
        .Select(fault => fault.ToString());

    // Members that are not public: explicit interface implementations (CS0535, CS0738), hidden base constructors (CS1729, CS7036);
    // and abstract members implemented by an override, which the lists call virtual (CS0533, CS0534).
    private static readonly HashSet<string> HarmlessFaults = ["CS0535", "CS0738", "CS1729", "CS7036", "CS0533", "CS0534"];

    private static Dictionary<string, CSharpCompilation> Make()
    {
        Dictionary<string, CSharpCompilation> made = [];
        foreach (string name in Order)
        {
            string text = NanoDeclarations.Of(File.ReadAllLines(Path.Combine(FirmwareSources.Root, "tests/golden/nf-api", name + ".txt")));
            SyntaxTree tree = CSharpSyntaxTree.ParseText(
                text, new CSharpParseOptions(LanguageVersion.Latest), name + ".g.cs", Encoding.UTF8);
            made[name] = CSharpCompilation.Create(
                name,
                [tree],
                made.Values.Select(earlier => earlier.ToMetadataReference()),
                new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, allowUnsafe: true));
        }

        return made;
    }
}
