using System.Globalization;
using Agent.Load;
using Agent.Wire;

namespace Agent.Cli;

/// <summary><c>bench wire</c>: prints what <see cref="WireLoad"/> measures, and which goals it meets.</summary>
public static class BenchWire
{
    /// <summary>Runs it; a device that failed is an expectation that failed.</summary>
    public static async Task<int> RunAsync(WireLoadOptions options, bool json)
    {
        await Task.Yield();
        TlsEngines.Demand(options.Engine);
        WireLimits limits = WireLimits.Plan(options.Connections, options.Engine);
        foreach (string note in limits.Notes)
        {
            await Console.Error.WriteLineAsync(note).ConfigureAwait(false);
        }

        IReadOnlyList<(string Name, double Value)> figures = ProgressBar.During(
            $"{options.Connections} connections, {options.Engine.Name()}",
            onProgress => WireLoad.RunAsync(options, limits, onProgress, fault => Console.Error.WriteLine($"failed: {fault}"))
                .GetAwaiter().GetResult());
        if (json)
        {
            Print(figures);
        }
        else
        {
            foreach ((string name, double value) in figures)
            {
                Console.WriteLine($"{name,-30} {value.ToString("#,0.###", CultureInfo.InvariantCulture)}");
            }

            foreach (string line in Goals(options.Engine, figures.ToDictionary(figure => figure.Name, figure => figure.Value)))
            {
                Console.WriteLine(line);
            }
        }

        return figures.Single(figure => figure.Name == "failed").Value == 0 ? ExitCode.Done : ExitCode.ExpectationFailed;
    }

    private static void Print(IReadOnlyList<(string Name, double Value)> figures) => JsonOutput.Print(writer =>
    {
        writer.WriteStartObject();
        writer.WriteString("name", "wire");
        writer.WriteStartObject("figures");
        foreach ((string name, double value) in figures)
        {
            writer.WriteNumber(name, value);
        }

        writer.WriteEndObject();
        writer.WriteEndObject();
    });

    // The goals are stated for full handshakes and tens of thousands of connections; few are dear.
    private static IEnumerable<string> Goals(TlsEngine engine, Dictionary<string, double> figures)
    {
        bool isNative = engine == TlsEngine.Native;
        (string Name, double Bound, bool AtMost)[] goals =
        [
            ("hubBytesPerConnection", isNative ? 20 * 1024 : 50 * 1024, true),
            ("fleetBytesPerConnection", isNative ? 25 * 1024 : 60 * 1024, true),
            ("shareOfLibssl", isNative ? 0.65 : 0.33, false),
            ("ackP99Ms", 10, true),
            ("failed", 0, true),
        ];
        foreach ((string name, double bound, bool atMost) in goals)
        {
            if (figures.TryGetValue(name, out double value))
            {
                bool met = atMost ? value <= bound : value >= bound;
                yield return string.Create(
                    CultureInfo.InvariantCulture,
                    $"{(met ? "met   " : "missed")} {name} {value:#,0.###}, goal at {(atMost ? "most" : "least")} {bound:#,0.##}");
            }
        }
    }
}
