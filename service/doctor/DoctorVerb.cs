using System.Globalization;
using System.Security.Cryptography.X509Certificates;

namespace Agent.Service.Doctor;

/// <summary>What the checker could say about a device: itself, the fleet, or why it could not be asked.</summary>
public sealed record CheckerWord(KnownDevice? Device, KnownFleet? Fleet, string? Problem);

/// <summary><c>doctor DEVICE</c>: reads its arguments, asks the checker, examines, prints.</summary>
/// <remarks>
/// A connection string on the command line can be seen by every user of the machine; so it may stand in an environment variable instead,
/// and is never printed.
/// </remarks>
public static class DoctorVerb
{
    /// <summary>The environment variable that may hold the service connection string.</summary>
    public const string ConnectionVariable = "AGENT_HUB_CONNECTION_STRING";

    private const string Options = "--connection-string, --hub, --port, --https-port, --ca, --reach, --checker, --key-file, --json";

    /// <summary>What <c>--help</c> prints about it.</summary>
    public const string Help = $"""
        agent-service doctor DEVICE [--connection-string CS] [--hub HOST] [--port N] [--https-port N] [--ca FILE]
          [--reach SECONDS] [--checker URL] [--key-file FILE] [--json]
          Walks the vendor's troubleshooting checklist for one device. The hub's registry is asked when there is a service
          connection string, here or in the environment variable {ConnectionVariable}; ports are tried when a hub is named by it
          or by --hub. A local hub needs --ca and its own --port and --https-port. What the checker knows is asked of the one that
          runs at URL (default {CheckerQuery.DefaultUrl}), with the key in FILE or in {CommandLine.KeyVariable}. With --reach a local hub
          sends the device a message that lives so long, and says whether the device took it.
        """;

    /// <summary>Runs it: 0 nothing is wrong, 1 something is, 2 bad input, 3 nothing could be looked at.</summary>
    /// <param name="arguments">What follows <c>doctor</c>.</param>
    /// <param name="environment">Reads an environment variable.</param>
    /// <param name="ask">Asks the checker about a device; must not throw for what the checker does.</param>
    /// <param name="output">Gets the diagnosis and nothing else.</param>
    /// <param name="error">Gets one line when the input is bad.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellation">Ends it early, by exception.</param>
    public static async Task<int> RunAsync(
        IReadOnlyList<string> arguments,
        Func<string, string?> environment,
        Func<string, CancellationToken, Task<CheckerWord>> ask,
        TextWriter output,
        TextWriter error,
        TimeProvider time,
        CancellationToken cancellation)
    {
        if (!TryRead(arguments, environment, time, out DoctorRequest? request, out bool isJson, out string problem))
        {
            await error.WriteLineAsync("doctor: " + problem).ConfigureAwait(false);
            return 2;
        }

        CheckerWord word = await ask(request!.DeviceId, cancellation).ConfigureAwait(false);
        Diagnosis diagnosis = await DeviceDoctor
            .ExamineAsync(request, word.Device, word.Fleet, word.Problem, cancellation).ConfigureAwait(false);
        await output.WriteAsync(isJson ? DoctorText.Json(diagnosis) + "\n" : DoctorText.Text(diagnosis)).ConfigureAwait(false);
        return diagnosis.ExitCode;
    }

    private static bool TryRead(
        IReadOnlyList<string> arguments, Func<string, string?> environment, TimeProvider time,
        out DoctorRequest? request, out bool isJson, out string problem)
    {
        request = null;
        isJson = false;
        if (arguments.Count == 0 || arguments[0].StartsWith("--", StringComparison.Ordinal))
        {
            problem = "needs a DEVICE";
            return false;
        }

        var read = new DoctorRequest { DeviceId = arguments[0], Time = time };
        string? connectionText = environment(ConnectionVariable);
        problem = "";
        for (int at = 1; at < arguments.Count && problem.Length == 0; at++)
        {
            string name = arguments[at];
            if (name == "--json")
            {
                isJson = true;
                continue;
            }

            string? value = at + 1 < arguments.Count ? arguments[++at] : null;
            (read, problem) = name switch
            {
                "--connection-string" or "--hub" or "--port" or "--https-port" or "--ca" or "--reach" when value is null =>
                    (read, $"{name} needs a value"),
                "--connection-string" => (read, ""),
                "--hub" => (read with { HubHost = value }, ""),
                "--port" => (read with { MqttPort = Whole(value) }, ""),
                "--https-port" => (read with { HttpsPort = Whole(value) }, ""),
                "--reach" => (read with { ReachSeconds = Whole(value) is > 0 and var seconds ? seconds : -1 }, ""),
                "--ca" => WithRoots(read, value!),
                _ => (read, $"'{name}' is not understood; allowed are {Options}"),
            };
            connectionText = name == "--connection-string" ? value : connectionText;
        }

        if (problem.Length == 0 && connectionText is { Length: > 0 }
            && ServiceConnection.TryParse(connectionText, out ServiceConnection? connection, out problem))
        {
            read = read with { Connection = connection };
        }

        problem = problem.Length > 0 ? problem : read.FindProblem() ?? "";
        request = problem.Length == 0 ? read : null;
        return problem.Length == 0;
    }

    private static (DoctorRequest Request, string Problem) WithRoots(DoctorRequest request, string path) =>
        DeviceDoctor.TryReadRoots(path, out X509Certificate2Collection roots, out string problem)
            ? (request with { Roots = roots }, "")
            : (request, problem);

    // 0 is refused later, with the range.
    private static int Whole(string? text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : 0;
}
