namespace Agent.Service.Metrics;

/// <summary>How a metric is taken.</summary>
public enum MetricKind : byte
{
    /// <summary>Only rises.</summary>
    Counter,

    /// <summary>Is asked for its value whenever metrics are collected.</summary>
    Gauge,

    /// <summary>A value each time something happens.</summary>
    Histogram,
}

/// <summary>One metric of the checker.</summary>
/// <param name="Name">As OpenTelemetry names it, dots between.</param>
/// <param name="Kind">How it is taken.</param>
/// <param name="Unit">UCUM: <c>s</c>, <c>By</c>, or a word in braces for things that are counted.</param>
/// <param name="Help">A sentence for whoever meets it on a dashboard.</param>
/// <param name="Labels">What it is split by; every one has few values.</param>
public sealed record MetricEntry(string Name, MetricKind Kind, string Unit, string Help, params string[] Labels)
{
    /// <summary>
    /// The name under which Prometheus knows it: dots become underscores, then the unit, then <c>_total</c> for a counter.
    /// </summary>
    /// <remarks>The rule of OpenTelemetry's Prometheus exporters and of Prometheus' own OTLP receiver with its defaults.</remarks>
    public string PrometheusName
    {
        get
        {
            string name = Name.Replace('.', '_');
            string unit = Unit switch { "s" => "_seconds", "By" => "_bytes", _ => "" };
            name += name.EndsWith(unit, StringComparison.Ordinal) ? "" : unit;
            return Kind == MetricKind.Counter ? name + "_total" : name;
        }
    }
}

/// <summary>
/// Every metric the checker has, in one place: the program takes them, the dashboard draws them, a test compares the two.
/// </summary>
/// <remarks>
/// No metric is split by device: a hundred thousand devices would be a hundred thousand series each. Whoever wants one device asks
/// <c>GET /devices/{id}</c>.
/// </remarks>
public static class MetricCatalog
{
    /// <summary>Name of the meter, to be given to <c>AddMeter</c>.</summary>
    public const string MeterName = "Agent.Service";

    public static readonly MetricEntry Devices = new(
        "agent.devices", MetricKind.Gauge, "{device}", "Devices by what the checker says about them.", "status");

    public static readonly MetricEntry FactsApplied = new(
        "agent.facts.applied", MetricKind.Counter, "{fact}",
        "Facts taken in: heartbeats, other telemetry, connection and lifecycle events, log records.", "kind");

    public static readonly MetricEntry FactsRefused = new(
        "agent.facts.refused", MetricKind.Counter, "{fact}", "Facts that made no sense, or came from the future.", "reason");

    public static readonly MetricEntry FactsDelay = new(
        "agent.facts.delay", MetricKind.Histogram, "s", "From the hub's stamp on a fact to its arrival here.", "kind");

    public static readonly MetricEntry RequestsRefused = new(
        "agent.requests.refused", MetricKind.Counter, "{request}", "Requests answered with 4xx or 503, by status.", "status");

    public static readonly MetricEntry SweepDuration = new(
        "agent.sweep.duration", MetricKind.Histogram, "s", "Time one look at what is due takes.");

    public static readonly MetricEntry Doubt = new(
        "agent.doubt", MetricKind.Gauge, "{state}", "1 while the checker stood still or gets its facts late, and declares nobody silent.");

    public static readonly MetricEntry RenewalsAhead = new(
        "agent.renewals.ahead", MetricKind.Gauge, "{device}", "Most renewals announced for any ten seconds of the next hour.");

    public static readonly MetricEntry AlarmsOpen = new(
        "agent.alarms.open", MetricKind.Gauge, "{alarm}", "Alarms that are open.", "kind");

    public static readonly MetricEntry AlarmsRaised = new(
        "agent.alarms.raised", MetricKind.Counter, "{alarm}", "Alarms raised.", "kind");

    public static readonly MetricEntry AlarmsCleared = new(
        "agent.alarms.cleared", MetricKind.Counter, "{alarm}", "Alarms cleared.", "kind");

    public static readonly MetricEntry AlarmsLateness = new(
        "agent.alarms.lateness", MetricKind.Histogram, "s", "From a device's deadline to the alarm that says it has passed.");

    public static readonly MetricEntry NoticesWaiting = new(
        "agent.notices.waiting", MetricKind.Gauge, "{notice}",
        "Episodes of which a destination has not been told everything yet.", "destination");

    public static readonly MetricEntry NoticesPosted = new(
        "agent.notices.posted", MetricKind.Counter, "{attempt}",
        "Attempts to tell a destination, by how they went.", "destination", "outcome");

    public static readonly MetricEntry NoticesGivenUp = new(
        "agent.notices.given_up", MetricKind.Counter, "{notice}", "Notices that will not be tried again. Should stay 0.", "destination");

    public static readonly MetricEntry NoticesOverflown = new(
        "agent.notices.overflown", MetricKind.Counter, "{notice}",
        "Episodes nobody is told of because the outbox was full. Should stay 0.");

    public static readonly MetricEntry StoreWriteDuration = new(
        "agent.store.write.duration", MetricKind.Histogram, "s", "Time until a batch of facts is safe.");

    public static readonly MetricEntry StoreSize = new(
        "agent.store.size", MetricKind.Gauge, "By", "What the store takes up on disk.");

    /// <summary>All of them.</summary>
    public static IReadOnlyList<MetricEntry> All { get; } =
    [
        Devices, FactsApplied, FactsRefused, FactsDelay, RequestsRefused, SweepDuration, Doubt, RenewalsAhead,
        AlarmsOpen, AlarmsRaised, AlarmsCleared, AlarmsLateness,
        NoticesWaiting, NoticesPosted, NoticesGivenUp, NoticesOverflown, StoreWriteDuration, StoreSize,
    ];
}
