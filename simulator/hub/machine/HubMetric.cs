namespace Agent.Hub;

/// <summary>The platform metrics of an IoT hub that this one has something to say about (facts/iothub.md §3).</summary>
public enum HubMetric
{
    ConnectedDeviceCount,
    TotalDeviceCount,
    DailyMessageQuotaUsed,
    DeviceDataUsage,
    TelemetryAttempts,
    TelemetrySuccess,
    TelemetryThrottled,
    TelemetryEgressSuccess,
    TelemetryEgressFallback,
    TelemetryEgressDropped,
    TelemetryEgressOrphaned,
    TelemetryEgressInvalid,
    CommandsCompleted,
    CommandsAbandoned,
    CommandsRejected,
    CommandsExpired,
    MethodSuccess,
    MethodFailure,
    MethodRequestSize,
    MethodResponseSize,
    DeviceTwinReadSuccess,
    DeviceTwinReadFailure,
    DeviceTwinReadSize,
    DeviceTwinUpdateSuccess,
    DeviceTwinUpdateFailure,
    DeviceTwinUpdateSize,
    ServiceTwinReadSuccess,
    ServiceTwinReadFailure,
    ServiceTwinReadSize,
    ServiceTwinUpdateSuccess,
    ServiceTwinUpdateFailure,
    ServiceTwinUpdateSize,
    QuerySuccess,
    QueryFailure,
    QueryResultSize,
}

/// <summary>How a metric comes about, which decides what can be asked of it (facts/iothub.md §3).</summary>
public enum HubMetricKind : byte
{
    /// <summary>A 1 for each operation: only the total means something, minimum, maximum and average are always 1.</summary>
    SinglePoint,

    /// <summary>A standing figure, looked at now and then: average, minimum and maximum, no total.</summary>
    Snapshot,

    /// <summary>Bytes of each operation: all aggregations.</summary>
    Size,
}

/// <summary>One row of the vendor's table of supported metrics.</summary>
/// <param name="Name">As the REST interface and the exporters spell it.</param>
/// <param name="Label">As the portal shows it.</param>
/// <param name="Kind">What can be asked of it.</param>
/// <param name="Description">In our words.</param>
public sealed record HubMetricShape(string Name, string Label, HubMetricKind Kind, string Description)
{
    /// <summary><c>Count</c> or <c>Bytes</c>.</summary>
    public string Unit => Kind == HubMetricKind.Size ? "Bytes" : "Count";

    /// <summary>What is answered when nothing particular is asked for.</summary>
    public string DefaultAggregation => Kind == HubMetricKind.Snapshot ? "average" : "total";
}

/// <summary>The table behind <see cref="HubMetric"/>. The grain of all of them is a minute (PT1M), and none has dimensions.</summary>
public static class HubMetricTable
{
    private const HubMetricKind Point = HubMetricKind.SinglePoint;
    private const HubMetricKind Level = HubMetricKind.Snapshot;
    private const HubMetricKind Size = HubMetricKind.Size;

    private static readonly HubMetricShape[] Shapes =
    [
        new("connectedDeviceCount", "Connected devices", Level, "Devices connected to the hub"),
        new("totalDeviceCount", "Total devices", Level, "Devices registered with the hub"),
        new("dailyMessageQuotaUsed", "Total number of messages used", Level, "Messages charged since 00:00 UTC"),
        new("deviceDataUsage", "Total device data usage", Size, "Bytes of messages between devices and hub"),
        new("d2c.telemetry.ingress.allProtocol", "Telemetry message send attempts", Point, "Messages devices tried to send"),
        new("d2c.telemetry.ingress.success", "Telemetry messages sent", Point, "Messages the hub took from devices"),
        new("d2c.telemetry.ingress.sendThrottle", "Number of throttling errors", Point, "Messages turned away by the send throttle"),
        new("d2c.telemetry.egress.success", "Routing: telemetry messages delivered", Point, "Deliveries of messages to endpoints"),
        new("d2c.telemetry.egress.fallback", "Routing: messages delivered to fallback", Point, "Deliveries by the fallback route"),
        new("d2c.telemetry.egress.dropped", "Routing: telemetry messages dropped", Point, "Messages lost to dead endpoints"),
        new("d2c.telemetry.egress.orphaned", "Routing: telemetry messages orphaned", Point, "Messages that no route wanted"),
        new("d2c.telemetry.egress.invalid", "Routing: telemetry messages incompatible", Point, "Messages an endpoint cannot take"),
        new("c2d.commands.egress.complete.success", "C2D message deliveries completed", Point, "Messages devices completed"),
        new("c2d.commands.egress.abandon.success", "C2D messages abandoned", Point, "Messages devices abandoned"),
        new("c2d.commands.egress.reject.success", "C2D messages rejected", Point, "Messages devices rejected"),
        new("C2DMessagesExpired", "C2D Messages Expired", Point, "Cloud-to-device messages whose time was up"),
        new("c2d.methods.success", "Successful direct method invocations", Point, "Direct methods that a device answered"),
        new("c2d.methods.failure", "Failed direct method invocations", Point, "Direct methods without a device's answer"),
        new("c2d.methods.requestSize", "Request size of direct method invocations", Size, "Payloads of answered direct methods"),
        new("c2d.methods.responseSize", "Response size of direct method invocations", Size, "Payloads of devices' answers"),
        new("d2c.twin.read.success", "Successful twin reads from devices", Point, "Twins that devices read"),
        new("d2c.twin.read.failure", "Failed twin reads from devices", Point, "Reads by devices that failed"),
        new("d2c.twin.read.size", "Response size of twin reads from devices", Size, "Twins as devices read them"),
        new("d2c.twin.update.success", "Successful twin updates from devices", Point, "Reported properties taken"),
        new("d2c.twin.update.failure", "Failed twin updates from devices", Point, "Reported properties turned away"),
        new("d2c.twin.update.size", "Size of twin updates from devices", Size, "Reported properties as they came"),
        new("c2d.twin.read.success", "Successful twin reads from back end", Point, "Twins that services read"),
        new("c2d.twin.read.failure", "Failed twin reads from back end", Point, "Reads by services that failed"),
        new("c2d.twin.read.size", "Response size of twin reads from back end", Size, "Twins as services read them"),
        new("c2d.twin.update.success", "Successful twin updates from back end", Point, "Changes of twins by services"),
        new("c2d.twin.update.failure", "Failed twin updates from back end", Point, "Changes by services that failed"),
        new("c2d.twin.update.size", "Size of twin updates from back end", Size, "Changes by services as they came"),
        new("twinQueries.success", "Successful twin queries", Point, "Twin queries answered"),
        new("twinQueries.failure", "Failed twin queries", Point, "Twin queries turned away"),
        new("twinQueries.resultSize", "Twin queries result size", Size, "Results of twin queries"),
    ];

    /// <summary>How many there are.</summary>
    public static int Count => Shapes.Length;

    /// <summary>Name, unit and kind of a metric.</summary>
    public static HubMetricShape Shape(this HubMetric metric) => Shapes[(int)metric];

    /// <summary>Finds a metric by its name; case does not matter.</summary>
    public static bool TryFind(ReadOnlySpan<char> name, out HubMetric metric)
    {
        for (int i = 0; i < Shapes.Length; i++)
        {
            if (name.Equals(Shapes[i].Name, StringComparison.OrdinalIgnoreCase))
            {
                metric = (HubMetric)i;
                return true;
            }
        }

        metric = default;
        return false;
    }
}
