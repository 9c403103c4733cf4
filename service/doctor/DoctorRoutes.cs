using System.Text.Json;
using Microsoft.AspNetCore.Http.Features;

namespace Agent.Service.Doctor;

/// <summary>The doctor at the press of a button: the checklist for one device, walked from where the service runs.</summary>
/// <remarks>
/// What the checker knows is taken from it directly and put through the same JSON as over HTTP, so that button and verb cannot differ. An
/// examination dials and waits, so a few are made at a time and the rest told to come back. It is a POST of JSON, for a page of
/// somebody else's in the same browser can ask for addresses and post forms, but not that.
/// </remarks>
public sealed class DoctorRoutes(CheckLoop loop, HubAccess? hub, TimeProvider time) : IDisposable
{
    private const int AtATimeMax = 4;
    private const int BodyBytesMax = 4096;

    private readonly SemaphoreSlim room = new(AtATimeMax);
    private readonly ReachCheck? reach = hub?.Connection is { } connection
        ? new ReachCheck(connection, hub.HttpsPort, hub.Roots, time) : null;

    /// <summary><c>POST /devices/{id}/doctor</c> with <c>{}</c>.</summary>
    public async Task<IResult> ExamineAsync(HttpContext context, string id)
    {
        ArgumentNullException.ThrowIfNull(context);
        if (!context.Request.HasJsonContentType())
        {
            return AskRoutes.Line(StatusCodes.Status415UnsupportedMediaType, "the content type must be application/json");
        }

        DoctorRequest request = hub?.RequestFor(id, time) ?? new DoctorRequest { DeviceId = id, Time = time };
        if (request.FindProblem() is { } problem)
        {
            return AskRoutes.Line(StatusCodes.Status400BadRequest, problem);
        }

        if (!await room.WaitAsync(0))
        {
            context.Response.Headers.RetryAfter = "5";
            return AskRoutes.Line(StatusCodes.Status429TooManyRequests, $"{AtATimeMax} examinations are under way already");
        }

        try
        {
            (KnownDevice? device, KnownFleet fleet) = loop.Ask((checker, nowMs) => Know(checker, nowMs, id));
            Diagnosis diagnosis = await DeviceDoctor.ExamineAsync(request, device, fleet, null, context.RequestAborted);
            return Results.Text(DoctorText.Json(diagnosis) + "\n", "application/json");
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            return Results.Empty; // Whoever asked has left.
        }
        finally
        {
            room.Release();
        }
    }

    /// <summary><c>POST /devices/{id}/reach</c> with <c>{"withinSeconds":30}</c>, or <c>{}</c>.</summary>
    public async Task<IResult> CallAsync(HttpContext context, string id)
    {
        ArgumentNullException.ThrowIfNull(context);
        if (!context.Request.HasJsonContentType())
        {
            return AskRoutes.Line(StatusCodes.Status415UnsupportedMediaType, "the content type must be application/json");
        }

        if (reach is null)
        {
            return AskRoutes.Line(StatusCodes.Status409Conflict, "no hub can be asked: the service was started without --hub-connection");
        }

        int withinSeconds = await ReadSecondsAsync(context);
        if (withinSeconds == 0 || !DeviceIds.IsValid(id))
        {
            return AskRoutes.Line(
                StatusCodes.Status400BadRequest,
                $"a device id, and {{}} or {{\"withinSeconds\":N}} with 1 to {ReachCheck.WithinSecondsMax}, are needed");
        }

        if (!await room.WaitAsync(0))
        {
            context.Response.Headers.RetryAfter = "5";
            return AskRoutes.Line(StatusCodes.Status429TooManyRequests, $"{AtATimeMax} examinations are under way already");
        }

        try
        {
            ReachFinding found = await reach.AskAsync(id, withinSeconds, context.RequestAborted);
            return Results.Json(new
            {
                device = id,
                reachable = found.IsReachable,
                outcome = JsonNamingPolicy.CamelCase.ConvertName(found.Outcome.ToString()),
                text = found.Text,
                tookMs = found.TookMs,
            });
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            return Results.Empty; // Whoever asked has left.
        }
        finally
        {
            room.Release();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        reach?.Dispose();
        room.Dispose();
    }

    // 0 = it makes no sense.
    private static async Task<int> ReadSecondsAsync(HttpContext context)
    {
        context.Features.Get<IHttpMaxRequestBodySizeFeature>()!.MaxRequestBodySize = BodyBytesMax;
        try
        {
            using JsonDocument body = await JsonDocument.ParseAsync(context.Request.Body, default, context.RequestAborted);
            if (body.RootElement.ValueKind != JsonValueKind.Object)
            {
                return 0;
            }

            bool isNamed = body.RootElement.TryGetProperty("withinSeconds", out JsonElement value);
            return !isNamed ? ReachCheck.WithinSecondsDefault
                : value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int seconds)
                    && seconds is >= 1 and <= ReachCheck.WithinSecondsMax ? seconds
                : 0;
        }
        catch (Exception broken) when (broken is JsonException or BadHttpRequestException)
        {
            return 0;
        }
    }

    private static (KnownDevice? Device, KnownFleet Fleet) Know(Checker checker, long nowMs, string id)
    {
        int row = checker.Find(id);
        JsonElement? device = row < 0
            ? null
            : JsonSerializer.SerializeToElement(DeviceText.From(checker.At(row, nowMs), nowMs), JsonSerializerOptions.Web);
        int site = row < 0 ? 0 : checker.Table.Hot(row).Group;
        return (
            device is { } known ? CheckerQuery.DeviceOf(known) : null,
            new KnownFleet(
                checker.Count,
                checker.CountOf(Status.Late) + checker.CountOf(Status.Silent),
                checker.IsFleetLost,
                site > 0 && checker.Sites[site].IsLost,
                checker.Doubt.HeldUntilMs > nowMs));
    }
}
