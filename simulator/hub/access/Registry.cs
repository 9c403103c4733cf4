using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Agent.Hub;

/// <summary>What a shared access policy allows.</summary>
[Flags]
public enum AccessRights : byte
{
    None = 0,

    /// <summary>Read identities.</summary>
    RegistryRead = 1,

    /// <summary>Create, change and delete identities.</summary>
    RegistryWrite = 2,

    /// <summary>Twins, methods, cloud-to-device messages, reading telemetry.</summary>
    ServiceConnect = 4,

    /// <summary>Connect as any device.</summary>
    DeviceConnect = 8,
}

/// <summary>A named pair of keys with rights.</summary>
public sealed record AccessPolicy(string Name, AccessRights Rights, byte[] PrimaryKey, byte[] SecondaryKey);

/// <summary>Who may connect: identities and shared access policies, in memory. Files are <see cref="HubData"/>'s.</summary>
public sealed class Registry
{
    /// <summary>Longest device or module id (facts/iothub.md §1.2).</summary>
    public const int IdLengthMax = 128;

    public const int PolicyNameLengthMax = 64;

    /// <summary>As many identities as a hub holds (facts/iothub.md §6).</summary>
    public const int DevicesMax = 1_000_000;

    private const int KeyLength = 32;

    private readonly List<Device> devices = [];
    private readonly List<AccessPolicy> policies = [];
    private readonly List<byte[]> hostNames = [];
    private readonly Dictionary<string, Device> devicesById = new(StringComparer.Ordinal);

    /// <param name="names">What this hub answers to; the first is the one it calls itself.</param>
    public Registry(params IEnumerable<string> names)
    {
        foreach (string name in names)
        {
            HostNames.Add(name);
            hostNames.Add(Encoding.ASCII.GetBytes(name));
        }
    }

    /// <summary>Identities in order of their index.</summary>
    public IReadOnlyList<Device> Devices => devices;

    public IReadOnlyList<AccessPolicy> Policies => policies;

    /// <summary>The hub's own name, as in connection strings.</summary>
    public string HostName => HostNames[0];

    private List<string> HostNames { get; } = [];

    /// <summary>ASCII letters, digits and <c>- : . + % _ # * ? ! ( ) , = @ ; $ '</c>, 1 to 128 of them.</summary>
    public static bool IsId(ReadOnlySpan<char> id)
    {
        foreach (char c in id)
        {
            if (!char.IsAsciiLetterOrDigit(c) && !"-:.+%_#*?!(),=@;$'".Contains(c, StringComparison.Ordinal))
            {
                return false;
            }
        }

        return id.Length is > 0 and <= IdLengthMax;
    }

    /// <summary>A fresh random key.</summary>
    public static byte[] NewKey() => RandomNumberGenerator.GetBytes(KeyLength);

    /// <summary>Whether the hub goes by this name; case does not matter in host names.</summary>
    public bool IsHostName(ReadOnlySpan<byte> name)
    {
        foreach (byte[] known in hostNames)
        {
            if (Ascii.EqualsIgnoreCase(known, name))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Finds an identity by the bytes of its id, without allocating.</summary>
    public bool TryFind(ReadOnlySpan<byte> id, [NotNullWhen(true)] out Device? device)
    {
        device = null;
        Span<char> text = stackalloc char[IdLengthMax];
        return id.Length <= IdLengthMax
            && Ascii.ToUtf16(id, text, out int length) == System.Buffers.OperationStatus.Done
            && devicesById.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(text[..length], out device);
    }

    /// <summary>Finds an identity by its id.</summary>
    public bool TryFind(string id, [NotNullWhen(true)] out Device? device) => devicesById.TryGetValue(id, out device);

    /// <summary>Finds a policy by name; case matters.</summary>
    public bool TryFindPolicy(ReadOnlySpan<byte> name, [NotNullWhen(true)] out AccessPolicy? policy)
    {
        foreach (AccessPolicy candidate in policies)
        {
            if (Ascii.Equals(name, candidate.Name))
            {
                policy = candidate;
                return true;
            }
        }

        policy = null;
        return false;
    }

    /// <summary>Adds an identity; the caller has checked the id and that it is new.</summary>
    public Device Add(string id, byte[] primaryKey, byte[] secondaryKey, string? generationId = null, string? eTag = null)
    {
        var device = new Device(devices.Count, id, null, primaryKey, secondaryKey)
        {
            GenerationId = generationId ?? RandomNumberGenerator.GetInt32(1, int.MaxValue)
                .ToString("D18", CultureInfo.InvariantCulture),
            ETag = eTag ?? Convert.ToBase64String(RandomNumberGenerator.GetBytes(6)),
        };
        devicesById.Add(id, device);
        devices.Add(device);
        return device;
    }

    /// <summary>Adds <c>device-0001</c>, <c>device-0002</c>, … with fresh keys until there are that many identities.</summary>
    public void AddNumbered(int total)
    {
        for (int number = 1; devices.Count < total; number++)
        {
            string id = "device-" + number.ToString("D4", CultureInfo.InvariantCulture);
            if (!devicesById.ContainsKey(id))
            {
                Add(id, NewKey(), NewKey());
            }
        }
    }

    /// <summary>Adds those of the ids that are not there yet, with fresh keys.</summary>
    public void AddMissing(IEnumerable<string> ids)
    {
        foreach (string id in ids)
        {
            if (!devicesById.ContainsKey(id))
            {
                Add(id, NewKey(), NewKey());
            }
        }
    }

    /// <summary>Adds a policy.</summary>
    public void Add(AccessPolicy policy) => policies.Add(policy);

    /// <summary>Adds the five policies every new hub has (facts/iothub.md §1.3), with fresh keys.</summary>
    public void AddDefaultPolicies()
    {
        const AccessRights All = AccessRights.RegistryRead | AccessRights.RegistryWrite
            | AccessRights.ServiceConnect | AccessRights.DeviceConnect;
        Add(new AccessPolicy("iothubowner", All, NewKey(), NewKey()));
        Add(new AccessPolicy("service", AccessRights.ServiceConnect, NewKey(), NewKey()));
        Add(new AccessPolicy("device", AccessRights.DeviceConnect, NewKey(), NewKey()));
        Add(new AccessPolicy("registryRead", AccessRights.RegistryRead, NewKey(), NewKey()));
        Add(new AccessPolicy(
            "registryReadWrite", AccessRights.RegistryRead | AccessRights.RegistryWrite, NewKey(), NewKey()));
    }

    /// <summary>What a device needs to connect: the line <c>simulator hub</c> prints.</summary>
    public string ConnectionStringOf(Device device) =>
        $"HostName={HostName};DeviceId={device.Id};SharedAccessKey={Convert.ToBase64String(device.PrimaryKey)}";

    /// <summary>What a service needs: the line <c>simulator hub</c> prints for <c>iothubowner</c>.</summary>
    public string ConnectionStringOf(AccessPolicy policy) =>
        $"HostName={HostName};SharedAccessKeyName={policy.Name};"
        + $"SharedAccessKey={Convert.ToBase64String(policy.PrimaryKey)}";
}
