using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Agent.Hub;

/// <summary>The hub's HTTPS side: what a person or a test wants to see of it, under <c>/local</c>.</summary>
/// <remarks>
/// The cloud has no such routes, hence the prefix. The certificate is the one MQTT uses. Connections records come from the
/// file, so that a restart forgets nothing; they are streamed, never held.
/// </remarks>
public sealed class HubHttp : IAsyncDisposable
{
    private readonly WebApplication application;

    private HubHttp(WebApplication application)
    {
        this.application = application;
    }

    /// <summary>Where it listens, e.g. <c>https://127.0.0.1:8443</c>.</summary>
    public Uri Address => new(application.Services.GetRequiredService<IServer>()
        .Features.Get<IServerAddressesFeature>()!.Addresses.First());

    /// <summary>Listens; port 0 = any free one.</summary>
    /// <exception cref="IOException">The port cannot be had.</exception>
    public static async Task<HubHttp> StartAsync(HubServer hub, IPAddress bind, int port)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        // The verb decides when to end, not the web host.
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = 1 << 20;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
            kestrel.Listen(bind, port, listen => listen.UseHttps(hub.Data.ServerCertificate));
        });
        WebApplication application = builder.Build();
        Map(application, hub);
        try
        {
            await application.StartAsync().ConfigureAwait(false);
            return new HubHttp(application);
        }
        catch
        {
            await application.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        await application.StopAsync(patience.Token).ConfigureAwait(false);
        await application.DisposeAsync().ConfigureAwait(false);
    }

    private static void Map(WebApplication application, HubServer hub)
    {
        application.MapGet("/healthz", () => Results.Text("ok\n"));
        application.MapGet("/local/logs", (HttpContext context) => WriteLogsAsync(context, hub.Data.ConnectionsPath));
        application.MapGet("/local/metrics", (string? metricnames, string? timespan, string? interval, string? aggregation) =>
            Answer(MetricsRoute.Get(hub, metricnames, timespan, interval, aggregation), 200));
        application.MapGet("/local/faults", () => Answer(FaultsRoute.Get(hub), 200));
        application.MapPost("/local/faults", (Delegate)((HttpContext context) => PostFaultAsync(context, hub)));
        application.MapDelete("/local/faults/{id}", (HttpContext context, string id) => Refusal(context, hub, "/local/faults/" + id)
            ?? (FaultsRoute.Delete(hub, id) is { } error ? Answer(error, 0) : Results.NoContent()));
        application.MapGet("/local/telemetry", (HttpContext context) => WriteTelemetryAsync(context, hub.Telemetry));
    }

    private static async Task<IResult> PostFaultAsync(HttpContext context, HubServer hub)
    {
        if (Refusal(context, hub, "/local/faults") is { } refusal)
        {
            return refusal;
        }

        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body, context.RequestAborted).ConfigureAwait(false);
        return Answer(FaultsRoute.Post(hub, body.ToArray()), 201);
    }

    /// <summary>401 unless the request may order faults.</summary>
    private static IResult? Refusal(HttpContext context, HubServer hub, string path)
    {
        SasVerdict verdict = SasVerifier.VerifyService(
            Encoding.UTF8.GetBytes(context.Request.Headers.Authorization.ToString()), hub.Registry, Encoding.UTF8.GetBytes(path),
            FaultsRoute.Right);
        return verdict.IsAccepted && verdict.ExpirySeconds * 1000 > hub.UtcNowMs
            ? null
            : Answer(new HubError(
                401002, "IotHubUnauthorizedAccess",
                verdict.IsAccepted ? "the token has expired" : SasVerifier.Describe(verdict.Fault)), 0);
    }

    private static IResult Answer(HubAnswer<byte[]> answer, int status)
    {
        long utcMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        return answer.Error is { } error
            ? Results.Text(error.Body(Guid.NewGuid().ToString("N"), utcMs), "application/json", error.HttpStatus)
            : Results.Text(answer.Value!, "application/json", status);
    }

    private static async Task WriteTelemetryAsync(HttpContext context, TelemetryRing ring)
    {
        // Built first: the ring's lock must not wait for a slow reader.
        using var buffer = new MemoryStream();
        ring.WriteJson(buffer, context.Request.Query["device"].FirstOrDefault());
        context.Response.ContentType = "application/json";
        buffer.Position = 0;
        await buffer.CopyToAsync(context.Response.Body, context.RequestAborted).ConfigureAwait(false);
    }

    private static async Task WriteLogsAsync(HttpContext context, string path)
    {
        string? device = context.Request.Query["device"].FirstOrDefault();
        context.Response.ContentType = "application/x-ndjson";
        var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        await using (file.ConfigureAwait(false))
        {
            using var reader = new StreamReader(file, Encoding.UTF8);
            while (await reader.ReadLineAsync(context.RequestAborted).ConfigureAwait(false) is { } line)
            {
                if (device is null || IsAbout(line, device))
                {
                    await context.Response.WriteAsync(line + "\n", context.RequestAborted).ConfigureAwait(false);
                }
            }
        }
    }

    private static bool IsAbout(string line, string device)
    {
        try
        {
            using JsonDocument record = JsonDocument.Parse(line);
            using JsonDocument properties = JsonDocument.Parse(record.RootElement.GetProperty("properties").GetString()!);
            return properties.RootElement.GetProperty("deviceId").GetString() == device;
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            // The last line may still be on its way to the file; a line edited by hand is not ours to judge.
            return false;
        }
    }

    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
