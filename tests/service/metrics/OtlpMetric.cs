using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Agent.Service.Metrics;
using Agent.Tests.Hub;

namespace Agent.Tests.Service.Metrics;

/// <summary>One metric as a collector reads it from the protobuf of OTLP.</summary>
/// <param name="Name">As sent.</param>
/// <param name="Unit">UCUM.</param>
/// <param name="Kind">Gauge, rising sum from the start on, or histogram.</param>
/// <param name="Points">Value by labels, written <c>name=value,…</c>; of a histogram how many values it has.</param>
internal sealed record OtlpMetric(string Name, string Unit, MetricKind Kind, IReadOnlyDictionary<string, long> Points)
{
    /// <summary>The labels that occur.</summary>
    public IEnumerable<string> Labels => Points.Keys
        .SelectMany(key => key.Split(',', StringSplitOptions.RemoveEmptyEntries))
        .Select(pair => pair.Split('=')[0])
        .Distinct();

    // opentelemetry-proto metrics.proto: ExportMetricsServiceRequest.resource_metrics = 1, ResourceMetrics.scope_metrics = 2,
    // ScopeMetrics.metrics = 2; Metric.name = 1, unit = 3, gauge = 5, sum = 7, histogram = 9; data_points = 1; of a sum
    // aggregation_temporality = 2 (2 = cumulative) and is_monotonic = 3; NumberDataPoint.as_int = 6, attributes = 7;
    // HistogramDataPoint.count = 4, attributes = 9. common.proto: KeyValue.key = 1, value = 2; string_value = 1, int_value = 3.
    public static List<OtlpMetric> Read(byte[] request) =>
    [
        .. Protobuf.Fields(request, 1)
            .SelectMany(resource => Protobuf.Fields(resource, 2))
            .SelectMany(scope => Protobuf.Fields(scope, 2))
            .Select(Of),
    ];

    private static OtlpMetric Of(byte[] metric)
    {
        (MetricKind kind, byte[] data) = Protobuf.Fields(metric, 5) is [var gauge] ? (MetricKind.Gauge, gauge)
            : Protobuf.Fields(metric, 7) is [var sum] ? (MetricKind.Counter, sum)
            : (MetricKind.Histogram, Protobuf.Fields(metric, 9).Single());
        if (kind == MetricKind.Counter)
        {
            Assert.Equal((2, 1), (Protobuf.Fields(data, 2).Single()[0], Protobuf.Fields(data, 3).Single()[0]));
        }

        (int value, int attributes) = kind == MetricKind.Histogram ? (4, 9) : (6, 7);
        return new OtlpMetric(
            Text(Protobuf.Fields(metric, 1)),
            Text(Protobuf.Fields(metric, 3)),
            kind,
            Protobuf.Fields(data, 1).ToDictionary(
                point => string.Join(',', Protobuf.Fields(point, attributes).Select(Label)),
                point => BinaryPrimitives.ReadInt64LittleEndian(Protobuf.Fields(point, value).Single())));
    }

    private static string Label(byte[] pair)
    {
        byte[] value = Protobuf.Fields(pair, 2).Single();
        int at = 0;
        string text = Protobuf.Fields(value, 1) is [var words]
            ? Encoding.UTF8.GetString(words)
            : Protobuf.Varint(Protobuf.Fields(value, 3).Single(), ref at).ToString(CultureInfo.InvariantCulture);
        return Text(Protobuf.Fields(pair, 1)) + "=" + text;
    }

    private static string Text(List<byte[]> fields) => fields.Count == 0 ? "" : Encoding.UTF8.GetString(fields.Single());
}
