using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Agent.Input;
using Agent.World;

namespace Agent.Cli;

// A fleet too large for one process is driven by several; each writes a result of its own, and a person wants one. Counters
// are sums. Percentiles are not, so a shard's result carries its distributions (the extra key of each fleet) and they are
// merged before the percentile is taken. Devices of different shards never meet, so nothing else is lost.

/// <summary><c>merge RESULT…</c>: adds the results of shards up.</summary>
public static class MergeVerb
{
    private static readonly string[] Sums =
        ["connects", "renewals", "drops", "refusals", "downSeconds", "heartbeats", "messagesBilled"];

    private static readonly string[] Maps = ["byReason", "logRecords"];

    /// <summary>Reads, adds, prints; returns the exit code.</summary>
    public static int Run(string[] paths, bool json)
    {
        JsonObject merged = Merge([.. paths.Select(path => (path, Read(path)))]);
        if (json)
        {
            JsonOutput.Print(writer => merged.WriteTo(writer));
            return ExitCode.Done;
        }

        foreach (JsonNode? fleet in merged["fleets"]!.AsArray())
        {
            Console.WriteLine($"{fleet!["name"]} ({fleet["sdk"]}), {fleet["devices"]} devices");
            foreach (string key in (IEnumerable<string>)
                [.. Sums, "periodMedianSeconds", "periodP5Seconds", "periodP95Seconds", "gapMedianMs", "gapP99Ms", "connectsPerSecondMax"])
            {
                Console.WriteLine($"  {key,-22} {fleet[key]?.ToString() ?? "-"}");
            }
        }

        Console.WriteLine($"{paths.Length} shard(s), {merged["events"]} events, event hash {merged["eventHash"]}");
        return ExitCode.Done;
    }

    /// <summary>One result out of several; of each the name it goes by in messages.</summary>
    /// <exception cref="BadInputException">They are not shards of one run.</exception>
    public static JsonObject Merge(IReadOnlyList<(string Path, JsonObject Result)> shards)
    {
        (string firstPath, JsonObject first) = shards[0];
        var result = (JsonObject)first.DeepClone();
        result["expect"] = new JsonArray();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var list = new JsonArray();
        double wallSeconds = 0;
        double lagMs = 0;
        long events = 0;
        ulong hash = 0;
        foreach ((string path, JsonObject shard) in shards)
        {
            foreach (string key in (ReadOnlySpan<string>)["title", "seed", "runFor"])
            {
                Demand(JsonNode.DeepEquals(first[key], shard[key]), path, $"its {key} is not that of {firstPath}");
            }

            Demand(shard["shard"] is JsonObject, path, "no shard's result: the key shard is missing; `fleet` writes such results");
            Demand(JsonNode.DeepEquals(first["shard"]!["of"], shard["shard"]!["of"]), path, $"another number of shards than {firstPath}");
            Demand(seen.Add(shard["shard"]!["index"]!.ToString()), path, $"shard {shard["shard"]!["index"]} is there twice");
            list.Add(shard["shard"]!.DeepClone());
            wallSeconds = Math.Max(wallSeconds, Number(shard, "wallSeconds", path));
            lagMs = Math.Max(lagMs, Number(shard, "loopLagMaxMs", path));
            events += (long)Number(shard, "events", path);
            hash += ulong.TryParse(shard["eventHash"]?.ToString(), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong own)
                ? Randomness.Mix(own)
                : throw new BadInputException($"{path}: eventHash is not 16 hexadecimal digits");
        }

        result.Remove("shard");
        result["shards"] = list;
        result["wallSeconds"] = wallSeconds;
        result["loopLagMaxMs"] = lagMs;
        result["events"] = events;
        result["eventHash"] = Randomness.Mix(hash).ToString("x16", CultureInfo.InvariantCulture);
        JsonArray fleets = FleetsOf(result, firstPath);
        for (int i = 0; i < fleets.Count; i++)
        {
            MergeFleet((JsonObject)fleets[i]!, [.. shards.Select(shard => (shard.Path, FleetOf(shard.Result, i, fleets, shard.Path)))]);
        }

        return result;
    }

    private static void MergeFleet(JsonObject target, List<(string Path, JsonObject Fleet)> shards)
    {
        foreach (string key in Sums)
        {
            target[key] = Math.Round(shards.Sum(shard => Number(shard.Fleet, key, shard.Path)), 3);
        }

        foreach (string key in Maps)
        {
            var sums = new SortedDictionary<string, double>(StringComparer.Ordinal);
            foreach ((string path, JsonObject fleet) in shards)
            {
                foreach ((string name, JsonNode? _) in fleet[key] as JsonObject ?? [])
                {
                    sums[name] = sums.GetValueOrDefault(name) + Number((JsonObject)fleet[key]!, name, path);
                }
            }

            target[key] = new JsonObject(sums.Select(pair => new KeyValuePair<string, JsonNode?>(pair.Key, pair.Value)));
        }

        var periods = new Histogram();
        var gaps = new Histogram();
        var connects = new SortedDictionary<long, long>();
        foreach ((string path, JsonObject fleet) in shards)
        {
            foreach ((long value, long count) in Pairs(fleet, "periodsMs", path))
            {
                periods.Add(value, count);
            }

            foreach ((long value, long count) in Pairs(fleet, "gapsMs", path))
            {
                gaps.Add(value, count);
            }

            foreach ((long second, long count) in Pairs(fleet, "connectsBySecond", path))
            {
                connects[second] = connects.GetValueOrDefault(second) + count;
            }
        }

        target["periodMedianSeconds"] = Seconds(periods.Percentile(0.5));
        target["periodP5Seconds"] = Seconds(periods.Percentile(0.05));
        target["periodP95Seconds"] = Seconds(periods.Percentile(0.95));
        target["gapMedianMs"] = gaps.Percentile(0.5);
        target["gapP99Ms"] = gaps.Percentile(0.99);
        target["connectsPerSecondMax"] = connects.Count == 0 ? 0 : connects.Values.Max();
        target["distributions"] = new JsonObject
        {
            ["periodsMs"] = Pairs(periods.Buckets().Select(bucket => ((long)Math.Round(bucket.MeanMs), bucket.Count))),
            ["gapsMs"] = Pairs(gaps.Buckets().Select(bucket => ((long)Math.Round(bucket.MeanMs), bucket.Count))),
            ["connectsBySecond"] = Pairs(connects.Select(pair => (pair.Key, pair.Value))),
        };
        if (target.ContainsKey("timeline"))
        {
            target["timeline"] = new JsonArray([.. shards
                .SelectMany(shard => shard.Fleet["timeline"] as JsonArray ?? [])
                .OrderBy(entry => entry!["t"]!.GetValue<double>())
                .Select(entry => entry!.DeepClone())]);
        }
    }

    private static JsonObject Read(string path)
    {
        try
        {
            return JsonNode.Parse(File.ReadAllBytes(path)) as JsonObject
                ?? throw new BadInputException($"{path}: not a result: no JSON object");
        }
        catch (JsonException problem)
        {
            throw new BadInputException($"{path}: line {problem.LineNumber + 1}: not valid JSON");
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new BadInputException($"{path}: cannot be read: {problem.Message}");
        }
    }

    private static JsonArray FleetsOf(JsonObject result, string path) =>
        result["fleets"] as JsonArray ?? throw new BadInputException($"{path}: not a result: the key fleets is missing");

    private static JsonObject FleetOf(JsonObject result, int index, JsonArray like, string path)
    {
        JsonArray fleets = FleetsOf(result, path);
        Demand(
            fleets.Count == like.Count && fleets[index] is JsonObject own && JsonNode.DeepEquals(own["name"], like[index]!["name"]),
            path, $"$.fleets[{index}] is another fleet than in the first result");
        return (JsonObject)fleets[index]!;
    }

    private static IEnumerable<(long Value, long Count)> Pairs(JsonObject fleet, string key, string path)
    {
        JsonArray pairs = fleet["distributions"]?[key] as JsonArray
            ?? throw new BadInputException($"{path}: {fleet["name"]}: distributions/{key} is missing");
        foreach (JsonNode? pair in pairs)
        {
            bool valid = pair is JsonArray { Count: 2 } both && both[0] is JsonValue first && both[1] is JsonValue second
                && first.TryGetValue(out long _) && second.TryGetValue(out long count) && count > 0;
            Demand(valid, path, $"{fleet["name"]}: distributions/{key} is not a list of [value, count]");
            yield return (pair![0]!.GetValue<long>(), pair[1]!.GetValue<long>());
        }
    }

    private static JsonArray Pairs(IEnumerable<(long Value, long Count)> pairs) =>
        new([.. pairs.Select(pair => new JsonArray(pair.Value, pair.Count))]);

    private static double Number(JsonObject source, string key, string path) =>
        source[key] is JsonValue value && value.TryGetValue(out double number)
            ? number
            : throw new BadInputException($"{path}: {key} is missing or no number");

    private static double? Seconds(double? ms) => ms is { } value ? Math.Round(value / 1000, 3) : null;

    private static void Demand(bool held, string path, string problem)
    {
        if (!held)
        {
            throw new BadInputException($"{path}: {problem}");
        }
    }
}
