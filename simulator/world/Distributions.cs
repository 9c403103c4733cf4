using System.Text.Json;

namespace Agent.World;

/// <summary>
/// Writes the <c>distributions</c> of a fleet, which a result has only when it is one shard's and others are to be added to
/// it: <c>periodsMs</c>, <c>gapsMs</c> (value, how often) and <c>connectsBySecond</c> (second of the run, CONNECT packets),
/// each a list of pairs.
/// </summary>
internal static class Distributions
{
    public static void Write(Utf8JsonWriter json, FleetStatistics statistics)
    {
        json.WriteStartObject("distributions");
        WritePairs(json, "periodsMs", Of(statistics.Periods));
        WritePairs(json, "gapsMs", Of(statistics.Gaps));
        WritePairs(
            json, "connectsBySecond", statistics.ConnectSeconds().Select(pair => ((long)pair.Second, (long)pair.Count)));
        json.WriteEndObject();
    }

    private static IEnumerable<(long Value, long Count)> Of(Histogram histogram) =>
        histogram.Buckets().Select(bucket => ((long)Math.Round(bucket.MeanMs), bucket.Count));

    private static void WritePairs(Utf8JsonWriter json, string name, IEnumerable<(long Value, long Count)> pairs)
    {
        json.WriteStartArray(name);
        foreach ((long value, long count) in pairs)
        {
            json.WriteStartArray();
            json.WriteNumberValue(value);
            json.WriteNumberValue(count);
            json.WriteEndArray();
        }

        json.WriteEndArray();
    }
}
