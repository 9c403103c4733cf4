using System.Text;
using Agent.Hub;

namespace Agent.Tests.Hub;

public sealed class ConnectionStringTests
{
    private const string Key = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlYw==";
    private const string Good = "HostName=h.example;DeviceId=d;ModuleId=m;SharedAccessKey=" + Key + ";GatewayHostName=g:18883";

    [Theory]
    [InlineData(Good)]
    [InlineData("sharedaccesskey=" + Key + ";gatewayhostname=g:18883;MODULEID=m;deviceid=d;hostname=h.example;")]
    [InlineData(" HostName = h.example ; DeviceId=d;SharedAccessKey=" + Key + ";ModuleId=m;GatewayHostName=g:18883;X509=false")]
    public void Order_case_and_blanks_do_not_matter(string text)
    {
        Assert.True(ConnectionString.TryParse(text, out ConnectionString? parsed, out string? problem), problem);
        Assert.Equal(
            ("h.example", "d", "m", "g:18883"),
            (parsed.HostName, parsed.DeviceId, parsed.ModuleId, parsed.GatewayHostName));
        Assert.Equal("secret-secret-secret-secret-sec", Encoding.ASCII.GetString(parsed.SharedAccessKey));
    }

    [Theory]
    [InlineData(null, "it is empty")]
    [InlineData("HostName", "a part without NAME=VALUE")]
    [InlineData("DeviceId=d;SharedAccessKey=" + Key, "HostName is missing")]
    [InlineData("HostName=h;DeviceId=d", "SharedAccessKey is missing")]
    [InlineData("HostName=h;SharedAccessKey=" + Key, "DeviceId (a device) or SharedAccessKeyName (a service) is missing")]
    [InlineData("HostName=h;DeviceId=d;SharedAccessKey=" + Key + "!", "SharedAccessKey is not base64")]
    [InlineData("HostName=h/x;DeviceId=d;SharedAccessKey=" + Key, "HostName is not a host name")]
    [InlineData("HostName=h;DeviceId=d e;SharedAccessKey=" + Key, "DeviceId is empty, too long or has a character")]
    [InlineData("HostName=h;DeviceId=d;DeviceId=d;SharedAccessKey=" + Key, "DeviceId is given twice")]
    [InlineData("HostName=h;SharedAccessKeyName=p;ModuleId=m;SharedAccessKey=" + Key, "ModuleId without DeviceId")]
    public void A_problem_is_one_line_that_names_the_field_and_never_the_key(string? text, string expected)
    {
        Assert.False(ConnectionString.TryParse(text, out _, out string? problem));
        Assert.Contains(expected, problem, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', problem);
        Assert.DoesNotContain("c2VjcmV0", problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_strings_never_throw_and_never_put_the_key_into_the_problem()
    {
        foreach (byte[] bytes in Damage.MutationsOf(Encoding.UTF8.GetBytes(Good), seed: 2, count: 20_000)
            .Concat(Damage.PrefixesOf(Encoding.UTF8.GetBytes(Good))))
        {
            ConnectionString.TryParse(Encoding.UTF8.GetString(bytes), out _, out string? problem);
            Assert.DoesNotContain("ZWNyZXQtc2VjcmV0", problem ?? "", StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_token_for_a_device_with_a_name_of_odd_characters_is_accepted_by_the_verifier()
    {
        const string Id = "a-:.+%_#*?!(),=@$'z";
        var registry = new Registry("localhost");
        Device device = registry.Add(Id, Registry.NewKey(), []);

        ConnectionString.TryParse(registry.ConnectionStringOf(device), out ConnectionString? source, out _);
        byte[] token = Encoding.UTF8.GetBytes(SasTokenWriter.Write(source!, 1_800_000_000));

        Assert.Equal(CredentialFault.None, SasVerifier.VerifyDevice(token, registry, device).Fault);
    }

    [Fact]
    public void The_token_verb_prints_a_token_or_one_line_without_the_key()
    {
        using var output = new StringWriter();
        using var error = new StringWriter();

        Assert.Equal(0, TokenVerb.Run("HostName=h;DeviceId=d;SharedAccessKey=" + Key, 60, output, error));
        Assert.Equal(2, TokenVerb.Run("HostName=h;SharedAccessKey=" + Key, 60, output, error));

        Assert.StartsWith("SharedAccessSignature sr=h%2Fdevices%2Fd&sig=", output.ToString(), StringComparison.Ordinal);
        Assert.Equal(
            "--connection-string: DeviceId (a device) or SharedAccessKeyName (a service) is missing",
            error.ToString().TrimEnd());
    }
}
