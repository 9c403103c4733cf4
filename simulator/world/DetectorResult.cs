using System.Globalization;
using System.Text.Json;

namespace Agent.World;

/// <summary>What one detector achieved in a run: all shards together.</summary>
public sealed class DetectorResult
{
    /// <summary>Figures an expectation may name.</summary>
    public static IReadOnlyList<string> Metrics { get; } =
    [
        "outages", "detected", "missed", "falseAlarms", "latenessP50Seconds", "latenessP99Seconds",
        "messagesPerDeviceDay", "costPerThousandDevicesMonthUsd", "flaps", "flapsDetected", "detectedAfterEnd",
        "falseAlarmsPerDeviceYear",
    ];

    public required DetectorPlan Plan { get; init; }

    /// <summary>Outages there were, flaps included.</summary>
    public required long Outages { get; init; }

    /// <summary>Those of them that lasted less than a minute.</summary>
    public required long Flaps { get; init; }

    public required long Detected { get; init; }

    public required long FlapsDetected { get; init; }

    /// <summary>Those that were over when the alarm came.</summary>
    public required long DetectedAfterEnd { get; init; }

    public required long FalseAlarms { get; init; }

    /// <summary>Length of the run times devices, years of 365 days.</summary>
    public required double DeviceYears { get; init; }

    /// <summary>From the beginning of an outage to its alarm.</summary>
    public required Histogram Lateness { get; init; }

    /// <summary>What it uses in a day.</summary>
    public required DetectorUse Use { get; init; }

    /// <summary>Messages of the hub's quota that this detector takes.</summary>
    public required double MessagesPerDeviceDay { get; init; }

    /// <summary>US dollars a month for a thousand devices on the scenario's tier; null = the tier cannot do it.</summary>
    public required double? CostUsd { get; init; }

    /// <summary>The same on every tier.</summary>
    public required IReadOnlyList<KeyValuePair<string, double?>> CostByTierUsd { get; init; }

    public long Missed => Outages - Detected;

    public double FalseAlarmsPerDeviceYear => Math.Round(FalseAlarms / DeviceYears, 6);

    /// <summary>Lateness below which the given share of the detected outages lies; null when none was detected.</summary>
    public double? LatenessSeconds(double share) => Lateness.Percentile(share) is { } ms ? Math.Round(ms / 1000, 3) : null;

    /// <summary>The option in force, as a scenario would write it; empty = it has none.</summary>
    public string OptionText => Option(Plan) is { } option
        ? string.Create(CultureInfo.InvariantCulture, $"{option.Name} {option.Value}")
        : "";

    /// <summary>A figure by its key in the result; null when there is none to be had.</summary>
    public double? Metric(string name) => name switch
    {
        "outages" => Outages,
        "detected" => Detected,
        "missed" => Missed,
        "falseAlarms" => FalseAlarms,
        "latenessP50Seconds" => LatenessSeconds(0.5),
        "latenessP99Seconds" => LatenessSeconds(0.99),
        "messagesPerDeviceDay" => Math.Round(MessagesPerDeviceDay, 3),
        "costPerThousandDevicesMonthUsd" => Rounded(CostUsd),
        "flaps" => Flaps,
        "flapsDetected" => FlapsDetected,
        "detectedAfterEnd" => DetectedAfterEnd,
        "falseAlarmsPerDeviceYear" => FalseAlarmsPerDeviceYear,
        _ => null,
    };

    /// <summary>Writes one entry of <c>detectors</c>.</summary>
    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("kind", Plan.Kind);
        json.WriteStartObject("options");
        if (Option(Plan) is { } option)
        {
            json.WritePropertyName(option.Name);
            if (option.Value is string text)
            {
                json.WriteStringValue(text);
            }
            else
            {
                json.WriteNumberValue(Convert.ToDouble(option.Value, CultureInfo.InvariantCulture));
            }
        }

        json.WriteEndObject();
        foreach (string name in Metrics)
        {
            WriteNumber(json, name, Metric(name));
        }

        json.WriteStartObject("costByTierUsd");
        foreach ((string tier, double? usd) in CostByTierUsd)
        {
            WriteNumber(json, tier, Rounded(usd));
        }

        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static double? Rounded(double? usd) => usd is { } value ? Math.Round(value, 2) : null;

    private static (string Name, object Value)? Option(DetectorPlan plan) => plan.Kind switch
    {
        "heartbeat" => ("missed", plan.Missed),
        "eventGrid" or "connectionsLog" => ("debounce", Text(plan.DebounceMs)),
        "connectedDevices" => ("below", plan.Below),
        "shortExpiry" => ("ttl", Text(plan.TtlMs)),
        _ => null,
    };

    private static string Text(long ms) => TimeSpan.FromMilliseconds(ms).ToString("c", CultureInfo.InvariantCulture);

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
}
