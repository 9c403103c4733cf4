using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Agent.Tests.Events;

/// <summary>One request as the receiver saw it.</summary>
internal sealed record Received(string Method, IReadOnlyDictionary<string, string> Headers, byte[] Body, TimeSpan At)
{
    public string Text => Encoding.UTF8.GetString(Body);

    public bool IsHandshake => Method == "OPTIONS" || Headers.GetValueOrDefault("aeg-event-type") == "SubscriptionValidation";
}

/// <summary>How a receiver answers one request; a plain number does.</summary>
internal sealed record ReceiverAnswer(int Status, string? RetryAfter = null)
{
    public static implicit operator ReceiverAnswer(int status) => new(status);
}

/// <summary>A webhook on a real socket that does what a test tells it.</summary>
internal sealed class Receiver : IAsyncDisposable
{
    /// <summary>Takes the request and never answers.</summary>
    public const int Hangs = -1;

    /// <summary>Takes the request and resets the connection.</summary>
    public const int Resets = -2;

    private readonly Channel<Received> requests = Channel.CreateUnbounded<Received>();
    private readonly ManualTime time;
    private readonly WebApplication application;

    private Receiver(ManualTime time, WebApplication application)
    {
        this.time = time;
        this.application = application;
    }

    /// <summary>The status to answer a delivery with.</summary>
    public Func<Received, ReceiverAnswer> Answer { get; set; } = _ => 200;

    /// <summary>How a handshake is answered; the default plays along.</summary>
    public Func<HttpContext, Received, Task>? Handshake { get; set; }

    public Uri Url => new(application.Urls.First() + "/events?secret=1");

    public static async Task<Receiver> StartAsync(ManualTime time, int port = 0)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls($"http://127.0.0.1:{port}");
        WebApplication application = builder.Build();
        var receiver = new Receiver(time, application);
        application.Run(receiver.TakeAsync);
        await application.StartAsync();
        return receiver;
    }

    /// <summary>The next delivery, handshakes left out; fails the test when none comes within half a minute of real time.</summary>
    public async Task<Received> NextAsync()
    {
        while (true)
        {
            Received received = await NextOfAnyAsync();
            if (!received.IsHandshake)
            {
                return received;
            }
        }
    }

    /// <summary>The next request of any kind.</summary>
    public Task<Received> NextOfAnyAsync() =>
        requests.Reader.ReadAsync(TestContext.Current.CancellationToken).AsTask().WaitAsync(TimeSpan.FromSeconds(30));

    /// <summary>Whether a request is there that nobody asked for.</summary>
    public bool HasMore => requests.Reader.TryPeek(out _);

    public async Task DieAsync()
    {
        using var now = new CancellationTokenSource();
        await now.CancelAsync();
        await application.StopAsync(now.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await DieAsync();
        await application.DisposeAsync();
    }

    private async Task TakeAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        var received = new Received(
            context.Request.Method,
            context.Request.Headers.ToDictionary(
                header => header.Key, header => header.Value.ToString(), StringComparer.OrdinalIgnoreCase),
            body.ToArray(),
            time.Elapsed);
        if (received.IsHandshake)
        {
            requests.Writer.TryWrite(received);
            await (Handshake ?? PlayAlongAsync)(context, received);
            return;
        }

        ReceiverAnswer answer = Answer(received);
        requests.Writer.TryWrite(received);
        switch (answer.Status)
        {
            case Hangs:
                await Task.Delay(Timeout.InfiniteTimeSpan, context.RequestAborted)
                    .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                break;
            case Resets:
                context.Abort();
                break;
            default:
                await AnswerAsync(context.Response, answer);
                break;
        }
    }

    private static async Task AnswerAsync(HttpResponse response, ReceiverAnswer answer)
    {
        response.StatusCode = answer.Status;
        if (answer.RetryAfter is { } wait)
        {
            response.Headers.RetryAfter = wait;
        }

        if (answer.Status != 204)
        {
            // A body where none is allowed would end the connection, and the next request might meet the end.
            await response.Body.WriteAsync("nobody reads this"u8.ToArray());
        }
    }

    private static async Task PlayAlongAsync(HttpContext context, Received received)
    {
        if (received.Method == "OPTIONS")
        {
            context.Response.Headers["WebHook-Allowed-Origin"] = received.Headers["WebHook-Request-Origin"];
            return;
        }

        string? code = JsonDocument.Parse(received.Body).RootElement[0].GetProperty("data").GetProperty("validationCode").GetString();
        await context.Response.WriteAsJsonAsync(new { validationResponse = code });
    }
}
