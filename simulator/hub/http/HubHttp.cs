using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Agent.Hub;

/// <summary>
/// The hub's HTTPS side: the cloud's service routes, MQTT over WebSocket, and what a person or a test wants to see under
/// <c>/local</c>.
/// </summary>
/// <remarks>
/// <para>The cloud answers on port 443 and some of its SDKs know no other: <c>azure-iothub</c> from npm takes the whole
/// <c>HostName</c> for a name and always dials 443. Serve on 443 for those (<c>--http-port 443</c>; the system may want a privilege
/// for it), or load <c>simulator/real/node/https-port.js</c> before the program. Clients that do take a port may name it in the
/// token's <c>sr</c> or not.</para>
/// <para>The certificate is the one MQTT uses. All routes are rows of one table, <c>GET /local</c> shows it, and nothing else
/// is reachable. Headers, bodies and their pace are bounded; errors never carry a stack trace.</para>
/// </remarks>
public sealed class HubHttp : IAsyncDisposable
{
    /// <summary>
    /// Longest body the server reads past without hanging up. Well above what any route takes, so that a client with a little too
    /// much gets to read its 413.
    /// </summary>
    private const int BodySkippedMax = 4 * BulkRoute.BodyLengthMax;

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
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Logging.ClearProviders();
        // The verb decides when to end, not the web host.
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            // One request at a time and nothing multiplexed: a connection is one client, bounded as one (HttpStranger). Slower
            // than 240 bytes/s, either way and after 5 s of grace, ends it: the web server's own default.
            kestrel.Limits.MaxRequestBodySize = BodySkippedMax;
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
        HttpRoute[] routes =
        [
            .. RegistryRoutes.All, .. TwinRoutes.All, .. MessageRoutes.All, .. LocalRoutes.All, .. MetricsRoute.All, .. FaultsRoute.All,
        ];
        var router = new HttpRouter(hub, [.. routes, LocalRoutes.ListOf(routes)]);
        application.Run(router.ServeAsync);
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

    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
