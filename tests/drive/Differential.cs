using System.Globalization;
using System.Text;
using Agent.Cli;
using Agent.Drive;
using Agent.Hub;
using Agent.World;

namespace Agent.Tests.Drive;

/// <summary>Runs one scenario in virtual time and on TLS sockets against the own hub, and tells where they part.</summary>
internal static class Differential
{
    // A loaded machine may be late; it may not do other things, nor in another order.
    private const double SecondsLateMax = 5;

    /// <summary>The run on the wire, and a text of all differences; empty = each device lived through the same.</summary>
    public static async Task<(RunResult Seen, string Differences)> RunAsync(string scenarioText)
    {
        Scenario scenario = ScenarioReader.Read(Encoding.UTF8.GetBytes(scenarioText));
        RunResult expected = Runner.Run(scenario);
        RunResult seen = await WireRun.RunAsync(scenario);
        var differences = new StringBuilder();
        foreach ((FleetResult virtually, FleetResult onWire) in expected.Fleets.Zip(seen.Fleets))
        {
            Compare(virtually, onWire, differences);
        }

        return (seen, differences.ToString());
    }

    private static void Compare(FleetResult expected, FleetResult seen, StringBuilder differences)
    {
        List<TimelineEntry> first = WithoutRepeats(expected);
        List<TimelineEntry> second = WithoutRepeats(seen);
        string[] before = [.. first.Select(Text)];
        string[] after = [.. second.Select(Text)];
        int same = before.Zip(after).TakeWhile(pair => pair.First == pair.Second).Count();
        if (same < Math.Max(before.Length, after.Length))
        {
            differences.AppendLine(CultureInfo.InvariantCulture, $"{expected.Plan.Name}, event {same}:")
                .AppendLine(CultureInfo.InvariantCulture, $"  expected {At(first, same)}")
                .AppendLine(CultureInfo.InvariantCulture, $"  seen     {At(second, same)}");
        }

        foreach ((TimelineEntry model, TimelineEntry real) in first.Zip(second).Take(same))
        {
            double lateSeconds = (real.AtMs - model.AtMs) / 1000.0;
            if (Math.Abs(lateSeconds) > SecondsLateMax || Math.Abs(real.Expiry - model.Expiry) > SecondsLateMax)
            {
                differences.AppendLine(CultureInfo.InvariantCulture, $"{expected.Plan.Name}: {Text(model)} {lateSeconds} s late");
                break;
            }
        }

        string counted = Counts(expected);
        string countedOnWire = Counts(seen);
        bool whole = first.Count == expected.Timeline.Count && second.Count == seen.Timeline.Count;
        if (whole && same == before.Length && counted != countedOnWire)
        {
            differences.AppendLine(
                CultureInfo.InvariantCulture, $"{expected.Plan.Name}: expected {counted}, seen {countedOnWire}");
        }
    }

    // Device by device, for what two devices do at one moment has no order. How often a client is refused within a second or
    // two depends on the milliseconds each attempt takes: one stands for all.
    private static List<TimelineEntry> WithoutRepeats(FleetResult fleet)
    {
        var kept = new List<TimelineEntry>();
        foreach (TimelineEntry entry in fleet.Timeline.OrderBy(entry => entry.Device))
        {
            kept.Add(entry);
            bool refusedAgain = kept.Count >= 8 && kept[^3..].Exists(last => last.Code != 0) &&
                kept[^4..].Select(Text).SequenceEqual(kept[^8..^4].Select(Text));
            if (refusedAgain)
            {
                kept.RemoveRange(kept.Count - 4, 4);
            }
        }

        return kept;
    }

    // The place where they part, and the few events before it.
    private static string At(List<TimelineEntry> timeline, int index) => string.Join(
        " | ",
        Enumerable.Range(Math.Max(0, index - 5), Math.Min(index, 5) + 1).Select(i => i >= timeline.Count
            ? "nothing more"
            : string.Create(CultureInfo.InvariantCulture, $"{timeline[i].AtMs / 1000.0} s {Text(timeline[i])}")));

    private static string Text(TimelineEntry entry) =>
        $"{entry.Device} {entry.Event} by {(entry.ByHub ? "hub" : "device")} {entry.Reason.Name()} {entry.Code} [{entry.Topics}]";

    private static string Counts(FleetResult fleet)
    {
        FleetStatistics counts = fleet.Statistics;
        IEnumerable<string> named = fleet.ReasonCounts().Concat(fleet.LogCounts()).Select(pair => $"{pair.Key} {pair.Value}");
        return string.Create(
            CultureInfo.InvariantCulture,
            $"connects {counts.Connects}, renewals {counts.Renewals}, drops {counts.Drops}, refusals {counts.Refusals}, ")
            + string.Join(", ", named);
    }
}
