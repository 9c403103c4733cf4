using System.Net;
using System.Net.WebSockets;
using Agent.Wire;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Agent.Hub;

/// <summary>MQTT over WebSocket on the HTTPS port: <c>wss://host:port/$iothub/websocket</c> (facts/iothub.md §1.1).</summary>
/// <remarks>
/// For devices behind firewalls that let only HTTPS out; in the cloud the port is 443. A query such as
/// <c>?iothub-no-client-cert=true</c>, which some SDKs append, changes nothing here: no client certificate is asked for anyway.
/// A client that does not offer the subprotocol <c>mqtt</c> is refused before the upgrade (MQTT 3.1.1 §6 demands the offer),
/// rather than upgraded without one and left to find out. WebSocket's own keep-alive stays off: MQTT's is the one that counts.
/// </remarks>
internal static class WebSocketRoute
{
    private const string Path = "/$iothub/websocket";
    private const string Subprotocol = "mqtt";

    /// <summary>Puts the route before whatever else handles requests.</summary>
    public static void Map(WebApplication application, HubServer hub)
    {
        application.UseWebSockets(new WebSocketOptions { KeepAliveInterval = TimeSpan.Zero });
        application.Use((context, next) => context.Request.Path == Path ? ServeAsync(context, hub) : next(context));
    }

    private static async Task ServeAsync(HttpContext context, HubServer hub)
    {
        if (!context.WebSockets.IsWebSocketRequest)
        {
            context.Response.Headers.Upgrade = "websocket";
            context.Response.StatusCode = StatusCodes.Status426UpgradeRequired;
            return;
        }

        if (!context.WebSockets.WebSocketRequestedProtocols.Contains(Subprotocol))
        {
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
            await context.Response.WriteAsync($"the WebSocket subprotocol {Subprotocol} is not offered\n").ConfigureAwait(false);
            return;
        }

        ConnectionInfo connection = context.Connection;
        IPEndPoint? remote = connection.RemoteIpAddress is { } address ? new IPEndPoint(address, connection.RemotePort) : null;
        WebSocket socket = await context.WebSockets.AcceptWebSocketAsync(Subprotocol).ConfigureAwait(false);
        HttpStranger? stranger = context.Features.Get<HttpStranger>();
        stranger?.EndRequest();
        await hub.AcceptAsync(socket, new WebSocketPeer(remote, context.Abort, stranger)).ConfigureAwait(false);
    }
}
