using System.Net.Http.Headers;

namespace Agent.Events;

/// <summary>Connections records to a webhook, as <c>{"records":[…]}</c>: how an event hub gets them from Azure Monitor.</summary>
/// <remarks>
/// The cloud has no webhook for resource logs; this stands in for the event hub and its reader (facts/iothub.md section 3). There is no
/// handshake and no header of Event Grid's. Retries and dead letters are Event Grid's, for want of documented ones. The cloud's
/// records come minutes late, unordered and not all of them; <see cref="DeliveryOptions.HoldBack"/> imitates the first. One
/// request at a time, so that they keep their order and gather into batches while the receiver is busy.
/// </remarks>
public sealed class LogDelivery : IAsyncDisposable
{
    private readonly DeliveryEngine engine;

    private LogDelivery(DeliveryOptions options)
    {
        engine = new DeliveryEngine(options with { ParallelMax = 1 }, new RecordFormat(), isCloudEvents: false);
        engine.Open();
    }

    public DeliveryCounts Counts => engine.Counts;

    /// <summary>Batches of what an event hub takes in one message: 1000 records, 256 KB.</summary>
    public static DeliveryPolicy DefaultPolicy { get; } = new() { EventsPerBatchMax = 1000, BatchKilobytesPreferred = 256 };

    /// <summary>Delivers from now on.</summary>
    /// <exception cref="ArgumentException">The policy is out of range.</exception>
    public static LogDelivery Start(DeliveryOptions options) => new(options);

    /// <summary>Adds one record, a JSON object with or without its line end. From any thread; never waits.</summary>
    public void Write(ReadOnlySpan<byte> record)
    {
        record = record.TrimEnd("\r\n"u8);
        if (!record.IsEmpty)
        {
            engine.Publish(Guid.Empty, record, "");
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => engine.DisposeAsync();

    private sealed class RecordFormat : IDeliveryFormat
    {
        /// <inheritdoc/>
        public HttpRequestMessage Build(Uri url, IReadOnlyList<DeliveryItem> batch)
        {
            var content = new ByteArrayContent(JsonList.Join("{\"records\":["u8, batch, "]}"u8));
            content.Headers.ContentType = new MediaTypeHeaderValue("application/json", "utf-8");
            return new HttpRequestMessage(HttpMethod.Post, url) { Content = content };
        }
    }
}
