using System.Buffers;
using System.Text;
using System.Text.Json;
using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>Minutes of metrics, told the time, and the answer in the shape of Azure Monitor.</summary>
public sealed class HubMetricsTests
{
    private static readonly HubMetric[] PerMessage = [HubMetric.TelemetrySuccess, HubMetric.TelemetryEgressSuccess];

    private const long Minute = 60_000;
    private const long Start = 1_767_225_600_000; // 2026-01-01T00:00:00Z
    private readonly HubMetrics metrics = new(Start);

    [Fact]
    public void The_names_are_the_vendor_s_and_each_metric_has_one()
    {
        HubMetricShape[] shapes = [.. Enum.GetValues<HubMetric>().Select(metric => metric.Shape())];
        Assert.Equal(HubMetricTable.Count, shapes.Length);
        Assert.Equal(shapes.Length, shapes.Select(shape => shape.Name).Distinct(StringComparer.OrdinalIgnoreCase).Count());
        Assert.Equal("d2c.telemetry.ingress.success", HubMetric.TelemetrySuccess.Shape().Name);
        Assert.Equal("d2c.telemetry.ingress.sendThrottle", HubMetric.TelemetryThrottled.Shape().Name);
        Assert.Equal("C2DMessagesExpired", HubMetric.CommandsExpired.Shape().Name);
        Assert.Equal("c2d.methods.responseSize", HubMetric.MethodResponseSize.Shape().Name);
        Assert.Equal("d2c.twin.update.size", HubMetric.DeviceTwinUpdateSize.Shape().Name);
        Assert.Equal("c2d.twin.update.failure", HubMetric.ServiceTwinUpdateFailure.Shape().Name);
        Assert.Equal("twinQueries.resultSize", HubMetric.QueryResultSize.Shape().Name);
        Assert.True(HubMetricTable.TryFind("connecteddevicecount", out HubMetric found) && found == HubMetric.ConnectedDeviceCount);
    }

    [Fact]
    public void Operations_are_counted_into_the_minute_that_was_open()
    {
        metrics.Count(HubMetric.TelemetrySuccess, 3);
        metrics.Advance(Start + Minute);
        metrics.Count(HubMetric.TelemetrySuccess);
        metrics.Advance(Start + Minute + 1000);
        Assert.Equal(new MetricPoint(3, 3, 1, 1), At(HubMetric.TelemetrySuccess, 0));
        Assert.Equal(new MetricPoint(1, 1, 1, 1), At(HubMetric.TelemetrySuccess, 1));
        Assert.Equal(new MetricPoint(4, 4, 1, 1), metrics.Read(HubMetric.TelemetrySuccess, Start, Start + (2 * Minute)));
        Assert.Equal(4, metrics.Sum(HubMetric.TelemetrySuccess));
    }

    [Fact]
    public void A_standing_figure_has_average_minimum_and_maximum()
    {
        foreach (long value in new[] { 10, 0, 20, 10 })
        {
            metrics.Observe(HubMetric.ConnectedDeviceCount, value);
        }

        MetricPoint point = At(HubMetric.ConnectedDeviceCount, 0);
        Assert.Equal((10.0, 0, 20), (point.Average, point.Min, point.Max));
        Assert.Equal(10, metrics.Level(HubMetric.ConnectedDeviceCount));
    }

    [Fact]
    public void Sizes_keep_number_sum_smallest_and_largest()
    {
        metrics.Measure(HubMetric.DeviceTwinReadSize, 100);
        metrics.Measure(HubMetric.DeviceTwinReadSize, 0);
        metrics.Measure(HubMetric.DeviceTwinReadSize, 200);
        metrics.Advance(Start + 1000);
        metrics.Measure(HubMetric.DeviceTwinReadSize, 50);
        metrics.Advance(Start + 2000);
        Assert.Equal(new MetricPoint(4, 350, 0, 200), At(HubMetric.DeviceTwinReadSize, 0));
        Assert.Equal(350, metrics.Sum(HubMetric.DeviceTwinReadSize));
    }

    [Fact]
    public void The_cells_may_run_over()
    {
        // More bytes in all than the 40 bits of a cell, in steps that each fit.
        for (int i = 0; i < 5; i++)
        {
            metrics.Measure(HubMetric.DeviceDataUsage, 700_000_000_000);
            metrics.Advance(Start + 1);
        }

        Assert.Equal(new MetricPoint(5, 3_500_000_000_000, 700_000_000_000, 700_000_000_000), At(HubMetric.DeviceDataUsage, 0));
    }

    [Fact]
    public void A_day_is_kept_and_what_is_older_is_gone()
    {
        metrics.Count(HubMetric.TelemetrySuccess);
        metrics.Advance(Start + (1439 * Minute));
        Assert.Equal(1, At(HubMetric.TelemetrySuccess, 0).Total);
        metrics.Count(HubMetric.TelemetrySuccess, 7);
        metrics.Advance(Start + (1440 * Minute));
        Assert.Equal(default, At(HubMetric.TelemetrySuccess, 0));
        Assert.Equal(default, At(HubMetric.TelemetrySuccess, 1440));
        Assert.Equal(7, At(HubMetric.TelemetrySuccess, 1439).Total);
        metrics.Advance(Start + (100_000 * Minute));
        Assert.Equal(default, metrics.Read(HubMetric.TelemetrySuccess, Start, Start + (200_000 * Minute)));
        Assert.Equal(8, metrics.Sum(HubMetric.TelemetrySuccess));
    }

    [Fact]
    public void A_clock_that_steps_back_loses_nothing()
    {
        metrics.Advance(Start + (5 * Minute));
        metrics.Count(HubMetric.MethodSuccess);
        metrics.Advance(Start);
        Assert.Equal(1, At(HubMetric.MethodSuccess, 5).Total);
    }

    [Fact]
    public void Many_threads_lose_no_count_while_minutes_pass()
    {
        const int Each = 200_000;
        Task[] workers = [.. Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            for (int i = 0; i < Each; i++)
            {
                metrics.CountEach(PerMessage);
                metrics.Measure(HubMetric.DeviceDataUsage, i % 7);
            }
        }))];
        long now = Start;
        while (!Task.WaitAll(workers, 1))
        {
            metrics.Advance(now += 10_000);
        }

        metrics.Advance(now += Minute);
        MetricPoint bytes = metrics.Read(HubMetric.DeviceDataUsage, Start, now);
        Assert.Equal(4 * Each, metrics.Read(HubMetric.TelemetrySuccess, Start, now).Total);
        Assert.Equal(new MetricPoint(4 * Each, 4 * Enumerable.Range(0, Each).Sum(i => (long)(i % 7)), 0, 6), bytes);
    }

    [Fact]
    public void Counting_allocates_nothing()
    {
        metrics.CountEach(PerMessage);
        metrics.Measure(HubMetric.DeviceDataUsage, 9);
        Assert.Equal(0, Allocations.Of(() =>
        {
            for (int i = 0; i < 1000; i++)
            {
                metrics.CountEach(PerMessage);
                metrics.Measure(HubMetric.DeviceDataUsage, i);
            }
        }));
    }

    // Shape and the treatment of empty minutes: the example of the vendor's specification (azure-rest-api-specs, Microsoft.Insights
    // 2018-01-01, GetMetric.json).
    [Fact]
    public void The_answer_has_the_vendor_s_shape()
    {
        metrics.Count(HubMetric.TelemetrySuccess, 5);
        metrics.Advance(Start + Minute);
        metrics.Observe(HubMetric.ConnectedDeviceCount, 4);
        metrics.Observe(HubMetric.ConnectedDeviceCount, 1);
        JsonElement answer = Answer(
            "d2c.telemetry.ingress.success,ConnectedDeviceCount", "2026-01-01T00:00:00Z/2026-01-01T00:02:00Z", null, null);

        Assert.Equal(
            """{"cost":0,"timespan":"2026-01-01T00:00:00Z/2026-01-01T00:02:00Z","interval":"PT1M","""
            + "\"namespace\":\"Microsoft.Devices/IotHubs\",\"resourceregion\":\"local\",\"value\":[",
            answer.GetRawText()[..answer.GetRawText().IndexOf('[', StringComparison.Ordinal)] + "[");
        JsonElement sent = answer.GetProperty("value")[0];
        Assert.Equal(
            "/subscriptions/x/providers/Microsoft.Insights/metrics/d2c.telemetry.ingress.success", sent.GetProperty("id").GetString());
        Assert.Equal("Microsoft.Insights/metrics", sent.GetProperty("type").GetString());
        Assert.Equal(
            """{"value":"d2c.telemetry.ingress.success","localizedValue":"Telemetry messages sent"}""",
            sent.GetProperty("name").GetRawText());
        Assert.Equal("Count", sent.GetProperty("unit").GetString());
        Assert.Equal(
            """[{"timeStamp":"2026-01-01T00:00:00Z","total":5},{"timeStamp":"2026-01-01T00:01:00Z","total":0}]""", Data(sent));
        Assert.Equal(
            """[{"timeStamp":"2026-01-01T00:00:00Z"},{"timeStamp":"2026-01-01T00:01:00Z","average":2.5}]""",
            Data(answer.GetProperty("value")[1]));
    }

    [Fact]
    public void Coarser_grains_are_put_together_from_minutes()
    {
        foreach (int minute in new[] { 0, 4, 5, 9 })
        {
            metrics.Advance(Start + (minute * Minute));
            metrics.Observe(HubMetric.ConnectedDeviceCount, minute);
        }

        JsonElement answer = Answer("connectedDeviceCount", "2026-01-01T00:00:00Z/2026-01-01T00:10:00Z", "pt5m", "Maximum,average,minimum");
        Assert.Equal(
            """[{"timeStamp":"2026-01-01T00:00:00Z","maximum":4,"average":2,"minimum":0},"""
            + """{"timeStamp":"2026-01-01T00:05:00Z","maximum":9,"average":7,"minimum":5}]""",
            Data(answer.GetProperty("value")[0]));
        Assert.Single(Answer("connectedDeviceCount", "PT1H", "FULL", null)
            .GetProperty("value")[0].GetProperty("timeseries")[0].GetProperty("data").EnumerateArray());
    }

    [Fact]
    public void Without_parameters_every_metric_of_the_last_hour_comes_with_its_own_aggregation()
    {
        JsonElement answer = Answer(null, null, null, null);
        Assert.Equal(HubMetricTable.Count, answer.GetProperty("value").GetArrayLength());
        Assert.All(answer.GetProperty("value").EnumerateArray(), metric =>
            Assert.InRange(metric.GetProperty("timeseries")[0].GetProperty("data").GetArrayLength(), 60, 61));
    }

    [Theory]
    [InlineData("x", null, null, null, "metricnames: no metric is called \"x\"; valid are connectedDeviceCount")]
    [InlineData(null, "yesterday", null, null, "timespan: expected start/end")]
    [InlineData(null, "2026-01-01T00:00:00Z", null, null, "timespan: expected start/end")]
    [InlineData(null, "2026-01-01T01:00:00Z/2026-01-01T00:00:00Z", null, null, "timespan: the end must lie behind the start")]
    [InlineData(null, "2026-01-01T00:00:00Z/2027-01-01T00:00:00Z", null, null, "timespan: longer than a day")]
    [InlineData(null, "P99999999999D", null, null, "timespan: expected start/end")]
    [InlineData(null, null, "PT2M", null, "interval: \"PT2M\" is not served; allowed: PT1M")]
    [InlineData(null, null, null, "median", "aggregation: \"median\" is unknown; allowed: average")]
    [InlineData("totalDeviceCount", null, null, "total", "aggregation: totalDeviceCount has no total")]
    public void A_question_that_makes_no_sense_is_answered_with_what_would(
        string? names, string? timespan, string? interval, string? aggregation, string expected)
    {
        Assert.False(MetricsQuery.TryRead(names, timespan, interval, aggregation, Start, out _, out string? problem));
        Assert.StartsWith(expected, problem, StringComparison.Ordinal);
    }

    private MetricPoint At(HubMetric metric, int minute) =>
        metrics.Read(metric, Start + (minute * Minute), Start + ((minute + 1) * Minute));

    private JsonElement Answer(string? names, string? timespan, string? interval, string? aggregation)
    {
        Assert.True(
            MetricsQuery.TryRead(names, timespan, interval, aggregation, Start + Minute, out MetricsQuery query, out string? problem),
            problem);
        var output = new ArrayBufferWriter<byte>();
        query.Write(output, metrics, "/subscriptions/x", "local");
        return JsonDocument.Parse(Encoding.UTF8.GetString(output.WrittenSpan)).RootElement;
    }

    private static string Data(JsonElement metric) => metric.GetProperty("timeseries")[0].GetProperty("data").GetRawText();
}
