using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Agent.Hub;

/// <summary>The hub's HTTPS side: MQTT over WebSocket, and under <c>/local</c> what a person or a test wants to see.</summary>
/// <remarks>
/// The cloud has no routes of the second kind, hence the prefix. The certificate is the one MQTT uses. Connections records come from the
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
            // One request at a time and nothing multiplexed: a connection is one client, bounded as one (HttpStranger). Slower
            // than 240 bytes/s, either way and after 5 s of grace, ends it: the web server's own default.
            kestrel.Limits.MaxRequestBodySize = 1 << 20;
            kestrel.Limits.MaxRequestBufferSize = 1 << 17;
            kestrel.Limits.MaxRequestHeadersTotalSize = 1 << 14;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
            kestrel.Limits.KeepAliveTimeout = TimeSpan.FromSeconds(60);
            kestrel.Listen(bind, port, listen =>
            {
                listen.Protocols = HttpProtocols.Http1;
                HttpStranger.Guard(listen);
                listen.UseHttps(hub.Data.ServerCertificate, https => https.HandshakeTimeout = TimeSpan.FromSeconds(10));
            });
        });
        WebApplication application = builder.Build();
        HttpStranger.WatchRequests(application);
        WebSocketRoute.Map(application, hub);
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
        application.MapGet("/local/telemetry", (HttpContext context) => WriteTelemetryAsync(context, hub.Telemetry));
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
