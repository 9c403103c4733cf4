using System.Globalization;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;

namespace Agent.Service.Doctor;

/// <summary>
/// Asks the hub's registry for a device and its twin: <c>GET /devices/{id}</c> and <c>GET /twins/{id}</c> (facts/iothub.md §7).
/// </summary>
/// <remarks>
/// One look at one device, so the registry's throttle (100 a minute on S1) is no concern; asking it about a fleet is what the
/// vendor warns of
/// (§5). The twin is a bonus: without the right for it, or on a Basic hub, the identity alone is enough.
/// </remarks>
public sealed class RegistryQuery : IDisposable
{
    private const string ApiVersion = "2021-04-12";
    private const long TokenSeconds = 300;

    private readonly ServiceConnection connection;
    private readonly TimeProvider time;
    private readonly HttpClient client;

    /// <param name="connection">Whose registry.</param>
    /// <param name="port">443 in the cloud; a local hub's is another.</param>
    /// <param name="roots">Trusted instead of the system's; null = the system's.</param>
    /// <param name="time">For the token.</param>
    /// <param name="within">How long an answer may take.</param>
    public RegistryQuery(ServiceConnection connection, int port, X509Certificate2Collection? roots, TimeProvider time, TimeSpan within)
    {
        this.connection = connection;
        this.time = time;
        client = HubClient.Create(connection.Host, port, roots, within);
    }

    /// <summary>Asks; never throws for what the hub or the network does.</summary>
    public async Task<RegistryAnswer> AskAsync(string deviceId, CancellationToken cancellation)
    {
        (RegistryAnswer identity, JsonElement? body) = await GetAsync($"devices/{Uri.EscapeDataString(deviceId)}", cancellation)
            .ConfigureAwait(false);
        if (identity.Outcome != RegistryOutcome.Found || body is not { ValueKind: JsonValueKind.Object } device)
        {
            return identity;
        }

        (_, JsonElement? twin) = await GetAsync($"twins/{Uri.EscapeDataString(deviceId)}", cancellation).ConfigureAwait(false);
        return identity with
        {
            IsEnabled = string.Equals(Text(device, "status"), "enabled", StringComparison.OrdinalIgnoreCase),
            StatusReason = Text(device, "statusReason"),
            ConnectionState = Text(device, "connectionState"),
            LastActivityMs = Moment(Text(device, "lastActivityTime")),
            AuthenticationType = device.TryGetProperty("authentication", out JsonElement how) ? Text(how, "type") : "",
            WaitingCommands = device.TryGetProperty("cloudToDeviceMessageCount", out JsonElement count)
                && count.ValueKind == JsonValueKind.Number && count.TryGetInt32(out int waiting) ? waiting : 0,
            LastReportedMs = twin is { } whole ? LastReported(whole) : null,
        };
    }

    /// <inheritdoc/>
    public void Dispose() => client.Dispose();

    private async Task<(RegistryAnswer Answer, JsonElement? Body)> GetAsync(string path, CancellationToken cancellation)
    {
        DateTimeOffset now = time.GetUtcNow();
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/{path}?api-version={ApiVersion}");
        request.Headers.TryAddWithoutValidation("Authorization", connection.Token(now.ToUnixTimeSeconds() + TokenSeconds));
        try
        {
            using HttpResponseMessage response = await client.SendAsync(request, cancellation).ConfigureAwait(false);
            int status = (int)response.StatusCode;
            RegistryOutcome outcome = response.StatusCode switch
            {
                HttpStatusCode.OK => RegistryOutcome.Found,
                HttpStatusCode.NotFound => RegistryOutcome.NotFound,
                HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden => RegistryOutcome.Refused,
                HttpStatusCode.TooManyRequests => RegistryOutcome.Throttled,
                _ => RegistryOutcome.Failed,
            };
            var answer = new RegistryAnswer
            {
                Outcome = outcome,
                Problem = outcome switch
                {
                    RegistryOutcome.Found => "",
                    RegistryOutcome.Refused => $"the policy {connection.Policy} is not accepted, or lacks RegistryRead",
                    RegistryOutcome.Throttled => "the registry is throttled, ask again in a minute",
                    _ => string.Create(CultureInfo.InvariantCulture, $"the answer was {status}"),
                },
                HubAheadMs = response.Headers.Date is { } date ? (long)(date - now).TotalMilliseconds : null,
            };
            if (outcome != RegistryOutcome.Found)
            {
                return (answer, null);
            }

            byte[] bytes = await response.Content.ReadAsByteArrayAsync(cancellation).ConfigureAwait(false);
            using JsonDocument document = JsonDocument.Parse(bytes);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? (answer, document.RootElement.Clone())
                : (answer with { Outcome = RegistryOutcome.Failed, Problem = "the answer is not a device" }, null);
        }
        catch (JsonException)
        {
            return (new RegistryAnswer { Outcome = RegistryOutcome.Failed, Problem = "the answer is not JSON" }, null);
        }
        catch (HttpRequestException failure)
        {
            return (new RegistryAnswer { Outcome = RegistryOutcome.Unreachable, Problem = Why(failure) }, null);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return (new RegistryAnswer { Outcome = RegistryOutcome.Unreachable, Problem = "no answer in time" }, null);
        }
    }

    private static string Why(HttpRequestException failure) => failure.HttpRequestError switch
    {
        HttpRequestError.NameResolutionError => "its name is not resolved",
        HttpRequestError.ConnectionError => "no connection",
        HttpRequestError.SecureConnectionError => "no TLS",
        HttpRequestError.ConfigurationLimitExceeded => "the answer is larger than any device",
        _ => "the connection broke",
    };

    // The agent and most SDKs report properties; their newest time tells of life without a heartbeat.
    private static long? LastReported(JsonElement twin) =>
        twin.TryGetProperty("properties", out JsonElement properties)
        && properties.ValueKind == JsonValueKind.Object
        && properties.TryGetProperty("reported", out JsonElement reported)
        && reported.ValueKind == JsonValueKind.Object
        && reported.TryGetProperty("$metadata", out JsonElement metadata)
            ? Moment(Text(metadata, "$lastUpdated"))
            : null;

    private static string Text(JsonElement parent, string name) =>
        parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(name, out JsonElement value)
        && value.ValueKind == JsonValueKind.String ? value.GetString()! : "";

    // A device that never was anywhere has the year 1.
    private static long? Moment(string text) =>
        DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset moment)
        && moment.Year > 1
            ? moment.ToUnixTimeMilliseconds()
            : null;
}
