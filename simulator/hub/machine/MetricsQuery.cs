using System.Buffers;
using System.Globalization;
using System.Text.Json;
using System.Xml;

namespace Agent.Hub;

/// <summary>A question to Azure Monitor's metrics interface, and its answer (REST "Metrics - List", version 2018-01-01).</summary>
/// <remarks>
/// Names, times and shapes are the vendor's: a point carries only what was asked for, a minute without data has a
/// <c>timeStamp</c>, a total of 0 and no average. The grain is a minute; coarser ones are put together from minutes. Aggregations
/// a metric cannot give (a total of a snapshot) are refused with the ones it can.
/// </remarks>
public sealed class MetricsQuery
{
    /// <summary>How far back is looked when no time span is given, ms: an hour, as the vendor does.</summary>
    public const long SpanMsDefault = 3_600_000;

    private const long MinuteMs = 60_000;
    private const long KeptMs = HubMetrics.MinutesKept * MinuteMs;

    private static readonly string[] Aggregations = ["average", "count", "maximum", "minimum", "total"];
    private static readonly string[] Intervals = ["PT1M", "PT5M", "PT15M", "PT30M", "PT1H", "PT6H", "PT12H", "P1D", "FULL"];

    private readonly List<HubMetric> metrics = [];
    private readonly List<string> aggregations = [];
    private bool isNamed;
    private long fromMs;
    private long toMs;
    private long stepMs = MinuteMs;
    private string interval = "PT1M";

    private MetricsQuery()
    {
    }

    /// <summary>Reads the query's parameters, each of which may be null; false with one sentence about the first that is wrong.</summary>
    /// <param name="names"><c>metricnames</c>: separated by commas; all when left out.</param>
    /// <param name="timespan"><c>start/end</c> in ISO 8601, or a length that ends now, such as PT4H; the last hour when left out.</param>
    /// <param name="interval">PT1M when left out.</param>
    /// <param name="aggregation">Separated by commas; each metric's own default when left out.</param>
    /// <param name="utcMs">Now.</param>
    /// <param name="query">The question.</param>
    /// <param name="problem">What is wrong.</param>
    public static bool TryRead(
        string? names, string? timespan, string? interval, string? aggregation, long utcMs, out MetricsQuery query, out string? problem)
    {
        query = new MetricsQuery();
        problem = query.ReadNames(names) ?? query.ReadSpan(timespan, utcMs) ?? query.ReadInterval(interval)
            ?? query.ReadAggregations(aggregation);
        return problem is null;
    }

    /// <summary>Writes the answer; the caller has told the metrics the time.</summary>
    /// <param name="output">Where to.</param>
    /// <param name="source">The figures.</param>
    /// <param name="resourceId">The hub's, as in its log records.</param>
    /// <param name="region">The hub's.</param>
    public void Write(IBufferWriter<byte> output, HubMetrics source, string resourceId, string region)
    {
        using var json = new Utf8JsonWriter(output);
        json.WriteStartObject();
        json.WriteNumber("cost"u8, 0);
        json.WriteString("timespan"u8, $"{Moment(fromMs)}/{Moment(toMs)}");
        json.WriteString("interval"u8, interval);
        json.WriteString("namespace"u8, "Microsoft.Devices/IotHubs"u8);
        json.WriteString("resourceregion"u8, region);
        json.WriteStartArray("value"u8);
        foreach (HubMetric metric in metrics)
        {
            WriteMetric(json, source, metric, resourceId);
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private void WriteMetric(Utf8JsonWriter json, HubMetrics source, HubMetric metric, string resourceId)
    {
        HubMetricShape shape = metric.Shape();
        json.WriteStartObject();
        json.WriteString("id"u8, $"{resourceId}/providers/Microsoft.Insights/metrics/{shape.Name}");
        json.WriteString("type"u8, "Microsoft.Insights/metrics"u8);
        json.WriteStartObject("name"u8);
        json.WriteString("value"u8, shape.Name);
        json.WriteString("localizedValue"u8, shape.Label);
        json.WriteEndObject();
        json.WriteString("displayDescription"u8, shape.Description);
        json.WriteString("unit"u8, shape.Unit);
        json.WriteStartArray("timeseries"u8);
        json.WriteStartObject();
        json.WriteStartArray("metadatavalues"u8);
        json.WriteEndArray();
        json.WriteStartArray("data"u8);
        for (long ms = fromMs; ms < toMs; ms += stepMs)
        {
            WritePoint(json, shape, ms, source.Read(metric, ms, Math.Min(ms + stepMs, toMs)));
        }

        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteString("errorCode"u8, "Success"u8);
        json.WriteEndObject();
    }

    private void WritePoint(Utf8JsonWriter json, HubMetricShape shape, long utcMs, MetricPoint point)
    {
        json.WriteStartObject();
        json.WriteString("timeStamp"u8, Moment(utcMs));
        IReadOnlyList<string> asked = aggregations.Count > 0 ? aggregations : [shape.DefaultAggregation];
        foreach (string aggregation in asked)
        {
            if (shape.Kind == HubMetricKind.Snapshot && IsSum(aggregation))
            {
                continue;
            }

            double? value = aggregation switch
            {
                "count" => point.Count,
                "total" => point.Total,
                _ when point.Count == 0 => null,
                "average" => point.Average,
                "minimum" => point.Min,
                _ => point.Max,
            };
            if (value is { } known)
            {
                json.WriteNumber(aggregation, known);
            }
        }

        json.WriteEndObject();
    }

    private string? ReadNames(string? names)
    {
        if (string.IsNullOrWhiteSpace(names))
        {
            metrics.AddRange(Enum.GetValues<HubMetric>());
            return null;
        }

        isNamed = true;
        foreach (string name in names.Split(',', StringSplitOptions.TrimEntries))
        {
            if (!HubMetricTable.TryFind(name, out HubMetric metric))
            {
                return $"metricnames: no metric is called \"{Clip(name)}\"; valid are "
                    + string.Join(", ", Enum.GetValues<HubMetric>().Select(known => known.Shape().Name));
            }

            if (!metrics.Contains(metric))
            {
                metrics.Add(metric);
            }
        }

        return null;
    }

    private string? ReadSpan(string? timespan, long utcMs)
    {
        const string Form = "timespan: expected start/end like 2026-01-31T10:00:00Z/2026-01-31T11:00:00Z, or a length like PT4H";
        if (string.IsNullOrWhiteSpace(timespan))
        {
            (fromMs, toMs) = (utcMs - SpanMsDefault, utcMs);
        }
        else if (timespan.Split('/') is [string start, string end])
        {
            if (!TryReadMoment(start, out fromMs) || !TryReadMoment(end, out toMs))
            {
                return Form;
            }
        }
        else if (TryReadLength(timespan, out long lengthMs))
        {
            (fromMs, toMs) = (utcMs - lengthMs, utcMs);
        }
        else
        {
            return Form;
        }

        fromMs = fromMs / MinuteMs * MinuteMs;
        toMs = (toMs + MinuteMs - 1) / MinuteMs * MinuteMs;
        return fromMs >= toMs ? "timespan: the end must lie behind the start"
            : toMs - fromMs > KeptMs + MinuteMs ? "timespan: longer than a day, which is as much as this hub keeps"
            : null;
    }

    private string? ReadInterval(string? text)
    {
        if (string.IsNullOrWhiteSpace(text))
        {
            return null;
        }

        interval = text.ToUpperInvariant();
        if (!Intervals.Contains(interval))
        {
            return $"interval: \"{Clip(text)}\" is not served; allowed: {string.Join(", ", Intervals)}";
        }

        stepMs = interval == "FULL" ? toMs - fromMs : (long)XmlConvert.ToTimeSpan(interval).TotalMilliseconds;
        return null;
    }

    private string? ReadAggregations(string? text)
    {
        foreach (string name in (text ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            string lower = name.ToLowerInvariant();
            if (!Aggregations.Contains(lower))
            {
                return $"aggregation: \"{Clip(name)}\" is unknown; allowed: {string.Join(", ", Aggregations)}";
            }

            // Whoever names a metric is told; whoever asks for all of them is given what there is.
            if (isNamed && IsSum(lower) && metrics.FindIndex(metric => metric.Shape().Kind == HubMetricKind.Snapshot) is >= 0 and int at)
            {
                return $"aggregation: {metrics[at].Shape().Name} has no {lower}; allowed: average, maximum, minimum";
            }

            if (!aggregations.Contains(lower))
            {
                aggregations.Add(lower);
            }
        }

        return null;
    }

    private static bool IsSum(string aggregation) => aggregation is "total" or "count";

    private static bool TryReadMoment(string text, out long utcMs)
    {
        bool isRead = DateTimeOffset.TryParse(
            text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal,
            out DateTimeOffset moment);
        utcMs = isRead ? moment.ToUnixTimeMilliseconds() : 0;
        return isRead && utcMs >= 0;
    }

    private static bool TryReadLength(string text, out long lengthMs)
    {
        lengthMs = 0;
        try
        {
            lengthMs = (long)XmlConvert.ToTimeSpan(text.ToUpperInvariant()).TotalMilliseconds;
            return lengthMs > 0;
        }
        catch (Exception exception) when (exception is FormatException or OverflowException)
        {
            return false;
        }
    }

    private static string Moment(long utcMs) =>
        DateTime.UnixEpoch.AddMilliseconds(utcMs).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    private static string Clip(string text) => Agent.Input.JsonReading.Clip(text);
}
