using Agent.Core;
using Agent.Host;

namespace Agent.Tests.Host;

public sealed class ConnectionStringTests
{
    private const string Key = "c2ltdWxhdGVkLWRldmljZS1rZXktMDEyMzQ1Njc4OWFi";
    private const string Good = $"HostName=h.azure-devices.net;DeviceId=d-1;SharedAccessKey={Key}";

    private const string BadId =
        "DeviceId is missing, longer than 128 characters or has a character that ids cannot have";

    [Fact]
    public void Names_may_come_in_any_case_and_order_and_values_may_hold_equals_signs()
    {
        Assert.True(ConnectionString.TryParse(
            "sharedaccesskey=AAA=;deviceid=a=b;HOSTNAME=localhost;GatewayHostName=edge;",
            out ConnectionString? parsed,
            out _));
        Assert.Equal(("localhost", "a=b", "edge"), (parsed.HostName, parsed.DeviceId, parsed.DialHost));
        Assert.Equal(2, parsed.Key.Length);
    }

    [Fact]
    public void Without_a_gateway_the_hub_itself_is_dialled()
    {
        Assert.True(ConnectionString.TryParse(Good, out ConnectionString? parsed, out _));
        Assert.Equal("h.azure-devices.net", parsed.DialHost);
    }

    [Theory]
    [InlineData("", "HostName is missing or not a host name")]
    [InlineData("HostName=h", BadId)]
    [InlineData("HostName=h;DeviceId=d", "SharedAccessKey is missing or not base64")]
    [InlineData("HostName=h;DeviceId=d/e;SharedAccessKey=AAAA", BadId)]
    [InlineData("HostName=h;HostName=h", "a field is given twice")]
    [InlineData("HostName", "a part is not NAME=VALUE")]
    [InlineData("HostName=h;DeviceId=d;GatewayHostName=a b;SharedAccessKey=AAAA", "GatewayHostName is not a host name")]
    public void A_bad_one_is_refused_with_the_field_that_is_wrong(string text, string expected)
    {
        Assert.False(ConnectionString.TryParse(text, out _, out string? problem));
        Assert.Equal(expected, problem);
    }

    [Fact]
    public void No_prefix_and_no_damage_makes_it_throw_or_tell_the_key()
    {
        SeededRandom random = new(11);
        for (int i = 0; i < 5_000; i++)
        {
            char[] text = Good[..(i < Good.Length ? i : Good.Length)].ToCharArray();
            for (int hits = random.Next(4); hits > 0 && text.Length > 0; hits--)
            {
                text[random.Next(text.Length)] = (char)random.Next(random.Next(2) == 0 ? 128 : 65536);
            }

            bool parses = ConnectionString.TryParse(new string(text), out ConnectionString? parsed, out var problem);
            Assert.Equal(parses, problem is null);
            Assert.DoesNotContain(Key[..8], problem ?? parsed!.ToString());
        }
    }
}
