using System.Net.Http.Headers;
using System.Text.Json;

namespace Agent.Service.Doctor;

/// <summary>Asks a running checker what it knows of a device and of its fleet, over the routes everybody else asks.</summary>
/// <remarks>
/// The doctor is a program of its own and does not open the checker's folder: one process uses that at a time, and a doctor who has to
/// stop the patient's monitor first is of little use. That nobody answers is a finding, and the examination goes on without him.
/// </remarks>
public sealed class CheckerQuery
{
    /// <summary>Where a checker is when nobody says where.</summary>
    public const string DefaultUrl = "http://127.0.0.1:5080";

    private const int AnswerBytesMax = 4 * 1024 * 1024;
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(10);

    private readonly Uri url;
    private readonly string? key;

    private CheckerQuery(Uri url, string? key)
    {
        this.url = url;
        this.key = key;
    }

    /// <summary>The whole verb: takes the options about the checker for itself and gives <see cref="DoctorVerb"/> the rest.</summary>
    /// <returns>As <see cref="DoctorVerb.RunAsync"/>.</returns>
    public static async Task<int> ExamineAsync(
        IReadOnlyList<string> arguments, Func<string, string?> environment, TextWriter output, TextWriter error,
        TimeProvider time, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        ArgumentNullException.ThrowIfNull(environment);
        ArgumentNullException.ThrowIfNull(error);
        if (!TryRead(arguments, environment, out CheckerQuery? query, out List<string> rest, out string problem))
        {
            await error.WriteLineAsync("doctor: " + problem).ConfigureAwait(false);
            return 2;
        }

        return await DoctorVerb.RunAsync(rest, environment, query!.AskAsync, output, error, time, cancellation).ConfigureAwait(false);
    }

    /// <summary>Takes <c>--checker URL</c> and <c>--key-file FILE</c> out of the arguments.</summary>
    /// <param name="arguments">What follows <c>doctor</c>.</param>
    /// <param name="environment">Reads an environment variable.</param>
    /// <param name="query">Whom to ask; null when something is wrong.</param>
    /// <param name="rest">The other arguments, in order.</param>
    /// <param name="problem">What is wrong, without the key; empty = nothing.</param>
    public static bool TryRead(
        IReadOnlyList<string> arguments, Func<string, string?> environment,
        out CheckerQuery? query, out List<string> rest, out string problem)
    {
        string url = DefaultUrl;
        string? key = environment(CommandLine.KeyVariable);
        (query, rest, problem) = (null, [], "");
        for (int at = 0; at < arguments.Count && problem.Length == 0; at++)
        {
            string name = arguments[at];
            if (name is not ("--checker" or "--key-file"))
            {
                rest.Add(name);
            }
            else if (at + 1 == arguments.Count)
            {
                problem = name + " needs a value";
            }
            else if (name == "--checker")
            {
                url = arguments[++at];
            }
            else
            {
                key = ReadKey(arguments[++at], out problem);
            }
        }

        bool isAddress = Uri.TryCreate(url, UriKind.Absolute, out Uri? address) && address.Scheme is "http" or "https"
            && address.UserInfo.Length == 0 && (address.Scheme == "https" || address.IsLoopback);
        problem = problem.Length > 0 ? problem
            : isAddress ? "" : "--checker takes an address with https://, or with http:// on this machine";
        query = problem.Length == 0 ? new CheckerQuery(address!, string.IsNullOrEmpty(key) ? null : key) : null;
        return query is not null;
    }

    /// <summary>Asks. Whatever goes wrong is the word's problem; only the caller's own cancellation is thrown.</summary>
    public async Task<CheckerWord> AskAsync(string deviceId, CancellationToken cancellation)
    {
        using var client = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = false })
        {
            BaseAddress = url,
            Timeout = AnswerWithin,
            MaxResponseContentBufferSize = AnswerBytesMax,
        };
        if (key is not null)
        {
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
        }

        try
        {
            JsonElement? device = await GetAsync(client, "/devices/" + Uri.EscapeDataString(deviceId), cancellation).ConfigureAwait(false);
            JsonElement totals = await NeedAsync(client, "/devices?limit=1", cancellation).ConfigureAwait(false);
            JsonElement health = await NeedAsync(client, "/healthz", cancellation).ConfigureAwait(false);
            JsonElement alarms = await NeedAsync(client, "/alarms", cancellation).ConfigureAwait(false);
            string? site = device is { } known ? Text(known, "site") : null;
            bool isSiteLost = site is not null && alarms.GetProperty("alarms").EnumerateArray()
                .Any(alarm => Text(alarm, "kind") == "siteLost" && Text(alarm, "subject") == site);
            var fleet = new KnownFleet(
                totals.GetProperty("total").GetInt32(),
                totals.GetProperty("late").GetInt32() + totals.GetProperty("silent").GetInt32(),
                health.GetProperty("fleetLost").GetBoolean(),
                isSiteLost,
                Text(health, "judgementHeldUntil") is not null);
            return new CheckerWord(device is { } one ? DeviceOf(one) : null, fleet, null);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return Silence($"no answer from {url.Authority} within {AnswerWithin.TotalSeconds} s");
        }
        catch (HttpRequestException refused)
        {
            return Silence(refused.StatusCode is { } status
                ? $"{url.Authority} answers {(int)status}" + ((int)status == 401 ? ", so it needs --key-file" : "")
                : $"nobody answers at {url.Authority}");
        }
        catch (Exception odd) when (odd is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            return Silence($"what answers at {url.Authority} is no checker");
        }
    }

    private static CheckerWord Silence(string problem) => new(null, null, problem);

    /// <summary>What a device is, from the answer of <c>GET /devices/{id}</c>.</summary>
    internal static KnownDevice DeviceOf(JsonElement device) => new()
    {
        Status = Text(device, "status") ?? "unknown",
        SinceMs = Moment(device, "since") ?? 0,
        Reason = Text(device, "reason") ?? "",
        LastSignMs = Moment(device, "lastSignOfLife"),
        LastHeartbeatMs = Moment(device, "lastHeartbeat"),
        IntervalSeconds = Number(device, "intervalSeconds"),
        RenewalMs = Moment(device, "plannedRenewal"),
        LastConnectMs = Moment(device, "lastConnect"),
        LastDisconnectMs = Text(device, "hubSays") == "disconnected" ? Moment(device, "hubSaysAt") : null,
        LastError = Number(device, "hubCode") is { } code && Moment(device, "hubCodeAt") is { } at ? new HubError(code, "", at) : null,
        Rhythm = device.GetProperty("rhythm") is { ValueKind: JsonValueKind.Object } rhythm ? Text(rhythm, "text") ?? "" : "",
        BlackBox = Number(device, "deviceReasonCode") is { } reason ? [new BlackBoxEntry(reason, null)] : [],
    };

    // 404 means that the checker never heard of the device, which is an answer.
    private static async Task<JsonElement?> GetAsync(HttpClient client, string path, CancellationToken cancellation)
    {
        using HttpResponseMessage answer = await client.GetAsync(new Uri(path, UriKind.Relative), cancellation).ConfigureAwait(false);
        if (answer.StatusCode == System.Net.HttpStatusCode.NotFound)
        {
            return null;
        }

        answer.EnsureSuccessStatusCode();
        using JsonDocument document = JsonDocument.Parse(await answer.Content.ReadAsStringAsync(cancellation).ConfigureAwait(false));
        return document.RootElement.Clone();
    }

    private static async Task<JsonElement> NeedAsync(HttpClient client, string path, CancellationToken cancellation) =>
        await GetAsync(client, path, cancellation).ConfigureAwait(false) ?? throw new KeyNotFoundException(path);

    private static string? Text(JsonElement of, string name) =>
        of.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static int? Number(JsonElement of, string name) =>
        of.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Number ? value.GetInt32() : null;

    private static long? Moment(JsonElement of, string name) =>
        of.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String
            ? value.GetDateTimeOffset().ToUnixTimeMilliseconds() : null;

    private static string? ReadKey(string path, out string problem)
    {
        problem = "";
        try
        {
            string text = File.ReadAllText(path).Trim();
            problem = AccessKey.Of(text) is null ? "--key-file: a key has 16 to 1024 characters" : "";
            return text;
        }
        catch (Exception failed) when (failed is IOException or UnauthorizedAccessException)
        {
            problem = $"--key-file: {path} cannot be read";
            return null;
        }
    }
}
