using System.Reflection;
using System.Runtime.Loader;
using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace Agent.Tests.Soak;

/// <summary>The machines and the soak compiled once more, with every planted bug in them behind a switch.</summary>
/// <remarks>
/// The switches are put in here, in the text, on the way to the compiler: no build that anybody runs has them, not the firmware and
/// not the simulator, and the machines stay readable. Switches in the sources behind a compile constant were the other road; twenty
/// of them would stand in the way of every reader. A bug whose place has changed no longer fits and fails loudly.
/// </remarks>
internal sealed partial class PlantedBuild
{
    private const string Switch = """
        namespace Agent.Planted { public static class Bugs { public static int On = -1; } }
        """;

    // What a generator writes in a build proper: the call that asks the system for large pages, which a small world does without.
    private const string Generated = """
        namespace Agent.Service
        {
            public sealed unsafe partial class RowMemory
            {
                private static partial int Advise(void* address, nuint length, int advice) => 0;
            }
        }
        """;

    private const string Usings = """
        global using System; global using System.Collections.Generic; global using System.IO; global using System.Linq;
        global using System.Threading; global using System.Threading.Tasks;
        """;

    /// <summary>The pure machines and what they need, and nothing that knows a clock, a socket or a file.</summary>
    private static readonly string[] Sources =
    [
        "device/core/*.cs", "service/liveness/*.cs", "service/facts/SequenceNumber.cs", "service/alarms/Alarm.cs",
        "service/alarms/RenewalForecast.cs", "service/store/Checksum.cs", "service/store/JournalRecords.cs",
        "simulator/hub/machine/IotHub.cs",
        "simulator/hub/machine/HubOptions.cs", "simulator/hub/machine/Reason.cs", "simulator/hub/machine/LogKind.cs",
        "simulator/hub/machine/Throttle*.cs", "simulator/hub/machine/ConnectionStateView.cs", "simulator/fleet/*.cs",
        "simulator/world/Randomness.cs", "simulator/events/ConnectionStateSnapshot.cs", "simulator/soak/*.cs",
    ];

    private readonly FieldInfo bugOn;
    private readonly MethodInfo firstBroken;

    /// <param name="root">The repository.</param>
    /// <exception cref="InvalidOperationException">A bug does not fit its place any more, or the sources do not compile.</exception>
    public PlantedBuild(string root)
    {
        var options = new CSharpParseOptions(LanguageVersion.Latest);
        IEnumerable<SyntaxTree> trees = Sources
            .SelectMany(pattern => Directory.EnumerateFiles(
                Path.Combine(root, Path.GetDirectoryName(pattern)!), Path.GetFileName(pattern)))
            .Order(StringComparer.Ordinal)
            .Select(path => CSharpSyntaxTree.ParseText(Plant(root, path), options, path));
        var compilation = CSharpCompilation.Create(
            "planted",
            [.. trees, .. new[] { Switch, Generated, Usings }.Select(text => CSharpSyntaxTree.ParseText(text, options))],
            References(),
            new CSharpCompilationOptions(
                OutputKind.DynamicallyLinkedLibrary, optimizationLevel: OptimizationLevel.Release, allowUnsafe: true));
        using var image = new MemoryStream();
        Microsoft.CodeAnalysis.Emit.EmitResult result = compilation.Emit(image);
        if (!result.Success)
        {
            throw new InvalidOperationException(string.Join(
                "\n", result.Diagnostics.Where(one => one.Severity == DiagnosticSeverity.Error).Take(10)));
        }

        image.Position = 0;
        Assembly planted = new AssemblyLoadContext("planted").LoadFromStream(image);
        bugOn = planted.GetType("Agent.Planted.Bugs", throwOnError: true)!.GetField("On")!;
        firstBroken = planted.GetType("Agent.Soak.SoakRun", throwOnError: true)!.GetMethod("FirstBroken")!;
    }

    /// <summary>The first seed from 1 on that breaks something while a bug is on, and what; null = none of so many does.</summary>
    /// <param name="bug">Its place in <see cref="PlantedBug.All"/>; -1 = none.</param>
    /// <param name="seeds">How many to try.</param>
    public string? FirstBroken(int bug, int seeds)
    {
        bugOn.SetValue(null, bug);
        return (string?)firstBroken.Invoke(null, [1UL, seeds]);
    }

    private static string Plant(string root, string path)
    {
        string text = File.ReadAllText(path);
        string file = Path.GetRelativePath(root, path).Replace('\\', '/');
        for (int i = 0; i < PlantedBug.All.Count; i++)
        {
            PlantedBug bug = PlantedBug.All[i];
            if (bug.File != file)
            {
                continue;
            }

            var place = new Regex(Blank().Replace(Regex.Escape(bug.Right).Replace("\\ ", " "), @"\s+"));
            if (place.Count(text) != 1)
            {
                throw new InvalidOperationException(
                    $"'{bug.Name}' fits {place.Count(text)} places of {file}: its text in PlantedBug.cs must follow the source");
            }

            string wrong = bug.Wrong.Replace("PLANTED", $"(Agent.Planted.Bugs.On == {i})");
            text = place.Replace(text, wrong.Replace("$", "$$"));
        }

        return text;
    }

    private static IEnumerable<MetadataReference> References() =>
        ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!)
            .Split(Path.PathSeparator)
            .Where(path => Path.GetFileName(path).StartsWith("System.", StringComparison.Ordinal))
            .Select(path => MetadataReference.CreateFromFile(path));

    [GeneratedRegex(" +")]
    private static partial Regex Blank();
}
