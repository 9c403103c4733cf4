using Agent.Hub;

namespace Agent.Tests.Hub.Http;

/// <summary>Who may ask what: rights, tokens, versions.</summary>
public sealed class AccessTests
{
    /// <summary>Each route with the least right that opens it, as in the vendor's table.</summary>
    public static TheoryData<string, string, string> Routes => new()
    {
        { "GET", "/devices", "registryRead" },
        { "POST", "/devices", "registryReadWrite" },
        { "GET", "/devices/device-0001", "registryRead" },
        { "PUT", "/devices/new", "registryReadWrite" },
        { "DELETE", "/devices/device-0002", "registryReadWrite" },
        { "GET", "/devices/device-0001/modules", "registryRead" },
        { "GET", "/devices/device-0001/modules/m", "registryRead" },
        { "PUT", "/devices/device-0001/modules/m", "registryReadWrite" },
        { "DELETE", "/devices/device-0001/modules/m", "registryReadWrite" },
        { "GET", "/statistics/devices", "registryRead" },
        { "GET", "/statistics/service", "registryRead" },
        { "GET", "/twins/device-0001", "service" },
        { "PATCH", "/twins/device-0001", "service" },
        { "PUT", "/twins/device-0001", "service" },
        { "POST", "/twins/device-0001/methods", "service" },
        { "GET", "/twins/device-0001/modules/m", "service" },
        { "PATCH", "/twins/device-0001/modules/m", "service" },
        { "PUT", "/twins/device-0001/modules/m", "service" },
        { "POST", "/twins/device-0001/modules/m/methods", "service" },
        { "POST", "/devices/query", "service" },
        { "DELETE", "/devices/device-0001/commands", "service" },
        { "GET", "/messages/serviceBound/feedback", "service" },
        { "DELETE", "/messages/serviceBound/feedback/x", "service" },
        { "POST", "/messages/serviceBound/feedback/x/abandon", "service" },
        { "POST", "/local/devices/device-0001/messages/devicebound", "service" },
        { "POST", "/local/faults", "iothubowner" },
        { "DELETE", "/local/faults/7", "iothubowner" },
    };

    [Theory]
    [MemberData(nameof(Routes))]
    public async Task A_route_opens_to_the_policies_that_hold_its_right_and_to_no_other(string method, string path, string opener)
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        // registryReadWrite holds registryRead's right as well.
        string[] openers = opener == "registryRead" ? ["registryRead", "registryReadWrite", "iothubowner"] : [opener, "iothubowner"];
        string[] policies = ["registryRead", "registryReadWrite", "service", "device", "iothubowner"];

        Assert.Equal(401, (await rig.SendAsync(method, path, "{}", token: "")).Status);
        foreach (string policy in policies)
        {
            HttpReply reply = await rig.SendAsync(method, path, "{}", token: rig.Token(policy));
            Assert.True(openers.Contains(policy) == (reply.Status != 401), $"{policy}: {reply.Status} {reply.Body}");
        }
    }

    [Fact]
    public async Task The_table_of_rights_names_every_route_that_asks_for_one()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        string[] listed = [.. (await rig.SendAsync("GET", "/local", token: "")).Ok().Body.Split('\n')
            .Where(line => line.Contains("Registry", StringComparison.Ordinal) || line.Contains("ServiceConnect", StringComparison.Ordinal))
            .Select(line => string.Join(' ', line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[..2]))];

        string[] tested = [.. Routes.Select(row => $"{row.Data.Item1} {row.Data.Item2}"
            .Replace("device-0001", "{id}", StringComparison.Ordinal)
            .Replace("device-0002", "{id}", StringComparison.Ordinal)
            .Replace("/devices/new", "/devices/{id}", StringComparison.Ordinal)
            .Replace("modules/m", "modules/{mid}", StringComparison.Ordinal)
            .Replace("faults/7", "faults/{id}", StringComparison.Ordinal)
            .Replace("feedback/x", "feedback/{lockToken}", StringComparison.Ordinal))];
        Assert.Equal(tested.Order(StringComparer.Ordinal), listed.Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("localhost", true)]
    [InlineData("LOCALHOST", true)]
    [InlineData("localhost:443", true)]
    [InlineData("127.0.0.1:8443", true)]
    [InlineData("::1", true)]
    [InlineData("localhost/devices", true)]
    [InlineData("localhost/devices/device-0001", true)]
    [InlineData("localhost:8443/devices/", true)]
    [InlineData("localhost/devices/device-0002", false)]
    [InlineData("localhost/device", false)]
    [InlineData("localhost/Devices", false)]
    [InlineData("localhost:84x3", false)]
    [InlineData("elsewhere", false)]
    [InlineData("elsewhere:8443", false)]
    public async Task A_token_opens_what_its_resource_covers_with_or_without_the_port(string resource, bool opens)
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        HttpReply reply = await rig.SendAsync("GET", "/devices/device-0001", token: rig.Token(resource: resource));

        Assert.Equal(opens ? 200 : 401, reply.Status);
    }

    [Theory]
    [InlineData(1, true)]
    [InlineData(-298, true)]
    [InlineData(-310, false)]
    public async Task An_expired_token_is_accepted_for_five_minutes_more(int lifetimeSeconds, bool opens)
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        HttpReply reply = await rig.SendAsync("GET", "/devices/device-0001", token: rig.Token(lifetimeSeconds: lifetimeSeconds));

        Assert.Equal(opens ? 200 : 401, reply.Status);
    }

    [Fact]
    public async Task A_token_expires_by_the_hubs_clock()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        string token = rig.Token(lifetimeSeconds: 3600);
        (await rig.SendAsync("GET", "/devices/device-0001", token: token)).Ok();

        rig.Time.Advance(TimeSpan.FromSeconds(3600 + 301));

        HttpReply late = await rig.SendAsync("GET", "/devices/device-0001", token: token);
        Assert.Contains("expired", late.Refused(401, "IotHubUnauthorizedAccess"));
    }

    [Theory]
    [InlineData("Bearer wxyz")]
    [InlineData("SharedAccessSignature ")]
    [InlineData("SharedAccessSignature sr=localhost&sig=AAAA&se=99999999999&skn=iothubowner")]
    [InlineData("SharedAccessSignature sr=localhost&sig=AAAA&se=99999999999&skn=nobody")]
    [InlineData("SharedAccessSignature sr=localhost&sig=AAAA&se=99999999999")]
    [InlineData("sharedaccesssignature sr=localhost&sig=AAAA&se=99999999999&skn=iothubowner")]
    public async Task A_credential_that_is_none_is_refused_and_never_repeated(string token)
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        HttpReply reply = await rig.SendAsync("GET", "/devices/device-0001", token: token);

        Assert.StartsWith("Unauthorized: ", reply.Refused(401, "IotHubUnauthorizedAccess"));
        Assert.Equal("SharedAccessSignature", reply.Headers["WWW-Authenticate"]);
        Assert.DoesNotContain("AAAA", reply.Body);
        Assert.DoesNotContain("wxyz", reply.Body); // no digits of a tracking id
    }

    [Fact]
    public async Task A_devices_own_token_and_a_token_signed_with_another_policys_key_are_refused()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        Device device = rig.Server.Registry.Devices[0];
        long expiry = rig.Time.GetUtcNow().ToUnixTimeSeconds() + 60;
        string own = SasTokenWriter.Write("localhost/devices/device-0001", device.PrimaryKey, expiry);
        Assert.True(rig.Server.Registry.TryFindPolicy("service"u8, out AccessPolicy? service));
        string borrowed = SasTokenWriter.Write("localhost", service.PrimaryKey, expiry, "iothubowner");

        Assert.Equal(401, (await rig.SendAsync("GET", "/devices/device-0001", token: own)).Status);
        Assert.Equal(401, (await rig.SendAsync("GET", "/devices/device-0001", token: borrowed)).Status);
    }

    [Fact]
    public async Task Every_prefix_of_a_good_token_is_refused()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        // Without an skn at the end, whose prefixes would name other policies, not fewer characters of this one.
        string token = rig.Token();

        for (int length = 0; length < token.Length; length++)
        {
            Assert.Equal(401, (await rig.SendAsync("GET", "/devices/device-0001", token: token[..length].Trim())).Status);
        }
    }

    [Theory]
    [InlineData("api-version=2021-04-12", true)]
    [InlineData("api-version=2020-05-31-preview", true)]
    [InlineData("api-version=2016-02-03&x=y", true)]
    [InlineData("API-Version=2021-04-12", true)]
    [InlineData("x=y", false)]
    [InlineData("api-version=", false)]
    [InlineData("api-version=1.0", false)]
    [InlineData("api-version=2021-13-12", false)]
    [InlineData("api-version=2021-04-12&api-version=2021-04-12", false)]
    public async Task The_version_must_be_a_date(string query, bool opens)
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        HttpReply reply = await rig.GetAsync("/devices/device-0001?" + query);

        if (opens)
        {
            reply.Ok();
        }
        else
        {
            reply.Refused(400, "InvalidProtocolVersion");
        }
    }

    [Theory]
    [InlineData("/healthz")]
    [InlineData("/local")]
    [InlineData("/local/logs")]
    [InlineData("/local/telemetry")]
    public async Task Looking_at_what_is_ours_asks_for_no_credential(string path)
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        (await rig.SendAsync("GET", path, token: "")).Ok();
    }
}
