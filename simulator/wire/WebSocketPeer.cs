using System.Net;

namespace Agent.Wire;

/// <summary>What the web server knows of a client that came over a WebSocket.</summary>
/// <param name="Remote">The client's address and port; null when there is no network under it.</param>
/// <param name="Drop">Resets the connection under the WebSocket, from any thread, without blocking.</param>
/// <param name="Stranger">Its entry among those who have not shown who they are; null = not counted.</param>
public sealed record WebSocketPeer(IPEndPoint? Remote, Action Drop, Stranger? Stranger);
