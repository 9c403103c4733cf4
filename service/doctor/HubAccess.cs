using System.Globalization;
using System.Security.Cryptography.X509Certificates;

namespace Agent.Service.Doctor;

/// <summary>The hub the running service may ask about a device: where it is, whom to trust, and on whose behalf.</summary>
/// <remarks>
/// Only what is named here is ever dialled: nobody who may press a button on the page can name a host. The connection string is in a
/// file or in the environment, never in an argument, and its key stays inside <see cref="ServiceConnection"/>.
/// </remarks>
public sealed class HubAccess
{
    /// <summary>What <c>--help</c> says.</summary>
    public const string Help = $"""
          --hub HOST lets the page's doctor try its ports; --hub-connection FILE, or {DoctorVerb.ConnectionVariable}, holds a service
          connection string, so that the registry is asked and a device can be called. A local hub needs --hub-ca FILE and its own
          --hub-port and --hub-https-port.
        """;

    /// <summary>The options this reads.</summary>
    public static bool IsOption(string name) =>
        name is "--hub" or "--hub-connection" or "--hub-port" or "--hub-https-port" or "--hub-ca";

    /// <summary>Host of the hub; null = the connection string's.</summary>
    public string? Host { get; private init; }

    /// <summary>Where devices connect.</summary>
    public int MqttPort { get; private init; } = 8883;

    /// <summary>Where the registry is.</summary>
    public int HttpsPort { get; private init; } = 443;

    /// <summary>Roots trusted instead of the system's; null = the system's.</summary>
    public X509Certificate2Collection? Roots { get; private init; }

    /// <summary>On whose behalf; null = nobody's, so that only ports can be tried.</summary>
    public ServiceConnection? Connection { get; private init; }

    /// <summary>Puts the options together; null without a problem = no hub was named.</summary>
    /// <param name="options">Values by name.</param>
    /// <param name="environment">Where the connection string may be.</param>
    /// <param name="problem">What is wrong, in one line; empty = nothing.</param>
    public static HubAccess? TryRead(
        IReadOnlyDictionary<string, string> options, Func<string, string?> environment, out string problem)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(environment);
        problem = "";
        string? text = environment(DoctorVerb.ConnectionVariable);
        if (options.TryGetValue("--hub-connection", out string? file) && !TryReadText(file, out text))
        {
            problem = $"--hub-connection: {file} cannot be read";
            return null;
        }

        ServiceConnection? connection = null;
        if (!string.IsNullOrWhiteSpace(text) && !ServiceConnection.TryParse(text, out connection, out problem))
        {
            return null;
        }

        string? host = options.GetValueOrDefault("--hub");
        if (host is null && connection is null)
        {
            problem = options.Keys.FirstOrDefault(IsOption) is { } lone ? lone + " needs --hub HOST or --hub-connection FILE" : "";
            return null;
        }

        X509Certificate2Collection? roots = null;
        if (options.TryGetValue("--hub-ca", out file) && !DeviceDoctor.TryReadRoots(file, out roots, out problem))
        {
            problem = "--hub-ca: " + problem;
            return null;
        }

        bool isWell = TryReadPort(options, "--hub-port", 8883, out int mqttPort)
            & TryReadPort(options, "--hub-https-port", 443, out int httpsPort)
            & (host is null || Uri.CheckHostName(host) != UriHostNameType.Unknown);
        problem = isWell ? "" : "--hub takes a host name, --hub-port and --hub-https-port a number from 1 to 65535";
        return !isWell ? null : new HubAccess
        {
            Host = host,
            MqttPort = mqttPort,
            HttpsPort = httpsPort,
            Roots = roots,
            Connection = connection,
        };
    }

    /// <summary>What the doctor needs to examine one device here.</summary>
    public DoctorRequest RequestFor(string deviceId, TimeProvider time) => new()
    {
        DeviceId = deviceId,
        Connection = Connection,
        HubHost = Host,
        MqttPort = MqttPort,
        HttpsPort = HttpsPort,
        Roots = Roots,
        Time = time,
    };

    private static bool TryReadPort(IReadOnlyDictionary<string, string> options, string name, int otherwise, out int port)
    {
        port = otherwise;
        return !options.TryGetValue(name, out string? text)
            || (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out port) && port is >= 1 and <= ushort.MaxValue);
    }

    private static bool TryReadText(string path, out string? text)
    {
        text = null;
        try
        {
            text = File.ReadAllText(path).Trim();
            return text.Length > 0;
        }
        catch (Exception failed) when (failed is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
