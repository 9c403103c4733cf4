using System.Net;
using Agent.Hub;
using Agent.Input;
using Agent.Wire;

namespace Agent.Load;

/// <summary>A server under load: where it is, how it is checked, and who the devices are.</summary>
public sealed class LoadTarget
{
    /// <summary>
    /// Connections from one source address to one server port. The system has 28,232 ports for it (facts/limits.md section 0), but
    /// looks for a free one by trying: measured with 19,000 from one address, half the fleet's processor time went into that.
    /// </summary>
    public const int ConnectionsPerAddress = 6000;

    private readonly string[] ids;
    private readonly byte[][] keys;
    private readonly ClientOptions[] options;

    private LoadTarget(IPEndPoint remote, TlsClient tls, string[] ids, byte[][] keys, string hostName)
    {
        Remote = remote;
        HostName = hostName;
        this.ids = ids;
        this.keys = keys;
        int addresses = ((ids.Length - 1) / ConnectionsPerAddress) + 1;
        options = [.. Enumerable.Range(0, addresses).Select(number => new ClientOptions
        {
            Tls = tls,
            ContinuesInline = true,
            LocalAddress = addresses == 1 ? null : new IPAddress([127, 0, (byte)(1 + (number / 250)), (byte)(2 + (number % 250))]),
        })];
    }

    /// <summary>Where it listens.</summary>
    public IPEndPoint Remote { get; }

    /// <summary>The hub's name in user names and tokens.</summary>
    public string HostName { get; }

    /// <summary>How many devices there are.</summary>
    public int Count => ids.Length;

    /// <summary>Source addresses used; 1 = the system's choice.</summary>
    public int Addresses => options.Length;

    /// <summary>A hub whose devices are in a file, a connection string a line.</summary>
    /// <exception cref="BadInputException">A line is none.</exception>
    public static LoadTarget FromFile(IPEndPoint remote, TlsClient tls, string path)
    {
        var devices = new List<ConnectionString>();
        foreach (string line in File.ReadLines(path))
        {
            devices.Add(ConnectionString.TryParse(line, out ConnectionString? device, out string? problem) && device.DeviceId is not null
                ? device
                : throw new BadInputException($"{path}: line {devices.Count + 1}: {problem ?? "no DeviceId"}"));
        }

        return new LoadTarget(
            remote, tls, [.. devices.Select(device => device.DeviceId!)], [.. devices.Select(device => device.SharedAccessKey)],
            devices[0].HostName);
    }

    /// <summary>A broker that lets anybody in.</summary>
    public static LoadTarget Open(IPEndPoint remote, TlsClient tls, int count) =>
        new(remote, tls, [.. Enumerable.Range(0, count).Select(IdOf)], [], "localhost");

    /// <summary>The name of a device of a load test.</summary>
    public static string IdOf(int index) => FormattableString.Invariant($"load-{index:000000}");

    /// <summary>The device's id.</summary>
    public string Id(int index) => ids[index];

    /// <summary>How the device dials.</summary>
    public ClientOptions OptionsOf(int index) => options[index % options.Length];

    /// <summary>A fresh token, or null where none is asked for.</summary>
    public string? TokenOf(int index, long expiryUtcSeconds) =>
        keys.Length == 0 ? null : SasTokenWriter.Write($"{HostName}/devices/{ids[index]}", keys[index], expiryUtcSeconds);
}
