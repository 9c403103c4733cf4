namespace Agent.Fleet;

/// <summary>One row of the list of clients a scenario can name.</summary>
/// <param name="Id">The scenario's <c>sdk</c> value.</param>
/// <param name="Title">Name for people.</param>
/// <param name="About">One line: what it does at renewal.</param>
/// <param name="Documented">Whether the vendor's table has a row for it.</param>
/// <param name="TakesRenewAt">Whether renewAt and renewBefore are accepted.</param>
/// <param name="TakesLifetime">Whether the lifetime can be set.</param>
/// <param name="AppMustAct">Whether appRetryAfter applies.</param>
/// <param name="Create">Makes the <c>source</c> model for so many devices of one driver.</param>
public sealed record SdkEntry(
    string Id,
    string Title,
    string About,
    bool Documented,
    bool TakesRenewAt,
    bool TakesLifetime,
    bool AppMustAct,
    Func<ClientSettings, int, ulong, SdkModel> Create);

/// <summary>Every client the simulator knows.</summary>
public static class SdkCatalog
{
    /// <summary>In the order in which they are listed.</summary>
    public static IReadOnlyList<SdkEntry> All { get; } =
    [
        new("dotnet", ".NET 1.42.3", "never renews on MQTT; the hub cuts it at lifetime + grace, back after 100 ms",
            true, true, true, false, (settings, _, _) => new DotnetClient(settings)),
        new("dotnet-v2", ".NET 2.0.0-preview008", "as .NET 1; retries double from 128 ms to 12 h",
            false, true, true, false, (settings, _, _) => new DotnetV2Client(settings)),
        new("java", "Java 2.5.1", "never renews on MQTT; the hub cuts it at lifetime + 1 s + grace; gives up after 4 min offline",
            true, true, true, false, (settings, _, _) => new JavaClient(settings)),
        new("node", "Node.js 1.18.4", "disconnects and reconnects 900 s before expiry, without resubscribing",
            true, true, true, false, (settings, _, _) => new NodeClient(settings)),
        new("python", "Python 2.14.0", "disconnects and reconnects 120 s before expiry, on a grid drops do not move",
            true, false, true, false, (settings, _, _) => new PythonClient(settings)),
        new("python-v3", "Python 3.0.0b2", "a session ends with its connection; the application opens the next",
            false, false, true, true, (settings, _, _) => ApplicationLedClient.PythonV3(settings)),
        new("c", "C 1.15.0", "disconnects and reconnects at 80 % of the lifetime (48 min), resubscribes everything",
            false, false, true, false, (settings, _, _) => new CClient(settings)),
        new("embedded-c", "Embedded C library", "no renewal built in; the hub cuts it, the application acts",
            false, false, true, true, (settings, _, _) => ApplicationLedClient.EmbeddedC(settings)),
        new("arduino-esp32", "Arduino ESP32 (Hub)", "a new client when the token has expired, inside the grace",
            false, false, true, false, (settings, _, _) => new ArduinoEsp32Client(settings, central: false)),
        new("arduino-central", "Arduino ESP32 (Central)", "a new client 29 s before expiry",
            false, false, true, false, (settings, _, _) => new ArduinoEsp32Client(settings, central: true)),
        new("esp8266", "Arduino ESP8266", "no expiry check; the hub cuts it, back at the next telemetry tick",
            false, false, true, false, (settings, _, _) => new ArduinoEsp8266Client(settings)),
        new("freertos", "FreeRTOS middleware", "no renewal; five tries, then the application must act",
            false, false, true, true, (settings, _, _) => ApplicationLedClient.FreeRtos(settings)),
        new("nanoframework", "nanoFramework 1.2", "24 h token, reconnects at 23 h 50 min, never after a drop",
            false, false, false, false, (settings, _, _) => new NanoFrameworkClient(settings)),
        new("agent", "Agent (this project)", "renews before expiry with a random spread, full-jitter back-off",
            false, true, true, false, (settings, count, seed) => new AgentClient(settings, count, seed)),
    ];

    /// <summary>The row of an id; null when there is none.</summary>
    public static SdkEntry? Find(string id)
    {
        foreach (SdkEntry entry in All)
        {
            if (entry.Id == id)
            {
                return entry;
            }
        }

        return null;
    }

    /// <summary>The model for a fleet: what the source does, or what the vendor's table says.</summary>
    public static SdkModel Create(string id, string behaviour, ClientSettings settings, int count, ulong seed)
    {
        SdkEntry entry = Find(id) ?? throw new ArgumentException($"unknown SDK {id}", nameof(id));
        SdkModel source = entry.Create(settings, count, seed);
        return (behaviour, id) switch
        {
            ("source", _) => source,
            ("documented", "dotnet") => DocumentedClient.Passive(settings, source, configurable: true),
            ("documented", "java") => DocumentedClient.Passive(settings, source, configurable: false),
            ("documented", "node") => DocumentedClient.Active(settings, source),
            ("documented", "python") => DocumentedClient.AtLifetime(settings, source),
            _ => throw new ArgumentException($"{id} has no documented behaviour", nameof(behaviour)),
        };
    }
}
