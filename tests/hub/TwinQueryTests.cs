using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Agent.Hub;

namespace Agent.Tests.Hub;

public sealed class TwinQueryTests
{
    private const long Then = 1_459_354_000_000;

    private static readonly TwinRow[] Fleet =
    [
        Row("a1", """{"tags":{"location":{"region":"US","plant":"Redmond43"},"flag":true},"properties":{"desired":{"every":300}}}""",
            """{"every":300,"type":"wifi","none":{}}""") with { Identity = new TwinIdentity("a1") { IsConnected = true } },
        Row("a2", """{"tags":{"location":{"region":"DE"},"flag":false},"properties":{"desired":{"every":60}}}""",
            """{"every":300,"type":"cellular","list":[1]}"""),
        Row("b1", """{"tags":{"location":{"region":"US"},"n-1":{"7":"x"}}}""", "{}"),
        Row("b2", "{}", """{"type":"wired","every":"often"}""") with { Identity = new TwinIdentity("b2") { IsEnabled = false } },
    ];

    [Theory]
    [InlineData("SELECT * FROM devices", "a1 a2 b1 b2")]
    [InlineData("select deviceid from DEVICES where tags.location.region = 'US'", "a1 b1")]
    [InlineData("SELECT * FROM devices WHERE tags.location.region = \"US\" AND properties.reported.every >= 60", "a1")]
    [InlineData("SELECT * FROM devices WHERE properties.reported.type IN ['wired', 'wifi']", "a1 b2")]
    [InlineData("SELECT * FROM devices WHERE properties.reported.type NIN ['wired', 'wifi']", "a2")]
    [InlineData("SELECT * FROM devices WHERE is_defined(properties.reported.type)", "a1 a2 b2")]
    [InlineData("SELECT * FROM devices WHERE NOT IS_DEFINED(properties.reported.type)", "b1")]
    [InlineData("SELECT * FROM devices WHERE properties.desired.every = properties.reported.every", "a1")]
    [InlineData("SELECT * FROM devices WHERE properties.desired.every <> properties.reported.every", "a2")]
    [InlineData("SELECT * FROM devices WHERE NOT tags.location.region = 'US'", "a2")]
    [InlineData("SELECT * FROM devices WHERE tags.location.region != 'US' OR deviceId = 'b2'", "a2 b2")]
    [InlineData("SELECT * FROM devices WHERE (deviceId = 'a1' OR deviceId = 'b1') AND NOT (tags.flag)", "")]
    [InlineData("SELECT * FROM devices WHERE tags.flag", "a1")]
    [InlineData("SELECT * FROM devices WHERE tags.flag = false", "a2")]
    [InlineData("SELECT * FROM devices WHERE tags.flag != null", "a1 a2")]
    [InlineData("SELECT * FROM devices WHERE status = 'disabled'", "b2")]
    [InlineData("SELECT * FROM devices WHERE connectionState = 'Connected'", "a1")]
    [InlineData("SELECT * FROM devices WHERE devices.deviceId > 'a1' AND devices.deviceId < 'b2'", "a2 b1")]
    [InlineData("SELECT * FROM devices WHERE STARTSWITH(deviceId, 'a') AND endswith(deviceId, '2')", "a2")]
    [InlineData("SELECT * FROM devices WHERE CONTAINS(tags.location.plant, 'mond')", "a1")]
    [InlineData("SELECT * FROM devices WHERE tags.n-1.7 = 'x'", "b1")]
    [InlineData("SELECT * FROM devices WHERE properties.reported.none = 1 OR properties.reported.list = 1", "")]
    [InlineData("SELECT * FROM devices WHERE properties.reported.every > -1", "a1 a2")]
    [InlineData("SELECT * FROM devices WHERE properties.reported.every = 0x12C", "a1 a2")]
    [InlineData("SELECT * FROM devices WHERE properties.reported.every = 3e2", "a1 a2")]
    [InlineData("SELECT * FROM devices WHERE properties.desired.$version > 1", "a1 a2")]
    [InlineData("SELECT * FROM devices WHERE properties.reported.$metadata.type.$lastUpdated > '2016-03-30'", "a1 a2 b2")]
    [InlineData("SELECT * FROM devices WHERE lastActivityTime < '2016-03-30T00:00:00Z'", "a1 a2 b1 b2")]
    [InlineData("SELECT * FROM devices WHERE deviceId = '\\u0061\\u0031'", "a1")]
    [InlineData("SELECT TOP 3 * FROM devices", "a1 a2 b1")]
    public void Queries_of_the_vendors_page_and_their_kin_find_what_they_should(string query, string expected)
    {
        JsonArray rows = Run(query, out _);
        Assert.Equal(expected, string.Join(' ', rows.Select(row => (string)row!["deviceId"]!)));
    }

    [Fact]
    public void Projections_have_the_columns_that_are_there()
    {
        Assert.Equal(
            """
            [{"deviceId":"a1","r":"US","every":300},{"deviceId":"a2","r":"DE","every":60},{"deviceId":"b1","r":"US"},{"deviceId":"b2"}]
            """,
            Run("SELECT deviceId, tags.location.region AS r, properties.desired.every FROM devices", out string type).ToJsonString());
        Assert.Equal("Raw", type);
        Assert.Equal("""[{"n":2}]""", Run("SELECT COUNT() AS n FROM devices WHERE tags.location.region = 'US'", out _).ToJsonString());
        Assert.Equal("""[{"count":4}]""", Run("SELECT count() FROM devices", out _).ToJsonString());
        Run("SELECT * FROM devices", out type);
        Assert.Equal("Twin", type);
    }

    [Theory]
    [InlineData("", 1, "SELECT expected, found the end")]
    [InlineData("SELECT", 7, "a property or a constant expected, found the end")]
    [InlineData("SELECT * FROM", 14, "devices expected, found the end")]
    [InlineData("SELECT * FROM devices.jobs", 15, "FROM devices is what this hub serves, not FROM devices.jobs")]
    [InlineData("SELECT * FROM devices ORDER BY deviceId", 23, "IoT Hub queries have no ORDER BY")]
    [InlineData("SELECT * FROM devices WHERE tags.a = 1 ORDER BY deviceId", 40, "IoT Hub queries have no ORDER BY")]
    [InlineData("SELECT status, COUNT() FROM devices GROUP BY status", 1, "COUNT() beside other columns needs GROUP BY")]
    [InlineData("SELECT AVG(x) FROM devices", 8, "of the aggregates this hub serves a single COUNT()")]
    [InlineData("SELECT * FROM devices WHERE tag.a = 1", 29, "'tag.a' is no property of a twin; there are tags, properties, deviceId")]
    [InlineData("SELECT * FROM devices WHERE properties.a = 1", 29, "after 'properties' comes .desired or .reported")]
    [InlineData("SELECT * FROM devices WHERE tags.a = ", 38, "a property or a constant expected, found the end")]
    [InlineData("SELECT * FROM devices WHERE tags.a = 'x", 38, "a string that has no end")]
    [InlineData("SELECT * FROM devices WHERE tags.a = '\\n'", 40, "an unknown escape")]
    [InlineData("SELECT * FROM devices WHERE tags.a == 1", 37, "a property or a constant expected, found '='")]
    [InlineData("SELECT * FROM devices WHERE tags.a + 1 = 2", 36, "arithmetic is not served")]
    [InlineData("SELECT * FROM devices WHERE STARTS_WITH(deviceId, 'a')", 29, "no function 'STARTS_WITH' (in twin queries it has no underscore)")]
    [InlineData("SELECT * FROM devices WHERE tags.a IN ('x')", 39, "[ expected")]
    [InlineData("SELECT * FROM devices WHERE (tags.a = 1", 40, ") expected, found the end")]
    [InlineData("SELECT * FROM devices WHERE tags.a = 1 tags.b = 2", 40, "AND, OR or the end expected")]
    [InlineData("SELECT * FROM devices WHERE tags.a = 1e999", 38, "not a number")]
    [InlineData("SELECT * FROM devices WHERE tags.a = ; DROP TABLE devices", 38, "a character that has no meaning here (U+003B)")]
    [InlineData("SELECT TOP 0 * FROM devices", 12, "a whole number from 1 expected")]
    [InlineData("SELECT tags.a, properties.desired.a FROM devices", 16, "two columns are called 'a'")]
    public void What_is_wrong_is_told_with_its_place(string query, int column, string problem)
    {
        QueryException exception = Assert.Throws<QueryException>(() => TwinQuery.Parse(query));
        Assert.Equal(column, exception.Column);
        Assert.StartsWith($"the query is invalid at column {column}: {problem}", exception.Message, StringComparison.Ordinal);
        Assert.Equal(400004, exception.Error.Code);
    }

    [Fact]
    public void Bombs_are_refused_and_long_chains_are_not()
    {
        const string Start = "SELECT * FROM devices WHERE ";
        Assert.Throws<QueryException>(() => TwinQuery.Parse(Start + new string('(', 20_000)));
        Assert.Throws<QueryException>(() => TwinQuery.Parse(Start + string.Concat(Enumerable.Repeat("NOT (", 5_000))));
        Assert.Throws<QueryException>(() => TwinQuery.Parse(Start + new string(' ', 40_000)));
        string chain = string.Join(" OR ", Enumerable.Range(0, 1200).Select(i => $"tags.a = {i}"));
        Assert.False(TwinQuery.Parse(Start + chain).Matches(Fleet[0]));
        Assert.True(TwinQuery.Parse(Start + string.Concat(Enumerable.Repeat("NOT ", 4001)) + "tags.flag").Matches(Fleet[1]));
        Assert.Throws<QueryException>(() => TwinQuery.Parse(
            $"SELECT {string.Join(',', Enumerable.Range(0, 200).Select(i => $"tags.a{i}"))} FROM devices"));
    }

    [Fact]
    public void Hostile_text_never_throws_past_the_typed_exception()
    {
        string good = "SELECT TOP 5 deviceId, tags.a.b AS x FROM devices WHERE NOT (tags.a >= -0x1F"
            + " AND properties.reported.b IN ['x\\u00e4', 2.5e1])"
            + " OR STARTSWITH(deviceId, \"a\") AND is_defined(properties.desired.$version)";
        TwinQuery.Parse(good);
        byte[] bytes = Encoding.UTF8.GetBytes(good);
        int accepted = 0;
        foreach (byte[] damaged in Damage.PrefixesOf(bytes).Concat(Damage.MutationsOf(bytes, 8, 5000)))
        {
            try
            {
                TwinQuery query = TwinQuery.Parse(Encoding.UTF8.GetString(damaged));
                _ = Fleet.Count(row => query.Matches(row));
                accepted++;
            }
            catch (QueryException exception)
            {
                Assert.DoesNotContain('\n', exception.Message);
                Assert.True(exception.Message.Length < 600, exception.Message);
            }
        }

        Assert.InRange(accepted, 10, 4000);
    }

    [Fact]
    public void The_body_of_the_request_is_read_strictly()
    {
        Assert.NotNull(TwinQuery.ParseBody("""{"query":"SELECT * FROM devices"}"""u8));
        byte[] good = """{"query":"SELECT * FROM devices"}"""u8.ToArray();
        foreach (byte[] damaged in Damage.PrefixesOf(good).Concat(Damage.MutationsOf(good, 9, 2000)))
        {
            Exception? exception = Record.Exception(() => TwinQuery.ParseBody(damaged));
            Assert.True(exception is null or QueryException, exception?.ToString());
        }

        Assert.Throws<QueryException>(() => TwinQuery.ParseBody(Encoding.UTF8.GetBytes(new string('[', 32_000))));
        Assert.Throws<QueryException>(() => TwinQuery.ParseBody("""{"query":"\ud800"}"""u8));
    }

    [Fact]
    public void Pages_follow_each_other_without_gap_or_repeat_whatever_comes_and_goes()
    {
        TwinQuery query = TwinQuery.Parse("SELECT deviceId FROM devices WHERE is_defined(tags.x)");
        var random = new Random(4);
        SortedDictionary<string, TwinRow> fleet = new(StringComparer.Ordinal);
        for (int i = 0; i < 400; i += 2)
        {
            fleet[Id(i)] = Row(Id(i), """{"tags":{"x":1}}""", "{}");
        }

        string[] always = [.. fleet.Keys];
        List<string> seen = [];
        string? continuation = null;
        do
        {
            TwinRow[] shuffled = [.. fleet.Values];
            random.Shuffle(shuffled);
            QueryPage page = query.Page(shuffled, continuation, 7);
            Assert.InRange(page.Count, 1, 7);
            seen.AddRange(JsonNode.Parse(page.Body)!.AsArray().Select(row => (string)row!["deviceId"]!));
            continuation = page.Continuation;
            string added = Id((random.Next(200) * 2) + 1);
            fleet[added] = Row(added, """{"tags":{"x":1}}""", "{}");
        }
        while (continuation is not null);

        Assert.Equal(seen.Order(StringComparer.Ordinal), seen);
        Assert.Equal(seen.Distinct(), seen);
        Assert.Empty(always.Except(seen));

        static string Id(int i) => "d" + i.ToString("D3", CultureInfo.InvariantCulture);
    }

    [Fact]
    public void TOP_holds_over_all_pages_and_a_foreign_continuation_is_refused()
    {
        TwinQuery query = TwinQuery.Parse("SELECT TOP 3 * FROM devices");
        QueryPage first = query.Page(Fleet, null, 2);
        QueryPage second = query.Page(Fleet, first.Continuation, 2);
        Assert.Equal((2, 1), (first.Count, second.Count));
        Assert.Null(second.Continuation);
        Assert.Null(query.Page(Fleet, null, 1000).Continuation);
        Assert.Throws<QueryException>(() => TwinQuery.Parse("SELECT * FROM devices").Page(Fleet, first.Continuation, 2));
        Assert.Throws<QueryException>(() => query.Page(Fleet, null, 0));
        Assert.Throws<QueryException>(() => query.Page(Fleet, null, 1001));
        byte[] token = Encoding.ASCII.GetBytes(first.Continuation!);
        foreach (byte[] damaged in Damage.PrefixesOf(token).Concat(Damage.MutationsOf(token, 10, 2000)))
        {
            Exception? exception = Record.Exception(() => query.Page(Fleet, Encoding.Latin1.GetString(damaged), 2));
            Assert.True(exception is null or QueryException, exception?.ToString());
        }
    }

    [Fact]
    public void Filtering_equals_an_independent_implementation()
    {
        var random = new Random(21);
        TwinRow[] fleet =
            [.. Enumerable.Range(0, 60).Select(i => Row($"d{i:D2}", "{}", TwinTests.RandomObject(random, 2).ToJsonString()))];
        JsonObject[] documents = [.. fleet.Select(row => JsonNode.Parse(row.Twin.DeviceJson())!["reported"]!.AsObject())];
        int matches = 0;
        for (int round = 0; round < 400; round++)
        {
            (string text, Func<JsonObject, bool?> expected) = RandomCondition(random, 3);
            TwinQuery query = TwinQuery.Parse("SELECT * FROM devices WHERE " + text);
            for (int i = 0; i < fleet.Length; i++)
            {
                bool wanted = expected(documents[i]) == true;
                string told = $"round {round}: {text} on {documents[i].ToJsonString()}: {wanted} expected";
                Assert.True(wanted == query.Matches(fleet[i]), told);
                matches += wanted ? 1 : 0;
            }
        }

        Assert.InRange(matches, 1000, 23_000);
    }

    private static (string Text, Func<JsonObject, bool?> Expected) RandomCondition(Random random, int depth)
    {
        switch (random.Next(depth > 0 ? 7 : 4))
        {
            case 0:
                string defined = RandomPath(random);
                return ($"is_defined(properties.reported.{defined})", document => Find(document, defined, out _));
            case 1:
                string inside = RandomPath(random);
                return ($"properties.reported.{inside} IN [1, 'text 2', true]", document =>
                    Find(document, inside, out JsonNode? node) && node is JsonValue
                        ? node.ToJsonString() is "1" or "\"text 2\"" or "true"
                        : null);
            case 2 or 3:
                return RandomComparison(random);
            case 4:
                (string inner, Func<JsonObject, bool?> truth) = RandomCondition(random, depth - 1);
                return ($"NOT ({inner})", document => !truth(document));
            default:
                bool isAnd = random.Next(2) == 0;
                (string left, Func<JsonObject, bool?> first) = RandomCondition(random, depth - 1);
                (string right, Func<JsonObject, bool?> second) = RandomCondition(random, depth - 1);
                return ($"({left}) {(isAnd ? "AND" : "OR")} ({right})", document =>
                    isAnd ? first(document) & second(document) : first(document) | second(document));
        }
    }

    private static (string Text, Func<JsonObject, bool?> Expected) RandomComparison(Random random)
    {
        string path = RandomPath(random);
        string sign = new[] { "=", "!=", "<", "<=", ">", ">=" }[random.Next(6)];
        object constant = random.Next(3) switch
        {
            0 => random.Next(-5, 5),
            1 => "text " + random.Next(5),
            _ => random.Next(2) == 0,
        };
        string literal = constant is string text ? $"'{text}'" : constant.ToString()!.ToLowerInvariant();
        return ($"properties.reported.{path} {sign} {literal}", document => Compare(document, path, sign, constant));
    }

    private static bool? Compare(JsonObject document, string path, string sign, object constant)
    {
        if (!Find(document, path, out JsonNode? node) || node is not JsonValue value)
        {
            return null;
        }

        int? order = (constant, value.GetValueKind()) switch
        {
            (int number, JsonValueKind.Number) => value.GetValue<double>().CompareTo(number),
            (string text, JsonValueKind.String) => string.CompareOrdinal(value.GetValue<string>(), text),
            (bool flag, JsonValueKind.True or JsonValueKind.False) => value.GetValue<bool>() == flag ? 0 : 99,
            _ => null,
        };
        return sign switch
        {
            "=" => order == 0,
            "!=" => order != 0,
            _ when order is null || constant is bool => null,
            "<" => order < 0,
            "<=" => order <= 0,
            ">" => order > 0,
            _ => order >= 0,
        };
    }

    private static string RandomPath(Random random) => string.Join(
        '.', Enumerable.Range(0, random.Next(1, 3)).Select(_ => (char)('a' + random.Next(5))));

    private static bool Find(JsonObject document, string path, out JsonNode? found)
    {
        found = document;
        foreach (string key in path.Split('.'))
        {
            if (found is not JsonObject at || !at.TryGetPropertyValue(key, out found))
            {
                return false;
            }
        }

        return true;
    }

    private static JsonArray Run(string query, out string type)
    {
        TwinQuery parsed = TwinQuery.Parse(query);
        type = parsed.ItemType;
        return JsonNode.Parse(parsed.Page(Fleet.Reverse(), null, 1000).Body)!.AsArray();
    }

    private static TwinRow Row(string id, string service, string reported)
    {
        Twin twin = Twin.New(Then).Patch(Encoding.UTF8.GetBytes(service), null, Then).Twin;
        TwinResult result = twin.Report(Encoding.UTF8.GetBytes(reported), Then);
        Assert.True(result.IsDone);
        return new TwinRow(new TwinIdentity(id), result.Twin);
    }
}
