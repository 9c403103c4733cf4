using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace Agent.Hub;

/// <summary>What a person or a test wants to see of the hub, under <c>/local</c>: the cloud has no such routes.</summary>
/// <remarks>
/// Reading asks for no credential: the hub listens on this machine unless told otherwise, and nothing here shows a key. Whatever
/// changes something asks for a token. Connections records come from the file, so that a restart forgets nothing; they are streamed,
/// never held.
/// </remarks>
internal static class LocalRoutes
{
    /// <summary>Where a person confirms the Event Grid subscription.</summary>
    public const string ValidationPath = "/local/eventgrid/validate";

    public static IReadOnlyList<HttpRoute> All { get; } =
    [
        new("GET", "/healthz", "ok while the hub serves", _ => Task.FromResult(Plain("ok\n"))),
        new("GET", "/local/logs", "Connections records, one JSON object a line: ?device=ID", WriteLogsAsync),
        new("GET", ValidationPath, "Confirm the Event Grid subscription by hand: ?id=CODE", Validate),
        new("GET", "/local/telemetry", "The latest device-to-cloud messages: ?device=ID", WriteTelemetryAsync),
    ];

    /// <summary>The list of all routes, itself included.</summary>
    public static HttpRoute ListOf(IReadOnlyList<HttpRoute> routes)
    {
        HttpRoute list = new("GET", "/local", "This list", _ => Task.FromResult(Plain("")));
        string text = Text([.. routes, list]);
        return list with { Handle = _ => Task.FromResult(Plain(text)) };
    }

    private static string Text(IReadOnlyList<HttpRoute> routes)
    {
        var text = new StringBuilder("""
            Routes of this hub. Those outside /local are the cloud's and take ?api-version=YYYY-MM-DD. Where a right is named, send
            Authorization: SharedAccessSignature sr=localhost&sig=...&se=...&skn=POLICY, as `simulator token` makes it.


            """.ReplaceLineEndings("\n"));
        foreach (HttpRoute route in routes)
        {
            string right = route.Right == AccessRights.None ? "-" : route.Right.ToString().Replace(", ", "+", StringComparison.Ordinal);
            text.Append($"{route.Method,-7}{route.Path,-53}{right,-29}{route.Summary}\n");
        }

        return text.ToString();
    }

    private static HttpAnswer Plain(string text) =>
        new() { Body = Encoding.UTF8.GetBytes(text), ContentType = "text/plain; charset=utf-8" };

    // The code in the address is the credential, as in the cloud.
    private static Task<HttpAnswer> Validate(HttpCall call) => Task.FromResult(
        call.Hub.Events?.Events?.Confirm(call.Context.Request.Query["id"].ToString()) == true
            ? Plain("The subscription is confirmed; events are on their way.\n")
            : HubError.ArgumentInvalid("No subscription waits for this code."));

    private static Task<HttpAnswer> WriteTelemetryAsync(HttpCall call)
    {
        // Built first: the ring's lock must not wait for a slow reader.
        using var buffer = new MemoryStream();
        call.Hub.Telemetry.WriteJson(buffer, call.Context.Request.Query["device"].FirstOrDefault());
        return Task.FromResult(HttpAnswer.Json(buffer.ToArray()) with { ContentType = "application/json" });
    }

    private static async Task<HttpAnswer> WriteLogsAsync(HttpCall call)
    {
        string? device = call.Context.Request.Query["device"].FirstOrDefault();
        call.Context.Response.ContentType = "application/x-ndjson";
        var file = new FileStream(
            call.Hub.Data.ConnectionsPath, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        await using (file.ConfigureAwait(false))
        {
            using var reader = new StreamReader(file, Encoding.UTF8);
            while (await reader.ReadLineAsync(call.Aborted).ConfigureAwait(false) is { } line)
            {
                if (device is null || IsAbout(line, device))
                {
                    await call.Context.Response.WriteAsync(line + "\n", call.Aborted).ConfigureAwait(false);
                }
            }
        }

        return HttpAnswer.Written;
    }

    private static bool IsAbout(string line, string device)
    {
        try
        {
            using JsonDocument record = JsonDocument.Parse(line);
            using JsonDocument properties = JsonDocument.Parse(record.RootElement.GetProperty("properties").GetString()!);
            return properties.RootElement.GetProperty("deviceId").GetString() == device;
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            // The last line may still be on its way to the file; a line edited by hand is not ours to judge.
            return false;
        }
    }
}
