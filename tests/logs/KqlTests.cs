using System.Text.RegularExpressions;
using Agent.Logs;
using Agent.Tests.Hub;

namespace Agent.Tests.Logs;

/// <summary>The queries for the real Log Analytics: right table, right category, and no column that does not exist.</summary>
public sealed partial class KqlTests
{
    // facts/iothub.md §3: documented for AzureDiagnostics and the category Connections.
    private static readonly HashSet<string> Columns =
    [
        "TimeGenerated", "ResourceProvider", "ResourceType", "Category", "OperationName", "Level", "ResultType", "ResultDescription",
        "properties_s", "_ResourceId",
    ];

    private static readonly HashSet<string> Properties = ["deviceId", "sdkVersion", "protocol", "authType", "maskedIpAddress"];

    private static readonly HashSet<string> Words =
    [
        "AzureDiagnostics", "let", "where", "extend", "project", "summarize", "order", "by", "asc", "desc", "and", "or", "not", "in",
        "ago", "parse_json", "tostring", "iff", "prev", "next", "real", "null", "isnull", "count", "countif", "dcount", "percentile",
        "take_any", "datetime_diff",
    ];

    public static TheoryData<string> Names => [.. KqlFiles.All().Select(file => file.Name)];

    [Fact]
    public void There_is_one_for_every_query_and_one_that_explains() =>
        Assert.Equal(["all", "device", "disconnects", "errors", "explain", "sdk"], KqlFiles.All().Select(file => file.Name));

    [Theory]
    [MemberData(nameof(Names))]
    public void It_asks_the_right_table_for_the_right_category_and_says_what_for(string name)
    {
        string text = Text(name);

        Assert.StartsWith("// ", text, StringComparison.Ordinal);
        Assert.Single(Regex.Matches(text, "^AzureDiagnostics$", RegexOptions.Multiline));
        Assert.Contains("Category == \"Connections\"", text, StringComparison.Ordinal);
        Assert.Contains("ResourceProvider == \"MICROSOFT.DEVICES\" and ResourceType == \"IOTHUBS\"", text, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void It_names_only_columns_that_exist_or_that_it_made(string name)
    {
        string code = Literal().Replace(Comment().Replace(Text(name), ""), "");
        HashSet<string> made = [.. Made().Matches(code).Select(match => match.Groups[1].Value)];
        IEnumerable<string> unknown = Identifier().Matches(code).Select(match => match.Value)
            .Where(word => word.StartsWith("Parsed.", StringComparison.Ordinal)
                ? !Properties.Contains(word["Parsed.".Length..])
                : !Columns.Contains(word) && !Words.Contains(word) && !made.Contains(word));

        Assert.Empty(unknown);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Its_brackets_close_and_each_line_after_the_table_goes_on_with_a_pipe(string name)
    {
        string code = Literal().Replace(Comment().Replace(Text(name), ""), "");
        string[] lines = [.. code.Split('\n').Where(line => line.Trim().Length > 0).SkipWhile(line => line != "AzureDiagnostics").Skip(1)];

        Assert.Equal(code.Count(letter => letter == '('), code.Count(letter => letter == ')'));
        Assert.All(lines, line => Assert.True(
            line.StartsWith("| ", StringComparison.Ordinal) || line.StartsWith("    ", StringComparison.Ordinal)));
    }

    private static string Text(string name) =>
        File.ReadAllText(Path.Combine(HubFolder.Repository(), "simulator", "logs", "kql", name + ".kql")).ReplaceLineEndings("\n");

    [GeneratedRegex("//.*$", RegexOptions.Multiline)]
    private static partial Regex Comment();

    [GeneratedRegex("\"[^\"\n]*\"")]
    private static partial Regex Literal();

    [GeneratedRegex(@"\b([A-Za-z]\w*) = ")]
    private static partial Regex Made();

    [GeneratedRegex(@"(?<![\w.])[A-Za-z_][\w.]*")]
    private static partial Regex Identifier();
}
