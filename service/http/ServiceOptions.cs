using System.Net;
using Agent.Service.Alarms;
using Agent.Service.Doctor;
using Agent.Service.Mqtt;

namespace Agent.Service;

/// <summary>What the command line decides.</summary>
public sealed record ServiceOptions
{
    /// <summary>TCP port; 0 takes any free one.</summary>
    public int Port { get; init; } = Server.DefaultPort;

    /// <summary>Where to listen. Anything but a loopback address needs a key or <see cref="Entra"/>.</summary>
    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>What callers must present; null = no key is asked for.</summary>
    public AccessKey? Key { get; init; }

    /// <summary>Whose tokens are accepted beside the key; null = nobody's.</summary>
    public EntraSettings? Entra { get; init; }

    /// <summary>The folder that survives; null = nothing does.</summary>
    public string? Folder { get; init; }

    /// <summary>The database that several replicas share, instead of a <see cref="Folder"/>; null = none.</summary>
    public PostgresOptions? Postgres { get; init; }

    /// <summary>Whom to tell of alarms; needs a <see cref="Folder"/> or <see cref="Postgres"/>. Null = nobody.</summary>
    public AlarmSettings? Alarms { get; init; }

    /// <summary>The plain broker to listen to; null = none.</summary>
    public MqttSettings? Mqtt { get; init; }

    /// <summary>The collector that metrics are sent to; null = nothing is measured.</summary>
    public Uri? Otlp { get; init; }

    /// <summary>The hub to ask about one device at the press of a button; null = none.</summary>
    public HubAccess? Hub { get; init; }

    /// <summary>How the folder is kept.</summary>
    public StoreOptions Store { get; init; } = new();

    /// <summary>How patient the checker is.</summary>
    public LivenessSettings Liveness { get; init; } = new();

    /// <summary>Requests a second taken from all callers together.</summary>
    public int RequestsPerSecondMax { get; init; } = 5000;

    /// <summary>Bytes of bodies held in memory at one time, of all callers together.</summary>
    public long BodyBytesInFlightMax { get; init; } = 64L * 1024 * 1024;
}
