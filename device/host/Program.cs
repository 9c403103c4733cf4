using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Agent.Core;
using Agent.Host;

// The agent as a PC program: what you run before you own a board. Exit codes: 0 = stopped as asked, 2 = bad
// input, named in one line on standard error. Every value is checked here, by us: the parser's own messages would
// quote what was typed, and that may be a key.

Option<string> connectionString = new("--connection-string")
{
    Description = "The device's connection string: HostName=…;DeviceId=…;SharedAccessKey=…[;GatewayHostName=…]",
    HelpName = "CS",
};
Option<string> port = new("--port") { Description = "TLS port of the hub (8883)", HelpName = "P" };
Option<string> ca = new("--ca") { Description = "Root certificates to trust, PEM (the system's)", HelpName = "FILE" };
Option<string> state = new("--state") { Description = "Folder for what survives a restart (none)", HelpName = "DIR" };
Option<string> lifetime = new("--lifetime") { Description = "Token lifetime (3600)", HelpName = "SECONDS" };
Option<string> heartbeat = new("--heartbeat")
{
    Description = "Heartbeat interval, 0 = none (300)",
    HelpName = "SECONDS",
};
RootCommand root = new("Runs the agent on this PC: keeps one device connected to its hub over TLS.")
{
    connectionString, port, ca, state, lifetime, heartbeat,
};
root.SetAction(RunAsync);

ParseResult parsed = root.Parse(args);
bool wantsHelp = args.Any(argument => argument is "--help" or "-h" or "-?" or "/h" or "/?" or "--version");
if (!wantsHelp && parsed.UnmatchedTokens.Count > 0)
{
    return Refuse("an argument is not understood; allowed: "
        + string.Join(" ", root.Options.Where(option => !option.Recursive && option.HelpName is not null)
            .Select(option => $"{option.Name} {option.HelpName}")));
}

if (!wantsHelp && parsed.Errors.Count > 0)
{
    return Refuse(parsed.Errors[0].Message);
}

// Signals are ours: the agent says goodbye to the hub before it ends.
return await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null });

async Task<int> RunAsync(ParseResult result, CancellationToken cancellation)
{
    if (!TryReadOptions(result, out AgentOptions? options, out string problem))
    {
        return Refuse(problem);
    }

    StateFolder stateFolder;
    try
    {
        stateFolder = StateFolder.Open(options!.StateFolder);
    }
    catch (Exception fault) when (fault is IOException or UnauthorizedAccessException or ArgumentException)
    {
        return Refuse($"--state: {fault.Message}");
    }

    using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
    using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
    using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
    uint seed = (uint)RandomNumberGenerator.GetInt32(int.MaxValue);
    AgentDriver driver;
    do
    {
        // The method "reboot" ends a run; the PC's way to restart a device is the next one.
        driver = new(options, stateFolder, new HostClock(TimeProvider.System), seed++, Console.Out);
        await driver.RunAsync(stop.Token);
    }
    while (driver.WantsRestart && !stop.IsCancellationRequested);
    return 0;

    void Stop(PosixSignalContext context)
    {
        context.Cancel = true;
        stop.Cancel();
    }
}

bool TryReadOptions(ParseResult result, out AgentOptions? options, out string problem)
{
    options = null;
    if (result.GetValue(connectionString) is not { Length: > 0 } text)
    {
        problem = "--connection-string is missing";
        return false;
    }

    if (!ConnectionString.TryParse(text, out ConnectionString? identity, out string? fault))
    {
        problem = $"--connection-string: {fault}";
        return false;
    }

    TokenSettingsDraft draft = new();
    int dialPort = 8883;
    int lifetimeSeconds = draft.LifetimeSeconds;
    int heartbeatSeconds = draft.HeartbeatIntervalSeconds;
    if (!TryReadNumber(result, port, 1, 65535, ref dialPort, out problem)
        || !TryReadNumber(
            result, lifetime, TokenSettings.LifetimeSecondsMin, TokenSettings.LifetimeSecondsMax,
            ref lifetimeSeconds, out problem)
        || !TryReadNumber(
            result, heartbeat, 0, TokenSettings.HeartbeatIntervalSecondsMax,
            ref heartbeatSeconds, out problem)
        || !TryReadRoots(result.GetValue(ca), out X509Certificate2Collection? roots, out problem))
    {
        return false;
    }

    draft.LifetimeSeconds = lifetimeSeconds;
    draft.HeartbeatIntervalSeconds = heartbeatSeconds;
    if (!draft.TryBuild(out TokenSettings settings, out string[] problems))
    {
        problem = string.Join("; ", problems);
        return false;
    }

    options = new AgentOptions(identity, dialPort, roots, result.GetValue(state), settings);
    return true;
}

static bool TryReadNumber(
    ParseResult result, Option<string> option, int min, int max, ref int value, out string problem)
{
    problem = $"{option.Name}: not a whole number from {min} to {max}";
    string? text = result.GetValue(option);
    if (text is null)
    {
        return true;
    }

    bool isNumber = int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number);
    value = isNumber ? number : value;
    return isNumber && number >= min && number <= max;
}

static bool TryReadRoots(string? path, out X509Certificate2Collection? roots, out string problem)
{
    roots = null;
    problem = "";
    if (path is null)
    {
        return true;
    }

    try
    {
        roots = [];
        roots.ImportFromPemFile(path);
        problem = roots.Count == 0 ? $"--ca: {path} holds no certificate in PEM form" : "";
    }
    catch (Exception fault) when (fault is IOException or UnauthorizedAccessException or CryptographicException
        or ArgumentException)
    {
        problem = fault is CryptographicException
            ? $"--ca: {path} holds a damaged certificate"
            : $"--ca: {path} cannot be read";
    }

    return problem.Length == 0;
}

static int Refuse(string problem)
{
    Console.Error.WriteLine($"agent-host: {problem}");
    return 2;
}
