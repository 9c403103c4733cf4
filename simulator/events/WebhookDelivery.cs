using System.Buffers;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text.Json;

namespace Agent.Events;

/// <summary>The options of <see cref="WebhookDelivery"/>.</summary>
public sealed record WebhookOptions : DeliveryOptions
{
    /// <summary>The envelope of the events.</summary>
    public EventSchema Schema { get; init; }

    /// <summary>
    /// Handshakes tried, 5 s apart, before the subscription has failed. Default: no end. The cloud gives up, because there a person
    /// is waiting for the subscription; here the receiver may simply be started after the hub.
    /// </summary>
    public int HandshakesMax { get; init; } = int.MaxValue;

    /// <summary>
    /// Where a person may confirm the subscription, <c>?id={code}</c> is added; whoever serves it calls
    /// <see cref="WebhookDelivery.Confirm"/>. Null = the receiver must answer the handshake itself.
    /// </summary>
    public Uri? ValidationUrl { get; init; }
}

/// <summary>How far the subscription is. The names are the cloud's provisioning states.</summary>
public enum SubscriptionState : byte
{
    Creating,

    /// <summary>The receiver took the handshake without the code; a GET of the validation address would do.</summary>
    AwaitingManualAction,

    Succeeded,

    Failed,
}

/// <summary>One Event Grid subscription of the hub with a webhook: handshake, headers, requests.</summary>
/// <remarks>
/// Facts/iothub.md section 4, the vendor's pages on validation, message headers and CloudEvents. Events published before the handshake
/// succeeded wait. What is not imitated: bearer tokens of the directory, custom delivery headers (a secret in the query works),
/// and the rate a CloudEvents receiver asks for, which Event Grid's page does not promise to keep either.
/// </remarks>
public sealed class WebhookDelivery : IAsyncDisposable
{
    /// <summary>Who asks, in the CloudEvents handshake (inferred).</summary>
    public const string Origin = "eventgrid.azure.net";

    private static readonly TimeSpan HandshakeEvery = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ManualWithin = TimeSpan.FromMinutes(10);

    private readonly Lock gate = new();
    private readonly WebhookOptions options;
    private readonly EventGridWriter writer;
    private readonly ArrayBufferWriter<byte> buffer = new(4096);
    private readonly DeliveryEngine engine;
    private readonly string code = Guid.NewGuid().ToString("D");
    private readonly TaskCompletionSource confirmed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task handshake;
    private volatile SubscriptionState state;

    private WebhookDelivery(WebhookOptions options, string hubName)
    {
        this.options = options;
        writer = new EventGridWriter(options.Schema, hubName);
        engine = new DeliveryEngine(options, new EventFormat(options), options.Schema == EventSchema.CloudEvents);
        handshake = Task.Run(ShakeHandsAsync);
    }

    /// <summary>How far the subscription is.</summary>
    public SubscriptionState State => state;

    public DeliveryCounts Counts => engine.Counts;

    /// <summary>Begins the handshake, and delivers when it has succeeded.</summary>
    /// <exception cref="ArgumentException">The policy is out of range.</exception>
    public static WebhookDelivery Start(WebhookOptions options, string hubName) => new(options, hubName);

    /// <summary>Publishes a connection state. From any thread; never waits.</summary>
    public void Publish(in ConnectionStateEvent state)
    {
        lock (gate)
        {
            buffer.ResetWrittenCount();
            writer.Write(buffer, state);
            engine.Publish(state.Id, buffer.WrittenSpan, "1");
        }
    }

    /// <summary>Publishes the creation or deletion of an identity. From any thread; never waits.</summary>
    public void Publish(in LifecycleEvent change)
    {
        lock (gate)
        {
            buffer.ResetWrittenCount();
            writer.Write(buffer, change);
            engine.Publish(change.Id, buffer.WrittenSpan, "1");
        }
    }

    /// <summary>Publishes a message. From any thread; never waits.</summary>
    public void Publish(in TelemetryEvent message)
    {
        lock (gate)
        {
            buffer.ResetWrittenCount();
            writer.Write(buffer, message);
            engine.Publish(message.Id, buffer.WrittenSpan, "");
        }
    }

    /// <summary>A person followed the validation address. True when the code is the right one and was waited for.</summary>
    public bool Confirm(string id) =>
        state == SubscriptionState.AwaitingManualAction
        && CryptographicOperations.FixedTimeEquals(
            System.Runtime.InteropServices.MemoryMarshal.AsBytes(id.AsSpan()),
            System.Runtime.InteropServices.MemoryMarshal.AsBytes(code.AsSpan()))
        && confirmed.TrySetResult();

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await engine.DisposeAsync().ConfigureAwait(false);
        await handshake.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        writer.Dispose();
    }

    private async Task ShakeHandsAsync()
    {
        CancellationToken ending = engine.Aborting;
        for (int attempt = 1; ; attempt++)
        {
            (DeliveryOutcome outcome, int status, string? problem) = options.Schema == EventSchema.CloudEvents
                ? await AskOriginAsync().ConfigureAwait(false)
                : await AskCodeAsync().ConfigureAwait(false);
            if (ending.IsCancellationRequested)
            {
                return;
            }

            if (problem is null)
            {
                state = SubscriptionState.Succeeded;
                engine.Open();
                Note(attempt, outcome, status, DeliveryVerdict.Delivered, TimeSpan.Zero, null);
                return;
            }

            if (attempt >= options.HandshakesMax || state == SubscriptionState.AwaitingManualAction)
            {
                state = SubscriptionState.Failed;
                engine.Fail();
                Note(attempt, outcome, status, DeliveryVerdict.Drop, TimeSpan.Zero, problem);
                return;
            }

            // The timer first: whoever is told and moves the clock must find it set.
            Task pause = Task.Delay(HandshakeEvery, options.Time, ending);
            Note(attempt, outcome, status, DeliveryVerdict.Retry, HandshakeEvery, problem);
            await pause.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Event Grid's own handshake: an event with a code that must come back.</summary>
    private async Task<(DeliveryOutcome Outcome, int Status, string? Problem)> AskCodeAsync()
    {
        byte[] body;
        lock (gate)
        {
            buffer.ResetWrittenCount();
            buffer.Write("["u8);
            string? validationUrl = options.ValidationUrl is { } url ? $"{url}?id={code}" : null;
            writer.WriteValidation(
                buffer, Guid.NewGuid(), options.Time.GetUtcNow().ToUnixTimeMilliseconds(), code, validationUrl);
            buffer.Write("]"u8);
            body = buffer.WrittenSpan.ToArray();
        }

        using HttpRequestMessage request = EventFormat.Post(options, body, "application/json", "SubscriptionValidation");
        EventFormat.AddHeaders(request, options, deliveryCount: 0, "1", "1", Guid.NewGuid());

        // 202 and its like are no success here: only 200 is.
        (DeliveryOutcome outcome, HttpResponseMessage? response) =
            await engine.SendAsync(request, HttpCompletionOption.ResponseContentRead).ConfigureAwait(false);
        using (response)
        {
            if (response is null || (int)response.StatusCode != 200)
            {
                return (outcome, (int)(response?.StatusCode ?? 0), Describe(outcome, response));
            }

            byte[] answer = await response.Content.ReadAsByteArrayAsync().ConfigureAwait(false);
            if (IsCode(answer))
            {
                return (outcome, 200, null);
            }
        }

        return options.ValidationUrl is null
            ? (outcome, 200, "answered 200 without the validationResponse that was asked for")
            : await AwaitPersonAsync().ConfigureAwait(false);
    }

    private async Task<(DeliveryOutcome Outcome, int Status, string? Problem)> AwaitPersonAsync()
    {
        Task patience = Task.Delay(ManualWithin, options.Time, engine.Aborting);
        state = SubscriptionState.AwaitingManualAction;
        await Task.WhenAny(confirmed.Task, patience).ConfigureAwait(false);
        return (DeliveryOutcome.Delivered, 200, confirmed.Task.IsCompleted ? null : "nobody confirmed within ten minutes");
    }

    /// <summary>The handshake of CloudEvents' webhook specification, section 4.</summary>
    private async Task<(DeliveryOutcome Outcome, int Status, string? Problem)> AskOriginAsync()
    {
        using var request = new HttpRequestMessage(HttpMethod.Options, options.Url);
        request.Headers.TryAddWithoutValidation("WebHook-Request-Origin", Origin);
        (DeliveryOutcome outcome, HttpResponseMessage? response) = await engine.SendAsync(request).ConfigureAwait(false);
        using (response)
        {
            if (outcome != DeliveryOutcome.Delivered)
            {
                return (outcome, (int)(response?.StatusCode ?? 0), Describe(outcome, response));
            }

            bool isAllowed = response!.Headers.TryGetValues("WebHook-Allowed-Origin", out IEnumerable<string>? origins)
                && origins.Any(origin => origin == "*" || origin.Equals(Origin, StringComparison.OrdinalIgnoreCase));
            return (outcome, (int)response.StatusCode, isAllowed ? null : "answered without a WebHook-Allowed-Origin that covers us");
        }
    }

    private bool IsCode(byte[] answer)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(answer);
            return document.RootElement.ValueKind == JsonValueKind.Object
                && document.RootElement.TryGetProperty("validationResponse", out JsonElement response)
                && response.ValueKind == JsonValueKind.String
                && response.ValueEquals(code);
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static string Describe(DeliveryOutcome outcome, HttpResponseMessage? response) =>
        response is null ? $"no answer ({outcome})" : $"answered {(int)response.StatusCode}";

    private void Note(
        int attempt, DeliveryOutcome outcome, int status, DeliveryVerdict verdict, TimeSpan wait, string? reason) =>
        engine.Note(new DeliveryNote(
            DeliveryNoteKind.Handshake, 0, attempt, outcome, status, verdict, (long)wait.TotalMilliseconds, reason));

    /// <summary>Requests with events, and the headers all of Event Grid's requests carry.</summary>
    private sealed class EventFormat(WebhookOptions options) : IDeliveryFormat
    {
        private readonly bool isCloud = options.Schema == EventSchema.CloudEvents;
        private readonly bool isBatched = options.Policy.EventsPerBatchMax > 1;

        /// <inheritdoc/>
        public HttpRequestMessage Build(Uri url, IReadOnlyList<DeliveryItem> batch)
        {
            // A lone CloudEvent is an object; everything else is an array, of one if need be.
            byte[] body = isCloud && !isBatched ? batch[0].Json : JsonList.Join("["u8, batch, "]"u8);
            string type = !isCloud ? "application/json"
                : isBatched ? "application/cloudevents-batch+json"
                : "application/cloudevents+json";
            HttpRequestMessage request = Post(options, body, type, "Notification");

            // The number of attempts made before this one: real first deliveries carry 0.
            AddHeaders(
                request, options, batch[0].Attempts, batch[0].DataVersion, isCloud ? "1.0" : "1", batch[0].Id);
            return request;
        }

        public static HttpRequestMessage Post(WebhookOptions options, byte[] body, string type, string eventType)
        {
            var content = new ByteArrayContent(body);
            content.Headers.ContentType = new MediaTypeHeaderValue(type, "utf-8");
            var request = new HttpRequestMessage(HttpMethod.Post, options.Url) { Content = content };
            request.Headers.TryAddWithoutValidation("aeg-event-type", eventType);
            return request;
        }

        public static void AddHeaders(
            HttpRequestMessage request, WebhookOptions options, int deliveryCount, string dataVersion, string metadataVersion, Guid id)
        {
            HttpRequestHeaders headers = request.Headers;
            headers.TryAddWithoutValidation("aeg-subscription-name", options.Name.ToUpperInvariant());
            headers.TryAddWithoutValidation(
                "aeg-delivery-count", deliveryCount.ToString(System.Globalization.CultureInfo.InvariantCulture));
            headers.TryAddWithoutValidation("aeg-data-version", dataVersion);
            headers.TryAddWithoutValidation("aeg-metadata-version", metadataVersion);
            headers.TryAddWithoutValidation("aeg-output-event-id", id.ToString("D"));
        }
    }
}
