using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;

namespace Agent.Load;

/// <summary>How the devices of a load test came in, leg by leg; what lies between the legs is not counted.</summary>
internal sealed class Ramp
{
    private const int Legs = WireLoad.Legs;

    /// <summary>While devices were connecting, s.</summary>
    public double Seconds { get; private set; }

    /// <summary>Processor time of all hubs meanwhile, µs.</summary>
    public double HubMicros { get; private set; }

    /// <summary>The fleets'.</summary>
    public double FleetMicros { get; private set; }

    /// <summary>What of both went into compilers, µs: a warm-up that was too short shows here.</summary>
    public double CompilerMicros { get; private set; }

    /// <summary>Devices that could not connect.</summary>
    public double Failed { get; private set; }

    /// <summary>Connections for each second of both sides' processor time, a number a leg.</summary>
    public List<double> PerCpuSecond { get; } = [];

    /// <summary>Connects the devices of one leg.</summary>
    /// <param name="pairs">Whom.</param>
    /// <param name="leg">From 0.</param>
    /// <param name="dials">Under way at once, in each fleet.</param>
    /// <param name="onProgress">Told the share of the leg done, 0 to 1.</param>
    public async Task ClimbAsync(LoadPairs pairs, int leg, string dials, Action<double> onProgress)
    {
        JsonObject[] hubsBefore = await pairs.AskHubsAsync("mark").ConfigureAwait(false);
        JsonObject[] fleetsBefore = await pairs.AskFleetsAsync((_, _) => "mark").ConfigureAwait(false);
        int connected = 0;
        long begin = Stopwatch.GetTimestamp();
        JsonObject[] fleets = await pairs.AskFleetsAsync(
            (_, count) =>
            {
                int first = (int)((long)count * leg / Legs);
                int some = (int)((long)count * (leg + 1) / Legs) - first;
                connected += some;
                return string.Create(CultureInfo.InvariantCulture, $"connect {first} {some} {dials}");
            },
            done => onProgress((double)done * Legs / pairs.Count)).ConfigureAwait(false);
        Seconds += Stopwatch.GetElapsedTime(begin).TotalSeconds;
        JsonObject[] hubs = await pairs.AskHubsAsync("mark").ConfigureAwait(false);
        double hubMicros = LoadPairs.Sum(hubs, "cpuMicros") - LoadPairs.Sum(hubsBefore, "cpuMicros");
        double fleetMicros = LoadPairs.Sum(fleets, "cpuMicros") - LoadPairs.Sum(fleetsBefore, "cpuMicros");
        double Compiled(JsonObject[] after, JsonObject[] before) =>
            LoadPairs.Sum(after, "compilerMicros") - LoadPairs.Sum(before, "compilerMicros");
        CompilerMicros += Compiled(hubs, hubsBefore) + Compiled(fleets, fleetsBefore);
        HubMicros += hubMicros;
        FleetMicros += fleetMicros;
        Failed += LoadPairs.SumOf(fleets, "failed");
        PerCpuSecond.Add(connected * 1e6 / Math.Max(1, hubMicros + fleetMicros));
    }
}
