using System.Globalization;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;

namespace Agent.Service.Metrics;

/// <summary>Sends the checker's metrics to an OpenTelemetry collector.</summary>
/// <remarks>
/// OTLP over HTTP, as the OpenTelemetry specification prefers, unless OTEL_EXPORTER_OTLP_PROTOCOL says grpc; every minute, or as
/// OTEL_METRIC_EXPORT_INTERVAL says in milliseconds. A collector that is not there costs a failed attempt each time and nothing else.
/// The address comes from <c>--otlp</c> alone: what leaves this machine is for the command line to decide.
/// </remarks>
public sealed class OtlpExport : IDisposable
{
    private const int IntervalMsDefault = 60_000;
    private const int LastWordMs = 2000;

    private readonly MeterProvider provider;

    /// <param name="collector">An address that <see cref="TryReadUrl"/> has found good.</param>
    public OtlpExport(Uri collector)
    {
        ArgumentNullException.ThrowIfNull(collector);
        bool isGrpc = Environment.GetEnvironmentVariable("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc";
        // The address of a collector alone; its specification puts metrics here.
        Uri endpoint = !isGrpc && collector.AbsolutePath is "" or "/" ? new Uri(collector, "/v1/metrics") : collector;
        provider = Sdk.CreateMeterProviderBuilder()
            .SetResourceBuilder(ResourceBuilder.CreateDefault().AddService("agent-service"))
            .AddMeter(MetricCatalog.MeterName)
            .AddOtlpExporter((exporter, reader) =>
            {
                exporter.Endpoint = endpoint;
                exporter.Protocol = isGrpc ? OtlpExportProtocol.Grpc : OtlpExportProtocol.HttpProtobuf;
                reader.PeriodicExportingMetricReaderOptions.ExportIntervalMilliseconds = IntervalMs();
            })
            .Build();
    }

    /// <summary>Whether it is an address; a name and password in it would end up in logs.</summary>
    public static bool TryReadUrl(string text, out Uri? collector) =>
        Uri.TryCreate(text, UriKind.Absolute, out collector) && collector.Scheme is "http" or "https" && collector.UserInfo.Length == 0;

    /// <summary>Sends what is new and stops; waits for the collector a few seconds at most.</summary>
    public void Dispose()
    {
        provider.ForceFlush(LastWordMs);
        provider.Dispose();
    }

    private static int IntervalMs()
    {
        string? text = Environment.GetEnvironmentVariable("OTEL_METRIC_EXPORT_INTERVAL");
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int ms) && ms > 0 ? ms : IntervalMsDefault;
    }
}
