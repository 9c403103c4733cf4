using System.Text;
using Agent.Hub;

namespace Agent.Tests.Hub;

public sealed class SasVerifierTests
{
    private const long Expiry = 1_800_000_000;

    private static readonly byte[] Key = "0123456789abcdef0123456789abcdef"u8.ToArray();
    private static readonly byte[] Key2 = "fedcba9876543210fedcba9876543210"u8.ToArray();
    private static readonly Registry Registry = MakeRegistry();
    private static readonly Device Device = Registry.Devices[0];

    public static TheoryData<string, string, string> GoldenTokens() =>
        [.. File.ReadLines(HubFolder.Golden("sas-tokens.txt"))
            .Where(line => !line.StartsWith('#'))
            .Select(line => line.Split('\t'))
            .Select(parts => (parts[0], parts[1], parts[2]))];

    [Theory]
    [MemberData(nameof(GoldenTokens))]
    public void Tokens_made_by_OpenSSL_are_judged_as_written_beside_them(string name, string expected, string token)
    {
        SasVerdict verdict = SasVerifier.VerifyDevice(Encoding.UTF8.GetBytes(token), Registry, Device);

        Assert.True(expected == verdict.Fault.ToString(), $"{name}: {verdict.Fault}");
        Assert.Equal(verdict.IsAccepted ? Expiry : 0, verdict.ExpirySeconds);
        Assert.Equal(verdict.IsAccepted && token.Contains("skn=device", StringComparison.Ordinal), verdict.ByPolicy);
    }

    [Fact]
    public void Our_writer_makes_the_same_token_as_OpenSSL()
    {
        Assert.True(ConnectionString.TryParse(
            $"HostName=localhost;DeviceId=device-0001;SharedAccessKey={Convert.ToBase64String(Key)}",
            out ConnectionString? source,
            out _));

        Assert.Equal(Golden("primary"), SasTokenWriter.Write(source, Expiry));
    }

    [Fact]
    public void A_service_token_of_our_writer_is_accepted_for_what_its_policy_allows()
    {
        ConnectionString.TryParse(
            $"HostName=LOCALHOST;SharedAccessKeyName=service;SharedAccessKey={Convert.ToBase64String(Key2)}",
            out ConnectionString? source,
            out _);
        byte[] token = Encoding.UTF8.GetBytes(SasTokenWriter.Write(source!, Expiry));

        Assert.True(SasVerifier.VerifyService(token, Registry, "/twins/x"u8, AccessRights.ServiceConnect).IsAccepted);
        Assert.Equal(
            CredentialFault.PolicyLacksRight,
            SasVerifier.VerifyService(token, Registry, "/devices"u8, AccessRights.RegistryRead).Fault);
    }

    [Theory]
    [InlineData("", CredentialFault.Missing)]
    [InlineData("hello", CredentialFault.Malformed)]
    [InlineData("SharedAccessSignature ", CredentialFault.Malformed)]
    [InlineData("SharedAccessSignature sr=a&se=1", CredentialFault.Malformed)]
    [InlineData("SharedAccessSignature sr=a&sig=b&se=1&se=2", CredentialFault.Malformed)]
    [InlineData("SharedAccessSignature sr=a&sig=b&se=1&sr=a", CredentialFault.Malformed)]
    [InlineData("SharedAccessSignature sr=a&sig=b&se=-1", CredentialFault.Malformed)]
    [InlineData("SharedAccessSignature sr=a&sig=b&se=1.5", CredentialFault.Malformed)]
    [InlineData("SharedAccessSignature sr=a&sig=b&se=253402300800", CredentialFault.Malformed)]
    [InlineData("SharedAccessSignature sr=a&sig=b&se=18446744073709551617", CredentialFault.Malformed)]
    [InlineData("SharedAccessSignature sr=a&sig=b&se=00000000000000000001", CredentialFault.Malformed)]
    [InlineData("SharedAccessSignature sr=local%host&sig=b&se=1", CredentialFault.Malformed)]
    public void Text_that_is_no_token_is_told_apart(string token, CredentialFault expected) =>
        Assert.Equal(expected, SasVerifier.VerifyDevice(Encoding.UTF8.GetBytes(token), Registry, Device).Fault);

    [Fact]
    public void Overlong_tokens_are_refused_unread()
    {
        string token = Golden("primary") + "&x=" + new string('y', SasTokenParts.LengthMax);

        Assert.Equal(
            CredentialFault.Malformed, SasVerifier.VerifyDevice(Encoding.UTF8.GetBytes(token), Registry, Device).Fault);
    }

    [Fact]
    public void A_device_does_not_pass_with_the_token_of_one_whose_id_begins_alike()
    {
        string token = SasTokenWriter.Write("localhost/devices/device-0001", Key2, Expiry, "device");

        Assert.Equal(
            CredentialFault.WrongDevice,
            SasVerifier.VerifyDevice(Encoding.UTF8.GetBytes(token), Registry, Registry.Devices[1]).Fault);
    }

    [Fact]
    public void No_prefix_of_a_token_is_accepted()
    {
        foreach (byte[] prefix in Damage.PrefixesOf(Encoding.UTF8.GetBytes(Golden("sig-first"))))
        {
            Assert.False(SasVerifier.VerifyDevice(prefix, Registry, Device).IsAccepted);
        }
    }

    [Fact]
    public void Damaged_tokens_never_throw_and_never_gain_time()
    {
        foreach (string name in new[] { "primary", "policy", "nothing-encoded" })
        {
            foreach (byte[] token in Damage.MutationsOf(Encoding.UTF8.GetBytes(Golden(name)), seed: 1, count: 20_000))
            {
                SasVerdict verdict = SasVerifier.VerifyDevice(token, Registry, Device);
                Assert.True(!verdict.IsAccepted || verdict.ExpirySeconds == Expiry, Encoding.UTF8.GetString(token));
            }
        }
    }

    [Fact]
    public void Checking_a_good_token_allocates_nothing()
    {
        byte[] token = Encoding.UTF8.GetBytes(Golden("primary"));
        SasVerifier.VerifyDevice(token, Registry, Device);
        Assert.Equal(0, Allocations.Of(() =>
        {
            for (int i = 0; i < 1000; i++)
            {
                SasVerifier.VerifyDevice(token, Registry, Device);
            }
        }));
    }

    private static string Golden(string name) =>
        File.ReadLines(HubFolder.Golden("sas-tokens.txt"))
            .Single(line => line.StartsWith(name + "\t", StringComparison.Ordinal)).Split('\t')[2];

    private static Registry MakeRegistry()
    {
        var registry = new Registry("localhost", "127.0.0.1");
        registry.Add("device-0001", Key, Key2);
        registry.Add("device-00011", Key, Key2);
        registry.Add(new AccessPolicy("device", AccessRights.DeviceConnect, Key2, []));
        registry.Add(new AccessPolicy("service", AccessRights.ServiceConnect, Key2, []));
        return registry;
    }
}
