using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Agent.Soak;

namespace Agent.Cli;

/// <summary><c>soak</c>: the whole system under random faults, seed after seed.</summary>
public static class SoakVerb
{
    private const double MinutesDefault = 1;
    private const double MinutesMax = 10_080;
    private const int ShownMax = 5;

    /// <summary>The command that repeats a seed.</summary>
    public static string Repeat(ulong seed) =>
        string.Create(CultureInfo.InvariantCulture, $"dotnet run --project simulator -c Release -- soak --seed {seed}");

    /// <summary>The verb with its options.</summary>
    public static Command Command(Option<bool> json)
    {
        var minutes = new Option<double?>("--minutes")
        {
            Description = $"How long to go on, from the first seed upwards; {MinutesDefault} when no --seed and no --seeds is given.",
            HelpName = "N",
        };
        var seed = new Option<ulong?>("--seed")
        {
            Description = "The first seed, 1 by default. Alone: this seed only, with its plan and the last events of its story.",
            HelpName = "N",
        };
        var seeds = new Option<int?>("--seeds") { Description = "How many seeds, whatever time it takes.", HelpName = "N" };
        var list = new Option<bool>("--list") { Description = "Lists the faults and the invariants, and runs nothing." };
        minutes.Validators.Add(result =>
        {
            if (result.GetValue(minutes) is { } value && value is not (> 0 and <= MinutesMax))
            {
                result.AddError($"--minutes: {value} is out of range; allowed: more than 0, at most {MinutesMax}");
            }
        });
        seeds.Validators.Add(result =>
        {
            if (result.GetValue(seeds) is { } value && value < 1)
            {
                result.AddError($"--seeds: {value} is out of range; allowed: 1 or more");
            }
        });
        var command = new Command(
            "soak",
            "Agents on flash, SDK models, the hub and the checker in virtual time, under faults drawn from a seed.\n\n"
            + "A seed draws a small world and which faults it suffers: power cuts in the middle of a flash write, links that die\n"
            + "without a word, clocks that jump, twins that are wrong, events that come late, twice or not at all, and so on. While\n"
            + "they last, what must never happen is watched for; then they stop, and everything must be well again in time.\n"
            + "A seed that fails names the invariant, prints the last events, and is repeated by `soak --seed N`, on any machine\n"
            + "and whatever the number of cores. Exit code 1 = one failed.")
        {
            minutes, seed, seeds, list,
        };
        command.SetAction(parsed => parsed.GetValue(list)
            ? PrintList(parsed.GetValue(json))
            : Run(parsed.GetValue(minutes), parsed.GetValue(seed), parsed.GetValue(seeds), parsed.GetValue(json)));
        return command;
    }

    private static int Run(double? minutes, ulong? seed, int? seeds, bool json)
    {
        if (seed is { } only && seeds is null && minutes is null)
        {
            return RunOne(only, json);
        }

        int count = seeds ?? int.MaxValue;
        TimeSpan time = minutes is { } given ? TimeSpan.FromMinutes(given)
            : seeds is null ? TimeSpan.FromMinutes(MinutesDefault)
            : TimeSpan.MaxValue;
        SoakReport report = ProgressBar.During(
            "soak", onProgress => SoakBatch.Run(seed ?? 1, count, time, onProgress: onProgress));
        if (json)
        {
            JsonOutput.Print(writer => Write(writer, report));
        }
        else
        {
            Print(report);
        }

        return report.Failures.Count == 0 ? ExitCode.Done : ExitCode.ExpectationFailed;
    }

    private static int RunOne(ulong seed, bool json)
    {
        SoakResult result = SoakRun.One(seed, SoakRun.StoryLines);
        if (json)
        {
            JsonOutput.Print(writer =>
            {
                writer.WriteStartObject();
                writer.WriteNumber("seed", seed);
                writer.WriteNumber("events", result.Events);
                writer.WriteString("hash", Text(result.Hash));
                WriteFailure(writer, result);
                writer.WriteStartArray("story");
                foreach (string line in result.Story)
                {
                    writer.WriteStringValue(line);
                }

                writer.WriteEndArray();
                writer.WriteEndObject();
            });
        }
        else
        {
            PrintStory(result);
            Console.WriteLine(result.Broken is null ? $"seed {seed}: every invariant held, hash {Text(result.Hash)}" : "");
            PrintFailure(result);
        }

        return result.Broken is null ? ExitCode.Done : ExitCode.ExpectationFailed;
    }

    private static void Print(SoakReport report)
    {
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{report.Seeds:#,0} seeds from {report.FirstSeed}, {report.Failures.Count} failed; {report.DeviceDays:#,0} device-days, "
            + $"{report.Events:#,0} events in {report.WallSeconds:0.0} s ({report.Seeds / report.WallSeconds:0} seeds/s); "
            + $"hash {Text(report.Hash)}"));
        foreach (SoakResult failure in report.Failures.Take(ShownMax))
        {
            Console.WriteLine();
            PrintFailure(failure);
        }

        if (report.Failures.Count > 0)
        {
            Console.WriteLine();
            PrintStory(SoakRun.One(report.Failures[0].Seed, SoakRun.StoryLines));
        }
        else
        {
            Console.WriteLine($"next: soak --seed {report.FirstSeed + (ulong)report.Seeds} --minutes 5");
        }
    }

    private static void PrintStory(SoakResult result)
    {
        Console.WriteLine($"the end of seed {result.Seed}'s story:");
        foreach (string line in result.Story)
        {
            Console.WriteLine("  " + line);
        }
    }

    private static void PrintFailure(SoakResult result)
    {
        if (result.Broken is { } broken)
        {
            Console.WriteLine($"seed {result.Seed} breaks {broken.Name}: {broken.Statement}");
            Console.WriteLine($"  {result.Detail}");
            Console.WriteLine($"  repeat: {Repeat(result.Seed)}");
        }
    }

    private static int PrintList(bool json)
    {
        string[] faults = [.. Enum.GetValues<SoakFault>().Select(fault => JsonNamingPolicy.CamelCase.ConvertName(fault.ToString()))];
        if (json)
        {
            JsonOutput.Print(writer =>
            {
                writer.WriteStartObject();
                writer.WriteStartArray("faults");
                Array.ForEach(faults, writer.WriteStringValue);
                writer.WriteEndArray();
                writer.WriteStartObject("invariants");
                foreach (Invariant one in Invariants.All)
                {
                    writer.WriteString(one.Name, one.Statement);
                }

                writer.WriteEndObject();
                writer.WriteEndObject();
            });
            return ExitCode.Done;
        }

        Console.WriteLine($"faults: {string.Join(", ", faults)}");
        Console.WriteLine("invariants:");
        foreach (Invariant one in Invariants.All)
        {
            Console.WriteLine($"  {one.Name,-24} {one.Statement}");
        }

        return ExitCode.Done;
    }

    private static void Write(Utf8JsonWriter writer, SoakReport report)
    {
        writer.WriteStartObject();
        writer.WriteNumber("firstSeed", report.FirstSeed);
        writer.WriteNumber("seeds", report.Seeds);
        writer.WriteNumber("failed", report.Failures.Count);
        writer.WriteNumber("deviceDays", Math.Round(report.DeviceDays, 1));
        writer.WriteNumber("events", report.Events);
        writer.WriteNumber("wallSeconds", Math.Round(report.WallSeconds, 3));
        writer.WriteNumber("seedsPerSecond", Math.Round(report.Seeds / report.WallSeconds, 1));
        writer.WriteString("hash", Text(report.Hash));
        writer.WriteStartArray("failures");
        foreach (SoakResult failure in report.Failures)
        {
            writer.WriteStartObject();
            writer.WriteNumber("seed", failure.Seed);
            WriteFailure(writer, failure);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static void WriteFailure(Utf8JsonWriter writer, SoakResult result)
    {
        writer.WriteString("invariant", result.Broken?.Name);
        writer.WriteString("statement", result.Broken?.Statement);
        writer.WriteString("detail", result.Detail);
        writer.WriteString("repeat", Repeat(result.Seed));
    }

    private static string Text(ulong hash) => hash.ToString("x16", CultureInfo.InvariantCulture);
}
