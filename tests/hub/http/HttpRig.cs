using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using Agent.Hub;

namespace Agent.Tests.Hub.Http;

/// <summary>A hub with its HTTPS side on free ports, and a client over real TLS that trusts its CA and nobody else.</summary>
internal sealed class HttpRig : IAsyncDisposable
{
    public const string Version = "api-version=2021-04-12";

    private readonly HubFolder folder = new();
    private readonly HttpClient client;

    private HttpRig(ShiftedTime time, HubFolder folder, HubServer server, HubHttp http, X509Certificate2 authority)
    {
        Time = time;
        this.folder = folder;
        Server = server;
        Http = http;
        Authority = authority;
        client = new HttpClient(new SocketsHttpHandler
        {
            UseProxy = false,
            SslOptions = { CertificateChainPolicy = Trust(authority) },
        })
        {
            BaseAddress = new Uri($"https://localhost:{http.Address.Port}"),
            Timeout = TimeSpan.FromSeconds(30),
        };
    }

    public ShiftedTime Time { get; }

    public HubServer Server { get; }

    public HubHttp Http { get; }

    public X509Certificate2 Authority { get; }

    public static async Task<HttpRig> StartAsync(int devices = 2, HubOptions? options = null)
    {
        var time = new ShiftedTime();
        var folder = new HubFolder();
        HubServer server = HubServer.Start(new HubServerOptions
        {
            DataDirectory = folder.Path,
            Devices = devices,
            Port = 0,
            Time = time,
            // What is connected is to be seen at once.
            Hub = (options ?? new HubOptions()) with { ConnectionStateLagMs = 0 },
            Synchronise = false,
        });
        HubHttp http = await HubHttp.StartAsync(server, IPAddress.Loopback, 0);
        return new HttpRig(
            time, folder, server, http, X509CertificateLoader.LoadCertificateFromFile(server.Data.AuthorityPath));
    }

    public static X509ChainPolicy Trust(X509Certificate2 authority)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
        };
        policy.CustomTrustStore.Add(authority);
        return policy;
    }

    /// <summary>A service token; the lifetime counts from the hub's clock.</summary>
    public string Token(string policy = "iothubowner", string resource = "localhost", long lifetimeSeconds = 60)
    {
        Assert.True(Server.Registry.TryFindPolicy(Encoding.ASCII.GetBytes(policy), out AccessPolicy? found));
        return SasTokenWriter.Write(resource, found.PrimaryKey, Time.GetUtcNow().ToUnixTimeSeconds() + lifetimeSeconds, policy);
    }

    /// <summary>
    /// Sends a request with the owner's token, unless another or none ("") is given, and with an api-version unless the path has a query
    /// or is ours.
    /// </summary>
    public async Task<HttpReply> SendAsync(
        string method, string path, string? body = null, string? token = null, string? ifMatch = null,
        string type = "application/json", params (string Name, string Value)[] headers)
    {
        bool isOurs = path.StartsWith("/local", StringComparison.Ordinal) || path == "/healthz"
            || path.Contains('?', StringComparison.Ordinal);
        // Dots and escapes are to arrive as they are written.
        var address = new Uri(
            client.BaseAddress!.GetLeftPart(UriPartial.Authority) + path + (isOurs ? "" : "?" + Version),
            new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true });
        using var request = new HttpRequestMessage(new HttpMethod(method), address);
        request.Headers.TryAddWithoutValidation("Authorization", token ?? Token());
        if (token == "")
        {
            request.Headers.Remove("Authorization");
        }

        if (ifMatch is not null)
        {
            request.Headers.TryAddWithoutValidation("If-Match", ifMatch);
        }

        foreach ((string name, string value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        if (body is not null)
        {
            request.Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body));
            request.Content.Headers.ContentType = type == "" ? null : MediaTypeHeaderValue.Parse(type);
        }

        using HttpResponseMessage response = await client.SendAsync(request);
        return new HttpReply(
            (int)response.StatusCode,
            await response.Content.ReadAsStringAsync(),
            response.Headers.Concat(response.Content.Headers).ToDictionary(
                header => header.Key, header => string.Join(',', header.Value), StringComparer.OrdinalIgnoreCase));
    }

    public Task<HttpReply> GetAsync(string path) => SendAsync("GET", path);

    public async ValueTask DisposeAsync()
    {
        client.Dispose();
        await Http.DisposeAsync();
        await Server.DisposeAsync();
        Authority.Dispose();
        folder.Dispose();
    }
}

/// <summary>What came back.</summary>
internal sealed record HttpReply(int Status, string Body, IReadOnlyDictionary<string, string> Headers)
{
    public JsonElement Json => JsonDocument.Parse(Body).RootElement;

    /// <summary>The etag of the header, without its quotes.</summary>
    public string ETag => Headers["ETag"].Trim('"');

    /// <summary>The etag of the body.</summary>
    public string BodyETag => Json.GetProperty("etag").GetString()!;

    /// <summary>Asserts success.</summary>
    public HttpReply Ok(int status = 200)
    {
        Assert.True(Status == status, $"{Status}: {Body}");
        return this;
    }

    /// <summary>Asserts an error in the cloud's first form; returns its text.</summary>
    public string Refused(int status, string name)
    {
        Assert.True(Status == status, $"{Status}, not {status}: {Body}");
        Assert.Equal(name, Headers["iothub-errorcode"]);
        Assert.Equal("application/json; charset=utf-8", Headers["Content-Type"]);
        string message = Json.GetProperty("Message").GetString()!;
        Assert.StartsWith($"ErrorCode:{name};", message);
        Assert.Matches(
            @"^Tracking ID:[0-9a-f]{32}-G:0-TimeStamp:\d\d/\d\d/\d{4} \d\d:\d\d:\d\d$", Json.GetProperty("ExceptionMessage").GetString());
        return message[(message.IndexOf(';', StringComparison.Ordinal) + 1)..];
    }
}
