using Agent.Hub;
using Agent.Wire;

namespace Agent.Events;

/// <summary>Where a hub's events and records go.</summary>
public sealed record HubEventsOptions
{
    /// <summary>The hub's short name.</summary>
    public required string HubName { get; init; }

    /// <summary>The subscription; null = none.</summary>
    public WebhookOptions? Events { get; init; }

    /// <summary>The receiver of Connections records; null = none.</summary>
    public DeliveryOptions? Logs { get; init; }

    /// <summary>The only clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Told, in a line each, what a person watching wants to know; null = nobody.</summary>
    public Action<string>? Lines { get; init; }
}

/// <summary>What a hub on the wire tells the outside: connection states once a minute, identities and messages as they come.</summary>
/// <remarks>
/// Safe to call under the hub's own lock: no call waits or calls back. The snapshot has a lock of its own, held for the time of a
/// bit operation, so that a thousand devices a second can connect while a hundred thousand events are written.
/// </remarks>
public sealed class HubEvents : IAsyncDisposable
{
    private readonly Lock gate = new();
    private readonly TimeProvider time;
    private readonly long startUtcMs;
    private readonly long startMs;
    private readonly ConnectionStateSnapshot snapshot;
    private readonly Func<int, Device> deviceAt;
    private readonly List<ConnectionStateChange> changes = [];
    private readonly WebhookDelivery? events;
    private readonly LogDelivery? logs;
    private readonly EventIds ids = new((ulong)Random.Shared.NextInt64());
    private readonly ITimer? timer;

    private HubEvents(HubEventsOptions options, int deviceCount, Func<int, Device> deviceAt)
    {
        time = options.Time;
        this.deviceAt = deviceAt;
        startUtcMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        startMs = time.NowMs();
        snapshot = new ConnectionStateSnapshot(startUtcMs, deviceCount);
        logs = options.Logs is { } log ? LogDelivery.Start(WithLines(log, "logs", options.Lines)) : null;
        if (options.Events is { } webhook)
        {
            events = WebhookDelivery.Start(WithLines(webhook, "events", options.Lines), options.HubName);
            timer = time.CreateTimer(_ => OnMinute(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            Arm();
        }
    }

    /// <summary>The subscription; null = none.</summary>
    public WebhookDelivery? Events => events;

    /// <summary>The delivery of records; null = none.</summary>
    public LogDelivery? Logs => logs;

    /// <summary>Whether somebody wants events: building one costs more than asking.</summary>
    public bool WantsEvents => events is not null;

    /// <summary>Whether somebody wants records.</summary>
    public bool WantsLogs => logs is not null;

    /// <summary>Begins to deliver.</summary>
    /// <param name="options">Where to.</param>
    /// <param name="deviceCount">Identities known.</param>
    /// <param name="deviceAt">The identity behind an index, deleted ones included; from any thread.</param>
    public static HubEvents Start(HubEventsOptions options, int deviceCount, Func<int, Device> deviceAt) =>
        new(options, deviceCount, deviceAt);

    /// <summary>A Connections record about a known device was written: also how connects and disconnects become known.</summary>
    /// <remarks>
    /// The hub machine writes exactly one connect per accepted CONNECT, and at least one disconnect per end of the connection that
    /// held the identity, in this order and never for a connection that was replaced already.
    /// </remarks>
    public void OnRecord(int device, LogKind kind)
    {
        if (events is null || kind >= LogKind.ConnectUnauthorized)
        {
            return;
        }

        lock (gate)
        {
            if (kind == LogKind.Connect)
            {
                snapshot.OnConnect(SteadyUtcMs(), device);
            }
            else
            {
                snapshot.OnDisconnect(SteadyUtcMs(), device);
            }
        }
    }

    /// <summary>
    /// The device sent telemetry or subscribed to its messages: to be called for the first such packet of a connection at
    /// least, and for every one if that is easier.
    /// </summary>
    public void OnMessaging(int device)
    {
        if (events is not null)
        {
            lock (gate)
            {
                snapshot.OnMessaging(SteadyUtcMs(), device);
            }
        }
    }

    /// <summary>A device-to-cloud message was accepted.</summary>
    public void OnTelemetry(
        Device device, long enqueuedUtcMs, ReadOnlySpan<byte> bag, bool retain, bool byPolicy, ReadOnlySpan<byte> body)
    {
        if (events is null)
        {
            return;
        }

        Span<byte> generation = stackalloc byte[64];
        System.Text.Encoding.UTF8.TryGetBytes(device.GenerationId, generation, out int length);
        events.Publish(new TelemetryEvent
        {
            Id = NextId(),
            DeviceId = device.Utf8Id,
            GenerationId = generation[..length],
            ByPolicy = byPolicy,
            EnqueuedUtcMs = enqueuedUtcMs,
            Bag = bag,
            Retain = retain,
            Body = body,
        });
    }

    /// <summary>An identity was created or deleted.</summary>
    public void OnLifecycle(Device device, bool isCreated) => events?.Publish(new LifecycleEvent
    {
        Id = NextId(),
        DeviceId = device.Utf8Id,
        IsCreated = isCreated,
        UtcMs = UtcMs(),
        DeviceETag = System.Text.Encoding.UTF8.GetBytes(device.ETag),
        IsDisabled = !device.IsEnabled,
    });

    /// <summary>A Connections record as it was written to the log, one JSON object.</summary>
    public void OnLogLine(ReadOnlySpan<byte> line) => logs?.Write(line);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (timer is not null)
        {
            await timer.DisposeAsync().ConfigureAwait(false);
        }

        if (events is not null)
        {
            await events.DisposeAsync().ConfigureAwait(false);
        }

        if (logs is not null)
        {
            await logs.DisposeAsync().ConfigureAwait(false);
        }
    }

    private static T WithLines<T>(T options, string what, Action<string>? lines)
        where T : DeliveryOptions
    {
        if (lines is null)
        {
            return options;
        }

        string place = options.ShownUrl;
        return options with
        {
            OnNote = note =>
            {
                options.OnNote?.Invoke(note);
                if (note.IsTrouble)
                {
                    lines($"{what} to {place}: {note.Text}");
                }
            },
        };
    }

    private void OnMinute()
    {
        lock (changes)
        {
            changes.Clear();
            lock (gate)
            {
                long utcMs = SteadyUtcMs();
                while (snapshot.TryTake(utcMs, out ConnectionStateChange change))
                {
                    changes.Add(change);
                }
            }

            foreach (ConnectionStateChange change in changes)
            {
                events!.Publish(new ConnectionStateEvent
                {
                    Id = NextId(),
                    DeviceId = deviceAt(change.Device).Utf8Id,
                    IsConnected = change.IsConnected,
                    UtcMs = change.AtUtcMs,
                    Sequence = change.Sequence,
                });
            }
        }

        Arm();
    }

    // Set anew each time: a periodic timer that fires a millisecond early would find nothing due and cost a whole minute.
    private void Arm()
    {
        long waitMs;
        do
        {
            lock (gate)
            {
                waitMs = snapshot.NextMs - SteadyUtcMs();
            }

            timer!.Change(TimeSpan.FromMilliseconds(Math.Max(0, waitMs)), Timeout.InfiniteTimeSpan);
        }
        while (waitMs > 0 && snapshot.NextMs <= SteadyUtcMs());
    }

    private Guid NextId()
    {
        lock (ids)
        {
            return ids.Next();
        }
    }

    // The snapshot must not stop for an hour because somebody set the clock back by one.
    private long SteadyUtcMs() => startUtcMs + time.NowMs() - startMs;

    private long UtcMs() => time.GetUtcNow().ToUnixTimeMilliseconds();
}
