using System.Net;
using Microsoft.Extensions.Logging.Console;

namespace Agent.Service;

/// <summary>
/// The checker behind HTTP: takes facts in, shows statuses. The only place that reads the clock.
/// </summary>
/// <remarks>
/// It listens on the loopback address only: a post is believed without proof of who sent it, so nothing outside this machine may
/// make one. Nothing of the environment or of settings files is read, so that cannot be changed by accident either.
/// </remarks>
public sealed class Server
{
    public const int DefaultPort = 5080;
    public const int BodyBytesMax = 1024 * 1024;
    public const int PageMax = 1000;

    /// <summary>A hub's stamp further ahead of our clock than this means that our clock is wrong.</summary>
    public static readonly TimeSpan AheadMax = TimeSpan.FromMinutes(10);

    private const int PageDefault = 100;

    private readonly Lock turn = new();
    private readonly Liveness liveness;
    private readonly TimeProvider time;
    private readonly DateTimeOffset startedAt;
    private long factsApplied;

    private Server(TimeProvider time, LivenessSettings settings)
    {
        this.time = time;
        liveness = new Liveness(settings);
        startedAt = time.GetUtcNow();
    }

    /// <summary>The web application, ready to start. Port 0 takes any free port.</summary>
    public static WebApplication Build(int port, TimeProvider time, LivenessSettings? settings = null)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = BodyBytesMax;
            kestrel.AddServerHeader = false;
            kestrel.Listen(IPAddress.Loopback, port);
        });
        builder.Services.AddRoutingCore();
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        // A start that fails is thrown to the caller, which says it in one line.
        builder.Logging.AddFilter("Microsoft.Extensions.Hosting", LogLevel.Critical);
        builder.Logging.AddSimpleConsole(console => console.ColorBehavior = LoggerColorBehavior.Disabled);

        WebApplication application = builder.Build();
        application.UseRouting();
        var server = new Server(time, settings ?? new LivenessSettings());
        application.MapPost("/events", server.TakeEventsAsync);
        application.MapGet("/devices", server.ListDevices);
        application.MapGet("/devices/{id}", server.ShowDevice);
        application.MapGet("/healthz", server.ShowHealth);
        return application;
    }

    private async Task<IResult> TakeEventsAsync(HttpRequest request)
    {
        // A page in a browser can post plain text to a loopback address unasked, but not this type.
        if (!request.HasJsonContentType())
        {
            return Line(StatusCodes.Status415UnsupportedMediaType, "the content type must be application/json");
        }

        using var body = new MemoryStream();
        try
        {
            await request.Body.CopyToAsync(body, request.HttpContext.RequestAborted);
        }
        catch (BadHttpRequestException refused)
        {
            // Too large, or cut off half-way; Kestrel's status says which.
            string why = refused.StatusCode == StatusCodes.Status413PayloadTooLarge
                ? $"the body is larger than {BodyBytesMax} bytes"
                : "the body did not arrive whole";
            return Line(refused.StatusCode, why);
        }

        if (!EventGridEvents.TryParse(body.GetBuffer().AsMemory(0, (int)body.Length), out EventBatch batch, out string error))
        {
            return Line(StatusCodes.Status400BadRequest, error);
        }

        return Apply(batch);
    }

    private IResult Apply(EventBatch batch)
    {
        long latestAllowedMs = (time.GetUtcNow() + AheadMax).ToUnixTimeMilliseconds();
        if (batch.Facts.Any(fact => fact.AtMs > latestAllowedMs))
        {
            // 503 and not 400: Event Grid tries again later, so nothing is lost while the clock is being set right.
            return Line(
                StatusCodes.Status503ServiceUnavailable,
                $"an event is stamped more than {AheadMax.TotalMinutes} minutes ahead of this machine's clock: one of the two is wrong");
        }

        lock (turn)
        {
            if (!liveness.HasRoomFor(batch.Facts))
            {
                return Line(StatusCodes.Status503ServiceUnavailable, "no room for more devices");
            }

            foreach (Fact fact in batch.Facts)
            {
                liveness.Apply(fact);
            }

            factsApplied += batch.Facts.Count;
        }

        return batch.ValidationCode is string code
            ? Results.Json(new { validationResponse = code })
            : Results.Json(new { applied = batch.Facts.Count, ignored = batch.Ignored, problems = batch.Problems });
    }

    /// <summary>Totals over all devices and one page of them, in order of first sight, which never changes.</summary>
    private IResult ListDevices(HttpRequest request)
    {
        if (!TryReadWhole(request, "from", 0, int.MaxValue, 0, out int from))
        {
            return Line(StatusCodes.Status400BadRequest, "from must be a whole number, 0 or more");
        }

        if (!TryReadWhole(request, "limit", 1, PageMax, PageDefault, out int limit))
        {
            return Line(StatusCodes.Status400BadRequest, $"limit must be a whole number from 1 to {PageMax}");
        }

        string? wanted = request.Query["status"];
        if (wanted is not null && !DeviceText.StatusNames.Contains(wanted))
        {
            return Line(StatusCodes.Status400BadRequest, $"status must be one of {string.Join(", ", DeviceText.StatusNames)}");
        }

        DateTimeOffset now = time.GetUtcNow();
        long nowMs = now.ToUnixTimeMilliseconds();
        int[] totals = new int[DeviceText.StatusNames.Length];
        var page = new List<DeviceText>();
        int? next = null;
        int count;
        lock (turn)
        {
            count = liveness.Count;
            for (int row = 0; row < count; row++)
            {
                int status = (int)liveness.StatusAt(row, nowMs);
                totals[status]++;
                if (row < from || (wanted is not null && DeviceText.StatusNames[status] != wanted))
                {
                    continue;
                }

                if (page.Count < limit)
                {
                    page.Add(DeviceText.From(liveness.At(row, nowMs), nowMs));
                }
                else
                {
                    next ??= row;
                }
            }
        }

        return Results.Json(new
        {
            now = DeviceText.Moment(nowMs),
            total = count,
            online = totals[(int)Status.Online],
            late = totals[(int)Status.Late],
            silent = totals[(int)Status.Silent],
            unknown = totals[(int)Status.Unknown],
            next,
            devices = page,
        });
    }

    private IResult ShowDevice(string id)
    {
        long nowMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        lock (turn)
        {
            return liveness.TryGet(id, nowMs, out DeviceView view)
                ? Results.Json(DeviceText.From(view, nowMs))
                : Line(StatusCodes.Status404NotFound, "nothing was ever heard of this device");
        }
    }

    private IResult ShowHealth()
    {
        lock (turn)
        {
            double uptimeSeconds = Math.Round((time.GetUtcNow() - startedAt).TotalSeconds, 3);
            return Results.Json(new { status = "ok", devices = liveness.Count, factsApplied, uptimeSeconds });
        }
    }

    private static bool TryReadWhole(HttpRequest request, string name, int min, int max, int otherwise, out int value)
    {
        value = otherwise;
        string? text = request.Query[name];
        return text is null || (int.TryParse(text, out value) && value >= min && value <= max);
    }

    private static IResult Line(int status, string text) => Results.Text(text + "\n", "text/plain", statusCode: status);
}
