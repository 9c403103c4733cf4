using System.Buffers;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using Agent.Service.Metrics;

namespace Agent.Service;

/// <summary>Facts in: Event Grid's webhook and the hub's Connections log.</summary>
/// <remarks>A device speaks only for itself here: the id is the hub's stamp, and nothing a device writes can name another.</remarks>
public sealed class FactRoutes(CheckLoop loop, Doorkeeper door, ServiceMetrics? metrics)
{
    /// <summary>A hub's stamp further ahead of our clock than this means that one of the two clocks is wrong.</summary>
    public static readonly TimeSpan AheadMax = TimeSpan.FromMinutes(10);

    private const int SpareMax = 64;
    private static readonly string TooLarge = $"the body is larger than {Server.BodyBytesMax} bytes";

    private readonly ConcurrentBag<Reading> spare = [];

    /// <summary><c>POST /events</c>.</summary>
    public Task TakeEventsAsync(HttpContext context) =>
        TakeAsync(context, static (body, reading) => EventGridReader.TryRead(body, reading.Outcome));

    /// <summary><c>POST /logs</c>.</summary>
    public Task TakeLogsAsync(HttpContext context) =>
        TakeAsync(context, static (body, reading) => reading.Records.TryRead(body, reading.Outcome));

    /// <summary><c>OPTIONS /events</c>: the handshake of CloudEvents (facts/iothub.md §4).</summary>
    public static Task ShakeHands(HttpContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        string? origin = context.Request.Headers["WebHook-Request-Origin"];
        context.Response.Headers.Allow = "POST, OPTIONS";
        if (origin is not { Length: > 0 and <= 255 } || origin.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('.' or '-' or ':')))
        {
            return Answers.LineAsync(context, StatusCodes.Status400BadRequest, "WebHook-Request-Origin must name a host");
        }

        context.Response.Headers["WebHook-Allowed-Origin"] = origin;
        context.Response.Headers["WebHook-Allowed-Rate"] = "*";
        return Task.CompletedTask;
    }

    private delegate bool Read(ReadOnlySpan<byte> body, Reading reading);

    private async Task TakeAsync(HttpContext context, Read read)
    {
        // A page in a browser can post plain text to a loopback address unasked, but not these types.
        if (!IsJson(context.Request.ContentType))
        {
            await Answers.LineAsync(
                context,
                StatusCodes.Status415UnsupportedMediaType,
                "the content type must be application/json, application/cloudevents+json or application/cloudevents-batch+json");
            return;
        }

        if (!spare.TryTake(out Reading? reading))
        {
            reading = new Reading();
        }

        var body = new Body(door);
        try
        {
            if (await ReceiveAsync(context, body))
            {
                await TakeBodyAsync(context, body.Bytes, reading, read);
            }
        }
        finally
        {
            body.Dispose();
            reading.Outcome.Clear();
            if (spare.Count < SpareMax)
            {
                spare.Add(reading);
            }
        }
    }

    private async Task TakeBodyAsync(HttpContext context, ReadOnlyMemory<byte> body, Reading reading, Read read)
    {
        ReadOutcome outcome = reading.Outcome;
        if (!read(body.Span, reading))
        {
            await Answers.LineAsync(context, StatusCodes.Status400BadRequest, outcome.Error ?? "not understood");
            return;
        }

        if (await loop.TakeAsync(outcome.Facts, AheadMax) is string refusal)
        {
            metrics?.OnRefused("notKept", outcome.Facts.Count);
            // 503 and not 400: Event Grid tries again later, so nothing is lost while the trouble is being put right.
            await Answers.LineAsync(context, StatusCodes.Status503ServiceUnavailable, refusal);
            return;
        }

        metrics?.OnRefused("senseless", outcome.Problems.Count);
        if (outcome.ValidationCode is string code)
        {
            await Answers.JsonAsync(context, new { validationResponse = code });
            return;
        }

        await Answers.JsonAsync(context, new { applied = outcome.Facts.Count, ignored = outcome.Ignored, problems = outcome.Problems });
    }

    /// <summary>Takes the body in; false = it was refused and that has been answered.</summary>
    private static async Task<bool> ReceiveAsync(HttpContext context, Body body)
    {
        PipeReader reader = context.Request.BodyReader;
        try
        {
            while (true)
            {
                ReadResult part = await reader.ReadAsync(context.RequestAborted);
                if (body.Length + part.Buffer.Length > Server.BodyBytesMax)
                {
                    reader.AdvanceTo(part.Buffer.End);
                    await Answers.LineAsync(context, StatusCodes.Status413PayloadTooLarge, TooLarge);
                    return false;
                }

                if (!body.TryAdd(part.Buffer))
                {
                    reader.AdvanceTo(part.Buffer.End);
                    context.Response.Headers.RetryAfter = "5";
                    await Answers.LineAsync(context, StatusCodes.Status503ServiceUnavailable, "too much is being taken in already");
                    return false;
                }

                reader.AdvanceTo(part.Buffer.End);
                if (part.IsCompleted)
                {
                    return true;
                }
            }
        }
        catch (BadHttpRequestException refused)
        {
            // Too large, or cut off half-way; Kestrel's status says which.
            string why = refused.StatusCode == StatusCodes.Status413PayloadTooLarge
                ? TooLarge
                : "the body did not arrive whole";
            await Answers.LineAsync(context, refused.StatusCode, why);
            return false;
        }
        catch (Exception gone) when (gone is OperationCanceledException or IOException)
        {
            return false; // The sender has left, or we are ending; there is nobody to answer.
        }
    }

    private static bool IsJson(string? contentType)
    {
        ReadOnlySpan<char> type = contentType.AsSpan();
        int end = type.IndexOf(';');
        type = (end < 0 ? type : type[..end]).Trim();
        return type.Equals("application/json", StringComparison.OrdinalIgnoreCase)
            || type.Equals("application/cloudevents+json", StringComparison.OrdinalIgnoreCase)
            || type.Equals("application/cloudevents-batch+json", StringComparison.OrdinalIgnoreCase)
            || type.Equals("application/x-ndjson", StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>
    /// A body as it arrives. Memory is reserved for what has come and not for what was announced: otherwise a few dozen callers who
    /// announce the most and send nothing would leave no room for anybody.
    /// </summary>
    private sealed class Body(Doorkeeper door) : IDisposable
    {
        private const int StartBytes = 16 * 1024;

        // The shared pool keeps 32 arrays of each size for each processor: a quarter of a gigabyte after one bad hour.
        private static readonly ArrayPool<byte> Pool = ArrayPool<byte>.Create(Server.BodyBytesMax, maxArraysPerBucket: 8);

        private byte[] bytes = [];
        private int reserved;

        public int Length { get; private set; }

        public ReadOnlyMemory<byte> Bytes => bytes.AsMemory(0, Length);

        public bool TryAdd(in ReadOnlySequence<byte> part)
        {
            int length = Length + (int)part.Length;
            if (length > bytes.Length && !TryGrow(Math.Max(StartBytes, Math.Max(length, Math.Min(Length * 2, Server.BodyBytesMax)))))
            {
                return false;
            }

            part.CopyTo(bytes.AsSpan(Length));
            Length = length;
            return true;
        }

        public void Dispose()
        {
            door.Release(reserved);
            if (bytes.Length > 0)
            {
                Pool.Return(bytes);
            }
        }

        private bool TryGrow(int capacity)
        {
            if (!door.TryReserve(capacity - reserved))
            {
                return false;
            }

            reserved = capacity;
            byte[] larger = Pool.Rent(capacity);
            bytes.AsSpan(0, Length).CopyTo(larger);
            if (bytes.Length > 0)
            {
                Pool.Return(bytes);
            }

            bytes = larger;
            return true;
        }
    }

    private sealed class Reading
    {
        public ReadOutcome Outcome { get; } = new();

        public ConnectionsReader Records { get; } = new();
    }
}

/// <summary>Answers of one line, and of JSON.</summary>
internal static class Answers
{
    public static Task LineAsync(HttpContext context, int status, string text)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/plain";
        return context.Response.WriteAsync(text + "\n");
    }

    public static Task JsonAsync<T>(HttpContext context, T value) => context.Response.WriteAsJsonAsync(value);
}
