using System.Globalization;
using System.Text.Json;
using Agent.Load.Peers;

namespace Agent.Cli;

/// <summary><c>bench peers</c>: prints what <see cref="PeerBench"/> measures, and which goals it meets.</summary>
public static class BenchPeers
{
    // The name's end, the bound for the native engine and for the portable one, and whether less is better.
    private static readonly (string Name, double Native, double Portable, bool AtMost)[] Goals =
    [
        ("HubCpuPerConnectAgainstMosquitto", 1.0, 2.2, true),
        ("MessagesPerCpuSecondAgainstMosquitto", 0.9, 0.9, false),
        ("BatchedMessagesPerCpuSecondAgainstMosquitto", 8, 8, false),
    ];

    /// <summary>Runs it; a connection that failed is an expectation that failed.</summary>
    public static async Task<int> RunAsync(PeerOptions options, bool json)
    {
        await Task.Yield();
        IReadOnlyList<PeerRow> rows = ProgressBar.During(
            "peers side by side",
            onProgress => PeerBench.RunAsync(options, onProgress, Console.Error.WriteLine).GetAwaiter().GetResult());
        if (json)
        {
            JsonOutput.Print(writer => Write(writer, rows));
        }
        else
        {
            Print(rows);
        }

        return rows.All(row => row.Failed == 0) ? ExitCode.Done : ExitCode.ExpectationFailed;
    }

    private static void Write(Utf8JsonWriter json, IReadOnlyList<PeerRow> rows)
    {
        json.WriteStartObject();
        json.WriteString("name", "peers");
        json.WriteStartObject("figures");
        foreach ((string name, double value) in PeerBench.Ratios(rows))
        {
            json.WriteNumber(name, Math.Round(value, 3));
        }

        json.WriteEndObject();
        json.WriteStartArray("rows");
        foreach (PeerRow row in rows)
        {
            json.WriteStartObject();
            json.WriteString("client", row.Client);
            json.WriteString("server", row.Server);
            foreach ((string name, double value) in row.Numbers())
            {
                json.WriteNumber(name, value);
            }

            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Print(IReadOnlyList<PeerRow> rows)
    {
        Console.WriteLine($"{"client -> server",-34}{string.Concat(rows.Select(row => $"{row.Client + " -> " + row.Server,34}"))}");
        foreach (string name in rows[0].Numbers().Select(number => number.Name))
        {
            Console.WriteLine($"{name,-34}" + string.Concat(rows.Select(row => string.Create(
                CultureInfo.InvariantCulture, $"{row.Numbers().Single(number => number.Name == name).Value,34:#,0.##}"))));
        }

        foreach ((string name, double value) in PeerBench.Ratios(rows))
        {
            bool isNative = name.StartsWith("native", StringComparison.Ordinal);
            (string _, double native, double portable, bool atMost) = Goals.Single(
                goal => name.EndsWith(goal.Name, StringComparison.Ordinal) && name.Length - goal.Name.Length <= "portable".Length);
            double bound = isNative ? native : portable;
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{((atMost ? value <= bound : value >= bound) ? "met   " : "missed")} {name} {value:0.00}, "
                + $"goal at {(atMost ? "most" : "least")} {bound:0.0}"));
        }
    }
}
