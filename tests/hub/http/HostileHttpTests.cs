using System.Text;
using System.Text.RegularExpressions;

namespace Agent.Tests.Hub.Http;

/// <summary>What no client of ours would send.</summary>
public sealed partial class HostileHttpTests
{
    private const string Identity = """
        {"deviceId":"pump","status":"enabled","statusReason":"new","authentication":{"type":"sas","symmetricKey":
        {"primaryKey":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","secondaryKey":"BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA="}},
        "capabilities":{"iotEdge":false}}
        """;

    private static readonly (string Method, string Path, string Body)[] Good =
    [
        ("PUT", "/devices/pump", Identity),
        ("PUT", "/devices/device-0001/modules/pump", """{"moduleId":"pump","managedBy":"x"}"""),
        ("POST", "/devices", """[{"id":"a","importMode":"createOrUpdate","tags":{"x":1},"authentication":{"type":"sas"}}]"""),
        ("PATCH", "/twins/device-0001", """{"tags":{"a":{"b":1}},"properties":{"desired":{"c":null,"d":[1,2]}}}"""),
        ("PUT", "/twins/device-0001", """{"tags":{"a":{"b":1}},"properties":{"desired":{"d":true}}}"""),
        ("POST", "/devices/query", """{"query":"SELECT * FROM devices WHERE tags.a = 'b'"}"""),
        ("POST", "/twins/device-0001/methods", """{"methodName":"m","payload":{"a":[1,2]},"responseTimeoutInSeconds":5}"""),
        ("POST", "/local/devices/device-0001/messages/devicebound",
            """{"body":{"a":1},"ack":"none","timeToLiveSeconds":60,"properties":{"p":"v"}}"""),
    ];

    [Fact]
    public async Task Every_prefix_of_a_good_body_is_a_bad_request()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        string token = rig.Token();
        foreach ((string method, string path, string body) in Good)
        {
            foreach (byte[] prefix in Damage.PrefixesOf(Encoding.UTF8.GetBytes(body)))
            {
                HttpReply reply = await rig.SendAsync(method, path, Encoding.UTF8.GetString(prefix), token);
                Assert.True(reply.Status == 400, $"{method} {path} {Encoding.UTF8.GetString(prefix)}: {reply.Status} {reply.Body}");
            }
        }
    }

    [Fact]
    public async Task Damaged_bodies_never_make_the_hub_fail()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        string token = rig.Token();
        foreach ((string method, string path, string body) in Good)
        {
            foreach (byte[] damaged in Damage.MutationsOf(Encoding.UTF8.GetBytes(body), seed: 4711, count: 60))
            {
                HttpReply reply = await rig.SendAsync(method, path, Encoding.Latin1.GetString(damaged), token);
                Assert.True(reply.Status < 500, $"{method} {path}: {reply.Status} {reply.Body}");
                AssertNoSecret(reply);
            }
        }

        (await rig.SendAsync("GET", "/healthz")).Ok();
    }

    [Theory]
    [InlineData("GET", "/", 404, "GenericNotFound")]
    [InlineData("GET", "/nothing", 404, "GenericNotFound")]
    [InlineData("GET", "/devices/device-0001/nothing", 404, "GenericNotFound")]
    [InlineData("GET", "/devices//modules/x/y", 404, "GenericNotFound")]
    [InlineData("GET", "/local/../devices", 404, "GenericNotFound")]
    [InlineData("GET", "/jobs/v2/1", 404, "GenericNotFound")]
    [InlineData("PATCH", "/devices/device-0001", 405, "GenericMethodNotAllowed")]
    [InlineData("POST", "/twins/device-0001", 405, "GenericMethodNotAllowed")]
    [InlineData("DELETE", "/local/logs", 405, "GenericMethodNotAllowed")]
    [InlineData("GET", "/devices//modules", 400, "ArgumentInvalid")]
    [InlineData("GET", "/devices/a%", 400, "ArgumentInvalid")]
    public async Task What_is_not_there_is_said_in_the_clouds_form(string method, string path, int status, string name)
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        HttpReply reply = await rig.SendAsync(method, path);

        reply.Refused(status, name);
        Assert.Equal(status == 405, reply.Headers.ContainsKey("Allow"));
    }

    [Fact]
    public async Task The_list_of_routes_is_for_everybody_and_names_itself()
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        HttpReply reply = (await rig.SendAsync("GET", "/local", token: "")).Ok();

        Assert.Equal("text/plain; charset=utf-8", reply.Headers["Content-Type"]);
        Assert.Matches(@"(?m)^GET +/local +- +This list$", reply.Body);
        Assert.Matches(@"(?m)^PATCH +/twins/\{id\} +ServiceConnect +Change", reply.Body);
    }

    [Theory]
    [InlineData("PUT", "/devices/pump", 65_536)]
    [InlineData("POST", "/devices", 1 << 20)]
    [InlineData("PATCH", "/twins/device-0001", 262_144)]
    [InlineData("POST", "/devices/query", 65_536)]
    [InlineData("POST", "/twins/device-0001/methods", 131_072 + 4096)]
    public async Task A_body_beyond_the_limit_is_refused(string method, string path, int limit)
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        HttpReply reply = await rig.SendAsync(method, path, new string(' ', limit + 1));

        Assert.Equal((413, "MessageTooLarge"), (reply.Status, reply.Headers["iothub-errorcode"]));
        Assert.Equal(400, (await rig.SendAsync(method, path, new string(' ', limit))).Status);
    }

    [Fact]
    public async Task A_body_without_an_announced_length_is_counted_as_it_comes()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        await using RawHttp client = await RawHttp.DialAsync(rig);
        await client.SendAsync($"PUT /devices/pump?{HttpRig.Version} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {rig.Token()}\r\n"
            + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
        string chunk = "4000\r\n" + new string(' ', 0x4000) + "\r\n";
        await client.SendAsync(chunk + chunk + chunk + chunk + "1\r\n \r\n0\r\n\r\n");

        Assert.Contains("413", (await client.ReadToEndAsync())[..40]);
    }

    [Fact]
    public async Task Huge_headers_and_paths_end_the_connection_and_not_the_hub()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        foreach (string request in new[]
        {
            "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + new string('x', 100_000) + "\r\n\r\n",
            "GET /" + new string('x', 100_000) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: localhost\r\n" + string.Concat(Enumerable.Repeat("X: y\r\n", 500)) + "\r\n",
            "GET \u00ff HTTP/1.1\r\n\r\n",
            "\0\0\0\0\r\n\r\n",
            "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        })
        {
            await using RawHttp client = await RawHttp.DialAsync(rig);
            try
            {
                await client.SendAsync(request);
            }
            catch (IOException)
            {
                // Hung up on while still writing.
            }

            string answer = await client.ReadToEndAsync();
            Assert.Matches("^(HTTP/1.1 (4..|505) |$)", answer);
            Assert.DoesNotContain("   at ", answer);
        }

        (await rig.GetAsync("/healthz")).Ok();
    }

    [Fact]
    public async Task The_absolute_form_of_a_target_finds_the_same_route()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        await using RawHttp client = await RawHttp.DialAsync(rig);
        await client.SendAsync($"GET https://localhost/devices/device-0001?{HttpRig.Version} HTTP/1.1\r\nHost: localhost\r\n"
            + $"Authorization: {rig.Token()}\r\nConnection: close\r\n\r\n");

        Assert.StartsWith("HTTP/1.1 200 ", await client.ReadToEndAsync());
    }

    [Fact]
    public async Task No_refusal_tells_a_key_a_token_or_where_in_the_program_it_happened()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        string owner = Convert.ToBase64String(rig.Server.Registry.Policies[0].PrimaryKey);
        string device = Convert.ToBase64String(rig.Server.Registry.Devices[0].PrimaryKey);
        foreach (string path in new[]
        {
            "/devices/device-0001", "/devices", "/twins/device-0001", "/local", "/local/logs", "/local/telemetry",
            "/statistics/devices", "/x",
        })
        {
            foreach (string policy in new[] { "device", "service" })
            {
                HttpReply reply = await rig.SendAsync("GET", path, token: rig.Token(policy));
                Assert.DoesNotContain(owner, reply.Body);
                Assert.DoesNotContain(device, reply.Body);
                AssertNoSecret(reply);
            }
        }
    }

    private static void AssertNoSecret(HttpReply reply)
    {
        if (reply.Status >= 400)
        {
            Assert.DoesNotMatch(Trace(), reply.Body);
            Assert.DoesNotContain("AAAAAAAAAAAAAAAAAAAAAAAA", reply.Body);
        }
    }

    [GeneratedRegex(@"\bat [A-Z]\w+\.|\.cs:line|sig=")]
    private static partial Regex Trace();
}
