using System.Globalization;
using System.Net;
using System.Net.Http.Headers;

namespace Agent.Service.Alarms;

/// <summary>What one attempt came to, for a log or the test button. Holds no address and no secret.</summary>
/// <param name="Destination">Its name.</param>
/// <param name="Id">The notice's id.</param>
/// <param name="Outcome">How it went.</param>
/// <param name="Status">The HTTP status; 0 = there was none.</param>
/// <param name="Attempt">Counts from 1.</param>
/// <param name="IsGivenUp">It will not be tried again.</param>
/// <param name="WaitMs">How long nothing is posted to the destination after it.</param>
public readonly record struct PostNote(
    string Destination, string Id, PostOutcome Outcome, int Status, int Attempt, bool IsGivenUp, long WaitMs);

/// <summary>What has been done for one destination since the start.</summary>
/// <param name="Delivered">Notices the receiver took.</param>
/// <param name="Failed">Attempts that did not work.</param>
/// <param name="GivenUp">Notices that will not be tried again.</param>
/// <param name="Withheld">Episodes that began and ended within quiet hours.</param>
/// <param name="FailuresInARow">0 = the last attempt worked.</param>
public readonly record struct DestinationCounts(long Delivered, long Failed, long GivenUp, long Withheld, int FailuresInARow);

/// <summary>What delivery needs beside the outbox and the destinations.</summary>
public sealed record AlarmDeliveryOptions
{
    public DeliveryPatience Patience { get; init; } = new();

    /// <summary>How long a receiver has for its answer.</summary>
    public TimeSpan AnswerWithin { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How often the outbox is asked when nobody says that there is news: other replicas put rows there too.</summary>
    public TimeSpan AskEvery { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long a claim lasts if this process dies; well above <see cref="AnswerWithin"/>.</summary>
    public TimeSpan Lease { get; init; } = TimeSpan.FromMinutes(1);

    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>A random number from 0 to 1, called from several threads.</summary>
    public Func<double> Draw { get; init; } = Random.Shared.NextDouble;

    /// <summary>Called after every attempt; null = nobody listens.</summary>
    public Action<PostNote>? OnNote { get; init; }

    /// <summary>Called when the outbox itself fails, with a text without secrets; null = nobody listens.</summary>
    public Action<string>? OnTrouble { get; init; }
}

/// <summary>Carries out what the rules say: one loop for each destination that claims, posts and records.</summary>
/// <remarks>
/// No redirects are followed, no cookies kept and no body of an answer read. A loop that cannot reach its outbox waits and goes on; it
/// never ends by itself.
/// </remarks>
public sealed class AlarmDelivery : IAsyncDisposable
{
    private readonly IOutbox outbox;
    private readonly AlarmDeliveryOptions options;
    private readonly TimeProvider time;
    private readonly HttpClient client;
    private readonly CancellationTokenSource ending = new();
    private readonly Lane[] lanes;
    private Task running = Task.CompletedTask;

    /// <exception cref="ArgumentException">A destination has a problem, or two have one name.</exception>
    public AlarmDelivery(IOutbox outbox, IReadOnlyList<Destination> destinations, AlarmDeliveryOptions? options = null)
    {
        string? problem = destinations.Select(destination => destination.FindProblem()).FirstOrDefault(found => found is not null)
            ?? destinations.GroupBy(destination => destination.Name, StringComparer.Ordinal).Where(group => group.Count() > 1)
                .Select(group => $"two destinations have the name {group.Key}").FirstOrDefault();
        if (problem is not null)
        {
            throw new ArgumentException(problem, nameof(destinations));
        }

        this.outbox = outbox;
        this.options = options ?? new AlarmDeliveryOptions();
        time = this.options.Time;
        lanes = [.. destinations.Select(destination => new Lane(destination, this.options.Patience, time))];
        client = new HttpClient(new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            UseProxy = false,
            AutomaticDecompression = DecompressionMethods.None,
            PooledConnectionIdleTimeout = TimeSpan.FromMinutes(1),
            MaxResponseHeadersLength = 64,
            MaxResponseDrainSize = 64 << 10,
        })
        {
            Timeout = Timeout.InfiniteTimeSpan,
        };
    }

    /// <summary>Begins to deliver.</summary>
    public void Start() => running = Task.WhenAll(lanes.Select(lane => Task.Run(() => RunAsync(lane))));

    /// <summary>Says that rows were added; without it they are seen within <see cref="AlarmDeliveryOptions.AskEvery"/>.</summary>
    public void Wake()
    {
        foreach (Lane lane in lanes)
        {
            lane.Bell.Ring();
        }
    }

    /// <summary>Counts of a destination.</summary>
    /// <exception cref="KeyNotFoundException">There is none of that name.</exception>
    public DestinationCounts Counts(string destination) => Find(destination).Counts;

    /// <summary>
    /// Posts a test message at once, past the outbox and past quiet hours, so that whoever pressed the button sees what came of it.
    /// </summary>
    /// <exception cref="KeyNotFoundException">There is no destination of that name.</exception>
    public async Task<PostNote> TestAsync(string destination, string installation, CancellationToken cancellation = default)
    {
        Lane lane = Find(destination);
        long nowMs = NowMs();
        var notice = new Notice
        {
            Installation = installation,
            Episode = nowMs,
            Edge = NoticeEdge.Test,
            Kind = "test",
            Severity = Severity.Information,
            Subject = destination,
            AtMs = nowMs,
            BeganAtMs = nowMs,
            Explanation = "Somebody pressed the test button. If you read this, alarms will arrive here too.",
        };
        (PostOutcome outcome, int status, _) = await PostAsync(lane.Destination, notice, cancellation).ConfigureAwait(false);
        return new PostNote(destination, notice.Id, outcome, status, 1, IsGivenUp: true, 0);
    }

    /// <summary>Ends the loops; posts under way are broken off, and tried again by whoever comes next.</summary>
    public async ValueTask DisposeAsync()
    {
        if (ending.IsCancellationRequested)
        {
            return;
        }

        await ending.CancelAsync().ConfigureAwait(false);
        await running.ConfigureAwait(false);
        client.Dispose();
        ending.Dispose();
    }

    private long NowMs() => time.GetUtcNow().ToUnixTimeMilliseconds();

    private Lane Find(string destination) => Array.Find(lanes, lane => lane.Destination.Name == destination)
        ?? throw new KeyNotFoundException($"no destination has the name {destination}");

    private async Task RunAsync(Lane lane)
    {
        while (!ending.IsCancellationRequested)
        {
            long untilMs;
            try
            {
                untilMs = await TurnAsync(lane).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (ending.IsCancellationRequested)
            {
                return;
            }
            catch (Exception failure)
            {
                // A store may fail in many ways, and none of them may end the loop that tells people of trouble.
                options.OnTrouble?.Invoke($"outbox of {lane.Destination.Name}: {failure.GetType().Name}");
                untilMs = NowMs() + (long)options.AskEvery.TotalMilliseconds;
            }

            await lane.Bell.WaitUntilAsync(untilMs, mayRing: untilMs > lane.Pace.NotBeforeMs, ending.Token).ConfigureAwait(false);
        }
    }

    // Claims once and deals with what it got; answers when to look again.
    private async Task<long> TurnAsync(Lane lane)
    {
        long nowMs = NowMs();
        if (lane.Pace.NotBeforeMs > nowMs)
        {
            return lane.Pace.NotBeforeMs;
        }

        IReadOnlyList<Delivery> rows = await outbox.ClaimAsync(
            lane.Destination.Name, nowMs, nowMs + (long)options.Lease.TotalMilliseconds, lane.Pace.Room, ending.Token)
            .ConfigureAwait(false);
        if (rows.Count == 0)
        {
            return nowMs + (long)options.AskEvery.TotalMilliseconds;
        }

        await Task.WhenAll(rows.Select(row => DealWithAsync(lane, row))).ConfigureAwait(false);
        return Math.Max(nowMs, lane.Pace.NotBeforeMs);
    }

    private async Task DealWithAsync(Lane lane, Delivery row)
    {
        (DeliveryOrder order, Delivery looked) = DeliveryRules.Look(row, lane.Destination, options.Patience, NowMs());
        if (order == DeliveryOrder.Record)
        {
            lane.CountUnposted(row, looked);
            await outbox.RecordAsync(looked, ending.Token).ConfigureAwait(false);
            return;
        }

        Notice notice = row.Notices[row.Settled];
        (PostOutcome outcome, int status, long? retryAfterMs) =
            await PostAsync(lane.Destination, notice, ending.Token).ConfigureAwait(false);

        long nowMs = NowMs();
        Delivery after = DeliveryRules.After(row, outcome, options.Patience, nowMs, options.Draw());
        bool isGivenUp = outcome != PostOutcome.Delivered && after.Settled > row.Settled;
        long waitMs = lane.OnAnswer(outcome, isGivenUp, retryAfterMs, nowMs, options.Draw());
        await outbox.RecordAsync(after, ending.Token).ConfigureAwait(false);
        options.OnNote?.Invoke(
            new PostNote(lane.Destination.Name, notice.Id, outcome, status, row.Attempts + 1, isGivenUp, waitMs));
    }

    private async Task<(PostOutcome Outcome, int Status, long? RetryAfterMs)> PostAsync(
        Destination destination, Notice notice, CancellationToken cancellation)
    {
        using HttpRequestMessage request = Request(destination, notice);
        using var patience = new CancellationTokenSource(options.AnswerWithin, time);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancellation, ending.Token);
        try
        {
            using HttpResponseMessage response =
                await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, stop.Token).ConfigureAwait(false);
            int status = (int)response.StatusCode;
            return (DeliveryRules.OutcomeOf(status), status, RetryAfterMs(response.Headers.RetryAfter));
        }
        catch (OperationCanceledException) when (patience.IsCancellationRequested)
        {
            return (PostOutcome.TimedOut, 0, null);
        }
        catch (HttpRequestException)
        {
            return (PostOutcome.NoConnection, 0, null);
        }
    }

    private HttpRequestMessage Request(Destination destination, Notice notice)
    {
        byte[] body = NoticeBody.Write(notice);
        long seconds = time.GetUtcNow().ToUnixTimeSeconds();
        var request = new HttpRequestMessage(HttpMethod.Post, destination.Url) { Content = new ByteArrayContent(body) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json") { CharSet = "utf-8" };
        string id = notice.Id;
        request.Headers.Add(WebhookSecret.IdHeader, id);
        request.Headers.Add(WebhookSecret.TimestampHeader, seconds.ToString(CultureInfo.InvariantCulture));
        if (destination.Secret is { } secret)
        {
            string signatures = secret.Sign(id, seconds, body);
            signatures += destination.FormerSecret is { } former ? " " + former.Sign(id, seconds, body) : "";
            request.Headers.Add(WebhookSecret.SignatureHeader, signatures);
        }

        return request;
    }

    private long? RetryAfterMs(RetryConditionHeaderValue? header) =>
        header?.Delta is { } delta ? (long)delta.TotalMilliseconds
        : header?.Date is { } date ? date.ToUnixTimeMilliseconds() - NowMs()
        : null;

    /// <summary>One destination, its pace and what was done for it.</summary>
    private sealed class Lane(Destination destination, DeliveryPatience patience, TimeProvider time)
    {
        private readonly Lock gate = new();
        private long delivered;
        private long failed;
        private long givenUp;
        private long withheld;

        public Destination Destination { get; } = destination;

        public DestinationPace Pace { get; } = new(patience);

        public Bell Bell { get; } = new(time);

        public DestinationCounts Counts
        {
            get
            {
                lock (gate)
                {
                    return new DestinationCounts(delivered, failed, givenUp, withheld, Pace.Failures);
                }
            }
        }

        // Posts of one turn end on several threads.
        public long OnAnswer(PostOutcome outcome, bool isGivenUp, long? retryAfterMs, long nowMs, double draw)
        {
            lock (gate)
            {
                Pace.OnAnswer(outcome, retryAfterMs, nowMs, draw);
                delivered += outcome == PostOutcome.Delivered ? 1 : 0;
                failed += outcome == PostOutcome.Delivered ? 0 : 1;
                givenUp += isGivenUp ? 1 : 0;
                return Math.Max(0, Pace.NotBeforeMs - nowMs);
            }
        }

        public void CountUnposted(Delivery before, Delivery after)
        {
            if (after.Settled == before.Settled || before.IsWithheld)
            {
                return;
            }

            lock (gate)
            {
                bool isQuiet = after.IsWithheld && after.HeldUntilMs > 0;
                withheld += isQuiet ? 1 : 0;
                givenUp += isQuiet ? 0 : 1;
            }
        }
    }
}
