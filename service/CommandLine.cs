using System.Globalization;
using System.Net;
using Agent.Service.Alarms;
using Agent.Service.Doctor;
using Agent.Service.Metrics;
using Agent.Service.Mqtt;

namespace Agent.Service;

/// <summary>A command line that is not understood: one line that says what is wrong and what is allowed.</summary>
public sealed class CommandLineException(string message) : Exception(message);

/// <summary>What was asked for on the command line.</summary>
public sealed record CommandLine
{
    /// <summary>Where the checker keeps things when no folder is named.</summary>
    public const string DefaultFolder = "out/service";

    /// <summary>The environment variable that may hold the key; never an argument, which every user of the machine can see.</summary>
    public const string KeyVariable = "AGENT_SERVICE_KEY";

    /// <summary><c>serve</c>, <c>import</c>, <c>doctor</c>, <c>bench</c> or <c>help</c>.</summary>
    public string Verb { get; private init; } = "serve";

    /// <summary>The file to import.</summary>
    public string File { get; private init; } = "";

    /// <summary>What follows <c>doctor</c>, which reads its own arguments.</summary>
    public IReadOnlyList<string> Rest { get; private init; } = [];

    /// <summary>Whether <c>--data</c> was given.</summary>
    public bool IsFolderNamed { get; private init; }

    /// <summary>Whether results go out as one JSON document.</summary>
    public bool IsJson { get; private init; }

    /// <summary>Devices of a benchmark.</summary>
    public int Devices { get; private init; } = 1_000_000;

    // The options of broker, hub and tenant by name, until all are there.
    private Dictionary<string, string> Peers { get; } = [];

    /// <summary>What the service needs.</summary>
    public ServiceOptions Options { get; private init; } = new() { Folder = DefaultFolder };

    /// <summary>What <c>--help</c> prints.</summary>
    public static string Help => $"""
        agent-service [--port N] [--bind ADDRESS] [--data DIR|none] [--key-file FILE] [--alarms FILE] [--otlp URL]
          Serves the heartbeat checker on http://127.0.0.1:N (default {Server.DefaultPort}; 0 takes any free port) and keeps what it
          knows in DIR (default {DefaultFolder}). Any address but a loopback one needs a key of at least {AccessKey.LengthMin} characters:
          in FILE or in the environment variable {KeyVariable}. Alarms are posted to the destinations that the JSON of --alarms names,
          metrics sent to the OpenTelemetry collector of --otlp.
        {MqttSettings.Help}
        {HubAccess.Help}
        {EntraSettings.Help}
        agent-service import FILE [--data DIR]
          Takes in a file of Azure Monitor Connections records or Event Grid events, one JSON object a line or one document.
        {DoctorVerb.Help}
        agent-service bench [--devices N] [--json]
          Measures this machine: rates, memory, restart; beside Redis where redis-server is installed.
        """;

    /// <summary>Reads the arguments.</summary>
    /// <exception cref="CommandLineException">They are not understood.</exception>
    public static CommandLine Parse(IReadOnlyList<string> arguments, Func<string, string?> environment)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        ArgumentNullException.ThrowIfNull(environment);
        AccessKey? key = KeyOf(environment(KeyVariable), KeyVariable);
        var line = new CommandLine { Options = new ServiceOptions { Folder = DefaultFolder, Key = key } };
        int at = 0;
        if (arguments.Count > 0 && !arguments[0].StartsWith('-'))
        {
            line = line with { Verb = arguments[at++] };
            if (line.Verb is not ("import" or "doctor" or "bench"))
            {
                throw new CommandLineException($"'{line.Verb}' is not a verb: there are import, doctor and bench, and none to serve");
            }
        }

        if (line.Verb == "doctor" && !arguments.Contains("--help"))
        {
            return line with { Rest = [.. arguments.Skip(at)] };
        }

        if (line.Verb == "import")
        {
            line = line with { File = at < arguments.Count ? arguments[at++] : throw new CommandLineException("import needs a FILE") };
        }

        for (; at < arguments.Count; at++)
        {
            line = line.With(arguments, ref at);
        }

        line = line.Verb == "serve" ? line.WithPeers(environment) : line;

        if (line.Options is { Alarms: not null, Folder: null })
        {
            throw new CommandLineException("--alarms needs a folder: an alarm is told once only if it is kept");
        }

        if (line.Options is { Key: null, Entra: null } && !IPAddress.IsLoopback(line.Options.Address))
        {
            throw new CommandLineException($"--bind {line.Options.Address} needs a key, --key-file FILE or {KeyVariable}, or --entra");
        }

        return line;
    }

    private CommandLine WithPeers(Func<string, string?> environment)
    {
        HubAccess? hub = HubAccess.TryRead(Peers, environment, out string problem);
        MqttSettings? broker = problem.Length == 0 && Peers.Keys.Any(MqttSettings.IsOption)
            ? MqttSettings.TryRead(Peers, environment, out problem) : null;
        EntraSettings? entra = problem.Length == 0 ? EntraSettings.TryRead(Peers, out problem) : null;
        return problem.Length == 0
            ? this with { Options = Options with { Hub = hub, Mqtt = broker, Entra = entra } }
            : throw new CommandLineException(problem);
    }

    private CommandLine With(IReadOnlyList<string> arguments, ref int at)
    {
        string name = arguments[at];
        switch (name)
        {
            case "--help" or "-h":
                return this with { Verb = "help" };
            case "--json" when Verb == "bench":
                return this with { IsJson = true };
            case "--devices" when Verb == "bench":
                return this with { Devices = Whole(name, Value(arguments, ref at), 1000, DeviceTable.DevicesMax) };
            case "--port" when Verb == "serve":
                return this with { Options = Options with { Port = Whole(name, Value(arguments, ref at), 0, ushort.MaxValue) } };
            case "--bind" when Verb == "serve":
                string address = Value(arguments, ref at);
                return IPAddress.TryParse(address, out IPAddress? parsed)
                    ? this with { Options = Options with { Address = parsed } }
                    : throw new CommandLineException("--bind takes an IP address");
            case "--data" when Verb is "serve" or "import":
                string folder = Value(arguments, ref at);
                return this with { IsFolderNamed = true, Options = Options with { Folder = folder == "none" ? null : folder } };
            case "--alarms" when Verb == "serve":
                return AlarmFile.TryRead(Value(arguments, ref at), out AlarmSettings? alarms, out string problem)
                    ? this with { Options = Options with { Alarms = alarms } }
                    : throw new CommandLineException("--alarms: " + problem);
            case not null when Verb == "serve" && (MqttSettings.IsOption(name) || HubAccess.IsOption(name) || EntraSettings.IsOption(name)):
                Peers[name] = Value(arguments, ref at);
                return this;
            case "--otlp" when Verb == "serve":
                return OtlpExport.TryReadUrl(Value(arguments, ref at), out Uri? collector)
                    ? this with { Options = Options with { Otlp = collector } }
                    : throw new CommandLineException("--otlp takes the address of a collector without a password: http://127.0.0.1:4318");
            case "--key-file" when Verb == "serve":
                return this with { Options = Options with { Key = KeyOf(ReadKey(Value(arguments, ref at)), name) } };
            default:
                throw new CommandLineException($"'{name}' is not understood here; see --help");
        }
    }

    private static string Value(IReadOnlyList<string> arguments, ref int at) =>
        at + 1 < arguments.Count ? arguments[++at] : throw new CommandLineException($"{arguments[at]} needs a value");

    private static int Whole(string name, string text, int min, int max) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= min && value <= max
            ? value
            : throw new CommandLineException($"{name} takes a whole number from {min} to {max}");

    private static AccessKey? KeyOf(string? text, string from) =>
        string.IsNullOrEmpty(text) ? null
        : AccessKey.Of(text) ?? throw new CommandLineException($"the key in {from} must have 16 to 1024 characters");

    private static string ReadKey(string path)
    {
        try
        {
            return System.IO.File.ReadAllText(path).Trim();
        }
        catch (Exception failed) when (failed is IOException or UnauthorizedAccessException)
        {
            throw new CommandLineException($"--key-file: {path} cannot be read");
        }
    }
}
