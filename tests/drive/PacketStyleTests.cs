using System.Text;
using Agent.Drive;
using Agent.Fleet;
using Agent.Hub;
using Agent.World;

namespace Agent.Tests.Drive;

/// <summary>What each SDK's CONNECT looks like, and that the hub takes it.</summary>
public sealed class PacketStyleTests
{
    private const string Signature = "S%2B";

    [Theory]
    [InlineData("dotnet", "SharedAccessSignature sr=R&sig=S%2B&se=7", "SharedAccessSignature sr=R&sig=S%2B&se=7&skn=p")]
    [InlineData("java", "SharedAccessSignature sig=S%2B&se=7&sr=R", "SharedAccessSignature sig=S%2B&se=7&sr=R&skn=p")]
    [InlineData("node", "SharedAccessSignature sr=R&sig=S%2B&se=7", "SharedAccessSignature sr=R&sig=S%2B&skn=p&se=7")]
    [InlineData("c", "SharedAccessSignature sr=R&sig=S%2B&se=7&skn=", "SharedAccessSignature sr=R&sig=S%2B&se=7&skn=p")]
    [InlineData("python", "SharedAccessSignature sr=R&sig=S%2B&se=7", "SharedAccessSignature sr=R&sig=S%2B&se=7&skn=p")]
    public void A_password_has_its_fields_in_the_order_of_its_sdk(string sdk, string ownKey, string policyKey)
    {
        PacketStyle style = PacketStyle.Of(sdk);

        Assert.Equal(ownKey, style.Password("R", Signature, 7, null));
        Assert.Equal(policyKey, style.Password("R", Signature, 7, "p"));
    }

    [Theory]
    [InlineData("node", "h/d/?api-version=2021-04-12&DeviceClientType=azure-iot-device%2F1.18.4%20(node%20v20.20.2%3B%20Linux%3B%20x64)")]
    [InlineData("dotnet", "h/d/?api-version=2020-09-30&DeviceClientType=.NET%2F1.42.3%20%28.NET%208.0%3B%20Linux%3B%20X64%29")]
    [InlineData("c", "h/d/?api-version=2020-09-30&DeviceClientType=iothubclient%2f1.15.0%20(native%3b%20Linux%3b%20x86_64)")]
    [InlineData("arduino-esp32", "h/d/?api-version=2020-09-30&DeviceClientType=c%2F1.1.8(ard;esp32)")]
    public void A_user_name_is_escaped_as_its_sdk_does(string sdk, string expected)
    {
        SdkModel model = SdkCatalog.Create(sdk, "source", new ClientSettings(), 1, 1);

        Assert.Equal(expected, PacketStyle.Of(sdk).UserName("h", "d", model.Connect));
    }

    [Fact]
    public void The_hub_accepts_every_sdks_token_by_own_key_and_by_policy()
    {
        var registry = new Registry("localhost");
        registry.AddDefaultPolicies();
        Scenario scenario = OneOf("a");
        Device device = registry.Add(DeviceKeys.Ids(scenario)[0], Registry.NewKey(), Registry.NewKey());
        AccessPolicy policy = registry.Policies.First(each => each.Name == "device");
        Assert.True(ConnectionString.TryParse(registry.ConnectionStringOf(policy), out ConnectionString? text, out _));
        DeviceKeys[] both = [DeviceKeys.Of(registry), DeviceKeys.FromPolicy(text, scenario)];
        foreach (SdkEntry sdk in SdkCatalog.All)
        {
            foreach (DeviceKeys keys in both)
            {
                byte[] password = Encoding.ASCII.GetBytes(keys.Password(0, 2_000_000_000, PacketStyle.Of(sdk.Id)));
                SasVerdict verdict = SasVerifier.VerifyDevice(password, registry, device);
                Assert.Equal((CredentialFault.None, 2_000_000_000), (verdict.Fault, verdict.ExpirySeconds));
            }
        }
    }

    internal static Scenario OneOf(string name, int count = 1, string more = "") => ScenarioReader.Read(Encoding.UTF8.GetBytes(
        $$"""{ "runFor": "00:00:03", "fleet": [ { "name": "{{name}}", "sdk": "c", "count": {{count}} {{more}} } ] }"""));
}
