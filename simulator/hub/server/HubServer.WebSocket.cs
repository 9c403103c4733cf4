using System.Net.WebSockets;
using Agent.Wire;

namespace Agent.Hub;

// MQTT clients that did not come to the MQTT port. They meet the same handler as the others, so the machine cannot tell them apart.
public sealed partial class HubServer
{
    /// <summary>Serves an MQTT client over a WebSocket of subprotocol <c>mqtt</c> (facts/iothub.md §1.1).</summary>
    /// <returns>Completes when the connection is over. Never fails.</returns>
    public Task AcceptAsync(WebSocket socket, WebSocketPeer peer) => server.ServeAsync(socket, peer);

    /// <summary>
    /// Ends every connection, as at the end of the hub: clients see it closed, no record is written. For whoever stops the web
    /// server next, so that WebSockets are not cut off without a word; <see cref="DisposeAsync"/> does the rest.
    /// </summary>
    public async Task StopAsync()
    {
        lock (gate)
        {
            stopping = true;
        }

        await server.StopAsync().ConfigureAwait(false);
    }
}
