using System.Globalization;

namespace Agent.Hub;

/// <summary>Twins, queries over them, and direct methods over HTTPS (facts/iothub.md §7).</summary>
internal static class TwinRoutes
{
    /// <summary>Rows in a page when the caller does not say; the vendor gives a maximum only.</summary>
    private const int PageSizeDefault = 100;

    /// <summary>A method's payload and what stands around it, escapes included.</summary>
    private const int MethodBodyLengthMax = MethodRequest.PayloadLengthMax + 4096;

    private const int QueryBodyLengthMax = 65_536;

    public static IReadOnlyList<HttpRoute> All { get; } =
    [
        .. OfOne("/twins/{id}", "device"),
        .. OfOne("/twins/{id}/modules/{mid}", "module"),
        new("POST", "/devices/query", "Query twins: {\"query\":\"SELECT * FROM devices\"}", QueryAsync)
        {
            Right = AccessRights.ServiceConnect,
            Throttle = ThrottleKind.Queries,
            BodyLengthMax = QueryBodyLengthMax,
        },
    ];

    private static IEnumerable<HttpRoute> OfOne(string path, string what) =>
    [
        new("GET", path, $"A {what}'s twin", GetAsync) { Right = AccessRights.ServiceConnect, Throttle = ThrottleKind.TwinReads },
        new("PATCH", path, $"Change tags and desired properties of a {what}; If-Match: etag or *", call => ChangeAsync(call, false))
        {
            Right = AccessRights.ServiceConnect,
            BodyLengthMax = Twin.DocumentLengthMax,
        },
        new("PUT", path, $"Replace tags and desired properties of a {what}; If-Match: etag or *", call => ChangeAsync(call, true))
        {
            Right = AccessRights.ServiceConnect,
            BodyLengthMax = Twin.DocumentLengthMax,
        },
        new("POST", path + "/methods", $"Call a direct method of a {what}", CallMethodAsync)
        {
            Right = AccessRights.ServiceConnect,
            BodyLengthMax = MethodBodyLengthMax,
            NestsErrors = true,
        },
    ];

    private static Task<HttpAnswer> GetAsync(HttpCall call)
    {
        HttpAnswer answer = call.TryFind(out Device? device, out HubError? error)
            ? Shown(call, device, call.Hub.TwinOf(device))
            : error;
        call.Hub.OnTwinRead(answer.Error is null ? answer.Body.Length : null);
        return Task.FromResult(answer);
    }

    private static async Task<HttpAnswer> ChangeAsync(HttpCall call, bool replace)
    {
        if (!call.TryFind(out Device? device, out HubError? error))
        {
            return error;
        }

        HubAnswer<Twin> done = await call.Hub.ChangeTwinAsync(device, call.Body, call.IfMatch, replace).ConfigureAwait(false);
        return done.Error is { } refusal ? refusal : Shown(call, device, done.Value!);
    }

    private static async Task<HttpAnswer> CallMethodAsync(HttpCall call)
    {
        if (!call.TryFind(out Device? device, out HubError? error))
        {
            return error;
        }

        if (!MethodRequest.TryParse(call.Body.Span, out MethodRequest? request, out IReadOnlyList<string> problems))
        {
            return HubError.ArgumentInvalid(string.Join("; ", problems));
        }

        MethodOutcome outcome = await call.Hub.CallAsync(device, request!, call.Aborted).ConfigureAwait(false);
        return outcome.Error is { } refusal ? refusal : HttpAnswer.Json(outcome.Body());
    }

    private static Task<HttpAnswer> QueryAsync(HttpCall call)
    {
        int size = PageSizeDefault;
        if (call.Header("x-ms-max-item-count") is { } text
            && !int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out size))
        {
            size = 0; // Out of range, like any other number the page refuses.
        }

        try
        {
            TwinQuery query = TwinQuery.ParseBody(call.Body.Span);
            IEnumerable<TwinRow> rows = RegistryRoutes.DevicesOf(call.Hub)
                .Select(device => new TwinRow(call.Hub.IdentityOf(device), call.Hub.TwinOf(device)));
            QueryPage page = query.Page(rows, call.Header("x-ms-continuation"), size);
            List<(string, string)> headers = [("x-ms-item-type", query.ItemType)];
            if (page.Continuation is { } next)
            {
                headers.Add(("x-ms-continuation", next));
            }

            call.Hub.OnQuery(page.Body.Length);
            return Task.FromResult(HttpAnswer.Json(page.Body) with { Headers = headers });
        }
        catch (QueryException exception)
        {
            call.Hub.OnQuery(null);
            return Task.FromResult<HttpAnswer>(exception.Error);
        }
    }

    private static HttpAnswer Shown(HttpCall call, Device device, Twin twin) =>
        HttpAnswer.Json(twin.ServiceJson(call.Hub.IdentityOf(device)), twin.ETag);
}
