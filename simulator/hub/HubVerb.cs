using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Agent.Events;
using Agent.Wire;

namespace Agent.Hub;

/// <summary>The options of <c>simulator hub</c>.</summary>
public sealed record HubVerbOptions
{
    /// <summary>MQTT over TLS; 0 = any free port.</summary>
    public int Port { get; init; } = 8883;

    /// <summary>HTTPS; 0 = none.</summary>
    public int HttpPort { get; init; } = 8443;

    /// <summary>An IP address, or <c>localhost</c>.</summary>
    public string Bind { get; init; } = "127.0.0.1";

    /// <summary>The data folder; null = a fresh temporary one.</summary>
    public string? Data { get; init; }

    /// <summary>At least this many identities.</summary>
    public int Devices { get; init; } = 2;

    /// <summary>Identities to have beside those.</summary>
    public IReadOnlyList<string> DeviceIds { get; init; } = [];

    /// <summary>Who does the work of TLS under MQTT.</summary>
    public TlsEngine TlsEngine { get; init; }

    /// <summary>Address of a webhook for Event Grid events; null = none.</summary>
    public string? Events { get; init; }

    /// <summary>The envelope of the events.</summary>
    public EventSchema EventsSchema { get; init; }

    /// <summary>Address of a webhook for Connections records; null = none.</summary>
    public string? Logs { get; init; }

    /// <summary>Address of an OpenTelemetry collector; null = what the environment says.</summary>
    public string? Otlp { get; init; }

    /// <summary>Grace, skew, tier.</summary>
    public HubOptions Hub { get; init; } = new();
}

/// <summary>
/// <c>simulator hub</c>: serves the facsimile until Ctrl-C or SIGTERM. Standard output carries the connection strings and,
/// last, the path of the authority's certificate; everything else goes to standard error.
/// </summary>
public static class HubVerb
{
    private const int Done = 0;
    private const int BadInput = 2;
    private const int OutsideFailed = 3;

    /// <summary>Runs until cancelled or told to end by a signal. Returns the exit code.</summary>
    public static async Task<int> RunAsync(
        HubVerbOptions options, TextWriter output, TextWriter error, CancellationToken cancellation)
    {
        if (FindProblem(options, out IPAddress bind) is { } problem)
        {
            await error.WriteLineAsync(problem).ConfigureAwait(false);
            return BadInput;
        }

        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using PosixSignalRegistration terminate = EndOn(PosixSignal.SIGTERM, ending);
        using PosixSignalRegistration interrupt = EndOn(PosixSignal.SIGINT, ending);
        try
        {
            await ServeAsync(options, bind, output, error, ending.Token).ConfigureAwait(false);
            return Done;
        }
        catch (HubDataException exception)
        {
            await error.WriteLineAsync(exception.Message).ConfigureAwait(false);
            return BadInput;
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or IOException or SocketException)
        {
            // Each of these says where: a socket's endpoint or a file's path.
            await error.WriteLineAsync(exception.Message.ReplaceLineEndings(" ")).ConfigureAwait(false);
            return OutsideFailed;
        }
    }

    private static async Task ServeAsync(
        HubVerbOptions options, IPAddress bind, TextWriter output, TextWriter error, CancellationToken ending)
    {
        string directory = OpenFolder(options.Data);
        HubServer hub = StartHub(options, bind, directory, error);
        await using (hub.ConfigureAwait(false))
        {
            using OtlpExport? export = OtlpExport.UrlOf(options.Otlp) is { } collector ? OtlpExport.Start(hub, collector) : null;
            HubHttp? http = options.HttpPort == 0
                ? null
                : await StartHttpAsync(hub, bind, options.HttpPort).ConfigureAwait(false);
            try
            {
                await PrintAsync(hub, http, options.TlsEngine, options.Data is null, output, error).ConfigureAwait(false);
                await Task.Delay(Timeout.InfiniteTimeSpan, ending)
                    .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
            finally
            {
                // First, so that clients over WebSocket hear of it too.
                await hub.StopAsync().ConfigureAwait(false);
                if (http is not null)
                {
                    await http.DisposeAsync().ConfigureAwait(false);
                }
            }
        }
    }

    private static HubServer StartHub(HubVerbOptions options, IPAddress bind, string directory, TextWriter error)
    {
        try
        {
            return HubServer.Start(new HubServerOptions
            {
                DataDirectory = directory,
                Devices = options.Devices,
                DeviceIds = options.DeviceIds,
                Bind = bind,
                Port = options.Port,
                TlsEngine = options.TlsEngine,
                Hub = options.Hub,
                Events = ReadDeliveries(options, directory),
                Lines = error,
            });
        }
        catch (SocketException exception)
        {
            throw new IOException($"hub: cannot listen on {new IPEndPoint(bind, options.Port)}: {exception.Message}");
        }
    }

    private static async Task<HubHttp> StartHttpAsync(HubServer hub, IPAddress bind, int port)
    {
        try
        {
            return await HubHttp.StartAsync(hub, bind, port).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is IOException or SocketException)
        {
            throw new IOException(
                $"hub: cannot listen on {new IPEndPoint(bind, port)} (--http-port; 0 = none): "
                + (exception.InnerException ?? exception).Message);
        }
    }

    private static async Task PrintAsync(
        HubServer hub, HubHttp? http, TlsEngine tls, bool isTemporary, TextWriter output, TextWriter error)
    {
        if (tls != TlsEngine.Portable)
        {
            await error.WriteLineAsync($"hub: TLS engine {tls.Name()}").ConfigureAwait(false);
        }

        await error.WriteLineAsync($"hub: MQTT over TLS on {hub.EndPoint}").ConfigureAwait(false);
        if (http is not null)
        {
            await error.WriteLineAsync($"hub: MQTT over WebSocket on wss://{http.Address.Authority}/$iothub/websocket")
                .ConfigureAwait(false);
            await error.WriteLineAsync($"hub: service routes on {http.Address}, all of them listed at {http.Address}local")
                .ConfigureAwait(false);
        }

        await error.WriteLineAsync($"hub: data in {hub.Data.Directory}"
            + (isTemporary ? " (no --data given: keys and logs stay there, the next start makes others)" : ""))
            .ConfigureAwait(false);
        await error.WriteLineAsync("hub: times below are UTC; Ctrl-C ends it").ConfigureAwait(false);

        Registry registry = hub.Registry;
        foreach (Device device in registry.Devices.Where(device => device.ModuleId is null))
        {
            await output.WriteLineAsync(registry.ConnectionStringOf(device)).ConfigureAwait(false);
        }

        if (registry.TryFindPolicy("iothubowner"u8, out AccessPolicy? owner))
        {
            await output.WriteLineAsync(registry.ConnectionStringOf(owner)).ConfigureAwait(false);
        }

        await output.WriteLineAsync(hub.Data.AuthorityPath).ConfigureAwait(false);
        await output.FlushAsync().ConfigureAwait(false);
    }

    private static string OpenFolder(string? data)
    {
        if (data is null)
        {
            // Unique and open to this user only: two hubs side by side do not meet, and nobody else reads the keys.
            return Directory.CreateTempSubdirectory("agent-hub-").FullName;
        }

        try
        {
            return HubData.MakeDirectory(data);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new HubDataException($"--data {data}: {exception.Message.ReplaceLineEndings(" ")}");
        }
    }

    /// <summary>Where events and records go; the addresses have been checked.</summary>
    private static HubEventsOptions? ReadDeliveries(HubVerbOptions options, string directory)
    {
        WebhookOptions? events = null;
        DeliveryOptions? logs = null;
        if (options.Events is { } webhook && DeliveryOptions.TryReadUrl(webhook, out Uri url, out _))
        {
            events = new WebhookOptions
            {
                Url = url,
                Name = "EVENTS",
                Schema = options.EventsSchema,
                ValidationUrl = options.HttpPort == 0
                    ? null
                    : new Uri($"https://localhost:{options.HttpPort}{LocalRoutes.ValidationPath}"),
                DeadLetterFolder = Path.Combine(directory, "dead-letters"),
            };
        }

        if (options.Logs is { } receiver && DeliveryOptions.TryReadUrl(receiver, out Uri logsUrl, out _))
        {
            logs = new DeliveryOptions
            {
                Url = logsUrl,
                Name = "LOGS",
                Policy = LogDelivery.DefaultPolicy,
                DeadLetterFolder = Path.Combine(directory, "dead-letters"),
            };
        }

        return events is null && logs is null
            ? null
            : new HubEventsOptions { HubName = "localhost", Events = events, Logs = logs };
    }

    private static string? FindProblem(HubVerbOptions options, out IPAddress bind)
    {
        bind = IPAddress.Loopback;
        if (options.Bind != "localhost" && !IPAddress.TryParse(options.Bind, out bind!))
        {
            bind = IPAddress.Loopback;
            return $"--bind {options.Bind}: not an IP address (127.0.0.1 = this machine only, 0.0.0.0 = all)";
        }

        return options.Port is < 0 or > 65535 ? $"--port {options.Port}: allowed are 0 to 65535"
            : options.HttpPort is < 0 or > 65535 ? $"--http-port {options.HttpPort}: allowed are 0 (none) to 65535"
            : options.Devices is < 1 or > Registry.DevicesMax
                ? $"--devices {options.Devices}: allowed are 1 to {Registry.DevicesMax}"
            : !HubOptions.Tiers.Contains(options.Hub.Tier)
                ? $"--tier {options.Hub.Tier}: allowed are {string.Join(", ", HubOptions.Tiers)}"
            : options.Hub.Units < 1 || options.Hub.Units > options.Hub.UnitsMax
                ? $"--units {options.Hub.Units}: allowed are 1 to {options.Hub.UnitsMax} of tier {options.Hub.Tier}"
            : options.Events is { } events && !DeliveryOptions.TryReadUrl(events, out _, out string why) ? $"--events: {why}"
            : OtlpExport.UrlOf(options.Otlp) is { } otlp && !OtlpExport.TryReadUrl(otlp, out why) ? $"--otlp: {why}"
            : options.Logs is { } logs && !DeliveryOptions.TryReadUrl(logs, out _, out why) ? $"--logs: {why}"
            : null;
    }

    private static PosixSignalRegistration EndOn(PosixSignal signal, CancellationTokenSource ending) =>
        PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            ending.Cancel();
        });
}
