using System.Net;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Agent.Wire;

namespace Agent.Events;

/// <summary>How a batch becomes a request: the one thing in which events and log records differ.</summary>
internal interface IDeliveryFormat
{
    /// <summary>Builds the request; the address is set by the caller's client.</summary>
    HttpRequestMessage Build(Uri url, IReadOnlyList<DeliveryItem> batch);
}

/// <summary>Carries out what the queue says: requests, dead letters, and one timer.</summary>
/// <remarks>
/// There is no loop. Whoever has news, be it a new event, an answer or the timer, takes a turn: under the lock it hands what is due
/// to the pool and sets the timer for what is not. Nothing waits under the lock, so publishing costs a hub's thread little.
/// </remarks>
internal sealed class DeliveryEngine : IAsyncDisposable
{
    private readonly Lock gate = new();
    private readonly DeliveryOptions options;
    private readonly IDeliveryFormat format;
    private readonly DeliveryQueue queue;
    private readonly DeadLetters? deadLetters;
    private readonly TimeProvider time;
    private readonly CancellationTokenSource aborting = new();
    private readonly ITimer timer;
    private readonly Stack<List<DeliveryItem>> spareLists = new();
    private long armedForMs = long.MaxValue;
    private int inFlight;
    private bool isOpen;
    private bool isClosed;
    private bool isBurying;
    private TaskCompletionSource? delivered;
    private TaskCompletionSource? still;

    public DeliveryEngine(DeliveryOptions options, IDeliveryFormat format, bool isCloudEvents)
    {
        if (options.FindProblem() is { } problem)
        {
            throw new ArgumentException(problem, nameof(options));
        }

        this.options = options;
        this.format = format;
        time = options.Time;
        Client = MakeClient(options);
        deadLetters = options.DeadLetterFolder is { } folder
            ? new DeadLetters(folder, options.Name.ToUpperInvariant(), isCloudEvents)
            : null;
        queue = new DeliveryQueue(
            options.Policy, deadLetters is not null, options.Limits, (long)options.HoldBack.TotalMilliseconds);
        timer = time.CreateTimer(_ => OnTimer(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>For the handshake; no cookies, no redirects, no proxy.</summary>
    public HttpClient Client { get; }

    /// <summary>Cancelled when the engine ends.</summary>
    public CancellationToken Aborting => aborting.Token;

    public DeliveryCounts Counts
    {
        get
        {
            lock (gate)
            {
                return new DeliveryCounts(
                    queue.DeliveredCount, queue.DeadLetteredCount, queue.DroppedCount, queue.OverflowCount, queue.Count);
            }
        }
    }

    /// <summary>Sends from now on; until then events only wait.</summary>
    public void Open()
    {
        lock (gate)
        {
            isOpen = true;
        }

        Turn();
    }

    /// <summary>There will be no subscription: what waits is lost, and so is what comes.</summary>
    public void Fail()
    {
        lock (gate)
        {
            isClosed = true;
            queue.DropAll();
        }
    }

    /// <summary>Adds an event; never waits. The bytes are copied.</summary>
    public void Publish(Guid id, ReadOnlySpan<byte> json, string dataVersion)
    {
        lock (gate)
        {
            if (isClosed)
            {
                return;
            }

            long nowMs = time.NowMs();
            queue.Add(nowMs, new DeliveryItem
            {
                Id = id,
                Json = json.ToArray(),
                DataVersion = dataVersion,
                PublishedMs = nowMs,
            });
        }

        Turn();
    }

    /// <summary>Sends a request and waits for the head of the answer, within the limit. The caller disposes of the response.</summary>
    public async Task<(DeliveryOutcome Outcome, HttpResponseMessage? Response)> SendAsync(
        HttpRequestMessage request, HttpCompletionOption until = HttpCompletionOption.ResponseHeadersRead)
    {
        using var patience = new CancellationTokenSource(options.AnswerWithin, time);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, aborting.Token);
        try
        {
            HttpResponseMessage response = await Client.SendAsync(request, until, ending.Token).ConfigureAwait(false);
            return (DeliverySchedule.OutcomeOf((int)response.StatusCode), response);
        }
        catch (OperationCanceledException)
        {
            return (DeliveryOutcome.TimedOut, null);
        }
        catch (HttpRequestException exception)
        {
            return (exception.HttpRequestError == HttpRequestError.NameResolutionError
                ? DeliveryOutcome.ResolutionError
                : DeliveryOutcome.SocketError, null);
        }
    }

    public void Note(in DeliveryNote note) => options.OnNote?.Invoke(note);

    /// <summary>Delivers what is new for a moment, then writes the rest to the dead letters.</summary>
    public async ValueTask DisposeAsync()
    {
        Task idle;
        lock (gate)
        {
            if (delivered is not null)
            {
                return;
            }

            isClosed = true;
            delivered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            idle = isOpen ? delivered.Task : Task.CompletedTask;
        }

        Turn();
        if (options.StopWithin > TimeSpan.Zero)
        {
            await Task.WhenAny(idle, Task.Delay(options.StopWithin, time)).ConfigureAwait(false);
        }

        lock (gate)
        {
            isOpen = false;
            still = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        await aborting.CancelAsync().ConfigureAwait(false);
        Turn();
        await still.Task.ConfigureAwait(false);
        BuryRest();
        await timer.DisposeAsync().ConfigureAwait(false);
        Client.Dispose();
        aborting.Dispose();
    }

    private static HttpClient MakeClient(DeliveryOptions options)
    {
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            UseProxy = false,
            AutomaticDecompression = DecompressionMethods.None,
            PooledConnectionIdleTimeout = TimeSpan.FromMinutes(1),
            MaxResponseHeadersLength = 64,
        };
        if (options.TrustedRoots is { } roots)
        {
            var policy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
            };
            policy.CustomTrustStore.AddRange(roots);
            handler.SslOptions = new SslClientAuthenticationOptions { CertificateChainPolicy = policy };
        }

        return new HttpClient(handler)
        {
            Timeout = Timeout.InfiniteTimeSpan,
            MaxResponseContentBufferSize = 64 << 10,
            DefaultRequestVersion = HttpVersion.Version11,
        };
    }

    private void OnTimer()
    {
        lock (gate)
        {
            armedForMs = long.MaxValue;
        }

        Turn();
    }

    private void Turn()
    {
        lock (gate)
        {
            long wakeMs;
            do
            {
                long nowMs = time.NowMs();
                StartSending(nowMs);
                StartBurying(nowMs);
                wakeMs = queue.WakeAtMs(canSend: isOpen && inFlight < options.ParallelMax, canBury: still is null && !isBurying);
                Arm(nowMs, wakeMs);

                // The clock may have passed the moment while the timer was being set.
            }
            while (wakeMs <= time.NowMs());

            if (inFlight == 0 && queue.HasNoFresh)
            {
                delivered?.TrySetResult();
            }

            if (inFlight == 0 && !isBurying)
            {
                still?.TrySetResult();
            }
        }
    }

    private void StartSending(long nowMs)
    {
        while (isOpen && inFlight < options.ParallelMax)
        {
            List<DeliveryItem> batch = spareLists.TryPop(out List<DeliveryItem>? spare) ? spare : [];
            if (!queue.TryTakeBatch(nowMs, batch))
            {
                spareLists.Push(batch);
                return;
            }

            inFlight++;
            _ = Task.Run(() => DeliverAsync(batch));
        }
    }

    private void StartBurying(long nowMs)
    {
        if (deadLetters is null || still is not null || isBurying || queue.WakeAtMs(canSend: false, canBury: true) > nowMs)
        {
            return;
        }

        var items = new List<DeliveryItem>();
        if (queue.TryTakeDead(nowMs, items))
        {
            isBurying = true;
            _ = Task.Run(() => Bury(items));
        }
    }

    private void Arm(long nowMs, long wakeMs)
    {
        if (wakeMs != armedForMs)
        {
            armedForMs = wakeMs;
            timer.Change(
                wakeMs == long.MaxValue ? Timeout.InfiniteTimeSpan : TimeSpan.FromMilliseconds(Math.Max(0, wakeMs - nowMs)),
                Timeout.InfiniteTimeSpan);
        }
    }

    private async Task DeliverAsync(List<DeliveryItem> batch)
    {
        DeliveryOutcome outcome;
        int status = 0;
        using (HttpRequestMessage request = format.Build(options.Url, batch))
        {
            (outcome, HttpResponseMessage? response) = await SendAsync(request).ConfigureAwait(false);
            using (response)
            {
                status = response is null ? 0 : (int)response.StatusCode;
            }
        }

        int count = batch.Count;
        int attempt;
        long nowMs;
        DeliveryStep step;
        lock (gate)
        {
            nowMs = time.NowMs();
            step = queue.Complete(nowMs, batch, outcome, status, options.Draw());
            attempt = batch[0].Attempts;
            inFlight--;
            batch.Clear();
            spareLists.Push(batch);
        }

        Turn();
        Note(new DeliveryNote(
            DeliveryNoteKind.Attempt, count, attempt, outcome, status, step.Verdict, step.AtMs - nowMs, step.Reason));
    }

    private void Bury(List<DeliveryItem> items)
    {
        string? problem = TryWrite(items);
        lock (gate)
        {
            queue.CompleteDead(time.NowMs(), items, problem is null);
            isBurying = false;
        }

        Turn();
        Note(new DeliveryNote(
            DeliveryNoteKind.DeadLetters, items.Count, 0, DeliveryOutcome.None, 0,
            problem is null ? DeliveryVerdict.DeadLetter : DeliveryVerdict.Retry, 0, problem));
    }

    private void BuryRest()
    {
        var items = new List<DeliveryItem>();
        lock (gate)
        {
            long nowMs = time.NowMs();
            queue.GiveUpAll(nowMs);
            if (queue.TryTakeDead(nowMs, items))
            {
                queue.CompleteDead(nowMs, items, TryWrite(items) is null);
            }
        }
    }

    private string? TryWrite(List<DeliveryItem> items)
    {
        try
        {
            deadLetters!.Write(items, time.GetUtcNow().ToUnixTimeMilliseconds(), time.NowMs());
            return null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return exception.Message.ReplaceLineEndings(" ");
        }
    }
}
