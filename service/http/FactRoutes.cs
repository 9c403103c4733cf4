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

        using var body = new Body(door);
        if (!await ReceiveAsync(context, body))
        {
            return;
        }

        // Not before: a reading has room for a large batch, and thousands of callers may be half-way through their bodies.
        if (!spare.TryTake(out Reading? reading))
        {
            reading = new Reading();
        }

        try
        {
            await TakeBodyAsync(context, body.Join(), reading, read);
        }
        finally
        {
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
        // One size for all parts: a pool that has none of a size gives a larger one.
        private const int PartBytes = 16 * 1024;

        // The shared pool keeps 32 arrays of each size for each processor, a quarter of a gigabyte after one bad hour; these keep what may
        // be in flight anyway, and a whole for each of the few bodies that are read at one moment.
        private static readonly ArrayPool<byte> Parts = ArrayPool<byte>.Create(PartBytes, maxArraysPerBucket: 4096);
        private static readonly ArrayPool<byte> Wholes = ArrayPool<byte>.Create(Server.BodyBytesMax, maxArraysPerBucket: 4);

        private readonly List<byte[]> parts = [];
        private byte[] whole = [];
        private int capacity;

        public int Length { get; private set; }

        /// <summary>The body in one piece, which most have come in.</summary>
        public ReadOnlyMemory<byte> Join()
        {
            if (parts.Count <= 1)
            {
                return parts.Count == 0 ? default : parts[0].AsMemory(0, Length);
            }

            whole = Wholes.Rent(Length);
            int at = 0;
            foreach (byte[] part in parts)
            {
                int count = Math.Min(part.Length, Length - at);
                part.AsSpan(0, count).CopyTo(whole.AsSpan(at));
                at += count;
            }

            return whole.AsMemory(0, Length);
        }

        public bool TryAdd(in ReadOnlySequence<byte> more)
        {
            foreach (ReadOnlyMemory<byte> segment in more)
            {
                for (ReadOnlySpan<byte> rest = segment.Span; !rest.IsEmpty;)
                {
                    if (Length == capacity && !TryGrow())
                    {
                        return false;
                    }

                    Span<byte> room = parts[^1].AsSpan(Length % PartBytes);
                    int count = Math.Min(room.Length, rest.Length);
                    rest[..count].CopyTo(room);
                    rest = rest[count..];
                    Length += count;
                }
            }

            return true;
        }

        public void Dispose()
        {
            door.Release(capacity);
            foreach (byte[] part in parts)
            {
                Parts.Return(part);
            }

            if (whole.Length > 0)
            {
                Wholes.Return(whole);
            }
        }

        private bool TryGrow()
        {
            if (!door.TryReserve(PartBytes))
            {
                return false;
            }

            parts.Add(Parts.Rent(PartBytes));
            capacity += PartBytes;
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
