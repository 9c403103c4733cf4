using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Agent.Hub;

/// <summary>What the service side answers instead of a result: the cloud's number, its name and a sentence.</summary>
/// <param name="Code">Six digits; the first three are the HTTP status (facts/iothub.md §2).</param>
/// <param name="Name">As in the header <c>iothub-errorcode</c>.</param>
/// <param name="Text">For a person.</param>
/// <param name="TimeoutSeconds">Goes into <c>info.timeout</c>; null = no info.</param>
public sealed record HubError(int Code, string Name, string Text, int? TimeoutSeconds = null)
{
    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>For the header <c>Retry-After</c>; null = none.</summary>
    public int? RetryAfterSeconds { get; init; }

    /// <summary>The HTTP status that goes with it.</summary>
    public int HttpStatus => Code / 1000;

    public static HubError ArgumentInvalid(string text) => new(400004, "ArgumentInvalid", text);

    public static HubError DeviceNotFound(string id) => new(404001, "DeviceNotFound", $"Device {id} not registered");

    public static HubError ModuleNotFound(string id) => new(404010, "ModuleNotFound", $"Module {id} not registered");

    public static HubError DeviceAlreadyExists(string id) =>
        new(409001, "DeviceAlreadyExists", $"A device with ID '{id}' is already registered.");

    public static HubError ModuleAlreadyExists(string id) =>
        new(409301, "ModuleAlreadyExistsOnDevice", $"A module with ID '{id}' is already registered.");

    public static HubError TooManyModules(int max) =>
        new(409302, "TooManyModulesOnDevice", $"A device has at most {max} modules.");

    /// <summary>The hub is full (the name is the vendor's, the number our inference).</summary>
    public static HubError TooManyDevices(int max) => new(403003, "TooManyDevices", $"A hub has at most {max} devices and modules.");

    /// <summary>The hub cannot keep what it was told to keep.</summary>
    public static HubError ServerError(string text) => new(500001, "ServerError", text);

    public static HubError PreconditionFailed(string text) => new(412001, "PreconditionFailed", text);

    public static HubError QueueFull(string text) => new(403004, "DeviceMaximumQueueDepthExceeded", text);

    public static HubError InvalidExpiry(string text) => new(403009, "InvalidMessageExpiryTime", text);

    public static HubError MessageTooLarge(string text) => new(413001, "MessageTooLarge", text);

    public static HubError QuotaExceeded(long messages) => new(
        403002, "IotHubQuotaExceeded",
        string.Create(CultureInfo.InvariantCulture, $"The day's {messages} messages are used up; the next day begins at 00:00 UTC."));

    public static HubError NotInThisTier(string tier) =>
        new(403010, "OperationNotAvailableInCurrentTier", $"Tier {tier} does not have this operation.");

    public static HubError Throttled(string text) => new(429001, "ThrottlingException", text);

    /// <summary>The method's device did not come within the connect timeout (its text in azure-iot-cli-extension issue 54).</summary>
    public static HubError DeviceNotOnline(int seconds) =>
        new(404103, "DeviceNotOnline", "Timed out waiting for device to connect.", seconds);

    /// <summary>The device did not answer a method in time (text and number in azure-iot-sdk-java issue 640).</summary>
    public static HubError GatewayTimeout(int seconds) =>
        new(504101, "GatewayTimeout", "Timed out waiting for the response from device.", seconds);

    /// <summary>The connection that carried a method ended: taken over by another client, or lost.</summary>
    public static HubError ConnectionEnded(bool takenOver) => takenOver
        ? new(400027, "ConnectionForcefullyClosedOnNewConnection", "The device connected anew while the operation was under way.")
        : new(404104, "DeviceConnectionClosedRemotely", "The device's connection ended while the operation was under way.");

    /// <summary>The device's answer cannot be passed on (name in azure-iot-sdk-c pull request 6; the number is our inference).</summary>
    public static HubError BadDeviceResponse(string text) => new(502101, "InvalidResponseWhileProxying", text);

    /// <summary>
    /// The body as the cloud words it: JSON in a string in JSON (facts/iothub.md §7). The tracking id is the caller's, because
    /// it is random.
    /// </summary>
    public byte[] Body(string trackingId, long utcMs)
    {
        var info = new Dictionary<string, string>();
        if (TimeoutSeconds is { } seconds)
        {
            info.Add("timeout", TimeSpan.FromSeconds(seconds).ToString("c", CultureInfo.InvariantCulture));
        }

        string inner = JsonSerializer.Serialize(
            new { errorCode = Code, trackingId, message = Text, info, timestampUtc = UtcText.Of(utcMs) }, Relaxed);
        return Encoding.UTF8.GetBytes(JsonSerializer.Serialize(new { Message = inner, ExceptionMessage = "" }, Relaxed));
    }
}

/// <summary>Moments as the hub's JSON words them.</summary>
public static class UtcText
{
    /// <summary>"Never" in registry and twin documents.</summary>
    public const string Never = "0001-01-01T00:00:00Z";

    /// <summary>The last moment that can be written: year 9999.</summary>
    private const long MsMax = 253_402_300_799_999;

    /// <summary><c>2016-03-30T16:24:48.789Z</c>, as in the vendor's twin page.</summary>
    public static string Of(long utcMs) => DateTime.UnixEpoch.AddMilliseconds(Math.Clamp(utcMs, 0, MsMax))
        .ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);

    /// <summary>The same, with "never" for null.</summary>
    public static string Of(long? utcMs) => utcMs is { } known ? Of(known) : Never;
}
