using System.Diagnostics.Metrics;
using System.Globalization;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;

namespace Agent.Hub;

/// <summary>Sends the hub's metrics to an OpenTelemetry collector, under the names they have in Azure Monitor.</summary>
/// <remarks>
/// The instruments only look at <see cref="HubMetrics"/> when the exporter asks, so a message costs no more with an exporter than
/// without. Counts and bytes are monotonic sums since the start, standing figures are gauges. OTLP over HTTP, as the OpenTelemetry
/// specification prefers, unless OTEL_EXPORTER_OTLP_PROTOCOL says grpc; the interval is the SDK's (60 s, OTEL_METRIC_EXPORT_INTERVAL
/// in ms), and its other variables (headers, timeout) count as well. A collector that is not there costs a failed attempt per
/// interval and nothing else.
/// </remarks>
public sealed class OtlpExport : IDisposable
{
    /// <summary>The meter's name: the metrics' namespace in Azure Monitor.</summary>
    public const string MeterName = "Microsoft.Devices/IotHubs";

    private const string EndpointVariable = "OTEL_EXPORTER_OTLP_ENDPOINT";
    private const string ProtocolVariable = "OTEL_EXPORTER_OTLP_PROTOCOL";
    private const string IntervalVariable = "OTEL_METRIC_EXPORT_INTERVAL";
    private const int IntervalMsDefault = 60_000;

    private readonly Meter meter;
    private readonly MeterProvider provider;

    private OtlpExport(HubServer hub, Uri endpoint, bool isGrpc)
    {
        meter = new Meter(MeterName);
        foreach (HubMetric metric in Enum.GetValues<HubMetric>())
        {
            HubMetricShape shape = metric.Shape();
            string unit = shape.Kind == HubMetricKind.Size ? "By" : "{" + (shape.Name.Contains("evice", StringComparison.Ordinal)
                ? "device" : "message") + "}";
            if (shape.Kind == HubMetricKind.Snapshot)
            {
                meter.CreateObservableGauge(shape.Name, () => hub.Metrics.Level(metric), unit, shape.Description);
            }
            else
            {
                meter.CreateObservableCounter(shape.Name, () => SumOf(hub, metric), unit, shape.Description);
            }
        }

        provider = Sdk.CreateMeterProviderBuilder()
            .SetResourceBuilder(ResourceBuilder.CreateDefault()
                .AddService("iothub", serviceInstanceId: hub.Registry.HostName)
                .AddAttributes([new("cloud.resource_id", ConnectionsWriter.ResourceIdOf(hub.Registry.HostName))]))
            .AddMeter(MeterName)
            .AddOtlpExporter((exporter, reader) =>
            {
                exporter.Endpoint = endpoint;
                exporter.Protocol = isGrpc ? OtlpExportProtocol.Grpc : OtlpExportProtocol.HttpProtobuf;
                reader.PeriodicExportingMetricReaderOptions.ExportIntervalMilliseconds = IntervalMs();
            })
            .Build();
    }

    /// <summary>Begins to export to an address that <see cref="TryReadUrl"/> has found good.</summary>
    public static OtlpExport Start(HubServer hub, string url)
    {
        bool isGrpc = Environment.GetEnvironmentVariable(ProtocolVariable) == "grpc";
        var endpoint = new Uri(url);
        if (!isGrpc && endpoint.AbsolutePath is "" or "/")
        {
            // The address of a collector; its specification puts metrics here.
            endpoint = new Uri(endpoint, "/v1/metrics");
        }

        return new OtlpExport(hub, endpoint, isGrpc);
    }

    /// <summary>The address to export to: what the user said, else what the environment says; null = none.</summary>
    public static string? UrlOf(string? given) =>
        given ?? (Environment.GetEnvironmentVariable(EndpointVariable) is { Length: > 0 } url ? url : null);

    /// <summary>Whether it is an address; otherwise what is wrong.</summary>
    public static bool TryReadUrl(string url, out string why)
    {
        bool isGood = Uri.TryCreate(url, UriKind.Absolute, out Uri? uri) && uri.Scheme is "http" or "https" && uri.UserInfo.Length == 0;
        why = isGood ? "" : "expected the address of a collector, like http://127.0.0.1:4318 (without a user's name or password)";
        return isGood;
    }

    /// <summary>Sends what is new and stops; waits for the collector a few seconds at most.</summary>
    public void Dispose()
    {
        provider.ForceFlush(2000);
        provider.Dispose();
        meter.Dispose();
    }

    private static long SumOf(HubServer hub, HubMetric metric)
    {
        hub.AdvanceMetrics();
        return hub.Metrics.Sum(metric);
    }

    private static int IntervalMs()
    {
        string? text = Environment.GetEnvironmentVariable(IntervalVariable);
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int ms) && ms > 0 ? ms : IntervalMsDefault;
    }
}
