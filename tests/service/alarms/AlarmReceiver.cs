using System.Text;
using System.Threading.Channels;
using Agent.Tests.Events;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Agent.Tests.Service.Alarms;

/// <summary>How the receiver answers one post.</summary>
internal sealed record AlarmAnswer(int Status, string? RetryAfter = null)
{
    /// <summary>Takes the request and never answers.</summary>
    public static readonly AlarmAnswer Hang = new(-1);

    /// <summary>Takes the request and resets the connection.</summary>
    public static readonly AlarmAnswer Reset = new(-2);
}

/// <summary>A receiver of alarms on a real socket that does what a test tells it.</summary>
internal sealed class AlarmReceiver : IAsyncDisposable
{
    private readonly Channel<Received> posts = Channel.CreateUnbounded<Received>();
    private readonly ManualTime time;
    private readonly WebApplication application;

    private AlarmReceiver(ManualTime time, WebApplication application)
    {
        this.time = time;
        this.application = application;
    }

    public Func<Received, AlarmAnswer> Answer { get; set; } = _ => new AlarmAnswer(204);

    public Uri Url => new(application.Urls.First() + "/alarms?token=hidden");

    public bool HasMore => posts.Reader.TryPeek(out _);

    public static async Task<AlarmReceiver> StartAsync(ManualTime time, int port = 0)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls($"http://127.0.0.1:{port}");
        WebApplication application = builder.Build();
        var receiver = new AlarmReceiver(time, application);
        application.Run(receiver.TakeAsync);
        await application.StartAsync();
        return receiver;
    }

    /// <summary>The next post; fails the test when none comes within half a minute of real time.</summary>
    public Task<Received> NextAsync() => posts.Reader.ReadAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(30));

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
        AlarmAnswer answer = Answer(received);
        posts.Writer.TryWrite(received);
        if (answer == AlarmAnswer.Hang)
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, context.RequestAborted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        else if (answer == AlarmAnswer.Reset)
        {
            context.Abort();
        }
        else
        {
            context.Response.StatusCode = answer.Status;
            if (answer.RetryAfter is { } wait)
            {
                context.Response.Headers.RetryAfter = wait;
            }

            if (answer.Status != 204)
            {
                // A body where none is allowed would end the connection, and the next post might meet the end.
                await context.Response.Body.WriteAsync(Encoding.UTF8.GetBytes("nobody reads this"));
            }
        }
    }
}
