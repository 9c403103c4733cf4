using System.Text.RegularExpressions;

namespace Agent.Tests.Service.Azure;

/// <summary>One resource of a Bicep file: its type, and the paths of all properties written in it.</summary>
internal sealed record BicepResource(string Symbol, string Type, bool IsExisting, IReadOnlyList<string> Properties);

/// <summary>As much of Bicep as our file uses: declarations, and the object literal of each resource. Anything else is a failure.</summary>
/// <remarks>No compiler is to be had from the package registries, so this is the check that runs everywhere; it knows shape, not
/// types.</remarks>
internal sealed partial class BicepText
{
    private readonly string text;
    private int at;

    private BicepText(string text)
    {
        this.text = text;
    }

    public static IReadOnlyList<BicepResource> Resources(string source)
    {
        string text = WithoutComments(source);
        var resources = new List<BicepResource>();
        foreach (Match match in Head().Matches(text))
        {
            var reader = new BicepText(text) { at = match.Index + match.Length };
            var properties = new List<string>();
            reader.ReadObject("", properties);
            resources.Add(new BicepResource(
                match.Groups["symbol"].Value, match.Groups["type"].Value, match.Groups["existing"].Success, properties));
        }

        return resources;
    }

    public static string WithoutComments(string source) => Comment().Replace(source.ReplaceLineEndings("\n"), "");

    /// <summary>The code with every string emptied, except for what stands in <c>${}</c>.</summary>
    public static string WithoutStrings(string code) => Literal().Replace(
        code, literal => string.Concat(Inserted().Matches(literal.Value).Select(match => $" {match.Groups[1].Value} ")));

    private void ReadObject(string path, List<string> properties)
    {
        Expect('{');
        for (SkipBlank(); Peek() != '}'; SkipBlank())
        {
            Match key = Key().Match(text, at);
            Assert.True(key.Success && key.Index == at, $"a property was expected at: {Here()}");
            at += key.Length;
            string name = key.Groups[1].Success ? key.Groups[1].Value : key.Groups[2].Value;
            string property = path.Length == 0 ? name : $"{path}.{name}";
            Assert.DoesNotContain(property, properties.Where(_ => !path.Contains("[]", StringComparison.Ordinal)));
            properties.Add(property);
            ReadValue(property, properties);
        }

        at++;
    }

    private void ReadValue(string path, List<string> properties)
    {
        SkipSpaces();
        if (Peek() == '{')
        {
            ReadObject(path, properties);
        }
        else if (Peek() == '[')
        {
            at++;
            for (SkipBlank(); Peek() != ']'; SkipBlank())
            {
                ReadValue(path + "[]", properties);
            }

            at++;
        }
        else
        {
            ReadExpression(path, properties);
        }
    }

    // To the end of the line, or of the bracket around it; an array or object at the end of "condition ? [] : [" is read as a value.
    private void ReadExpression(string path, List<string> properties)
    {
        int depth = 0;
        while (true)
        {
            char letter = Peek();
            if (letter == '\'')
            {
                at = text.IndexOf('\'', at + 1);
                Assert.True(at > 0, "a string does not end");
            }
            else if (letter is '(')
            {
                depth++;
            }
            else if (letter is ')')
            {
                depth--;
            }
            else if (depth == 0 && letter == '\n')
            {
                return;
            }
            else if (depth == 0 && letter is '[' && text[at + 1] == '\n')
            {
                ReadValue(path, properties);
                return;
            }

            at++;
        }
    }

    private char Peek()
    {
        Assert.True(at < text.Length, "the file ends within a resource");
        return text[at];
    }

    private void Expect(char letter)
    {
        Assert.True(Peek() == letter, $"'{letter}' was expected at: {Here()}");
        at++;
    }

    private void SkipSpaces()
    {
        while (Peek() == ' ')
        {
            at++;
        }
    }

    private void SkipBlank()
    {
        while (char.IsWhiteSpace(Peek()))
        {
            at++;
        }
    }

    private string Here() => text.Substring(at, Math.Min(60, text.Length - at)).ReplaceLineEndings(" ");

    [GeneratedRegex(
        @"^resource (?<symbol>\w+) '(?<type>[\w./-]+@[\w-]+)' (?<existing>existing )?= (?:\[for \w+ in \w+: )?(?:if \([^\n{]*\) )?(?=\{)",
        RegexOptions.Multiline)]
    private static partial Regex Head();

    [GeneratedRegex(@"^[ ]*//[^\n]*\n", RegexOptions.Multiline)]
    private static partial Regex Comment();

    [GeneratedRegex(@"(?:(\w+)|'([\w.]+)'):")]
    private static partial Regex Key();

    [GeneratedRegex(@"'(?:\\.|[^'\\\n])*'")]
    private static partial Regex Literal();

    [GeneratedRegex(@"\$\{([^}]*)\}")]
    private static partial Regex Inserted();
}
