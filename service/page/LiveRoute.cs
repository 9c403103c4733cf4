using System.Text;
using Microsoft.AspNetCore.Http.Features;

namespace Agent.Service;

/// <summary><c>GET /live</c>: server-sent events for as long as the listener keeps up.</summary>
/// <remarks>
/// A listener is dropped, not waited for: when one write takes ten seconds, or when the feed has gone round without it. It
/// comes back with <c>Last-Event-ID</c> and is resumed if it missed nothing. An empty comment every fifteen seconds keeps proxies from
/// closing a quiet stream and finds out listeners that are gone.
/// </remarks>
public sealed class LiveRoute(LiveFeed feed, TimeProvider time, CancellationToken stopping)
{
    /// <summary>Listeners at one time.</summary>
    public const int ListenersMax = 64;

    /// <summary>How long a quiet stream stays without a comment.</summary>
    public static readonly TimeSpan CommentEvery = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan WriteMax = TimeSpan.FromSeconds(10);
    private static readonly byte[] Retry = Encoding.ASCII.GetBytes("retry: 2000\n\n");
    private static readonly byte[] Comment = Encoding.ASCII.GetBytes(":\n\n");

    private int listeners;

    /// <summary>Serves one listener.</summary>
    public async Task StreamAsync(HttpContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        try
        {
            if (Interlocked.Increment(ref listeners) > ListenersMax)
            {
                context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
                context.Response.ContentType = "text/plain";
                await context.Response.WriteAsync($"{ListenersMax} others listen already\n").ConfigureAwait(false);
                return;
            }

            context.Response.ContentType = "text/event-stream";
            context.Response.Headers.CacheControl = "no-store";
            context.Response.Headers["X-Accel-Buffering"] = "no"; // Proxies must pass it on at once.
            context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
            string? lastEventId = context.Request.Headers["Last-Event-ID"];
            using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, stopping);
            if (!await PumpAsync(context.Response.Body, lastEventId, ended.Token).ConfigureAwait(false))
            {
                context.Abort();
            }
        }
        finally
        {
            Interlocked.Decrement(ref listeners);
        }
    }

    /// <summary>Writes until the end; false = the listener is too slow.</summary>
    public async Task<bool> PumpAsync(Stream body, string? lastEventId, CancellationToken ended)
    {
        ArgumentNullException.ThrowIfNull(body);
        (long next, byte[] greeting) = feed.Start(lastEventId);
        try
        {
            await WriteAsync(body, [.. Retry, .. greeting], ended).ConfigureAwait(false);
            while (true)
            {
                Task changed = feed.Changed;
                byte[]? frames = feed.Read(ref next);
                if (frames is null)
                {
                    return false;
                }

                if (frames.Length > 0)
                {
                    await WriteAsync(body, frames, ended).ConfigureAwait(false);
                    continue;
                }

                try
                {
                    await changed.WaitAsync(CommentEvery, time, ended).ConfigureAwait(false);
                }
                catch (TimeoutException)
                {
                    await WriteAsync(body, Comment, ended).ConfigureAwait(false);
                }
            }
        }
        catch (OperationCanceledException)
        {
            return ended.IsCancellationRequested;
        }
        catch (IOException)
        {
            return false; // It went away in the middle of a write.
        }
    }

    private async Task WriteAsync(Stream body, byte[] bytes, CancellationToken ended)
    {
        using var tooLong = new CancellationTokenSource(WriteMax, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(ended, tooLong.Token);
        await body.WriteAsync(bytes, either.Token).ConfigureAwait(false);
        await body.FlushAsync(either.Token).ConfigureAwait(false);
    }
}
