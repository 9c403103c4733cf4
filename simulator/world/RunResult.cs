using System.Globalization;
using System.Reflection;
using System.Text.Json;
using Agent.Fleet;
using Agent.Hub;

namespace Agent.World;

/// <summary>One expectation with what was seen.</summary>
public sealed record ExpectationResult(string Text, bool Held, double? Seen);

/// <summary>A stretch of connection of the first device of a fleet, for the swim-lane chart.</summary>
/// <param name="FromMs">CONNACK, ms since the start.</param>
/// <param name="ToMs">Its end; the end of the run when it still stood.</param>
/// <param name="Reason">Why it ended; None when it still stood.</param>
public readonly record struct LaneStretch(long FromMs, long ToMs, Reason Reason);

/// <summary>What a run found about one fleet: all shards together.</summary>
public sealed class FleetResult(FleetPlan plan, SdkModel model, FleetStatistics statistics)
{
    private const double SamePeriodSeconds = 0.9;

    public FleetPlan Plan { get; } = plan;
    public SdkModel Model { get; } = model;
    public FleetStatistics Statistics { get; } = statistics;
    public List<TimelineEntry> Timeline { get; } = [];
    public List<LaneStretch> Lane { get; } = [];

    /// <summary>Adds the shards of a run up, fleet by fleet.</summary>
    public static List<FleetResult> Merge(IReadOnlyList<IReadOnlyList<FleetRun>> shards)
    {
        var fleets = new List<FleetResult>();
        for (int i = 0; i < shards[0].Count; i++)
        {
            FleetRun first = shards[0][i];
            var result = new FleetResult(first.Plan, first.Model, first.Statistics);
            result.Lane.AddRange(first.Lane);
            result.Timeline.AddRange(shards.SelectMany(shard => shard[i].Timeline)
                .OrderBy(entry => entry.AtMs).ThenBy(entry => entry.Device));
            foreach (IReadOnlyList<FleetRun> other in shards.Skip(1))
            {
                result.Statistics.Merge(other[i].Statistics);
            }

            fleets.Add(result);
        }

        return fleets;
    }

    public double? PeriodSeconds(double share) => Seconds(Statistics.Periods.Percentile(share));

    public double? GapMs(double share) => Statistics.Gaps.Percentile(share) is { } ms ? Math.Round(ms, 3) : null;

    /// <summary>A figure by its key in the result; null when there is none to be had (no period yet, say).</summary>
    public double? Metric(string name) => name switch
    {
        "devices" => Plan.Count,
        "connects" => Statistics.Connects,
        "renewals" => Statistics.Renewals,
        "drops" => Statistics.Drops,
        "refusals" => Statistics.Refusals,
        "periodMedianSeconds" => PeriodSeconds(0.5),
        "periodP5Seconds" => PeriodSeconds(0.05),
        "periodP95Seconds" => PeriodSeconds(0.95),
        "gapMedianMs" => GapMs(0.5),
        "gapP99Ms" => GapMs(0.99),
        "downSeconds" => Statistics.DownMs / 1000.0,
        "heartbeats" => Statistics.Heartbeats,
        "messagesBilled" => Statistics.MessagesBilled,
        "connectsPerSecondMax" => Statistics.ConnectsPerSecondMax(),
        _ when name.StartsWith("byReason/", StringComparison.Ordinal) =>
            ReasonCounts().FirstOrDefault(pair => pair.Key == name["byReason/".Length..]).Value,
        _ when name.StartsWith("logRecords/", StringComparison.Ordinal) =>
            LogCounts().FirstOrDefault(pair => pair.Key == name["logRecords/".Length..]).Value,
        _ => null,
    };

    public IEnumerable<KeyValuePair<string, long>> ReasonCounts()
    {
        for (int i = 1; i < Statistics.ByReason.Length; i++)
        {
            if (Statistics.ByReason[i] > 0)
            {
                yield return new(((Reason)i).Name(), Statistics.ByReason[i]);
            }
        }
    }

    public IEnumerable<KeyValuePair<string, long>> LogCounts()
    {
        for (int i = 0; i < Statistics.LogRecords.Length; i++)
        {
            if (Statistics.LogRecords[i] > 0)
            {
                yield return new(((LogKind)i).Shape().Key, Statistics.LogRecords[i]);
            }
        }
    }

    /// <summary>
    /// Whether two fleets part for an operator: another period by more than a connection's own gap, another renewal point,
    /// or other kinds of log records.
    /// </summary>
    public bool DiffersFrom(FleetResult other) =>
        Math.Abs((PeriodSeconds(0.5) ?? 0) - (other.PeriodSeconds(0.5) ?? 0)) >= SamePeriodSeconds ||
        Model.RenewalSeconds != other.Model.RenewalSeconds ||
        !LogCounts().Select(pair => pair.Key).SequenceEqual(other.LogCounts().Select(pair => pair.Key));

    private static double? Seconds(double? ms) => ms is { } value ? Math.Round(value / 1000, 3) : null;
}

/// <summary>The result of a run: what <c>--json</c> prints and <c>result.json</c> holds.</summary>
public sealed class RunResult
{
    /// <summary>Figures an expectation may name.</summary>
    public static IReadOnlyList<string> FleetMetrics { get; } =
    [
        "devices", "connects", "renewals", "drops", "refusals", "byReason", "logRecords", "periodMedianSeconds",
        "periodP5Seconds", "periodP95Seconds", "gapMedianMs", "gapP99Ms", "downSeconds", "heartbeats",
        "messagesBilled", "connectsPerSecondMax",
    ];

    public required Scenario Scenario { get; init; }
    public required double WallSeconds { get; init; }
    public required long Events { get; init; }
    public required string EventHash { get; init; }
    public required int Shards { get; init; }
    public required long Bytes { get; init; }

    /// <summary>Most events pending at any moment, each shard's own, and the bytes held for them; 0 on the wire.</summary>
    public (long CountMax, long Bytes) Pending { get; init; }

    public required IReadOnlyList<FleetResult> Fleets { get; init; }
    public required IReadOnlyList<ExpectationResult> Expectations { get; init; }

    /// <summary>What the detectors of the scenario achieved; empty on the wire, where they are not scored.</summary>
    public IReadOnlyList<DetectorResult> Detectors { get; init; } = [];

    /// <summary>Which part of the devices this result is about, 1-based, and of how many; null = all, and not to be merged.</summary>
    public (int Index, int Count)? Shard { get; init; }

    /// <summary>On the wire: how late its driver was for a timer at worst, ms; null in virtual time.</summary>
    public long? LoopLagMaxMs { get; init; }

    /// <summary>True when every expectation held.</summary>
    public bool Passed => Expectations.All(expectation => expectation.Held);

    /// <summary>The commit this build was made from, as far as the build knows.</summary>
    public static string Commit { get; } = FindCommit();

    /// <summary>Compares the expectations of a scenario with what was seen.</summary>
    public static List<ExpectationResult> Check(
        Scenario scenario, IReadOnlyList<FleetResult> fleets, IReadOnlyList<DetectorResult>? detectors = null)
    {
        var results = new List<ExpectationResult>();
        foreach (Expectation expectation in scenario.Expectations)
        {
            if (expectation.Detector is { } kind)
            {
                CheckDetectors(expectation, kind, detectors ?? [], results);
                continue;
            }

            foreach (FleetResult fleet in fleets)
            {
                if (expectation.Fleet is not null && expectation.Fleet != fleet.Plan.Name)
                {
                    continue;
                }

                results.Add(Compare(expectation, fleet.Plan.Name, fleet.Metric(expectation.Metric)));
            }
        }

        return results;
    }

    private static void CheckDetectors(
        Expectation expectation, string kind, IReadOnlyList<DetectorResult> detectors, List<ExpectationResult> results)
    {
        if (detectors.Count == 0)
        {
            results.Add(new($"{kind} {expectation.Metric}: detectors are scored in virtual time only", false, null));
        }

        foreach (DetectorResult detector in detectors.Where(detector => detector.Plan.Kind == kind))
        {
            string name = detector.OptionText.Length == 0 ? kind : $"{kind} ({detector.OptionText})";
            results.Add(Compare(expectation, name, detector.Metric(expectation.Metric)));
        }
    }

    private static ExpectationResult Compare(Expectation expectation, string subject, double? seen)
    {
        bool held = seen is { } value && !(value < expectation.Min) && !(value > expectation.Max);
        return new($"{subject} {expectation.Metric} {Bounds(expectation)}", held, seen);
    }

    /// <summary>Writes the whole result as one JSON document.</summary>
    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("title", Scenario.Title);
        json.WriteNumber("seed", Scenario.Seed);
        json.WriteString("commit", Commit);
        json.WriteString("runFor", TimeSpan.FromMilliseconds(Scenario.RunForMs).ToString("c", CultureInfo.InvariantCulture));
        json.WriteNumber("wallSeconds", Math.Round(WallSeconds, 3));
        json.WriteNumber("events", Events);
        json.WriteString("eventHash", EventHash);
        if (Shard is { } shard)
        {
            json.WriteStartObject("shard");
            json.WriteNumber("index", shard.Index);
            json.WriteNumber("of", shard.Count);
            json.WriteEndObject();
        }

        if (LoopLagMaxMs is { } lagMs)
        {
            json.WriteNumber("loopLagMaxMs", lagMs);
        }

        ResultOptions.Write(json, this);
        json.WriteStartArray("fleets");
        foreach (FleetResult fleet in Fleets)
        {
            WriteFleet(json, fleet, Shard is not null);
        }

        json.WriteEndArray();
        json.WriteStartArray("detectors");
        foreach (DetectorResult detector in Detectors)
        {
            detector.Write(json);
        }

        json.WriteEndArray();
        json.WriteStartArray("expect");
        foreach (ExpectationResult expectation in Expectations)
        {
            json.WriteStartObject();
            json.WriteString("text", expectation.Text);
            json.WriteBoolean("held", expectation.Held);
            WriteNumber(json, "seen", expectation.Seen);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteFleet(Utf8JsonWriter json, FleetResult fleet, bool toBeMerged)
    {
        FleetStatistics statistics = fleet.Statistics;
        json.WriteStartObject();
        json.WriteString("name", fleet.Plan.Name);
        json.WriteString("sdk", fleet.Plan.Sdk);
        json.WriteString("behaviour", fleet.Plan.Behaviour);
        json.WriteNumber("devices", fleet.Plan.Count);
        json.WriteNumber("connects", statistics.Connects);
        json.WriteNumber("renewals", statistics.Renewals);
        json.WriteNumber("drops", statistics.Drops);
        json.WriteNumber("refusals", statistics.Refusals);
        WriteCounts(json, "byReason", fleet.ReasonCounts());
        WriteCounts(json, "logRecords", fleet.LogCounts());
        foreach (string metric in (ReadOnlySpan<string>)
            ["periodMedianSeconds", "periodP5Seconds", "periodP95Seconds", "gapMedianMs", "gapP99Ms"])
        {
            WriteNumber(json, metric, fleet.Metric(metric));
        }

        json.WriteNumber("downSeconds", statistics.DownMs / 1000.0);
        json.WriteNumber("heartbeats", statistics.Heartbeats);
        json.WriteNumber("messagesBilled", statistics.MessagesBilled);
        json.WriteNumber("connectsPerSecondMax", statistics.ConnectsPerSecondMax());
        if (toBeMerged)
        {
            Distributions.Write(json, statistics);
        }

        if (fleet.Plan.Timeline)
        {
            json.WriteStartArray("timeline");
            foreach (TimelineEntry entry in fleet.Timeline)
            {
                WriteTimeline(json, entry);
            }

            json.WriteEndArray();
        }

        json.WriteEndObject();
    }

    private static void WriteTimeline(Utf8JsonWriter json, TimelineEntry entry)
    {
        string name = entry.Event.ToString();
        json.WriteStartObject();
        json.WriteNumber("t", entry.AtMs / 1000.0);
        json.WriteNumber("device", entry.Device);
        json.WriteString("event", char.ToLowerInvariant(name[0]) + name[1..]);
        json.WriteString("by", entry.ByHub ? "hub" : "device");
        switch (entry.Event)
        {
            case Seen.Connect:
                json.WriteNumber("se", entry.Expiry);
                json.WriteBoolean("clean", entry.Clean);
                break;
            case Seen.Connack:
                json.WriteNumber("code", entry.Code);
                break;
            case Seen.Subscribe:
                json.WriteStartArray("topics");
                foreach (string filter in TopicNames.Filters(entry.Topics, "{id}"))
                {
                    json.WriteStringValue(filter);
                }

                json.WriteEndArray();
                break;
        }

        if (entry.Reason != Reason.None)
        {
            json.WriteString("reason", entry.Reason.Name());
        }

        json.WriteEndObject();
    }

    private static void WriteCounts(Utf8JsonWriter json, string name, IEnumerable<KeyValuePair<string, long>> counts)
    {
        json.WriteStartObject(name);
        foreach ((string key, long count) in counts)
        {
            json.WriteNumber(key, count);
        }

        json.WriteEndObject();
    }

    private static void WriteNumber(Utf8JsonWriter json, string name, double? value)
    {
        if (value is { } number)
        {
            json.WriteNumber(name, number);
        }
        else
        {
            json.WriteNull(name);
        }
    }

    private static string Bounds(Expectation expectation) => (expectation.Min, expectation.Max) switch
    {
        ({ } min, { } max) => string.Create(CultureInfo.InvariantCulture, $"between {min} and {max}"),
        ({ } min, null) => string.Create(CultureInfo.InvariantCulture, $"at least {min}"),
        (_, { } max) => string.Create(CultureInfo.InvariantCulture, $"at most {max}"),
        _ => "",
    };

    // The SDK puts the commit behind a plus sign into the informational version.
    private static string FindCommit()
    {
        string version = typeof(RunResult).Assembly
            .GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "";
        int plus = version.IndexOf('+');
        return plus < 0 ? "unknown" : version[(plus + 1)..];
    }
}
