using System.Net;
using System.Net.Sockets;
using Agent.Wire;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Agent.Hub;

/// <summary>One connection of the HTTPS port, from TCP accept to its end, or to the accepted CONNECT of a device.</summary>
/// <remarks>
/// Every HTTP connection is a stranger: a service's token belongs to a request, not to a connection. The web server's own bound
/// (MaxConcurrentConnections) turns newcomers away when it is reached, so that five hundred silent connections would close the
/// port; here the oldest that waits for its peer makes room instead, see <see cref="Strangers"/>. A connection whose request is
/// under work counts as ours to move for ten seconds; whoever needs longer, a slow reader or a slow sender, can be evicted too.
/// </remarks>
internal sealed class HttpStranger : Stranger
{
    /// <summary>At most this many on the port: about 250 KB each at worst, TLS, headers and buffered body together.</summary>
    public const int CountMax = 500;

    /// <summary>The same for one address.</summary>
    public const int PerAddressMax = 250;

    private const long RequestMsMax = 10_000;

    private readonly ConnectionContext connection;
    private readonly Socket? socket;
    private long requestSinceMs;

    private HttpStranger(ConnectionContext connection)
        : base((connection.RemoteEndPoint as IPEndPoint)?.Address ?? IPAddress.None)
    {
        this.connection = connection;
        socket = connection.Features.Get<IConnectionSocketFeature>()?.Socket;
    }

    /// <inheritdoc/>
    public override bool OwesUs
    {
        get
        {
            long since = Volatile.Read(ref requestSinceMs);
            try
            {
                return since == 0 ? socket is not { Available: > 0 } : Environment.TickCount64 - since > RequestMsMax;
            }
            catch (Exception gone) when (gone is SocketException or ObjectDisposedException)
            {
                return true;
            }
        }
    }

    /// <summary>Counts the connections of a port, from before their TLS handshake. Call before UseHttps.</summary>
    public static void Guard(ListenOptions listen)
    {
        var strangers = new Strangers(CountMax, PerAddressMax);
        listen.Use(next => connection => ServeAsync(connection, next, strangers));
    }

    /// <summary>Marks requests under work. Call before anything else handles them.</summary>
    public static void WatchRequests(WebApplication application) => application.Use(async (context, next) =>
    {
        HttpStranger? stranger = context.Features.Get<HttpStranger>();
        if (stranger is not null)
        {
            Volatile.Write(ref stranger.requestSinceMs, Math.Max(1, Environment.TickCount64));
        }

        try
        {
            await next(context).ConfigureAwait(false);
        }
        finally
        {
            stranger?.EndRequest();
        }
    });

    /// <summary>The request is answered, or has become something that is not one.</summary>
    public void EndRequest() => Volatile.Write(ref requestSinceMs, 0);

    /// <inheritdoc/>
    protected override void Evict() => connection.Abort(new ConnectionAbortedException("made room for a newer connection"));

    private static async Task ServeAsync(ConnectionContext connection, ConnectionDelegate next, Strangers strangers)
    {
        var stranger = new HttpStranger(connection);
        if ((stranger.socket is { } socket && FileLimit.IsScarce(socket)) || !strangers.TryAdd(stranger))
        {
            connection.Abort(new ConnectionAbortedException("too many connections"));
            return;
        }

        connection.Features.Set(stranger);
        try
        {
            await next(connection).ConfigureAwait(false);
        }
        finally
        {
            stranger.Leave();
        }
    }
}
