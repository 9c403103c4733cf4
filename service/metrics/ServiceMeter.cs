using System.Diagnostics.Metrics;

namespace Agent.Service.Metrics;

/// <summary>Makes the instruments of the catalogue, so that no name, unit or help text is written twice.</summary>
public sealed class ServiceMeter : IDisposable
{
    private readonly Meter meter = new(MetricCatalog.MeterName);

    /// <summary>A counter; pass the labels of its entry with each addition.</summary>
    public Counter<long> Counter(MetricEntry entry) =>
        meter.CreateCounter<long>(Checked(entry, MetricKind.Counter).Name, entry.Unit, entry.Help);

    /// <summary>A histogram.</summary>
    public Histogram<double> Histogram(MetricEntry entry) =>
        meter.CreateHistogram<double>(Checked(entry, MetricKind.Histogram).Name, entry.Unit, entry.Help);

    /// <summary>A gauge or a counter kept elsewhere, asked whenever metrics are collected; from any thread.</summary>
    public void Observe(MetricEntry entry, Func<IEnumerable<Measurement<long>>> ask)
    {
        if (entry.Kind == MetricKind.Counter)
        {
            meter.CreateObservableCounter(entry.Name, ask, entry.Unit, entry.Help);
        }
        else
        {
            meter.CreateObservableGauge(Checked(entry, MetricKind.Gauge).Name, ask, entry.Unit, entry.Help);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => meter.Dispose();

    private static MetricEntry Checked(MetricEntry entry, MetricKind kind) => entry.Kind == kind
        ? entry
        : throw new ArgumentException($"{entry.Name} is a {entry.Kind}, not a {kind}", nameof(entry));
}
