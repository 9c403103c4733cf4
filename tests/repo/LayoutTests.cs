using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Agent.Tests.Repo;

/// <summary>What must be where, and lists that are written twice because two tools read them.</summary>
public sealed partial class LayoutTests
{
    [Theory]
    [InlineData("README.md")]
    [InlineData("LICENSE")]
    [InlineData("Agent.sln")]
    [InlineData("nf.props")]
    [InlineData("Directory.Build.props")]
    [InlineData("Directory.Packages.props")]
    [InlineData("device/Agent.nfproj")]
    [InlineData("device/core/Core.csproj")]
    [InlineData("device/host/Host.csproj")]
    [InlineData("simulator/Simulator.csproj")]
    [InlineData("service/Service.csproj")]
    [InlineData("tests/run")]
    [InlineData("tests/Tests.csproj")]
    [InlineData("hardware/README.md")]
    [InlineData(".ci/run")]
    public void A_fixed_name_is_there(string name) => Assert.Contains(name, Repository.Files);

    [Fact]
    public void The_top_level_has_no_folders_but_the_fixed_ones() =>
        Repository.AssertNone(Repository.Files
            .Where(file => file.Contains('/', StringComparison.Ordinal))
            .Select(file => file[..file.IndexOf('/', StringComparison.Ordinal)])
            .Distinct()
            .Except(["device", "simulator", "service", "tests", "hardware", ".ci", ".github"]));

    [Fact]
    public void Every_project_is_in_the_solution_and_the_solution_names_no_other()
    {
        IEnumerable<string> listed = ProjectInSolution().Matches(Repository.Read("Agent.sln"))
            .Select(match => match.Groups[1].Value.Replace('\\', '/'));

        Assert.Equal(Repository.FilesEndingWith(".csproj", ".nfproj"), listed.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void The_default_build_leaves_the_firmware_out()
    {
        string solution = Repository.Read("Agent.sln");
        string firmware = FirmwareInSolution().Match(solution).Groups[1].Value;

        Assert.NotEmpty(firmware);
        Assert.DoesNotMatch(Regex.Escape(firmware) + @"\.[^\n]*\.Build\.0", solution);
    }

    [Fact]
    public void Packages_config_repeats_the_packages_of_nf_props()
    {
        XDocument props = XDocument.Parse(Repository.Read("nf.props"));
        XDocument config = XDocument.Parse(Repository.Read("device/packages.config"));
        IEnumerable<string> pinned = props.Descendants()
            .Where(element => element.Name.LocalName == "NanoPackage" && element.Attribute("Include") is not null)
            .Select(element => $"{element.Attribute("Include")?.Value} {element.Attribute("Version")?.Value}");
        IEnumerable<string> restored = config.Descendants("package")
            .Select(element => $"{element.Attribute("id")?.Value} {element.Attribute("version")?.Value}");

        Assert.NotEmpty(pinned);
        Assert.Equal(pinned.Order(StringComparer.Ordinal), restored.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Every_scenario_is_named_by_its_README_or_by_a_test()
    {
        string[] readers = [.. Repository.Files.Where(file =>
            file == "simulator/scenarios/README.md"
            || (file.StartsWith("tests/", StringComparison.Ordinal) && file.EndsWith(".cs", StringComparison.Ordinal)))];
        string named = string.Join('\n', readers.Select(Repository.Read));

        Repository.AssertNone(Repository.Files
            .Where(file => file.StartsWith("simulator/scenarios/", StringComparison.Ordinal))
            .Where(file => file.EndsWith(".json", StringComparison.Ordinal))
            .Where(file => !named.Contains(Path.GetFileName(file), StringComparison.Ordinal)));
    }

    [Fact]
    public void Every_link_between_files_resolves()
    {
        var broken = new List<string>();
        foreach (string file in Repository.FilesEndingWith(".md"))
        {
            string folder = Path.GetDirectoryName(Path.Combine(Repository.Root, file))!;
            foreach (Match link in MarkdownLink().Matches(WithoutCode(Repository.Read(file))))
            {
                string target = link.Groups[1].Value;
                bool isElsewhere = Uri.TryCreate(target, UriKind.Absolute, out Uri? address) && !address.IsFile;
                string path = Uri.UnescapeDataString(target.Split('#')[0]);
                if (!isElsewhere && path.Length > 0 && !Path.Exists(Path.Combine(folder, path)))
                {
                    broken.Add($"{file}: {target}");
                }
            }
        }

        Repository.AssertNone(broken);
    }

    private static string WithoutCode(string markdown) => CodeSpan().Replace(CodeBlock().Replace(markdown, ""), "");

    [GeneratedRegex("""= "[^"]+", "([^"]+proj)",""")]
    private static partial Regex ProjectInSolution();

    [GeneratedRegex("""nfproj", "(\{[^}]+\})""")]
    private static partial Regex FirmwareInSolution();

    [GeneratedRegex(@"\]\(\s*<?([^)\s>]+)")]
    private static partial Regex MarkdownLink();

    [GeneratedRegex(@"^\s*```.*?^\s*```", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex CodeBlock();

    [GeneratedRegex("`[^`\n]*`")]
    private static partial Regex CodeSpan();
}
