using System.Text;
using System.Text.Json;
using Agent.Core;

namespace Agent.Tests.Core;

/// <summary>Our reader against .NET's own, which is the second opinion here.</summary>
public sealed class JsonReaderTests
{
    private static readonly string[] Documents =
    [
        "{}", "[]", "null", "true", "-0", "\"\"", " { \"a\" : [ 1 , -2.50 , 3e2 , 4E-1 ] } ", "[[[[[]]]],{}]",
        "{\"a\":{\"b\":{\"c\":[{},[],\"x\",null,false]}},\"d\":0}",
        "{\"te\\u0078t\":\"a\\\"b\\\\c\\/\\b\\f\\n\\r\\t\\u00e9 ü\"}",
        "{\"desired\":{\"agent\":{\"token\":{\"lifetimeSeconds\":3600}},\"$version\":7},\"reported\":{\"$version\":1}}",
    ];

    private static readonly string[] NotJson =
    [
        "", " ", "{", "}", "[", "]", "{]", "[}", "{,}", "[,]", "[1,]", "{\"a\":1,}", "{\"a\"}", "{\"a\":}", "{a:1}", "{'a':1}",
        "[1 2]", "{\"a\":1 \"b\":2}", "01", "-", "1.", ".5", "+1", "1e", "1e+", "0x10", "NaN", "Infinity", "-Infinity", "tru",
        "truely", "nulll", "\"", "\"a", "\"\\x\"", "\"\\u12g4\"", "\"a\nb\"", "1 1", "{} {}", "[1]]", "// c\n1", "\"\\\"",
    ];

    [Fact]
    public void What_is_JSON_is_read_to_its_end()
    {
        Assert.All(Documents, text => Assert.True(IsJson(Encoding.UTF8.GetBytes(text)), text));
    }

    [Fact]
    public void What_is_not_JSON_is_an_error()
    {
        Assert.All(NotJson, text => Assert.False(IsJson(Encoding.UTF8.GetBytes(text)), text));
    }

    [Fact]
    public void Every_true_prefix_of_an_object_is_an_error()
    {
        foreach (string text in Documents.Where(text => text.TrimStart()[0] is '{' or '['))
        {
            byte[] bytes = Encoding.UTF8.GetBytes(text.Trim());
            for (int length = 0; length < bytes.Length; length++)
            {
                Assert.False(IsJson(bytes[..length]), text[..Math.Min(length, text.Length)]);
            }
        }
    }

    [Fact]
    public void A_hundred_thousand_mutations_are_judged_as_the_other_reader_judges_them()
    {
        SeededRandom random = new(11);
        for (int i = 0; i < 100_000; i++)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(Documents[random.Next(Documents.Length)]);
            for (int change = random.Next(3); change >= 0; change--)
            {
                const string Alphabet = "{}[],:\"\\0123456789.eE+-truefalsn u \n";
                bytes[random.Next(bytes.Length)] = (byte)Alphabet[random.Next(Alphabet.Length)];
            }

            // Ours does not check that text is valid UTF-8: it is never passed on.
            bool theirs = IsJsonTo(bytes) || !IsUtf8(bytes);
            Assert.True(theirs == IsJson(bytes) || !IsUtf8(bytes), Encoding.UTF8.GetString(bytes));
        }
    }

    [Fact]
    public void Nesting_deeper_than_the_reader_can_count_is_an_error_and_not_a_crash()
    {
        Assert.True(IsJson(Encoding.UTF8.GetBytes(new string('[', 30) + new string(']', 30))));
        Assert.False(IsJson(Encoding.UTF8.GetBytes(new string('[', 31) + new string(']', 31))));
        Assert.False(IsJson(Encoding.UTF8.GetBytes(new string('[', 100_000))));
    }

    [Theory]
    [InlineData("3600", true, 3600)]
    [InlineData("3600.000", true, 3600)]
    [InlineData("-5", true, -5)]
    [InlineData("3600.5", false, 0)]
    [InlineData("36e2", false, 0)]
    [InlineData("922337203685477580", true, 922337203685477580)]
    [InlineData("92233720368547758089", false, 0)]
    [InlineData("1000000000000000000000000000000000000000000000", false, 0)]
    public void Whole_numbers_are_told_from_others(string text, bool isWhole, long value)
    {
        JsonReader reader = new();
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        reader.Start(bytes, 0, bytes.Length);
        Assert.Equal(JsonToken.Number, reader.Next());
        Assert.Equal(isWhole, reader.IsWhole);
        Assert.True(!isWhole || reader.Whole == value);
    }

    [Fact]
    public void A_name_is_compared_with_its_escapes_resolved_and_shown_without_anything_dangerous()
    {
        JsonReader reader = new();
        byte[] bytes = Encoding.UTF8.GetBytes("{\"\\u0061gent\":1,\"a\\\"b\\u0007c\":2}");
        reader.Start(bytes, 0, bytes.Length);
        reader.Next();
        Assert.Equal(JsonToken.Name, reader.Next());
        Assert.True(reader.TextIs("agent"));
        Assert.False(reader.TextIs("agen"));
        Assert.False(reader.TextIs("agents"));
        reader.Next();
        reader.Next();
        Assert.Equal("a?b?c", reader.ShownText(24));
        Assert.Equal("a?", reader.ShownText(2));
    }

    private static bool IsJson(byte[] bytes)
    {
        JsonReader reader = new();
        byte[] around = [0xEE, .. bytes, (byte)'}'];
        reader.Start(around, 1, bytes.Length);
        for (int i = 0; i < (2 * bytes.Length) + 4; i++)
        {
            switch (reader.Next())
            {
                case JsonToken.End: return true;
                case JsonToken.Error: return false;
            }
        }

        throw new InvalidOperationException("the reader does not come to an end");
    }

    private static bool IsJsonTo(byte[] bytes)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(bytes);
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static bool IsUtf8(byte[] bytes) =>
        !Encoding.UTF8.GetString(bytes).Contains('\uFFFD') && !Encoding.UTF8.GetString(bytes).Contains("\\u");
}
