using System.Text.RegularExpressions;
using Agent.Tests.Hub;

namespace Agent.Tests.Service.Azure;

/// <summary>The Bicep file and the queries beside it.</summary>
public sealed partial class AzureTests
{
    private static readonly string Folder = Path.Combine(HubFolder.Repository(), "service", "azure");
    private static readonly string Bicep = File.ReadAllText(Path.Combine(Folder, "main.bicep"));
    private static readonly IReadOnlyList<BicepResource> Resources = BicepText.Resources(Bicep);

    // facts/iothub.md §3: documented for AzureDiagnostics and the category Connections.
    private static readonly HashSet<string> Columns =
    [
        "TimeGenerated", "ResourceProvider", "ResourceType", "Category", "OperationName", "Level", "ResultType", "ResultDescription",
        "properties_s", "_ResourceId",
    ];

    private static readonly HashSet<string> Words =
    [
        "AzureDiagnostics", "let", "where", "extend", "project", "summarize", "distinct", "order", "by", "asc", "desc", "and", "or",
        "ago", "parse_json", "tostring", "count", "dcount", "max", "arg_max", "d", "m",
    ];

    private static readonly HashSet<string> LogProperties = ["deviceId", "sdkVersion", "protocol", "authType", "maskedIpAddress"];

    public static TheoryData<string> Queries =>
        [.. Directory.GetFiles(Path.Combine(Folder, "kql")).Select(file => Path.GetFileName(file)).Order()];

    [Fact]
    public void Every_resource_is_of_a_type_and_has_properties_that_were_looked_up()
    {
        Dictionary<string, HashSet<string>> known = File
            .ReadLines(Path.Combine(HubFolder.Repository(), "tests", "golden", "azure-types.txt"))
            .Where(line => !line.StartsWith('#'))
            .Select(line => line.Split(' '))
            .ToDictionary(words => words[0], words => words.Skip(1).ToHashSet());

        foreach (BicepResource resource in Resources)
        {
            Assert.True(known.TryGetValue(resource.Type, out HashSet<string>? allowed), resource.Type);
            Assert.All(resource.Properties, property => Assert.True(allowed!.Contains(property), $"{resource.Symbol}: {property}"));
        }

        Assert.Equal(known.Keys.Order(), Resources.Select(resource => resource.Type).Distinct().Order());
        Assert.Equal(Regex.Count(Bicep, "^resource ", RegexOptions.Multiline), Resources.Count);
    }

    [Theory]
    [InlineData("retryPolicy: {", "retryPolcy: {", "properties.retryPolcy")]
    [InlineData("isSecret: true", "secret: true", "properties.destination.properties.deliveryAttributeMappings[].properties.secret")]
    [InlineData("timeAggregation: 'Average'", "aggregation: 'Average'", "properties.criteria.allOf[].aggregation")]
    [InlineData("actionGroupId: onCall.id", "actionGroup: onCall.id", "properties.actions[].actionGroup")]
    public void The_check_sees_a_property_that_does_not_exist(string right, string wrong, string path)
    {
        Assert.Contains(right, Bicep, StringComparison.Ordinal);

        IReadOnlyList<BicepResource> spoilt = BicepText.Resources(Bicep.Replace(right, wrong, StringComparison.Ordinal));

        Assert.Contains(path, spoilt.SelectMany(resource => resource.Properties));
        Assert.DoesNotContain(path, Resources.SelectMany(resource => resource.Properties));
    }

    [Fact]
    public void Every_name_that_is_used_is_declared_and_every_one_declared_is_used()
    {
        string code = BicepText.WithoutStrings(BicepText.WithoutComments(Bicep));
        string[] declared = [.. Declaration().Matches(code).Select(match => match.Groups[1].Value), "query"];
        HashSet<string> builtIn =
        [
            "resourceGroup", "uniqueString", "empty", "loadTextContent", "guid", "subscriptionResourceId", "concat", "targetScope",
            "true", "false", "null", "if", "for", "in", "existing", "resource", "param", "var", "output", "string", "int", "bool",
            "description", "secure", "minLength", "minValue", "maxValue",
        ];

        string[] used = [.. Identifier().Matches(code).Where(match => !IsKeyOrMember(code, match)).Select(match => match.Value)];
        string[] unknown = [.. used.Except(declared).Except(builtIn)];

        Assert.Empty(unknown);
        string[] outputs = [.. Regex.Matches(code, @"^output (\w+)", RegexOptions.Multiline).Select(match => match.Groups[1].Value)];
        string[] leaves = ["savedQueries", "connections", "tooFewConnected", "toChecker"]; // Resources nothing else refers to.
        Assert.All(declared.Except(outputs).Except(leaves), name => Assert.True(used.Count(each => each == name) > 1, name));
    }

    [Fact]
    public void Brackets_close_and_files_it_loads_are_there()
    {
        string code = BicepText.WithoutStrings(BicepText.WithoutComments(Bicep));
        foreach ((char open, char close) in new[] { ('{', '}'), ('[', ']'), ('(', ')') })
        {
            Assert.Equal(code.Count(letter => letter == open), code.Count(letter => letter == close));
        }

        string[] loaded = [.. Regex.Matches(Bicep, @"loadTextContent\('([^']+)'\)").Select(match => match.Groups[1].Value).Order()];
        Assert.Equal(Queries.Select(row => "kql/" + row.Data).Order(), loaded);
    }

    [Fact]
    public void The_key_is_secret_and_the_numbers_are_within_what_Event_Grid_allows()
    {
        Assert.Matches(@"@secure\(\)\n@minLength\(16\)\n@description\('[^\n]*\nparam checkerKey string\n", Bicep);
        Assert.DoesNotMatch(@"^output[^\n]*checkerKey", Bicep);
        Assert.Contains("isSecret: true", Bicep, StringComparison.Ordinal);
        Assert.InRange(Number("maxDeliveryAttempts"), 1, 30);
        Assert.InRange(Number("eventTimeToLiveInMinutes"), 1, 1440);
        Assert.InRange(Number("maxEventsPerBatch"), 1, 5000);
        Assert.InRange(Number("preferredBatchSizeInKilobytes"), 1, 1024);
        Assert.InRange(Regex.Match(Bicep, "groupShortName: '([^']*)'").Groups[1].Length, 1, 12);
    }

    [Fact]
    public void The_event_types_are_the_ones_the_checker_reads() =>
        Assert.Equal(
            ["DeviceConnected", "DeviceCreated", "DeviceDeleted", "DeviceDisconnected", "DeviceTelemetry"],
            Regex.Matches(Bicep, @"'Microsoft\.Devices\.(Device\w+)'").Select(match => match.Groups[1].Value).Distinct().Order());

    [Fact]
    public async Task The_compiler_takes_it_without_a_warning()
    {
        // Not to be had from the package registries; a machine that has the Azure CLI's compiler on its path runs this.
        string bicep = Tool.Find("bicep");
        (int exitCode, string output, string error) = await Tool.RunAsync(bicep, "build", "--stdout", Path.Combine(Folder, "main.bicep"));

        Assert.Equal((0, ""), (exitCode, error));
        Assert.Contains("Microsoft.EventGrid/systemTopics/eventSubscriptions", output, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Queries))]
    public void A_query_asks_the_right_table_and_names_only_columns_that_exist_or_that_it_made(string name)
    {
        string text = File.ReadAllText(Path.Combine(Folder, "kql", name)).ReplaceLineEndings("\n");
        string code = Regex.Replace(Regex.Replace(text, "//.*$", "", RegexOptions.Multiline), "\"[^\"\n]*\"", "");
        HashSet<string> made = [.. Regex.Matches(code, @"\b([A-Za-z]\w*) = ").Select(match => match.Groups[1].Value)];
        IEnumerable<string> unknown = Regex.Matches(code, @"(?<![\w.])[A-Za-z_]\w*").Select(match => match.Value)
            .Where(word => !Columns.Contains(word) && !Words.Contains(word) && !made.Contains(word));
        IEnumerable<string> members = Regex.Matches(code, @"\.(\w+)").Select(match => match.Groups[1].Value);

        Assert.StartsWith("// ", text, StringComparison.Ordinal);
        Assert.Contains(
            "| where ResourceProvider == \"MICROSOFT.DEVICES\" and ResourceType == \"IOTHUBS\"\n", text, StringComparison.Ordinal);
        Assert.Contains("| where Category == \"Connections\"", text, StringComparison.Ordinal);
        Assert.Empty(unknown);
        Assert.All(members, member => Assert.Contains(member, LogProperties));
        Assert.Equal(code.Count(letter => letter == '('), code.Count(letter => letter == ')'));
    }

    [Fact]
    public void The_README_names_every_query_and_every_parameter_it_shows_exists()
    {
        string readme = File.ReadAllText(Path.Combine(Folder, "README.md"));

        Assert.All(Queries, row => Assert.Contains($"(kql/{row.Data})", readme, StringComparison.Ordinal));
        Assert.All(
            Regex.Matches(readme, @"\b([a-z]\w+)=").Select(match => match.Groups[1].Value),
            name => Assert.Matches($@"(?m)^param {name} ", Bicep));
    }

    private static int Number(string property) => int.Parse(Regex.Match(Bicep, property + @": (\d+)").Groups[1].Value);

    // "name:" in an object is a key, ".name" a member; "? a : b" has a space before its colon.
    private static bool IsKeyOrMember(string code, Match match)
    {
        int end = match.Index + match.Length;
        return (match.Index > 0 && code[match.Index - 1] == '.') || (end < code.Length && code[end] == ':' && !IsLoopOver(code, match));
    }

    private static bool IsLoopOver(string code, Match match) => code[..match.Index].EndsWith(" in ", StringComparison.Ordinal);

    [GeneratedRegex(@"^(?:param|var|resource|output) (\w+)", RegexOptions.Multiline)]
    private static partial Regex Declaration();

    [GeneratedRegex(@"\b[a-zA-Z_]\w*")]
    private static partial Regex Identifier();
}
