using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Agent.Hub;
using Agent.Input;
using Agent.Wire;
using Agent.World;

namespace Agent.Drive;

/// <summary>Makes a target from what a command line says.</summary>
public static class WireTargets
{
    /// <summary>Resolves HOST:PORT, loads the authority and the devices' credentials.</summary>
    /// <param name="hostAndPort">HOST:PORT; an IPv6 address in brackets.</param>
    /// <param name="authorityPath">PEM file to trust instead of the system's roots; null = the system's.</param>
    /// <param name="policy">A policy's connection string, or null.</param>
    /// <param name="devicesPath">A file of devices' connection strings, or null.</param>
    /// <param name="allowRemote">Whether other machines than this one may be loaded.</param>
    /// <param name="scenario">What will run.</param>
    /// <param name="engine">Who does the work of TLS.</param>
    /// <exception cref="BadInputException">Something given is no good.</exception>
    /// <exception cref="IOException">The name does not resolve.</exception>
    public static async Task<WireTarget> FindAsync(
        string hostAndPort, string? authorityPath, string? policy, string? devicesPath, bool allowRemote, Scenario scenario,
        TlsEngine engine = TlsEngine.Portable)
    {
        (string host, int port) = Split(hostAndPort);
        DeviceKeys keys = FindKeys(policy, devicesPath, scenario);
        X509Certificate2Collection? roots = authorityPath is null ? null : Roots(authorityPath);
        IPAddress address = await ResolveAsync(host).ConfigureAwait(false);
        if (!allowRemote && !IPAddress.IsLoopback(address))
        {
            throw new BadInputException(
                $"--hub {host}: not this machine; a fleet is a load test, so other machines need --allow-remote");
        }

        return new WireTarget(host, new IPEndPoint(address, port), new TlsClient(host, roots, engine: engine), keys);
    }

    internal static X509Certificate2Collection Roots(string path)
    {
        var roots = new X509Certificate2Collection();
        try
        {
            roots.ImportFromPemFile(path);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new BadInputException($"--ca {path}: cannot be read as PEM certificates: {problem.Message}");
        }

        return roots.Count > 0 ? roots : throw new BadInputException($"--ca {path}: holds no certificate in PEM form");
    }

    private static (string Host, int Port) Split(string hostAndPort)
    {
        int colon = hostAndPort.LastIndexOf(':');
        string host = colon > 0 ? hostAndPort[..colon].Trim('[', ']') : "";
        bool valid = host.Length > 0 &&
            int.TryParse(hostAndPort.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int port) &&
            port is > 0 and <= 65535 && Uri.CheckHostName(host) != UriHostNameType.Unknown;
        return valid
            ? (host, int.Parse(hostAndPort.AsSpan(colon + 1), CultureInfo.InvariantCulture))
            : throw new BadInputException($"--hub: not HOST:PORT; like localhost:8883");
    }

    private static DeviceKeys FindKeys(string? policy, string? devicesPath, Scenario scenario)
    {
        if ((policy is null) == (devicesPath is null))
        {
            throw new BadInputException(
                "--hub needs one of --connection-string (a policy that may connect devices, for ids FLEET-000000) "
                + "and --connection-strings FILE (a device a line)");
        }

        if (devicesPath is not null)
        {
            return DeviceKeys.FromFile(devicesPath, scenario);
        }

        return ConnectionString.TryParse(policy, out ConnectionString? parsed, out string? problem)
            ? DeviceKeys.FromPolicy(parsed, scenario)
            : throw new BadInputException($"--connection-string: {problem}");
    }

    private static async Task<IPAddress> ResolveAsync(string host)
    {
        if (IPAddress.TryParse(host, out IPAddress? literal))
        {
            return literal;
        }

        try
        {
            IPAddress[] addresses = await Dns.GetHostAddressesAsync(host).ConfigureAwait(false);
            return addresses.FirstOrDefault(address => address.AddressFamily == AddressFamily.InterNetwork) ?? addresses[0];
        }
        catch (SocketException problem)
        {
            throw new IOException($"--hub {host}: {problem.Message}");
        }
    }
}
