using System.Text;
using System.Text.Json.Nodes;
using Agent.Hub;

namespace Agent.Tests.Hub;

public sealed class TwinTests
{
    private const long Then = 1_459_354_000_000;
    private const long Later = Then + 60_000;

    [Fact]
    public void A_new_twin_is_the_document_of_the_vendors_pages() => Assert.Equal(
        """
        {"deviceId":"X","etag":"AAAAAAAAAAE=","deviceEtag":"NTgw","status":"enabled","statusUpdateTime":"0001-01-01T00:00:00Z",
        "connectionState":"Disconnected","lastActivityTime":"0001-01-01T00:00:00Z","cloudToDeviceMessageCount":0,
        "authenticationType":"sas","x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"modelId":"","version":2,
        "properties":{"desired":{"$metadata":{"$lastUpdated":"2016-03-30T16:06:40.000Z"},"$version":1},
        "reported":{"$metadata":{"$lastUpdated":"2016-03-30T16:06:40.000Z"},"$version":1}},"capabilities":{"iotEdge":false}}
        """.ReplaceLineEndings(""),
        Text(Twin.New(Then).ServiceJson(new TwinIdentity("X") { DeviceETag = "NTgw" })));

    [Fact]
    public void Versions_and_etag_move_as_in_real_documents()
    {
        // etag counts the service's changes, version adds the reported ones (see the remarks of Twin).
        Twin twin = Twin.New(Then);
        twin = Done(twin.Patch("""{"tags":{"a":"1"}}"""u8, null, Later));
        Assert.Equal((1, 1, 3, "AAAAAAAAAAI="), (twin.DesiredVersion, twin.ReportedVersion, twin.Version, twin.ETag));
        twin = Done(twin.Patch("""{"properties":{"desired":{"b":1}},"tags":{"a":null}}"""u8, "\"AAAAAAAAAAI=\"", Later));
        Assert.Equal((2, 1, 4, "AAAAAAAAAAM="), (twin.DesiredVersion, twin.ReportedVersion, twin.Version, twin.ETag));
        twin = Done(twin.Report("""{"c":1}"""u8, Later));
        Assert.Equal((2, 2, 5, "AAAAAAAAAAM="), (twin.DesiredVersion, twin.ReportedVersion, twin.Version, twin.ETag));
        twin = Done(twin.Patch("""{"properties":{"desired":{}},"tags":{}}"""u8, "*", Later));
        Assert.Equal(5, twin.Version);
    }

    [Fact]
    public void Metadata_tells_the_last_change_at_every_level_and_removal_counts()
    {
        Twin twin = Done(Twin.New(Then).Patch(
            """{"properties":{"desired":{"config":{"every":"5m","mode":1},"list":[1,{"a":null}]}}}"""u8, null, Then));
        twin = Done(twin.Patch("""{"properties":{"desired":{"config":{"mode":null}}}}"""u8, null, Later));
        twin = Done(twin.Report("""{"battery":55}"""u8, Later));
        const string Old = "\"$lastUpdated\":\"2016-03-30T16:06:40.000Z\"";
        const string New = "\"$lastUpdated\":\"2016-03-30T16:07:40.000Z\"";

        JsonNode document = JsonNode.Parse(twin.ServiceJson(new TwinIdentity("X")))!;

        Assert.Equal(
            """
            {"config":{"every":"5m"},"list":[1,{"a":null}],"$metadata":{NEW,"$lastUpdatedVersion":3,
            "config":{NEW,"$lastUpdatedVersion":3,"every":{OLD,"$lastUpdatedVersion":2}},"list":{OLD,"$lastUpdatedVersion":2}},
            "$version":3}
            """.ReplaceLineEndings("").Replace("NEW", New, StringComparison.Ordinal).Replace("OLD", Old, StringComparison.Ordinal),
            document["properties"]!["desired"]!.ToJsonString());
        Assert.Equal(
            """{"battery":55,"$metadata":{NEW,"battery":{NEW}},"$version":2}""".Replace("NEW", New, StringComparison.Ordinal),
            document["properties"]!["reported"]!.ToJsonString());
    }

    [Fact]
    public void The_device_reads_both_sections_and_no_tags()
    {
        Twin twin = Done(Twin.New(Then).Patch("""{"tags":{"t":1},"properties":{"desired":{"d":1.0}}}"""u8, null, Then));
        twin = Done(twin.Report("""{"r":"ä"}"""u8, Then));

        Assert.Equal("""{"desired":{"d":1.0,"$version":2},"reported":{"r":"ä","$version":2}}""", Text(twin.DeviceJson()));
    }

    [Fact]
    public void A_notification_is_the_patch_and_the_version_and_a_replacement_tells_what_is_gone()
    {
        // The example of azure-iot-sdk-csharp issue 954.
        TwinResult first = Twin.New(Then).Patch("""{"properties":{"desired":{"a":1,"b":2,"o":{"x":1,"y":2}}}}"""u8, null, Then);
        Assert.Equal("""{"a":1,"b":2,"o":{"x":1,"y":2},"$version":2}""", Text(first.Notice!));
        Assert.Equal("""{"a":null,"$version":3}""", Text(
            first.Twin.Patch("""{"properties":{"desired":{"a":null}}}"""u8, null, Then).Notice!));
        TwinResult put = first.Twin.Replace("""{"properties":{"desired":{"a":1,"c":100,"o":{"x":1}}}}"""u8, null, Then);
        Assert.Equal("""{"a":1,"b":null,"o":{"x":1,"y":null},"c":100,"$version":3}""", Text(put.Notice!));
        Assert.Equal("""{"desired":{"a":1,"c":100,"o":{"x":1},"$version":3},"reported":{"$version":1}}""", Text(put.Twin.DeviceJson()));
        Assert.Null(put.Twin.Patch("""{"tags":{"a":1}}"""u8, null, Then).Notice);
    }

    [Fact]
    public void A_document_that_was_read_may_be_written_back()
    {
        Twin twin = Done(Twin.New(Then).Patch("""{"tags":{"t":1},"properties":{"desired":{"d":{"e":1}}}}"""u8, null, Then));
        Twin put = Done(twin.Replace(twin.ServiceJson(new TwinIdentity("X")), twin.ETag, Later));

        Assert.Equal("""{"desired":{"d":{"e":1},"$version":3},"reported":{"$version":1}}""", Text(put.DeviceJson()));
    }

    [Theory]
    [InlineData("AAAAAAAAAAE=", true)]
    [InlineData("\"AAAAAAAAAAE=\"", true)]
    [InlineData("W/\"AAAAAAAAAAE=\"", true)]
    [InlineData("*", true)]
    [InlineData("\"*\"", true)]
    [InlineData("", true)]
    [InlineData("\"AAAAAAAAAAI=\"", false)]
    [InlineData("abc", false)]
    public void If_Match_decides(string ifMatch, bool isDone)
    {
        TwinResult result = Twin.New(Then).Patch("""{"tags":{"a":1}}"""u8, ifMatch, Then);
        Assert.Equal(isDone, result.IsDone);
        Assert.True(isDone || result.Error.Code == 412001);
    }

    [Theory]
    [InlineData("", "reported is not valid JSON")]
    [InlineData("{", "reported is not valid JSON")]
    [InlineData("[]", "reported must be a JSON object")]
    [InlineData("null", "reported must be a JSON object")]
    [InlineData("{\"a\":NaN}", "reported is not valid JSON at byte 5")]
    [InlineData("{\"a\":1}x", "reported is not valid JSON")]
    [InlineData("{\"a\":1,\"a\":2}", "reported.a is there twice")]
    [InlineData("{\"a\":{\"b\":1,\"b\":2}}", "reported.a.b is there twice")]
    [InlineData("{\"a\":\"\\ud800\"}", "reported.a holds a string that is no Unicode text")]
    [InlineData("{\"a b\":1}", "reported.a b is a key with '.', '$', a blank or a control character")]
    [InlineData("{\"a\":{\"$version\":1}}", "reported.a.$version is a key with")]
    [InlineData("{\"a.b\":1}", "reported.a.b is a key with")]
    [InlineData("{\"a\\u0085\":1}", "reported.a? is a key with")]
    [InlineData("{\"\":1}", "reported. is an empty key")]
    [InlineData("{\"a\":4503599627370496}", "reported.a is a whole number outside")]
    [InlineData("{\"a\":99999999999999999999999}", "reported.a is a whole number outside")]
    [InlineData("{\"a\":1e999}", "reported.a is a number too large")]
    [InlineData("{\"a\":[[[[[[[[[[[1]]]]]]]]]]]}", "reported.a is nested deeper than 10 levels")]
    public void What_is_not_acceptable_is_named(string patch, string problem)
    {
        TwinResult result = Twin.New(Then).Report(Encoding.UTF8.GetBytes(patch), Then);
        Assert.Equal(TwinFault.Invalid, result.Fault);
        Assert.StartsWith(problem, Assert.Single(result.Problems), StringComparison.Ordinal);
    }

    [Fact]
    public void All_problems_are_named_and_their_number_is_bounded()
    {
        TwinResult result = Twin.New(Then).Patch(
            """{"tags":{"a b":1,"c":"TEXT"},"properties":{"desired":[]}}"""u8.ToArray() is var body
                ? Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(body).Replace("TEXT", new string('x', 4097), StringComparison.Ordinal))
                : [],
            null, Then);
        Assert.Equal(
            [
                "twin.tags.a b is a key with '.', '$', a blank or a control character",
                "twin.tags.c is longer than 4096 bytes",
                "twin.properties.desired must be a JSON object",
            ],
            result.Problems);
        Assert.Equal(400004, result.Error.Code);

        string many = string.Join(',', Enumerable.Range(0, 500).Select(i => $"\"a {i}\":1"));
        Assert.Equal(21, Twin.New(Then).Report(Encoding.UTF8.GetBytes($"{{{many}}}"), Then).Problems.Count);
    }

    [Fact]
    public void Ten_levels_fit_as_on_the_vendors_page_and_eleven_do_not()
    {
        static byte[] Nested(int levels) => Encoding.UTF8.GetBytes(
            string.Concat(Enumerable.Repeat("{\"k\":", levels + 1)) + "1" + new string('}', levels + 1));
        Assert.True(Twin.New(Then).Report(Nested(10), Then).IsDone);
        Assert.False(Twin.New(Then).Report(Nested(11), Then).IsDone);
        Assert.False(Twin.New(Then).Report(Nested(63), Then).IsDone);
        Assert.False(Twin.New(Then).Report(Nested(5000), Then).IsDone);
    }

    [Fact]
    public void Sizes_are_counted_as_on_the_vendors_page()
    {
        // Eight keys of two characters and texts of 4094: 8 x 4096 = 32768 exactly.
        static byte[] Patch(int keys, int length) => Encoding.UTF8.GetBytes("{" + string.Join(
            ',', Enumerable.Range(0, keys).Select(i => $"\"k{i}\":\"{new string('x', length)}\"")) + "}");
        Twin full = Done(Twin.New(Then).Report(Patch(8, 4094), Then));
        TwinResult over = full.Report("""{"z":true}"""u8, Then);
        Assert.Equal("reported would be 32773 bytes long, at most 32768 are allowed", Assert.Single(over.Problems));
        Assert.Same(full, over.Twin);
        Assert.True(full.Report("""{"k0":null,"z":true}"""u8, Then).IsDone);
        byte[] tags = [.. "{\"tags\":"u8, .. Patch(2, 4094), (byte)'}'];
        Assert.True(Twin.New(Then).Patch(tags, null, Then).IsDone);
        tags = [.. "{\"tags\":"u8, .. Patch(3, 4094), (byte)'}'];
        Assert.False(Twin.New(Then).Patch(tags, null, Then).IsDone);
    }

    [Fact]
    public void Merging_equals_an_independent_implementation()
    {
        var random = new Random(11);
        for (int round = 0; round < 300; round++)
        {
            Twin twin = Twin.New(Then);
            JsonObject expected = [];
            for (int step = 0; step < 12; step++)
            {
                JsonObject patch = RandomObject(random, 4);
                NaiveMerge(expected, patch);
                twin = Done(twin.Report(Encoding.UTF8.GetBytes(patch.ToJsonString()), Then + step));
            }

            JsonObject seen = JsonNode.Parse(twin.DeviceJson())!["reported"]!.AsObject();
            Assert.Equal(13, (int)seen["$version"]!);
            seen.Remove("$version");
            Assert.True(JsonNode.DeepEquals(expected, seen), $"round {round}: {expected} {seen}");
        }
    }

    [Fact]
    public void Each_value_has_the_moment_of_the_last_patch_that_named_it()
    {
        var random = new Random(12);
        for (int round = 0; round < 100; round++)
        {
            Twin twin = Twin.New(Then);
            JsonObject values = [], times = [];
            for (int step = 1; step < 12; step++)
            {
                JsonObject patch = RandomObject(random, 3);
                patch["f"] = step; // An empty patch of a service changes nothing, not even the time.
                NaiveMerge(values, patch);
                NaiveTimes(times, patch, UtcText.Of(Then + step));
                byte[] body = Encoding.UTF8.GetBytes(new JsonObject
                {
                    ["properties"] = new JsonObject { ["desired"] = patch.DeepClone() },
                }.ToJsonString());
                twin = Done(twin.Patch(body, null, Then + step));
            }

            JsonNode metadata = JsonNode.Parse(twin.ServiceJson(new TwinIdentity("X")))!["properties"]!["desired"]!["$metadata"]!;
            AssertTimes(values, times, metadata);
        }
    }

    [Fact]
    public void The_journals_copy_is_the_same_twin()
    {
        var random = new Random(13);
        Twin twin = Twin.New(Then);
        for (int step = 1; step < 40; step++)
        {
            twin = Done(twin.Report(Encoding.UTF8.GetBytes(RandomObject(random, 4).ToJsonString()), Then + step));
            twin = Done(twin.Patch("""{"tags":{"a":{"b":[1,"x",null,{"c":1.50}]}},"properties":{"desired":{"d":1e5}}}"""u8, null, Then));
        }

        byte[] state = twin.State();
        Assert.True(Twin.TryRead(state, out Twin? again));
        Assert.Equal(Text(twin.ServiceJson(new TwinIdentity("X"))), Text(again!.ServiceJson(new TwinIdentity("X"))));
        foreach (byte[] damaged in Damage.PrefixesOf(state).Concat(Damage.MutationsOf(state, 3, 2000)))
        {
            Assert.Null(Record.Exception(() => Twin.TryRead(damaged, out _)));
        }
    }

    [Fact]
    public void Damaged_bodies_never_throw_and_change_nothing_when_refused()
    {
        byte[] good = """{"tags":{"a":"\u00e4"},"properties":{"desired":{"b":{"c":[1,null,{}],"d":-1.5e3,"e":true}}}}"""u8.ToArray();
        Twin twin = Done(Twin.New(Then).Patch(good, null, Then));
        byte[] section = """{"b":{"c":[1,null,{}],"d":-1.5e3,"e":true},"f":null}"""u8.ToArray();
        foreach (byte[] body in Damage.PrefixesOf(good).Concat(Damage.MutationsOf(good, 5, 4000)))
        {
            TwinResult patch = twin.Patch(body, null, Later);
            TwinResult put = twin.Replace(body, null, Later);
            Assert.True(patch.IsDone || (ReferenceEquals(twin, patch.Twin) && patch.Problems.Count is > 0 and < 22));
            Assert.Equal(patch.IsDone, put.IsDone);
        }

        foreach (byte[] body in Damage.PrefixesOf(section).Concat(Damage.MutationsOf(section, 6, 4000)))
        {
            TwinResult result = twin.Report(body, Later);
            Assert.True(result.IsDone || ReferenceEquals(twin, result.Twin));
        }

        Assert.False(twin.Report(new byte[70_000], Later).IsDone);
        Assert.False(twin.Patch(new byte[300_000], null, Later).IsDone);
    }

    internal static JsonObject RandomObject(Random random, int depth)
    {
        JsonObject made = [];
        for (int count = random.Next(0, 5); count > 0; count--)
        {
            made[((char)('a' + random.Next(5))).ToString()] = RandomValue(random, depth);
        }

        return made;
    }

    private static JsonNode? RandomValue(Random random, int depth) => random.Next(depth > 0 ? 8 : 6) switch
    {
        0 => null,
        1 => random.Next(-5, 5),
        2 => random.Next(2) == 0,
        3 => "text " + random.Next(5),
        4 => random.NextDouble(),
        5 => new JsonArray(1, "two", null, new JsonObject { ["x"] = null }),
        _ => RandomObject(random, depth - 1),
    };

    // RFC 7386 as its pseudo-code has it.
    private static void NaiveMerge(JsonObject target, JsonObject patch)
    {
        foreach ((string key, JsonNode? value) in patch)
        {
            if (value is null)
            {
                target.Remove(key);
            }
            else if (value is JsonObject inner)
            {
                JsonObject below = target[key] as JsonObject ?? [];
                below = (JsonObject)below.DeepClone();
                NaiveMerge(below, inner);
                target[key] = below;
            }
            else
            {
                target[key] = value.DeepClone();
            }
        }
    }

    // Path by path: the moment of the last patch that has something at or below it.
    private static void NaiveTimes(JsonObject times, JsonObject patch, string now)
    {
        times["$"] = now;
        foreach ((string key, JsonNode? value) in patch)
        {
            if (value is JsonObject inner)
            {
                JsonObject below = times[key] as JsonObject ?? [];
                times[key] = null;
                NaiveTimes(below, inner, now);
                times[key] = below;
            }
            else
            {
                times[key] = new JsonObject { ["$"] = now };
            }
        }
    }

    private static void AssertTimes(JsonObject values, JsonNode times, JsonNode metadata)
    {
        Assert.Equal((string)times["$"]!, (string)metadata["$lastUpdated"]!);
        Assert.Equal(values.Count, metadata.AsObject().Count(member => member.Key[0] != '$'));
        foreach ((string key, JsonNode? value) in values)
        {
            AssertTimes(value as JsonObject ?? [], times[key]!, metadata[key]!);
        }
    }

    private static Twin Done(TwinResult result)
    {
        Assert.True(result.IsDone, string.Join("; ", result.Problems));
        return result.Twin;
    }

    private static string Text(byte[] json) => Encoding.UTF8.GetString(json);
}
