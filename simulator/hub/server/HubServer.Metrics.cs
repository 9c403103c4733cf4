using Agent.Wire;

namespace Agent.Hub;

// The hub's figures. What is counted is counted where it happens; a timer tells the metrics the time and looks at the standing
// figures.
public sealed partial class HubServer
{
    private static readonly TimeSpan MetricsEvery = TimeSpan.FromSeconds(1);

    /// <summary>Standing figures are looked at this often, so a minute holds six looks; how often the cloud does is not known.</summary>
    private static readonly TimeSpan LevelsEvery = TimeSpan.FromSeconds(10);

    private readonly ITimer metricsTimer;
    private readonly ConnectionStateView states;
    private long nextLevelsMs;

    /// <summary>The hub's platform metrics. <see cref="AdvanceMetrics"/> before reading makes them current.</summary>
    public HubMetrics Metrics { get; }

    /// <summary>Gathers what has been counted until now.</summary>
    public void AdvanceMetrics() => Metrics.Advance(UtcMs());

    private void OnMetricsTimer()
    {
        AdvanceMetrics();
        if (time.NowMs() < nextLevelsMs)
        {
            return;
        }

        nextLevelsMs = time.NowMs() + (long)LevelsEvery.TotalMilliseconds;
        Metrics.Observe(HubMetric.ConnectedDeviceCount, ConnectedCount);
        Metrics.Observe(HubMetric.TotalDeviceCount, Registry.IdentityCount);
        Metrics.Observe(HubMetric.DailyMessageQuotaUsed, quota.Used(UtcMs()));
    }

    /// <summary>A message has been taken from a device. There is one route, the fallback to the built-in endpoint.</summary>
    private void CountTelemetry(Device device, long utcMs, int bytes)
    {
        Metrics.Count(HubMetric.TelemetrySuccess);
        Metrics.Count(HubMetric.TelemetryEgressSuccess);
        Metrics.Count(HubMetric.TelemetryEgressFallback);
        Metrics.Measure(HubMetric.DeviceDataUsage, bytes);
        states.OnActivity(device.Index, utcMs);
    }

    /// <summary>A cloud-to-device message has left its queue.</summary>
    private void CountCommand(CommandEnd end)
    {
        switch (end)
        {
            case CommandEnd.Success:
                Metrics.Count(HubMetric.CommandsCompleted);
                break;
            case CommandEnd.Expired:
                Metrics.Count(HubMetric.CommandsExpired);
                break;
            case CommandEnd.Rejected:
                Metrics.Count(HubMetric.CommandsRejected);
                break;
        }
    }

    /// <summary>A direct method is over: counted, and charged for request and response (facts/iothub.md §6).</summary>
    private MethodOutcome CountMethod(MethodRequest request, MethodOutcome outcome)
    {
        Metrics.Count(outcome.Error is null ? HubMetric.MethodSuccess : HubMetric.MethodFailure);
        if (outcome.Error is null)
        {
            Metrics.Measure(HubMetric.MethodRequestSize, request.Payload.Length);
            Metrics.Measure(HubMetric.MethodResponseSize, outcome.Payload.Length);
        }

        quota.Charge(UtcMs(), quota.MessagesOfMethod(request.Payload.Length, outcome.Payload.Length));
        return outcome;
    }

    /// <summary>Under the hub's gate: a record tells what became of the connection.</summary>
    private void NoteState(int device, LogKind kind)
    {
        if (kind == LogKind.Connect)
        {
            states.OnChange(device, UtcMs(), isConnected: true);
        }
        else if (kind < LogKind.ConnectUnauthorized)
        {
            states.OnChange(device, UtcMs(), isConnected: false);
        }
    }
}
