namespace Agent.Service.Doctor;

/// <summary>What an error of the hub's Connections log comes from, and what ends it.</summary>
/// <param name="Code">As logged.</param>
/// <param name="Name">As in <c>resultDescription</c>.</param>
/// <param name="Cause">The root cause in a sentence.</param>
/// <param name="Fix">What to do first.</param>
/// <param name="IsOfCredentials">It speaks of the token, the certificate or the clock.</param>
/// <param name="IsOfHub">It is the hub's trouble and not the device's.</param>
public sealed record ErrorCause(int Code, string Name, string Cause, string Fix, bool IsOfCredentials = false, bool IsOfHub = false);

/// <summary>Root causes and fixes, in our own words from facts/iothub.md §1.4, §1.9 and §2.</summary>
public static class ErrorCauses
{
    private const string Transient =
        "Wait a few minutes; clients must retry with back-off and jitter. For hours: Resource Health, failover.";

    private static readonly ErrorCause[] Known =
    [
        new(400027, "ConnectionForcefullyClosedOnNewConnection",
            "A second client signed in with this device's identity, and the hub keeps only the newest connection.",
            "Give every client its own identity: look for a copied connection string, a second process, a cloned image."),
        new(401002, "IoTHubUnauthorizedAccess",
            "The hub did not accept the sign-in: token expired, wrong key or certificate, or no such device.",
            "Check the device's clock first (NTP; five minutes off is too much), then its key or certificate.", IsOfCredentials: true),
        new(401003, "IoTHubUnauthorized",
            "The token was not accepted, or it expired on a living connection and the hub cut it.",
            "If the device returns within a minute each time, it is a client that does not renew in time; else check clock, then key.",
            IsOfCredentials: true),
        new(403002, "IoTHubQuotaExceeded",
            "The hub's messages for today are used up: devices can connect and are cut when they send.",
            "Add units, or wait for 00:00 UTC; then find who sends so much.", IsOfHub: true),
        new(403004, "DeviceMaximumQueueDepthExceeded",
            "More than fifty cloud-to-device messages wait for this device.",
            "Purge its queue, give messages a shorter life, have the device acknowledge sooner."),
        new(403012, "DeviceDisabled",
            "The identity is disabled, so the hub ends its connections and refuses new ones.",
            "Enable it if that was not meant."),
        new(404001, "DeviceNotFound",
            "Something was addressed to a device that is not registered, or is disabled.",
            "Register or enable it; ids are case-sensitive."),
        new(404103, "DeviceNotOnline",
            "A method was called while the device was away, or it had not subscribed to methods.",
            "Have the device subscribe to methods after each connect, and the caller try again."),
        new(404104, "DeviceConnectionClosedRemotely",
            "The connection ended without a goodbye: power, network, a crash, a keep-alive not kept, or a token that ran out.",
            "At irregular times look at power and network of the device; at a steady period it is the token. Do not raise the keep-alive."),
        new(409002, "LinkCreationConflict",
            "The device came back before the hub had noticed that its old connection was dead.",
            "Look for the loss before it, mostly a 404104; often on one device means unsteady radio or two clients."),
        new(412002, "DeviceMessageLockLost",
            "A cloud-to-device message was not completed within a minute.",
            "Have the device acknowledge first and work afterwards."),
        new(429001, "ThrottlingException", "The hub's tier was asked for more than it gives, for long.",
            "Spread reconnects and sends with jitter, or add units.", IsOfHub: true),
        new(429002, "ThrottleBacklogLimitExceeded", "So much waits behind a throttle that the hub closes MQTT connections.",
            "Spread reconnects with jitter (an S1 hub takes 100 a second); add units if it does not pass.", IsOfHub: true),
        new(429003, "ThrottlingBacklogTimeout", "Work waited behind a throttle until it was too late.",
            "Spread the load with jitter, or add units.", IsOfHub: true),
        new(429005, "DeviceThrottlingLimitExceeded", "This one device asks for more than one device may.",
            "Let it send less often; look for a loop without a pause."),
        new(500001, "ServerError", "A node of the hub failed.", Transient, IsOfHub: true),
        new(500008, "GenericTimeout", "The hub did not complete the connection in time.", Transient, IsOfHub: true),
        new(503000, "", "The service was not available.", Transient, IsOfHub: true),
        new(503001, "ServiceUnavailable", "The service was not available.", Transient, IsOfHub: true),
        new(503005, "ServerBusy", "The hub had more to do than it could.", Transient, IsOfHub: true),
        new(503006, "Restoring", "The hub was coming back after a failover.", Transient, IsOfHub: true),
    ];

    /// <summary>The entry of a code; one that says "not in this list" for a code nobody wrote down.</summary>
    public static ErrorCause Of(int code) => Array.Find(Known, cause => cause.Code == code)
        ?? new ErrorCause(code, "", "This code is not in the doctor's list.", "Look it up on the vendor's page of IoT Hub error codes.");

    /// <summary>The whole list.</summary>
    public static IReadOnlyList<ErrorCause> All => Known;
}
