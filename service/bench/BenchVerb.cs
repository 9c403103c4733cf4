using System.Diagnostics;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Agent.Service;

/// <summary><c>bench</c>: what this machine does, beside what Redis does on it.</summary>
public static class BenchVerb
{
    private static readonly JsonSerializerOptions Json = new()
    {
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Runs it: 0 = done, 3 = the outside world failed.</summary>
    public static async Task<int> RunAsync(CommandLine line, TextWriter output, TextWriter error)
    {
        ArgumentNullException.ThrowIfNull(line);
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(error);
        string folder = Path.Combine(Path.GetTempPath(), $"agent-service-bench-{Environment.ProcessId}");
        try
        {
            Directory.CreateDirectory(folder);
            Dictionary<string, double?> figures = await MeasureAsync(line.Devices, folder, error);
            if (line.IsJson)
            {
                output.WriteLine(JsonSerializer.Serialize(new { name = "service", figures }, Json));
            }
            else
            {
                foreach ((string name, double? value) in figures)
                {
                    string text = value is double number ? number.ToString("#,0.###", CultureInfo.InvariantCulture) : "not measured";
                    output.WriteLine($"{name,-28} {text,18}");
                }
            }

            return 0;
        }
        catch (Exception failed) when (failed is IOException or UnauthorizedAccessException or StoreException)
        {
            error.WriteLine(failed.Message);
            return 3;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<Dictionary<string, double?>> MeasureAsync(int devices, string folder, TextWriter error)
    {
        var figures = new Dictionary<string, double?> { ["devices"] = devices };
        error.WriteLine($"table of {devices} devices, ids of {BenchFleet.IdLength} characters");
        // Code and arrays that have nothing to do with the size of the fleet are there before the first reading of memory.
        new BenchFleet(1000).Measure();
        long before = ResidentBytes();
        var fleet = new BenchFleet(devices);
        figures["bytesPerDevice"] = Math.Round((ResidentBytes() - before) / (double)devices, 2);

        error.WriteLine("facts, already parsed, devices in random order");
        using RedisZadd? redis = RedisZadd.TryStart(folder, error);
        double facts = 0, zadds = 0;
        redis?.Fill(devices);
        for (int round = 0; round < 3; round++)
        {
            facts = Math.Max(facts, fleet.Measure());
            zadds = redis is null ? 0 : Math.Max(zadds, redis.Measure());
        }

        figures["factsPerSecond"] = Math.Round(facts);
        figures["redisZaddPerSecond"] = redis is null ? null : Math.Round(zadds);
        figures["timesRedis"] = redis is null ? null : Math.Round(facts / zadds, 1);

        error.WriteLine($"sweeps of a fleet that sends {BenchFleet.HeartbeatsPerSecond} heartbeats a second");
        (double sweepMicros, double looks) = fleet.MeasureSweep();
        figures["sweepMicrosPerSecond"] = Math.Round(sweepMicros, 1);
        figures["sweepLooksPerSecond"] = Math.Round(looks);

        error.WriteLine($"sweeps of a fleet whose every device sends each {BenchFleet.EverySeconds} s");
        (sweepMicros, looks) = fleet.MeasureSweep(BenchFleet.EverySeconds);
        figures["fixedIntervalSweepMicrosPerSecond"] = Math.Round(sweepMicros, 1);
        figures["fixedIntervalSweepNanosPerLook"] = Math.Round(sweepMicros * 1000 / Math.Max(1, looks), 1);

        error.WriteLine("Event Grid bodies, decoded");
        figures["decodedPerSecond"] = Math.Round(HttpLoad.MeasureDecoding(out double allocated));
        figures["allocatedBytesPerEvent"] = Math.Round(allocated, 3);

        error.WriteLine("restart: snapshot and a million facts of journal");
        string kept = Path.Combine(folder, "restart");
        figures["snapshotSeconds"] = Math.Round(fleet.Keep(kept), 3);
        fleet = null;
        GC.Collect();
        var watch = Stopwatch.StartNew();
        var restored = new Checker(new LivenessSettings { DevicesMax = DeviceTable.DevicesMax }, 1);
        using (EmbeddedStore.Open(kept, new StoreOptions(), restored))
        {
            restored.FinishRestore(BenchFleet.StartMs);
            figures["restartSeconds"] = Math.Round(watch.Elapsed.TotalSeconds, 3);
        }

        if (restored.Count != devices)
        {
            throw new StoreException($"restart: {restored.Count} of {devices} devices came back");
        }

        restored = null;
        GC.Collect();
        error.WriteLine("Event Grid batches through HTTP, kept on disk before the answer, sender and service in this process");
        figures["httpHeartbeatsPerSecond"] = Math.Round(await HttpLoad.MeasureAsync(Path.Combine(folder, "http")));
        figures["peakRssBytes"] = Process.GetCurrentProcess().PeakWorkingSet64;
        return figures;
    }

    private static long ResidentBytes()
    {
        // Aggressive: what the collector keeps in reserve is its own and not the table's.
        GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        GC.WaitForPendingFinalizers();
        GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        return Environment.WorkingSet;
    }
}
