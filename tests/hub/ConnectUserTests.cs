using System.Text;
using Agent.Hub;

namespace Agent.Tests.Hub;

public sealed class ConnectUserTests
{
    private static readonly Registry Registry = new("localhost", "hub.example");

    // What each SDK sends; facts/sdk-renewal.md per SDK, facts/iothub.md section 1.2.
    [Theory]
    [InlineData("hub.example/d/?api-version=2021-04-12", "d", "")]
    [InlineData("HUB.example/d/?api-version=2021-04-12&DeviceClientType=iot%2F1.18%20(node)", "d", "iot%2F1.18%20(node)")]
    [InlineData("localhost/d/?api-version=2020-09-30&model-id=dtmi%3Ax%3By&DeviceClientType=c%2F1.15.0", "d", "c%2F1.15.0")]
    [InlineData("localhost/d/DeviceClientType=iot-device%2F1.0.15&api-version=2016-11-14", "d", "iot-device%2F1.0.15")]
    [InlineData("localhost/d/api-version=2016-11-14&auth-chain=x", "d", "")]
    [InlineData("localhost/d/?api-version=2021-04-12&DeviceClientType=raw/1.0 (x/y)", "d", "raw/1.0 (x/y)")]
    [InlineData("localhost/?#%=d/?api-version=1", "?#%=d", "")]
    public void Every_known_form_is_read(string userName, string clientId, string clientType)
    {
        UserFault fault = Parse(userName, clientId, out string device, out string module, out string type);

        Assert.Equal((UserFault.None, clientId, "", clientType), (fault, device, module, type));
    }

    [Theory]
    [InlineData("localhost/d/m/?api-version=2021-04-12")]
    [InlineData("localhost/d/m/api-version=2021-04-12&DeviceClientType=edge%2F1")]
    public void A_module_has_its_id_between_device_and_properties(string userName)
    {
        Assert.Equal(UserFault.None, Parse(userName, "d/m", out string device, out string module, out _));
        Assert.Equal(("d", "m"), (device, module));
        Assert.Equal(UserFault.WrongClientId, Parse(userName, "d", out _, out _, out _));
        Assert.Equal(UserFault.WrongClientId, Parse(userName, "dxm", out _, out _, out _));
    }

    [Theory]
    [InlineData("", UserFault.Missing)]
    [InlineData("localhost", UserFault.Malformed)]
    [InlineData("localhost/d", UserFault.Malformed)]
    [InlineData("//?api-version=1", UserFault.Malformed)]
    [InlineData("localhost/d/", UserFault.NoApiVersion)]
    [InlineData("localhost/d/?api-version=", UserFault.NoApiVersion)]
    [InlineData("localhost/d/?API-VERSION=1", UserFault.NoApiVersion)]
    [InlineData("other.example/d/?api-version=1", UserFault.WrongHub)]
    [InlineData("localhost/D/?api-version=1", UserFault.WrongClientId)]
    [InlineData("localhost/d2/?api-version=1", UserFault.WrongClientId)]
    public void What_is_wrong_is_told_apart(string userName, UserFault expected) =>
        Assert.Equal(expected, Parse(userName, "d", out _, out _, out _));

    [Fact]
    public void Prefixes_and_damage_never_throw()
    {
        byte[] good = "hub.example/d/m/?api-version=2021-04-12&DeviceClientType=a%2F1&model-id=x"u8.ToArray();
        foreach (byte[] bytes in Damage.PrefixesOf(good).Concat(Damage.MutationsOf(good, seed: 3, count: 20_000)))
        {
            UserFault fault = ConnectUser.Parse(bytes, "d/m"u8, Registry, out ConnectUser user);
            Assert.True(fault != UserFault.None || user.DeviceId.SequenceEqual("d"u8));
        }
    }

    [Fact]
    public void Overlong_user_names_are_refused_unread() =>
        Assert.Equal(
            UserFault.Malformed,
            Parse("localhost/d/?api-version=1&x=" + new string('y', ConnectUser.LengthMax), "d", out _, out _, out _));

    private static UserFault Parse(
        string userName, string clientId, out string device, out string module, out string clientType)
    {
        UserFault fault = ConnectUser.Parse(
            Encoding.UTF8.GetBytes(userName), Encoding.UTF8.GetBytes(clientId), Registry, out ConnectUser user);
        device = Encoding.UTF8.GetString(user.DeviceId);
        module = Encoding.UTF8.GetString(user.ModuleId);
        clientType = Encoding.UTF8.GetString(user.DeviceClientType);
        return fault;
    }
}
