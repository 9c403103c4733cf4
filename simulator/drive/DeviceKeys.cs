using System.Security.Cryptography;
using System.Text;
using Agent.Fleet;
using Agent.Hub;
using Agent.Input;
using Agent.World;

namespace Agent.Drive;

// Who the devices of a run are and with what key each signs its own tokens: keys of their own (the own hub's registry, or a
// file of connection strings) or one policy's key for all of them.

/// <summary>Identities and keys of all devices of a run, by their index in the whole run.</summary>
public sealed class DeviceKeys
{
    private readonly string? policy;
    private readonly byte[] policyKey;
    private readonly string[] ids;
    private readonly byte[][] keys;

    private DeviceKeys(string hostName, string? policy, byte[] policyKey, string[] ids, byte[][] keys)
    {
        HostName = hostName;
        this.policy = policy;
        this.policyKey = policyKey;
        this.ids = ids;
        this.keys = keys;
    }

    /// <summary>The hub's name in user names and tokens.</summary>
    public string HostName { get; }

    /// <summary>The devices of a hub in this process, as they stand in its registry.</summary>
    public static DeviceKeys Of(Registry registry) => new(
        registry.HostName, null, [], [.. registry.Devices.Select(device => device.Id)],
        [.. registry.Devices.Select(device => device.PrimaryKey)]);

    /// <summary>One policy's key for devices named <c>{fleet}-{index:000000}</c>.</summary>
    public static DeviceKeys FromPolicy(ConnectionString policy, Scenario scenario)
    {
        if (policy.SharedAccessKeyName is null)
        {
            throw new BadInputException(
                "--connection-string: a device's own; a policy's is needed (SharedAccessKeyName=device;…), " +
                "or one device per line in --connection-strings FILE");
        }

        return new(policy.HostName, policy.SharedAccessKeyName, policy.SharedAccessKey, Ids(scenario), []);
    }

    /// <summary>
    /// A file with one device's connection string a line. If it has all the ids the scenario's devices would have, those are
    /// used; otherwise the first line is the first device of the run. Lines without a DeviceId are passed over, so that what
    /// <c>hub</c> prints can be used as it is.
    /// </summary>
    public static DeviceKeys FromFile(string path, Scenario scenario)
    {
        var ids = new List<string>();
        var keys = new List<byte[]>();
        string hostName = "";
        int number = 0;
        foreach (string line in ReadLines(path))
        {
            number++;
            if (!line.Contains("DeviceId=", StringComparison.OrdinalIgnoreCase))
            {
                continue;
            }

            if (!ConnectionString.TryParse(line, out ConnectionString? device, out string? problem))
            {
                throw new BadInputException($"{path}: line {number}: {problem}");
            }

            if (ids.Count > 0 && !string.Equals(device.HostName, hostName, StringComparison.OrdinalIgnoreCase))
            {
                throw new BadInputException($"{path}: line {number}: another HostName than the first line's");
            }

            hostName = device.HostName;
            ids.Add(device.DeviceId!);
            keys.Add(device.SharedAccessKey);
        }

        string[] named = Ids(scenario);
        Dictionary<string, byte[]> byId = ids.Zip(keys).DistinctBy(pair => pair.First)
            .ToDictionary(pair => pair.First, pair => pair.Second, StringComparer.Ordinal);
        if (ids.Count > 0 && named.All(byId.ContainsKey))
        {
            return new(hostName, null, [], named, [.. named.Select(id => byId[id])]);
        }

        int needed = named.Length;
        return ids.Count >= needed
            ? new(hostName, null, [], [.. ids], [.. keys])
            : throw new BadInputException($"{path}: {ids.Count} devices; the scenario has {needed}");
    }

    /// <summary>The ids of a scenario's devices, in the order of their indices.</summary>
    public static string[] Ids(Scenario scenario) =>
        [.. scenario.Fleets.SelectMany(fleet => Enumerable.Range(0, fleet.Count).Select(i => DeviceId.Text(fleet.Name, i)))];

    /// <summary>The device's id.</summary>
    public string IdOf(int globalIndex) => ids[globalIndex];

    /// <summary>The device's key, or its policy's.</summary>
    internal byte[] KeyOf(int globalIndex) => policy is null ? keys[globalIndex] : policyKey;

    /// <summary>A token signed by the device, with the fields in its SDK's order.</summary>
    public string Password(int globalIndex, long expirySeconds, PacketStyle style)
    {
        string resource = Uri.EscapeDataString($"{HostName}/devices/{ids[globalIndex]}");
        Span<byte> hash = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(
            KeyOf(globalIndex), Encoding.ASCII.GetBytes(FormattableString.Invariant($"{resource}\n{expirySeconds}")), hash);
        return style.Password(resource, Uri.EscapeDataString(Convert.ToBase64String(hash)), expirySeconds, policy);
    }

    private static string[] ReadLines(string path)
    {
        try
        {
            return File.ReadAllLines(path);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new BadInputException($"{path}: cannot be read: {problem.Message}");
        }
    }
}
