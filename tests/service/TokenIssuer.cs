using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Agent.Service;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Agent.Tests.Service;

/// <summary>An authority with metadata and keys on a real socket. Tokens are put together by hand.</summary>
internal sealed class TokenIssuer : IAsyncDisposable
{
    public const string Audience = "api://heartbeats";

    private readonly WebApplication application;
    private readonly List<(string Id, RSA Key)> keys = [("first", RSA.Create(2048))];

    private TokenIssuer(WebApplication application) => this.application = application;

    public string Issuer => application.Urls.First() + "/tenant/v2.0";

    public EntraSettings Settings => new() { Authority = new Uri(Issuer), Audience = Audience };

    /// <summary>Whether it answers.</summary>
    public bool IsUp { get; set; } = true;

    /// <summary>Signs with a key of its own from now on; the former one is not shown any more.</summary>
    public void Rotate() => keys.Insert(0, ("next-" + keys.Count, RSA.Create(2048)));

    public RSA Key => keys[0].Key;

    public static async Task<TokenIssuer> StartAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        WebApplication application = builder.Build();
        var issuer = new TokenIssuer(application);
        application.Run(issuer.AnswerAsync);
        await application.StartAsync();
        return issuer;
    }

    /// <summary>A token with these claims; <paramref name="change"/> may spoil them.</summary>
    public string Token(string[] roles, Action<Dictionary<string, object?>>? change = null, string algorithm = "RS256")
    {
        long now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        var claims = new Dictionary<string, object?>
        {
            ["iss"] = Issuer,
            ["aud"] = Audience,
            ["iat"] = now,
            ["nbf"] = now,
            ["exp"] = now + 3600,
            ["roles"] = roles,
        };
        change?.Invoke(claims);
        foreach (string name in claims.Where(claim => claim.Value is null).Select(claim => claim.Key).ToArray())
        {
            claims.Remove(name);
        }

        string text = Part(new { typ = "JWT", alg = algorithm, kid = keys[0].Id }) + "." + Part(claims);
        byte[] bytes = Encoding.ASCII.GetBytes(text);
        byte[] signature = algorithm switch
        {
            "none" => [],
            // The public key as a password: everybody has it.
            "HS256" => HMACSHA256.HashData(keys[0].Key.ExportSubjectPublicKeyInfo(), bytes),
            _ => keys[0].Key.SignData(bytes, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1),
        };
        return text + "." + Base64Url(signature);
    }

    public async ValueTask DisposeAsync()
    {
        await application.DisposeAsync();
        keys.ForEach(key => key.Key.Dispose());
    }

    private static string Part(object value) => Base64Url(JsonSerializer.SerializeToUtf8Bytes(value));

    private static string Base64Url(byte[] bytes) =>
        Convert.ToBase64String(bytes).TrimEnd('=').Replace('+', '-').Replace('/', '_');

    private Task AnswerAsync(HttpContext context)
    {
        if (!IsUp)
        {
            context.Response.StatusCode = (int)HttpStatusCode.ServiceUnavailable;
            return Task.CompletedTask;
        }

        RSAParameters shown = keys[0].Key.ExportParameters(includePrivateParameters: false);
        return context.Request.Path.Value switch
        {
            "/tenant/v2.0/.well-known/openid-configuration" => context.Response.WriteAsJsonAsync(new
            {
                issuer = Issuer,
                jwks_uri = application.Urls.First() + "/keys",
            }),
            "/keys" => context.Response.WriteAsJsonAsync(new
            {
                keys = new[]
                {
                    new { kty = "RSA", use = "sig", kid = keys[0].Id, n = Base64Url(shown.Modulus!), e = Base64Url(shown.Exponent!) },
                },
            }),
            _ => Task.FromResult(context.Response.StatusCode = (int)HttpStatusCode.NotFound),
        };
    }
}
