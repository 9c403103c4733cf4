using System.Diagnostics.Metrics;
using System.Text.Json;
using Agent.Service.Alarms;

namespace Agent.Service.Metrics;

/// <summary>Takes the measurements of the catalogue from the parts of the running service.</summary>
/// <remarks>
/// It is there only when somebody collects: the loop's events have no listener otherwise, and a heartbeat costs no more than before.
/// Standing figures are asked for when they are collected, in a turn of the checker; what happens is counted where it happens.
/// </remarks>
public sealed class ServiceMetrics : IDisposable
{
    private static readonly string[] FactNames = [.. Enum.GetNames<FactKind>().Select(JsonNamingPolicy.CamelCase.ConvertName)];

    private readonly ServiceMeter meter = new();
    private readonly CheckLoop loop;
    private readonly Counter<long> applied;
    private readonly Counter<long> refused;
    private readonly Counter<long> requestsRefused;
    private readonly Counter<long> raised;
    private readonly Counter<long> cleared;
    private readonly Counter<long> posted;
    private readonly Counter<long> givenUp;
    private readonly Histogram<double> delay;
    private readonly Histogram<double> lateness;
    private readonly OtlpExport? export;

    /// <param name="loop">The checker.</param>
    /// <param name="dispatch">Who tells of alarms; null = nobody does.</param>
    /// <param name="folder">What <c>agent.store.size</c> weighs; null = nothing is kept.</param>
    /// <param name="collector">Where to send what is measured; null = whoever listens in this process.</param>
    public ServiceMetrics(CheckLoop loop, AlarmDispatch? dispatch, string? folder, Uri? collector)
    {
        ArgumentNullException.ThrowIfNull(loop);
        this.loop = loop;
        applied = meter.Counter(MetricCatalog.FactsApplied);
        refused = meter.Counter(MetricCatalog.FactsRefused);
        requestsRefused = meter.Counter(MetricCatalog.RequestsRefused);
        raised = meter.Counter(MetricCatalog.AlarmsRaised);
        cleared = meter.Counter(MetricCatalog.AlarmsCleared);
        posted = meter.Counter(MetricCatalog.NoticesPosted);
        givenUp = meter.Counter(MetricCatalog.NoticesGivenUp);
        delay = meter.Histogram(MetricCatalog.FactsDelay);
        lateness = meter.Histogram(MetricCatalog.AlarmsLateness);
        Histogram<double> sweep = meter.Histogram(MetricCatalog.SweepDuration);
        Histogram<double> write = meter.Histogram(MetricCatalog.StoreWriteDuration);
        loop.Swept += took => sweep.Record(took.TotalSeconds);
        loop.Kept += took => write.Record(took.TotalSeconds);
        loop.FactsTaken += OnFacts;
        loop.AlarmChanged += OnAlarm;
        ObserveChecker();
        if (folder is not null)
        {
            meter.Observe(MetricCatalog.StoreSize, () => [new(SizeOf(folder))]);
        }

        if (dispatch is not null)
        {
            ObserveDispatch(dispatch);
        }

        export = collector is null ? null : new OtlpExport(collector);
    }

    /// <summary>Counts facts that were not taken in.</summary>
    /// <param name="reason">Why, in one word of few.</param>
    /// <param name="facts">How many.</param>
    public void OnRefused(string reason, int facts)
    {
        if (facts > 0)
        {
            refused.Add(facts, new KeyValuePair<string, object?>("reason", reason));
        }
    }

    /// <summary>Counts requests that are answered with 4xx or 5xx.</summary>
    public async Task CountAsync(HttpContext context, RequestDelegate next)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(next);
        await next(context);
        if (context.Response.StatusCode >= StatusCodes.Status400BadRequest)
        {
            requestsRefused.Add(1, new KeyValuePair<string, object?>("status", context.Response.StatusCode));
        }
    }

    /// <summary>Sends what is new and ends.</summary>
    public void Dispose()
    {
        export?.Dispose();
        meter.Dispose();
    }

    private void ObserveChecker()
    {
        meter.Observe(MetricCatalog.Devices, () => loop.Ask((checker, _) => Enum.GetValues<Status>()
            .Select(status => Of(checker.CountOf(status), "status", DeviceText.StatusNames[(int)status])).ToArray()));
        meter.Observe(MetricCatalog.Doubt, () => loop.Ask((checker, nowMs) => new[]
        {
            new Measurement<long>(checker.Doubt.DelayMs > 0 || checker.Doubt.HeldUntilMs > nowMs ? 1 : 0),
        }));
        meter.Observe(MetricCatalog.RenewalsAhead, () => loop.Ask((checker, _) => new[]
        {
            new Measurement<long>(checker.Forecast.Peak(Checker.StormAheadMs).Devices),
        }));
        meter.Observe(MetricCatalog.AlarmsOpen, () => loop.Ask((checker, _) => Enum.GetValues<AlarmKind>()
            .Select(kind => Of(checker.Alarms.Open.Count(alarm => alarm.Kind == kind), "kind", NameOf(kind))).ToArray()));
    }

    private void ObserveDispatch(AlarmDispatch dispatch)
    {
        meter.Observe(MetricCatalog.NoticesWaiting, () => dispatch.Destinations
            .Select(each => Of(dispatch.Waiting(each.Name), "destination", each.Name)).ToArray());
        meter.Observe(MetricCatalog.NoticesOverflown, () => [new(dispatch.Overflown)]);
        dispatch.Posted += note =>
        {
            var destination = new KeyValuePair<string, object?>("destination", note.Destination);
            posted.Add(1, destination, new("outcome", JsonNamingPolicy.CamelCase.ConvertName(note.Outcome.ToString())));
            if (note.IsGivenUp)
            {
                givenUp.Add(1, destination);
            }
        };
    }

    private void OnFacts(FactBatch batch, long nowMs)
    {
        Span<long> counts = stackalloc long[FactNames.Length];
        foreach (ref readonly Fact fact in batch.Facts)
        {
            counts[(int)fact.Kind]++;
            delay.Record(Math.Max(0, nowMs - fact.AtMs) / 1000.0, new KeyValuePair<string, object?>("kind", FactNames[(int)fact.Kind]));
        }

        for (int kind = 0; kind < counts.Length; kind++)
        {
            if (counts[kind] > 0)
            {
                applied.Add(counts[kind], new KeyValuePair<string, object?>("kind", FactNames[kind]));
            }
        }
    }

    private void OnAlarm(Alarm alarm)
    {
        (alarm.ClearedAtMs is null ? raised : cleared).Add(1, new KeyValuePair<string, object?>("kind", NameOf(alarm.Kind)));
        if (alarm is { ClearedAtMs: null, Kind: AlarmKind.DeviceSilent })
        {
            lateness.Record(Math.Max(0, alarm.RaisedAtMs - alarm.BeganAtMs) / 1000.0);
        }
    }

    private static string NameOf(AlarmKind kind) => AlarmText.KindNames[(int)kind];

    private static Measurement<long> Of(long value, string label, string name) =>
        new(value, new KeyValuePair<string, object?>(label, name));

    // A file that goes away while it is weighed weighs nothing.
    private static long SizeOf(string folder)
    {
        try
        {
            return new DirectoryInfo(folder).EnumerateFiles().Sum(file => file.Length);
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }
}
