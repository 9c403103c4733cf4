using Agent.Service.Alarms;
using Agent.Service.Doctor;
using Agent.Service.Metrics;
using Agent.Service.Mqtt;
using Microsoft.Extensions.Logging.Console;

namespace Agent.Service;

/// <summary>The checker behind HTTP.</summary>
/// <remarks>
/// It listens on the loopback address unless a key is set. Nothing of the environment or of settings files is read here, so that cannot be
/// changed by accident either. Kestrel's limits keep slow and idle callers from holding what others need: a connection without a request
/// costs a few kilobytes and is closed after half a minute, one with half a request after ten seconds, a body that trickles is cut off.
/// </remarks>
public static class Server
{
    /// <summary>The port when none is named.</summary>
    public const int DefaultPort = 5080;

    /// <summary>Longest body: Event Grid's batches have a megabyte and the rest of one event (facts/iothub.md §4).</summary>
    public const int BodyBytesMax = 2 * 1024 * 1024;

    private const int ConnectionsMax = 16_384;

    /// <summary>Of one request, taken from its socket before anybody reads it. By default it is 1 MB, times the callers.</summary>
    private const int UnreadBytesMax = 128 * 1024;

    /// <summary>The web application, ready to start; it owns the loop and the store.</summary>
    /// <exception cref="StoreException">The folder cannot be used.</exception>
    /// <exception cref="ArgumentException">An address outside this machine without a key, or alarms to tell without a folder.</exception>
    public static WebApplication Build(ServiceOptions options, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options is { Key: null, Entra: null } && !System.Net.IPAddress.IsLoopback(options.Address))
        {
            throw new ArgumentException("anything but a loopback address needs a key or a tenant", nameof(options));
        }

        if (options.Alarms is not null && options is { Folder: null, Postgres: null })
        {
            throw new ArgumentException("alarms are told once only with a place to keep them in", nameof(options));
        }

        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = BodyBytesMax;
            kestrel.Limits.MaxRequestBufferSize = UnreadBytesMax;
            kestrel.Limits.MaxConcurrentConnections = ConnectionsMax;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
            kestrel.Limits.KeepAliveTimeout = TimeSpan.FromSeconds(30);
            kestrel.Limits.MaxRequestHeadersTotalSize = 16 * 1024;
            kestrel.Limits.MaxRequestHeaderCount = 64;
            kestrel.AddServerHeader = false;
            kestrel.Listen(options.Address, options.Port);
        });
        builder.Services.AddRoutingCore();
        var loop = new CheckLoop(options, time);
        builder.Services.AddSingleton(_ => loop); // By a factory, so that the container disposes of it.
        builder.Services.AddSingleton(_ => new DoctorRoutes(loop, options.Hub, time));
        builder.Services.AddSingleton(_ => Acknowledgements.Open(options.Folder, loop));
        if (options.Alarms is { } alarms)
        {
            // Made after the loop and so disposed of before it.
            builder.Services.AddSingleton(services => AlarmDispatch.Open(
                alarms,
                options.Folder,
                loop,
                services.GetRequiredService<Acknowledgements>(),
                time,
                services.GetRequiredService<ILoggerFactory>().CreateLogger("Agent.Service.Alarms")));
        }

        if (options.Mqtt is { } broker)
        {
            builder.Services.AddSingleton(services => new MqttSource(
                broker,
                options.Folder,
                loop,
                services.GetService<ServiceMetrics>(),
                time,
                services.GetRequiredService<ILogger<MqttSource>>()));
            builder.Services.AddHostedService(services => services.GetRequiredService<MqttSource>());
        }

        var page = new LivePage(loop, time);
        builder.Services.AddHostedService(_ => page);
        if (options.Otlp is { } collector)
        {
            builder.Services.AddSingleton(services =>
                new ServiceMetrics(loop, services.GetService<AlarmDispatch>(), options.Folder, collector));
        }

        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        // A start that fails is thrown to the caller, which says it in one line.
        builder.Logging.AddFilter("Microsoft.Extensions.Hosting", LogLevel.Critical);
        builder.Logging.AddSimpleConsole(console => console.ColorBehavior = LoggerColorBehavior.Disabled);

        WebApplication application = builder.Build();
        _ = application.Services.GetRequiredService<CheckLoop>();
        (Acknowledgements acknowledgements, AlarmDispatch? dispatch) = OpenAlarms(application);
        var door = new Doorkeeper(options, time);
        ServiceMetrics? metrics = application.Services.GetService<ServiceMetrics>();
        if (metrics is not null)
        {
            application.Use(metrics.CountAsync);
        }

        application.Use(door.CheckAsync);
        application.UseRouting();
        Map(application, loop, new FactRoutes(loop, door, metrics), time);
        DoctorRoutes doctor = application.Services.GetRequiredService<DoctorRoutes>();
        application.MapPost("/devices/{id}/doctor", (Delegate)doctor.ExamineAsync);
        application.MapPost("/devices/{id}/reach", (Delegate)doctor.CallAsync);
        MapAlarms(application, new AlarmRoutes(acknowledgements, dispatch, time));
        page.Map(application, acknowledgements);
        application.Lifetime.ApplicationStarted.Register(loop.Run);
        application.Lifetime.ApplicationStarted.Register(() => dispatch?.Start());
        loop.Ended.ContinueWith(_ => application.Lifetime.StopApplication(), TaskScheduler.Default);
        return application;
    }

    private static void Map(WebApplication application, CheckLoop loop, FactRoutes facts, TimeProvider time)
    {
        application.MapPost("/events", facts.TakeEventsAsync);
        application.MapMethods("/events", [HttpMethods.Options], FactRoutes.ShakeHands);
        application.MapPost("/logs", facts.TakeLogsAsync);
        IServiceProvider services = application.Services;
        var ask = new AskRoutes(loop, time, services.GetService<AlarmDispatch>(), services.GetService<MqttSource>());
        application.MapGet("/devices", ask.ListDevices);
        application.MapGet("/devices/{id}", ask.ShowDevice);
        application.MapGet("/alarms", ask.ListAlarms);
        application.MapGet("/healthz", ask.ShowHealth);
        application.MapGet("/openapi.json", ShowDocument);
    }

    private static void MapAlarms(WebApplication application, AlarmRoutes routes)
    {
        application.MapPost("/alarms/{number}/acknowledge", (Delegate)routes.AcknowledgeAsync);
        application.MapPost("/alarms/test", (Delegate)routes.TestAsync);
    }

    private static (Acknowledgements Acknowledgements, AlarmDispatch? Dispatch) OpenAlarms(WebApplication application)
    {
        try
        {
            return (application.Services.GetRequiredService<Acknowledgements>(), application.Services.GetService<AlarmDispatch>());
        }
        catch (StoreException)
        {
            ((IDisposable)application).Dispose(); // The folder is free for whoever is next.
            throw;
        }
    }

    private static IResult ShowDocument() => Results.Stream(
        typeof(Server).Assembly.GetManifestResourceStream("Agent.Service.http.openapi.json")!, "application/json");
}
