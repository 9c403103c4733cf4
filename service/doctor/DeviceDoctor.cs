using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Agent.Service.Doctor;

/// <summary>What to examine and with whose help. Everything but the id may be left out.</summary>
public sealed record DoctorRequest
{
    public required string DeviceId { get; init; }

    /// <summary>Service connection string, for the registry; its host is examined when no other is named. Null = none.</summary>
    public ServiceConnection? Connection { get; init; }

    /// <summary>Host of the hub; null = that of the connection string, or ports are not tried.</summary>
    public string? HubHost { get; init; }

    /// <summary>Where devices connect; another on a local hub.</summary>
    public int MqttPort { get; init; } = 8883;

    /// <summary>Where the registry is; another on a local hub.</summary>
    public int HttpsPort { get; init; } = 443;

    /// <summary>Roots trusted instead of the system's, for a local hub; null = the system's.</summary>
    public X509Certificate2Collection? Roots { get; init; }

    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>How long a device has to take a message that asks whether it can be reached, seconds; 0 = it is not asked.</summary>
    public int ReachSeconds { get; init; }

    /// <summary>How long the registry has for an answer.</summary>
    public TimeSpan AnswerWithin { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>What is wrong; null = nothing.</summary>
    public string? FindProblem() =>
        DeviceId.Length is < 1 or > 128 || !DeviceId.All(IsIdLetter)
            ? "device id: 1 to 128 letters, digits or - : . + % _ # * ? ! ( ) , = @ ; $ '"
        : HubHost is not null && Uri.CheckHostName(HubHost) == UriHostNameType.Unknown ? "hub: not a host name"
        : ReachSeconds is < 0 or > ReachCheck.WithinSecondsMax ? $"reach: allowed are 1 to {ReachCheck.WithinSecondsMax} seconds"
        : ReachSeconds > 0 && Connection is null ? "reach: calling a device needs a service connection string"
        : MqttPort is < 1 or > 65535 || HttpsPort is < 1 or > 65535 ? "port: allowed are 1 to 65535"
        : null;

    // facts/iothub.md §1.2.
    private static bool IsIdLetter(char letter) =>
        char.IsAsciiLetterOrDigit(letter) || "-:.+%_#*?!(),=@;$'".Contains(letter, StringComparison.Ordinal);
}

/// <summary>Gathers the findings, at the same time where it can, and has the checklist walked over them.</summary>
public static class DeviceDoctor
{
    /// <summary>Examines a device. Takes as long as its slowest limit: 25 s, and as much longer as the device has to answer.</summary>
    /// <param name="request">Without a problem.</param>
    /// <param name="device">What the checker knows of it; null = nothing, or it was not asked.</param>
    /// <param name="fleet">How the fleet is; null = not known.</param>
    /// <param name="checkerProblem">Why the checker could not be asked; null = it was.</param>
    /// <param name="cancellation">Ends it early, by exception.</param>
    public static async Task<Diagnosis> ExamineAsync(
        DoctorRequest request, KnownDevice? device, KnownFleet? fleet, string? checkerProblem, CancellationToken cancellation)
    {
        string? host = request.HubHost ?? request.Connection?.Host;
        Task<RegistryAnswer?> registry = AskRegistryAsync(request, cancellation);
        Task<ReachFinding?> reach = AskDeviceAsync(request, cancellation);
        PortFinding[] ports = [];
        if (host is not null)
        {
            var probe = new PortProbe(request.Time) { Roots = request.Roots };
            ports = await Task.WhenAll(
                probe.TryAsync(host, request.MqttPort, isMqtt: true, cancellation),
                probe.TryAsync(host, request.HttpsPort, isMqtt: false, cancellation)).ConfigureAwait(false);
        }

        return Checklist.Walk(new Findings
        {
            DeviceId = request.DeviceId,
            NowMs = request.Time.GetUtcNow().ToUnixTimeMilliseconds(),
            HubHost = host,
            Device = device,
            CheckerProblem = checkerProblem,
            Fleet = fleet,
            Registry = await registry.ConfigureAwait(false),
            Ports = ports,
            Reach = await reach.ConfigureAwait(false),
        });
    }

    /// <summary>Reads trusted roots from a PEM file.</summary>
    /// <returns>False, and a problem in one line, when there is none in it.</returns>
    public static bool TryReadRoots(string path, out X509Certificate2Collection roots, out string problem)
    {
        roots = [];
        try
        {
            roots.ImportFromPemFile(path);
            problem = roots.Count > 0 ? "" : $"{path}: no certificate in it";
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or CryptographicException)
        {
            problem = failure is CryptographicException ? $"{path}: not a PEM certificate" : $"{path}: cannot be read";
        }

        return problem.Length == 0;
    }

    private static async Task<ReachFinding?> AskDeviceAsync(DoctorRequest request, CancellationToken cancellation)
    {
        if (request.Connection is null || request.ReachSeconds == 0)
        {
            return null;
        }

        using var check = new ReachCheck(request.Connection, request.HttpsPort, request.Roots, request.Time);
        return await check.AskAsync(request.DeviceId, request.ReachSeconds, cancellation).ConfigureAwait(false);
    }

    private static async Task<RegistryAnswer?> AskRegistryAsync(DoctorRequest request, CancellationToken cancellation)
    {
        if (request.Connection is null)
        {
            return null;
        }

        using var query = new RegistryQuery(request.Connection, request.HttpsPort, request.Roots, request.Time, request.AnswerWithin);
        return await query.AskAsync(request.DeviceId, cancellation).ConfigureAwait(false);
    }
}
