namespace Agent.Logs;

/// <summary>What one kind of record means and what to do about it.</summary>
/// <param name="Operation"><c>deviceConnect</c>, <c>deviceDisconnect</c>; empty = both.</param>
/// <param name="Code">0 = an Information record.</param>
/// <param name="Name">As in <c>resultDescription</c>.</param>
/// <param name="Means">Why the hub writes it.</param>
/// <param name="HarmlessWhen">When nobody needs to act.</param>
/// <param name="TryFirst">The first thing to do otherwise.</param>
public sealed record ErrorAdvice(string Operation, int Code, string Name, string Means, string HarmlessWhen, string TryFirst);

/// <summary>
/// Root causes and fixes of everything a connection can earn, in our own words from facts/iothub.md §1.4, §1.9 and §2.
/// </summary>
public static class ErrorGuide
{
    private const string Connect = "deviceConnect";
    private const string Disconnect = "deviceDisconnect";
    private const string Throttling = "ThrottlingException";

    private static readonly ErrorAdvice[] Entries =
    [
        new(Connect, 0, "",
            "The device signed in.",
            "Always; but count how often: hundreds a day are no renewals.",
            "Nothing."),
        new(Disconnect, 0, "",
            "The device said goodbye with MQTT DISCONNECT: a planned renewal, or a stop.",
            "A deviceConnect follows within seconds.",
            "Where none follows, look at the device: somebody or something stopped its application."),
        new("", 400027, "ConnectionForcefullyClosedOnNewConnection",
            "Another client signed in with the same identity, so the hub ended the older connection.",
            "Once, when a device restarts faster than its old connection dies.",
            "Give every client an identity of its own; look for a copied connection string, a second process, a cloned image."),
        new("", 400029, "",
            "The hub moved the connection during its own maintenance.",
            "The device is back at its first retry.",
            "Nothing, if the client retries; otherwise give it a retry with back-off and jitter."),
        new("", 400030, "",
            "The hub moved the connection during its own maintenance, and refuses at first.",
            "The device is back within minutes.",
            "Back off with jitter instead of retrying at once."),
        new(Disconnect, 401002, "IoTHubUnauthorizedAccess",
            "The token of a living connection expired, or its key was changed.",
            "404104 comes with it and a deviceConnect follows within a minute, at the same interval each time: "
            + "an SDK that lets the hub cut it (.NET, Java).",
            "If it does not come back: check the key and the device's clock. To be rid of it, use a client that renews in time."),
        new(Connect, 401002, "IoTHubUnauthorizedAccess",
            "The sign-in was refused: expired token, wrong key or certificate, unknown device, or a policy without the permission.",
            "Never, if it repeats.",
            "Check, in this order: the device's clock (5 min off is too much; run NTP), that the device exists, its key."),
        new(Disconnect, 401003, "IoTHubUnauthorized",
            "The token of a living connection expired, or its key was changed, and the hub cut it.",
            "404104 comes with it and a deviceConnect follows within a minute, at the same interval each time: "
            + "an SDK that lets the hub cut it (.NET, Java).",
            "If it does not come back: check the key and the device's clock. To be rid of it, use a client that renews in time."),
        new(Connect, 401003, "IoTHubUnauthorized",
            "The sign-in was refused: expired token, wrong key or certificate, unknown device, or a policy without the permission.",
            "Never, if it repeats.",
            "Check, in this order: the device's clock (5 min off is too much; run NTP), that the device exists, its key."),
        new("", 403002, "IoTHubQuotaExceeded",
            "The hub's messages for today are used up. Connecting still works; sending is cut, again and again.",
            "Never: telemetry is lost until 00:00 UTC.",
            "Add units or wait for 00:00 UTC; then find who sends so much, and send less often or larger batches."),
        new("", 403004, "DeviceMaximumQueueDepthExceeded",
            "More than 50 cloud-to-device messages wait for the device.",
            "The device is switched off on purpose.",
            "Shorten the messages' time to live, acknowledge them sooner, or purge the queue."),
        new("", 403012, "DeviceDisabled",
            "The identity is disabled, so the hub ends its connection and refuses the next.",
            "Somebody disabled it on purpose.",
            "Enable the identity, or stop the device: it will go on trying."),
        new("", 404001, "DeviceNotFound",
            "The identity does not exist, or is disabled.",
            "It was deleted on purpose.",
            "Register the device, or correct the id in its connection string; ids are case-sensitive."),
        new("", 404103, "DeviceNotOnline",
            "A direct method was called while the device was away or had not subscribed to methods.",
            "It falls into a renewal.",
            "Subscribe to $iothub/methods/POST/# after every connect, and let the caller try again."),
        new("", 404104, "DeviceConnectionClosedRemotely",
            "The connection ended without a goodbye: token expired, no packet for 1.5 x keep-alive, TCP reset, crash, " +
            "power or network gone.",
            "401003 comes with it and a deviceConnect follows within a minute, at the same interval each time: "
            + "the hub cut an expired token.",
            "At irregular times: look at the device's power and network. On many devices at once, with 500xxx: the service; wait. "
            + "Do not raise the keep-alive, it only hides the loss for longer."),
        new("", 409002, "LinkCreationConflict",
            "The device came back before the hub had noticed that its old connection was dead; the old one is closed.",
            "Now and then, after a short loss of network.",
            "Look for the loss before it (404104); often on one device: unstable radio or NAT, or two clients with one identity."),
        new("", 412002, "DeviceMessageLockLost",
            "A cloud-to-device message was not completed within its lock of one minute.",
            "Rarely.",
            "Complete messages sooner: acknowledge first, work afterwards."),
        new("", 429000, "", "The hub is asked for more than its tier allows.", "Short peaks.",
            "Spread the load with jitter, or add units."),
        new("", 429001, Throttling,
            "A throttle of the hub's tier was exceeded for long; the only one of these with a metric.",
            "Short peaks after an outage.",
            "Back off with jitter; spread reconnects; add units if it is every day."),
        new("", 429002, "ThrottleBacklogLimitExceeded",
            "So much is queued behind a throttle that the hub turns work away; on MQTT it simply closes the connection.",
            "For minutes after an outage, while a fleet comes back.",
            "Spread reconnects with back-off and jitter (S1 takes 100 new connections a second); add units if it does not pass."),
        new("", 429003, "ThrottlingBacklogTimeout",
            "Work waited behind a throttle until it was too late.",
            "For minutes after an outage.",
            "As for 429002: spread the load, then add units."),
        new("", 429004, "MaxActiveJobCount", "Too many jobs run at once.", "It passes when a job ends.",
            "Run fewer jobs side by side."),
        new("", 429005, "DeviceThrottlingLimitExceeded",
            "One device asks for more than a single device may.",
            "Short peaks.",
            "Let this device send less often; look for a loop without a pause."),
        new("", 500001, "ServerError",
            "A node of the hub failed, or the hub is out of order.",
            "It ends within minutes and devices come back by themselves.",
            "Retry with back-off; look at Resource Health; for hours: a manual failover."),
        new("", 500008, "GenericTimeout",
            "The hub could not complete the connection in time: the same trouble as 500001.",
            "It ends within minutes and devices come back by themselves.",
            "Retry with back-off; look at Resource Health; for hours: a manual failover."),
        new("", 503000, "", "The service was not available.", "It passes within minutes.", "Retry with back-off."),
        new("", 503001, "ServiceUnavailable", "The service was not available.", "It passes within minutes.", "Retry with back-off."),
        new("", 503004, "ActivationFailed", "A part of the hub could not start.", "It passes within minutes.", "Retry with back-off."),
        new("", 503005, "ServerBusy", "The hub had more to do than it could.", "It passes within minutes.",
            "Retry with back-off and jitter."),
        new("", 503006, "Restoring", "The hub is coming back after a failover.", "It passes within minutes.", "Retry with back-off."),
        new("", 503008, "ReceiveLinkOpensThrottled",
            "Too many receiving links were opened at once (AMQP).",
            "For minutes after an outage.",
            "Spread reconnects with back-off and jitter."),
    ];

    private static readonly ErrorAdvice UnknownError = new(
        "", 0, "",
        "Not in this guide.",
        "Not known.",
        "Look the code up on the vendor's page of IoT Hub error codes; then look what else happened in that minute.");

    /// <summary>Everything in the guide.</summary>
    public static IReadOnlyList<ErrorAdvice> All => Entries;

    /// <summary>The entry of a record; null = not in the guide.</summary>
    public static ErrorAdvice? Find(string operation, int code) =>
        Array.Find(Entries, entry => entry.Code == code && entry.Operation == operation)
        ?? Array.Find(Entries, entry => entry.Code == code && entry.Operation.Length == 0);

    /// <summary>The entry of a record, or what to say where there is none.</summary>
    public static ErrorAdvice Of(string operation, int code) =>
        code == 0 ? UnknownError : Find(operation, code) ?? UnknownError;
}
