using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Agent.Hub;

/// <summary>Takes every request from the server to its route, and the answer back.</summary>
/// <remarks>
/// The web framework's own routing is not used: it decodes a path before it splits it and tidies dots away, but <c>..</c> and
/// <c>50%</c> are legal device ids. Here the path is split as it came and each segment decoded once. The order is the same for all
/// routes: path, method, credential, version, ids, body, throttle; whoever may not ask learns nothing about devices.
/// </remarks>
internal sealed class HttpRouter(HubServer hub, IReadOnlyList<HttpRoute> routes)
{
    private const int LockTokenLengthMax = 128;

    /// <summary>All routes, in the order of the table.</summary>
    public IReadOnlyList<HttpRoute> Routes => routes;

    /// <summary>Answers one request. Nothing is thrown but what ends the connection.</summary>
    public async Task ServeAsync(HttpContext context)
    {
        HttpRoute? route = null;
        HttpAnswer answer;
        try
        {
            answer = Choose(context, out route, out HttpCall? call)
                ?? await ReadBodyAsync(call!, route!.BodyLengthMax).ConfigureAwait(false)
                ?? await AdmitAsync(call!, route.Throttle).ConfigureAwait(false)
                ?? await route.Handle(call!).ConfigureAwait(false);
        }
        catch (BadHttpRequestException exception)
        {
            answer = exception.StatusCode switch
            {
                StatusCodes.Status413PayloadTooLarge => HttpErrors.BodyTooLarge(route?.BodyLengthMax ?? 0),
                StatusCodes.Status408RequestTimeout => HttpErrors.BodyTooSlow(),
                _ => HubError.ArgumentInvalid("The request is not well-formed HTTP."),
            };
        }
        catch (Exception) when (context.RequestAborted.IsCancellationRequested)
        {
            return; // Nobody is there any more.
        }
        catch (Exception exception)
        {
            answer = HttpErrors.ServerError(exception);
        }

        if (context.Response.HasStarted)
        {
            if (answer.Error is not null)
            {
                context.Abort(); // The client must not take the half for the whole.
            }

            return;
        }

        if (!ReferenceEquals(answer, HttpAnswer.Written))
        {
            await WriteAsync(context, answer, route?.NestsErrors ?? false).ConfigureAwait(false);
        }
    }

    private HttpAnswer? Choose(HttpContext context, out HttpRoute? route, out HttpCall? call)
    {
        route = null;
        call = null;
        if (!TrySplit(context, out List<string> segments))
        {
            return HubError.ArgumentInvalid("The path has a broken percent escape, or one that is no UTF-8.");
        }

        var values = new Dictionary<string, string>();
        string? allowed = null;
        foreach (HttpRoute candidate in routes)
        {
            if (!candidate.Matches(segments, values))
            {
                continue;
            }

            if (candidate.Method == context.Request.Method)
            {
                route = candidate;
                break;
            }

            allowed = allowed is null ? candidate.Method : allowed + ", " + candidate.Method;
        }

        if (route is null)
        {
            if (allowed is not null)
            {
                context.Response.Headers.Allow = allowed;
            }

            return allowed is null ? HttpErrors.NotFound() : HttpErrors.MethodNotAllowed(allowed);
        }

        long utcMs = hub.UtcNowMs;
        call = new HttpCall(hub, context, values, utcMs);
        HubError? refusal = route.Right == AccessRights.None
            ? null
            : ServiceAccess.Refusal(context.Request, hub.Registry, "/" + string.Join('/', segments), route.Right, utcMs);
        refusal ??= route.IsOurs ? null : ServiceAccess.VersionRefusal(context.Request);
        refusal ??= BadValue(values);
        return refusal is null ? null : (HttpAnswer)refusal;
    }

    private static HubError? BadValue(Dictionary<string, string> values)
    {
        foreach ((string name, string value) in values)
        {
            if (name == "lockToken" ? value.Length is 0 or > LockTokenLengthMax : !Registry.IsId(value))
            {
                return HubError.ArgumentInvalid(
                    $"The path's {(name == "id" ? "device id" : name == "mid" ? "module id" : "lock token")} is empty, too long or has a "
                    + "character that it cannot have.");
            }
        }

        return null;
    }

    private static bool TrySplit(HttpContext context, out List<string> segments)
    {
        segments = [];
        string target = context.Features.Get<IHttpRequestFeature>()!.RawTarget;
        if (!target.StartsWith('/'))
        {
            // The absolute form, which only proxies write; there the tidied path will do.
            target = context.Request.Path.ToUriComponent();
        }

        int query = target.IndexOf('?', StringComparison.Ordinal);
        string path = query < 0 ? target : target[..query];
        path = path.EndsWith('/') ? path[..^1] : path; // azure-iothub lists devices at /devices/
        foreach (string segment in path.Length == 0 ? [] : path[1..].Split('/'))
        {
            byte[] decoded = new byte[segment.Length];
            if (!PercentText.TryDecode(Encoding.ASCII.GetBytes(segment), decoded, out int length)
                || !System.Text.Unicode.Utf8.IsValid(decoded.AsSpan(0, length)))
            {
                return false;
            }

            segments.Add(Encoding.UTF8.GetString(decoded, 0, length));
        }

        return true;
    }

    private static async Task<HttpAnswer?> ReadBodyAsync(HttpCall call, int max)
    {
        if (max == 0)
        {
            return null;
        }

        if (call.Context.Request.ContentLength > max)
        {
            return HttpErrors.BodyTooLarge(max);
        }

        // Grows with what has arrived, never with what was announced.
        using var body = new MemoryStream();
        byte[] buffer = new byte[8192];
        int count;
        while ((count = await call.Context.Request.Body.ReadAsync(buffer, call.Aborted).ConfigureAwait(false)) > 0)
        {
            if (body.Length + count > max)
            {
                return HttpErrors.BodyTooLarge(max);
            }

            body.Write(buffer, 0, count);
        }

        call.Body = body.ToArray();
        return null;
    }

    private static async Task<HttpAnswer?> AdmitAsync(HttpCall call, ThrottleKind? throttle) =>
        throttle is { } kind && await call.Hub.AdmitAsync(kind, cancellation: call.Aborted).ConfigureAwait(false) is { } refusal
            ? (HttpAnswer)refusal
            : null;

    private async Task WriteAsync(HttpContext context, HttpAnswer answer, bool nestsErrors)
    {
        ReadOnlyMemory<byte> body = answer.Body;
        context.Response.StatusCode = answer.Status;
        if (answer.Error is { } error)
        {
            long utcMs = hub.UtcNowMs;
            string trackingId = HttpErrors.TrackingId(utcMs);
            body = nestsErrors ? error.Body(trackingId, utcMs) : HttpErrors.Body(error, trackingId);
            context.Response.StatusCode = error.HttpStatus;
            context.Response.Headers["iothub-errorcode"] = error.Name;
            if (error.HttpStatus == StatusCodes.Status401Unauthorized)
            {
                context.Response.Headers.WWWAuthenticate = "SharedAccessSignature";
            }

            if (error.RetryAfterSeconds is { } seconds)
            {
                context.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
            }
        }

        foreach ((string name, string value) in answer.Headers)
        {
            context.Response.Headers[name] = value;
        }

        if (!body.IsEmpty)
        {
            context.Response.ContentType = answer.ContentType;
            context.Response.ContentLength = body.Length;
            await context.Response.Body.WriteAsync(body, context.RequestAborted).ConfigureAwait(false);
        }
    }
}
