using System.Globalization;
using System.Text.Json;
using Agent.Service.Alarms;
using Agent.Service.Mqtt;

namespace Agent.Service;

/// <summary>An alarm as the JSON answers show it.</summary>
public sealed record AlarmText(long Number, string Kind, string Subject, string RaisedAt, string? BeganAt, string? ClearedAt)
{
    /// <summary>The words for <see cref="AlarmKind"/>, by its numbers.</summary>
    public static readonly string[] KindNames = ["", "deviceSilent", "deviceFlapping", "siteLost", "fleetLost", "renewalStorm"];

    public string Cause { get; init; } = "";
    public string Reason { get; init; } = "";
    public int Devices { get; init; }
    public string? DeviceReason { get; init; }
    public string? AcknowledgedBy { get; init; }
    public string? AcknowledgedAt { get; init; }

    public static AlarmText From(Alarm alarm, Checker checker)
    {
        ArgumentNullException.ThrowIfNull(alarm);
        ArgumentNullException.ThrowIfNull(checker);
        string subject = alarm.Kind switch
        {
            AlarmKind.DeviceSilent or AlarmKind.DeviceFlapping => checker.Table.Id(alarm.Subject),
            AlarmKind.SiteLost => checker.Sites[alarm.Subject].Name,
            _ => "fleet",
        };
        Acknowledgement? word = checker.Alarms.AcknowledgementOf(alarm.Number);
        return new AlarmText(
            alarm.Number,
            KindNames[(int)alarm.Kind],
            subject,
            DeviceText.Moment(alarm.RaisedAtMs)!,
            DeviceText.Moment(alarm.BeganAtMs),
            DeviceText.Moment(alarm.ClearedAtMs))
        {
            Cause = CauseText.NameOf(alarm.Cause),
            Reason = ReasonOf(alarm),
            Devices = alarm.Devices,
            DeviceReason = DeviceReasons.TextOf(alarm.DeviceReason),
            AcknowledgedBy = word?.By,
            AcknowledgedAt = DeviceText.Moment(word?.AtMs),
        };
    }

    private static string ReasonOf(Alarm alarm) => alarm.Kind switch
    {
        AlarmKind.FleetLost => $"{alarm.Devices} devices are overdue at once: the hub, the network, or this service, not each of them",
        AlarmKind.SiteLost => $"{alarm.Devices} devices of one site are overdue at once: its network or its power",
        AlarmKind.RenewalStorm => $"{alarm.Devices} devices have announced their renewal for the same ten seconds",
        _ => CauseText.SentenceOf(alarm.Cause),
    };
}

/// <summary>Statuses and alarms out.</summary>
public sealed class AskRoutes(CheckLoop loop, TimeProvider time, AlarmDispatch? dispatch, MqttSource? mqtt)
{
    /// <summary>Longest page.</summary>
    public const int PageMax = 1000;

    // A filter that fits nobody must not hold the lock for ten million rows: a page ends here too and says where to go on.
    private const int RowsPerAnswer = 200_000;
    private const int PageDefault = 100;

    private readonly DateTimeOffset startedAt = time.GetUtcNow();

    /// <summary><c>GET /devices</c>: totals, and a page in order of first sight, which never changes.</summary>
    public IResult ListDevices(HttpRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (!TryReadWhole(request, "from", 0, int.MaxValue, 0, out int from))
        {
            return Line(StatusCodes.Status400BadRequest, "from must be a whole number, 0 or more");
        }

        if (!TryReadWhole(request, "limit", 1, PageMax, PageDefault, out int limit))
        {
            return Line(StatusCodes.Status400BadRequest, $"limit must be a whole number from 1 to {PageMax}");
        }

        string? wanted = request.Query["status"];
        int status = wanted is null ? -1 : Array.IndexOf(DeviceText.StatusNames, wanted);
        if (wanted is not null && status < 0)
        {
            return Line(StatusCodes.Status400BadRequest, $"status must be one of {string.Join(", ", DeviceText.StatusNames)}");
        }

        string? siteName = request.Query["site"];
        return loop.Ask((checker, nowMs) =>
        {
            int site = siteName is null ? -1 : checker.Sites.Find(siteName);
            var page = new List<DeviceText>();
            int row = from;
            bool isNowhere = siteName is not null && site < 0;
            int end = isNowhere ? 0 : (int)Math.Min(checker.Count, from + (long)RowsPerAnswer);
            for (; row < end && page.Count < limit; row++)
            {
                ref readonly Hot hot = ref checker.Table.Hot(row);
                if ((status < 0 || hot.Status == (Status)status) && (site < 0 || hot.Group == site))
                {
                    page.Add(DeviceText.From(checker.At(row, nowMs), nowMs));
                }
            }

            return Results.Json(new
            {
                now = DeviceText.Moment(nowMs),
                total = checker.Count,
                online = checker.CountOf(Status.Online),
                late = checker.CountOf(Status.Late),
                silent = checker.CountOf(Status.Silent),
                unknown = checker.CountOf(Status.Unknown),
                renewing = checker.CountOf(Status.Renewing),
                flapping = checker.CountOf(Status.Flapping),
                retired = checker.CountOf(Status.Retired),
                next = row < checker.Count && end > 0 ? row : (int?)null,
                devices = page,
            });
        });
    }

    /// <summary><c>GET /devices/{id}</c>.</summary>
    public IResult ShowDevice(string id) => loop.Ask((checker, nowMs) =>
        checker.Find(id) is >= 0 and var row
            ? Results.Json(DeviceText.From(checker.At(row, nowMs), nowMs))
            : Line(StatusCodes.Status404NotFound, "nothing was ever heard of this device"));

    /// <summary><c>GET /alarms</c>: open ones, and with <c>?state=closed</c> the latest closed ones, newest first.</summary>
    public IResult ListAlarms(HttpRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        string state = request.Query["state"].FirstOrDefault() ?? "open";
        if (state is not ("open" or "closed"))
        {
            return Line(StatusCodes.Status400BadRequest, "state must be open or closed");
        }

        return loop.Ask((checker, nowMs) => Results.Json(new
        {
            now = DeviceText.Moment(nowMs),
            open = checker.Alarms.Open.Count,
            alarms = (state == "open" ? checker.Alarms.Open : checker.Alarms.Closed)
                .OrderByDescending(alarm => alarm.Number)
                .Take(PageMax)
                .Select(alarm => AlarmText.From(alarm, checker))
                .ToArray(),
            destinations = (dispatch?.Destinations ?? [])
                .Select(destination => new
                {
                    name = destination.Name,
                    severity = JsonNamingPolicy.CamelCase.ConvertName(destination.SeverityMin.ToString()),
                    quietUntil = DeviceText.Moment(destination.Quiet?.EndsAtMs(nowMs)),
                    waiting = dispatch!.Waiting(destination.Name),
                })
                .ToArray(),
        }));
    }

    /// <summary><c>GET /healthz</c>: 200 while facts are taken in and kept, 503 when they cannot be.</summary>
    public IResult ShowHealth() => loop.Ask((checker, nowMs) =>
    {
        string? failure = loop.Failure;
        return Results.Json(
            new
            {
                status = failure is null ? "ok" : "cannot keep what arrives",
                devices = checker.Count,
                factsApplied = loop.FactsApplied,
                uptimeSeconds = Math.Round((time.GetUtcNow() - startedAt).TotalSeconds, 3),
                deliveryDelaySeconds = checker.Doubt.DelayMs / 1000,
                judgementHeldUntil = checker.Doubt.HeldUntilMs > nowMs ? DeviceText.Moment(checker.Doubt.HeldUntilMs) : null,
                fleetLost = checker.IsFleetLost,
                journalBytes = loop.Store?.JournalBytes ?? 0,
                mqtt = mqtt is null ? null : new
                {
                    connected = mqtt.Trouble is null,
                    trouble = mqtt.Trouble,
                    received = mqtt.Counts.Received,
                    taken = mqtt.Counts.Taken,
                    malformed = mqtt.Counts.Malformed,
                    problems = mqtt.Counts.Problems,
                    tooLarge = mqtt.Counts.TooLarge,
                    retained = mqtt.Counts.Retained,
                    connects = mqtt.Counts.Connects,
                },
                replica = loop.Replica is not { } replica ? null
                    : new { number = replica.Replica, slotsHeld = replica.SlotsHeld, slots = Share.Slots, living = replica.Living },
            },
            statusCode: failure is null ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable);
    });

    internal static bool TryReadWhole(HttpRequest request, string name, int min, int max, int otherwise, out int value)
    {
        value = otherwise;
        string? text = request.Query[name];
        return text is null
            || (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value >= min && value <= max);
    }

    internal static IResult Line(int status, string text) => Results.Text(text + "\n", "text/plain", statusCode: status);
}
