using System.Diagnostics;
using System.Globalization;
using Agent.World;

namespace Agent.Cli;

/// <summary><c>bench virtual</c>: a large fleet in virtual time, as fast as it goes.</summary>
public static class BenchVirtual
{
    private static readonly string[] Sdks = ["dotnet", "java", "node", "python"];

    /// <summary>Runs it and prints the figures of the contract.</summary>
    public static int Run(int devices, double hours, int shards, bool json)
    {
        long runForMs = (long)(hours * 3_600_000);
        Scenario scenario = Plan(devices, runForMs);
        RunResult result = ProgressBar.During(
            $"{devices} devices, {hours} h", onProgress => Runner.Run(scenario, shards, onProgress));
        double days = devices * hours / 24;
        (string Name, double Value)[] figures =
        [
            ("devices", devices),
            ("simulatedHours", hours),
            ("wallSeconds", Math.Round(result.WallSeconds, 3)),
            ("eventsPerSecond", Math.Round(result.Events / result.WallSeconds)),
            ("deviceDaysPerSecond", Math.Round(days / result.WallSeconds)),
            ("bytesPerDevice", Math.Round((double)result.Bytes / devices, 1)),
            ("peakRssBytes", Process.GetCurrentProcess().PeakWorkingSet64),
            ("shards", result.Shards),
        ];
        if (json)
        {
            JsonOutput.Print(writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("name", "virtual");
                writer.WriteStartObject("figures");
                foreach ((string name, double value) in figures)
                {
                    writer.WriteNumber(name, value);
                }

                writer.WriteString("eventHash", result.EventHash);
                writer.WriteEndObject();
                writer.WriteEndObject();
            });
            return ExitCode.Done;
        }

        foreach ((string name, double value) in figures)
        {
            Console.WriteLine($"{name,-22} {value.ToString("#,0.###", CultureInfo.InvariantCulture)}");
        }

        Console.WriteLine($"{"eventHash",-22} {result.EventHash}");
        Console.WriteLine($"{"events",-22} {result.Events.ToString("#,0", CultureInfo.InvariantCulture)}");
        long heartbeats = result.Fleets.Sum(fleet => fleet.Statistics.Heartbeats);
        Console.WriteLine($"{"heartbeats",-22} {heartbeats.ToString("#,0", CultureInfo.InvariantCulture)}");
        return ExitCode.Done;
    }

    // The four SDKs of the vendor's table evenly, default lifetimes, a heartbeat a minute, starts spread over an hour.
    private static Scenario Plan(int devices, long runForMs)
    {
        var fleets = new List<FleetPlan>();
        for (int i = 0; i < Sdks.Length; i++)
        {
            int count = (devices + Sdks.Length - 1 - i) / Sdks.Length;
            if (count > 0)
            {
                fleets.Add(new FleetPlan
                {
                    Name = Sdks[i],
                    Sdk = Sdks[i],
                    Count = count,
                    Settings = new Agent.Fleet.ClientSettings { HeartbeatEveryMs = 60_000 },
                    StartSpreadMs = Math.Min(3_600_000, runForMs),
                });
            }
        }

        return new Scenario { Title = "bench virtual", RunForMs = runForMs, Fleets = fleets };
    }
}
