using System.Globalization;
using System.Text.Json;
using Agent.Service.Alarms;
using Microsoft.AspNetCore.Http.Features;

namespace Agent.Service;

/// <summary>What a person may do about alarms: say that he knows, and try whether a destination hears.</summary>
/// <remarks>
/// Both take JSON and nothing else: a page in a browser can post a form to a loopback address unasked, but not that type. An alarm can be
/// acknowledged without destinations too; the page shows by whom.
/// </remarks>
public sealed class AlarmRoutes(Acknowledgements acknowledgements, AlarmDispatch? dispatch, TimeProvider time)
{
    private const int BodyBytesMax = 4096;
    private const string NobodyIsTold = "nobody is told of alarms here: the service was started without --alarms";

    /// <summary><c>POST /alarms/{number}/acknowledge</c> with <c>{"by":"kim"}</c>.</summary>
    public async Task<IResult> AcknowledgeAsync(HttpContext context, string number)
    {
        (string by, IResult? refusal) = await ReadAsync(context, "by");
        if (refusal is not null)
        {
            return refusal;
        }

        if (!long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out long episode))
        {
            return Line(StatusCodes.Status404NotFound, "no such alarm is open");
        }

        try
        {
            return await acknowledgements.AddAsync(episode, by, time.GetUtcNow().ToUnixTimeMilliseconds()) is { } word
                ? Results.Json(new { number = episode, by = word.By, at = DeviceText.Moment(word.AtMs) })
                : Line(StatusCodes.Status404NotFound, "no such alarm is open");
        }
        catch (Exception failed) when (failed is IOException or UnauthorizedAccessException)
        {
            return Line(StatusCodes.Status503ServiceUnavailable, "it cannot be kept: the disk does not take it");
        }
    }

    /// <summary><c>POST /alarms/test</c> with <c>{"destination":"ops"}</c>: 200 and what came of it, also when it did not arrive.</summary>
    public async Task<IResult> TestAsync(HttpContext context)
    {
        (string destination, IResult? refusal) = await ReadAsync(context, "destination");
        if (refusal is not null)
        {
            return refusal;
        }

        if (dispatch is null)
        {
            return Line(StatusCodes.Status409Conflict, NobodyIsTold);
        }

        return await dispatch.TestAsync(destination, context.RequestAborted) is { } note
            ? Results.Json(new
            {
                destination = note.Destination,
                id = note.Id,
                outcome = JsonNamingPolicy.CamelCase.ConvertName(note.Outcome.ToString()),
                status = note.Status == 0 ? (int?)null : note.Status,
            })
            : Line(StatusCodes.Status404NotFound, "no destination has that name");
    }

    // The one text the body must hold, or the answer that refuses it.
    private async Task<(string Text, IResult? Refusal)> ReadAsync(HttpContext context, string name)
    {
        if (!context.Request.HasJsonContentType())
        {
            return ("", Line(StatusCodes.Status415UnsupportedMediaType, "the content type must be application/json"));
        }

        context.Features.Get<IHttpMaxRequestBodySizeFeature>()!.MaxRequestBodySize = BodyBytesMax;
        try
        {
            using JsonDocument body = await JsonDocument.ParseAsync(context.Request.Body, default, context.RequestAborted);
            bool isObject = body.RootElement.ValueKind == JsonValueKind.Object && body.RootElement.EnumerateObject().Count() == 1;
            if (isObject && body.RootElement.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String
                && value.GetString() is { Length: > 0 and <= Notice.NameMax } text && !text.Any(char.IsControl))
            {
                return (text, null);
            }
        }
        catch (Exception broken) when (broken is JsonException or InvalidOperationException)
        {
            // Not JSON, or a text that is no UTF-16: answered below.
        }
        catch (BadHttpRequestException refused)
        {
            return ("", Line(refused.StatusCode, $"the body must be whole and have at most {BodyBytesMax} bytes"));
        }

        return ("", Line(
            StatusCodes.Status400BadRequest, $"the body must be {{\"{name}\":\"…\"}} with 1 to {Notice.NameMax} characters"));
    }

    private static IResult Line(int status, string text) => Results.Text(text + "\n", "text/plain", statusCode: status);
}
