namespace Agent.Hub;

/// <summary>Cloud-to-device messages over HTTPS: feedback and purge as the cloud has them, and sending, which it has not.</summary>
/// <remarks>
/// The cloud takes such messages over AMQP only (facts/iothub.md §7), which this hub does not speak. So sending is under
/// <c>/local</c>, marked as ours, and asks for the same right as there. A batch of feedback is handed out like a message to a device on
/// HTTP: the lock token is the <c>ETag</c>, and properties are <c>iothub-…</c> headers (azure-iot-cli-extension reads those; for
/// feedback the same names are our inference).
/// </remarks>
internal static class MessageRoutes
{
    private const string Feedback = "/messages/serviceBound/feedback";

    public static IReadOnlyList<HttpRoute> All { get; } =
    [
        new("DELETE", "/devices/{id}/commands", "Empty a device's queue of cloud-to-device messages", PurgeAsync)
        {
            Right = AccessRights.ServiceConnect,
        },
        new("GET", Feedback, "The oldest batch of feedback, locked for a minute; 204 = none", ReceiveAsync)
        {
            Right = AccessRights.ServiceConnect,
        },
        new("DELETE", Feedback + "/{lockToken}", "Complete a batch of feedback", call => EndAsync(call, completes: true))
        {
            Right = AccessRights.ServiceConnect,
        },
        new("POST", Feedback + "/{lockToken}/abandon", "Give a batch of feedback back", call => EndAsync(call, completes: false))
        {
            Right = AccessRights.ServiceConnect,
        },
        new("POST", "/local/devices/{id}/messages/devicebound", "Send a cloud-to-device message (the cloud: AMQP only)", SendAsync)
        {
            Right = AccessRights.ServiceConnect,
            BodyLengthMax = CommandReader.BodyLengthMax,
        },
    ];

    private static async Task<HttpAnswer> PurgeAsync(HttpCall call)
    {
        if (!call.TryFind(out Device? device, out HubError? error))
        {
            return error;
        }

        int count = await call.Hub.PurgeAsync(device).ConfigureAwait(false);
        return HttpAnswer.Json(writer =>
        {
            writer.WriteStartObject();
            writer.WriteNumber("totalMessagesPurged", count);
            writer.WriteString("deviceId", device.Id);
            writer.WriteNull("moduleId");
            writer.WriteEndObject();
        });
    }

    private static Task<HttpAnswer> ReceiveAsync(HttpCall call) => Task.FromResult(
        !call.Hub.TryReceiveFeedback(out FeedbackBatch batch) ? HttpAnswer.NoContent : HttpAnswer.Json(batch.Body, batch.LockToken) with
        {
            ContentType = FeedbackQueue.ContentType,
            Headers =
            [
                ("ETag", $"\"{batch.LockToken}\""),
                ("iothub-enqueuedtime", UtcText.Of(batch.EnqueuedUtcMs)),
                ("iothub-userid", call.Hub.Registry.HostName),
            ],
        });

    private static Task<HttpAnswer> EndAsync(HttpCall call, bool completes) => Task.FromResult<HttpAnswer>(
        (completes ? call.Hub.CompleteFeedback(call.LockToken) : call.Hub.AbandonFeedback(call.LockToken))
            ? HttpAnswer.NoContent
            : HttpErrors.LockLost());

    private static async Task<HttpAnswer> SendAsync(HttpCall call)
    {
        if (!call.TryFind(out Device? device, out HubError? error))
        {
            return error;
        }

        var problems = new List<string>();
        CommandMessage? message = CommandReader.Read(call, problems);
        if (message is null)
        {
            return HubError.ArgumentInvalid(string.Join("; ", problems));
        }

        return await call.Hub.SendAsync(device, message).ConfigureAwait(false) is { } refusal ? refusal : HttpAnswer.Json(writer =>
        {
            writer.WriteStartObject();
            writer.WriteString("messageId", message.MessageId);
            writer.WriteEndObject();
        });
    }
}
