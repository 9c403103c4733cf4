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

    /// <summary>The environment variable that may hold the connection string: it has a password, so it is no argument either.</summary>
    public const string DatabaseVariable = "AGENT_SERVICE_DATABASE";

    private const int TakeOverSecondsMin = 2;
    private const int TakeOverSecondsMax = 600;

    /// <summary><c>serve</c>, <c>import</c>, <c>doctor</c>, <c>bench</c> or <c>help</c>.</summary>
    public string Verb { get; private init; } = "serve";

    /// <summary>The file to import.</summary>
    public string File { get; private init; } = "";

    /// <summary>What follows <c>doctor</c>, which reads its own arguments.</summary>
    public IReadOnlyList<string> Rest { get; private init; } = [];

    /// <summary>Whether <c>--data</c> was given.</summary>
    public bool IsFolderNamed { get; private init; }

    /// <summary>Whether <c>--store postgres</c> was given.</summary>
    public bool IsPostgres { get; private init; }

    /// <summary>Seconds of <c>--takeover</c>; null = not given.</summary>
    public int? TakeOverSeconds { get; private init; }

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
        agent-service --store postgres [--database-file FILE] [--takeover SECONDS] …
          The same as one of several replicas on a PostgreSQL, instead of a folder. The connection string (Host=…;Database=…;Username=…;
          Password=…) is in FILE or in the environment variable {DatabaseVariable}. A dead replica's share is taken over by the
          others within SECONDS (default 5). Put a load balancer before them; all take facts and all answer for the whole fleet.
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
        line = line.WithDatabase(environment);
        if (line.Options is { Alarms: not null, Folder: null, Postgres: null })
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
            case "--store" when Verb is "serve" or "import":
                return Value(arguments, ref at) switch
                {
                    "embedded" => this with { IsPostgres = false },
                    "postgres" when Verb == "serve" => this with { IsPostgres = true },
                    "postgres" => throw new CommandLineException("import is for a folder; POST /logs of a replica takes the same records"),
                    _ => throw new CommandLineException("--store takes embedded or postgres"),
                };
            case "--database-file" when Verb == "serve":
                return this with { Options = Options with { Postgres = DatabaseOf(ReadSecret(name, Value(arguments, ref at)), name) } };
            case "--takeover" when Verb == "serve":
                return this with { TakeOverSeconds = Whole(name, Value(arguments, ref at), TakeOverSecondsMin, TakeOverSecondsMax) };
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
                return this with { Options = Options with { Key = KeyOf(ReadSecret(name, Value(arguments, ref at)), name) } };
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

    private CommandLine WithDatabase(Func<string, string?> environment)
    {
        if (!IsPostgres)
        {
            return TakeOverSeconds is null && Options.Postgres is null ? this
                : throw new CommandLineException("--database-file and --takeover need --store postgres");
        }

        if (IsFolderNamed)
        {
            throw new CommandLineException("--store postgres keeps everything in the database: --data has no meaning with it");
        }

        PostgresOptions? postgres = Options.Postgres;
        if (postgres is null && environment(DatabaseVariable) is { Length: > 0 } text)
        {
            postgres = DatabaseOf(text, DatabaseVariable);
        }

        if (postgres is null)
        {
            throw new CommandLineException($"--store postgres needs a connection string: --database-file FILE or {DatabaseVariable}");
        }

        postgres = TakeOverSeconds is int seconds ? postgres with { TakeOverWithin = TimeSpan.FromSeconds(seconds) } : postgres;
        return this with { Options = Options with { Folder = null, Postgres = postgres } };
    }

    private static PostgresOptions DatabaseOf(string text, string from) =>
        PostgresOptions.TryParse(text)
        ?? throw new CommandLineException($"what {from} holds is no connection string such as Host=…;Database=…;Username=…;Password=…");

    private static string ReadSecret(string name, string path)
    {
        try
        {
            return System.IO.File.ReadAllText(path).Trim();
        }
        catch (Exception failed) when (failed is IOException or UnauthorizedAccessException)
        {
            throw new CommandLineException($"{name}: {path} cannot be read");
        }
    }
}
