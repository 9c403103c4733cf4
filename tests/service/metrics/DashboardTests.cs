using System.Diagnostics.Metrics;
using System.Text.Json;
using System.Text.RegularExpressions;
using Agent.Service.Metrics;
using Agent.Tests.Hub;

namespace Agent.Tests.Service.Metrics;

/// <summary>The dashboard and the metrics, each held against the other.</summary>
public sealed partial class DashboardTests
{
    private static readonly JsonElement Dashboard = JsonDocument.Parse(
        File.ReadAllText(Path.Combine(HubFolder.Repository(), "service", "grafana", "heartbeats.json"))).RootElement;

    private static IEnumerable<JsonElement> Panels => Dashboard.GetProperty("panels").EnumerateArray();

    private static IEnumerable<string> Expressions => Panels
        .SelectMany(panel => panel.GetProperty("targets").EnumerateArray())
        .Select(target => target.GetProperty("expr").GetString()!);

    // What Prometheus makes of each entry: a histogram is three series.
    private static Dictionary<string, MetricEntry> Series => MetricCatalog.All
        .SelectMany(entry => entry.Kind == MetricKind.Histogram
            ? new[] { "_bucket", "_sum", "_count" }.Select(end => (Name: entry.PrometheusName + end, entry))
            : [(Name: entry.PrometheusName, entry)])
        .ToDictionary(pair => pair.Name, pair => pair.entry);

    [Fact]
    public void Every_metric_the_dashboard_draws_exists_and_every_metric_that_exists_is_drawn()
    {
        HashSet<MetricEntry> drawn = [];
        foreach (string expression in Expressions)
        {
            foreach (Match name in MetricName().Matches(expression))
            {
                Assert.True(Series.TryGetValue(name.Value, out MetricEntry? entry), $"{name.Value} in {expression}");
                drawn.Add(entry!);
            }
        }

        Assert.Empty(MetricCatalog.All.Except(drawn));
    }

    [Fact]
    public void It_splits_and_filters_only_by_labels_that_the_metrics_of_the_expression_have()
    {
        foreach (string expression in Expressions)
        {
            HashSet<string> known = [.. MetricName().Matches(expression).SelectMany(name => Series[name.Value].Labels), "job"];
            _ = expression.Contains("_bucket", StringComparison.Ordinal) && known.Add("le");
            IEnumerable<string> used = Grouping().Matches(expression).SelectMany(match => match.Groups[1].Value.Split(", "))
                .Concat(Filter().Matches(expression).Select(match => match.Groups[1].Value));

            Assert.All(used, label => Assert.Contains(label, known));
        }
    }

    [Fact]
    public void Its_legends_name_only_labels_that_their_expression_keeps()
    {
        foreach (JsonElement target in Panels.SelectMany(panel => panel.GetProperty("targets").EnumerateArray()))
        {
            string expression = target.GetProperty("expr").GetString()!;
            string[] kept = [.. Grouping().Matches(expression).SelectMany(match => match.Groups[1].Value.Split(", "))];

            Assert.All(
                Placeholder().Matches(target.GetProperty("legendFormat").GetString()!),
                match => Assert.Contains(match.Groups[1].Value, kept));
        }
    }

    [Fact]
    public void Counters_are_drawn_as_rates_histograms_as_quantiles_and_brackets_close()
    {
        foreach (string expression in Expressions)
        {
            foreach (Match name in MetricName().Matches(expression))
            {
                string before = expression[..name.Index];
                bool isCumulative = Series[name.Value].Kind != MetricKind.Gauge;
                Assert.Equal(isCumulative, Regex.IsMatch(before, @"\b(rate|increase)\($"));
            }

            Assert.Equal(expression.Count(letter => letter == '('), expression.Count(letter => letter == ')'));
            Assert.Equal(expression.Count(letter => letter == '{'), expression.Count(letter => letter == '}'));
        }
    }

    [Fact]
    public void Panels_have_titles_explanations_and_places_of_their_own()
    {
        Assert.All(Panels, panel =>
        {
            Assert.False(string.IsNullOrWhiteSpace(panel.GetProperty("title").GetString()));
            Assert.EndsWith(".", panel.GetProperty("description").GetString(), StringComparison.Ordinal);
        });
        Assert.Equal(Panels.Count(), Panels.Select(panel => panel.GetProperty("id").GetInt32()).Distinct().Count());
        HashSet<(int, int)> taken = [];
        foreach (JsonElement place in Panels.Select(panel => panel.GetProperty("gridPos")))
        {
            (int x, int y, int w, int h) = (Whole(place, "x"), Whole(place, "y"), Whole(place, "w"), Whole(place, "h"));
            Assert.InRange(x + w, 1, 24);
            for (int i = 0; i < w * h; i++)
            {
                Assert.True(taken.Add((x + (i % w), y + (i / w))));
            }
        }
    }

    [Fact]
    public void Names_are_of_one_style_and_none_is_split_by_device()
    {
        Assert.All(MetricCatalog.All, entry =>
        {
            Assert.Matches("^agent(\\.[a-z_]+)+$", entry.Name);
            Assert.EndsWith(".", entry.Help, StringComparison.Ordinal);
            Assert.DoesNotContain("device", entry.Labels);
        });
        Assert.Equal(MetricCatalog.All.Count, MetricCatalog.All.Select(entry => entry.PrometheusName).Distinct().Count());
        Assert.Equal(
            typeof(MetricCatalog).GetFields().Count(field => field.FieldType == typeof(MetricEntry)), MetricCatalog.All.Count);
        Assert.Equal("agent_facts_applied_total", MetricCatalog.FactsApplied.PrometheusName);
        Assert.Equal("agent_facts_delay_seconds", MetricCatalog.FactsDelay.PrometheusName);
        Assert.Equal("agent_store_size_bytes", MetricCatalog.StoreSize.PrometheusName);
    }

    [Fact]
    public void Instruments_carry_name_unit_and_help_of_the_catalogue_and_refuse_another_kind()
    {
        using var meter = new ServiceMeter();
        Counter<long> counter = meter.Counter(MetricCatalog.AlarmsRaised);
        Histogram<double> histogram = meter.Histogram(MetricCatalog.SweepDuration);
        meter.Observe(MetricCatalog.Devices, () => [new Measurement<long>(7, new KeyValuePair<string, object?>("status", "silent"))]);
        long seen = 0;
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, all) =>
        {
            if (instrument.Meter == counter.Meter)
            {
                all.EnableMeasurementEvents(instrument);
            }
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, _, _) => seen += instrument.Name == "agent.devices" ? value : 0);
        listener.Start();
        listener.RecordObservableInstruments();

        Assert.Equal(7, seen);
        Assert.Equal(("Agent.Service", "agent.alarms.raised", "{alarm}"), (counter.Meter.Name, counter.Name, counter.Unit));
        Assert.Equal("s", histogram.Unit);
        Assert.Throws<ArgumentException>(() => meter.Counter(MetricCatalog.Devices));
        Assert.Throws<ArgumentException>(() => meter.Observe(MetricCatalog.SweepDuration, () => []));
    }

    private static int Whole(JsonElement parent, string name) => parent.GetProperty(name).GetInt32();

    [GeneratedRegex(@"\bagent_[a-z_]+")]
    private static partial Regex MetricName();

    [GeneratedRegex(@"by \(([^)]*)\)")]
    private static partial Regex Grouping();

    [GeneratedRegex(@"[{,]([a-z_]+)(?:=~|!~|!=|=)")]
    private static partial Regex Filter();

    [GeneratedRegex(@"\{\{([a-z_]+)\}\}")]
    private static partial Regex Placeholder();
}
