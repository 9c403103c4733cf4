using System.Text.Json;
using Agent.Fleet;
using Agent.Input;
using Agent.World;

namespace Agent.Cli;

/// <summary><c>list</c>: what a scenario can name, one line each.</summary>
public static class ListVerb
{
    private static readonly Dictionary<string, string> Faults = new()
    {
        ["networkDown"] = "packets vanish both ways",
        ["tcpDrop"] = "the TCP connection ends; how: fin or rst",
        ["refuse"] = "CONNECT is answered with a CONNACK code; code: 1 to 5",
        ["silentHub"] = "TCP up, the hub answers nothing and closes nothing",
        ["dnsFail"] = "the hub's name does not resolve",
        ["portBlocked"] = "8883 cannot be reached; how: refused or blackHole",
        ["hubDown"] = "connections cut and refused (500001); how: error, or timeout, where attempts stay unanswered (500008)",
        ["hubFailover"] = "all connections of the share are cut at once",
        ["throttle"] = "connections cut and hung up on (429002)",
        ["quotaExceeded"] = "connecting works, sending is cut (403002)",
        ["deviceDisabled"] = "identity disabled: cut, then refused (403012)",
        ["keyRotated"] = "new tokens are refused (401003)",
        ["duplicateId"] = "a second client takes the identity (400027)",
        ["clockSkew"] = "the device's clock is off; seconds: + or -",
        ["crash"] = "power cut; for: until power is back",
        ["hang"] = "the application stops, TCP stays up",
        ["tlsMemory"] = "not enough memory for a TLS session",
    };

    private static readonly Dictionary<string, string> Detectors = new()
    {
        ["heartbeat"] = "the service's own checker: so many heartbeats stay away, renewals allowed for; missed",
        ["eventGrid"] = "DeviceDisconnected events from a 60 s snapshot, flaps unseen; debounce",
        ["connectionsLog"] = "Azure Monitor Connections records, 1 to 5 min late, unordered, some lost; debounce",
        ["connectedDevices"] = "the connected-devices metric, a number for the whole hub, falls below a share; below",
        ["connectionState"] = "the twin's connectionState, up to 5 min late; not on Basic tiers",
        ["shortExpiry"] = "cloud-to-device messages with a short life and acknowledgement, to fleets with c2d; ttl",
    };

    /// <summary>Prints the lists.</summary>
    public static int Run(bool json)
    {
        var scenarios = Scenarios().ToList();
        var lists = new (string Name, IEnumerable<KeyValuePair<string, string>> Items)[]
        {
            ("sdks", SdkCatalog.All.Select(sdk => KeyValuePair.Create(sdk.Id, $"{sdk.Title}: {sdk.About}"))),
            ("faults", ScenarioReader.FaultKindNames.Select(kind => KeyValuePair.Create(kind, Faults[kind]))),
            ("detectors", ScenarioReader.DetectorKindNames.Select(kind => KeyValuePair.Create(kind, Detectors[kind]))),
            ("scenarios", scenarios),
        };
        if (json)
        {
            JsonOutput.Print(writer => Write(writer, lists));
            return ExitCode.Done;
        }

        foreach ((string name, IEnumerable<KeyValuePair<string, string>> items) in lists)
        {
            Console.WriteLine(name);
            foreach ((string key, string about) in items)
            {
                Console.WriteLine($"  {key,-28} {about}");
            }

            Console.WriteLine();
        }

        return ExitCode.Done;
    }

    private static void Write(
        Utf8JsonWriter json, IEnumerable<(string Name, IEnumerable<KeyValuePair<string, string>> Items)> lists)
    {
        json.WriteStartObject();
        foreach ((string name, IEnumerable<KeyValuePair<string, string>> items) in lists)
        {
            json.WriteStartArray(name);
            foreach ((string key, string about) in items)
            {
                json.WriteStartObject();
                json.WriteString("name", key);
                json.WriteString("about", about);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        }

        json.WriteEndObject();
    }

    // The files lie beside the program; a file that cannot be read is listed with what is wrong with it.
    private static IEnumerable<KeyValuePair<string, string>> Scenarios()
    {
        string folder = Path.Combine(AppContext.BaseDirectory, "scenarios");
        if (!Directory.Exists(folder))
        {
            yield break;
        }

        foreach (string path in Directory.GetFiles(folder, "*.json").Order(StringComparer.Ordinal))
        {
            string about;
            try
            {
                about = ScenarioReader.ReadFile(path).Title;
            }
            catch (BadInputException problem)
            {
                about = problem.Message;
            }

            yield return KeyValuePair.Create(Path.GetFileName(path), about);
        }
    }
}
