using System.Net;

namespace Agent.Service;

/// <summary>Who may ask, and how much at once.</summary>
/// <remarks>
/// Without a key only this machine is served, and only under a loopback name: otherwise a page in a browser here could reach the
/// checker through a name of its own that resolves to 127.0.0.1. With a key, or an Entra tenant, everything but <c>/healthz</c> and the
/// page's own files needs one of the two. Bounds are for all callers together: behind a proxy they have one address. But those who
/// present nothing valid have a bound of their own, a tenth, so that strangers cannot use up what the others need.
/// </remarks>
public sealed class Doorkeeper(ServiceOptions options, TimeProvider time)
{
    private const int StrangersPart = 10;

    private readonly RateLimit all = new(options.RequestsPerSecondMax, time);
    private readonly RateLimit strangers = new(Math.Max(1, options.RequestsPerSecondMax / StrangersPart), time);
    private TokenAccess? tokens;
    private long bodyBytes;

    /// <summary>Requests refused for the lack of a key since the start.</summary>
    public long Unauthorized { get; private set; }

    /// <summary>Lets a request in or answers it.</summary>
    public async Task CheckAsync(HttpContext context, RequestDelegate next)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(next);
        (int status, string why) = await JudgeAsync(context);
        if (status == StatusCodes.Status200OK && !all.TryTake())
        {
            (status, why) = (StatusCodes.Status429TooManyRequests, "too many requests");
        }

        if (status == StatusCodes.Status200OK)
        {
            await next(context);
            return;
        }

        if (status == StatusCodes.Status401Unauthorized)
        {
            Unauthorized++;
            context.Response.Headers.WWWAuthenticate = "Bearer";
        }
        else if (status != StatusCodes.Status403Forbidden)
        {
            context.Response.Headers.RetryAfter = "1";
        }

        if (status == StatusCodes.Status429TooManyRequests)
        {
            // Otherwise one connection could put thousands of questions, each worth an answer that nobody reads.
            context.Response.Headers.Connection = "close";
        }

        await Answers.LineAsync(context, status, why);
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

    private async ValueTask<(int Status, string Why)> JudgeAsync(HttpContext context)
    {
        HttpRequest request = context.Request;
        if (options is { Key: null, Entra: null })
        {
            return IsLoopbackName(request.Host.Host)
                ? (StatusCodes.Status200OK, "")
                : (StatusCodes.Status403Forbidden, "without a key this service answers to 127.0.0.1 and localhost only");
        }

        bool isOpen = request.Path.Equals("/healthz", StringComparison.Ordinal) || PageFiles.Has(request.Path);
        if (isOpen || options.Key?.IsPresentedBy(request) == true)
        {
            return (StatusCodes.Status200OK, "");
        }

        if (options.Entra is not null && AccessKey.PresentedBy(request) is { } credential && TokenAccess.IsToken(credential))
        {
            tokens ??= new TokenAccess(options.Entra, strangers, time);
            return await tokens.CheckAsync(credential, NeededBy(request), context.RequestAborted) switch
            {
                TokenVerdict.Accepted => (StatusCodes.Status200OK, ""),
                TokenVerdict.LacksRole => (StatusCodes.Status403Forbidden, "the token has not the role that this needs"),
                TokenVerdict.Unavailable => (StatusCodes.Status503ServiceUnavailable, "tokens cannot be checked at present"),
                _ => (StatusCodes.Status401Unauthorized, "the token is not accepted"),
            };
        }

        return strangers.TryTake()
            ? (StatusCodes.Status401Unauthorized, options.Key is null ? "a token is needed" : "a key is needed")
            : (StatusCodes.Status429TooManyRequests, "too many requests");
    }

    private static AccessRoles NeededBy(HttpRequest request) =>
        request.Path.StartsWithSegments("/events", StringComparison.Ordinal)
            || request.Path.StartsWithSegments("/logs", StringComparison.Ordinal) ? AccessRoles.WriteFacts
        : HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method) ? AccessRoles.Read | AccessRoles.Operate
        : AccessRoles.Operate;

    private static bool IsLoopbackName(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host.Trim('[', ']'), out IPAddress? address) && IPAddress.IsLoopback(address));
}
