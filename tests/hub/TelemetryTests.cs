using System.Text;
using System.Text.Json;
using Agent.Hub;

namespace Agent.Tests.Hub;

public sealed class TelemetryTests
{
    [Theory]
    [InlineData("devices/d/messages/events/", PublishKind.Telemetry, "")]
    [InlineData("devices/d/messages/events", PublishKind.Telemetry, "")]
    [InlineData("devices/d/messages/events/a=b&%24.mid=5", PublishKind.Telemetry, "a=b&%24.mid=5")]
    [InlineData("devices/d/messages/events/a=b/", PublishKind.Telemetry, "a=b")]
    [InlineData("devices/d/messages/events/$.ct=application/json", PublishKind.Telemetry, "$.ct=application/json")]
    [InlineData("$iothub/twin/GET/?$rid=7", PublishKind.TwinGet, "7")]
    [InlineData("$iothub/twin/PATCH/properties/reported/?$rid=8", PublishKind.TwinPatch, "8")]
    [InlineData("$iothub/methods/res/200/?$rid=9", PublishKind.MethodResponse, "200/?$rid=9")]
    [InlineData("devices/D/messages/events/", PublishKind.Unknown, null)]
    [InlineData("devices/d2/messages/events/", PublishKind.Unknown, null)]
    [InlineData("devices/d/messages/eventsx", PublishKind.Unknown, null)]
    [InlineData("devices/d/messages/devicebound/", PublishKind.Unknown, null)]
    [InlineData("devices/d/modules/m/messages/events/", PublishKind.Unknown, null)]
    [InlineData("$iothub/twin/PUT/?$rid=7", PublishKind.Unknown, null)]
    [InlineData("a", PublishKind.Unknown, null)]
    public void A_topic_is_read_into_a_kind_and_the_rest(string topic, PublishKind kind, string? rest)
    {
        Assert.Equal(kind, Telemetry.Parse(Encoding.UTF8.GetBytes(topic), "d"u8, default, out ReadOnlySpan<byte> found));
        Assert.True(rest is null || Encoding.UTF8.GetString(found) == rest);
    }

    [Fact]
    public void A_module_has_a_topic_of_its_own()
    {
        Assert.Equal(
            PublishKind.Telemetry,
            Telemetry.Parse("devices/d/modules/m/messages/events/x=1"u8, "d"u8, "m"u8, out ReadOnlySpan<byte> bag));
        Assert.Equal("x=1", Encoding.UTF8.GetString(bag));
        Assert.Equal(PublishKind.Unknown, Telemetry.Parse("devices/d/messages/events/"u8, "d"u8, "m"u8, out _));
    }

    [Theory]
    [InlineData("", "[]")]
    [InlineData("a=1&b=2", "[a:1],[b:2]")]
    [InlineData("a%20b=c%26d%3De", "[a b:c&d=e]")]
    [InlineData("key&empty=", "[key:(null)],[empty:]")]
    [InlineData("%24.ct=application%2Fjson%3Bcharset%3Dutf-8&$.ce=utf-8", "[$.ct:application/json;charset=utf-8],[$.ce:utf-8]")]
    [InlineData("a=b=c", "[a:b=c]")]
    [InlineData("a=1+1", "[a:1+1]")]
    [InlineData("a=100%&b=%zz&c=%4", "[a:100%],[b:%zz],[c:%4]")]
    [InlineData("a=%ff", "[a:\ufffd]")]
    [InlineData("&&a=1&", "[a:1]")]
    [InlineData("=1", "[:1]")]
    public void A_property_bag_is_decoded_leniently(string bag, string expected)
    {
        IEnumerable<string> seen = Telemetry.ReadBag(Encoding.UTF8.GetBytes(bag), retain: false)
            .Select(property => $"[{property.Key}:{property.Value ?? "(null)"}]");

        Assert.Equal(expected == "[]" ? "" : expected, string.Join(',', seen));
    }

    [Fact]
    public void Retain_becomes_a_property() =>
        Assert.Equal(
            new KeyValuePair<string, string?>("mqtt-retain", "true"),
            Assert.Single(Telemetry.ReadBag(default, retain: true)));

    [Fact]
    public void The_size_limit_counts_the_body_property_values_and_the_names_of_application_properties()
    {
        const int Max = Telemetry.MessageLengthMax;
        Assert.True(Telemetry.IsWithinLimit(default, Max));
        Assert.False(Telemetry.IsWithinLimit(default, Max + 1));

        // name 2 + value 1, escaped to three times that; the system property counts by its value only
        Assert.True(Telemetry.IsWithinLimit("%61%62=%63&%24.mid=x"u8, Max - 4));
        Assert.False(Telemetry.IsWithinLimit("%61%62=%63&%24.mid=x"u8, Max - 3));
    }

    [Fact]
    public void Damaged_topics_never_throw()
    {
        byte[] good = "devices/d/messages/events/a%20b=c%26d&%24.mid=5&%24.ct=application%2Fjson"u8.ToArray();
        foreach (byte[] topic in Damage.PrefixesOf(good).Concat(Damage.MutationsOf(good, seed: 4, count: 20_000)))
        {
            if (Telemetry.Parse(topic, "d"u8, default, out ReadOnlySpan<byte> bag) == PublishKind.Telemetry)
            {
                Telemetry.ReadBag(bag, retain: true);
                Telemetry.IsWithinLimit(bag, Telemetry.MessageLengthMax);
            }

            Subscriptions.Parse(topic, "d"u8, default);
        }
    }

    [Theory]
    [InlineData("devices/d/messages/devicebound/#", TopicFlags.DeviceBound)]
    [InlineData("$iothub/twin/res/#", TopicFlags.TwinResponse)]
    [InlineData("$iothub/twin/PATCH/properties/desired/#", TopicFlags.DesiredPatch)]
    [InlineData("$iothub/methods/POST/#", TopicFlags.Methods)]
    [InlineData("$iothub/twin/#", TopicFlags.TwinAll)]
    [InlineData("#", TopicFlags.None)]
    [InlineData("devices/#", TopicFlags.None)]
    [InlineData("devices/d2/messages/devicebound/#", TopicFlags.None)]
    [InlineData("devices/+/messages/devicebound/#", TopicFlags.None)]
    [InlineData("devices/d/messages/events/#", TopicFlags.None)]
    [InlineData("$iothub/#", TopicFlags.None)]
    public void Only_the_documented_filters_are_known(string filter, TopicFlags expected) =>
        Assert.Equal(expected, Subscriptions.Parse(Encoding.UTF8.GetBytes(filter), "d"u8, default));

    [Theory]
    [InlineData("devices/d/modules/m/#", TopicFlags.ModuleInputs)]
    [InlineData("devices/d/modules/m/inputs/#", TopicFlags.ModuleInputs)]
    [InlineData("devices/d/modules/x/inputs/#", TopicFlags.None)]
    public void A_module_receives_on_its_own_filters(string filter, TopicFlags expected) =>
        Assert.Equal(expected, Subscriptions.Parse(Encoding.UTF8.GetBytes(filter), "d"u8, "m"u8));

    [Fact]
    public void Five_subscriptions_fit_and_six_do_not()
    {
        Assert.True(Subscriptions.Fits((TopicFlags)0b1_1111));
        Assert.False(Subscriptions.Fits((TopicFlags)0b11_1111));
    }

    [Fact]
    public void The_ring_keeps_the_newest_and_cuts_long_bodies()
    {
        Device device = new Registry("localhost").Add("d", Registry.NewKey(), []);
        var ring = new TelemetryRing();
        for (int i = 0; i < TelemetryRing.CountMax; i++)
        {
            ring.Add(device, 0, "n=old"u8, retain: false, default);
        }

        ring.Add(device, 1_000, "n=new&n=twice&%24.mid=7&bare"u8, retain: true, new byte[5000]);

        using var output = new MemoryStream();
        ring.WriteJson(output);
        JsonElement[] messages = [.. JsonDocument.Parse(output.ToArray()).RootElement.EnumerateArray()];
        Assert.Equal(TelemetryRing.CountMax, messages.Length);
        JsonElement last = messages[^1];
        Assert.Equal("1970-01-01T00:00:01Z", last.GetProperty("enqueuedTime").GetString());
        Assert.Equal("""{"n":"new","bare":null,"mqtt-retain":"true"}""", last.GetProperty("properties").GetRawText());
        Assert.Equal("""{"$.mid":"7"}""", last.GetProperty("systemProperties").GetRawText());
        Assert.Equal(5000, last.GetProperty("bodyLength").GetInt32());
        Assert.Equal(TelemetryRing.BodyLengthMax, last.GetProperty("body").GetBytesFromBase64().Length);
    }
}
