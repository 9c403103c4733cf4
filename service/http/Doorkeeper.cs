using System.Net;

namespace Agent.Service;

/// <summary>Who may ask, and how much at once.</summary>
/// <remarks>
/// Without a key only this machine is served, and only under a loopback name: otherwise a page in a browser here could reach the
/// checker through a name of its own that resolves to 127.0.0.1. With a key, everything but <c>/healthz</c> and the page's own files
/// needs it. Bounds are for all callers together: behind a proxy they have one address.
/// </remarks>
public sealed class Doorkeeper(ServiceOptions options, TimeProvider time)
{
    private readonly Lock gate = new();
    private double tokens = options.RequestsPerSecondMax;
    private long filledAt = time.GetTimestamp();
    private long bodyBytes;

    /// <summary>Requests refused for the lack of a key since the start.</summary>
    public long Unauthorized { get; private set; }

    /// <summary>Lets a request in or answers it.</summary>
    public Task CheckAsync(HttpContext context, RequestDelegate next)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(next);
        if (!TryTakeToken())
        {
            context.Response.Headers.RetryAfter = "1";
            return Answer(context, StatusCodes.Status429TooManyRequests, "too many requests");
        }

        if (options.Key is { } key)
        {
            PathString path = context.Request.Path;
            bool isOpen = path.Equals("/healthz", StringComparison.Ordinal) || PageFiles.Has(path);
            if (!isOpen && !key.IsPresentedBy(context.Request))
            {
                Unauthorized++;
                context.Response.Headers.WWWAuthenticate = "Bearer";
                return Answer(context, StatusCodes.Status401Unauthorized, "a key is needed");
            }
        }
        else if (!IsLoopbackName(context.Request.Host.Host))
        {
            return Answer(context, StatusCodes.Status403Forbidden, "without a key this service answers to 127.0.0.1 and localhost only");
        }

        return next(context);
    }

    /// <summary>Reserves memory for a body; false = too much is in flight.</summary>
    public bool TryReserve(int bytes)
    {
        if (Interlocked.Add(ref bodyBytes, bytes) <= options.BodyBytesInFlightMax)
        {
            return true;
        }

        Release(bytes);
        return false;
    }

    /// <summary>Gives reserved memory back.</summary>
    public void Release(int bytes) => Interlocked.Add(ref bodyBytes, -bytes);

    private bool TryTakeToken()
    {
        lock (gate)
        {
            long now = time.GetTimestamp();
            tokens = Math.Min(
                options.RequestsPerSecondMax, tokens + (time.GetElapsedTime(filledAt, now).TotalSeconds * options.RequestsPerSecondMax));
            filledAt = now;
            if (tokens < 1)
            {
                return false;
            }

            tokens--;
            return true;
        }
    }

    private static bool IsLoopbackName(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host.Trim('[', ']'), out IPAddress? address) && IPAddress.IsLoopback(address));

    private static Task Answer(HttpContext context, int status, string text)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/plain";
        return context.Response.WriteAsync(text + "\n");
    }
}
