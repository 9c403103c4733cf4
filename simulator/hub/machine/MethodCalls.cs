using System.Buffers;
using System.Globalization;
using System.Text.Json;

namespace Agent.Hub;

/// <summary>A request to publish with QoS 0 to a device.</summary>
/// <param name="Device">Index of the identity.</param>
/// <param name="Topic"><c>$iothub/methods/POST/{name}/?$rid={id}</c>.</param>
/// <param name="Payload">JSON; empty when the service sent none.</param>
public readonly record struct MethodPublish(int Device, string Topic, ReadOnlyMemory<byte> Payload);

/// <summary>How a call ended.</summary>
/// <param name="Call">The number <see cref="MethodCalls.Start"/> gave.</param>
/// <param name="Error">What the service is answered instead of a result; null when the device answered.</param>
/// <param name="Status">The device's status.</param>
/// <param name="Payload">The device's JSON; empty when it sent none.</param>
public readonly record struct MethodOutcome(long Call, HubError? Error, int Status, ReadOnlyMemory<byte> Payload)
{
    /// <summary>The body of a 200: <c>{"status":200,"payload":…}</c>.</summary>
    public byte[] Body()
    {
        var buffer = new ArrayBufferWriter<byte>(64 + Payload.Length);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteNumber("status", Status);
            writer.WritePropertyName("payload");
            if (Payload.IsEmpty)
            {
                writer.WriteNullValue();
            }
            else
            {
                writer.WriteRawValue(Payload.Span, skipInputValidation: true);
            }

            writer.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }
}

/// <summary>All direct methods under way on a hub, told the time and what happened.</summary>
/// <remarks>
/// A call waits for its device (404103 when it does not come within the connect timeout, which is 0 unless asked for), is
/// published once, and waits for the answer (504101 when none comes in time). Methods are QoS 0 and never sent twice; when the
/// connection ends in between the call fails at once. An answer nobody waits for is passed over, and so is one from another
/// device than the one asked. After any call: <see cref="TryTakePublish"/> and <see cref="TryTakeOutcome"/> until false, then
/// <see cref="NextWakeMs"/>. Times are monotonic ms.
/// </remarks>
public sealed class MethodCalls
{
    /// <summary>Calls one device may have open; the vendor throttles by bytes a second and names no such number.</summary>
    public const int PerDeviceMax = 64;

    /// <summary>Calls open on the whole hub.</summary>
    public const int TotalMax = 10_000;

    private readonly Dictionary<long, Call> calls = [];
    private readonly Dictionary<int, List<Call>> callsByDevice = [];
    private readonly PriorityQueue<Call, (long DeadlineMs, long Id)> deadlines = new();
    private readonly Queue<MethodPublish> publishes = [];
    private readonly Queue<MethodOutcome> outcomes = [];
    private long lastId;

    /// <summary>Calls open.</summary>
    public int Count => calls.Count;

    /// <summary>When <see cref="OnWake"/> has something to do; long.MaxValue = never. May be too early, never too late.</summary>
    public long NextWakeMs
    {
        get
        {
            while (deadlines.TryPeek(out Call? call, out (long DeadlineMs, long Id) due))
            {
                if (calls.ContainsKey(call.Id) && call.DeadlineMs == due.DeadlineMs)
                {
                    return due.DeadlineMs;
                }

                deadlines.Dequeue();
            }

            return long.MaxValue;
        }
    }

    /// <summary>
    /// A service calls a method. Returns the call's number; its outcome may already be there.
    /// <paramref name="isReady"/>: the device is connected and subscribed to methods.
    /// </summary>
    public long Start(long nowMs, int device, MethodRequest request, bool isReady)
    {
        var call = new Call(++lastId, device, request);
        List<Call> open = callsByDevice.TryGetValue(device, out List<Call>? known) ? known : [];
        if (calls.Count >= TotalMax || open.Count >= PerDeviceMax)
        {
            outcomes.Enqueue(new MethodOutcome(call.Id, HubError.Throttled("Too many direct methods are under way."), 0, default));
            return call.Id;
        }

        if (!isReady && request.ConnectTimeoutSeconds == 0)
        {
            outcomes.Enqueue(new MethodOutcome(call.Id, HubError.DeviceNotOnline(0), 0, default));
            return call.Id;
        }

        calls.Add(call.Id, call);
        open.Add(call);
        callsByDevice[device] = open;
        if (isReady)
        {
            Publish(nowMs, call);
        }
        else
        {
            Arm(call, nowMs + (request.ConnectTimeoutSeconds * 1000L));
        }

        return call.Id;
    }

    /// <summary>The device is connected and subscribed to methods: what waited for it goes out.</summary>
    public void OnReady(long nowMs, int device)
    {
        OnWake(nowMs);
        foreach (Call call in Open(device))
        {
            if (!call.IsSent)
            {
                Publish(nowMs, call);
            }
        }
    }

    /// <summary>The device's connection ended. Calls that still wait for the device go on waiting.</summary>
    public void OnGone(long nowMs, int device, bool takenOver)
    {
        OnWake(nowMs);
        foreach (Call call in Open(device))
        {
            if (call.IsSent)
            {
                End(call, HubError.ConnectionEnded(takenOver));
            }
        }
    }

    /// <summary>The device answered. False when nobody waits for it.</summary>
    public bool OnAnswer(long nowMs, int device, long requestId, int status, ReadOnlyMemory<byte> payload)
    {
        OnWake(nowMs);
        if (!calls.TryGetValue(requestId, out Call? call) || call.Device != device || !call.IsSent)
        {
            return false;
        }

        if (MethodRequest.IsPayload(payload.Span))
        {
            Remove(call);
            outcomes.Enqueue(new MethodOutcome(call.Id, null, status, payload));
        }
        else
        {
            End(call, HubError.BadDeviceResponse("The device's answer is no valid JSON or is too long."));
        }

        return true;
    }

    /// <summary>The service gave up waiting. Its call ends without an outcome.</summary>
    public void Cancel(long id)
    {
        if (calls.TryGetValue(id, out Call? call))
        {
            Remove(call);
        }
    }

    /// <summary>Ends the calls whose time is up.</summary>
    public void OnWake(long nowMs)
    {
        while (NextWakeMs <= nowMs)
        {
            Call call = deadlines.Dequeue();
            End(call, call.IsSent
                ? HubError.GatewayTimeout(call.Request.ResponseTimeoutSeconds)
                : HubError.DeviceNotOnline(call.Request.ConnectTimeoutSeconds));
        }
    }

    public bool TryTakePublish(out MethodPublish publish) => publishes.TryDequeue(out publish);

    public bool TryTakeOutcome(out MethodOutcome outcome) => outcomes.TryDequeue(out outcome);

    private Call[] Open(int device) => callsByDevice.TryGetValue(device, out List<Call>? open) ? [.. open] : [];

    private void Publish(long nowMs, Call call)
    {
        call.IsSent = true;
        Arm(call, nowMs + (call.Request.ResponseTimeoutSeconds * 1000L));
        string id = call.Id.ToString("x", CultureInfo.InvariantCulture);
        publishes.Enqueue(new MethodPublish(call.Device, $"$iothub/methods/POST/{call.Request.Name}/?$rid={id}", call.Request.Payload));
    }

    // An older entry of the call stays in the queue and is recognised by its moment.
    private void Arm(Call call, long deadlineMs)
    {
        call.DeadlineMs = deadlineMs;
        deadlines.Enqueue(call, (deadlineMs, call.Id));
    }

    private void End(Call call, HubError error)
    {
        Remove(call);
        outcomes.Enqueue(new MethodOutcome(call.Id, error, 0, default));
    }

    private void Remove(Call call)
    {
        calls.Remove(call.Id);
        List<Call> open = callsByDevice[call.Device];
        open.Remove(call);
        if (open.Count == 0)
        {
            callsByDevice.Remove(call.Device);
        }

        // Answered calls leave their deadline behind; without this a busy hub would keep minutes of them.
        if (deadlines.Count > (4 * calls.Count) + 1024)
        {
            deadlines.Clear();
            foreach (Call pending in calls.Values)
            {
                deadlines.Enqueue(pending, (pending.DeadlineMs, pending.Id));
            }
        }
    }

    private sealed class Call(long id, int device, MethodRequest request)
    {
        public long Id { get; } = id;

        public int Device { get; } = device;

        public MethodRequest Request { get; } = request;

        public bool IsSent { get; set; }

        public long DeadlineMs { get; set; }
    }
}
