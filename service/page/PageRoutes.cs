using System.Globalization;

namespace Agent.Service;

/// <summary>What the page asks: totals over time, sites, worst devices, and the lane of one device.</summary>
public sealed class PageRoutes(CheckLoop loop, LivePage page)
{
    // As in AskRoutes: the lock is not held for ten million rows; a page may end here and says where to go on.
    private const int RowsPerAnswer = 200_000;
    private const int PageDefault = 50;

    private static readonly Status[] WorstFirst = [Status.Silent, Status.Flapping, Status.Late];

    /// <summary><c>GET /fleet</c>: totals now, and over the last hour or day.</summary>
    public IResult ShowFleet(HttpRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        string span = request.Query["span"].FirstOrDefault() ?? "hour";
        if (span is not ("hour" or "day"))
        {
            return AskRoutes.Line(StatusCodes.Status400BadRequest, "span must be hour or day");
        }

        return loop.Ask((checker, nowMs) =>
        {
            (long stepMs, FleetSample[] samples) = page.HistoryOf(span == "day", nowMs);
            return Results.Json(new
            {
                now = DeviceText.Moment(nowMs),
                totals = TotalsText.From(checker),
                stepSeconds = stepMs / 1000,
                statuses = DeviceText.StatusNames,
                samples = samples.Select(sample => new { at = DeviceText.Moment(sample.AtMs), counts = sample.Counts }).ToArray(),
            });
        });
    }

    /// <summary><c>GET /sites</c>: those with the most overdue devices first.</summary>
    public IResult ListSites(HttpRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (!AskRoutes.TryReadWhole(request, "from", 0, int.MaxValue, 0, out int from)
            || !AskRoutes.TryReadWhole(request, "limit", 1, AskRoutes.PageMax, PageDefault, out int limit))
        {
            return AskRoutes.Line(
                StatusCodes.Status400BadRequest, $"from and limit must be whole numbers, limit from 1 to {AskRoutes.PageMax}");
        }

        return loop.Ask((checker, nowMs) =>
        {
            Site[] sites = [.. Enumerable.Range(1, checker.Sites.Count - 1).Select(number => checker.Sites[number])
                .Where(site => site.Devices > 0)
                .OrderByDescending(site => site.Overdue)
                .ThenBy(site => site.Name, StringComparer.Ordinal)];
            return Results.Json(new
            {
                now = DeviceText.Moment(nowMs),
                total = sites.Length,
                next = (long)from + limit < sites.Length ? from + limit : (int?)null,
                sites = sites.Skip(from).Take(limit)
                    .Select(site => new { name = site.Name, devices = site.Devices, overdue = site.Overdue, isLost = site.IsLost })
                    .ToArray(),
            });
        });
    }

    /// <summary><c>GET /worst</c>: silent devices, then flapping, then late ones; each in order of first sight.</summary>
    public IResult ListWorst(HttpRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (!AskRoutes.TryReadWhole(request, "limit", 1, AskRoutes.PageMax, PageDefault, out int limit))
        {
            return AskRoutes.Line(StatusCodes.Status400BadRequest, $"limit must be a whole number from 1 to {AskRoutes.PageMax}");
        }

        if (!TryReadPlace(request.Query["from"], out int rank, out int row))
        {
            return AskRoutes.Line(StatusCodes.Status400BadRequest, "from must be the next of the page before");
        }

        string? siteName = request.Query["site"];
        return loop.Ask((checker, nowMs) =>
        {
            int site = string.IsNullOrEmpty(siteName) ? -1 : checker.Sites.Find(siteName);
            bool isNowhere = !string.IsNullOrEmpty(siteName) && site < 0;
            List<DeviceText> devices = isNowhere ? [] : Take(checker, nowMs, site, limit, ref rank, ref row);
            return Results.Json(new
            {
                now = DeviceText.Moment(nowMs),
                total = WorstFirst.Sum(checker.CountOf),
                next = rank < WorstFirst.Length && !isNowhere ? string.Create(CultureInfo.InvariantCulture, $"{rank}.{row}") : null,
                devices,
            });
        });
    }

    /// <summary><c>GET /devices/{id}/history</c>: what is remembered of one device, which is watched from then on.</summary>
    public IResult ShowHistory(string id) => loop.Ask((checker, nowMs) =>
    {
        int row = checker.Find(id);
        if (row < 0)
        {
            return AskRoutes.Line(StatusCodes.Status404NotFound, "nothing was ever heard of this device");
        }

        (long? sinceMs, Transition[] changes, Mark[] marks) = page.LaneOf(checker, row, nowMs);
        return Results.Json(new
        {
            now = DeviceText.Moment(nowMs),
            changesKeptSince = DeviceText.Moment(sinceMs),
            device = DeviceText.From(checker.At(row, nowMs), nowMs),
            changes = changes.Select(change => ChangeText.Of(change, null)).ToArray(),
            marks = marks
                .Select(mark => new { at = DeviceText.Moment(mark.AtMs), kind = NameOf(mark.Kind), text = TextOf(mark) })
                .ToArray(),
        });
    });

    private static List<DeviceText> Take(Checker checker, long nowMs, int site, int limit, ref int rank, ref int row)
    {
        var devices = new List<DeviceText>();
        for (int looks = 0; rank < WorstFirst.Length; rank++, row = 0)
        {
            Status wanted = WorstFirst[rank];
            // Without one there is no need to look for it.
            int end = checker.CountOf(wanted) == 0 ? 0 : checker.Count;
            for (; row < end; row++, looks++)
            {
                if (devices.Count == limit || looks == RowsPerAnswer)
                {
                    return devices;
                }

                ref readonly Hot hot = ref checker.Table.Hot(row);
                if (hot.Status == wanted && (site < 0 || hot.Group == site))
                {
                    devices.Add(DeviceText.From(checker.At(row, nowMs), nowMs));
                }
            }
        }

        return devices;
    }

    private static bool TryReadPlace(string? text, out int rank, out int row)
    {
        rank = 0;
        row = 0;
        string[] parts = text is { Length: <= 16 } ? text.Split('.') : [];
        return text is null || (parts.Length == 2
            && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out rank) && rank < WorstFirst.Length
            && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out row));
    }

    private static string NameOf(MarkKind kind) => kind switch
    {
        MarkKind.Heartbeat => "heartbeat",
        MarkKind.Connect => "connect",
        MarkKind.Disconnect => "disconnect",
        MarkKind.Renewal => "renewal",
        MarkKind.HubCode => "hubCode",
        _ => "told",
    };

    private static string TextOf(Mark mark) => mark.Kind switch
    {
        MarkKind.Heartbeat => "heartbeat",
        MarkKind.Connect => "the hub saw it connect",
        MarkKind.Disconnect => "the hub saw its connection end",
        MarkKind.Renewal => "its announced token renewal",
        MarkKind.HubCode => HubCodes.Number(mark.Number) is int code
            ? $"the hub logged {code}: {CauseText.SentenceOf(HubCodes.CauseOf(mark.Number))}"
            : mark.Number == HubCodes.Clean ? "the hub logged a clean disconnect"
            : "the hub logged an error that is not in this program's list",
        _ => $"the device says: {DeviceReasons.Of(mark.Number).Text}; it was away {mark.GapSeconds} s",
    };
}
