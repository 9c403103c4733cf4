using System.Text.Json;

namespace Agent.Service.Doctor;

/// <summary>The doctor at the press of a button: the checklist for one device, walked from where the service runs.</summary>
/// <remarks>
/// What the checker knows is taken from it directly and put through the same JSON as over HTTP, so that button and verb cannot differ. An
/// examination dials and waits, so a few are made at a time and the rest told to come back. It is a POST of JSON, for a page of
/// somebody else's in the same browser can ask for addresses and post forms, but not that.
/// </remarks>
public sealed class DoctorRoutes(CheckLoop loop, HubAccess? hub, TimeProvider time)
{
    private const int AtATimeMax = 4;

    private readonly SemaphoreSlim room = new(AtATimeMax);

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
