using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;

namespace Agent.Service.Doctor;

/// <summary>Asks "is it reachable now?" by a message of short life with acknowledgement (facts/iothub.md §5).</summary>
/// <remarks>
/// <para>
/// The hub says of every such message whether the device took it or it expired; that is the vendor's own answer to the question, and
/// the only one that does not rest on a connection state that lags. It takes up to the message's life and the 15 seconds in which the
/// hub gathers feedback. It costs a message, so it is done for one device at the press of a button and never for a fleet.
/// </para>
/// <para>
/// The cloud takes messages to devices over AMQP alone (§7); this speaks HTTPS, which a local hub offers under <c>/local</c>. An AMQP
/// stack for one button was not thought worth it: the vendor's command line does the same, and the README names it.
/// </para>
/// <para>
/// The feedback of a hub is one queue for everybody. A batch is completed only if all of it is ours; any other is given back at once,
/// and then we keep away for a while, because a batch that is given back ten times is gone.
/// </para>
/// </remarks>
public sealed class ReachCheck : IDisposable
{
    /// <summary>How long a message lives when nobody says how long, seconds.</summary>
    public const int WithinSecondsDefault = 30;

    /// <summary>The longest life, seconds.</summary>
    public const int WithinSecondsMax = 300;

    private const string Version = "?api-version=2021-04-12";
    private const string Feedback = "/messages/serviceBound/feedback";
    private const string Mark = "reach-";
    private const long TokenSeconds = 600;
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan AskEvery = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan KeepAway = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Gathering = TimeSpan.FromSeconds(25);

    private readonly ServiceConnection connection;
    private readonly TimeProvider time;
    private readonly HttpClient client;
    private readonly ConcurrentDictionary<string, TaskCompletionSource<ReachOutcome>> waiting = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource ending = new();
    private readonly Lock gate = new();
    private Task pump = Task.CompletedTask;

    /// <param name="connection">Whose hub; its policy needs ServiceConnect.</param>
    /// <param name="port">443 in the cloud; a local hub's is another.</param>
    /// <param name="roots">Trusted instead of the system's; null = the system's.</param>
    /// <param name="time">The clock.</param>
    public ReachCheck(ServiceConnection connection, int port, X509Certificate2Collection? roots, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(connection);
        this.connection = connection;
        this.time = time;
        client = HubClient.Create(connection.Host, port, roots, AnswerWithin);
    }

    /// <summary>Calls a device and waits for the word; never throws for what the hub or the network does.</summary>
    /// <param name="deviceId">A valid id.</param>
    /// <param name="withinSeconds">How long the device has, 1 to <see cref="WithinSecondsMax"/>.</param>
    /// <param name="cancellation">Whoever asked has left, by exception.</param>
    public async Task<ReachFinding> AskAsync(string deviceId, int withinSeconds, CancellationToken cancellation)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(withinSeconds, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(withinSeconds, WithinSecondsMax);
        long began = time.GetTimestamp();
        string id = Mark + Guid.NewGuid().ToString("n");
        var word = new TaskCompletionSource<ReachOutcome>(TaskCreationOptions.RunContinuationsAsynchronously);
        waiting[id] = word;
        try
        {
            ReachOutcome? refused = await SendAsync(deviceId, id, withinSeconds, cancellation).ConfigureAwait(false);
            if (refused is null)
            {
                StartPump();
                refused = await word.Task.WaitAsync(TimeSpan.FromSeconds(withinSeconds) + Gathering, time, cancellation)
                    .ConfigureAwait(false);
            }

            return new ReachFinding(refused.Value, (long)time.GetElapsedTime(began).TotalMilliseconds, withinSeconds);
        }
        catch (TimeoutException)
        {
            return new ReachFinding(ReachOutcome.NoWord, (long)time.GetElapsedTime(began).TotalMilliseconds, withinSeconds);
        }
        finally
        {
            waiting.TryRemove(id, out _);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        ending.Cancel();
        pump.ContinueWith(_ => { }, TaskScheduler.Default).Wait(TimeSpan.FromSeconds(10));
        client.Dispose();
        ending.Dispose();
    }

    private async Task<ReachOutcome?> SendAsync(string deviceId, string id, int withinSeconds, CancellationToken cancellation)
    {
        string path = $"/local/devices/{Uri.EscapeDataString(deviceId)}/messages/devicebound";
        using HttpRequestMessage request = Request(HttpMethod.Post, path);
        request.Content = JsonContent.Create(new { body = "", messageId = id, ack = "full", timeToLiveSeconds = withinSeconds });
        (HttpStatusCode status, string body, _) = await TalkAsync(request, cancellation).ConfigureAwait(false);
        return status switch
        {
            HttpStatusCode.OK => null,
            HttpStatusCode.NotFound => body.Contains("DeviceNotFound", StringComparison.Ordinal)
                ? ReachOutcome.NotFound : ReachOutcome.NotOffered,
            HttpStatusCode.Forbidden when body.Contains("QueueDepth", StringComparison.Ordinal) => ReachOutcome.QueueFull,
            HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden => ReachOutcome.Refused,
            _ => ReachOutcome.NoWord,
        };
    }

    private void StartPump()
    {
        lock (gate)
        {
            if (pump.IsCompleted)
            {
                pump = Task.Run(PumpAsync);
            }
        }
    }

    // Reads feedback for as long as somebody waits for any.
    private async Task PumpAsync()
    {
        try
        {
            while (!waiting.IsEmpty)
            {
                await Task.Delay(await ReadBatchAsync().ConfigureAwait(false), time, ending.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            // The end; whoever waits is told by his own limit.
        }
    }

    // How long to wait before the next one.
    private async Task<TimeSpan> ReadBatchAsync()
    {
        using HttpRequestMessage ask = Request(HttpMethod.Get, Feedback);
        (HttpStatusCode status, string body, string? token) = await TalkAsync(ask, ending.Token).ConfigureAwait(false);
        if (status is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden)
        {
            foreach (TaskCompletionSource<ReachOutcome> word in waiting.Values)
            {
                word.TrySetResult(ReachOutcome.Refused);
            }
        }

        if (status != HttpStatusCode.OK || token is null)
        {
            return AskEvery;
        }

        bool isOurs = Tell(body);
        string path = $"{Feedback}/{Uri.EscapeDataString(token)}";
        using HttpRequestMessage end = isOurs ? Request(HttpMethod.Delete, path) : Request(HttpMethod.Post, path + "/abandon");
        await TalkAsync(end, ending.Token).ConfigureAwait(false);
        return isOurs ? TimeSpan.Zero : KeepAway;
    }

    // Whether every record of a batch is ours.
    private bool Tell(string body)
    {
        try
        {
            bool isOurs = true;
            using JsonDocument batch = JsonDocument.Parse(body);
            foreach (JsonElement record in batch.RootElement.EnumerateArray())
            {
                string id = record.GetProperty("originalMessageId").GetString() ?? "";
                isOurs &= id.StartsWith(Mark, StringComparison.Ordinal);
                if (waiting.TryGetValue(id, out TaskCompletionSource<ReachOutcome>? word))
                {
                    word.TrySetResult(record.GetProperty("statusCode").GetString() switch
                    {
                        "Success" => ReachOutcome.Answered,
                        "Expired" or "Purged" => ReachOutcome.Expired,
                        "Rejected" or "DeliveryCountExceeded" => ReachOutcome.Rejected,
                        _ => ReachOutcome.NoWord,
                    });
                }
            }

            return isOurs;
        }
        catch (Exception odd) when (odd is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            return false;
        }
    }

    private HttpRequestMessage Request(HttpMethod method, string path)
    {
        var request = new HttpRequestMessage(method, path + Version);
        string token = connection.Token(time.GetUtcNow().ToUnixTimeSeconds() + TokenSeconds);
        request.Headers.TryAddWithoutValidation("Authorization", token);
        return request;
    }

    // Status 0 = no answer.
    private async Task<(HttpStatusCode Status, string Body, string? LockToken)> TalkAsync(
        HttpRequestMessage request, CancellationToken cancellation)
    {
        try
        {
            using HttpResponseMessage response = await client.SendAsync(request, cancellation).ConfigureAwait(false);
            string body = await response.Content.ReadAsStringAsync(cancellation).ConfigureAwait(false);
            return (response.StatusCode, body, response.Headers.ETag?.Tag.Trim('"'));
        }
        catch (HttpRequestException)
        {
            return (0, "", null);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return (0, "", null);
        }
    }
}
