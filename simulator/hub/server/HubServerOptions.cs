using System.Net;
using Agent.Events;
using Agent.Wire;

namespace Agent.Hub;

/// <summary>How a hub is put on the wire.</summary>
public sealed record HubServerOptions
{
    /// <summary>Certificates, registry and logs; made at the first start.</summary>
    public required string DataDirectory { get; init; }

    /// <summary>At least this many identities. Default 2, so that one can be mistaken for the other.</summary>
    public int Devices { get; init; } = 2;

    /// <summary>Identities to have beside those, in this order; each must be a valid id.</summary>
    public IReadOnlyList<string> DeviceIds { get; init; } = [];

    /// <summary>
    /// Told of every Connections record about a known device (its index), in order and under the hub's lock: must be quick.
    /// </summary>
    public Action<int, LogKind>? OnRecord { get; init; }

    /// <summary>
    /// Told why the hub ends or refuses a connection of a device (its index, the client's port), before the client can see it.
    /// </summary>
    public Action<int, int, Reason>? OnVerdict { get; init; }

    /// <summary>
    /// Wraps what serves the sessions, for somebody who wants to see every packet; must hand each call on. Null = nobody does.
    /// </summary>
    public Func<IServerHandler, IServerHandler>? Watch { get; init; }

    /// <summary>Where to listen. Default: this machine only.</summary>
    public IPAddress Bind { get; init; } = IPAddress.Loopback;

    /// <summary>MQTT over TLS. 0 = any free port.</summary>
    public int Port { get; init; } = 8883;

    /// <summary>Who does the work of TLS on that port. HTTPS is always the web server's own.</summary>
    public TlsEngine TlsEngine { get; init; }

    /// <summary>
    /// How long a client may take from TCP to CONNECT. Default 30 s, the vendor's figure for its MQTT 5 preview; for 3.1.1
    /// none is known (facts/iothub.md §1.2).
    /// </summary>
    public TimeSpan ConnectWithin { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Grace, skew, tier.</summary>
    public HubOptions Hub { get; init; } = new();

    /// <summary>The only clock. Default: the system's.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Where Event Grid events and records are delivered; null = nowhere.</summary>
    public HubEventsOptions? Events { get; init; }

    /// <summary>
    /// Whether what is acknowledged survives a power cut and not only a killed process. Off for hubs whose folder goes with them.
    /// </summary>
    public bool Synchronise { get; init; } = true;

    /// <summary>How cloud-to-device messages are kept.</summary>
    public CommandOptions Commands { get; init; } = new();

    /// <summary>Where the line per event goes; null = nowhere.</summary>
    public TextWriter? Lines { get; init; }
}
