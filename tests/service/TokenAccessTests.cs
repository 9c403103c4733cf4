using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Agent.Service;
using Microsoft.AspNetCore.Builder;

namespace Agent.Tests.Service;

/// <summary>Tokens of an authority, good and bad, against the whole service.</summary>
[Collection(RealTime.Name)]
public sealed class TokenAccessTests
{
    private const string Key = "a key of more than sixteen characters";

    [Theory]
    [InlineData("Checker.Read", "GET", "/devices", HttpStatusCode.OK)]
    [InlineData("Checker.Operate", "GET", "/devices", HttpStatusCode.OK)]
    [InlineData("Facts.Write", "GET", "/devices", HttpStatusCode.Forbidden)]
    [InlineData("Facts.Write", "POST", "/events", HttpStatusCode.OK)]
    [InlineData("Checker.Operate", "POST", "/events", HttpStatusCode.Forbidden)]
    [InlineData("Checker.Read", "POST", "/alarms/1/acknowledge", HttpStatusCode.Forbidden)]
    [InlineData("Checker.Operate", "POST", "/alarms/1/acknowledge", HttpStatusCode.BadRequest)]
    [InlineData("Somebody.Else", "GET", "/devices", HttpStatusCode.Forbidden)]
    public async Task A_token_opens_what_its_role_allows(string role, string method, string path, HttpStatusCode expected)
    {
        await using TokenIssuer issuer = await TokenIssuer.StartAsync();
        await using WebApplication application = await StartAsync(issuer);
        string token = issuer.Token([role]);

        Assert.Equal(expected, await AskAsync(application, token, method, path));
        Assert.Equal(expected, await AskAsync(application, token, method, path)); // Known by its hash by now.
    }

    [Fact]
    public async Task A_token_that_is_not_ours_or_not_any_more_is_refused()
    {
        await using TokenIssuer issuer = await TokenIssuer.StartAsync();
        await using TokenIssuer other = await TokenIssuer.StartAsync();
        await using WebApplication application = await StartAsync(issuer);
        long now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        string[] reader = ["Checker.Read"];
        string good = issuer.Token(reader);
        var bad = new Dictionary<string, string>
        {
            ["another audience"] = issuer.Token(reader, claims => claims["aud"] = "api://somebody-else"),
            ["no audience"] = issuer.Token(reader, claims => claims["aud"] = null),
            ["another issuer"] = issuer.Token(reader, claims => claims["iss"] = "https://login.example/tenant/v2.0"),
            ["no issuer"] = issuer.Token(reader, claims => claims["iss"] = null),
            ["expired"] = issuer.Token(reader, claims => claims["exp"] = now - 300),
            ["never expires"] = issuer.Token(reader, claims => claims["exp"] = null),
            ["not yet"] = issuer.Token(reader, claims => claims["nbf"] = now + 3600),
            ["unsigned"] = issuer.Token(reader, algorithm: "none"),
            ["signed with the public key"] = issuer.Token(reader, algorithm: "HS256"),
            ["signed by another"] = other.Token(reader, claims => claims["iss"] = issuer.Issuer),
            ["changed"] = good.Split('.')[0] + "." + issuer.Token(["Checker.Operate"]).Split('.')[1] + "." + good.Split('.')[2],
            ["cut"] = good[..^4],
            ["not base64"] = "a.b.c" + new string('!', 40),
            ["no JSON"] = "YWJj.YWJjYWJjYWJjYWJj.YWJj",
        };

        Assert.Equal(HttpStatusCode.OK, await AskAsync(application, good));
        foreach ((string what, string token) in bad)
        {
            Assert.True(await AskAsync(application, token) == HttpStatusCode.Unauthorized, what);
        }

        Assert.Equal(HttpStatusCode.Unauthorized, await AskAsync(application, null));
        Assert.Equal(HttpStatusCode.Unauthorized, await AskAsync(application, new string('a', 9000) + ".b.c"));
        Assert.Equal(HttpStatusCode.OK, await AskAsync(application, null, path: "/healthz"));
    }

    [Fact]
    public async Task Key_and_token_are_both_accepted_where_both_are_set()
    {
        await using TokenIssuer issuer = await TokenIssuer.StartAsync();
        await using WebApplication application = await StartAsync(issuer, AccessKey.Of(Key));

        Assert.Equal(HttpStatusCode.OK, await AskAsync(application, Key));
        Assert.Equal(HttpStatusCode.OK, await AskAsync(application, issuer.Token(["Checker.Read"])));
        Assert.Equal(HttpStatusCode.Unauthorized, await AskAsync(application, Key + "s"));
    }

    [Fact]
    public async Task A_rotated_key_is_fetched_and_an_authority_that_is_down_is_not_the_callers_fault()
    {
        await using TokenIssuer issuer = await TokenIssuer.StartAsync();
        await using WebApplication application = await StartAsync(issuer);
        issuer.IsUp = false;
        Assert.Equal(HttpStatusCode.ServiceUnavailable, await AskAsync(application, issuer.Token(["Checker.Read"])));

        issuer.IsUp = true;
        string former = issuer.Token(["Checker.Read"]);
        Assert.Equal(HttpStatusCode.OK, await AskAsync(application, former));
        issuer.Rotate();
        for (int turn = 0; await AskAsync(application, issuer.Token(["Checker.Read"])) != HttpStatusCode.OK; turn++)
        {
            // The first token with a key nobody knows has the keys fetched anew, in the background.
            Assert.InRange(turn, 0, 100);
            await Task.Delay(50);
        }
    }

    [Fact]
    public async Task Strangers_have_a_bound_of_their_own()
    {
        await using TokenIssuer issuer = await TokenIssuer.StartAsync();
        await using WebApplication application = await StartAsync(issuer, AccessKey.Of(Key), requestsPerSecond: 100);
        var answers = new List<HttpStatusCode>();
        for (int i = 0; i < 60; i++)
        {
            answers.Add(await AskAsync(application, "not the key, but as long as one"));
        }

        Assert.Contains(HttpStatusCode.TooManyRequests, answers);
        Assert.Equal(HttpStatusCode.OK, await AskAsync(application, Key));
    }

    [Theory]
    [InlineData("--entra", "contoso.example")]
    [InlineData("--entra-audience", "x")]
    [InlineData("--entra", "common", "--entra-audience", "x")]
    [InlineData("--entra", "http://login.example/t", "--entra-audience", "x")]
    [InlineData("--entra", "https://user:hush@login.example/t", "--entra-audience", "x")]
    public void Half_a_tenant_or_everybodys_is_refused(params string[] arguments)
    {
        var wrong = Assert.Throws<CommandLineException>(() => CommandLine.Parse(arguments, _ => null));

        Assert.StartsWith("--entra", wrong.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("hush", wrong.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tenant_is_as_good_as_a_key_outside_this_machine()
    {
        string[] tenant = ["--bind", "0.0.0.0", "--entra", "contoso.example", "--entra-audience", "api://heartbeats"];
        EntraSettings entra = CommandLine.Parse(tenant, _ => null).Options.Entra!;

        Assert.Equal("https://login.microsoftonline.com/contoso.example/v2.0", entra.Authority.AbsoluteUri);
    }

    private static async Task<WebApplication> StartAsync(TokenIssuer issuer, AccessKey? key = null, int requestsPerSecond = 5000)
    {
        var options = new ServiceOptions { Port = 0, Key = key, Entra = issuer.Settings, RequestsPerSecondMax = requestsPerSecond };
        WebApplication application = Server.Build(options, TimeProvider.System);
        await application.StartAsync();
        return application;
    }

    private static async Task<HttpStatusCode> AskAsync(
        WebApplication application, string? credential, string method = "GET", string path = "/devices")
    {
        using var client = new HttpClient { BaseAddress = new Uri(application.Urls.First()) };
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (credential is not null)
        {
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", credential);
        }

        if (method == "POST")
        {
            request.Content = new StringContent("[]", Encoding.UTF8, "application/json");
        }

        using HttpResponseMessage answer = await client.SendAsync(request);
        string text = await answer.Content.ReadAsStringAsync();
        Assert.True(credential is null || !text.Contains(credential, StringComparison.Ordinal), text);
        return answer.StatusCode;
    }
}
